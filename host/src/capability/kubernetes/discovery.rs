//! Under which path a kind is served: asked of the API server, once per group and version, never guessed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::core::Request;
use kube::core::params::GetParams;

use crate::runbook::types::KindName;

use super::super::Fault;
use super::object::Place;
use super::server::Server;

/// Code of what the cluster's own rules forbid.
const FORBIDDEN: &str = "CP0026";

/// What the clusters of a binding were found to serve.
#[derive(Default)]
pub(super) struct Discovery(Mutex<BTreeMap<(String, String), Arc<APIResourceList>>>);

/// A kind as it is served.
pub(super) struct Served {
    /// `/apis/apps/v1`, `/api/v1`.
    root: String,
    plural: String,
    namespaced: bool,
}

impl Discovery {
    /// The kind as `cluster` serves it.
    ///
    /// # Errors
    /// `not-found`: it does not. And what [`Server::ask`] answers.
    pub(super) async fn find(
        &self,
        server: &Server<'_>,
        cluster: &str,
        kind: &KindName,
    ) -> Result<Served, Fault> {
        let key = (cluster.to_owned(), kind.api_version.clone());
        let known = self.known(&key).and_then(|list| served(&list, kind));
        if let Some(served) = known {
            return Ok(served);
        }
        // Asked again where the kind is not among them: its definition may have come since.
        let list = Arc::new(ask(server, cluster, kind).await?);
        let found = served(&list, kind);
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lists.insert(key, list);
        found.ok_or_else(|| not_served(cluster, kind))
    }

    fn known(&self, key: &(String, String)) -> Option<Arc<APIResourceList>> {
        let lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lists.get(key).cloned()
    }
}

impl Served {
    /// The path of the kind in a namespace.
    pub(super) fn path(&self, namespace: &str) -> String {
        let Self { root, plural, .. } = self;
        match namespace {
            "" => format!("{root}/{plural}"),
            namespace => format!("{root}/namespaces/{namespace}/{plural}"),
        }
    }

    /// A kind with namespaces is asked for in one, another one is not.
    ///
    /// # Errors
    /// `invalid`.
    pub(super) fn fits(&self, place: &Place) -> Result<(), Fault> {
        let text = match (self.namespaced, place.namespace.is_empty()) {
            (true, true) => format!("{} belongs to a namespace; name it", place.kind),
            (false, false) => format!("{} belongs to no namespace; leave it empty", place.kind),
            _ => return Ok(()),
        };
        Err(Fault::invalid("CP0009", text))
    }
}

async fn ask(
    server: &Server<'_>,
    cluster: &str,
    kind: &KindName,
) -> Result<APIResourceList, Fault> {
    let asked = format!("discover {} in {cluster}", kind.api_version);
    let root = root(kind);
    let (prefix, version) = root.rsplit_once('/').unwrap_or(("", &root));
    let request = Request::new(server.path(prefix)).get(version, &GetParams::default());
    match server.ask(&asked, request).await {
        Ok(answer) => answer.json(&asked),
        Err(fault) if fault.is_not_found() => Err(not_served(cluster, kind)),
        // Whoever is known may discover (`system:discovery`). One that has just come up forbids everything until it has read
        // its own rules.
        Err(fault) if fault.is_code(FORBIDDEN) => Err(fault.passing()),
        Err(fault) => Err(fault),
    }
}

fn root(kind: &KindName) -> String {
    let folder = if kind.api_version.contains('/') {
        "apis"
    } else {
        "api"
    };
    format!("/{folder}/{}", kind.api_version)
}

fn served(list: &APIResourceList, kind: &KindName) -> Option<Served> {
    // `deployments/scale` is of kind `Scale`; a subresource is not where objects of a kind live.
    let found = list
        .resources
        .iter()
        .find(|resource| resource.kind == kind.kind && !resource.name.contains('/'))?;
    Some(Served {
        root: root(kind),
        plural: found.name.clone(),
        namespaced: found.namespaced,
    })
}

fn not_served(cluster: &str, kind: &KindName) -> Fault {
    let text = format!("cluster `{cluster}` does not serve {kind}; is what defines it installed?");
    Fault::not_found("CP0028", text)
}
