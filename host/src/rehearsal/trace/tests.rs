//! Every rule is kept by a run that did nothing wrong and broken by one thing gone wrong.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::call::{Arguments, CallHash, CallKind, Direction, FunctionName, IdempotencyKey};
use crate::clock::Instant;
use crate::journal::record::{GateKind, Mode, Record};
use crate::rehearsal::world::Hazard;
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
        let entries = earned(stories::failover_and_failback());
        let Some(Record::RunStarted(header)) = entries.first().map(|entry| &entry.record) else {
            panic!("a journal begins with its header");
        };
        Self {
            plan: (*header.plan).clone(),
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

/// The story with every milestone earned, and with resolvers that follow each flip: it is told for reports, which do not ask.
fn earned(told: Vec<Entry>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for entry in told {
        let Record::Marked { step, name, site } = &entry.record else {
            entries.push(entry);
            continue;
        };
        let (step, name, of) = (step.clone(), name.clone(), site.clone());
        let marks = match name.as_str() {
            "flipped" => vec![name, "converged".to_owned()],
            _ => vec![name],
        };
        for name in marks {
            let row = milestones::EARNED_BY
                .iter()
                .find(|(mark, ..)| *mark == name);
            if let Some((_, calls, _)) = row {
                let call = call(&step, calls[0], entries.len());
                entries.extend(call.map(|record| Entry {
                    record,
                    ..entry.clone()
                }));
            }
            let (step, site) = (step.clone(), of.clone());
            let record = Record::Marked { step, name, site };
            entries.push(Entry {
                record,
                ..entry.clone()
            });
        }
    }
    entries
}

/// A call of this step that came back without an error.
fn call(step: &StepId, function: &str, number: usize) -> [Record; 2] {
    let (short, function) = function.split_once('/').unwrap();
    let interface = format!("understudy:{short}/{short}@0.1.0");
    let site = CallSite {
        step: step.clone(),
        direction: Direction::Run,
        attempt: 1,
        ordinal: 1_000 + u32::try_from(number).unwrap(),
    };
    let intent = Record::Intent {
        site: site.clone(),
        function: FunctionName {
            interface: interface.parse().unwrap(),
            function: function.to_owned(),
        },
        kind: CallKind::of(function),
        args: Arguments::default(),
        hash: CallHash(String::new()),
        key: IdempotencyKey(format!("key {number}")),
    };
    let outcome = Record::Outcome {
        site,
        reply: Arc::new(Ok(serde_json::json!("changed"))),
        attempts: 1,
    };
    [intent, outcome]
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

fn seen(hazard: Hazard) -> Sighting {
    Sighting {
        at: Instant(u64::MAX),
        step: Some("replica/flip".parse().unwrap()),
        hazard,
        what: "something was wrong".to_owned(),
    }
}

#[test]
fn each_hazard_breaks_its_rule_by_the_step_that_did_it() {
    let hazards = [
        (Hazard::SecondWriter, "TR0010"),
        (Hazard::NotServing, "TR0012"),
        (Hazard::NoCertificate, "TR0013"),
        (Hazard::NoWriter, "TR0014"),
        (Hazard::OtherRecord, "TR0015"),
        (Hazard::NotCompared, "TR0016"),
        (Hazard::LongTtl, "TR0017"),
        (Hazard::OpenedReadOnly, "TR0018"),
        (Hazard::DeadDependency, "TR0019"),
        (Hazard::Infrastructure, "TR0020"),
        (Hazard::Unprotected, "TR0021"),
        (Hazard::Discarded, "TR0025"),
        (Hazard::NoMedia, "TR0026"),
        (Hazard::TtlLeftLow, "TR0027"),
    ];
    for (hazard, code) in hazards {
        let mut case = Case::new();
        case.seen.push(seen(hazard));
        assert_eq!(case.codes(), [code], "{hazard:?}");
    }
}

#[test]
fn requests_are_left_to_end_where_there_is_time_for_it() {
    let mut case = Case::new();
    case.seen.push(seen(Hazard::CutOff));
    assert_eq!(case.scenario.mode, Some(Mode::Ungraceful));
    assert_eq!(case.codes(), [""; 0]);
    case.scenario.mode = Some(Mode::Graceful);
    assert_eq!(case.codes(), ["TR0028"]);
}

#[test]
fn what_is_left_undone_is_only_for_runs_that_ask_for_help() {
    let mut case = Case::new();
    case.seen
        .extend([seen(Hazard::Unprotected), seen(Hazard::TtlLeftLow)]);
    case.ending = Ending::Stuck;
    assert_eq!(case.codes(), [""; 0]);
}

#[test]
fn a_loss_is_within_the_objective_or_somebody_accepted_it() {
    let mut case = Case::new();
    case.seen.push(seen(Hazard::Loss { ms: 300_000 }));
    assert_eq!(case.codes(), [""; 0]);
    case.seen.push(seen(Hazard::Loss { ms: 300_001 }));
    case.entries.retain(|entry| {
        !matches!(&entry.record, Record::GateOpened { kind, .. } if *kind == GateKind::Question)
    });
    assert_eq!(case.codes(), ["TR0011"]);
}

#[test]
fn milestones_come_after_what_earns_them() {
    let mut case = Case::new();
    case.entries
        .retain(|entry| !matches!(&entry.record, Record::Outcome { .. }));
    case.ending = Ending::Stuck;
    assert_eq!(case.codes(), ["TR0024"]);
}

#[test]
fn outage_and_convergence_are_said() {
    for (mark, code) in [("outage-detected", "TR0022"), ("converged", "TR0023")] {
        let mut case = Case::new();
        case.entries
            .retain(|entry| !matches!(&entry.record, Record::Marked { name, .. } if name == mark));
        assert_eq!(case.codes(), [code]);
        case.ending = Ending::Stuck;
        assert_eq!(case.codes(), [""; 0]);
    }
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
