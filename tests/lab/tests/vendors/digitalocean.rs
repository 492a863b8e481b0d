//! The `digitalocean` provider against the stand-in: without SQL, where no connection is bound and no server runs, and with
//! real servers behind it.

use serde_json::{Value, json};
use understudy_lab::vendor::digitalocean::{
    CREATE, DESTROY, Digitalocean, FIREWALL, LIST, PASSWORD, PROMOTE, REPLICATE,
};
use understudy_lab::vendor::{Answer, Standin, Trouble};

use crate::host::Host;
use crate::token;

const PZ: &str = "wordpress-pz";
const BZ: &str = "wordpress-bz";
const BACKUPS: [&str; 2] = ["2026-11-19T18:42:27Z", "2026-11-20T18:42:29Z"];

struct Stage {
    vendor: Standin<Digitalocean>,
    host: Host,
    _folder: tempfile::TempDir,
}

/// A cluster at `pz` that lets everybody in, with two backups.
async fn stage(may_destroy: bool) -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let mut account = Digitalocean::new();
    account.add_cluster(PZ, "fra1", &BACKUPS).unwrap();
    account.add_cluster("reports", "nyc3", &BACKUPS).unwrap();
    let vendor = Standin::start(folder.path(), account).await.unwrap();
    let binding = binding(&vendor, may_destroy);
    let host = Host::new("digitalocean", binding, token(vendor.token()));
    Stage {
        vendor,
        host,
        _folder: folder,
    }
}

fn binding(vendor: &Standin<Digitalocean>, may_destroy: bool) -> Value {
    let spec = |name: &str, region: &str| {
        json!({ "name": name, "region": region, "size": "db-s-1vcpu-1gb",
            "trusted-sources": [{ "type": "tag", "value": name }] })
    };
    let grant = format!("{}/v2/databases", vendor.url());
    json!({
        "contract": "understudy:database/database@0.1.0",
        "config": {
            "server": vendor.url(),
            "clusters": { "pz": spec(PZ, "fra1"), "bz": spec(BZ, "ams3") },
            "may-destroy": may_destroy,
            "poll-after-ms": 250,
        },
        "credentials": { "api": { "env": "TOKEN", "scheme": "bearer" } },
        "http": [{ "methods": ["GET", "POST", "PUT", "DELETE"], "url": grant, "private": true }],
        "trust": [vendor.root()],
    })
}

impl Stage {
    fn lets_in(&self, name: &str) -> Vec<String> {
        self.vendor.state(|account| account.lets_in(name))
    }

    fn names(&self) -> Vec<String> {
        self.vendor.state(|account| account.names())
    }

    /// Everything kept to the document, and every trouble was met.
    fn ends(&self) {
        assert_eq!(self.vendor.violations(), Vec::<String>::new());
        assert_eq!(self.vendor.unmet(), 0, "a trouble was never met");
    }
}

fn call(function: &str, site: &str) -> Value {
    json!({ "call": function, "site": site, "database": "wordpress" })
}

fn replica_of(site: &str, source: &str) -> Value {
    json!({ "call": "ensure-replica-of", "site": site, "database": "wordpress", "source": source })
}

fn restored(target: &Value, token: &str) -> Value {
    json!({ "call": "ensure-restored", "site": "bz", "database": "wordpress", "target": target, "token": token })
}

/// Role, and whether it is read-only.
fn seen(answer: &Value) -> (&str, bool) {
    let found = &answer["ok"];
    (
        found["role"].as_str().unwrap_or_default(),
        found["read_only"].as_bool().unwrap_or_default(),
    )
}

fn changed() -> Value {
    json!({ "ok": "changed" })
}

fn unchanged() -> Value {
    json!({ "ok": "unchanged" })
}

#[tokio::test]
async fn a_replica_is_made_once_and_found_again() {
    let stage = stage(false).await;
    let ran = stage
        .host
        .calls(json!([
            call("observe", "pz"),
            call("observe", "bz"),
            call("ensure-promoted", "bz"),
            replica_of("bz", "pz"),
            replica_of("bz", "pz"),
            call("observe", "bz"),
        ]))
        .await;
    assert_eq!(seen(&ran.answers[0]), ("Primary", false));
    assert_eq!(
        ran.answers[0]["ok"]["endpoint"],
        "private-wordpress-pz-do-user-1-0.db.ondigitalocean.com:25060"
    );
    assert_eq!(seen(&ran.answers[1]).0, "Absent");
    assert!(ran.answers[2]["err"]["not-found"].is_string());
    assert_eq!(ran.answers[3..5], [changed(), unchanged()]);
    assert_eq!(seen(&ran.answers[5]), ("Replica", true));
    assert_eq!(ran.answers[5]["ok"]["replication"]["source"], PZ);
    assert_eq!(stage.vendor.served(REPLICATE), 1);
    assert!(ran.of("waiting").len() >= 2, "what is slow was waited for");
    stage.ends();
}

