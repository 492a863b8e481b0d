//! Objects of Kubernetes clusters, one cluster per site, as their API servers have them.
//!
//! # What it needs in the clusters
//! A user per cluster, in the kubeconfig of the binding, whose roles allow what the strategies look at and change, and no
//! more. The binding grants the same, object by object:
//!
//! | function | verbs of the role | verbs of the grant |
//! |---|---|---|
//! | `get-object` | get | `get` |
//! | `get-value-digests` (of `v1/Secret`, `v1/ConfigMap`) | get | `compare` |
//! | `list-objects`, `list-node-conditions` (of `v1/Node`) | list | `list` |
//! | `ensure-applied` | get, create, patch | `get`, `apply` |
//! | `ensure-patched` | get, patch | `get`, `patch` |
//! | `ensure-deleted` | get, watch, delete | `get`, `watch`, `delete` |
//! | `ensure-condition` | get, watch | `get`, `watch` |
//! | `ensure-scaled` | get, watch of the object, patch of its `scale` | `get`, `watch`, `scale` |
//! | `ensure-restarted` | get, watch, patch | `get`, `watch`, `patch` |
//! | the last two, to see pods come and go | list of `pods` | `list` of `v1/Pod` |
//! | `get-pod-logs` | list of `pods`, get of `pods/log` | `list` and `logs` of `v1/Pod` |
//!
//! # What each function does there
//! Each looks first and sends nothing where there is nothing to do. `ensure-applied` is a server-side apply by the field
//! manager `understudy`, which never takes a field over: one that another manager owns is a `conflict` that names both. The
//! digest of the manifest stands among the annotations of the object, by which a manifest that is another one is told from
//! one that is there. `ensure-patched` patches the version that it has just looked at.
//! `ensure-deleted` waits for finalizers. `ensure-scaled` and `ensure-restarted` wait for the rollout, and for no replicas
//! until the last pod is gone; a pod that cannot start is a `conflict` in the cluster's own words. The token of a restart
//! stands among the annotations of the pod template. Whatever takes longer than a turn on a watch answers `in-progress`.
//!
//! A condition counts where it was made for the object as it is now (`observedGeneration`). A node's condition whose status
//! is `Unknown` does not hold. `get-pod-logs` asks every container of every pod that matches; each has its share of the
//! bound.
//!
//! `get-value-digests` is the host's: neither this plugin nor whoever calls it sees a value.
//!
//! # Limits
//! Scaling and restarting are for Deployments and StatefulSets. Logs are those of containers that run now, of each at most 5,000 lines. Whether an object
//! was changed by an earlier attempt at the same call is not known, so the answer may be `unchanged` then.
//!
//! Start at `objects`; what objects say is read in the sdk's `kubernetes`.

use understudy_sdk::provider::Configured;

mod already;
mod config;
mod logs;
mod objects;

understudy_sdk::provider_bindings!("understudy:plugin/provider-kubernetes");

use config::Config;
use exports::understudy::plugin::provider;

static CONFIG: Configured<Config> = Configured::new();

/// The provider.
struct Kubernetes;

impl provider::Guest for Kubernetes {
    fn describe() -> provider::Description {
        provider::Description {
            name: "kubernetes".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "objects of Kubernetes clusters, one cluster per site".to_owned(),
            config_schema: config::SCHEMA.to_owned(),
        }
    }

    fn configure(config: String) -> Result<(), String> {
        CONFIG.set(Config::parse(&config)?)
    }
}

export!(Kubernetes);
