//! The timeline, the measurements and the evidence: records that are shown as they are, one line each.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::account::{Event, EventKind, Evidence, Measurement};
use super::calls;
use super::units;
use crate::call::{CallSite, FunctionName};
use crate::journal::record::{AnswerSource, Ending, Entry, Level, Record, Stage};
use crate::name::StepId;
use crate::run::state::StepState;

/// Every measurement in order.
pub(super) fn measurements(entries: &[Entry]) -> Vec<Measurement> {
    let found = entries.iter().filter_map(|entry| match &entry.record {
        Record::Measured {
            step,
            name,
            quantity,
        } => Some(Measurement {
            at: entry.at,
            step: step.clone(),
            name: units::one_line(name),
            quantity: quantity.clone(),
        }),
        _ => None,
    });
    found.collect()
}

/// Everything attached, in order.
pub(super) fn evidence(entries: &[Entry]) -> Vec<Evidence> {
    let found = entries.iter().filter_map(|entry| match &entry.record {
        Record::Attached {
            step,
            name,
            media_type,
            content,
        } => Some(Evidence {
            at: entry.at,
            step: step.clone(),
            name: units::one_line(name),
            media_type: units::one_line(media_type),
            content: units::lines(content),
        }),
        _ => None,
    });
    found.collect()
}

/// What happened, one line per thing a person would want to know.
pub(super) fn timeline(entries: &[Entry]) -> Vec<Event> {
    let mut teller = Teller::default();
    entries
        .iter()
        .filter_map(|entry| teller.tell(entry))
        .collect()
}

/// Turns records into lines of the timeline, one after the other: the live display uses it as well.
#[derive(Default)]
pub struct Teller {
    calls: BTreeMap<CallSite, FunctionName>,
    waited_for: BTreeSet<CallSite>,
    /// Why a call is tried again, as last told: the same reason again is no news.
    retried: BTreeMap<CallSite, String>,
    gates: BTreeMap<String, StepId>,
}

impl Teller {
    /// The line for this record, if it is worth one.
    pub fn tell(&mut self, entry: &Entry) -> Option<Event> {
        let (kind, step, text) = match &entry.record {
            Record::StepChanged {
                step,
                attempt,
                to,
                detail,
                ..
            } => (EventKind::Step, Some(step), changed(*to, *attempt, detail)?),
            Record::Marked { step, name, site } => {
                let at = site
                    .as_ref()
                    .map_or(String::new(), |site| format!(" at {site}"));
                (EventKind::Mark, Some(step), format!("{name}{at}"))
            }
            Record::Measured {
                step,
                name,
                quantity,
            } => {
                let text = format!("measured {name}: {}", units::quantity(quantity));
                (EventKind::Measurement, Some(step), text)
            }
            Record::Logged {
                level: Level::Debug,
                ..
            } => return None,
            Record::Logged {
                step,
                level,
                message,
            } => {
                let prefix = if *level == Level::Warn {
                    "warning: "
                } else {
                    ""
                };
                (EventKind::Log, Some(step), format!("{prefix}{message}"))
            }
            Record::BudgetExceeded { step, budget_ms } => {
                let text = format!("over its budget of {}", units::duration(*budget_ms));
                (EventKind::Budget, Some(step), text)
            }
            Record::GateOpened { .. } | Record::GateAnswered { .. } => {
                return self.gate(entry);
            }
            Record::Intent { .. }
            | Record::Retried { .. }
            | Record::Waiting { .. }
            | Record::Outcome { .. } => return self.call(entry),
            other => (EventKind::Run, None, run(other)?),
        };
        Some(event(entry, kind, step.cloned(), &text))
    }

    fn gate(&mut self, entry: &Entry) -> Option<Event> {
        let (step, text) = match &entry.record {
            Record::GateOpened {
                gate,
                step,
                rule,
                title,
                ..
            } => {
                self.gates.insert(gate.clone(), step.clone());
                (Some(step.clone()), format!("asks {}: {title}", rule.role))
            }
            Record::GateAnswered {
                gate,
                choice,
                by,
                role,
                note,
                source,
            } => {
                let who = match source {
                    AnswerSource::Timeout => "nobody in time: the gate's default".to_owned(),
                    _ => format!("{by} as {role}"),
                };
                let note = if note.is_empty() {
                    String::new()
                } else {
                    format!(" ({note})")
                };
                (
                    self.gates.get(gate).cloned(),
                    format!("{choice} by {who}{note}"),
                )
            }
            _ => return None,
        };
        Some(event(entry, EventKind::Gate, step, &text))
    }

