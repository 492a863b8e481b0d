//! The calls that a journal says were made, so that a simulated world can be brought to where it was.
//!
//! A world is a function of its seed and of the calls made to it at their times. A rehearsal whose process died is
//! resumed by making the recorded calls again, in a fresh world, at the recorded times.

use std::collections::{BTreeMap, BTreeSet};

use crate::call::{CallSite, Request};
use crate::clock::Instant;
use crate::journal::record::{Entry, Record};
use crate::mediation::{CONTROL, poll_pause};

/// A call with the time at which the world saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When.
    pub at: Instant,
    /// What was asked.
    pub request: Request,
}

/// Every attempt that reached the world, in order of time. Calls that are `unsent` were on record when their host died and
/// first reached the world when another one went on.
#[must_use]
pub fn calls(entries: &[Entry], unsent: &BTreeSet<CallSite>) -> Vec<Seen> {
    let mut requests: BTreeMap<CallSite, Request> = BTreeMap::new();
    let mut held: Vec<CallSite> = Vec::new();
    let mut seen: Vec<(Instant, u64, Seen)> = Vec::new();
    let mut note = |at: Instant, seq: u64, request: &Request| {
        seen.push((
            at,
            seq,
            Seen {
                at,
                request: request.clone(),
            },
        ));
    };
    let last = entries.last().map_or(Instant::default(), |entry| entry.at);
    for entry in entries {
        match &entry.record {
            Record::Intent {
                site,
                function,
                args,
                key,
                ..
            } if function.interface.unversioned() != CONTROL => {
                let request = Request {
                    function: function.clone(),
                    args: args.clone(),
                    key: key.clone(),
                    site: site.clone(),
                    deadline: Instant(u64::MAX),
                };
                if unsent.contains(site) {
                    held.push(site.clone());
                } else {
                    note(entry.at, entry.seq, &request);
                }
                requests.insert(site.clone(), request);
            }
            Record::RunResumed { .. } => {
                for request in held.drain(..).filter_map(|site| requests.get(&site)) {
                    note(entry.at, entry.seq, request);
                }
            }
            Record::Waiting { site, operation } => {
                let next = entry.at.after(poll_pause(operation));
                if let Some(request) = requests.get(site).filter(|_| next <= last) {
                    note(next, entry.seq, request);
                }
            }
            Record::Retried { site, next_at, .. } => {
                if let Some(request) = requests.get(site).filter(|_| *next_at <= last) {
                    note(*next_at, entry.seq, request);
                }
            }
            _ => {}
        }
    }
    let refused = refused(entries);
    seen.retain(|(_, _, call)| !refused.contains(&call.request.site));
    seen.sort_by_key(|(at, seq, _)| (*at, *seq));
    seen.into_iter().map(|(_, _, call)| call).collect()
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
        assert_eq!(seen_at(&entries, &sent), [died.at]);
        assert_eq!(seen_at(&entries, &unsent), [at]);
    }
}
