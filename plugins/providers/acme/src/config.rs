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
    addresses: BTreeMap<String, String>,
    #[serde(default = "primary")]
    pub(crate) name_servers: Vec<String>,
    #[serde(default = "minute")]
    pub(crate) proof_ttl_seconds: u32,
    #[serde(default = "test")]
    pub(crate) test_name: String,
    #[serde(default)]
    pub(crate) deploy: Option<Deploy>,
}

/// What makes a site serve what was issued.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Deploy {
    pub(crate) program: String,
    #[serde(default)]
    arguments: Vec<String>,
}

impl Config {
    /// Reads the configuration.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// Where a site serves TLS.
    pub(crate) fn authority(&self, site: &str) -> Result<&str, Error> {
        self.addresses.get(site).map(String::as_str).ok_or_else(|| {
            Error::Invalid(format!(
                "no address for site `{site}` under `addresses` of the acme binding"
            ))
        })
    }
}

impl Deploy {
    /// The program's arguments for a certificate of a site.
    pub(crate) fn arguments(&self, site: &str, name: &str) -> Vec<String> {
        let filled = self.arguments.iter();
        filled
            .map(|argument| argument.replace("{site}", site).replace("{name}", name))
            .collect()
    }
}

fn primary() -> Vec<String> {
    vec!["primary".to_owned()]
}

fn minute() -> u32 {
    60
}

fn test() -> String {
    "understudy-test".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_schema_are_configurations() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let examples = schema["examples"].as_array().unwrap();
        let read = |example: &serde_json::Value| Config::parse(&example.to_string()).unwrap();
        let configs: Vec<Config> = examples.iter().map(read).collect();
        assert_eq!(
            configs[0].authority("bz").unwrap(),
            "lb.bz.example.test:443"
        );
        assert!(matches!(configs[1].authority("pz"), Err(Error::Invalid(_))));
        let deploy = configs[1].deploy.as_ref().unwrap();
        assert_eq!(deploy.arguments("bz", "wordpress"), ["bz", "wordpress"]);
    }
}