    fn call(&mut self, entry: &Entry) -> Option<Event> {
        let (site, text) = match &entry.record {
            Record::Intent { site, function, .. } => {
                self.calls.insert(site.clone(), function.clone());
                return None;
            }
            Record::Retried { site, error, .. } => {
                let reason = error.to_string();
                if self.retried.get(site) == Some(&reason) {
                    return None;
                }
                let text = format!("{} is tried again: {reason}", self.name(site));
                self.retried.insert(site.clone(), reason);
                (site, text)
            }
            Record::Waiting { site, operation } => {
                if !self.waited_for.insert(site.clone()) {
                    return None;
                }
                let text = format!("{} takes time: {}", self.name(site), operation.description);
                (site, text)
            }
            Record::Outcome { site, reply, .. } => {
                let name = self.name(site);
                let text = match &**reply {
                    Ok(Value::String(outcome)) if outcome == "changed" => format!("{name} changed"),
                    Ok(_) => return None,
                    Err(error) => format!("{name}: {}", calls::explain(error)),
                };
                self.calls.remove(site);
                self.waited_for.remove(site);
                (site, text)
            }
            _ => return None,
        };
        Some(event(
            entry,
            EventKind::Call,
            Some(site.step.clone()),
            &text,
        ))
    }

    fn name(&self, site: &CallSite) -> String {
        let known = self.calls.get(site);
        known.map_or_else(|| "a call".to_owned(), ToString::to_string)
    }
}

fn event(entry: &Entry, kind: EventKind, step: Option<StepId>, text: &str) -> Event {
    Event {
        at: entry.at,
        seq: entry.seq,
        kind,
        step,
        text: units::one_line(text),
    }
}

/// A new state in words; `None` for the one every step begins in.
fn changed(to: StepState, attempt: u32, detail: &str) -> Option<String> {
    let words = match to {
        StepState::Pending => return None,
        StepState::Running if attempt > 1 => format!("begun, attempt {attempt}"),
        other => state(other).to_owned(),
    };
    Some(if detail.is_empty() {
        words
    } else {
        format!("{words}: {detail}")
    })
}

/// A state in words.
#[must_use]
pub fn state(state: StepState) -> &'static str {
    match state {
        StepState::Pending => "not begun",
        StepState::AwaitingGo => "waits for go",
        StepState::Running => "begun",
        StepState::AwaitingAcceptance => "waits for acceptance",
        StepState::Done => "done",
        StepState::Failed => "failed",
        StepState::Undoing => "being taken back",
        StepState::Undone => "taken back",
        StepState::Skipped => "skipped",
        StepState::Superseded => "given up",
        StepState::Stuck => "stuck",
    }
}

/// What is said about the run as a whole.
fn run(record: &Record) -> Option<String> {
    Some(match record {
        Record::RunStarted(header) => {
            let stage = match &header.stage {
                Stage::Live => "live run".to_owned(),
                Stage::Rehearsal { seed, scenario, .. } => {
                    format!("rehearsal of scenario {scenario} with seed {seed}")
                }
            };
            format!(
                "{stage} of {} started by {}",
                header.runbook, header.started_by
            )
        }
        Record::RunResumed { host_version } => format!("taken over by host {host_version}"),
        Record::StrategySwitched {
            from, to, by, note, ..
        } => {
            let note = if note.is_empty() {
                String::new()
            } else {
                format!(": {note}")
            };
            format!("{to} takes the place of {from}, by {by}{note}")
        }
        Record::AbortAsked { by, reason } => format!("{by} asks to take the run back: {reason}"),
        Record::RunEnded { ending, detail } => {
            let word = match ending {
                Ending::Recovered => "recovered",
                Ending::Undone => "undone",
                Ending::Stuck => "stuck, a human is needed",
                Ending::Ready => "ready",
                Ending::NotReady => "not ready",
            };
            format!("{word}: {detail}")
        }
        _ => return None,
    })
}
