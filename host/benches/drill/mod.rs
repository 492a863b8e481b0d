//! The shipped drill, from its files: `make plugins` builds and locks its plugins.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use understudy::clock::{Instant, VirtualClock};
use understudy::journal::record::Mode;
use understudy::plugin::Engines;
use understudy::prepare::{Order, Prepared, prepare};
use understudy::rehearsal::driver::Rehearsal;
use understudy::rehearsal::scenario::Scenario;
use understudy::runbook::lock::Lock;
use understudy::runbook::types::Runbook;

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// With compiled plugins cached.
pub fn engines() -> Engines {
    Engines::new(Some(root().join("target/understudy-cache"))).unwrap()
}

fn runbook() -> Runbook {
    let path = root().join("runbooks/wordpress/runbook.toml");
    let mut runbook = Runbook::load(&path, &[]).unwrap();
    Lock::load(&path)
        .unwrap()
        .fill(&mut runbook, &path)
        .unwrap();
    runbook
}

/// The drill, from its files: what every command begins with.
pub fn prepared(engines: &Engines) -> Prepared {
    let order = Order {
        procedure: vec!["replica".parse().unwrap(), "failback".parse().unwrap()],
        mode: Mode::Ungraceful,
        run: "benchmark".parse().unwrap(),
        started_by: "benchmark".to_owned(),
    };
    let preparing = prepare(engines, Arc::new(runbook()), order);
    VirtualClock::starting_at(Instant(0))
        .block_on(preparing)
        .unwrap()
        .unwrap()
}

/// `understudy rehearse runbooks/wordpress/runbook.toml --procedure drill --scenario primary-lost`.
pub fn rehearsal(engines: &Engines) -> Rehearsal {
    let prepared = prepared(engines);
    let scenario = prepared.runbook.folder.join("scenarios/primary-lost.toml");
    Rehearsal {
        scenario: Arc::new(Scenario::parse(&std::fs::read_to_string(scenario).unwrap()).unwrap()),
        prepared,
        seed: 1,
        runbook_path: String::new(),
        overlays: Vec::new(),
        scenario_name: "primary-lost".to_owned(),
        host_version: "benchmark".to_owned(),
    }
}
