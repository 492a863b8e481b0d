//! Strategy B with real backups: the database is restored from a dump and what the logs add to it, the name follows, and the
//! service is brought home.
//!
//! Nothing replicates here: `bz` has no copy of the database until it is restored.

use anyhow::{Result, ensure};
use serde_json::json;
use understudy_lab::audit::audit;
use understudy_lab::backups::LogKeeper;
use understudy_lab::clock::eventually;
use understudy_lab::lab::Lab;
use understudy_lab::powerdns::ZONE;

use crate::backups::provider;
use crate::crash::kill_when;
use crate::host::Host;
use crate::world::intents;
use crate::{LIMIT, PACE, lab};

/// The objective of the lab's overlay.
const RPO_MS: u64 = 30_000;

/// Whether a server was ever copied table by table.
const COPIED: &str = "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'understudy_local' \
     AND TABLE_NAME = 'reseed'";

/// A lab whose backup site has no database, and a backup from before anybody wrote.
async fn without_replica() -> Result<Lab> {
    let lab = lab().await?;
    let nothing = "STOP SLAVE; RESET SLAVE ALL; SET sql_log_bin = 0; DROP DATABASE wordpress";
    lab.databases.bz.execute(nothing).await?;
    let nightly = json!({ "call": "ensure-backup", "site": "pz", "database": "wordpress", "name": "nightly" });
    let backed_up = provider(&lab).call(nightly).await;
    ensure!(backed_up["ok"] == "changed", "{backed_up}");
    Ok(lab)
}

fn reported_loss_ms(report: &serde_json::Value, leg: usize) -> u64 {
    let loss = report.pointer(&format!("/legs/{leg}/rpo/achieved-ms"));
    loss.and_then(serde_json::Value::as_u64).unwrap_or(u64::MAX)
}

#[tokio::test]
async fn a_drill_by_backups_loses_nothing_and_ends_where_it_began() {
    let lab = without_replica().await.unwrap();
    let host = Host::new(&lab).unwrap();
    let users = lab.users(PACE);
    users.acknowledged_by("pz", 20, LIMIT).await.unwrap();
    host.ends_well(host.run("drill-restore", "graceful").unwrap())
        .await
        .unwrap();
    users.acknowledged_by("pz", 20, LIMIT).await.unwrap();
    let log = users.stop().await;
    assert!(
        log.acknowledged.iter().any(|row| row.site == "bz"),
        "bz never served a write"
    );
    let (pz, bz) = (&lab.databases.pz, &lab.databases.bz);
    assert_eq!(audit(&log, pz).await.unwrap().missing, []);
    bz.applied(&pz.position().await.unwrap(), LIMIT)
        .await
        .unwrap();
    assert_eq!(audit(&log, bz).await.unwrap().missing, []);
    // What was restored has the history of what it was restored from: each follows the other by its position alone.
    for server in [pz, bz] {
        assert_eq!(server.value(COPIED).await.unwrap(), "0");
    }
    let active = lab.resolver.active().await.unwrap();
    assert_eq!(active.alias, Some(format!("wp-pz.{ZONE}")));
    let report = host.report().await.unwrap();
    assert_eq!(report["conclusion"]["ending"], "recovered", "{report}");
    assert_eq!([0, 1].map(|leg| reported_loss_ms(&report, leg)), [0, 0]);
    for text in host.written().unwrap() {
        let text = String::from_utf8_lossy(&text);
        for (name, secret) in lab.credentials() {
            assert!(!text.contains(&secret), "{name} was written");
        }
    }
}

#[tokio::test]
async fn a_dead_site_is_restored_as_far_as_its_kept_logs_reach() {
    let mut lab = without_replica().await.unwrap();
    let keeper = LogKeeper::start(&lab.databases, lab.root(), "pz").await;
    let keeper = keeper.unwrap();
    let users = lab.users(PACE);
    users.acknowledged_by("pz", 200, LIMIT).await.unwrap();
    lab.databases.pz.kill().unwrap();
    lab.pz.kill().unwrap();
    drop(keeper);

    let host = Host::new(&lab).unwrap();
    let running = host.run("failover-restore", "ungraceful").unwrap();
    host.ends_well(running).await.unwrap();
    users.acknowledged_by("bz", 20, LIMIT).await.unwrap();
    let before = audit(&users.log(), &lab.databases.bz).await.unwrap();
    let log = users.log();
    let by_pz = log
        .acknowledged
        .iter()
        .filter(|row| row.site == "pz")
        .count();
    let survived = by_pz - before.missing.len();
    assert!(
        survived > 100,
        "the logs added too little: {survived} of {by_pz}, none was in the backup"
    );
    let report = host.report().await.unwrap();
    let reported = reported_loss_ms(&report, 0);
    if let Some(lost) = before.lost_ms {
        assert!(
            lost.at_least <= reported + 1000,
            "{lost:?}, reported {reported} ms"
        );
    }
    assert!(reported <= RPO_MS, "reported {reported} ms");

    lab.databases.pz.restart().await.unwrap();
    lab.pz.restart().await.unwrap();
    host.ends_well(host.run("failback", "graceful").unwrap())
        .await
        .unwrap();
    // What pz alone had is kept before it is replaced.
    let records = host.records().unwrap();
    assert!(intents(&records, "ensure-backup", "pz") >= 1);
    users.acknowledged_by("pz", 20, LIMIT).await.unwrap();
    let after = audit(&users.stop().await, &lab.databases.pz).await.unwrap();
    assert_eq!(
        after.missing, before.missing,
        "the way home loses nothing more"
    );
}

#[tokio::test]
async fn killed_while_a_dump_is_loaded_the_restore_begins_again() {
    let lab = without_replica().await.unwrap();
    let (pz, bz) = (&lab.databases.pz, &lab.databases.bz);
    // Large enough that loading it takes a moment.
    pz.execute("USE wordpress; INSERT INTO media (name, body) SELECT seq, REPEAT('understudy', 200) FROM seq_1_to_40000")
        .await
        .unwrap();
    let host = Host::new(&lab).unwrap();
    let users = lab.users(PACE);
    users.acknowledged_by("pz", 20, LIMIT).await.unwrap();
    let loading = async || {
        let phase = bz.value("SELECT phase FROM understudy_local.restore").await;
        Ok(phase.is_ok_and(|phase| phase == "import"))
    };
    let running = host.run("failover-restore", "graceful").unwrap();
    kill_when(running, "the dump to be loaded", loading)
        .await
        .unwrap();
    eventually("the client to end with its host", LIMIT, async || {
        let clients =
            "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'understudy'";
        Ok((bz.value(clients).await? == "0").then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(
        bz.value("SELECT unusable FROM understudy_local.restore")
            .await
            .unwrap(),
        "1"
    );
    host.resume().await.unwrap();
    users.acknowledged_by("bz", 20, LIMIT).await.unwrap();
    let log = users.stop().await;
    assert_eq!(audit(&log, bz).await.unwrap().missing, []);
    let pictures = "SELECT COUNT(*) FROM wordpress.media WHERE LENGTH(body) = 2000";
    assert_eq!(bz.value(pictures).await.unwrap(), "40000");
    host.verify().await.unwrap();
}
