//! The simulated world is held to the suites like any provider, on its own clock. It is what rehearsals believe, so what it
//! does not keep of a contract no rehearsal finds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::seam::Seam;
use super::verdict::{Came, Verdict};
use super::{Kit, header};
use crate::clock::{Clock, VirtualClock};
use crate::journal::memory::MemoryStore;
use crate::journal::redact::Redactor;
use crate::journal::{Journal, Setup, chain};
use crate::mediation::routing::Route;
use crate::name::{InterfaceName, SiteName};
use crate::rehearsal::scenario::Scenario;
use crate::rehearsal::service::SimulatedService;
use crate::rehearsal::world::World;
use crate::runbook::against::{Against, Leave, PATIENCE};

/// When the tests begin.
const LATER: Duration = Duration::from_secs(600);

/// A planned drill, in which nothing goes wrong by itself; an issuer that does not tire, and caches in front of it all.
fn scenario() -> Scenario {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../runbooks/wordpress/scenarios"
    );
    let text = std::fs::read_to_string(format!("{folder}/planned.toml")).unwrap();
    let tireless = text.replace("limit = 5\n", "limit = 1000\n");
    assert_ne!(tireless, text);
    let cached = format!("{tireless}\n[edge-cache]\nshare = 0.5\nkeeps = '10m'\n");
    Scenario::parse(&cached).unwrap()
}

/// The verdicts on one contract of the world.
fn verdicts(contract: &str, things: Value, allow: &[&str]) -> Vec<Verdict> {
    let contract: InterfaceName = format!("understudy:{contract}/{contract}@0.1.0")
        .parse()
        .unwrap();
    let scenario = scenario();
    let start = scenario.world.start;
    let sites: Vec<SiteName> = ["bz", "pz"].map(|site| site.parse().unwrap()).to_vec();
    let virtual_clock = VirtualClock::starting_at(start);
    let clock: Arc<dyn Clock> = Arc::new(virtual_clock.clone());
    let world = Arc::new(Mutex::new(World::new(&scenario, &sites, 1, start)));
    let against = Against {
        plugin: "world".parse().unwrap(),
        folder: "".into(),
        digest: String::new(),
        patience: PATIENCE,
        sites: BTreeMap::new(),
        bindings: Vec::new(),
        suites: Vec::new(),
    };
    let run = "conformance-world".parse().unwrap();
    let path = std::path::Path::new("world");
    let nobody = ("0.1.0", "tests".to_owned());
    let header = header(&run, &against, path, std::iter::empty(), nobody);
    let store = MemoryStore::new();
    let setup = Setup::inline(Arc::clone(&clock), Redactor::none());
    let journal = Journal::create(Box::new(store.clone()), setup, header).unwrap();
    let seam = Seam::opaque(Arc::clone(&clock));
    let kit = Kit {
        run,
        routes: vec![seam.around(Route {
            interface: contract.clone(),
            sites: Vec::new(),
            name: "simulated world".to_owned(),
            service: Arc::new(SimulatedService::new(world, Arc::clone(&clock))),
        })],
        clock,
        journal,
        seam,
        patience: Duration::from_secs(4 * 3_600),
    };
    let mut leave = Leave::to_touch(contract.clone(), things.as_object().unwrap().clone());
    leave.allow = allow.iter().map(|case| (*case).to_owned()).collect();
    let served = BTreeMap::from([(contract, Vec::new())]);
    let verdicts = virtual_clock.block_on(async {
        // Users have come meanwhile, so that there is something to measure.
        kit.clock.sleep_until(start.after(LATER)).await;
        kit.conform(&served, &[leave]).await
    });
    chain::read(&store.lines()).unwrap();
    verdicts.unwrap().unwrap()
}

