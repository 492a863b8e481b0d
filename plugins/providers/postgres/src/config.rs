//! The binding's configuration, and what it says about a site and a database. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::migrations::Migration;

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
    databases: BTreeMap<String, String>,
    #[serde(default)]
    servers: BTreeMap<String, ServerPrograms>,
    #[serde(default)]
    backups: BTreeMap<String, BackupPrograms>,
    #[serde(default)]
    pub(crate) heartbeat: Option<Heartbeat>,
    #[serde(default)]
    pub(crate) migrations: Vec<Migration>,
}

/// A table that is written all the time.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Heartbeat {
    pub(crate) table: String,
    pub(crate) column: String,
}

/// Programs of the binding that act on the server of a site.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct ServerPrograms {
    pub(crate) stop: String,
    pub(crate) restart: String,
    pub(crate) standby: String,
    #[serde(default)]
    pub(crate) clear: Option<String>,
    #[serde(default)]
    address: Option<String>,
    #[serde(default)]
    follow: BTreeMap<String, FollowPrograms>,
}

/// Programs that make the server of a site a copy of another's.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct FollowPrograms {
    pub(crate) rewind: String,
    pub(crate) seed: String,
}

/// Programs that take a backup of the server of a site, and put one back.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct BackupPrograms {
    pub(crate) take: String,
    pub(crate) unpack: String,
    pub(crate) detach: String,
    #[serde(default)]
    pub(crate) archive: Option<ArchivePrograms>,
}

/// Programs by which a restored server goes on from a backup, through what was archived of the log.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct ArchivePrograms {
    pub(crate) list: String,
    pub(crate) target: String,
}

impl Config {
    /// Reads the configuration.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// Connection of the administering user.
    pub(crate) fn connection(&self, site: &str) -> Result<&str, Error> {
        let found = self.connections.get(site).map(String::as_str);
        found.ok_or_else(|| missing(site, "connections"))
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

    /// What the servers call a database of the runbook.
    pub(crate) fn database<'a>(&'a self, database: &'a str) -> &'a str {
        self.databases
            .get(database)
            .map_or(database, String::as_str)
    }

    /// Programs for the server of a site.
    pub(crate) fn server(&self, site: &str) -> Result<&ServerPrograms, Error> {
        self.servers
            .get(site)
            .ok_or_else(|| missing(site, "servers"))
    }

    /// Programs for the backups of the server of a site.
    pub(crate) fn backups(&self, site: &str) -> Result<&BackupPrograms, Error> {
        self.backups
            .get(site)
            .ok_or_else(|| missing(site, "backups"))
    }

    /// Address of the server of a site as replicas know it, where one is configured.
    pub(crate) fn address(&self, site: &str) -> Option<&str> {
        self.servers.get(site)?.address.as_deref()
    }
}

impl ServerPrograms {
    /// Programs that make it a copy of the server of another site.
    pub(crate) fn follow(&self, source: &str) -> Result<&FollowPrograms, Error> {
        self.follow.get(source).ok_or_else(|| {
            Error::Invalid(format!(
                "no entry `{source}` under `servers.….follow` of the postgres binding: name the programs that copy from it"
            ))
        })
    }
}

fn missing(site: &str, table: &str) -> Error {
    Error::Invalid(format!(
        "no entry for site `{site}` under `{table}` of the postgres binding"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_schema_is_a_configuration() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let config = Config::parse(&schema["examples"][0].to_string()).unwrap();
        assert_eq!(config.connection("pz").unwrap(), "pz");
        assert_eq!(config.client_connection("bz").unwrap(), "bz-client");
        assert_eq!(config.other_sites("pz").collect::<Vec<_>>(), ["bz"]);
        assert_eq!(config.database("shop"), "shop");
        let archive = config.backups("bz").unwrap().archive.as_ref();
        assert_eq!(archive.unwrap().list, "archived-pz");
        let server = config.server("pz").unwrap();
        assert_eq!(server.follow("bz").unwrap().rewind, "rewind-pz");
        assert!(matches!(server.follow("pz"), Err(Error::Invalid(_))));
        assert!(matches!(config.connection("cz"), Err(Error::Invalid(_))));
        assert!(Config::parse(r#"{"connections":{},"unknown":1}"#).is_err());
    }
}
