//! The same runbook and the same moves where the databases are PostgreSQL: a whole drill, and, call by call, a primary that
//! comes back as a second writer.

use serde_json::{Value, json};
use tempfile::TempDir;
use understudy_lab::audit;
use understudy_lab::authority::Authority;
use understudy_lab::clock::eventually;
use understudy_lab::lab::{BZ, Lab, Options, PZ};
use understudy_lab::ports::address;
use understudy_lab::postgres::Server;
use understudy_lab::postgres::pair::{Pair, TABLES};

use crate::host::Host;
use crate::{LIMIT, PACE, calls};

fn call(function: &str, site: &str) -> Value {
    json!({ "call": function, "site": site, "database": "wordpress" })
}

fn replica(site: &str, source: &str) -> Value {
    json!({ "call": "ensure-replica-of", "site": site, "database": "wordpress", "source": source })
}

async fn titles(server: &Server) -> Vec<String> {
    let titles = server
        .column("SELECT title FROM posts ORDER BY title")
        .await;
    titles.unwrap()
}

async fn insert(server: &Server, title: &str) {
    let row = format!("INSERT INTO posts (title, site) VALUES ('{title}', 'x')");
    server.execute(&row).await.unwrap();
}

/// Nothing is received at a server from now on.
async fn cut_off(server: &Server) {
    let cut = [
        "ALTER SYSTEM SET primary_conninfo = ''",
        "SELECT pg_reload_conf()",
    ];
    for statement in cut {
        server.execute(statement).await.unwrap();
    }
    eventually("the receiver to end", LIMIT, async || {
        let receivers = server
            .value("SELECT count(*) FROM pg_stat_wal_receiver")
            .await?;
        Ok((receivers == "0").then_some(()))
    })
    .await
    .unwrap();
}

/// Expects every answer to be of this kind: `changed`, or the name of an error.
fn came(answers: &[Value], wanted: &[&str]) {
    let kind = |answer: &Value| match &answer["ok"] {
        Value::String(outcome) => outcome.clone(),
        Value::Null => {
            let error = answer["err"].as_object().unwrap();
            error.keys().next().unwrap().clone()
        }
        _ => "ok".to_owned(),
    };
    let kinds: Vec<String> = answers.iter().map(kind).collect();
    assert_eq!(kinds, wanted, "{answers:?}");
}

/// Two servers and a host that makes calls to them.
struct Stage {
    // Dropped in this order: the folder last.
    pair: Pair,
    host: calls::Host,
    folder: TempDir,
}

async fn stage() -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::create(folder.path()).unwrap();
    let addresses = [address(PZ).unwrap(), address(BZ).unwrap()];
    let pair = Pair::start(&authority, folder.path(), addresses, TABLES)
        .await
        .unwrap();
    let host = calls::Host::new("postgres", pair.binding(&json!({})), pair.credentials());
    Stage { pair, host, folder }
}

/// True where the journal says that a program was run.
fn ran_program(records: &[Value], program: &str) -> bool {
    let action = format!("exec {program}:");
    records
        .iter()
        .any(|record| record.to_string().contains(&action))
}

/// No password of anybody stands in what was written down.
fn holds_no_secret(pair: &Pair, records: &[Value]) {
    for (name, secret) in pair.credentials() {
        let holds = |record: &Value| record.to_string().contains(&secret);
        assert!(!records.iter().any(holds), "{name} was written");
    }
}

