//! Applications that run in Kubernetes, one cluster per site.
//!
//! # What it needs in the clusters
//! A user per cluster, in the kubeconfig of the binding, with a role in the application's namespace:
//!
//! | resource | verbs | for |
//! |---|---|---|
//! | `deployments` | get, watch, patch | looking, waiting, restarting |
//! | `deployments/scale` | patch | scaling |
//! | `pods` | list | whether the last one is gone, and why one does not start |
//! | `secrets` (that one) | get, patch | the endpoint of the database |
//! | `configmaps` (that one) | get, patch | maintenance |
//!
//! The binding grants the same: `get`, `watch`, `patch` and `scale` of `apps/v1/Deployment`, `list` of `v1/Pod`, `get` and
//! `patch` of `v1/Secret` with `keys`, and of `v1/ConfigMap`.
//!
//! # What each function does there
//! `observe` reads Deployment, Secret and ConfigMap. `ensure-scaled` sets the scale subresource;
//! `ensure-restarted` sets the token among the annotations of the pod template, beside the one that `kubectl rollout
//! restart` sets. Both then wait for the rollout, and for no replicas until the last pod is gone, also from the list of
//! ending ones. A pod that cannot start (image, configuration, crashes) is a `conflict` in the cluster's own words; one that
//! finds no node is waited for. `ensure-database-endpoint` and `ensure-maintenance` merge one key, where nobody has changed
//! the object in between.
//!
//! # Limits
//! Replicas that run keep the configuration that they started with: a new endpoint counts after a restart. An autoscaler
//! that owns the replicas scales back; stop it first. Whether a Deployment was changed by an earlier attempt at the same
//! call is not known, so the answer may be `unchanged` then.
//!
//! Start at `workload`; what objects say is read in the sdk's `kubernetes`.

use understudy_sdk::provider::Configured;

mod config;
mod endpoint;
mod workload;

understudy_sdk::provider_bindings!("understudy:plugin/provider-workload");

use config::Config;
use exports::understudy::plugin::provider;

static CONFIG: Configured<Config> = Configured::new();

/// The provider.
struct KubernetesWorkload;

impl provider::Guest for KubernetesWorkload {
    fn describe() -> provider::Description {
        provider::Description {
            name: "kubernetes-workload".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "applications that run as Deployments".to_owned(),
            config_schema: config::SCHEMA.to_owned(),
        }
    }

    fn configure(config: String) -> Result<(), String> {
        CONFIG.set(Config::parse(&config)?)
    }
}

export!(KubernetesWorkload);
