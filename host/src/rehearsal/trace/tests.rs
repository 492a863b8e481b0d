//! Every rule is kept by a run that did nothing wrong and broken by one thing gone wrong.

use std::time::Duration;

use super::*;
use crate::journal::record::Record;
use crate::report::fixture::stories;

const SCENARIO: &str = include_str!("../../../../runbooks/wordpress/scenarios/primary-lost.toml");

/// A run with what a test may spoil.
struct Case {
    entries: Vec<Entry>,
    plan: Plan,
    scenario: Scenario,
    truth: Truth,
    seen: Vec<Sighting>,
    ending: Ending,
}

impl Case {
    fn new() -> Self {
        let entries = stories::failover_and_failback();
        let Some(Record::RunStarted(header)) = entries.first().map(|entry| &entry.record) else {
            panic!("a journal begins with its header");
        };
        Self {
            plan: header.plan.clone(),
            scenario: Scenario::parse(SCENARIO).unwrap(),
            truth: Truth {
                rto: Some(Duration::from_secs(500)),
                ..Truth::default()
            },
            seen: Vec::new(),
            ending: Ending::Recovered,
            entries,
        }
    }

    fn figure(mut self, name: &str, value: f64) -> Self {
        self.truth.figures.insert(name.to_owned(), value);
        self
    }

    fn codes(&self) -> Vec<&'static str> {
        let trace = Trace {
            entries: &self.entries,
            plan: &self.plan,
            scenario: &self.scenario,
            truth: &self.truth,
            seen: &self.seen,
            rpo_target_ms: 300_000,
            ending: self.ending,
        };
        broken(&trace).iter().map(|broken| broken.code).collect()
    }

    /// Where the first record is that is such a one.
    fn first(&self, is: impl Fn(&Record) -> bool) -> usize {
        let mut entries = self.entries.iter();
        entries.position(|entry| is(&entry.record)).unwrap()
    }
}

fn is_effect(record: &Record) -> bool {
    matches!(record, Record::Intent { kind, .. } if kind.is_effect())
}

#[test]
fn a_run_without_fault_keeps_every_rule() {
    assert_eq!(Case::new().codes(), [""; 0]);
    let quiet = Case::new().figure("two-writers-ms", 0.0);
    assert_eq!(quiet.figure("failback-lost-writes", 0.0).codes(), [""; 0]);
}

#[test]
fn what_the_world_saw_breaks_rules_beyond_what_the_scenario_allows() {
    let split = || Case::new().figure("two-writers-ms", 1.0);
    assert_eq!(split().codes(), ["TR0001"]);
    let mut allowed = split();
    let bound = "figures.two-writers-ms = { at-most = 60000 }";
    allowed.scenario.expect = toml::from_str(bound).unwrap();
    assert_eq!(allowed.codes(), [""; 0]);
    let lost = Case::new().figure("failback-lost-writes", 3.0);
    assert_eq!(lost.codes(), ["TR0002"]);
}

#[test]
fn a_call_is_issued_once_and_answered_once() {
    for again in [is_effect, |record: &Record| {
        matches!(record, Record::Outcome { .. })
    }] {
        let mut case = Case::new();
        let place = case.first(again);
        let copy = case.entries.get(place).unwrap().clone();
        case.entries.push(copy);
        // A second intent has no outcome of its own either.
        assert_eq!(case.codes().first(), Some(&"TR0003"));
    }
}

#[test]
fn an_effect_without_outcome_is_only_for_runs_that_ask_for_help() {
    let mut case = Case::new();
    let intent = case.first(is_effect);
    let Record::Intent { site, .. } = &case.entries.get(intent).unwrap().record else {
        panic!("an intent");
    };
    let site = site.clone();
    case.entries.retain(
        |entry| !matches!(&entry.record, Record::Outcome { site: other, .. } if *other == site),
    );
    assert_eq!(case.codes(), ["TR0004"]);
    case.ending = Ending::Stuck;
    assert_eq!(case.codes(), [""; 0]);
}

#[test]
fn recovered_means_protected_since_the_last_takeover_and_served() {
    let mut case = Case::new();
    case.entries.retain(
        |entry| !matches!(&entry.record, Record::Marked { name, .. } if name == "protected"),
    );
    assert_eq!(case.codes(), ["TR0005"]);
    let mut case = Case::new();
    case.truth.rto = None;
    assert_eq!(case.codes(), ["TR0007"]);
    case.ending = Ending::Stuck;
    assert_eq!(case.codes(), [""; 0]);
}

#[test]
fn a_replay_that_diverges_is_found() {
    let mut case = Case::new();
    let last = case.entries.last().unwrap().clone();
    case.entries.push(Entry {
        record: Record::StepChanged {
            step: "replica/flip".parse().unwrap(),
            attempt: 1,
            from: StepState::Running,
            to: StepState::Stuck,
            detail: "RN0001: step `replica/flip` diverged".to_owned(),
        },
        ..last
    });
    assert_eq!(case.codes(), ["TR0009"]);
}

#[test]
fn every_rule_has_a_page_and_a_name_of_its_own() {
    let names = names();
    let codes: Vec<&str> = names.iter().map(|(code, _)| *code).collect();
    let pages: Vec<&str> = PAGES.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, pages);
    let distinct: HashSet<&str> = names.iter().map(|(_, name)| *name).collect();
    assert_eq!(distinct.len(), names.len());
}
