//! Campaigns: one rehearsal many times, with other seeds and other troubles, over the cores.
//!
//! Start at [`Campaign::run`]. A run of a campaign is an ordinary rehearsal: the same seed with the same troubles gives
//! the same journal whether it runs alone or beside others, on one thread or on many. What is kept of a run is its
//! [`Outcome`]; its journal is dropped with it. [`summary`] adds outcomes up, [`shrink`] makes a broken run small,
//! [`html`] and [`junit`] show the result.

pub mod html;
pub mod junit;
pub mod outcome;
pub mod path;
pub mod random;
pub mod shrink;
pub mod summary;
pub mod trouble;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::driver::{Rehearsal, RehearsalError, Rehearsed, Switches};
use super::scenario::{Scenario, ScenarioError};
use crate::journal::JournalError;
use crate::journal::memory::{Forgetful, MemoryStore};
use crate::journal::store::Store;
use crate::name::InvalidName;
use crate::plugin::limits::STRATEGIES_AT_ONCE;
use crate::prepare::PrepareErrors;
use outcome::Outcome;
use trouble::{Trouble, Troubles};

/// Most runs of one campaign: what is kept of each takes about a kilobyte.
pub const MAX_RUNS: u64 = 1_000_000;

/// Outcomes that wait per thread for an earlier one: what varies is how long a run takes.
const WAITING_PER_THREAD: usize = 16;

/// A campaign, ready to run.
#[derive(Clone)]
pub struct Campaign {
    /// What is rehearsed. Its scenario is the one without troubles; its seed does not matter.
    pub rehearsal: Rehearsal,
    /// The scenario as it is written.
    pub scenario_text: String,
    /// One run each.
    pub seeds: Range<u64>,
    /// How many runs go on at once, at most.
    pub threads: NonZeroUsize,
    /// What goes wrong beyond the scenario.
    pub troubles: Troubles,
}

