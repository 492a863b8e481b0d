//! The lab's client of one cluster. Objects are JSON, as in a manifest: the lab reads a few fields of many kinds.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::{Stream, TryStreamExt as _};
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
    WatchEvent, WatchParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::{Client, Config};
use serde_json::{Value, json};

use crate::clock::eventually;

/// Who the lab's changes are recorded as.
const FIELD_MANAGER: &str = "lab";
/// How long a connection may take on loopback.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// How long the API may keep a watch open, in seconds.
const WATCH_SECONDS: u32 = 60;

/// A kind of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    namespaced: bool,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $group:literal $version:literal $kind:literal $plural:literal $namespaced:literal;)*) => {
        impl Kind {
            $($(#[$doc])* pub const $name: Self = Self {
                group: $group, version: $version, kind: $kind, plural: $plural, namespaced: $namespaced,
            };)*
            const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

kinds! {
    /// Where namespaced objects live.
    NAMESPACE = "" "v1" "Namespace" "namespaces" false;
    /// A machine that runs pods.
    NODE = "" "v1" "Node" "nodes" false;
    /// A running application.
    POD = "" "v1" "Pod" "pods" true;
    /// An address for a set of pods.
    SERVICE = "" "v1" "Service" "services" true;
    /// Passwords and keys.
    SECRET = "" "v1" "Secret" "secrets" true;
    /// Settings.
    CONFIG_MAP = "" "v1" "ConfigMap" "configmaps" true;
    /// Who a program is.
    SERVICE_ACCOUNT = "" "v1" "ServiceAccount" "serviceaccounts" true;
    /// How many pods of which kind are wanted.
    DEPLOYMENT = "apps" "v1" "Deployment" "deployments" true;
    /// A public way in.
    INGRESS = "networking.k8s.io" "v1" "Ingress" "ingresses" true;
    /// Which controller serves an ingress.
    INGRESS_CLASS = "networking.k8s.io" "v1" "IngressClass" "ingressclasses" false;
    /// A kind of one's own.
    DEFINITION = "apiextensions.k8s.io" "v1" "CustomResourceDefinition" "customresourcedefinitions" false;
    /// A certificate that is wanted.
    CERTIFICATE = "cert-manager.io" "v1" "Certificate" "certificates" true;
    /// Who issues certificates.
    CLUSTER_ISSUER = "cert-manager.io" "v1" "ClusterIssuer" "clusterissuers" false;
    /// Permissions in a namespace.
    ROLE = "rbac.authorization.k8s.io" "v1" "Role" "roles" true;
    /// Who has them.
    ROLE_BINDING = "rbac.authorization.k8s.io" "v1" "RoleBinding" "rolebindings" true;
    /// Permissions in the cluster.
    CLUSTER_ROLE = "rbac.authorization.k8s.io" "v1" "ClusterRole" "clusterroles" false;
    /// Who has them.
    CLUSTER_ROLE_BINDING = "rbac.authorization.k8s.io" "v1" "ClusterRoleBinding" "clusterrolebindings" false;
}

impl Kind {
    /// The kind of a manifest.
    fn of(object: &Value) -> Result<Self> {
        let (version, kind) = (text(object, "/apiVersion"), text(object, "/kind"));
        let known = Self::ALL
            .iter()
            .find(|known| known.api_version() == version && known.kind == kind);
        known
            .copied()
            .with_context(|| format!("{version} {kind} is not a kind the lab knows"))
    }

    fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    fn resource(&self) -> ApiResource {
        let kind = GroupVersionKind::gvk(self.group, self.version, self.kind);
        ApiResource::from_gvk_with_plural(&kind, self.plural)
    }
}

/// A string of an object, by JSON pointer (RFC 6901); empty where there is none.
#[must_use]
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// A list of an object, by JSON pointer; empty where there is none.
#[must_use]
pub fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// True where the object has a condition of this type whose status is `True`.
#[must_use]
pub fn is_condition_true(object: &Value, kind: &str) -> bool {
    list(object, "/status/conditions")
        .iter()
        .any(|condition| text(condition, "/type") == kind && text(condition, "/status") == "True")
}

/// A client of one cluster. Cloning it is cheap.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
}

