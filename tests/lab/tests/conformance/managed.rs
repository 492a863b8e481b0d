//! Managed databases: a vendor's stand-in with a real MySQL server for each cluster and each replica.

use serde_json::json;
use understudy_lab::vendor::Standin;
use understudy_lab::vendor::digitalocean::{BZ, Digitalocean, Estate, PZ};

use crate::{conforms, suite};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn databases_conform() {
    let folder = tempfile::tempdir().unwrap();
    let servers = folder.path().join("servers");
    std::fs::create_dir(&servers).unwrap();
    let mut account = Digitalocean::with(Estate::new(&servers).unwrap());
    account.looks = 1;
    account.open_cluster(PZ, "fra1").await.unwrap();
    account.open_replica(PZ, BZ, "ams3").await.unwrap();
    let vendor = Standin::start(folder.path(), account).await.unwrap();
    let things = json!({
        "site": "bz", "source": "pz", "database": "wordpress", "unknown-database": "nobody",
        "restore-site": "bz", "migration": "2",
    });
    let allow = [
        "ensure-fenced",
        "ensure-promoted-back",
        "ensure-replica-of",
        "ensure-promoted",
        "ensure-write-probe-fenced",
        "ensure-promoted-second-writer",
        "ensure-replica-of-writer",
        "ensure-restored",
        "ensure-restored-unknown",
    ];
    let migrations = json!([
        { "version": "1", "statements": ["CREATE TABLE first (n INT NOT NULL PRIMARY KEY)"] },
        { "version": "2", "statements": ["ALTER TABLE first ADD COLUMN m TEXT", "INSERT INTO first VALUES (1, 'a')"] },
    ]);
    let binding = vendor
        .binding(&json!({ "migrations": migrations }))
        .unwrap();
    let suites = [suite("database", things, &allow)];
    let secrets = vendor.credentials().unwrap();
    let tested = conforms(folder.path(), "digitalocean", &[binding], &suites, &secrets).await;
    tested.whole(&[
        "ensure-fenced",
        "ensure-promoted",
        "ensure-promoted-back",
        "ensure-replica-of",
        "ensure-write-probe",
        "ensure-restored",
    ]);
    // The vendor takes backups by itself and none on request. A wait for a position that is never reached needs a
    // server that nothing was done to right before.
    tested.leaves_out(&["ensure-backup", "ensure-caught-up-later"]);
    assert_eq!(vendor.violations(), Vec::<String>::new());
}
