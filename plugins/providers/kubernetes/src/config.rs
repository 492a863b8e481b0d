//! The binding's configuration. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use understudy_sdk::kubernetes::Cluster;

/// JSON Schema of [`Config`], as `describe` answers it.
pub(crate) const SCHEMA: &str = include_str!("config.schema.json");

/// See `config.schema.json` for what each field means.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Config {
    #[serde(default)]
    clusters: BTreeMap<String, String>,
}

impl Config {
    /// Reads the configuration.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// The cluster of a site.
    pub(crate) fn cluster<'c>(&'c self, site: &'c str) -> Cluster<'c> {
        Cluster::of_site(&self.clusters, site)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_schema_names_a_cluster_and_other_sites_are_their_own() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let config = Config::parse(&schema["examples"][0].to_string()).unwrap();
        assert_eq!(config.cluster("bz").0, "backup");
        assert_eq!(config.cluster("pz").0, "pz");
        assert_eq!(Config::parse("{}").unwrap().cluster("bz").0, "bz");
        assert!(Config::parse(r#"{ "cluster": {} }"#).is_err());
    }
}
