//! The JSON Schemas of the files that users write, for editors: published as `docs/runbook.schema.json` and
//! `docs/conformance.schema.json`.

use schemars::JsonSchema;
use serde_json::Value;

use super::raw::RawRunbook;
use super::raw_against::RawAgainst;

/// The schema of a runbook as JSON.
pub(super) fn value() -> Value {
    schemars::schema_for!(RawRunbook).to_value()
}

/// The schema of a runbook (draft 2020-12) as text, ending in a newline.
#[must_use]
pub fn of_runbook() -> String {
    text::<RawRunbook>()
}

/// The schema of what a provider is tested against (draft 2020-12) as text, ending in a newline.
#[must_use]
pub fn of_conformance() -> String {
    text::<RawAgainst>()
}

fn text<T: JsonSchema>() -> String {
    format!("{:#}\n", schemars::schema_for!(T).to_value())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With `UNDERSTUDY_BLESS` set, writes the files first: how they are made current after a change of a format.
    #[test]
    fn the_published_schemas_are_current() {
        for (name, schema) in [("runbook", of_runbook()), ("conformance", of_conformance())] {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");
            let path = format!("{folder}/{name}.schema.json");
            if std::env::var_os("UNDERSTUDY_BLESS").is_some() {
                std::fs::write(&path, &schema).unwrap();
            }
            let published = std::fs::read_to_string(path).unwrap();
            assert!(
                published == schema,
                "{name}: not current: run this test with UNDERSTUDY_BLESS=1"
            );
        }
    }
}
