//! What went wrong or needs a look: collected from the records and from the figures, in order of time.
//!
//! What is not here: root causes. A journal knows what failed, people know why.

use super::account::{EffectOutcome, GateResult, Issue, IssueKind, Severity};
use std::collections::BTreeMap;

use super::calls::{self, Call};
use super::model::{Comparison, Report, Standing, Verdict};
use super::units;
use crate::call::{CallError, CallKind};
use crate::clock::Instant;
use crate::journal::record::{AnswerSource, Choice, Entry, GateKind, Level, Record};
use crate::name::StepId;
use crate::run::state::StepState;

/// Most warnings of plugins that become issues; the rest is counted in one more. Keeps a talkative plugin from
/// burying what failed.
const MAX_LOGGED_ISSUES: usize = 50;

/// All issues of a report whose other parts are filled.
pub(super) fn issues(entries: &[Entry], report: &Report) -> Vec<Issue> {
    let mut found = Vec::new();
    steps(entries, report, &mut found);
    repeated(entries, &mut found);
    in_doubt(report, &mut found);
    gates(report, &mut found);
    run(entries, &mut found);
    logged(entries, &mut found);
    objectives(report, &mut found);
    truth(report, &mut found);
    expectations(entries, &mut found);
    if report.conclusion.ending == Standing::Unfinished {
        let text = "the journal has no ending: a host still works on the run, or was stopped; \
                    `understudy resume` goes on from here";
        let at = report.run.last_record_at;
        found.push(issue(
            at,
            Severity::Problem,
            IssueKind::Unfinished,
            None,
            text,
        ));
    }
    found.sort_by_key(|issue| issue.at);
    found
}

fn issue(
    at: Instant,
    severity: Severity,
    kind: IssueKind,
    step: Option<&StepId>,
    text: impl AsRef<str>,
) -> Issue {
    Issue {
        at,
        severity,
        kind,
        step: step.cloned(),
        text: units::one_line(text.as_ref()),
    }
}

fn steps(entries: &[Entry], report: &Report, found: &mut Vec<Issue>) {
    for entry in entries {
        let (step, attempt, to, detail) = match &entry.record {
            Record::StepChanged {
                step,
                attempt,
                to,
                detail,
                ..
            } => (step, attempt, *to, detail),
            Record::BudgetExceeded { step, budget_ms } => {
                let line = report.steps.iter().find(|line| &line.id == step);
                let over = line.and_then(|line| line.over_budget_ms);
                let over = over.map_or(String::new(), |ms| format!(" by {}", units::duration(ms)));
                let text = format!("over its budget of {}{over}", units::duration(*budget_ms));
                found.push(issue(
                    entry.at,
                    Severity::Warning,
                    IssueKind::OverBudget,
                    Some(step),
                    text,
                ));
                continue;
            }
            _ => continue,
        };
        let line = report.steps.iter().find(|line| &line.id == step);
        let cured = line.is_some_and(|line| line.state == StepState::Done);
        let severity = if cured {
            Severity::Warning
        } else {
            Severity::Problem
        };
        let (kind, word) = match to {
            StepState::Failed => (IssueKind::StepFailed, "failed"),
            StepState::Stuck => (IssueKind::Stuck, "stuck, a human is needed"),
            StepState::Undone => (IssueKind::Undone, "taken back"),
            _ => continue,
        };
        let attempt = if *attempt > 1 {
            format!(" in attempt {attempt}")
        } else {
            String::new()
        };
        let colon = if detail.is_empty() { "" } else { ": " };
        let text = format!("{word}{attempt}{colon}{detail}");
        found.push(issue(entry.at, severity, kind, Some(step), text));
    }
}

/// Troubles with calls: the same one of the same step is said once, with how often and until when.
fn repeated(entries: &[Entry], found: &mut Vec<Issue>) {
    let mut places: BTreeMap<(Option<StepId>, String), (usize, u64, Instant)> = BTreeMap::new();
    for call in calls::all(entries) {
        for issue in call_issues(&call) {
            let at = issue.at;
            let place = places
                .entry((issue.step.clone(), issue.text.clone()))
                .or_insert((found.len(), 0, at));
            if place.1 == 0 {
                found.push(issue);
            }
            place.1 += 1;
            place.2 = at;
        }
    }
    for (place, times, last) in places.into_values() {
        if let Some(issue) = found.get_mut(place).filter(|_| times > 1) {
            let until = units::time_of_day(last);
            issue
                .text
                .push_str(&format!("; {times} times, until {until}"));
        }
    }
}

