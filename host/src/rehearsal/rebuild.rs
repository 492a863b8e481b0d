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
use crate::plan::Plan;
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
    let mut told = Told {
        last: entries.last().map_or(Instant::default(), |entry| entry.at),
        ..Told::default()
    };
    for entry in entries {
        match &entry.record {
            Record::RunStarted(header) => told.order(&header.plan),
            Record::Intent {
                site,
                function,
                args,
                key,
                kind,
                ..
            } if !function.interface.is(CONTROL) => {
                let request = Request {
                    function: function.clone(),
                    args: args.clone(),
                    key: key.clone(),
                    site: site.clone(),
                    deadline: Instant(u64::MAX),
                };
                if !unsent.contains(site) {
                    told.note(entry.at, entry.seq, &request);
                }
                told.begin(request, *kind, entry.at);
            }
            Record::RunResumed { .. } => told.again(entry),
            Record::Waiting { site, operation } => {
                let since = told.open.get(site).map_or(entry.at, |call| call.since);
                let pause = poll_pause(operation, entry.at.since(since));
                told.next(site, entry.at.after(pause), entry.seq);
            }
            Record::Retried { site, next_at, .. } => told.next(site, *next_at, entry.seq),
            Record::Outcome { site, .. } => drop(told.open.remove(site)),
            Record::StepChanged { step, to, .. }
                if !matches!(to, StepState::Running | StepState::Undoing) =>
            {
                told.open.retain(|site, _| site.step != *step);
            }
            _ => {}
        }
    }
    told.in_order(&refused(entries))
}

/// What a journal tells of calls, up to where it has been read.
#[derive(Default)]
struct Told {
    /// When the last record was written: what was to come later has not been sent.
    last: Instant,
    /// Places of the steps in the plan.
    places: BTreeMap<StepId, usize>,
    /// Calls without an outcome.
    open: BTreeMap<CallSite, Open>,
    /// With the number of the record that tells of it.
    seen: Vec<(u64, Seen)>,
}

/// A call without an outcome.
struct Open {
    request: Request,
    kind: CallKind,
    /// When its intent was recorded.
    since: Instant,
    /// When it was to be made again; none before the first time.
    next_at: Option<Instant>,
}

impl Told {
    fn order(&mut self, plan: &Plan) {
        let steps = plan.steps.iter().enumerate();
        self.places = steps
            .map(|(place, step)| (step.id.clone(), place))
            .collect();
    }

    fn note(&mut self, at: Instant, seq: u64, request: &Request) {
        let request = request.clone();
        self.seen.push((seq, Seen { at, request }));
    }

    fn begin(&mut self, request: Request, kind: CallKind, since: Instant) {
        let site = request.site.clone();
        let call = Open {
            request,
            kind,
            since,
            next_at: None,
        };
        self.open.insert(site, call);
    }

    /// A call is made again at its time, by whichever host there is then.
    fn next(&mut self, site: &CallSite, at: Instant, seq: u64) {
        let Some(call) = self.open.get_mut(site) else {
            return;
        };
        call.next_at = Some(at);
        if at <= self.last {
            let request = call.request.clone();
            self.note(at, seq, &request);
        }
    }

    /// Whoever goes on makes every call again that has no outcome, but for one that waits for its time.
    fn again(&mut self, resumed: &Entry) {
        let mut again: Vec<Request> = self
            .open
            .values()
            .filter(|call| call.kind != CallKind::Once)
            .filter(|call| call.next_at.is_none_or(|at| at <= resumed.at))
            .map(|call| call.request.clone())
            .collect();
        again.sort_by_key(|request| self.places.get(&request.site.step));
        for request in again {
            self.note(resumed.at, resumed.seq, &request);
        }
    }

    fn in_order(mut self, refused: &BTreeSet<CallSite>) -> Vec<Seen> {
        self.seen
            .retain(|(_, call)| !refused.contains(&call.request.site));
        self.seen.sort_by_key(|(seq, call)| (call.at, *seq));
        self.seen.into_iter().map(|(_, call)| call).collect()
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
