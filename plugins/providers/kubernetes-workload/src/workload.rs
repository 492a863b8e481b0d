//! The contract `workload`: an application that is a Deployment, a Secret and a ConfigMap.

use serde_json::{Value, json};
use understudy_sdk::host::understudy::types::types::{Error, Outcome};
use understudy_sdk::kubernetes::rollout::desired;
use understudy_sdk::kubernetes::{Cluster, ObjectRef, entry, number};

use crate::config::App;
use crate::exports::understudy::workload::workload::{Guest, Observation};
use crate::{CONFIG, KubernetesWorkload, endpoint};

impl Guest for KubernetesWorkload {
    fn observe(site: String, app: String) -> Result<Observation, Error> {
        let config = CONFIG.get()?;
        let (cluster, app) = (config.cluster(&site), config.app(&app)?);
        let deployment = cluster.get(&app.deployment())?;
        let database_endpoint = match app.database() {
            Some((secret, keys)) => endpoint::read(&cluster.get(&secret)?, keys)?,
            None => String::new(),
        };
        let maintenance = match app.maintenance() {
            Some((map, key)) => is_on(&cluster.get(&map)?, key),
            None => false,
        };
        let replicas = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        Ok(Observation {
            desired: replicas(desired(&deployment)),
            ready: replicas(number(&deployment, "/status/readyReplicas").unwrap_or(0)),
            database_endpoint,
            maintenance,
        })
    }

    fn ensure_scaled(site: String, app: String, replicas: u32) -> Result<Outcome, Error> {
        let config = CONFIG.get()?;
        let deployment = config.app(&app)?.deployment();
        config.cluster(&site).scale(&deployment, replicas)
    }

    fn ensure_database_endpoint(
        site: String,
        app: String,
        endpoint: String,
    ) -> Result<Outcome, Error> {
        let config = CONFIG.get()?;
        let (cluster, app) = (config.cluster(&site), config.app(&app)?);
        let (secret, keys) = app.database().ok_or_else(|| unconfigured("database"))?;
        let patch = endpoint::patch(keys, &endpoint)?;
        let seen = cluster.get(&secret)?;
        // A key that is missing is one that has to be written.
        if endpoint::read(&seen, keys).is_ok_and(|found| found == endpoint) {
            return Ok(Outcome::Unchanged);
        }
        write(cluster, &secret, &patch, &seen)
    }

    fn ensure_restarted(site: String, app: String, token: String) -> Result<Outcome, Error> {
        let config = CONFIG.get()?;
        let deployment = config.app(&app)?.deployment();
        config.cluster(&site).restart(&deployment, &token)
    }

    fn ensure_maintenance(site: String, app: String, enabled: bool) -> Result<Outcome, Error> {
        let config = CONFIG.get()?;
        let (cluster, app) = (config.cluster(&site), config.app(&app)?);
        let (map, key) = maintenance(app)?;
        let seen = cluster.get(&map)?;
        if is_on(&seen, key) == enabled {
            return Ok(Outcome::Unchanged);
        }
        let patch = json!({ "data": { (key): enabled.to_string() } });
        write(cluster, &map, &patch, &seen)
    }
}

fn maintenance(app: &App) -> Result<(ObjectRef, &str), Error> {
    app.maintenance().ok_or_else(|| unconfigured("maintenance"))
}

fn write(
    cluster: Cluster<'_>,
    object: &ObjectRef,
    patch: &Value,
    seen: &Value,
) -> Result<Outcome, Error> {
    cluster.merge(object, patch, seen)?;
    Ok(Outcome::Changed)
}

fn is_on(map: &Value, key: &str) -> bool {
    entry(map, "/data", key) == "true"
}

fn unconfigured(what: &str) -> Error {
    Error::Invalid(format!(
        "the application has no `{what}` in the configuration of the kubernetes-workload binding"
    ))
}