/// Why a campaign, or one run of it, has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum CampaignError {
    /// The scenario cannot have the troubles.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The world does not serve what the plan uses.
    #[error(transparent)]
    Prepare(#[from] PrepareErrors),
    /// The rehearsal has no outcome.
    #[error(transparent)]
    Rehearsal(#[from] RehearsalError),
    /// The parts of a run's name make no name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A bug of the host.
    #[error("the host panicked; what it said is on stderr")]
    Panicked,
    /// The system gives no thread.
    #[error("no thread for rehearsals: {0}")]
    Thread(#[from] std::io::Error),
    /// A thread ended before its work did.
    #[error("a thread of the campaign died; {done} of {wanted} rehearsals have an outcome")]
    Died {
        /// Rehearsals that have an outcome.
        done: u64,
        /// Rehearsals that were wanted.
        wanted: u64,
    },
}

impl Campaign {
    /// Checks that the world serves what the plan uses and that the scenario can have every trouble.
    ///
    /// # Errors
    /// [`CampaignError`].
    pub fn check(&self) -> Result<(), CampaignError> {
        self.rehearsal.check()?;
        let all = self.troubles.all();
        if !all.is_empty() {
            trouble::troubled(&self.scenario_text, &all)?;
        }
        Ok(())
    }

    /// The rehearsal of this seed with these troubles.
    ///
    /// # Errors
    /// [`CampaignError`] if the scenario cannot have them.
    pub fn rehearsal(&self, seed: u64, troubles: &[Trouble]) -> Result<Rehearsal, CampaignError> {
        let scenario = if troubles.is_empty() {
            Arc::clone(&self.rehearsal.scenario)
        } else {
            Arc::new(self.scenario(troubles)?)
        };
        Ok(self.rehearsal.with_seed(seed, scenario)?)
    }

    fn scenario(&self, troubles: &[Trouble]) -> Result<Scenario, ScenarioError> {
        trouble::troubled(&self.scenario_text, troubles)
    }

    /// One run, with a journal in memory. What its host would read after it had died is kept only where it dies.
    ///
    /// # Errors
    /// [`CampaignError`] where it has no outcome.
    pub fn rehearse(&self, seed: u64, troubles: &[Trouble]) -> Result<Rehearsed, CampaignError> {
        let rehearsal = self.rehearsal(seed, troubles)?;
        let store = MemoryStore::new();
        let is_read_back = !rehearsal.scenario.crashes.is_empty();
        let mut open = || -> Result<Box<dyn Store>, JournalError> {
            Ok(match is_read_back {
                true => Box::new(store.clone()),
                false => Box::new(Forgetful),
            })
        };
        Ok(rehearsal.perform(&mut open, &Switches::default())?)
    }

    /// The outcome of one run.
    #[must_use]
    pub fn outcome(&self, seed: u64, troubles: Vec<Trouble>) -> Outcome {
        // A bug that one seed in a thousand finds must not cost the other outcomes. Nothing is shared with the next run.
        let rehearsed = catch_unwind(AssertUnwindSafe(|| self.rehearse(seed, &troubles)));
        match rehearsed.unwrap_or(Err(CampaignError::Panicked)) {
            Ok(rehearsed) => Outcome::of(seed, troubles, &rehearsed),
            Err(error) => Outcome::none(seed, troubles, &error),
        }
    }

    /// Runs every seed. `each` is given the outcomes in the order of the seeds, on the caller's thread.
    ///
    /// # Errors
    /// [`CampaignError`] if threads cannot be had or die; a run without an outcome is an outcome that says so.
    pub fn run(&self, each: &mut dyn FnMut(Outcome)) -> Result<(), CampaignError> {
        let next = AtomicU64::new(self.seeds.start);
        let threads = self.at_once();
        let (sender, receiver) = sync_channel(threads * WAITING_PER_THREAD);
        let wanted = self.seeds.end.saturating_sub(self.seeds.start);
        let done = std::thread::scope(|scope| {
            let mut workers = Vec::new();
            for _ in 0..threads {
                let sender = sender.clone();
                let work = || self.work(&next, sender);
                let worker = std::thread::Builder::new().name("rehearsals".to_owned());
                workers.push(worker.spawn_scoped(scope, work)?);
            }
            drop(sender);
            let done = in_order(self.seeds.start, &receiver, each);
            // A thread that panicked has said so; what it leaves undone is counted below.
            workers.into_iter().for_each(|worker| drop(worker.join()));
            Ok::<u64, std::io::Error>(done)
        })?;
        if done < wanted {
            return Err(CampaignError::Died { done, wanted });
        }
        Ok(())
    }

    /// How many runs go on at once: as many as wanted, but no more than there is room for where every step of each has an
    /// instance of its strategy.
    #[must_use]
    pub fn at_once(&self) -> usize {
        let steps = self.rehearsal.prepared.plan.steps.len().max(1);
        let room = usize::try_from(STRATEGIES_AT_ONCE).unwrap_or(usize::MAX) / steps;
        self.threads.get().min(room.max(1))
    }

    /// Takes seeds until there are none, or nobody listens.
    fn work(&self, next: &AtomicU64, outcomes: SyncSender<Outcome>) {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.seeds.end {
                return;
            }
            let outcome = self.outcome(seed, self.troubles.draw(seed));
            if outcomes.send(outcome).is_err() {
                return;
            }
        }
    }
}

/// Hands outcomes on in the order of their seeds. Answers how many there were.
fn in_order(first: u64, outcomes: &Receiver<Outcome>, each: &mut dyn FnMut(Outcome)) -> u64 {
    let mut early: BTreeMap<u64, Outcome> = BTreeMap::new();
    let mut next = first;
    for outcome in outcomes {
        early.insert(outcome.seed, outcome);
        while let Some(outcome) = early.remove(&next) {
            next += 1;
            each(outcome);
        }
    }
    next - first
}
