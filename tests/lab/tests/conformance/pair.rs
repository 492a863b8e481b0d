//! Two MariaDB servers, PowerDNS and applications that serve certificates: the small lab.

use serde_json::json;
use understudy_lab::lab::{Lab, Options};
use understudy_lab::powerdns::ZONE;

use crate::{bindings_of, conforms, suite};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_databases_and_served_certificates_conform() {
    let lab = Lab::up(Options::new(env!("CARGO_BIN_EXE_understudy-lab")))
        .await
        .unwrap();
    let overlay = lab.overlay_toml().unwrap();
    names(&lab, "powerdns", &overlay).await;
    names(&lab, "rfc2136", &lab.rfc2136_toml()).await;
    served(&lab, &overlay).await;
    databases(&lab, &overlay).await;
}

async fn names(lab: &Lab, plugin: &str, overlay: &str) {
    let things = json!({
        "name": format!("kit.{ZONE}"), "kind": "A", "values": ["192.0.2.1"],
        "other-values": ["192.0.2.2", "192.0.2.3"], "stranger-values": ["192.0.2.9"], "ttl-seconds": 60,
        "absent": format!("nobody.{ZONE}"), "foreign": "kit.example.org",
    });
    let bindings = bindings_of(overlay, plugin);
    let suites = [suite("dns", things, &[])];
    let tested = conforms(lab.folder(), plugin, &bindings, &suites, &lab.credentials()).await;
    tested.whole(&["ensure-record", "ensure-record-expected"]);
    tested.leaves_out(&[]);
}

async fn served(lab: &Lab, overlay: &str) {
    let things = json!({ "site": "pz", "server-name": format!("wp-active.{ZONE}") });
    let bindings = bindings_of(overlay, "served-tls");
    let suites = [suite("certificates", things, &[])];
    let tested = conforms(
        lab.folder(),
        "served-tls",
        &bindings,
        &suites,
        &lab.credentials(),
    )
    .await;
    tested.leaves_out(&[
        "observe-issuer",
        "ensure-certificate",
        "ensure-test-issued",
        "ensure-certificate-unknown-issuer",
    ]);
}

async fn databases(lab: &Lab, overlay: &str) {
    let things = json!({
        "site": "bz", "source": "pz", "database": "wordpress", "unknown-database": "nobody",
    });
    let allow = [
        "ensure-fenced",
        "ensure-promoted-back",
        "ensure-replica-of",
        "ensure-promoted",
        "ensure-write-probe-fenced",
        "ensure-promoted-second-writer",
        "ensure-replica-of-writer",
    ];
    let bindings = bindings_of(overlay, "mariadb");
    let suites = [suite("database", things, &allow)];
    let tested = conforms(
        lab.folder(),
        "mariadb",
        &bindings,
        &suites,
        &lab.credentials(),
    )
    .await;
    tested.whole(&[
        "ensure-fenced",
        "ensure-promoted",
        "ensure-promoted-back",
        "ensure-replica-of",
        "ensure-write-probe",
    ]);
    // A wait for a position that is never reached needs a server that nothing was done to right before.
    tested.leaves_out(&[
        "list-recovery-points",
        "observe-restorable",
        "ensure-caught-up-later",
        "ensure-migrated",
        "ensure-backup",
        "ensure-restored",
        "ensure-restored-unknown",
    ]);
}
