//! Journals without a disk, for rehearsals and tests. A [`MemoryStore`] outlives its writer: clones share the same
//! entries, so a host that was cut off in the middle can be resumed from what it had written. A [`Forgetful`] one is for
//! a run that nobody will go on with.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::JournalError;
use super::store::{Durability, Seen, Store, StoredEntry};

/// Entries in memory. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    epoch: u64,
    entries: Vec<StoredEntry>,
}

impl Kept {
    fn seen(&self) -> Seen {
        Seen {
            epoch: self.epoch,
            next_seq: u64::try_from(self.entries.len()).unwrap_or(u64::MAX),
        }
    }
}

impl MemoryStore {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is kept at the moment.
    #[must_use]
    pub fn lines(&self) -> Vec<StoredEntry> {
        self.lock().entries.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps nothing: what is written is known to its [`Journal`](super::Journal) alone, for as long as that is open.
#[derive(Debug, Clone, Copy, Default)]
pub struct Forgetful;

impl Store for Forgetful {
    fn read_all(&mut self) -> Result<(Seen, Vec<StoredEntry>), JournalError> {
        Ok((Kept::default().seen(), Vec::new()))
    }

    fn take_over(&mut self, seen: Seen) -> Result<u64, JournalError> {
        Err(JournalError::Fenced { epoch: seen.epoch })
    }

    fn append(&mut self, _: Vec<StoredEntry>, _: Durability) -> Result<(), JournalError> {
        Ok(())
    }
}

impl Store for MemoryStore {
    fn read_all(&mut self) -> Result<(Seen, Vec<StoredEntry>), JournalError> {
        let kept = self.lock();
        Ok((kept.seen(), kept.entries.clone()))
    }

    fn take_over(&mut self, seen: Seen) -> Result<u64, JournalError> {
        let mut kept = self.lock();
        if kept.seen() != seen {
            return Err(JournalError::Fenced { epoch: seen.epoch });
        }
        kept.epoch += 1;
        Ok(kept.epoch)
    }

    fn append(
        &mut self,
        batch: Vec<StoredEntry>,
        _durability: Durability,
    ) -> Result<(), JournalError> {
        let mut kept = self.lock();
        let Some(first) = batch.first() else {
            return Ok(());
        };
        if first.epoch != kept.epoch || first.seq != kept.seen().next_seq {
            return Err(JournalError::Fenced { epoch: first.epoch });
        }
        kept.entries.extend(batch);
        Ok(())
    }
}
