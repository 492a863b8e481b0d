//! A journal as one file for people who have nothing else: JSON Lines, one entry per line, in order.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::chain::{self, Verified};
use super::error::JournalError;
use super::record::Entry;
use super::store::StoredEntry;
use crate::canonical;
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

/// The journal as JSON Lines, from its lines as they are kept ([`super::runs::Runs::lines`]): records are copied, not
/// read and written again, so that their hashes hold in whatever version of the host exports them.
#[must_use]
pub fn export(lines: &[StoredEntry]) -> String {
    let mut text = String::new();
    for line in lines {
        let StoredEntry {
            seq,
            at,
            epoch,
            record,
            hash,
        } = line;
        // Names in the order of the alphabet, as everywhere in canonical JSON. A hash has only hexadecimal digits.
        text.push_str(&format!(
            "{{\"at\":{},\"epoch\":{epoch},\"hash\":\"{hash}\",\"record\":{record},\"seq\":{seq}}}\n",
            at.0
        ));
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
            record: canonical::value(&line.record),
            hash: line.hash,
        });
    }
    Ok(chain::read(&lines)?)
}