fn call_issues(call: &Call<'_>) -> Vec<Issue> {
    let mut found = Vec::new();
    let step = Some(&call.site.step);
    if let (1.., Some(error)) = call.retries {
        let text = format!("{} was tried again because: {error}", call.name());
        let kind = IssueKind::Retried;
        found.push(issue(call.at, Severity::Note, kind, step, text));
    }
    let Some((Err(error), at)) = call.reply else {
        return found;
    };
    let text = format!("{}: {}", call.name(), calls::explain(error));
    let read = call.function.map(|f| CallKind::of(&f.function)) == Some(CallKind::Read);
    let (severity, kind) = match error {
        CallError::Denied(_) => (Severity::Problem, IssueKind::Denied),
        // Listed with the effects whose fate is open; and looking for what is not there is no failure.
        CallError::InDoubt(_) => return found,
        CallError::NotFound(_) if read => return found,
        _ => (Severity::Warning, IssueKind::CallFailed),
    };
    found.push(issue(at, severity, kind, step, text));
    found
}

fn in_doubt(report: &Report, found: &mut Vec<Issue>) {
    let open = report.effects.iter();
    for effect in open.filter(|effect| effect.outcome == EffectOutcome::InDoubt) {
        let text = format!("{} is in doubt: {}", effect.call, effect.detail);
        found.push(issue(
            effect.at,
            Severity::Problem,
            IssueKind::InDoubt,
            Some(&effect.step),
            text,
        ));
    }
}

fn gates(report: &Report, found: &mut Vec<Issue>) {
    for gate in &report.gates {
        let step = Some(&gate.step);
        if gate.result == GateResult::Open {
            let text = format!(
                "{} was asked and nobody answered: {}",
                gate.role, gate.title
            );
            let kind = IssueKind::Unanswered;
            found.push(issue(gate.opened_at, Severity::Problem, kind, step, text));
        }
        for answer in &gate.answers {
            let (severity, kind, word) = match (answer.source, &answer.choice) {
                (AnswerSource::Timeout, _) => (
                    Severity::Warning,
                    IssueKind::AnsweredByDefault,
                    "answered by its default",
                ),
                (_, Choice::NoGo) => (Severity::Warning, IssueKind::NoGo, "no-go"),
                (_, Choice::Switch(_)) => (
                    Severity::Warning,
                    IssueKind::Switched,
                    "another strategy was chosen",
                ),
                (_, Choice::Go) => continue,
            };
            let who = if answer.source == AnswerSource::Timeout {
                format!("as no {} answered in time", answer.role)
            } else {
                format!("by {} as {}", answer.by, answer.role)
            };
            let note = if answer.note.is_empty() {
                String::new()
            } else {
                format!(" ({})", answer.note)
            };
            let text = format!("{word} {who}{note}: {}", gate.title);
            found.push(issue(answer.at, severity, kind, step, text));
        }
        waived_loss(report, gate, found);
    }
}

/// A question of a strategy that was answered with go, after it had measured a loss above the objective, is a waiver.
fn waived_loss(report: &Report, gate: &super::account::GateLine, found: &mut Vec<Issue>) {
    if gate.kind != GateKind::Question || gate.result != GateResult::Go {
        return;
    }
    let leg = report
        .legs
        .iter()
        .find(|leg| leg.strategy.as_str() == gate.step.strategy());
    let Some(target_ms) = leg.map(|leg| leg.rpo.target_ms) else {
        return;
    };
    let before = report.measurements.iter().rev().find(|m| {
        m.at <= gate.opened_at
            && m.step.strategy() == gate.step.strategy()
            && matches!(m.name.as_str(), "rpo" | "replication-lag" | "backup-age")
    });
    let measured = before.and_then(|m| Some((m, m.quantity.get("duration-ms")?.as_u64()?)));
    if let (Some((m, loss_ms)), Some(answer)) = (measured, gate.answers.last())
        && loss_ms > target_ms
    {
        let text = format!(
            "{} of {} is over the objective of {} and was accepted by {} as {}: {}",
            m.name,
            units::duration(loss_ms),
            units::duration(target_ms),
            answer.by,
            answer.role,
            gate.title
        );
        let kind = IssueKind::LossWaived;
        found.push(issue(
            answer.at,
            Severity::Warning,
            kind,
            Some(&gate.step),
            text,
        ));
    }
}

