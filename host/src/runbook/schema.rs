//! The JSON Schema of the runbook format, for editors: published as `docs/runbook.schema.json`.

use serde_json::Value;

use super::raw::RawRunbook;

/// The schema as JSON.
pub(super) fn value() -> Value {
    schemars::schema_for!(RawRunbook).to_value()
}

/// The schema (draft 2020-12) as text, ending in a newline.
#[must_use]
pub fn schema() -> String {
    format!("{:#}\n", value())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With `UNDERSTUDY_BLESS` set, writes the file first: how it is made current after a change of the format.
    #[test]
    fn the_published_schema_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/runbook.schema.json");
        if std::env::var_os("UNDERSTUDY_BLESS").is_some() {
            std::fs::write(path, schema()).unwrap();
        }
        let published = std::fs::read_to_string(path).unwrap();
        assert!(
            published == schema(),
            "not current: run this test with UNDERSTUDY_BLESS=1"
        );
    }
}
