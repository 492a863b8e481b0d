//! The shipped drills, from their files: `make plugins` builds and locks their plugins.

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
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// With compiled plugins cached.
pub(crate) fn engines() -> Engines {
    Engines::new(Some(root().join("target/understudy-cache"))).unwrap()
}

/// A drill of the runbook for WordPress.
pub(crate) struct Drill {
    /// Files beside it.
    pub(crate) overlays: &'static [&'static str],
    /// In order.
    pub(crate) strategies: &'static [&'static str],
    /// By name.
    pub(crate) scenario: &'static str,
}

/// `--procedure drill --scenario primary-lost`: out by A, and home.
pub(crate) const OUT_AND_HOME: Drill = Drill {
    overlays: &[],
    strategies: &["replica", "failback"],
    scenario: "primary-lost",
};

fn runbook(drill: &Drill) -> Runbook {
    let path = root().join("runbooks/wordpress/runbook.toml");
    let overlays = drill.overlays.iter();
    let overlays: Vec<PathBuf> = overlays.map(|name| path.with_file_name(name)).collect();
    let overlays: Vec<&Path> = overlays.iter().map(PathBuf::as_path).collect();
    let mut runbook = Runbook::load(&path, &overlays).unwrap();
    Lock::load(&path)
        .unwrap()
        .fill(&mut runbook, &path)
        .unwrap();
    runbook
}

/// A drill, from its files: what every command begins with.
pub(crate) fn prepared(engines: &Engines, drill: &Drill) -> Prepared {
    let strategies = drill.strategies.iter();
    let order = Order {
        procedure: strategies.map(|name| name.parse().unwrap()).collect(),
        mode: Mode::Ungraceful,
        run: "benchmark".parse().unwrap(),
        started_by: "benchmark".to_owned(),
    };
    let preparing = prepare(engines, Arc::new(runbook(drill)), order);
    VirtualClock::starting_at(Instant(0))
        .block_on(preparing)
        .unwrap()
        .unwrap()
}

/// `understudy rehearse runbooks/wordpress/runbook.toml` of a drill.
pub(crate) fn rehearsal(engines: &Engines, drill: &Drill) -> Rehearsal {
    let prepared = prepared(engines, drill);
    let scenario = format!("scenarios/{}.toml", drill.scenario);
    let scenario = prepared.runbook.folder.join(scenario);
    Rehearsal {
        scenario: Arc::new(Scenario::parse(&std::fs::read_to_string(scenario).unwrap()).unwrap()),
        prepared,
        seed: 1,
        runbook_path: String::new(),
        overlays: Vec::new(),
        scenario_name: drill.scenario.to_owned(),
        host_version: "benchmark".to_owned(),
    }
}