#[tokio::test]
async fn a_second_writer_is_fenced_rewound_and_holds_nothing_of_its_own() {
    let mut stage = stage().await;
    let (pair, host) = (&mut stage.pair, &stage.host);
    insert(&pair.pz, "replicated").await;
    pair.bz.applied(&pair.pz, LIMIT).await.unwrap();
    cut_off(&pair.bz).await;
    insert(&pair.pz, "lost").await;
    pair.pz.kill().unwrap();

    let ran = host
        .calls(json!([
            call("ensure-promoted", "bz"),
            call("ensure-promoted", "bz"),
            call("observe", "bz")
        ]))
        .await;
    came(&ran.answers, &["changed", "unchanged", "ok"]);
    assert_eq!(ran.answers[2]["ok"]["read_only"], false);
    insert(&pair.bz, "after").await;

    // It comes back as it was: a writer, with a row that nobody else has, and takes another.
    pair.pz.restart().await.unwrap();
    insert(&pair.pz, "stray").await;
    let ran = host
        .calls(json!([
            call("observe", "pz"),
            replica("pz", "bz"),
            call("ensure-fenced", "pz"),
            call("ensure-fenced", "pz"),
            replica("pz", "bz"),
            replica("pz", "bz"),
            call("observe", "bz"),
            call("observe-contents", "bz")
        ]))
        .await;
    came(
        &ran.answers,
        &[
            "ok",
            "conflict",
            "changed",
            "unchanged",
            "changed",
            "unchanged",
            "ok",
            "ok",
        ],
    );
    assert_eq!(ran.answers[0]["ok"]["role"], "Primary");
    assert_eq!(ran.answers[0]["ok"]["read_only"], false);
    let position = &ran.answers[6]["ok"]["position"];
    let there = json!({
        "call": "ensure-caught-up", "site": "pz", "database": "wordpress", "position": position
    });
    let again = host
        .calls(json!([
            there,
            call("observe-contents", "pz"),
            call("observe", "pz")
        ]))
        .await;
    assert_eq!(again.answers[1], ran.answers[7], "the copy differs");
    assert_eq!(again.answers[2]["ok"]["role"], "Replica");
    assert_eq!(titles(&pair.pz).await, ["after", "replicated"]);
    assert!(ran_program(&ran.records, "rewind-pz") && !ran_program(&ran.records, "seed-pz"));
    holds_no_secret(pair, &ran.records);
    holds_no_secret(pair, &again.records);
}

#[tokio::test]
async fn two_that_were_promoted_without_each_other_are_not_mixed_up() {
    let stage = stage().await;
    let (pair, host) = (&stage.pair, &stage.host);
    cut_off(&pair.bz).await;
    // Both begin timeline 2, each its own: by somebody's hand, past every guard.
    let ran = host.calls(json!([call("ensure-fenced", "pz")])).await;
    came(&ran.answers, &["changed"]);
    for server in [&pair.pz, &pair.bz] {
        server.execute("SELECT pg_promote(true)").await.unwrap();
    }
    insert(&pair.pz, "one").await;
    insert(&pair.bz, "other").await;
    let ran = host
        .calls(json!([
            call("ensure-fenced", "pz"),
            replica("pz", "bz"),
            call("observe", "pz")
        ]))
        .await;
    came(&ran.answers, &["changed", "changed", "ok"]);
    assert_eq!(ran.answers[2]["ok"]["replication"]["running"], true);
    pair.pz.applied(&pair.bz, LIMIT).await.unwrap();
    assert_eq!(titles(&pair.pz).await, ["other"]);
}

