//! Workload, ingress, certificates and objects of a Kubernetes cluster: the zone that stands by.

use serde_json::json;
use understudy_lab::kubernetes::objects::{
    APP, DATABASE_SECRET, ISSUER, TEST_CERTIFICATE, WORDPRESS,
};
use understudy_lab::lab::Options;
use understudy_lab::object_storage::BUCKET;
use understudy_lab::platform::Platform;
use understudy_lab::powerdns::ZONE;

use crate::{bindings_of, conforms, suite};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_in_a_cluster_conforms() {
    let platform = Platform::up(Options::new(env!("CARGO_BIN_EXE_understudy-lab")))
        .await
        .unwrap();
    let overlay = platform.overlay_toml().unwrap();
    workload(&platform, &overlay).await;
    ingress(&platform, &overlay).await;
    certificates(&platform, &overlay).await;
    storage(&platform, &overlay).await;
    objects(&platform, &overlay).await;
}

async fn storage(platform: &Platform, overlay: &str) {
    let things = json!({ "site": "bz", "bucket": BUCKET, "unknown-bucket": "nobody" });
    let bindings = bindings_of(overlay, "s3");
    let suites = [suite("storage", things, &[])];
    let secrets = platform.credentials().unwrap();
    let tested = conforms(platform.folder(), "s3", &bindings, &suites, &secrets).await;
    tested.leaves_out(&[]);
}

async fn workload(platform: &Platform, overlay: &str) {
    let (pz, bz) = (&platform.databases.pz, &platform.databases.bz);
    let things = json!({
        "site": "bz", "app": WORDPRESS, "replicas": 1, "other-replicas": 2,
        "endpoint": bz.address().to_string(), "other-endpoint": pz.address().to_string(), "unknown-app": "nobody",
    });
    let bindings = bindings_of(overlay, "kubernetes-workload");
    let suites = [suite("workload", things, &[])];
    let secrets = platform.credentials().unwrap();
    let folder = platform.folder();
    let tested = conforms(folder, "kubernetes-workload", &bindings, &suites, &secrets).await;
    tested.whole(&[
        "ensure-scaled",
        "ensure-scaled-down",
        "ensure-database-endpoint",
        "ensure-restarted",
        "ensure-maintenance",
        "ensure-maintenance-over",
    ]);
    tested.leaves_out(&[]);
}

async fn ingress(platform: &Platform, overlay: &str) {
    let things = json!({
        "site": "bz", "app": WORDPRESS, "hosts": [Platform::name(), format!("wp-bz.{ZONE}")], "unknown-app": "nobody",
    });
    let bindings = bindings_of(overlay, "ingress-nginx");
    let suites = [suite("ingress", things, &[])];
    let secrets = platform.credentials().unwrap();
    let tested = conforms(
        platform.folder(),
        "ingress-nginx",
        &bindings,
        &suites,
        &secrets,
    )
    .await;
    tested.whole(&["ensure-exposed", "ensure-unexposed"]);
    tested.leaves_out(&[]);
}

async fn certificates(platform: &Platform, overlay: &str) {
    // The site's own certificate belongs to its operator, and what that field manager owns is not taken over.
    let (active, own) = (Platform::name(), format!("wp-bz.{ZONE}"));
    let things = json!({
        "site": "bz", "issuer": ISSUER, "unknown-issuer": "nobody", "server-name": active, "name": TEST_CERTIFICATE,
        "dns-names": [active, own], "other-dns-names": [own], "min-valid-ms": 86_400_000, "test-name": own,
    });
    let bindings = bindings_of(overlay, "cert-manager");
    let suites = [suite("certificates", things, &[])];
    let secrets = platform.credentials().unwrap();
    let tested = conforms(
        platform.folder(),
        "cert-manager",
        &bindings,
        &suites,
        &secrets,
    )
    .await;
    tested.whole(&["ensure-certificate", "ensure-test-issued"]);
    tested.leaves_out(&[]);
}

async fn objects(platform: &Platform, overlay: &str) {
    let object = |api: &str, kind: &str, name: &str| json!({ "api-version": api, "kind": kind, "namespace": APP, "name": name });
    let ingress = |name: &str| object("networking.k8s.io/v1", "Ingress", name);
    // Of a class that nobody serves: what may be made and deleted leads nowhere.
    let backend = json!({ "service": { "name": WORDPRESS, "port": { "number": 80 } } });
    let manifest = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": { "name": "kit", "namespace": APP },
        "spec": { "ingressClassName": "nobody", "defaultBackend": backend },
    });
    let things = json!({
        "site": "bz", "object": ingress("kit"), "manifest": manifest.to_string(), "absent": ingress("nobody"),
        "patch": json!({ "metadata": { "annotations": { "kit": "patched" } } }).to_string(),
        "workload": object("apps/v1", "Deployment", WORDPRESS), "workload-namespace": APP,
        "workload-selector": format!("app={WORDPRESS}"), "replicas": 1, "other-replicas": 2, "condition": "Available",
        "values": object("v1", "Secret", DATABASE_SECRET),
    });
    // Beside what a strategy is granted, what the suite does; the cluster's own roles allow as much.
    let mut bindings = bindings_of(overlay, "kubernetes");
    let more = [
        (
            json!(["get", "watch", "apply", "patch", "delete"]),
            "networking.k8s.io/v1/Ingress",
        ),
        (
            json!(["get", "watch", "patch", "scale"]),
            "apps/v1/Deployment",
        ),
    ];
    let grants = bindings[0]["kubernetes"].as_array_mut().unwrap();
    grants.extend(more.map(|(verbs, kind)| {
        json!({ "clusters": ["bz"], "verbs": verbs, "kinds": [kind], "namespaces": [APP] })
    }));
    let suites = [suite("kubernetes", things, &[])];
    let secrets = platform.credentials().unwrap();
    let folder = platform.folder();
    let tested = conforms(folder, "kubernetes", &bindings, &suites, &secrets).await;
    tested.whole(&[
        "ensure-applied",
        "ensure-patched",
        "ensure-deleted",
        "ensure-scaled",
        "ensure-restarted",
    ]);
    tested.leaves_out(&[]);
}
