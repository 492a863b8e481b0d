//! The calls that a journal says were made, so that a simulated world can be brought to where it was.
//!
//! A world is a function of its seed and of the calls made to it at their times. A rehearsal whose process died is
//! resumed by making the recorded calls again, in a fresh world, at the recorded times.

use std::collections::{BTreeMap, BTreeSet};

use crate::call::{CallKind, CallSite, Request};
use crate::clock::Instant;
use crate::journal::record::{Entry, Record};
use crate::mediation::{CONTROL, poll_pause};
use crate::name::StepId;
use crate::run::state::StepState;

/// A call with the time at which the world saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When.
    pub at: Instant,
    /// What was asked.
    pub request: Request,
}

/// Every attempt that reached the world, in order of time. Calls that are `unsent` were on record when their host died
/// and first reached the world when another one went on.
#[must_use]
pub fn calls(entries: &[Entry], unsent: &BTreeSet<CallSite>) -> Vec<Seen> {
    let last = entries.last().map_or(Instant::default(), |entry| entry.at);
    let mut order: BTreeMap<StepId, usize> = BTreeMap::new();
    let mut open: BTreeMap<CallSite, Open> = BTreeMap::new();
    let mut seen: Vec<(Instant, u64, Seen)> = Vec::new();
    let mut note = |at: Instant, seq: u64, request: &Request| {
        let request = request.clone();
        seen.push((at, seq, Seen { at, request }));
    };
    for entry in entries {
        match &entry.record {
            Record::RunStarted(header) => {
                let steps = header.plan.steps.iter().enumerate();
                order = steps
                    .map(|(place, step)| (step.id.clone(), place))
                    .collect();
            }
            Record::Intent {
                site,
                function,
                args,
                key,
                kind,
                ..
            } if function.interface.unversioned() != CONTROL => {
                let request = Request {
                    function: function.clone(),
                    args: args.clone(),
                    key: key.clone(),
                    site: site.clone(),
                    deadline: Instant(u64::MAX),
                };
                if !unsent.contains(site) {
                    note(entry.at, entry.seq, &request);
                }
                let (kind, next_at) = (*kind, None);
                let call = Open {
                    request,
                    kind,
                    next_at,
                };
                open.insert(site.clone(), call);
            }
            // Whoever goes on makes every call again that has no outcome, but for one that waits for its time.
            Record::RunResumed { .. } => {
                let mut again: Vec<&Open> = open
                    .values()
                    .filter(|call| call.kind != CallKind::Once)
                    .filter(|call| call.next_at.is_none_or(|at| at <= entry.at))
                    .collect();
                again.sort_by_key(|call| order.get(&call.request.site.step));
                for call in again {
                    note(entry.at, entry.seq, &call.request);
                }
            }
            Record::Waiting { site, operation } => {
                let next = entry.at.after(poll_pause(operation));
                let call = open.get_mut(site).map(|call| call.next(next));
                if let Some(request) = call.filter(|_| next <= last) {
                    note(next, entry.seq, request);
                }
            }
            Record::Retried { site, next_at, .. } => {
                let call = open.get_mut(site).map(|call| call.next(*next_at));
                if let Some(request) = call.filter(|_| *next_at <= last) {
                    note(*next_at, entry.seq, request);
                }
            }
            Record::Outcome { site, .. } => drop(open.remove(site)),
            Record::StepChanged { step, to, .. }
                if !matches!(to, StepState::Running | StepState::Undoing) =>
            {
                open.retain(|site, _| site.step != *step);
            }
            _ => {}
        }
    }
    let refused = refused(entries);
    seen.retain(|(_, _, call)| !refused.contains(&call.request.site));
    seen.sort_by_key(|(at, seq, _)| (*at, *seq));
    seen.into_iter().map(|(_, _, call)| call).collect()
}

/// A call without an outcome.
struct Open {
    request: Request,
    kind: CallKind,
    /// When it was to be made again; none before the first time.
    next_at: Option<Instant>,
}

impl Open {
    fn next(&mut self, at: Instant) -> &Request {
        self.next_at = Some(at);
        &self.request
    }
}

/// Calls that policy refused: they never reached the world.
fn refused(entries: &[Entry]) -> BTreeSet<CallSite> {
    entries
        .iter()
        .filter_map(|entry| match &entry.record {
            Record::Outcome {
                site, attempts: 0, ..
            } => Some(site.clone()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::stories;

    #[test]
    fn a_call_that_was_never_sent_reaches_the_world_when_another_host_goes_on() {
        let mut entries = stories::failover_and_failback();
        let intent = entries.iter().position(|entry| match &entry.record {
            Record::Intent { function, .. } => function.function == "ensure-promoted",
            _ => false,
        });
        entries.truncate(intent.unwrap() + 1);
        let died = entries.last().unwrap().clone();
        let Record::Intent { site, .. } = &died.record else {
            unreachable!("it was cut there")
        };
        let mut resumed = died.clone();
        resumed.seq += 1;
        resumed.at = Instant(died.at.0 + 60_000);
        resumed.record = Record::RunResumed {
            host_version: "0".to_owned(),
        };
        let seen_at = |entries: &[Entry], unsent: &BTreeSet<CallSite>| {
            let calls = calls(entries, unsent);
            let promoted = calls.iter().filter(|seen| seen.request.site == *site);
            promoted.map(|seen| seen.at).collect::<Vec<_>>()
        };
        let (sent, unsent) = (BTreeSet::new(), BTreeSet::from([site.clone()]));
        assert_eq!(seen_at(&entries, &sent), [died.at]);
        assert_eq!(seen_at(&entries, &unsent), []);
        let at = resumed.at;
        entries.push(resumed);
        assert_eq!(seen_at(&entries, &sent), [died.at, at], "it is made again");
        assert_eq!(seen_at(&entries, &unsent), [at]);
    }
}
