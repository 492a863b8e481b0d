//! An API server that says what it is told to say, kubeconfigs for it, and bindings to it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;

use crate::capability::credential::FixedSecrets;
use crate::capability::testbed::{Authority, CANARY, HOST, binding, facilities, serve_tls};
use crate::capability::{Capabilities, CapabilityError, Facilities};
use crate::runbook::types::{
    Binding, Cluster, KindName, KubernetesGrant, KubernetesVerb, Origin, SecretSource,
};

/// The environment variable that holds the kubeconfig.
const VARIABLE: &str = "KUBECONFIG_PZ";

/// What the stand-in answers to everything but discovery.
pub(super) type Script = dyn Fn(&HeaderMap, &Method, &str) -> Response + Send + Sync;

/// An API server that says what it is told to say, and remembers what it was asked.
pub(super) struct StandIn {
    pub(super) port: u16,
    pub(super) authority: Authority,
    pub(super) asked: Arc<Mutex<Vec<(String, HeaderMap)>>>,
}

impl StandIn {
    pub(super) async fn start(
        script: impl Fn(&Method, &str) -> Response + Send + Sync + 'static,
    ) -> Self {
        Self::looking(move |_, method, path| script(method, path)).await
    }

    /// The same with a script that looks at the headers.
    pub(super) async fn looking(
        script: impl Fn(&HeaderMap, &Method, &str) -> Response + Send + Sync + 'static,
    ) -> Self {
        let authority = Authority::new();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let script: Arc<Script> = Arc::new(script);
        let app = Router::new().fallback(move |request: Request| {
            let line = format!("{} {}", request.method(), request.uri());
            let headers = request.headers().clone();
            seen.lock().unwrap().push((line, headers));
            let path = request.uri().to_string();
            let answer = discovery(&path)
                .unwrap_or_else(|| script(request.headers(), request.method(), &path));
            async move { answer }
        });
        let port = serve_tls(app, &authority.issue(&[HOST])).await;
        Self {
            port,
            authority,
            asked,
        }
    }

    pub(super) async fn answering(status: u16, body: &'static str) -> Self {
        Self::start(move |_, _| answer(status, body)).await
    }

    pub(super) fn kubeconfig(&self) -> String {
        let authority = BASE64.encode(self.authority.pem());
        kubeconfig(
            &format!(
                "server: https://{HOST}:{}\n    certificate-authority-data: {authority}",
                self.port
            ),
            &format!("token: {}", json!(CANARY)),
        )
    }

    pub(super) fn capabilities(&self, grants: Vec<KubernetesGrant>) -> Capabilities {
        made(&self.kubeconfig(), grants).unwrap()
    }

    /// What was asked besides discovery.
    pub(super) fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        let lines = asked.iter().map(|(line, _)| line.clone());
        lines
            .filter(|line| discovery(line.trim_start_matches("GET ")).is_none())
            .collect()
    }
}

/// A kubeconfig with these lines for its cluster and its user.
pub(super) fn kubeconfig(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
current-context: main
contexts:
- name: main
  context: {{ cluster: main, user: recovery }}
clusters:
- name: main
  cluster:
    {cluster}
users:
- name: recovery
  user:
    {user}
"
    )
}

pub(super) fn bound(grants: Vec<KubernetesGrant>) -> Binding {
    let cluster = Cluster {
        kubeconfig: Origin::Secret(SecretSource::Environment(VARIABLE.to_owned())),
        context: None,
    };
    Binding {
        clusters: [("pz".to_owned(), cluster)].into(),
        kubernetes: grants,
        ..binding()
    }
}

pub(super) fn made(
    kubeconfig: &str,
    grants: Vec<KubernetesGrant>,
) -> Result<Capabilities, CapabilityError> {
    let secrets = BTreeMap::from([(VARIABLE.to_owned(), kubeconfig.to_owned())]);
    let facilities = Facilities {
        secrets: Arc::new(FixedSecrets(secrets)),
        ..facilities()
    };
    Capabilities::for_binding(&bound(grants), Path::new("."), &facilities)
}

pub(super) fn discovery(path: &str) -> Option<Response> {
    let resource = |name: &str, kind: &str, namespaced: bool| json!({ "name": name, "kind": kind, "namespaced": namespaced, "singularName": "", "verbs": [] });
    let resources = match path {
        "/apis/apps/v1" => vec![
            resource("deployments", "Deployment", true),
            resource("deployments/scale", "Scale", true),
        ],
        "/api/v1" => vec![
            resource("secrets", "Secret", true),
            resource("pods", "Pod", true),
            resource("nodes", "Node", false),
        ],
        _ => return None,
    };
    let list = json!({ "kind": "APIResourceList", "groupVersion": "v1", "resources": resources });
    Some(list.to_string().into_response())
}

pub(super) fn answer(status: u16, body: &'static str) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, body).into_response()
}

pub(super) fn refusal(status: u16, message: &str) -> Response {
    let status_code = StatusCode::from_u16(status).unwrap();
    let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "message": message });
    (status_code, body.to_string()).into_response()
}

pub(super) fn grant(
    verbs: &[KubernetesVerb],
    kind: &str,
    namespaces: &[&str],
    keys: &[&str],
) -> KubernetesGrant {
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    let (api_version, kind) = kind.rsplit_once('/').unwrap();
    KubernetesGrant {
        clusters: texts(&["pz"]),
        verbs: verbs.to_vec(),
        kinds: vec![KindName {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
        }],
        namespaces: texts(namespaces),
        names: Vec::new(),
        keys: texts(keys),
    }
}
