//! The binding's configuration.

use serde::Deserialize;
use understudy_sdk::provider::base_address;
use understudy_sdk::records::normal_name;

/// JSON Schema of [`Config`], as `describe` answers it.
pub(crate) const SCHEMA: &str = include_str!("config.schema.json");

/// See `config.schema.json` for what each field means.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Config {
    #[serde(default = "public_api")]
    pub(crate) server: String,
    pub(crate) zone: String,
    #[serde(default)]
    pub(crate) zone_id: Option<String>,
    #[serde(default)]
    pub(crate) plan: Option<String>,
    #[serde(default)]
    pub(crate) purge_everything: bool,
    #[serde(default = "api")]
    pub(crate) credential: String,
}

impl Config {
    /// Reads and normalises the configuration: lower case, no last dot, no last slash.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut config: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        config.zone = normal_name(&config.zone)
            .ok_or_else(|| format!("zone `{}` is not a DNS name", config.zone))?;
        config.server = base_address(config.server);
        Ok(config)
    }
}

fn public_api() -> String {
    "https://api.cloudflare.com/client/v4".to_owned()
}

fn api() -> String {
    "api".to_owned()
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
        let default = &schema["properties"]["server"]["default"];
        assert_eq!(*default, public_api());
    }

    #[test]
    fn a_zone_is_normalised_and_an_unknown_key_refused() {
        let config =
            Config::parse(r#"{"server":"https://d.test/v4/","zone":"Example.Test."}"#).unwrap();
        assert_eq!(
            (config.zone.as_str(), config.server.as_str()),
            ("example.test", "https://d.test/v4")
        );
        assert!(Config::parse(r#"{"zone":"a","zones":"b"}"#).is_err());
        assert!(Config::parse(r#"{"zone":"a b"}"#).is_err());
    }
}
