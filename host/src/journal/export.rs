//! A journal as one file for people who have nothing else: JSON Lines, one entry per line, in order.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::chain::{self, Verified};
use super::error::JournalError;
use super::record::Entry;
use super::store::StoredEntry;
use crate::call::canonical;
use crate::clock::Instant;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Line {
    seq: u64,
    at: Instant,
    epoch: u64,
    record: Value,
    hash: String,
}

/// The entries as JSON Lines. Equal entries give equal bytes.
#[must_use]
pub fn export(entries: &[Entry]) -> String {
    let mut text = String::new();
    for entry in entries {
        // An entry of a journal has been written as JSON before, so it can be again.
        if let Ok(value) = serde_json::to_value(entry) {
            text.push_str(&canonical(&value));
            text.push('\n');
        }
    }
    text
}

/// Reads what [`export`] wrote and checks its chain: all an auditor needs.
///
/// # Errors
/// [`JournalError::Import`] names a line that is not an entry, [`JournalError::Chain`] the first entry that was changed.
pub fn import(text: &str) -> Result<(Vec<Entry>, Verified), JournalError> {
    let mut lines = Vec::new();
    for (index, text) in text.lines().enumerate() {
        let line: Line = serde_json::from_str(text).map_err(|error| JournalError::Import {
            line: index + 1,
            source: Arc::new(error),
        })?;
        lines.push(StoredEntry {
            seq: line.seq,
            at: line.at,
            epoch: line.epoch,
            record: canonical(&line.record),
            hash: line.hash,
        });
    }
    Ok(chain::read(&lines)?)
}
