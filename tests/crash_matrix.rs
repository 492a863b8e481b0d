//! The host dies after every single record of the wordpress drill, and each time another host takes the run over.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test: what does not hold must end it"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use understudy::call::CallSite;
use understudy::clock::{Instant, VirtualClock};
use understudy::journal::chain;
use understudy::journal::memory::MemoryStore;
use understudy::journal::record::{Entry, Mode, Record};
use understudy::plugin::{Engines, build};
use understudy::prepare::{Order, prepare};
use understudy::rehearsal::driver::{Rehearsal, Rehearsed, Switches};
use understudy::rehearsal::scenario::Scenario;
use understudy::run::state::StepState;
use understudy::runbook::types::Runbook;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// The drill, with these lines added to its scenario.
fn drill(added: &str) -> Rehearsal {
    let engines = Engines::new(Some(root().join("target/understudy-cache"))).unwrap();
    let strategies = ["replica", "restore", "failback", "standby"]
        .map(|name| root().join("plugins/strategies").join(name));
    build::build(&engines, &strategies, None).unwrap();
    let runbook = Runbook::load(&root().join("runbooks/wordpress/runbook.toml"), &[]).unwrap();
    let scenario = runbook.folder.join("scenarios/primary-lost.toml");
    let scenario = std::fs::read_to_string(scenario).unwrap() + added;
    let order = Order {
        procedure: vec!["replica".parse().unwrap(), "failback".parse().unwrap()],
        mode: Mode::Ungraceful,
        run: "crash-matrix".parse().unwrap(),
        started_by: "tester".to_owned(),
    };
    let preparing = prepare(&engines, Arc::new(runbook), order);
    Rehearsal {
        prepared: VirtualClock::starting_at(Instant(0))
            .block_on(preparing)
            .unwrap()
            .unwrap(),
        scenario: Arc::new(Scenario::parse(&scenario).unwrap()),
        seed: 1,
        runbook_path: "runbook.toml".to_owned(),
        overlays: Vec::new(),
        scenario_name: "primary-lost".to_owned(),
        host_version: "test".to_owned(),
    }
}

/// What must be the same however often the host died.
#[derive(Debug, PartialEq)]
struct Essence {
    states: BTreeMap<String, StepState>,
    marks: Vec<String>,
    measurements: BTreeMap<String, String>,
    /// What every call was told, by its place in the run.
    replies: BTreeMap<CallSite, String>,
}

fn essence(entries: &[Entry]) -> Essence {
    let mut essence = Essence {
        states: BTreeMap::new(),
        marks: Vec::new(),
        measurements: BTreeMap::new(),
        replies: BTreeMap::new(),
    };
    let mut keys = BTreeMap::new();
    for entry in entries {
        match &entry.record {
            Record::StepChanged { step, to, .. } => {
                essence.states.insert(step.to_string(), *to);
            }
            Record::Marked { name, site, .. } => essence.marks.push(format!("{name} {site:?}")),
            Record::Measured {
                step,
                name,
                quantity,
            } => {
                essence
                    .measurements
                    .insert(format!("{step} {name}"), quantity.to_string());
            }
            Record::Intent { key, site, .. } => {
                let known = keys.insert(key.clone(), site.clone());
                assert_eq!(known, None, "two intents under one key: {site:?}");
            }
            Record::Outcome { site, reply, .. } => {
                let known = essence.replies.insert(site.clone(), format!("{reply:?}"));
                assert_eq!(known, None, "two outcomes of one call: {site:?}");
            }
            _ => {}
        }
    }
    essence.marks.sort();
    essence
}

/// Cuts the drill off after so many records, each time has another host take it over, and compares.
fn cut_and_resume(drill: &Rehearsal, whole: &Rehearsed, expected: &Essence, cuts: &[u64]) {
    let store = MemoryStore::new();
    let mut known = Vec::new();
    for cut in cuts {
        let switches = Switches {
            cut_after: Some(*cut),
            cut_when: None,
            on_append: None,
        };
        let store = Box::new(store.clone());
        let cut_off = if known.is_empty() {
            drill.begin(store.clone(), switches)
        } else {
            drill.resume(store.clone(), &known, switches)
        };
        assert!(cut_off.is_err(), "record {cut} was not the last");
        (known, _) = chain::read(&store.lines()).unwrap();
        assert_eq!(u64::try_from(known.len()).unwrap(), *cut);
    }
    let cut = format!("{cuts:?}");
    let resumed = drill
        .resume(Box::new(store), &known, Switches::default())
        .unwrap_or_else(|error| panic!("cut after {cut}: {error}"));
    assert_eq!(resumed.ended, whole.ended, "cut after {cut}");
    assert!(
        resumed.missed.is_empty(),
        "cut after {cut}: {:?}",
        resumed.missed
    );
    assert!(
        resumed.broken.is_empty(),
        "cut after {cut}: {:?}",
        resumed.broken
    );
    let found = essence(&resumed.entries);
    assert_eq!(found.states, expected.states, "cut after {cut}");
    assert_eq!(found.marks, expected.marks, "cut after {cut}");
    // What was known when the host died is what is known at the end; time goes on differently after it.
    let before = essence(&known);
    for (name, value) in &before.measurements {
        assert_eq!(
            Some(value),
            found.measurements.get(name),
            "cut after {cut}: {name}"
        );
    }
    for (site, reply) in &before.replies {
        assert_eq!(
            Some(reply),
            found.replies.get(site),
            "cut after {cut}: {site:?}"
        );
    }
}

/// All of these, on every core.
fn cut_all(drill: &Rehearsal, deaths: impl Fn(u64) -> Vec<Vec<u64>>) {
    let whole = drill
        .begin(Box::new(MemoryStore::new()), Switches::default())
        .unwrap();
    let expected = essence(&whole.entries);
    // After the first record there is a run; the last two are its ending and what clients saw of it.
    let deaths = deaths(u64::try_from(whole.entries.len()).unwrap() - 2);
    let threads = std::thread::available_parallelism().unwrap().get();
    std::thread::scope(|scope| {
        for lane in 0..threads {
            let (whole, expected, deaths) = (&whole, &expected, &deaths);
            scope.spawn(move || {
                for cuts in deaths.iter().skip(lane).step_by(threads) {
                    cut_and_resume(drill, whole, expected, cuts);
                }
            });
        }
    });
}

#[test]
fn a_run_that_dies_after_any_record_ends_as_if_it_had_not() {
    cut_all(&drill(""), |end| (1..end).map(|cut| vec![cut]).collect());
}

#[test]
fn a_run_that_dies_twice_ends_as_if_it_had_not_though_its_calls_were_refused_at_first() {
    const THROTTLED: [&str; 4] = [
        "workload/ensure-maintenance",
        "dns/ensure-record",
        "database/ensure-promoted",
        "ingress/ensure-exposed",
    ];
    let throttle = |call: &str| {
        format!(
            "\n[[faults]]\ncall = \"{call}\"\nnth = 1\nattempts = 1\nkind = \"throttle\"\nby = \"30s\"\n"
        )
    };
    let throttles: String = THROTTLED.map(throttle).concat();
    // The second death is well after the first, so that what the first left undone has been built on.
    cut_all(&drill(&throttles), |end| {
        let pairs = 1..end / 3;
        pairs.map(|cut| vec![cut, cut + end / 3]).collect()
    });
}
