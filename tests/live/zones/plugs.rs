//! What a run on two zones needs goes away for a while: the name server, the authority that issues certificates, room for the
//! journal. The run says which, waits, and ends well once it is back.

use std::time::Duration;

use understudy_lab::clock::{eventually, now_ms};
use understudy_lab::game_day::watch::Watch;
use understudy_lab::host::{Everybody, Host, said};

use super::{PACE, complete, zones};
use crate::LIMIT;

/// How long the name server is away.
const AWAY: Duration = Duration::from_secs(30);

/// Pages of a journal that is full before anybody was asked to flip.
const PAGES: &str = "20";

#[tokio::test]
async fn a_name_server_and_an_authority_that_are_away_are_named_and_waited_for() {
    let mut platform = zones().await.unwrap();
    let host = Host::of_zones(&platform).unwrap();
    let watch = Watch::start(&platform.names);
    let users = platform.users(PACE);
    users.acknowledged_by("pz", 5, LIMIT).await.unwrap();

    let api = platform.names.authoritative.api();
    platform.names.authoritative.kill().unwrap();
    platform.pebble.freeze().unwrap();
    let (since_ms, running) = (now_ms(), host.run("failover", "graceful").unwrap());
    let unreached = format!("CP0013: {api} is not reached");
    let issuing = "certificates/ensure-test-issued takes time";
    eventually("both to be named", LIMIT, async || {
        let log = host.log();
        let is_back_in = AWAY.saturating_sub(Duration::from_millis(now_ms() - since_ms));
        let named = log.contains(&unreached) && log.contains(issuing);
        Ok((named && is_back_in.is_zero()).then_some(()))
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}: {}", host.log()));
    assert_eq!(watch.flips(since_ms), 0);
    platform.names.authoritative.restart().await.unwrap();
    platform.pebble.thaw().unwrap();

    host.ends_well(running).await.unwrap();
    users.acknowledged_by("bz", 5, LIMIT).await.unwrap();
    assert_eq!(watch.flips(since_ms), 1);
    let report = host.report().await.unwrap();
    assert_eq!(report["legs"][0]["rpo"]["achieved-ms"], 0, "{report}");
    complete(&platform, "bz", &users.stop().await)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_full_disk_parks_the_run_and_room_lets_it_go_on() {
    let platform = zones().await.unwrap();
    let host = Host::of_zones(&platform).unwrap();
    let watch = Watch::start(&platform.names);
    let users = platform.users(PACE);
    users.acknowledged_by("pz", 5, LIMIT).await.unwrap();

    let since_ms = now_ms();
    let mut run = host.begin("failover", "graceful", Everybody::Go).unwrap();
    run.args(["--journal-pages", PAGES]);
    let parked = said(run).await.unwrap();
    assert_eq!(parked.code, Some(3), "{}", parked.text);
    parked
        .tells(&[
            "RN0005: the run is parked",
            "JN0007: no room left for the journal",
        ])
        .unwrap();
    assert_eq!(watch.flips(since_ms), 0);
    users.acknowledged_by("pz", 5, LIMIT).await.unwrap();

    host.resume().await.unwrap();
    users.acknowledged_by("bz", 5, LIMIT).await.unwrap();
    assert_eq!(watch.flips(since_ms), 1);
    complete(&platform, "bz", &users.stop().await)
        .await
        .unwrap();
}
