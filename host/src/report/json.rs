//! The report as JSON: the model as it is, keys in kebab-case, times in milliseconds since the epoch, durations in
//! milliseconds with `-ms` last in the name.

use super::model::Report;

/// Pretty-printed, with a line break at the end.
///
/// # Errors
/// Those of `serde_json`; none for a report made from a journal.
pub fn render(report: &Report) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    Ok(text)
}