fn nothing_failed(verdicts: &[Verdict]) {
    let failed: Vec<String> = verdicts
        .iter()
        .filter(|verdict| verdict.came == Came::Failed)
        .map(|verdict| format!("{}: {}", verdict.name(), verdict.why))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Holds the world to a suite: nothing fails, and of what lies with the world itself nothing but `untried` is left out.
fn conforms(contract: &str, things: Value, allow: &[&str], untried: &[&str]) {
    let verdicts = verdicts(contract, things, allow);
    nothing_failed(&verdicts);
    let left_out: Vec<String> = verdicts
        .iter()
        .filter(|verdict| {
            verdict.came == Came::NotRun && verdict.why != "nothing lies beneath whoever serves"
        })
        .map(|verdict| format!("{}/{}", verdict.case, verdict.check.name()))
        .collect();
    assert_eq!(left_out, untried);
}

#[test]
fn dns() {
    let things = json!({
        "name": "wp-pz.example.test", "kind": "A", "values": ["192.0.2.10"], "other-values": ["192.0.2.11"],
        "stranger-values": ["192.0.2.99"], "ttl-seconds": 300, "absent": "nobody.example.test",
        "foreign": "wp-pz.example.org",
    });
    conforms("dns", things, &[], &[]);
}

#[test]
fn workload() {
    let things = json!({
        "site": "pz", "app": "wordpress", "replicas": 2, "other-replicas": 3, "endpoint": "db.bz.example.test:3306",
        "other-endpoint": "db.pz.example.test:3306", "unknown-app": "nobody",
    });
    conforms("workload", things, &[], &[]);
}

#[test]
fn infrastructure() {
    let things = json!({ "site": "bz", "stack": "zone", "unknown-stack": "nobody" });
    conforms(
        "infrastructure",
        things,
        &["ensure-applied", "ensure-destroyed"],
        &[],
    );
}

#[test]
fn ingress() {
    let things = json!({
        "site": "pz", "app": "wordpress", "hosts": ["wp-pz.example.test"], "unknown-app": "nobody",
    });
    let controller = "ensure-controller/lost-answer";
    conforms("ingress", things, &[], &[controller]);
}

#[test]
fn certificates() {
    let things = json!({
        "site": "pz", "issuer": "production", "unknown-issuer": "nobody", "server-name": "wp-pz.example.test",
        "name": "kit", "dns-names": ["kit.example.test"], "other-dns-names": ["kat.example.test"],
        "min-valid-ms": 86_400_000, "test-name": "wp-pz.example.test",
    });
    conforms("certificates", things, &[], &[]);
}

#[test]
fn metrics() {
    let things = json!({
        "site": "pz", "objective": "error-rate", "unknown-objective": "nobody", "window-ms": 120_000,
    });
    let missed = [
        "ensure-held-missed/refused",
        "ensure-held-missed/comes-back",
    ];
    conforms("metrics", things, &[], &missed);
}

#[test]
fn notify() {
    let things = json!({ "channel": "status", "unknown-channel": "nobody" });
    conforms("notify", things, &[], &[]);
}

#[test]
fn storage() {
    let things = json!({ "site": "pz", "bucket": "media", "unknown-bucket": "nobody" });
    let synced = "ensure-synced/lost-answer";
    conforms("storage", things, &[], &[synced]);
}

#[test]
fn edge_cache() {
    let things = json!({ "host": "wp-active.example.test", "absent": "nobody.example.test" });
    conforms("edge-cache", things, &[], &[]);
}

#[test]
fn kubernetes() {
    let object = |kind: &str, api: &str, name: &str| json!({ "api-version": api, "kind": kind, "namespace": "app", "name": name });
    let manifest = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "namespace": "app", "name": "kit" }, "data": { "a": "1" } });
    let things = json!({
        "site": "pz", "object": object("ConfigMap", "v1", "kit"), "manifest": manifest.to_string(),
        "patch": r#"{"data":{"a":"2"}}"#, "absent": object("ConfigMap", "v1", "nobody"),
        "workload": object("Deployment", "apps/v1", "wordpress"), "workload-namespace": "app", "workload-selector": "app=wordpress",
        "replicas": 2, "other-replicas": 3, "condition": "Available", "values": object("Secret", "v1", "wordpress-database"),
    });
    let condition = "ensure-condition/lost-answer";
    conforms("kubernetes", things, &[], &[condition]);
}

#[test]
fn database() {
    let things = json!({
        "site": "bz", "source": "pz", "database": "wordpress", "unknown-database": "nobody",
        "migration": "2026-02-01", "restore-site": "bz", "backup-site": "pz",
    });
    let destructive = [
        "ensure-fenced",
        "ensure-promoted-back",
        "ensure-replica-of",
        "ensure-promoted",
        "ensure-restored",
        "ensure-write-probe-fenced",
        "ensure-replica-of-writer",
        "ensure-restored-unknown",
    ];
    // Not allowed is what the world lets happen, a second writer: that is the harm which rehearsals look for.
    let verdicts = verdicts("database", things, &destructive);
    nothing_failed(&verdicts);
    for case in destructive.iter().take(5) {
        let took_effect = |verdict: &&Verdict| {
            verdict.case == **case && verdict.check == super::check::Check::TakesEffect
        };
        let verdict = verdicts.iter().find(took_effect).unwrap();
        assert_eq!(verdict.came, Came::Passed, "{}", verdict.name());
    }
}
