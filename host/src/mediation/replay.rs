//! What the journal already knows: calls that a resumed step will make again, and the answers they had.

use std::collections::HashMap;
use std::sync::Arc;

use super::dispatch::poll_pause;
use crate::call::{Arguments, CallHash, CallSite, FunctionName, Reply};
use crate::clock::Instant;
use crate::journal::record::{Entry, Record};

/// A call in the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedCall {
    /// What was asked.
    pub function: FunctionName,
    /// With which arguments, secrets redacted.
    pub args: Arguments,
    /// Hash over the arguments as they were.
    pub hash: CallHash,
    /// When the intent was recorded.
    pub since: Instant,
    /// The other side had accepted it and was working on it.
    pub in_progress: bool,
    /// When it was to be made again, after waiting or a failed attempt; none before the first.
    pub next_at: Option<Instant>,
    /// What came of it; `None` if the host died in between (*in doubt*).
    pub reply: Option<Arc<Reply>>,
}

/// The recorded calls of a run, by where they stand. Each is taken once.
#[derive(Debug, Default)]
pub struct Recorded(HashMap<CallSite, RecordedCall>);

impl Recorded {
    /// Reads the calls out of a journal.
    #[must_use]
    pub fn from_entries(entries: &[Entry]) -> Self {
        let mut calls = HashMap::new();
        for entry in entries {
            match &entry.record {
                Record::Intent {
                    site,
                    function,
                    args,
                    hash,
                    ..
                } => {
                    let call = RecordedCall {
                        function: function.clone(),
                        args: args.clone(),
                        hash: hash.clone(),
                        since: entry.at,
                        in_progress: false,
                        next_at: None,
                        reply: None,
                    };
                    // A re-issued intent keeps the time of the first: a sleep goes on, it does not start over.
                    calls.entry(site.clone()).or_insert(call);
                }
                Record::Waiting { site, operation } => {
                    if let Some(call) = calls.get_mut(site) {
                        call.in_progress = true;
                        let taken = entry.at.since(call.since);
                        call.next_at = Some(entry.at.after(poll_pause(operation, taken)));
                    }
                }
                Record::Retried { site, next_at, .. } => {
                    if let Some(call) = calls.get_mut(site) {
                        call.next_at = Some(*next_at);
                    }
                }
                Record::Outcome { site, reply, .. } => {
                    if let Some(call) = calls.get_mut(site) {
                        call.reply = Some(Arc::clone(reply));
                    }
                }
                _ => {}
            }
        }
        Self(calls)
    }

    /// The recorded call at this place, once.
    pub fn take(&mut self, site: &CallSite) -> Option<RecordedCall> {
        // Where nothing is left, as in a run that nobody resumed, not even the place is hashed.
        if self.0.is_empty() {
            return None;
        }
        self.0.remove(site)
    }
}
