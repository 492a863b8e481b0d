//! What a host has to be told of an account with servers.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{Digitalocean, Standin};
use crate::mysql::DATABASE;

/// Name of what there is at the primary site.
pub const PZ: &str = "wordpress-pz";
/// Name of what there is at the backup site.
pub const BZ: &str = "wordpress-bz";

/// Where a host connects from: all that a fence lets in.
pub const RECOVERY: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Where the application connects from.
pub const APPLICATION: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));

/// Where a host finds the token.
const TOKEN: &str = "LAB_VENDOR_TOKEN";
/// Where it finds the operator's password.
const OPERATOR: &str = "LAB_MYSQL_PASSWORD";
/// Where it finds the application's.
const CLIENT: &str = "LAB_MYSQL_APP_PASSWORD";

impl Standin<Digitalocean> {
    /// Secrets by the name of the environment variable in which a host should find them.
    ///
    /// # Errors
    /// Where the account has no servers.
    pub fn credentials(&self) -> Result<BTreeMap<String, String>> {
        let passwords =
            self.state(|account| Ok::<_, anyhow::Error>(account.estate()?.passwords().clone()))?;
        let secrets = [
            (TOKEN, self.token().to_owned()),
            (OPERATOR, passwords.understudy),
            (CLIENT, passwords.app),
        ];
        Ok(secrets
            .into_iter()
            .map(|(name, secret)| (name.to_owned(), secret))
            .collect())
    }

    /// The same, believing the root that the API hands out for the cluster at the primary site, and no file.
    ///
    /// # Errors
    /// Where the account has no servers, or no such cluster.
    pub fn binding_by_api(&self, config: &Value) -> Result<Value> {
        let mut binding = self.binding(config)?;
        let cluster = self.state(|account| account.cluster(PZ));
        let id = cluster["id"].as_str().context("no cluster")?;
        let handout = json!({
            "url": format!("{}/v2/databases/{id}/ca", self.url()),
            "credential": "api",
            "pointer": "/ca/certificate",
            "private": true,
        });
        let connections = binding["connections"].as_object_mut();
        for connection in connections.context("no connections")?.values_mut() {
            connection["trust"] = handout.clone();
        }
        binding["trust"] = json!([self.root()]);
        Ok(binding)
    }

    /// A binding of the provider `digitalocean`; `config` is added to its configuration.
    ///
    /// # Errors
    /// Where the account has no servers.
    pub fn binding(&self, config: &Value) -> Result<Value> {
        let (pz, bz, root) = self.state(|account| {
            let estate = account.estate()?;
            let root = estate.root().to_owned();
            Ok::<_, anyhow::Error>((estate.door(PZ)?, estate.door(BZ)?, root))
        })?;
        let from = |address: IpAddr| json!({ "type": "ip_addr", "value": address.to_string() });
        let spec = |name: &str, region: &str| {
            json!({
                "name": name, "region": region, "size": "db-s-1vcpu-1gb",
                "trusted-sources": [from(RECOVERY), from(APPLICATION)], "fence-sources": [from(RECOVERY)],
            })
        };
        let connection = |port: u16, user: &str, variable: &str| {
            json!({ "engine": "mysql", "host": RECOVERY.to_string(), "port": port, "user": user,
                "password": { "env": variable } })
        };
        let mut all = json!({
            "server": self.url(),
            "clusters": { "pz": spec(PZ, "fra1"), "bz": spec(BZ, "ams3") },
            "schemas": { "wordpress": DATABASE },
            "connections": { "pz": "pz", "bz": "bz" },
            "client-connections": { "pz": "pz-client", "bz": "bz-client" },
            "may-destroy": true,
            "poll-after-ms": 250,
        });
        if let (Some(all), Some(more)) = (all.as_object_mut(), config.as_object()) {
            all.extend(more.clone());
        }
        Ok(json!({
            "contract": "understudy:database/database@0.1.0",
            "plugin": "digitalocean",
            "config": all,
            "credentials": { "api": { "env": TOKEN, "scheme": "bearer" } },
            "http": [{ "methods": ["GET", "POST", "PUT", "DELETE"],
                "url": format!("{}/v2/databases", self.url()), "private": true }],
            "connections": {
                "pz": connection(pz.port(), "understudy", OPERATOR),
                "bz": connection(bz.port(), "understudy", OPERATOR),
                "pz-client": connection(pz.port(), "app", CLIENT),
                "bz-client": connection(bz.port(), "app", CLIENT),
            },
            "trust": [self.root(), root],
        }))
    }
}
