//! The binding's configuration, and the objects it leads to. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
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
    pub(crate) controller: Controller,
    apps: BTreeMap<String, App>,
}

/// The controller of every cluster.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Controller {
    namespace: String,
    deployment: String,
    service: String,
    pub(crate) replicas: u32,
    pub(crate) manifests: Vec<Value>,
}

/// An application.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct App {
    pub(crate) namespace: String,
    #[serde(default)]
    ingress: Option<String>,
    #[serde(default = "nginx")]
    pub(crate) class: String,
    pub(crate) service: String,
    pub(crate) port: u16,
    #[serde(default)]
    deployment: Option<String>,
    pub(crate) tls_secret: String,
    #[serde(default)]
    pub(crate) take_over: bool,
}

impl Default for Controller {
    fn default() -> Self {
        let name = || "ingress-nginx-controller".to_owned();
        Self {
            namespace: "ingress-nginx".to_owned(),
            deployment: name(),
            service: name(),
            replicas: 1,
            manifests: Vec::new(),
        }
    }
}

fn nginx() -> String {
    "nginx".to_owned()
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
                "no application `{app}` under `apps` of the ingress-nginx binding"
            ))
        })
    }
}

impl Controller {
    pub(crate) fn deployment(&self) -> ObjectRef {
        object("apps/v1", "Deployment", &self.namespace, &self.deployment)
    }

    pub(crate) fn service(&self) -> ObjectRef {
        object("v1", "Service", &self.namespace, &self.service)
    }
}

impl App {
    pub(crate) fn ingress(&self, app: &str) -> ObjectRef {
        let name = self.ingress.as_deref().unwrap_or(app);
        object("networking.k8s.io/v1", "Ingress", &self.namespace, name)
    }

    pub(crate) fn deployment(&self, app: &str) -> ObjectRef {
        let name = self.deployment.as_deref().unwrap_or(app);
        object("apps/v1", "Deployment", &self.namespace, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_schema_leads_to_objects_by_their_usual_names() {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let config = Config::parse(&schema["examples"][0].to_string()).unwrap();
        let app = config.app("wordpress").unwrap();
        assert_eq!(app.ingress("wordpress").name, "wordpress");
        assert_eq!((app.class.as_str(), app.take_over), ("nginx", false));
        let controller = &config.controller;
        assert_eq!(controller.deployment().name, "ingress-nginx-controller");
        assert_eq!(controller.service().namespace, "ingress-nginx");
        assert_eq!(config.cluster("bz").0, "bz");
        assert!(matches!(config.app("other"), Err(Error::Invalid(_))));
    }
}