#[tokio::test]
async fn a_backup_is_put_back_as_it_was_taken_or_not_at_all() {
    let stage = stage().await;
    let (pair, host) = (&stage.pair, &stage.host);
    insert(&pair.pz, "kept").await;
    let backup =
        json!({ "call": "ensure-backup", "site": "pz", "database": "wordpress", "name": "b/1" });
    let ran = host
        .calls(json!([
            backup,
            backup,
            call("list-recovery-points", "bz"),
            call("observe-contents", "pz")
        ]))
        .await;
    came(&ran.answers[..2], &["changed", "unchanged"]);
    let points = ran.answers[2]["ok"].as_array().unwrap();
    assert_eq!(
        (&points[0]["id"], &points[0]["complete"]),
        (&json!("b_1"), &json!(true))
    );
    insert(&pair.pz, "later").await;

    let again = host
        .calls(json!([
            restored(&json!({ "point": "b_1" }), "pz", "t-0"),
            restored(&json!({ "instant-ms": 1000 }), "bz", "t-0"),
            restored(&json!({ "point": "b_1" }), "bz", "t-1"),
            restored(&json!({ "point": "b_1" }), "bz", "t-1"),
            call("observe", "bz"),
            call("observe-contents", "bz")
        ]))
        .await;
    came(
        &again.answers,
        &["conflict", "not-found", "changed", "unchanged", "ok", "ok"],
    );
    assert_eq!(again.answers[4]["ok"]["read_only"], true);
    assert_eq!(again.answers[4]["ok"]["replication"], Value::Null);
    assert_eq!(again.answers[5], ran.answers[3], "it is not as it was");
    assert_eq!(titles(&pair.bz).await, ["kept"]);

    // One that was touched since is not unpacked, and the server that was to get it can still be made a replica.
    let file = stage.folder.path().join("postgres-copies/b_1.tar");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let ran = host
        .calls(json!([restored(&json!("latest"), "bz", "t-2")]))
        .await;
    came(&ran.answers, &["conflict"]);
}

/// When what a server has written so far is in its archive.
async fn archived(server: &Server) {
    let segment = "SELECT pg_walfile_name(pg_current_wal_lsn())";
    let segment = server.value(segment).await.unwrap();
    eventually("the log to be archived", LIMIT, async || {
        let newest = "SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver";
        Ok((server.value(newest).await? >= segment).then_some(()))
    })
    .await
    .unwrap();
}

fn restored(target: &Value, site: &str, token: &str) -> Value {
    json!({
        "call": "ensure-restored", "site": site, "database": "wordpress", "target": target, "token": token
    })
}

#[tokio::test]
async fn an_instant_is_restored_as_far_as_the_archive_reaches() {
    let mut stage = stage().await;
    let (pair, host) = (&mut stage.pair, &stage.host);
    insert(&pair.pz, "in the backup").await;
    let backup =
        json!({ "call": "ensure-backup", "site": "pz", "database": "wordpress", "name": "b" });
    let ran = host.calls(json!([backup])).await;
    came(&ran.answers, &["changed"]);
    insert(&pair.pz, "before").await;
    let instant = "SELECT ceil(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let instant: u64 = pair.pz.value(instant).await.unwrap().parse().unwrap();
    // Of another millisecond than the instant.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    insert(&pair.pz, "after").await;
    archived(&pair.pz).await;

    let instant = json!({ "instant-ms": instant });
    let ran = host
        .calls(json!([
            call("observe-restorable", "bz"),
            call("ensure-fenced", "pz"),
            restored(&json!({ "instant-ms": 4_000_000_000_000_u64 }), "bz", "t-0"),
            restored(&instant, "bz", "t-1"),
            restored(&instant, "bz", "t-1"),
            call("observe", "bz"),
            call("observe-contents", "bz"),
        ]))
        .await;
    came(
        &ran.answers,
        &[
            "ok",
            "changed",
            "not-found",
            "changed",
            "unchanged",
            "ok",
            "ok",
        ],
    );
    assert!(ran.answers[0]["ok"].as_u64() >= instant["instant-ms"].as_u64());
    assert_eq!(ran.answers[5]["ok"]["read_only"], true);
    assert_eq!(titles(&pair.bz).await, ["before", "in the backup"]);

    // Newer than that it holds whatever it is asked for, and the same server may be told again.
    let ran = host
        .calls(json!([
            restored(&json!("latest"), "bz", "t-2"),
            call("ensure-promoted", "bz"),
            replica("pz", "bz"),
            call("observe", "pz"),
        ]))
        .await;
    came(&ran.answers, &["changed", "changed", "changed", "ok"]);
    assert_eq!(ran.answers[3]["ok"]["replication"]["running"], true);
    assert_eq!(titles(&pair.bz).await, ["after", "before", "in the backup"]);

    // And back: an instant is let go of by the promotion, so that what was restored can be fenced, and follow, afterwards.
    let ran = host
        .calls(json!([
            call("ensure-fenced", "bz"),
            restored(&instant, "bz", "t-3"),
            call("ensure-promoted", "bz"),
            call("ensure-fenced", "bz"),
            call("observe", "bz"),
        ]))
        .await;
    came(
        &ran.answers,
        &["changed", "changed", "changed", "changed", "ok"],
    );
    assert_eq!(titles(&pair.bz).await, ["before", "in the backup"]);
    holds_no_secret(pair, &ran.records);
}

