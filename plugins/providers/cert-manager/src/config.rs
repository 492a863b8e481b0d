//! The binding's configuration, and the objects it leads to. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::kubernetes::{Cluster, ObjectRef, object};

/// JSON Schema of [`Config`], as `describe` answers it.
pub(crate) const SCHEMA: &str = include_str!("config.schema.json");

/// Group and version of Certificates and issuers.
const API_VERSION: &str = "cert-manager.io/v1";

/// See `config.schema.json` for what each field means.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Config {
    #[serde(default)]
    clusters: BTreeMap<String, String>,
    namespace: String,
    #[serde(default)]
    pub(crate) issuer_kind: IssuerKind,
    #[serde(default = "test_name")]
    pub(crate) test_name: String,
    #[serde(default)]
    addresses: BTreeMap<String, String>,
}

/// Whether issuers belong to the namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum IssuerKind {
    /// They do not.
    #[default]
    ClusterIssuer,
    /// They do.
    Issuer,
}

impl IssuerKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ClusterIssuer => "ClusterIssuer",
            Self::Issuer => "Issuer",
        }
    }
}

fn test_name() -> String {
    "understudy-test".to_owned()
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

    /// Where a site serves TLS.
    pub(crate) fn authority(&self, site: &str) -> Result<&str, Error> {
        self.addresses.get(site).map(String::as_str).ok_or_else(|| {
            Error::Invalid(format!(
                "no address for site `{site}` under `addresses` of the cert-manager binding"
            ))
        })
    }

    pub(crate) fn certificate(&self, name: &str) -> ObjectRef {
        object(API_VERSION, "Certificate", &self.namespace, name)
    }

    pub(crate) fn secret(&self, name: &str) -> ObjectRef {
        object("v1", "Secret", &self.namespace, name)
    }

    pub(crate) fn proofs(&self) -> ObjectRef {
        object("v1", "ConfigMap", &self.namespace, &self.test_name)
    }

    pub(crate) fn issuer(&self, name: &str) -> ObjectRef {
        let namespace = match self.issuer_kind {
            IssuerKind::ClusterIssuer => "",
            IssuerKind::Issuer => &self.namespace,
        };
        object(API_VERSION, self.issuer_kind.name(), namespace, name)
    }
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
    fn the_example_of_the_schema_leads_to_objects() {
        let config = example();
        assert_eq!(config.certificate("a").namespace, "app");
        assert_eq!(
            (
                config.issuer("a").namespace.as_str(),
                config.issuer("a").kind.as_str()
            ),
            ("", "ClusterIssuer")
        );
        assert_eq!(config.proofs().name, "understudy-test");
        assert_eq!(config.authority("bz").unwrap(), "lb.bz.example.test:443");
        assert!(matches!(config.authority("cz"), Err(Error::Invalid(_))));
        let own = Config::parse(r#"{ "namespace": "app", "issuer-kind": "Issuer" }"#).unwrap();
        assert_eq!(own.issuer("a").namespace, "app");
    }
}