fn run(entries: &[Entry], found: &mut Vec<Issue>) {
    for entry in entries {
        match &entry.record {
            Record::RunResumed { host_version } => {
                let text = format!("a host of version {host_version} took the run over");
                found.push(issue(
                    entry.at,
                    Severity::Note,
                    IssueKind::Resumed,
                    None,
                    text,
                ));
            }
            Record::AbortAsked { by, reason } => {
                let text = format!("{by} asked for the run to be taken back: {reason}");
                found.push(issue(
                    entry.at,
                    Severity::Warning,
                    IssueKind::Aborted,
                    None,
                    text,
                ));
            }
            _ => {}
        }
    }
}

fn logged(entries: &[Entry], found: &mut Vec<Issue>) {
    let warnings = entries.iter().filter_map(|entry| match &entry.record {
        Record::Logged {
            step,
            level: Level::Warn,
            message,
        } => Some((entry.at, step, message)),
        _ => None,
    });
    let mut more = 0_u64;
    let mut last = None;
    for (place, (at, step, message)) in warnings.enumerate() {
        if place < MAX_LOGGED_ISSUES {
            let kind = IssueKind::Logged;
            found.push(issue(at, Severity::Warning, kind, Some(step), message));
        } else {
            more += 1;
            last = Some(at);
        }
    }
    if let Some(at) = last {
        let text = format!("{more} more warnings of plugins, see the timeline");
        found.push(issue(at, Severity::Warning, IssueKind::Logged, None, text));
    }
}

fn objectives(report: &Report, found: &mut Vec<Issue>) {
    for leg in &report.legs {
        for (name, objective) in [("RTO", &leg.rto), ("RPO", &leg.rpo)] {
            if let (Verdict::Missed, Some(achieved)) = (objective.verdict, objective.achieved_ms) {
                let text = format!(
                    "{name} of {} missed: {} ({}), objective {}",
                    leg.strategy,
                    units::duration(achieved),
                    objective.basis,
                    units::duration(objective.target_ms)
                );
                let at = leg.served_at.unwrap_or(report.run.last_record_at);
                let kind = IssueKind::ObjectiveMissed;
                found.push(issue(at, Severity::Problem, kind, None, text));
            }
        }
    }
}

fn truth(report: &Report, found: &mut Vec<Issue>) {
    let Some(truth) = &report.truth else {
        return;
    };
    for (name, comparison) in [("RTO", &truth.rto), ("RPO", &truth.rpo)] {
        let Some(comparison) = comparison.as_ref().filter(|c| c.flagged) else {
            continue;
        };
        // Looking better than it was is what an exercise must not let pass.
        let better = comparison.difference_ms.is_none_or(|ms| ms < 0);
        let severity = if better {
            Severity::Problem
        } else {
            Severity::Warning
        };
        let at = report.run.last_record_at;
        let text = differs(name, comparison);
        found.push(issue(at, severity, IssueKind::DiffersFromTruth, None, text));
    }
}

fn expectations(entries: &[Entry], found: &mut Vec<Issue>) {
    for entry in entries {
        let Record::Judged { missed } = &entry.record else {
            continue;
        };
        for missed in missed {
            let text = format!("the scenario expects otherwise: {missed}");
            let kind = IssueKind::ExpectationMissed;
            found.push(issue(entry.at, Severity::Problem, kind, None, text));
        }
    }
}

fn differs(name: &str, comparison: &Comparison) -> String {
    format!(
        "reported {name} {} ({}) is not what the simulated world knows: {}",
        units::duration_or_dash(comparison.reported_ms),
        comparison.basis,
        units::duration_or_dash(comparison.truth_ms)
    )
}
