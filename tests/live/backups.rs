//! The `mariadb` provider's backups, call by call: what a recovery point holds, what the logs add to it, and what of a damaged
//! one is refused.

use std::fs;

use anyhow::Result;
use serde_json::{Value, json};
use understudy_lab::clock::{eventually, now_ms};
use understudy_lab::lab::Lab;

use crate::calls::Host;
use crate::{LIMIT, lab};

const ROWS: &str = "SELECT COUNT(*) FROM wordpress.posts";
const POSITION: &str = "SELECT @@GLOBAL.gtid_binlog_pos";

/// A host that makes calls to the database of a lab, bound as in its overlay.
pub(crate) fn provider(lab: &Lab) -> Host {
    let overlay = lab.overlay_toml().unwrap();
    let overlay: toml::Value = toml::from_str(&overlay).unwrap();
    let bindings = serde_json::to_value(&overlay["bindings"]).unwrap();
    let database = |binding: &&Value| binding["plugin"] == "mariadb";
    let mut binding = bindings
        .as_array()
        .unwrap()
        .iter()
        .find(database)
        .unwrap()
        .clone();
    // What the runbook below the overlay says.
    binding["config"]["connections"] = json!({ "pz": "pz", "bz": "bz" });
    binding["config"]["client-connections"] = json!({ "pz": "pz-client", "bz": "bz-client" });
    Host::new("mariadb", binding, lab.credentials())
}

fn call(function: &str, site: &str) -> Value {
    json!({ "call": function, "site": site, "database": "wordpress" })
}

fn backup(site: &str, name: &str) -> Value {
    json!({ "call": "ensure-backup", "site": site, "database": "wordpress", "name": name })
}

fn restored(target: Value, token: &str) -> Value {
    json!({ "call": "ensure-restored", "site": "bz", "database": "wordpress", "target": target, "token": token })
}

fn changed() -> Value {
    json!({ "ok": "changed" })
}

fn unchanged() -> Value {
    json!({ "ok": "unchanged" })
}

async fn post(lab: &Lab, rows: u32) -> Result<()> {
    let posts = format!(
        "USE wordpress; INSERT INTO posts (title, site) SELECT 'a post''s title; -- \\\\', 'pz' FROM seq_1_to_{rows}"
    );
    lab.databases.pz.execute(&posts).await
}

/// Lets a whole second pass on the server, and answers the one that it is in then, in milliseconds.
async fn next_second(lab: &Lab) -> Result<u64> {
    let second = async || {
        let text = lab.databases.pz.value("SELECT UNIX_TIMESTAMP()").await?;
        anyhow::Ok(text.parse::<u64>()?)
    };
    let begun = second().await?;
    eventually("a second to pass", LIMIT, async || {
        let now = second().await?;
        Ok((now > begun + 1).then_some(now * 1000))
    })
    .await
}

#[tokio::test]
async fn a_backup_is_restored_as_it_was_and_with_what_the_logs_add() {
    let lab = lab().await.unwrap();
    let host = provider(&lab);
    let (pz, bz) = (&lab.databases.pz, &lab.databases.bz);
    post(&lab, 100).await.unwrap();
    let at_backup = pz.value(POSITION).await.unwrap();
    let ran = host
        .calls(json!([
            backup("pz", "nightly"),
            backup("pz", "nightly"),
            call("list-recovery-points", "bz"),
            call("observe-restorable", "bz")
        ]))
        .await;
    assert_eq!(ran.answers[..2], [changed(), unchanged()]);
    // Its server answers with its logs: everything up to now, in whole seconds.
    let reach = ran.answers[3]["ok"].as_u64().unwrap();
    assert!(
        reach % 1000 == 0 && now_ms().abs_diff(reach) < 60_000,
        "{reach}"
    );
    let points = ran.answers[2]["ok"].as_array().unwrap();
    assert_eq!(
        (points.len(), &points[0]["complete"]),
        (1, &json!(true)),
        "{points:?}"
    );
    let egress = ran.of("egress");
    let dumped = |record: &&&Value| {
        let said = |what: &str| record["body"][what].as_str().unwrap();
        said("action").contains("exec dump-pz: --single-transaction")
            && said("result").starts_with("exit code 0")
    };
    assert_eq!(egress.iter().filter(dumped).count(), 1);

    post(&lab, 50).await.unwrap();
    next_second(&lab).await.unwrap();
    let before_the_accident = next_second(&lab).await.unwrap();
    next_second(&lab).await.unwrap();
    pz.execute("DELETE FROM wordpress.posts").await.unwrap();

    let id = points[0]["id"].clone();
    let ran = host
        .calls(json!([
            restored(json!({ "point": id }), "point"),
            restored(json!({ "point": id }), "point"),
            call("observe", "bz")
        ]))
        .await;
    assert_eq!(ran.answers[..2], [changed(), unchanged()]);
    let seen = &ran.answers[2]["ok"];
    assert_eq!(
        (&seen["read_only"], &seen["position"]),
        (&json!(true), &json!(at_backup))
    );
    assert_eq!(bz.value(ROWS).await.unwrap(), "100");

    let instant = restored(json!({ "instant-ms": before_the_accident }), "instant");
    assert_eq!(host.call(instant).await, changed());
    assert_eq!(bz.value(ROWS).await.unwrap(), "150");

    let ran = host
        .calls(json!([
            restored(json!("latest"), "latest"),
            call("observe-contents", "pz"),
            call("observe-contents", "bz")
        ]))
        .await;
    assert_eq!(ran.answers[0], changed());
    assert_eq!(ran.answers[1], ran.answers[2]);
    assert_eq!(
        bz.value(POSITION).await.unwrap(),
        pz.value(POSITION).await.unwrap()
    );

    follows_without_a_copy(&lab, &host).await;
}

