//! `understudy plan` with the times a plan is likely to take, as a user sees them.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test: what does not hold must end it"
)]

use std::sync::Arc;

use serde_json::Value;
use stage::{Stage, text};
use understudy::clock::{Clock as _, VirtualClock};
use understudy::journal::record::{Entry, Record, Stage as Kind};
use understudy::journal::redact::Redactor;
use understudy::journal::runs::Runs;
use understudy::journal::sqlite::{SqliteOptions, SqliteStore};
use understudy::journal::{Durability, Journal, Setup};
use understudy::name::RunId;

#[path = "support/shipped.rs"]
mod shipped;
#[path = "support/stage.rs"]
mod stage;

const DRILL: [&str; 4] = ["plan", "runbook.toml", "--procedure", "drill"];

fn estimate(stage: &Stage, more: &[&str]) -> Value {
    let output = stage.run(&[&DRILL, more, &["-o", "json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    plan["estimate"].clone()
}

/// Rehearses the drill and answers with its journal.
fn rehearsed(stage: &Stage, seed: &str) -> Vec<Entry> {
    let args = [
        "rehearse",
        "runbook.toml",
        "--scenario",
        "primary-lost",
        "--seed",
        seed,
    ];
    let output = stage.run(&args);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    understudy::journal::import(&stage.journal()).unwrap().0
}

/// Writes the same records as the journal of a live run.
fn as_live(stage: &Stage, run: &RunId, entries: &[Entry]) {
    let folder = Runs::in_folder(stage.path("runs")).create(run).unwrap();
    let store = SqliteStore::create(&folder, SqliteOptions::default()).unwrap();
    let Record::RunStarted(header) = &entries[0].record else {
        unreachable!("a journal begins with its header")
    };
    let mut header = header.as_ref().clone();
    header.stage = Kind::Live;
    header.run = run.clone();
    let clock = VirtualClock::starting_at(entries[0].at);
    let setup = Setup::inline(Arc::new(clock.clone()), Redactor::none());
    let journal = Journal::create(Box::new(store), setup, header).unwrap();
    for entry in &entries[1..] {
        let written = clock.block_on(async {
            clock.sleep_until(entry.at).await;
            journal
                .append(entry.record.clone(), Durability::Durable)
                .await
        });
        written.unwrap().unwrap();
    }
}

#[test]
fn a_plan_shows_what_it_takes_from_rehearsals() {
    let stage = shipped::edited(|text| text).locked();
    let found = estimate(&stage, &["--rehearsals", "5"]);
    assert_eq!(found["from"], "5 rehearsals of primary-lost");
    let leg = &found["legs"][0];
    let (shortest, longest) = (
        leg["rto"]["min-ms"].as_u64().unwrap(),
        leg["rto"]["max-ms"].as_u64().unwrap(),
    );
    assert!(shortest < longest, "five seeds are not one");
    let path = leg["critical-path"].as_array().unwrap();
    let last = path.last().unwrap();
    assert_eq!(last["step"], "replica/validate-public");
    for pair in path.windows(2) {
        let ends = pair[0]["begins-ms"].as_u64().unwrap() + pair[0]["adds-ms"].as_u64().unwrap();
        assert_eq!(pair[1]["begins-ms"].as_u64(), Some(ends), "{pair:?}");
    }

    // The same seeds, rehearsed one by one, report recovery times within the range.
    let entries = rehearsed(&stage, "3");
    let figures = understudy::report::Figures::of(&entries).unwrap();
    let reported = figures.legs[0].rto.achieved_ms.unwrap();
    let near = |ms: u64| ms / 50;
    assert!(
        reported + near(reported) >= shortest && reported <= longest + near(longest),
        "{reported} is not within {shortest} and {longest}"
    );

    let shown = stage.run(&DRILL);
    let shown = text(&shown.stdout);
    assert!(shown.contains("estimated from 20 rehearsals of primary-lost"));
    assert!(
        shown.contains("critical path until clients are served, replica"),
        "{shown}"
    );
    assert_eq!(estimate(&stage, &["--estimate-from", "none"]), Value::Null);
}

#[test]
fn past_live_runs_say_more_than_rehearsals() {
    let stage = shipped::edited(|text| text).locked();
    let past = ["--estimate-from", "past"];
    let none = stage.run(&[&DRILL[..], &past].concat());
    assert_eq!(none.status.code(), Some(2));
    let said = text(&none.stderr);
    assert!(
        said.contains("no ungraceful live run of `wordpress`")
            && said.contains("--estimate-from SCENARIO"),
        "{said}"
    );

    let entries = rehearsed(&stage, "1");
    as_live(
        &stage,
        &"20260101t000000z-wordpress-aaaa".parse().unwrap(),
        &entries,
    );
    let found = estimate(&stage, &[]);
    assert_eq!(found["from"], "1 past live run");
    let figures = understudy::report::Figures::of(&entries).unwrap();
    for (leg, seen) in found["legs"].as_array().unwrap().iter().zip(&figures.legs) {
        let (estimated, seen) = (
            leg["rto"]["p50-ms"].as_u64().unwrap(),
            seen.rto.achieved_ms.unwrap(),
        );
        // The plan is the one that ran, so its one course is that run.
        assert!(estimated.abs_diff(seen) <= 1, "{estimated} and {seen}");
    }
    // In another mode nothing has run.
    let graceful = estimate(&stage, &["--mode", "graceful", "--rehearsals", "1"]);
    assert_ne!(graceful["from"], "1 past live run");
}

#[test]
fn the_scenario_says_what_is_planned_where_the_command_line_does_not() {
    let stage = shipped::edited(|text| text).locked();
    let args = [
        "plan",
        "runbook.toml",
        "--estimate-from",
        "planned",
        "--rehearsals",
        "1",
        "-o",
        "json",
    ];
    let output = stage.run(&args);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    let steps = plan["steps"].as_array().unwrap();
    assert!(!steps.is_empty());
    let unknown = stage.run(&["plan", "runbook.toml", "--estimate-from", "nowhere"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("nowhere"));
}
