//! A cluster whose kubeconfig a vendor hands out: a real API server, and tokens that end.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use serde_json::{Value, json};
use understudy_lab::kubernetes::cluster::{Cluster, Kind};
use understudy_lab::kubernetes::{ControlPlane, Setup};
use understudy_lab::programs::{Programs, ZonePrograms};
use understudy_lab::vendor::digitalocean::{Digitalocean, KUBECONFIG};
use understudy_lab::vendor::{Standin, Trouble};

use super::token;
use crate::host::Host;

/// The cluster's id at the vendor.
const ID: &str = "bd5f5959-5e1e-4205-a714-a914373942af";
/// Where everything is.
const APP: &str = "app";
/// Who a recovery is.
const ACCOUNT: &str = "recovery";

struct Stage {
    vendor: Standin<Digitalocean>,
    plane: ControlPlane,
    cluster: Cluster,
    _folder: tempfile::TempDir,
}

async fn stage() -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup {
        zone: "bz".to_owned(),
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        folder: folder.path().join("plane"),
    };
    let (programs, zone) = (Programs::locate().unwrap(), ZonePrograms::locate().unwrap());
    let plane = ControlPlane::start(&programs, &zone, setup).await.unwrap();
    let cluster = plane.cluster().await.unwrap();
    let in_app = |name: &str| json!({ "namespace": APP, "name": name });
    for object in [
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": APP } }),
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": in_app(ACCOUNT) }),
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": in_app("left-over") }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": { "name": ACCOUNT },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
            "subjects": [{ "kind": "ServiceAccount", "namespace": APP, "name": ACCOUNT }],
        }),
    ] {
        cluster.create(object).await.unwrap();
    }
    let vendor = Standin::start(folder.path(), Digitalocean::new())
        .await
        .unwrap();
    Stage {
        vendor,
        plane,
        cluster,
        _folder: folder,
    }
}

impl Stage {
    /// A token that ends with the Secret of this name.
    async fn token(&self, secret: &str) -> String {
        let metadata = json!({ "namespace": APP, "name": secret });
        let secret_object = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata });
        self.cluster.create(secret_object).await.unwrap();
        self.cluster.token(APP, ACCOUNT, secret).await.unwrap()
    }

    /// Has the vendor hand out kubeconfigs with these tokens, in this order.
    fn hands_out(&self, tokens: &[&str]) {
        let kubeconfigs = tokens
            .iter()
            .map(|token| self.plane.kubeconfig_with(token).unwrap());
        let kubeconfigs = kubeconfigs.collect();
        self.vendor
            .state(|account| account.kubeconfigs.insert(ID.to_owned(), kubeconfigs));
    }

    fn host(&self, id: &str) -> Host {
        let url = format!(
            "{}/v2/kubernetes/clusters/{id}/kubeconfig?expiry_seconds=3600",
            self.vendor.url()
        );
        let kubeconfig = json!({ "url": url, "credential": "api", "private": true });
        let binding = json!({
            "contract": "understudy:kubernetes/kubernetes@0.1.0",
            "config": {},
            "credentials": { "api": { "env": "TOKEN", "scheme": "bearer" } },
            "clusters": { "bz": { "kubeconfig": kubeconfig } },
            "kubernetes": [
                { "clusters": ["bz"], "verbs": ["list"], "kinds": ["v1/Namespace"] },
                { "clusters": ["bz"], "verbs": ["get", "delete"], "kinds": ["v1/ConfigMap"], "namespaces": [APP] },
            ],
            "trust": [self.vendor.root()],
        });
        Host::new("kubernetes", binding, token(self.vendor.token()))
    }
}

fn namespaces() -> Value {
    json!({ "call": "list-objects", "site": "bz", "api-version": "v1", "kind": "Namespace", "namespace": "" })
}

fn deleted() -> Value {
    let object =
        json!({ "api-version": "v1", "kind": "ConfigMap", "namespace": APP, "name": "left-over" });
    json!({ "call": "ensure-deleted", "site": "bz", "object": object })
}

/// Everything below a folder holds none of these texts.
fn holds_none(folder: &Path, texts: &[&str]) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            holds_none(&path, texts);
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        for text in texts {
            let mut windows = bytes.windows(text.len());
            assert!(
                !windows.any(|window| window == text.as_bytes()),
                "a token in {}",
                path.display()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_has_ended_is_replaced_in_mid_run_and_no_token_is_written_down() {
    let stage = stage().await;
    let (ended, good) = (stage.token("ended").await, stage.token("good").await);
    stage
        .cluster
        .delete(Kind::SECRET, APP, "ended")
        .await
        .unwrap();
    stage.hands_out(&[&ended, &good]);
    stage
        .vendor
        .will(KUBECONFIG, Trouble::Throttled { after_seconds: 1 });
    let host = stage.host(ID);
    let ran = host
        .calls(json!([namespaces(), deleted(), deleted()]))
        .await;
    assert!(
        ran.answers[0]["ok"].as_str().unwrap().contains(APP),
        "{:?}",
        ran.answers
    );
    let (changed, unchanged) = (json!({ "ok": "changed" }), json!({ "ok": "unchanged" }));
    assert_eq!(ran.answers[1..], [changed, unchanged]);
    let left = stage.cluster.get(Kind::CONFIG_MAP, APP, "left-over").await;
    assert_eq!(left.unwrap(), None);
    assert_eq!(stage.vendor.served(KUBECONFIG), 3, "throttled, ended, good");
    assert_eq!(
        (stage.vendor.violations(), stage.vendor.unmet()),
        (Vec::new(), 0)
    );

    let uses = ran.of("egress");
    let asked = |use_of: &&&Value| {
        let action = use_of["body"]["action"].as_str().unwrap();
        action.contains(", its kubeconfig by GET https://") && action.ends_with("/kubeconfig")
    };
    assert_eq!(uses.iter().filter(asked).count(), 1, "{uses:?}");
    holds_none(host.folder.path(), &[&ended, &good, stage.vendor.token()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_the_vendor_does_not_have_is_said_and_is_no_answer_of_the_cluster() {
    let stage = stage().await;
    let unknown = stage.host("00000000-0000-4000-8000-000000000000");
    let ran = unknown.calls(json!([namespaces(), deleted()])).await;
    for answer in &ran.answers {
        let said = answer["err"]["invalid"].as_str().unwrap();
        assert!(
            said.contains("CP0067") && said.contains("HTTP 404"),
            "{said}"
        );
    }
    let left = stage.cluster.get(Kind::CONFIG_MAP, APP, "left-over").await;
    assert!(left.unwrap().is_some());
    assert_eq!(stage.vendor.violations(), Vec::<String>::new());
}