#[tokio::test]
async fn a_drill_on_postgres_loses_nothing_and_ends_where_it_began() {
    let options = Options::new(env!("CARGO_BIN_EXE_understudy-lab")).on_postgres();
    let lab = Lab::up(options).await.unwrap();
    let host = Host::new(&lab).unwrap();
    let users = lab.users(PACE);
    users.acknowledged_by("pz", 20, LIMIT).await.unwrap();
    let running = host.run("drill", "graceful").unwrap();
    host.ends_well(running).await.unwrap();
    users.acknowledged_by("pz", 20, LIMIT).await.unwrap();
    let log = users.stop().await;
    assert!(
        log.acknowledged.iter().any(|row| row.site == "bz"),
        "bz never served a write"
    );
    let pair = lab.postgres.as_ref().unwrap();
    pair.bz.applied(&pair.pz, LIMIT).await.unwrap();
    for server in [&pair.pz, &pair.bz] {
        let numbers = server.column("SELECT number FROM posts WHERE number IS NOT NULL");
        let found = audit::of_numbers(&log, &numbers.await.unwrap()).unwrap();
        assert_eq!(found.missing, []);
    }
    assert!(!pair.pz.is_in_recovery().await.unwrap());
    assert!(pair.bz.is_in_recovery().await.unwrap());
    let report = host.report().await.unwrap();
    assert_eq!(report["conclusion"]["ending"], "recovered", "{report}");
    assert_eq!(report["legs"][0]["rpo"]["achieved-ms"], 0);
    assert_eq!(report["legs"][1]["rpo"]["achieved-ms"], 0);
    let written = host.written().unwrap();
    for (name, secret) in pair.credentials() {
        let holds = |text: &Vec<u8>| {
            text.windows(secret.len())
                .any(|part| part == secret.as_bytes())
        };
        assert!(!written.iter().any(holds), "{name} was written");
    }
}

