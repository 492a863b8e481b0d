//! The hash chain: what makes a journal a record that cannot be changed quietly.
//!
//! Pure: it sees lines as they are kept and says whether they are the ones that were written. It cannot see that
//! records are missing at the *end*; whoever needs that keeps [`Verified::last_hash`] apart from the journal (a report
//! prints it).

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::record::{Entry, Header, RECORD_VERSION, Record};
use super::store::StoredEntry;
use crate::call::{hash_text, hex};
use crate::clock::Instant;

/// What the first entry takes for the hash before it.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A chain that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Verified {
    /// How many entries it has.
    pub entries: u64,
    /// Hash of the last entry: stands for all of them.
    pub last_hash: String,
}

/// The first entry that does not fit, and what about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Nothing there.
    #[error("it has no records")]
    Empty,
    /// The beginning is missing.
    #[error("entry 0 is not `run-started`")]
    NotStarted,
    /// A beginning in the middle.
    #[error("entry {seq} is a second `run-started`")]
    StartedAgain {
        /// The entry.
        seq: u64,
    },
    /// Records this host does not know.
    #[error("its records have version {found} and this host reads version {RECORD_VERSION}")]
    Version {
        /// The version in the header.
        found: u64,
    },
    /// An entry is missing, doubled or out of place.
    #[error("entry {expected} is missing: entry {found} stands in its place")]
    Gap {
        /// The number that should come.
        expected: u64,
        /// The number that comes.
        found: u64,
    },
    /// Somebody who had lost the run wrote.
    #[error("entry {seq} goes back to epoch {found} after epoch {before}")]
    EpochBackwards {
        /// The entry.
        seq: u64,
        /// Epoch of the entry before.
        before: u64,
        /// Its epoch.
        found: u64,
    },
    /// A new epoch without the record that announces it.
    #[error("entry {seq} begins epoch {found} and is not `run-resumed`")]
    EpochUnannounced {
        /// The entry.
        seq: u64,
        /// Its epoch.
        found: u64,
    },
    /// The entry, or the hash of the one before it, was changed.
    #[error("entry {seq} has hash {recorded} and its content gives {computed}")]
    Hash {
        /// The entry.
        seq: u64,
        /// The hash that is kept.
        recorded: String,
        /// The hash it should have.
        computed: String,
    },
    /// Not a record of this version.
    #[error("entry {seq} cannot be read: {why}")]
    Record {
        /// The entry.
        seq: u64,
        /// What does not fit.
        why: String,
    },
}

/// The hash of an entry: SHA-256 over the hash before it and the canonical JSON of `[seq, at, epoch, record]`.
///
/// `record` is that JSON's fourth element as it is kept.
#[must_use]
pub fn hash(previous: &str, seq: u64, at: Instant, epoch: u64, record: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(previous.as_bytes());
    hash_text(&mut hasher, format_args!("[{seq},{},{epoch},", at.0));
    hasher.update(record.as_bytes());
    hasher.update(b"]");
    hex(&hasher.finalize())
}

/// Checks a whole journal.
///
/// # Errors
/// [`ChainError`] names the first entry that does not fit.
pub fn verify(lines: &[StoredEntry]) -> Result<Verified, ChainError> {
    read(lines).map(|(_, verified)| verified)
}

/// Checks a whole journal and returns its entries.
///
/// # Errors
/// As [`verify`].
pub fn read(lines: &[StoredEntry]) -> Result<(Vec<Entry>, Verified), ChainError> {
    check_version(lines.first().ok_or(ChainError::Empty)?)?;
    let mut entries: Vec<Entry> = Vec::with_capacity(lines.len());
    let mut expected = 0;
    for line in lines {
        if line.seq != expected {
            return Err(ChainError::Gap {
                expected,
                found: line.seq,
            });
        }
        let entry = check(entries.last(), line)?;
        entries.push(entry);
        expected += 1;
    }
    let last_hash = entries
        .last()
        .map_or_else(String::new, |last| last.hash.clone());
    Ok((
        entries,
        Verified {
            entries: expected,
            last_hash,
        },
    ))
}

/// The header, without looking at anything else.
///
/// # Errors
/// [`ChainError`] if `first` is not the first entry of a journal of this version.
pub fn header(first: &StoredEntry) -> Result<Header, ChainError> {
    check_version(first)?;
    match serde_json::from_str(&first.record) {
        Ok(Record::RunStarted(header)) => Ok(*header),
        Ok(_) => Err(ChainError::NotStarted),
        Err(error) => Err(unread(0, &error)),
    }
}

/// The version comes first: a record of a later version may have another shape and another hash.
fn check_version(first: &StoredEntry) -> Result<(), ChainError> {
    let record: Value = serde_json::from_str(&first.record).map_err(|error| unread(0, &error))?;
    if record.get("type").and_then(Value::as_str) != Some("run-started") {
        return Err(ChainError::NotStarted);
    }
    match record.pointer("/body/version").and_then(Value::as_u64) {
        Some(version) if version == u64::from(RECORD_VERSION) => Ok(()),
        found => Err(ChainError::Version {
            found: found.unwrap_or(0),
        }),
    }
}

fn check(before: Option<&Entry>, line: &StoredEntry) -> Result<Entry, ChainError> {
    let seq = line.seq;
    let previous = before.map_or(GENESIS, |entry| entry.hash.as_str());
    let computed = hash(previous, seq, line.at, line.epoch, &line.record);
    if computed != line.hash {
        return Err(ChainError::Hash {
            seq,
            recorded: line.hash.clone(),
            computed,
        });
    }
    let record: Record = serde_json::from_str(&line.record).map_err(|error| unread(seq, &error))?;
    if before.is_some() && matches!(record, Record::RunStarted(_)) {
        return Err(ChainError::StartedAgain { seq });
    }
    let epoch_before = before.map_or(line.epoch, |entry| entry.epoch);
    if line.epoch < epoch_before {
        return Err(ChainError::EpochBackwards {
            seq,
            before: epoch_before,
            found: line.epoch,
        });
    }
    if line.epoch > epoch_before && !matches!(record, Record::RunResumed { .. }) {
        return Err(ChainError::EpochUnannounced {
            seq,
            found: line.epoch,
        });
    }
    Ok(Entry {
        seq,
        at: line.at,
        epoch: line.epoch,
        record,
        hash: computed,
    })
}

fn unread(seq: u64, error: &serde_json::Error) -> ChainError {
    ChainError::Record {
        seq,
        why: error.to_string(),
    }
}
