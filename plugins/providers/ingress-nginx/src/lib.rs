//! The public way in to a cluster through the ingress-nginx controller: its Deployment, its LoadBalancer Service, and one
//! Ingress per application.
//!
//! # What it needs in the clusters
//! A user per cluster, in the kubeconfig of the binding, with roles
//!
//! | namespace | resource | verbs | for |
//! |---|---|---|---|
//! | the controller's | `deployments` | get, watch | whether it runs |
//! | | `deployments/scale` | patch | scaling it up |
//! | | `services` | get, watch | its address |
//! | | `pods` | list | why it does not start |
//! | the application's | `ingresses` | get, watch, create, patch, delete | exposing |
//! | | `deployments` | get | health |
//!
//! The binding grants the same: `get`, `watch` and `scale` of the Deployment, `get` and `watch` of the Service, `list` of
//! `v1/Pod`, and `get`, `watch`, `apply` and `delete` of the Ingress.
//!
//! # What each function does there
//! * `observe`: the hosts of the Ingress, the addresses of the Service where there is one, and as health whether the
//!   controller and the application have a replica that answers its readiness check.
//! * `ensure-controller`: scales an installed controller up from none and waits until it is ready. One that is not installed
//!   is a `conflict`, or made of the `manifests` that the operator put into the configuration.
//! * `ensure-exposed`: compares the Ingress; where it differs, applies it server-side as field manager `understudy` with
//!   exactly these hosts, one backend and the TLS Secret; then waits for the address of the Service. Fields that another
//!   manager owns are a `conflict`, unless the application's `take-over` is set.
//! * `ensure-unexposed`: deletes the Ingress and waits until it is gone. The controller goes on running: others may use it.
//!
//! # Limits
//! One path, `/`, to one Service per application. The address is the controller's: every application on it has the same.
//!
//! Start at [`IngressNginx::ensure_exposed`](ingress::Guest::ensure_exposed); what objects say is in `entry`.

use understudy_sdk::host::understudy::kubernetes::api;
use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::kubernetes::rollout::{desired, rollout};
use understudy_sdk::kubernetes::{Cluster, Progress, id, number, selector};
use understudy_sdk::provider::Configured;

mod config;
mod entry;

understudy_sdk::provider_bindings!("understudy:plugin/provider-ingress");

use config::{Config, Controller};
use exports::understudy::{ingress::ingress, plugin::provider};
use ingress::Outcome;

static CONFIG: Configured<Config> = Configured::new();

/// The provider.
struct IngressNginx;

impl provider::Guest for IngressNginx {
    fn describe() -> provider::Description {
        provider::Description {
            name: "ingress-nginx".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "applications exposed by the ingress-nginx controller".to_owned(),
            config_schema: config::SCHEMA.to_owned(),
        }
    }

    fn configure(config: String) -> Result<(), String> {
        CONFIG.set(Config::parse(&config)?)
    }
}

impl ingress::Guest for IngressNginx {
    fn observe(site: String, app: String) -> Result<ingress::Observation, Error> {
        let config = CONFIG.get()?;
        let cluster = config.cluster(&site);
        let (controller, ours) = (&config.controller, config.app(&app)?);
        let controller_ready = has_ready(cluster, &controller.deployment())?;
        let Some(entry) = cluster.find(&ours.ingress(&app))? else {
            return Ok(ingress::Observation {
                controller_ready,
                addresses: Vec::new(),
                hosts: Vec::new(),
                healthy: false,
            });
        };
        let service = cluster.find(&controller.service())?.unwrap_or_default();
        Ok(ingress::Observation {
            controller_ready,
            addresses: entry::addresses(&service),
            hosts: entry::hosts(&entry),
            healthy: controller_ready && has_ready(cluster, &ours.deployment(&app))?,
        })
    }

    fn ensure_controller(site: String) -> Result<Outcome, Error> {
        let config = CONFIG.get()?;
        let (cluster, controller) = (config.cluster(&site), &config.controller);
        let deployment = controller.deployment();
        let mut done = Outcome::Unchanged;
        let found = match cluster.find(&deployment)? {
            Some(found) => found,
            None => {
                install(cluster, controller)?;
                done = Outcome::Changed;
                cluster.get(&deployment)?
            }
        };
        if desired(&found) == 0 {
            api::ensure_scaled(cluster.0, &deployment, controller.replicas)?;
            done = Outcome::Changed;
        }
        cluster.settle(&deployment, done, || {
            let seen = cluster.get(&deployment)?;
            let pods = cluster.list("v1", "Pod", &deployment.namespace, &selector(&seen))?;
            Ok((rollout(&seen, &pods), Some(seen)))
        })
    }

    fn ensure_exposed(site: String, app: String, hosts: Vec<String>) -> Result<Outcome, Error> {
        let config = CONFIG.get()?;
        let (cluster, ours) = (config.cluster(&site), config.app(&app)?);
        let object = ours.ingress(&app);
        let wanted = entry::wanted(&object, ours, &hosts)?;
        let found = cluster.find(&object)?;
        let done = match found {
            Some(found) if entry::is_as_wanted(&found, &wanted) => Outcome::Unchanged,
            _ => {
                let applied = cluster.apply(&wanted, ours.take_over)?;
                // What others own besides stays, and may make it answer for more than it should.
                if !entry::is_as_wanted(&applied, &wanted) {
                    return Err(Error::Conflict(format!(
                        "{} was applied and still is another: it answers for {}",
                        id(&object),
                        entry::hosts(&applied).join(", ")
                    )));
                }
                Outcome::Changed
            }
        };
        let service = config.controller.service();
        cluster.settle(&service, done, || {
            let seen = cluster.get(&service)?;
            let progress = if entry::addresses(&seen).is_empty() {
                Progress::Going("has no address yet".to_owned())
            } else {
                Progress::Done
            };
            Ok((progress, Some(seen)))
        })
    }

    fn ensure_unexposed(site: String, app: String) -> Result<Outcome, Error> {
        let config = CONFIG.get()?;
        let object = config.app(&app)?.ingress(&app);
        config.cluster(&site).remove(&object)
    }
}

/// Applies the operator's own objects.
fn install(cluster: Cluster<'_>, controller: &Controller) -> Result<(), Error> {
    if controller.manifests.is_empty() {
        return Err(Error::Conflict(format!(
            "{} is not installed in {}; install the controller there, or give its objects as `controller.manifests` of the ingress-nginx binding",
            id(&controller.deployment()),
            cluster.0
        )));
    }
    for manifest in &controller.manifests {
        cluster.apply(manifest, false)?;
    }
    Ok(())
}

/// True where a Deployment is there and has a replica that answers its readiness check.
fn has_ready(cluster: Cluster<'_>, deployment: &api::ObjectRef) -> Result<bool, Error> {
    let found = cluster.find(deployment)?.unwrap_or_default();
    Ok(number(&found, "/status/readyReplicas").unwrap_or(0) > 0)
}

export!(IngressNginx);