async fn follows_without_a_copy(lab: &Lab, host: &Host) {
    let (pz, bz) = (&lab.databases.pz, &lab.databases.bz);
    // It stands where its source stands: a replica without a copy.
    let follows = json!({ "call": "ensure-replica-of", "site": "bz", "database": "wordpress", "source": "pz" });
    assert_eq!(host.call(follows).await, changed());
    post(lab, 7).await.unwrap();
    bz.applied(&pz.position().await.unwrap(), LIMIT)
        .await
        .unwrap();
    assert_eq!(bz.value(ROWS).await.unwrap(), "7");
}

#[tokio::test]
async fn what_cannot_be_restored_is_refused_with_the_reason() {
    let lab = lab().await.unwrap();
    let host = provider(&lab);
    let bz = &lab.databases.bz;
    post(&lab, 10).await.unwrap();
    let err = async |call: Value, kind: &str| refused(&host, call, kind).await;
    err(restored(json!("latest"), "none"), "not-found").await;
    assert_eq!(host.call(backup("pz", "nightly")).await, changed());
    let second = next_second(&lab).await.unwrap();
    for (instant_ms, words) in [
        (second - 3_600_000, "old enough"),
        (second + 3_600_000, "the logs reach"),
    ] {
        let text = err(
            restored(json!({ "instant-ms": instant_ms }), "instant"),
            "not-found",
        )
        .await;
        assert!(text.contains(words), "{text}");
    }
    err(restored(json!({ "point": "other" }), "other"), "not-found").await;
    // Nothing of that has touched what bz has.
    let replica = bz.replica_status().await.unwrap();
    assert!(replica.is_some());
    assert_eq!(bz.value(ROWS).await.unwrap(), "10");

    let dump = lab.databases.backups.join("nightly.sql");
    let mut bytes = fs::read(&dump).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&dump, bytes).unwrap();
    let damaged = err(
        restored(json!({ "point": "nightly" }), "damaged"),
        "conflict",
    )
    .await;
    assert!(damaged.contains("CP0038"), "{damaged}");
    let promote = err(call("ensure-promoted", "bz"), "conflict").await;
    assert!(promote.contains("unfinished restore"), "{promote}");

    a_broken_dump_is_no_recovery_point(&lab, &host).await;
    a_good_one_mends_the_site(&lab, &host).await;
}

/// What the provider says where it has to refuse.
#[expect(
    clippy::panic,
    reason = "part of a test: an answer of another kind must end it"
)]
async fn refused(host: &Host, call: Value, kind: &str) -> String {
    let answer = host.call(call).await;
    let text = answer["err"][kind].as_str();
    text.unwrap_or_else(|| panic!("no {kind}: {answer}"))
        .to_owned()
}

async fn a_broken_dump_is_no_recovery_point(lab: &Lab, host: &Host) {
    fs::write(
        lab.databases.backups.join("broken.sql"),
        "-- MariaDB dump\n",
    )
    .unwrap();
    let points = host.call(call("list-recovery-points", "bz")).await;
    let complete = |point: &Value| (point["id"].clone(), point["complete"].clone());
    let mut points: Vec<_> = points["ok"]
        .as_array()
        .unwrap()
        .iter()
        .map(complete)
        .collect();
    points.sort_by_key(|(id, _)| id.to_string());
    assert_eq!(
        points,
        [
            (json!("broken"), json!(false)),
            (json!("nightly"), json!(true))
        ]
    );
    let broken = restored(json!({ "point": "broken" }), "broken");
    refused(host, broken, "not-found").await;
}

async fn a_good_one_mends_the_site(lab: &Lab, host: &Host) {
    let bz = &lab.databases.bz;
    assert_eq!(host.call(backup("pz", "again")).await, changed());
    let ran = host
        .calls(json!([
            restored(json!("latest"), "again"),
            call("ensure-fenced", "pz"),
            call("ensure-promoted", "bz")
        ]))
        .await;
    assert!(
        ran.answers.iter().all(|answer| answer["ok"] == "changed"),
        "{:?}",
        ran.answers
    );
    assert_eq!(bz.value(ROWS).await.unwrap(), "10");
    let writes = refused(host, restored(json!("latest"), "writer"), "conflict").await;
    assert!(writes.contains("accepts writes"), "{writes}");
}
