//! The binding's configuration, and what it says about a site and a database. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::mysql::heartbeat::Heartbeat;
use understudy_sdk::mysql::migrations::Migration;
use understudy_sdk::mysql::schema_name;
use understudy_sdk::provider::base_address;

use crate::cluster::Source;

/// JSON Schema of [`Config`], as `describe` answers it.
pub(crate) const SCHEMA: &str = include_str!("config.schema.json");

/// See `config.schema.json` for what each field means.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Config {
    #[serde(default = "public_api")]
    pub(crate) server: String,
    pub(crate) clusters: BTreeMap<String, Spec>,
    #[serde(default = "version")]
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) endpoint: Endpoint,
    #[serde(default)]
    pub(crate) may_destroy: bool,
    #[serde(default)]
    schemas: BTreeMap<String, String>,
    #[serde(default)]
    connections: BTreeMap<String, String>,
    #[serde(default)]
    client_connections: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) heartbeat: Option<Heartbeat>,
    #[serde(default)]
    pub(crate) migrations: Vec<Migration>,
    #[serde(default = "api")]
    pub(crate) credential: String,
    #[serde(default = "poll_after_ms")]
    pub(crate) poll_after_ms: u64,
}

/// What a site has, or shall have.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) region: String,
    pub(crate) size: String,
    #[serde(default = "one")]
    pub(crate) nodes: u8,
    #[serde(default)]
    pub(crate) private_network: Option<String>,
    pub(crate) trusted_sources: Vec<Source>,
    #[serde(default = "nobody")]
    pub(crate) fence_sources: Vec<Source>,
}

/// Which address the application is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Endpoint {
    /// Inside the VPC.
    #[default]
    Private,
    /// From anywhere.
    Public,
}

impl Config {
    /// Reads the configuration. A site's name, and whom its fence lets in, must be its own.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut config: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        config.server = base_address(config.server);
        let mut names: Vec<&str> = config
            .clusters
            .values()
            .map(|spec| spec.name.as_str())
            .collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err("two sites have a cluster of the same name".to_owned());
        }
        for (site, spec) in &config.clusters {
            for (what, sources) in [
                ("trusted", &spec.trusted_sources),
                ("fence", &spec.fence_sources),
            ] {
                if sources.is_empty() {
                    return Err(format!(
                        "`{what}-sources` of {site} are empty, which lets everybody in"
                    ));
                }
            }
            if Source::are_same(&spec.trusted_sources, &spec.fence_sources) {
                return Err(format!(
                    "`trusted-sources` and `fence-sources` of {site} are the same: that is no fence"
                ));
            }
        }
        Ok(config)
    }

    /// What a site has.
    pub(crate) fn spec(&self, site: &str) -> Result<&Spec, Error> {
        self.clusters.get(site).ok_or_else(|| {
            Error::Invalid(format!(
                "no entry for site `{site}` under `clusters` of the digitalocean binding"
            ))
        })
    }

    /// Connection of the administering user; none where none is bound.
    pub(crate) fn connection(&self, site: &str) -> Option<&str> {
        self.connections.get(site).map(String::as_str)
    }

    /// As [`connection`](Self::connection), for what cannot be done without.
    pub(crate) fn needed_connection(&self, site: &str, what: &str) -> Result<&str, Error> {
        self.connection(site).ok_or_else(|| {
            Error::Invalid(format!(
                "{what} needs SQL, and site `{site}` has no entry under `connections` of the digitalocean binding"
            ))
        })
    }

    /// Connection of an ordinary client; the administering user's where none is bound.
    pub(crate) fn client_connection(&self, site: &str) -> Option<&str> {
        let client = self.client_connections.get(site).map(String::as_str);
        client.or_else(|| self.connection(site))
    }

    /// Schema of a database.
    pub(crate) fn schema<'a>(&'a self, database: &'a str) -> Result<&'a str, Error> {
        schema_name(self.schemas.get(database).map_or(database, String::as_str))
    }
}

fn public_api() -> String {
    "https://api.digitalocean.com".to_owned()
}

fn version() -> String {
    "8".to_owned()
}

fn api() -> String {
    "api".to_owned()
}

fn poll_after_ms() -> u64 {
    10_000
}

fn one() -> u8 {
    1
}

/// An address of TEST-NET-1 (RFC 5737).
fn nobody() -> Vec<Source> {
    vec![Source {
        kind: "ip_addr".to_owned(),
        value: "192.0.2.1".to_owned(),
    }]
}

#[cfg(test)]
pub(crate) fn example() -> Config {
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    Config::parse(&schema["examples"][0].to_string()).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_schema_is_a_configuration() {
        let config = example();
        assert_eq!(config.spec("bz").unwrap().name, "wordpress-bz");
        assert_eq!(config.spec("bz").unwrap().fence_sources, nobody());
        assert_eq!(config.client_connection("bz"), Some("bz-client"));
        assert!(matches!(config.spec("cz"), Err(Error::Invalid(_))));
        assert!(config.schema("a`b").is_err());
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let properties = &schema["properties"];
        assert_eq!(properties["server"]["default"], config.server);
        assert_eq!(properties["poll-after-ms"]["default"], poll_after_ms());
    }

    #[test]
    fn what_would_fence_nobody_is_refused() {
        let text = |trusted: &str, fence: &str| {
            format!(
                r#"{{"clusters":{{"pz":{{"name":"a","region":"fra1","size":"s","trusted-sources":{trusted},"fence-sources":{fence}}}}}}}"#
            )
        };
        let one = r#"[{"type":"tag","value":"a"}]"#;
        let other = r#"[{"type":"tag","value":"b"}]"#;
        assert!(Config::parse(&text(one, other)).is_ok());
        for (trusted, fence) in [("[]", one), (one, "[]"), (one, one)] {
            assert!(
                Config::parse(&text(trusted, fence)).is_err(),
                "{trusted} {fence}"
            );
        }
    }
}
