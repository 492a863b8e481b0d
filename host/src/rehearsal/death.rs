//! When a simulated host dies: watches the records of a run for the moments that `[[crashes]]` name.
//!
//! What is not here: going on afterwards. [`driver`](super::driver) does that, as another host would.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::scenario::crash::{Crash, Moment};
use crate::call::{CallSite, FunctionName};
use crate::journal::Cut;
use crate::journal::record::{Entry, Record};
use crate::name::StepId;

/// Deaths that are still to come.
#[derive(Clone)]
pub(super) struct Deaths(Arc<Mutex<Watched>>);

struct Watched {
    crashes: Vec<Watch>,
    /// Which functions calls are of, by where they stand: an outcome does not say.
    calls: HashMap<CallSite, FunctionName>,
    fired: Option<usize>,
}

struct Watch {
    crash: Crash,
    /// Records so far that it is about.
    seen: u32,
    /// The record after which it comes is written.
    due: bool,
}

impl Deaths {
    /// Watches a run of which this much is known for these deaths.
    pub(super) fn watch(crashes: &[Crash], known: &[Entry]) -> Self {
        let watch = |crash: &Crash| Watch {
            crash: crash.clone(),
            seen: 0,
            due: false,
        };
        let mut watched = Watched {
            crashes: crashes.iter().map(watch).collect(),
            calls: HashMap::new(),
            fired: None,
        };
        for entry in known {
            watched.note(&entry.record);
        }
        // What happened before this host began is not its death.
        for watch in &mut watched.crashes {
            watch.due = false;
        }
        Self(Arc::new(Mutex::new(watched)))
    }

    /// As the journal asks it.
    pub(super) fn cut(&self) -> Cut {
        let watched = Arc::clone(&self.0);
        Arc::new(move |seq, record| {
            let mut watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
            watched.dies_before(seq, record)
        })
    }

    /// Which of the deaths came, by its place.
    pub(super) fn fired(&self) -> Option<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fired
    }
}

impl Watched {
    /// Whether the host is dead before this record is written; takes note of it otherwise.
    fn dies_before(&mut self, seq: u64, record: &Record) -> bool {
        let calls = &self.calls;
        let comes = |watch: &Watch| match &watch.crash.moment {
            Moment::Records(records) => seq >= *records,
            Moment::After(_) => watch.due,
            Moment::Before(_) => watch.seen + 1 == watch.crash.nth && watch.is_about(record, calls),
        };
        if let Some(place) = self.crashes.iter().position(comes) {
            self.fired = Some(place);
            return true;
        }
        self.note(record);
        false
    }

    fn note(&mut self, record: &Record) {
        if let Record::Intent { site, function, .. } = record {
            self.calls.insert(site.clone(), function.clone());
        }
        for watch in &mut self.crashes {
            if watch.is_about(record, &self.calls) {
                watch.seen += 1;
                watch.due |= watch.seen == watch.crash.nth;
            }
        }
    }
}

impl Watch {
    fn is_about(&self, record: &Record, calls: &HashMap<CallSite, FunctionName>) -> bool {
        let kind = self.crash.moment.kind();
        if kind.is_none_or(|kind| kind.as_ref() != record.kind()) {
            return false;
        }
        let called = |wanted: &str| {
            let function = match record {
                Record::Intent { function, .. } => Some(function),
                _ => place(record).and_then(|site| calls.get(site)),
            };
            function.is_some_and(|function| function.to_string() == wanted)
        };
        let (call, wanted) = (self.crash.call.as_ref(), self.crash.step.as_ref());
        call.is_none_or(|call| called(call.as_ref()))
            && wanted.is_none_or(|wanted| step(record) == Some(wanted.as_ref()))
    }
}

/// Where the call stands that a record is about.
fn place(record: &Record) -> Option<&CallSite> {
    match record {
        Record::Intent { site, .. }
        | Record::Retried { site, .. }
        | Record::Waiting { site, .. }
        | Record::Outcome { site, .. } => Some(site),
        _ => None,
    }
}

/// The step that a record is about.
fn step(record: &Record) -> Option<&StepId> {
    match record {
        Record::StepChanged { step, .. }
        | Record::Marked { step, .. }
        | Record::Measured { step, .. }
        | Record::Attached { step, .. }
        | Record::Logged { step, .. }
        | Record::GateOpened { step, .. }
        | Record::BudgetExceeded { step, .. } => Some(step),
        _ => place(record).map(|site| &site.step),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::stories;

    fn crash(text: &str) -> Crash {
        toml::from_str(text).unwrap()
    }

    /// How many records of a run are written before the host dies.
    fn written(crash: &Crash, entries: &[Entry]) -> usize {
        let deaths = Deaths::watch(std::slice::from_ref(crash), &[]);
        let cut = deaths.cut();
        let mut entries_left = entries.iter();
        entries_left
            .position(|entry| cut(entry.seq, &entry.record))
            .unwrap_or(entries.len())
    }

    #[test]
    fn a_death_comes_before_or_after_the_record_that_is_meant() {
        let entries = stories::failover_and_failback();
        let place = |is: &dyn Fn(&Record) -> bool| {
            entries.iter().position(|entry| is(&entry.record)).unwrap()
        };
        let promotes = |record: &Record| matches!(record, Record::Intent { function, .. } if function.function == "ensure-promoted");
        let intent = place(&promotes);
        let site = self::place(&entries[intent].record).unwrap().clone();
        let outcome =
            place(&|record| matches!(record, Record::Outcome { site: at, .. } if *at == site));
        let served = place(&|record| record.kind() == "marked");
        for (text, expected) in [
            (
                "after = 'intent'\ncall = 'database/ensure-promoted'",
                intent + 1,
            ),
            (
                "before = 'intent'\ncall = 'database/ensure-promoted'",
                intent,
            ),
            (
                "before = 'outcome'\ncall = 'database/ensure-promoted'",
                outcome,
            ),
            ("after-records = 7", 7),
            ("before = 'marked'", served),
            ("after = 'marked'\nnth = 99", entries.len()),
        ] {
            assert_eq!(written(&crash(text), &entries), expected, "{text}");
        }
        let step = self::step(&entries[intent].record).unwrap();
        let text = format!("before = 'step-changed'\nstep = '{step}'");
        let changed =
            place(&|record| record.kind() == "step-changed" && self::step(record) == Some(step));
        assert_eq!(written(&crash(&text), &entries), changed);
    }

    #[test]
    fn a_host_that_goes_on_counts_what_was_written_before_it() {
        let entries = stories::failover_and_failback();
        let marked: Vec<usize> = entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.record.kind() == "marked")
            .map(|(place, _)| place)
            .collect();
        let second = [crash("before = 'marked'\nnth = 2")];
        let (known, left) = entries.split_at(marked[0] + 1);
        let deaths = Deaths::watch(&second, known);
        let cut = deaths.cut();
        let mut left = left.iter();
        let died = left
            .position(|entry| cut(entry.seq, &entry.record))
            .unwrap();
        assert_eq!(known.len() + died, marked[1]);
        assert_eq!(deaths.fired(), Some(0));
    }
}
