//! The binding's configuration. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use understudy_sdk::host::understudy::types::types::Error;

/// JSON Schema of [`Config`], as `describe` answers it.
pub(crate) const SCHEMA: &str = include_str!("config.schema.json");

/// See `config.schema.json` for what each field means.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Config {
    sites: BTreeMap<String, String>,
    #[serde(default)]
    now_from: Option<String>,
}

impl Config {
    /// Reads the configuration.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// Where a site serves TLS.
    pub(crate) fn authority(&self, site: &str) -> Result<&str, Error> {
        self.sites.get(site).map(String::as_str).ok_or_else(|| {
            Error::Invalid(format!(
                "no address for site `{site}` under `sites` of the served-tls binding"
            ))
        })
    }

    /// Where the time is read.
    pub(crate) fn now_from(&self) -> Result<&str, Error> {
        self.now_from.as_deref().ok_or_else(|| {
            Error::Invalid(
                "a provider has no clock: to judge how long a certificate is still valid, give the served-tls binding \
                 `now-from`, an address whose `Date` header tells the time"
                    .to_owned(),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_schema_are_configurations() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let config = Config::parse(&schema["examples"][0].to_string()).unwrap();
        assert_eq!(config.authority("bz").unwrap(), "lb.bz.example.test:443");
        assert!(matches!(config.authority("cz"), Err(Error::Invalid(_))));
        assert!(config.now_from().is_ok());
        assert!(
            Config::parse(r#"{"sites":{"pz":"a:1"}}"#)
                .unwrap()
                .now_from()
                .is_err()
        );
    }
}
