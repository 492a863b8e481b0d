//! A vendor on its stand-in, and a real Prometheus.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use understudy_lab::prometheus::{Exporter, Prometheus};
use understudy_lab::vendor::Standin;
use understudy_lab::vendor::cloudflare::Cloudflare;

use crate::{conforms, suite};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cloudflare() {
    let folder = tempfile::tempdir().unwrap();
    let mut account = Cloudflare::new();
    let zone = account.add_zone("example.test", "free");
    let record =
        json!({ "type": "A", "name": "www.example.test", "content": "192.0.2.7", "proxied": true });
    account.add(&zone, &record);
    let vendor = Standin::start(folder.path(), account).await.unwrap();
    let url = format!("{}/zones", vendor.url());
    let bindings = ["dns/dns", "edge-cache/edge-cache"].map(|contract| {
        json!({
            "contract": format!("understudy:{contract}@0.1.0"),
            "plugin": "cloudflare",
            "config": { "server": vendor.url(), "zone": "example.test" },
            "credentials": { "api": { "env": "TOKEN", "scheme": "bearer" } },
            "http": [{ "methods": ["GET", "POST", "PATCH", "DELETE"], "url": url, "private": true }],
            "trust": [vendor.root()],
        })
    });
    let things = json!({
        "name": "kit.example.test", "kind": "A", "values": ["192.0.2.1"], "other-values": ["192.0.2.2"],
        "stranger-values": ["192.0.2.9"], "ttl-seconds": 60, "absent": "nobody.example.test",
        "foreign": "kit.example.org",
    });
    let caches = json!({ "host": "www.example.test", "absent": "nobody.example.test" });
    let suites = [suite("dns", things, &[]), suite("edge-cache", caches, &[])];
    let secrets = BTreeMap::from([("TOKEN".to_owned(), vendor.token().to_owned())]);
    let tested = conforms(folder.path(), "cloudflare", &bindings, &suites, &secrets).await;
    tested.whole(&["ensure-record", "ensure-record-expected", "ensure-purged"]);
    tested.leaves_out(&[]);
    assert_eq!(vendor.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus() {
    let folder = tempfile::tempdir().unwrap();
    let exporter = Exporter::start().await.unwrap();
    let (good, bad) = (r#"errors{zone="bz"}"#, r#"failures{zone="bz"}"#);
    exporter.set(good, 0.0);
    exporter.set(bad, 1.0);
    let server = Prometheus::start(folder.path(), &exporter).await.unwrap();
    server.scraped(good, "0", 4).await.unwrap();
    let objective = |query: &str| -> Value {
        json!({ "query": query, "outage-query": query, "threshold": 0.1, "unit": "ratio" })
    };
    let binding = json!({
        "contract": "understudy:metrics/metrics@0.1.0",
        "plugin": "prometheus",
        "config": {
            "sites": { "bz": { "server": server.url() } },
            "resolution-ms": 1000,
            "objectives": { "errors": objective(good), "failures": objective(bad) },
        },
        "http": [{ "methods": ["GET"], "url": format!("{}/api/v1", server.url()), "private": true }],
    });
    let things = json!({
        "site": "bz", "objective": "errors", "missed-objective": "failures", "unknown-objective": "nobody",
        "window-ms": 2000,
    });
    let suites = [suite("metrics", things, &[])];
    let secrets = BTreeMap::new();
    let tested = conforms(folder.path(), "prometheus", &[binding], &suites, &secrets).await;
    tested.leaves_out(&[]);
}
