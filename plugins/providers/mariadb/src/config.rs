//! The binding's configuration, and what it says about a site and a database. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use understudy_sdk::host::understudy::types::types::Error;

use crate::session::heartbeat::Heartbeat;
use crate::session::migrations::Migration;
use crate::session::{is_plain, schema_name};

/// JSON Schema of [`Config`], as `describe` answers it.
pub(crate) const SCHEMA: &str = include_str!("config.schema.json");

/// See `config.schema.json` for what each field means.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Config {
    connections: BTreeMap<String, String>,
    #[serde(default)]
    client_connections: BTreeMap<String, String>,
    #[serde(default)]
    endpoints: BTreeMap<String, String>,
    #[serde(default)]
    schemas: BTreeMap<String, String>,
    #[serde(default)]
    replication: Option<Replication>,
    #[serde(default)]
    backups: Option<Backups>,
    #[serde(default)]
    pub(crate) heartbeat: Option<Heartbeat>,
    #[serde(default)]
    pub(crate) migrations: Vec<Migration>,
}

/// Which programs of the binding take and restore backups.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Backups {
    sites: BTreeMap<String, SitePrograms>,
    #[serde(default)]
    kept_logs: Option<KeptLogs>,
}

/// The programs for one server.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct SitePrograms {
    dump: String,
    client: String,
    #[serde(default)]
    logs: Option<String>,
}

/// Binary logs that are copied into the folder of the dumps while they are written.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct KeptLogs {
    program: String,
    prefixes: BTreeMap<String, String>,
}

/// How a replica reaches its source.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Replication {
    pub(crate) user: String,
    #[serde(default)]
    pub(crate) credential: Option<String>,
    #[serde(default)]
    addresses: BTreeMap<String, String>,
    #[serde(default = "yes")]
    pub(crate) tls: bool,
    #[serde(default)]
    pub(crate) ssl_ca: Option<String>,
    #[serde(default)]
    pub(crate) ssl_cert: Option<String>,
    #[serde(default)]
    pub(crate) ssl_key: Option<String>,
}

impl Config {
    /// Reads the configuration and checks what ends up inside a statement: nothing there may need escaping.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let config: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut plain: Vec<&str> = config.schemas.values().map(String::as_str).collect();
        if let Some(heartbeat) = &config.heartbeat {
            plain.extend([heartbeat.table.as_str(), heartbeat.column.as_str()]);
        }
        if let Some(replication) = &config.replication {
            plain.push(&replication.user);
            plain.extend(replication.credential.as_deref());
            plain.extend(replication.ssl_ca.as_deref());
            plain.extend(replication.ssl_cert.as_deref());
            plain.extend(replication.ssl_key.as_deref());
            plain.extend(replication.addresses.values().map(String::as_str));
        }
        match plain.iter().find(|text| !is_plain(text)) {
            Some(text) => Err(format!(
                "`{text}` holds characters that have no place in a name, path or address"
            )),
            None => Ok(config),
        }
    }

    /// Connection of the administering user.
    pub(crate) fn connection(&self, site: &str) -> Result<&str, Error> {
        self.connections
            .get(site)
            .map(String::as_str)
            .ok_or_else(|| {
                Error::Invalid(format!(
                    "no entry for site `{site}` under `connections` of the mariadb binding"
                ))
            })
    }

    /// Connection of an ordinary client; the administering user's where none is configured.
    pub(crate) fn client_connection(&self, site: &str) -> Result<&str, Error> {
        match self.client_connections.get(site) {
            Some(connection) => Ok(connection),
            None => self.connection(site),
        }
    }

    /// The sites other than this one.
    pub(crate) fn other_sites<'a>(&'a self, site: &'a str) -> impl Iterator<Item = &'a str> {
        self.connections
            .keys()
            .map(String::as_str)
            .filter(move |other| *other != site)
    }

    /// Address for the application, where one is configured.
    pub(crate) fn endpoint(&self, site: &str) -> Option<&str> {
        self.endpoints.get(site).map(String::as_str)
    }

    /// Schema of a database of the runbook.
    pub(crate) fn schema<'a>(&'a self, database: &'a str) -> Result<&'a str, Error> {
        let schema = self.schemas.get(database).map_or(database, String::as_str);
        schema_name(schema)
    }

    /// Every schema that is this provider's business: the configured ones and the one asked for.
    pub(crate) fn known_schemas(&self, schema: &str) -> Vec<String> {
        let mut known: Vec<_> = self.schemas.values().cloned().collect();
        known.push(schema.to_owned());
        known.sort();
        known.dedup();
        known
    }

    /// Program that dumps the server of a site.
    pub(crate) fn dump_program(&self, site: &str) -> Result<&str, Error> {
        self.site_programs(site)
            .map(|programs| programs.dump.as_str())
    }

    /// Program that sends statements to the server of a site.
    pub(crate) fn client_program(&self, site: &str) -> Result<&str, Error> {
        self.site_programs(site)
            .map(|programs| programs.client.as_str())
    }

    /// Program that reads the binary logs of the server of a site.
    pub(crate) fn logs_program(&self, site: &str) -> Option<&str> {
        let programs = self.backups.as_ref()?.sites.get(site)?;
        programs.logs.as_deref()
    }

    /// Program that reads kept binary logs, and how the names of a site's begin.
    pub(crate) fn kept_logs(&self, site: &str) -> Option<(&str, &str)> {
        let kept = self.backups.as_ref()?.kept_logs.as_ref()?;
        let prefix = kept.prefixes.get(site)?;
        Some((kept.program.as_str(), prefix.as_str()))
    }

    fn site_programs(&self, site: &str) -> Result<&SitePrograms, Error> {
        let programs = self
            .backups
            .as_ref()
            .and_then(|backups| backups.sites.get(site));
        programs.ok_or_else(|| {
            Error::Invalid(format!(
                "no entry for site `{site}` under `backups.sites` of the mariadb binding: name the programs that dump and restore its server"
            ))
        })
    }

    /// How replicas reach their source.
    pub(crate) fn replication(&self) -> Result<&Replication, Error> {
        self.replication.as_ref().ok_or_else(|| {
            Error::Invalid(
                "the mariadb binding has no `replication`: name its user and credential slot"
                    .to_owned(),
            )
        })
    }
}

impl Replication {
    /// Address for replication, where one is configured.
    pub(crate) fn address(&self, site: &str) -> Option<&str> {
        self.addresses.get(site).map(String::as_str)
    }
}

fn yes() -> bool {
    true
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
        assert_eq!(config.connection("pz").unwrap(), "pz");
        assert_eq!(config.client_connection("bz").unwrap(), "bz-client");
        assert_eq!(config.other_sites("pz").collect::<Vec<_>>(), ["bz"]);
        assert!(matches!(config.connection("cz"), Err(Error::Invalid(_))));
    }

    #[test]
    fn what_would_need_escaping_is_refused() {
        for bad in [
            r#"{"connections":{"pz":"pz"},"replication":{"user":"r'--"}}"#,
            r#"{"connections":{"pz":"pz"},"replication":{"user":"r","credential":"x}${credential:y"}}"#,
            r#"{"connections":{"pz":"pz"},"schemas":{"a":"b`c"}}"#,
            r#"{"connections":{"pz":"pz"},"unknown":1}"#,
        ] {
            assert!(Config::parse(bad).is_err(), "{bad}");
        }
        assert!(example().schema("a`b").is_err());
        assert_eq!(example().schema("shop").unwrap(), "shop");
    }
}
