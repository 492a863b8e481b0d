//! The binding's configuration.

use serde::Deserialize;

/// JSON Schema of [`Config`], as `describe` answers it.
pub(crate) const SCHEMA: &str = include_str!("config.schema.json");

/// See `config.schema.json` for what each field means.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Config {
    #[serde(default = "primary")]
    pub(crate) server: String,
    #[serde(default)]
    pub(crate) secondaries: Vec<String>,
    #[serde(default = "one")]
    pub(crate) min_ttl_seconds: u32,
}

impl Config {
    /// Reads the configuration.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }
}

fn primary() -> String {
    "primary".to_owned()
}

fn one() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_schema_are_configurations() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let examples = schema["examples"].as_array().unwrap();
        assert!(!examples.is_empty());
        for example in examples {
            Config::parse(&example.to_string()).unwrap();
        }
        assert!(Config::parse(r#"{"zone":"example.test"}"#).is_err());
    }
}
