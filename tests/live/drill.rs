//! Fail over and back while users write: without loss where the primary site answers, and with the loss that is
//! reported where it died.

use serde_json::Value;
use understudy_lab::audit::audit;
use understudy_lab::clock::{eventually, now_ms};
use understudy_lab::powerdns::ZONE;

use crate::host::Host;
use crate::{LIMIT, PACE, RECORD_CHANGES, lab};

/// What the first leg of a run reports as lost; `u64::MAX` where it reports nothing.
fn reported_loss_ms(report: &Value) -> u64 {
    let loss = report.pointer("/legs/0/rpo/achieved-ms");
    loss.and_then(Value::as_u64).unwrap_or(u64::MAX)
}

/// How long a run may take from its start until it has noticed the outage, on a busy machine.
const STARTING_MS: u64 = 20_000;

#[tokio::test]
async fn a_drill_loses_nothing_and_ends_where_it_began() {
    let lab = lab().await.unwrap();
    let host = Host::new(&lab).unwrap();
    let serial = lab.authoritative.serial().await.unwrap();
    let users = lab.users(PACE);
    users.acknowledged_by("pz", 20, LIMIT).await.unwrap();

    host.ends_well(host.run("drill", "graceful").unwrap())
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
    assert!(!pz.is_read_only().await.unwrap() && bz.is_read_only().await.unwrap());

    let active = lab.resolver.active().await.unwrap();
    assert_eq!(active.alias, Some(format!("wp-pz.{ZONE}")));
    assert_eq!(
        lab.authoritative.serial().await.unwrap(),
        serial + 2 * RECORD_CHANGES
    );
    assert!(!lab.board.announcements().is_empty(), "nobody was told");

    let report = host.report().await.unwrap();
    assert_eq!(report["conclusion"]["ending"], "recovered", "{report}");
    assert_eq!(report["legs"][0]["rpo"]["achieved-ms"], 0);
    assert_eq!(report["legs"][1]["rpo"]["achieved-ms"], 0);
}

#[tokio::test]
async fn a_dead_site_costs_what_is_reported_and_is_brought_home() {
    let mut lab = lab().await.unwrap();
    let host = Host::new(&lab).unwrap();
    let users = lab.users(PACE);
    users.acknowledged_by("pz", 20, LIMIT).await.unwrap();
    lab.databases.bz.stop_receiving().await.unwrap();
    users.acknowledged_by("pz", 40, LIMIT).await.unwrap();
    lab.databases.pz.kill().unwrap();
    lab.pz.kill().unwrap();
    let died_ms = now_ms();

    let mut running = host.run("failover", "ungraceful").unwrap();
    let detected_ms = now_ms();
    eventually("bz to become the writer", LIMIT, async || {
        assert_eq!(running.try_wait()?, None, "{}", host.log());
        Ok((!lab.databases.bz.is_read_only().await?).then_some(()))
    })
    .await
    .unwrap();
    // It comes back on its own, as it was: read-only, with rows that nobody else has.
    lab.databases.pz.restart().await.unwrap();
    lab.pz.restart().await.unwrap();
    users.acknowledged_by("bz", 20, LIMIT).await.unwrap();
    host.ends_well(running).await.unwrap();

    let before = audit(&users.log(), &lab.databases.bz).await.unwrap();
    let lost = before.lost_ms.unwrap();
    assert!(before.missing.len() >= 40, "{before:?}");
    assert!(
        before.missing.iter().all(|row| row.site == "pz"),
        "{before:?}"
    );
    // The run knows neither the last acknowledgement nor the death: it reports a bound, never less than the truth.
    let reported = reported_loss_ms(&host.report().await.unwrap());
    let unnoticed = detected_ms - died_ms + STARTING_MS;
    assert!(
        lost.at_least <= reported,
        "{lost:?}, reported {reported} ms"
    );
    assert!(
        reported <= lost.at_most + unnoticed,
        "{lost:?}, reported {reported} ms"
    );

    host.ends_well(host.run("failback", "graceful").unwrap())
        .await
        .unwrap();
    users.acknowledged_by("pz", 20, LIMIT).await.unwrap();
    let after = audit(&users.stop().await, &lab.databases.pz).await.unwrap();
    assert_eq!(
        after.missing, before.missing,
        "the way home loses nothing more"
    );
    assert_eq!(reported_loss_ms(&host.report().await.unwrap()), 0);
}

#[tokio::test]
async fn nothing_the_host_writes_holds_a_secret() {
    let lab = lab().await.unwrap();
    let host = Host::new(&lab).unwrap();
    host.ends_well(host.run("drill", "graceful").unwrap())
        .await
        .unwrap();
    let written = host.written().unwrap();
    assert!(written.len() > 2 && written.iter().any(|text| contains(text, "wp-active")));
    for (name, secret) in lab.credentials() {
        assert!(
            !written.iter().any(|text| contains(text, &secret)),
            "{name} was written"
        );
    }
}

fn contains(text: &[u8], wanted: &str) -> bool {
    text.windows(wanted.len())
        .any(|part| part == wanted.as_bytes())
}