#[tokio::test]
async fn a_replica_is_promoted_behind_a_closed_door_and_takes_over() {
    let stage = stage(false).await;
    let ran = stage
        .host
        .calls(json!([
            replica_of("bz", "pz"),
            call("ensure-promoted", "bz"),
            call("ensure-fenced", "pz"),
            call("ensure-fenced", "pz"),
            call("observe", "pz"),
            call("ensure-promoted", "bz"),
            call("ensure-promoted", "bz"),
            call("observe", "bz"),
        ]))
        .await;
    let conflict = |at: usize| ran.answers[at]["err"]["conflict"].as_str().unwrap();
    let beside = conflict(1);
    assert!(beside.contains("pz accepts writes; fence it"), "{beside}");
    for at in [2, 3] {
        let unproved = conflict(at);
        assert!(unproved.contains("may still write"), "{unproved}");
    }
    assert_eq!(seen(&ran.answers[4]), ("Primary", true), "closed");
    assert_eq!(ran.answers[5..7], [changed(), unchanged()]);
    assert_eq!(seen(&ran.answers[7]), ("Primary", false));

    // A promoted replica lets everybody in until it is told.
    assert_eq!(stage.lets_in(PZ), ["ip_addr:192.0.2.1"]);
    assert_eq!(stage.lets_in(BZ), ["tag:wordpress-bz"]);
    assert_eq!(stage.vendor.served(PROMOTE), 1);
    assert_eq!(stage.vendor.served(FIREWALL), 2);
    stage.ends();
}

#[tokio::test]
async fn no_password_of_an_answer_is_written_down() {
    let stage = stage(false).await;
    let ran = stage
        .host
        .calls(json!([call("observe", "pz"), replica_of("bz", "pz")]))
        .await;
    assert!(
        stage
            .vendor
            .state(|account| account.cluster(PZ).to_string())
            .contains(PASSWORD)
    );
    assert!(!Value::from(ran.records).to_string().contains(PASSWORD));
    stage.ends();
}

#[tokio::test]
async fn answers_that_are_lost_are_looked_for_and_nothing_is_made_twice() {
    let stage = stage(false).await;
    stage.vendor.will(REPLICATE, Trouble::AnswerLost);
    stage.vendor.will(PROMOTE, Trouble::AnswerLost);
    stage.vendor.will(FIREWALL, Trouble::AnswerLost);
    let ran = stage
        .host
        .calls(json!([
            replica_of("bz", "pz"),
            call("ensure-fenced", "pz"),
            call("ensure-promoted", "bz"),
        ]))
        .await;
    assert_eq!((&ran.answers[0], &ran.answers[2]), (&changed(), &changed()));
    assert_eq!(ran.of("retried").len(), 3);
    assert_eq!(
        (stage.vendor.served(REPLICATE), stage.vendor.served(PROMOTE)),
        (1, 1)
    );
    assert_eq!(stage.names(), [PZ, "reports", BZ]);
    stage.ends();

    let stage = self::stage(false).await;
    stage.vendor.will(CREATE, Trouble::AnswerLost);
    let answer = stage.host.call(restored(&json!("latest"), "run-1")).await;
    assert_eq!(answer, changed());
    assert_eq!(stage.vendor.served(CREATE), 1);
    assert_eq!(stage.names(), [PZ, "reports", BZ]);
    stage.ends();
}

#[tokio::test]
async fn a_backup_is_restored_into_a_new_fenced_cluster() {
    let stage = stage(false).await;
    let points = stage.host.call(call("list-recovery-points", "bz")).await;
    let ids: Vec<&str> = points["ok"]
        .as_array()
        .unwrap()
        .iter()
        .map(|point| point["id"].as_str().unwrap())
        .collect();
    assert_eq!(
        ids,
        [
            format!("{PZ}@{}", BACKUPS[1]),
            format!("{PZ}@{}", BACKUPS[0])
        ]
    );
    assert_eq!(points["ok"][0]["taken_at_ms"], 1_795_200_149_000_u64);

    let point = json!({ "point": ids[1] });
    let ran = stage
        .host
        .calls(json!([
            restored(
                &json!({ "point": format!("{PZ}@2020-01-01T00:00:00Z") }),
                "run-1"
            ),
            restored(&json!({ "instant-ms": 1_000_000_000_000_u64 }), "run-1"),
            restored(&point, "run-1"),
            restored(&point, "run-1"),
            call("observe", "bz"),
            restored(&json!("latest"), "run-2"),
        ]))
        .await;
    for at in [0, 1] {
        assert!(
            ran.answers[at]["err"]["not-found"].is_string(),
            "{}",
            ran.answers[at]
        );
    }
    assert_eq!(
        (&ran.answers[2], &ran.answers[3]),
        (&changed(), &unchanged())
    );
    assert_eq!(ran.answers[4]["ok"]["read_only"], true);
    let kept = ran.answers[5]["err"]["conflict"].as_str().unwrap();
    assert!(kept.contains("may-destroy"), "{kept}");
    assert_eq!(stage.lets_in(BZ), ["ip_addr:192.0.2.1"]);
    let asked = stage.vendor.state(|account| account.cluster(BZ));
    assert_eq!(
        asked["backup_restore"],
        json!({ "database_name": PZ, "backup_created_at": BACKUPS[0] })
    );
    assert_eq!(stage.vendor.served(CREATE), 1);
    stage.ends();
}