impl Cluster {
    /// A client with this kubeconfig. The cluster need not be up.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub async fn connect(kubeconfig: &Path) -> Result<Self> {
        let file = Kubeconfig::read_from(kubeconfig)
            .with_context(|| format!("cannot read {}", kubeconfig.display()))?;
        let mut config =
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        config.connect_timeout = Some(CONNECT_LIMIT);
        config.proxy_url = None;
        Ok(Self {
            client: Client::try_from(config)?,
        })
    }

    /// Whether the API says that it is ready.
    ///
    /// # Errors
    /// Where it does not.
    pub async fn ready(&self) -> Result<()> {
        let request =
            kube::core::Request::new("").get("readyz", &kube::api::GetParams::default())?;
        self.client.request_text(request).await?;
        Ok(())
    }

    /// Objects of a kind, in one namespace or, for an empty name, in all of them.
    ///
    /// # Errors
    /// Where the API refuses.
    pub async fn list(&self, kind: Kind, namespace: &str) -> Result<Vec<Value>> {
        let objects = self
            .api(kind, namespace)
            .list(&ListParams::default())
            .await?;
        objects
            .items
            .iter()
            .map(|object| Ok(serde_json::to_value(object)?))
            .collect()
    }

    /// One object; none where there is none of this name.
    ///
    /// # Errors
    /// Where the API refuses.
    pub async fn get(&self, kind: Kind, namespace: &str, name: &str) -> Result<Option<Value>> {
        let object = self.api(kind, namespace).get_opt(name).await?;
        Ok(object.map(serde_json::to_value).transpose()?)
    }

    /// Creates an object, in the namespace it names.
    ///
    /// # Errors
    /// Where the API refuses.
    pub async fn create(&self, object: Value) -> Result<()> {
        let kind = Kind::of(&object)?;
        let namespace = text(&object, "/metadata/namespace").to_owned();
        let what = format!("{} {}", kind.kind, text(&object, "/metadata/name"));
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let object: DynamicObject = serde_json::from_value(object)?;
        let created = self.api(kind, &namespace).create(&params, &object).await;
        created
            .map(drop)
            .with_context(|| format!("cannot create {what}"))
    }

    /// Creates an object or brings the fields it names to what it says.
    ///
    /// # Errors
    /// Where the API refuses.
    pub async fn apply(&self, object: Value) -> Result<()> {
        let kind = Kind::of(&object)?;
        let (namespace, name) = (
            text(&object, "/metadata/namespace"),
            text(&object, "/metadata/name"),
        );
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let applied = self
            .api(kind, namespace)
            .patch(name, &params, &Patch::Apply(&object))
            .await;
        applied
            .map(drop)
            .with_context(|| format!("cannot apply {} {name}", kind.kind))
    }

    /// Merges `change` into an object (RFC 7386).
    ///
    /// # Errors
    /// Where the API refuses.
    pub async fn patch(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        change: &Value,
    ) -> Result<()> {
        let patched = self
            .api(kind, namespace)
            .patch(name, &params(), &Patch::Merge(change))
            .await;
        patched
            .map(drop)
            .with_context(|| format!("cannot change {} {name}", kind.kind))
    }

    /// Merges `status` into an object's status.
    ///
    /// # Errors
    /// Where the API refuses.
    pub async fn patch_status(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        status: &Value,
    ) -> Result<()> {
        let change = json!({ "status": status });
        let patched = self
            .api(kind, namespace)
            .patch_status(name, &params(), &Patch::Merge(&change))
            .await;
        patched
            .map(drop)
            .with_context(|| format!("cannot set the status of {} {name}", kind.kind))
    }

    /// Deletes an object at once; there need be none.
    ///
    /// # Errors
    /// Where the API refuses.
    pub async fn delete(&self, kind: Kind, namespace: &str, name: &str) -> Result<()> {
        let params = DeleteParams::default().grace_period(0);
        match self.api(kind, namespace).delete(name, &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(error).with_context(|| format!("cannot delete {} {name}", kind.kind)),
        }
    }

    /// A token of an account, bound to a Secret: it ends with that, or after an hour.
    ///
    /// # Errors
    /// Where the API refuses.
    pub async fn token(&self, namespace: &str, account: &str, secret: &str) -> Result<String> {
        let bound = json!({ "apiVersion": "v1", "kind": "Secret", "name": secret });
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": { "audiences": [], "expirationSeconds": 3600, "boundObjectRef": bound },
        });
        let accounts = self.api(Kind::SERVICE_ACCOUNT, namespace);
        let made = accounts
            .create_subresource::<_, Value>("token", account, &PostParams::default(), &request)
            .await
            .with_context(|| format!("no token of {account}"))?;
        Ok(text(&made, "/status/token").to_owned())
    }

    /// Gives a pod to a node, as a scheduler does.
    ///
    /// # Errors
    /// Where the API refuses.
    pub async fn bind(&self, namespace: &str, pod: &str, node: &str) -> Result<()> {
        let binding = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": { "name": pod, "namespace": namespace },
            "target": { "apiVersion": "v1", "kind": "Node", "name": node },
        });
        let pods = self.api(Kind::POD, namespace);
        let bound = pods
            .create_subresource::<_, Value>("binding", pod, &PostParams::default(), &binding)
            .await;
        bound
            .map(drop)
            .with_context(|| format!("cannot bind {pod}"))
    }

    /// Sets the replicas of a deployment.
    ///
    /// # Errors
    /// Where the API refuses.
    pub async fn scale(&self, namespace: &str, deployment: &str, replicas: u32) -> Result<()> {
        let change = json!({ "spec": { "replicas": replicas } });
        self.patch(Kind::DEPLOYMENT, namespace, deployment, &change)
            .await
    }

    /// Waits until a deployment has exactly this many pods, all of them new and ready.
    ///
    /// # Errors
    /// Where it has not after `limit`.
    pub async fn rolled_out(
        &self,
        namespace: &str,
        deployment: &str,
        replicas: u64,
        limit: Duration,
    ) -> Result<()> {
        let what = format!("{replicas} ready pods of {namespace}/{deployment}");
        eventually(&what, limit, async || {
            let object = self
                .get(Kind::DEPLOYMENT, namespace, deployment)
                .await?
                .context("there is none")?;
            let number =
                |pointer: &str| object.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
            let counts = ["replicas", "updatedReplicas", "readyReplicas"];
            let done = number("/status/observedGeneration") == number("/metadata/generation")
                && counts
                    .iter()
                    .all(|count| number(&format!("/status/{count}")) == replicas);
            anyhow::ensure!(
                done,
                "its status is {}",
                object.get("status").unwrap_or(&Value::Null)
            );
            Ok(Some(()))
        })
        .await
    }

    /// Waits until no pod of a deployment is ready.
    ///
    /// # Errors
    /// Where one still is after `limit`.
    pub async fn unready(&self, namespace: &str, deployment: &str, limit: Duration) -> Result<()> {
        let what = format!("no ready pod of {namespace}/{deployment}");
        eventually(&what, limit, async || {
            let object = self
                .get(Kind::DEPLOYMENT, namespace, deployment)
                .await?
                .context("there is none")?;
            let ready = object.pointer("/status/readyReplicas");
            let none = ready.and_then(Value::as_u64).unwrap_or(0) == 0;
            Ok(none.then_some(()))
        })
        .await
    }

    /// One event for every change of objects of a kind from now on, until the API ends it.
    ///
    /// # Errors
    /// Where the API refuses.
    pub async fn changes(&self, kind: Kind) -> Result<impl Stream<Item = Result<()>> + use<>> {
        let api = self.api(kind, "");
        let now = api.list(&ListParams::default().limit(1)).await?;
        let version = now.metadata.resource_version.unwrap_or_default();
        let params = WatchParams::default().timeout(WATCH_SECONDS);
        let events = api.watch(&params, &version).await?;
        Ok(events.err_into().and_then(async |event| match event {
            WatchEvent::Error(status) => Err(anyhow::anyhow!("{}", status.message)),
            _ => Ok(()),
        }))
    }

    fn api(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        let resource = kind.resource();
        if kind.namespaced && !namespace.is_empty() {
            Api::namespaced_with(self.client.clone(), namespace, &resource)
        } else {
            Api::all_with(self.client.clone(), &resource)
        }
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Cluster").finish_non_exhaustive()
    }
}

fn params() -> PatchParams {
    PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}
