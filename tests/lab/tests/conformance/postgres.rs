//! Two PostgreSQL servers of which one replicates from the other.

use serde_json::json;
use understudy_lab::authority::Authority;
use understudy_lab::lab::{BZ, PZ};
use understudy_lab::ports::address;
use understudy_lab::postgres::pair::Pair;

use crate::{conforms, suite};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn databases_conform() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::create(folder.path()).unwrap();
    let addresses = [address(PZ).unwrap(), address(BZ).unwrap()];
    let pair = Pair::start(&authority, folder.path(), addresses, "")
        .await
        .unwrap();
    let things = json!({
        "site": "bz", "source": "pz", "database": "wordpress", "unknown-database": "nobody",
        "backup-site": "pz", "restore-site": "bz", "migration": "2",
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
        { "version": "1", "statements": ["CREATE TABLE first (n integer)"] },
        { "version": "2", "statements": ["ALTER TABLE first ADD COLUMN m text", "INSERT INTO first VALUES (1, 'a')"] },
    ]);
    let bindings = [pair.binding(&json!({ "migrations": migrations }))];
    let suites = [suite("database", things, &allow)];
    let tested = conforms(
        folder.path(),
        "postgres",
        &bindings,
        &suites,
        &pair.credentials(),
    )
    .await;
    tested.whole(&[
        "ensure-fenced",
        "ensure-promoted",
        "ensure-promoted-back",
        "ensure-replica-of",
        "ensure-write-probe",
        "ensure-backup",
        "ensure-restored",
    ]);
    // A wait for a position that is never reached needs a server that nothing was done to right before.
    tested.leaves_out(&["ensure-caught-up-later"]);
}