#[tokio::test]
async fn a_dead_primary_costs_what_is_reported_and_is_brought_home() {
    let options = Options::new(env!("CARGO_BIN_EXE_understudy-lab")).on_postgres();
    let mut lab = Lab::up(options).await.unwrap();
    let host = Host::new(&lab).unwrap();
    let users = lab.users(PACE);
    users.acknowledged_by("pz", 20, LIMIT).await.unwrap();
    let pair = lab.postgres.as_mut().unwrap();
    cut_off(&pair.bz).await;
    // Told its source again, which it does not find any more: a replica that fell behind, of a primary that died.
    users.acknowledged_by("pz", 40, LIMIT).await.unwrap();
    pair.pz.kill().unwrap();
    lab.pz.kill().unwrap();
    let pair = lab.postgres.as_mut().unwrap();
    let source = format!(
        "ALTER SYSTEM SET primary_conninfo = 'host={} port={} user=repl'",
        pair.pz.address().ip(),
        pair.pz.address().port()
    );
    for statement in [source.as_str(), "SELECT pg_reload_conf()"] {
        pair.bz.execute(statement).await.unwrap();
    }

    let mut running = host.run("failover", "ungraceful").unwrap();
    eventually("bz to become the writer", LIMIT, async || {
        assert_eq!(running.try_wait()?, None, "{}", host.log());
        let pair = lab.postgres.as_ref().unwrap();
        Ok((!pair.bz.is_in_recovery().await?).then_some(()))
    })
    .await
    .unwrap();
    // It comes back on its own, as it was: a writer, with rows that nobody else has.
    lab.postgres.as_mut().unwrap().pz.restart().await.unwrap();
    lab.pz.restart().await.unwrap();
    users.acknowledged_by("bz", 20, LIMIT).await.unwrap();
    host.ends_well(running).await.unwrap();
    let missing = async |log: &understudy_lab::writer::Log, server: &Server| {
        let numbers = server.column("SELECT number FROM posts WHERE number IS NOT NULL");
        audit::of_numbers(log, &numbers.await.unwrap()).unwrap()
    };
    let before = missing(&users.log(), &lab.postgres.as_ref().unwrap().bz).await;
    assert!(before.missing.len() >= 40, "{before:?}");
    assert!(
        before.missing.iter().all(|row| row.site == "pz"),
        "{before:?}"
    );
    let report = host.report().await.unwrap();
    let reported = report
        .pointer("/legs/0/rpo/achieved-ms")
        .and_then(Value::as_u64);
    assert!(
        before.lost_ms.unwrap().at_least <= reported.unwrap(),
        "{before:?} {reported:?}"
    );

    let running = host.run("failback", "graceful").unwrap();
    host.ends_well(running).await.unwrap();
    users.acknowledged_by("pz", 20, LIMIT).await.unwrap();
    let after = missing(&users.stop().await, &lab.postgres.as_ref().unwrap().pz).await;
    assert_eq!(
        after.missing, before.missing,
        "the way home loses nothing more"
    );
}

#[tokio::test]
async fn a_dead_site_is_restored_as_far_as_its_archive_reaches() {
    let options = Options::new(env!("CARGO_BIN_EXE_understudy-lab")).on_postgres();
    let mut lab = Lab::up(options).await.unwrap();
    let pair = lab.postgres.as_ref().unwrap();
    let provider = calls::Host::new("postgres", pair.binding(&json!({})), pair.credentials());
    let nightly = json!({ "call": "ensure-backup", "site": "pz", "database": "wordpress", "name": "nightly" });
    came(
        &provider.calls(json!([nightly])).await.answers,
        &["changed"],
    );
    let users = lab.users(PACE);
    users.acknowledged_by("pz", 200, LIMIT).await.unwrap();
    lab.postgres.as_mut().unwrap().pz.kill().unwrap();
    lab.pz.kill().unwrap();

    let host = Host::new(&lab).unwrap();
    let running = host.run("failover-restore", "ungraceful").unwrap();
    users.acknowledged_by("bz", 20, LIMIT).await.unwrap();
    // Its machine is back, and the run is spared the wait for it.
    lab.postgres.as_mut().unwrap().pz.restart().await.unwrap();
    lab.pz.restart().await.unwrap();
    host.ends_well(running).await.unwrap();
    let log = users.stop().await;
    let numbers = "SELECT number FROM posts WHERE number IS NOT NULL";
    let numbers = lab.postgres.as_ref().unwrap().bz.column(numbers).await;
    let found = audit::of_numbers(&log, &numbers.unwrap()).unwrap();
    let by_pz = log.acknowledged.iter().filter(|row| row.site == "pz");
    let survived = by_pz.count() - found.missing.len();
    assert!(
        survived > 100,
        "the archive added too little, and none was in the backup: {survived}, {found:?}"
    );
    let report = host.report().await.unwrap();
    let reported = report
        .pointer("/legs/0/rpo/achieved-ms")
        .and_then(Value::as_u64)
        .unwrap();
    if let Some(lost) = found.lost_ms {
        assert!(lost.at_least <= reported, "{lost:?}, reported {reported}");
    }
    assert!(reported < 30_000, "reported {reported} ms");
}
