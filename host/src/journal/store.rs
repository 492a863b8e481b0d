//! Where a journal is kept: the seam between the chain and a disk.
//!
//! [`super::sqlite::SqliteStore`] for real runs, [`super::memory::MemoryStore`] for rehearsals and tests. A store
//! keeps lines and fences; it knows nothing of records.

use crate::clock::Instant;

use super::error::JournalError;

/// An entry as it is kept: the record is canonical JSON text, so that its hash never depends on how it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// From 0, without gaps.
    pub seq: u64,
    /// When it was written.
    pub at: Instant,
    /// Epoch of the writer.
    pub epoch: u64,
    /// Canonical JSON.
    pub record: String,
    /// Its place in the chain.
    pub hash: String,
}

/// What must hold once an append is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Written: survives the process (`kill -9`), perhaps not the machine.
    Buffered,
    /// Synced, with everything before it: survives the machine.
    Durable,
}

/// What a reader saw of a journal; a takeover holds only if it is still so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The epoch in force.
    pub epoch: u64,
    /// Number of the next entry.
    pub next_seq: u64,
}

/// Keeps the entries of one run.
pub trait Store: Send {
    /// The epoch in force and every entry, in order.
    ///
    /// # Errors
    /// [`JournalError`] if they cannot be read.
    fn read_all(&mut self) -> Result<(Seen, Vec<StoredEntry>), JournalError>;

    /// Begins the next epoch and returns it: whoever writes in an earlier one is refused from here on.
    ///
    /// # Errors
    /// [`JournalError::Fenced`] if somebody wrote or took over since `seen`.
    fn take_over(&mut self, seen: Seen) -> Result<u64, JournalError>;

    /// Keeps the whole batch or nothing of it. All entries are of one epoch and follow the last one kept.
    ///
    /// # Errors
    /// [`JournalError::Fenced`] if their epoch is over, [`JournalError::Full`] or [`JournalError::Io`] if they cannot
    /// be kept; then none of them counts as written.
    fn append(
        &mut self,
        batch: Vec<StoredEntry>,
        durability: Durability,
    ) -> Result<(), JournalError>;
}