#[tokio::test]
async fn another_restore_replaces_what_is_fenced_where_that_is_allowed() {
    let stage = stage(true).await;
    let ran = stage
        .host
        .calls(json!([
            restored(&json!("latest"), "run-1"),
            restored(&json!({ "instant-ms": 1_795_200_150_000_u64 }), "run-2"),
            restored(&json!("latest"), "run-2"),
        ]))
        .await;
    assert_eq!(ran.answers, [changed(), changed(), unchanged()]);
    let asked = stage.vendor.state(|account| account.cluster(BZ));
    assert_eq!(
        asked["backup_restore"]["backup_created_at"],
        "2026-11-20T18:42:30Z"
    );
    assert_eq!(
        (stage.vendor.served(CREATE), stage.vendor.served(DESTROY)),
        (2, 1)
    );
    assert_eq!(stage.names(), [PZ, "reports", BZ]);
    stage.ends();
}

#[tokio::test]
async fn the_way_back_destroys_what_is_fenced_and_never_a_writer() {
    let failover = json!([
        replica_of("bz", "pz"),
        replica_of("pz", "bz"),
        call("ensure-fenced", "pz"),
        call("ensure-promoted", "bz"),
        replica_of("pz", "bz"),
        call("observe", "pz"),
    ]);
    for may_destroy in [false, true] {
        let stage = stage(may_destroy).await;
        let ran = stage.host.calls(failover.clone()).await;
        assert_eq!(ran.answers[3], changed());
        let early = ran.answers[1]["err"]["conflict"].as_str().unwrap();
        assert!(early.contains("promote bz first"), "{early}");
        if may_destroy {
            assert_eq!(ran.answers[4], changed());
            assert_eq!(ran.answers[5]["ok"]["role"], "Replica");
            assert_eq!(stage.names(), ["reports", BZ]);
            assert_eq!(stage.vendor.state(|account| account.replicas_of(BZ)), [PZ]);
            // Both ways round a writer stays.
            let refused = stage.host.call(restored(&json!("latest"), "run-1")).await;
            assert!(refused["err"].is_object(), "{refused}");
            assert_eq!(stage.names(), ["reports", BZ]);
        } else {
            let kept = ran.answers[4]["err"]["conflict"].as_str().unwrap();
            assert!(kept.contains("may-destroy"), "{kept}");
            assert_eq!(stage.names(), [PZ, "reports", BZ]);
        }
        assert_eq!(stage.vendor.served(DESTROY), usize::from(may_destroy));
        stage.ends();
    }
}

#[tokio::test]
async fn throttles_are_waited_for_and_refusals_told_in_the_vendors_words() {
    let stage = stage(false).await;
    stage
        .vendor
        .will(LIST, Trouble::Throttled { after_seconds: 1 });
    let ran = stage.host.calls(json!([call("observe", "pz")])).await;
    assert!(ran.answers[0]["ok"].is_object(), "{}", ran.answers[0]);
    let error = &ran.of("retried")[0]["body"]["error"]["unavailable"];
    assert_eq!(error["after-ms"], 1000);
    assert!(
        error["reason"]
            .as_str()
            .unwrap()
            .contains("too_many_requests"),
        "{error}"
    );

    let body =
        json!({ "id": "unprocessable_entity", "message": "size is not available in this region" });
    stage
        .vendor
        .will(REPLICATE, Trouble::Refused(Answer::new(422, body)));
    let answer = stage.host.call(replica_of("bz", "pz")).await;
    let text = answer["err"]["invalid"].as_str().unwrap();
    assert!(
        text.contains("unprocessable_entity: size is not available in this region"),
        "{text}"
    );

    let host = Host::new(
        "digitalocean",
        binding(&stage.vendor, false),
        token("not-the-token"),
    );
    let answer = host.call(call("observe", "pz")).await;
    let text = answer["err"]["invalid"].as_str().unwrap();
    assert!(
        text.contains("unauthorized") && text.contains("check the credential"),
        "{text}"
    );
    let answer = stage
        .host
        .call(
            json!({ "call": "ensure-backup", "site": "pz", "database": "wordpress", "name": "a" }),
        )
        .await;
    assert!(
        answer["err"]["invalid"]
            .as_str()
            .unwrap()
            .contains("none on request")
    );
    stage.ends();
}
