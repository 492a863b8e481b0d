//! The binding's configuration, and the objects it leads to. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::kubernetes::{Cluster, ObjectRef, object};

/// JSON Schema of [`Config`], as `describe` answers it.
pub(crate) const SCHEMA: &str = include_str!("config.schema.json");

/// See `config.schema.json` for what each field means.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Config {
    #[serde(default)]
    clusters: BTreeMap<String, String>,
    #[serde(default)]
    apps: BTreeMap<String, App>,
}

/// An application.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct App {
    namespace: String,
    deployment: String,
    #[serde(default)]
    database: Option<Database>,
    #[serde(default)]
    maintenance: Option<Maintenance>,
}

/// The schema refuses other keys.
#[derive(Debug, Clone, Deserialize)]
struct Database {
    secret: String,
    #[serde(flatten)]
    keys: Keys,
}

/// Under which keys an endpoint stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Keys {
    /// `host:port`.
    #[serde(rename_all = "kebab-case")]
    Whole { endpoint_key: String },
    /// Host and port apart.
    #[serde(rename_all = "kebab-case")]
    Split { host_key: String, port_key: String },
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Maintenance {
    config_map: String,
    key: String,
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

    /// An application.
    pub(crate) fn app(&self, app: &str) -> Result<&App, Error> {
        self.apps.get(app).ok_or_else(|| {
            Error::Invalid(format!(
                "no application `{app}` under `apps` of the kubernetes-workload binding"
            ))
        })
    }
}

impl App {
    /// Its Deployment.
    pub(crate) fn deployment(&self) -> ObjectRef {
        object("apps/v1", "Deployment", &self.namespace, &self.deployment)
    }

    /// The Secret with the endpoint of its database, and under which keys.
    pub(crate) fn database(&self) -> Option<(ObjectRef, &Keys)> {
        let Database { secret, keys } = self.database.as_ref()?;
        Some((object("v1", "Secret", &self.namespace, secret), keys))
    }

    /// The ConfigMap that says whether it refuses writes, and under which key.
    pub(crate) fn maintenance(&self) -> Option<(ObjectRef, &str)> {
        let Maintenance { config_map, key } = self.maintenance.as_ref()?;
        Some((object("v1", "ConfigMap", &self.namespace, config_map), key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_schema_leads_to_objects() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let config = Config::parse(&schema["examples"][0].to_string()).unwrap();
        let app = config.app("wordpress").unwrap();
        assert_eq!(app.deployment().name, "wordpress");
        let (secret, keys) = app.database().unwrap();
        assert_eq!(
            (secret.kind.as_str(), secret.name.as_str()),
            ("Secret", "wordpress-database")
        );
        assert_eq!(
            keys,
            &Keys::Whole {
                endpoint_key: "endpoint".to_owned()
            }
        );
        let (map, key) = app.maintenance().unwrap();
        assert_eq!(
            (map.name.as_str(), key),
            ("wordpress-settings", "maintenance")
        );
        assert!(matches!(config.app("other"), Err(Error::Invalid(_))));
    }

    #[test]
    fn a_site_is_a_cluster_of_its_name_unless_told_otherwise() {
        let config = Config::parse(r#"{ "clusters": { "bz": "backup" } }"#).unwrap();
        assert_eq!(config.cluster("pz").0, "pz");
        assert_eq!(config.cluster("bz").0, "backup");
        let split = r#"{ "apps": { "a": { "namespace": "n", "deployment": "d",
            "database": { "secret": "s", "host-key": "h", "port-key": "p" } } } }"#;
        let config = Config::parse(split).unwrap();
        let keys = config.app("a").unwrap().database().unwrap().1.clone();
        assert!(matches!(keys, Keys::Split { .. }));
        assert!(Config::parse(r#"{ "app": {} }"#).is_err());
    }
}
