//! What an exported journal says.

use serde_json::Value;

/// Records of an exported journal.
pub(crate) fn records(journal: &str) -> Vec<Value> {
    let lines = journal
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .map(|line| match &line["record"] {
            Value::String(text) => serde_json::from_str(text).unwrap(),
            record => record.clone(),
        })
        .collect()
}
