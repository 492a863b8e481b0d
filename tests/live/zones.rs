//! The runbook over two whole zones: WordPress in Kubernetes, the public way in and certificates are the clusters' own,
//! and users publish posts and pictures all the while. `deaths` are the host's, `plugs` those of what it needs, `troubled` is
//! what breaks the service after a flip; `standby` is the zone that waits, and `built` one that is made of code and watched.

#[expect(clippy::unwrap_used, reason = "what does not hold must end the test")]
mod built;
mod deaths;
mod plugs;
#[expect(clippy::unwrap_used, reason = "what does not hold must end the test")]
mod standby;
#[expect(clippy::unwrap_used, reason = "what does not hold must end the test")]
mod troubled;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;
use understudy_lab::clock::eventually;
use understudy_lab::kubernetes::cluster::{Cluster, Kind, is_condition_true, text};
use understudy_lab::kubernetes::objects::{APP, DATABASE_SECRET, WORDPRESS};
use understudy_lab::lab::Options;
use understudy_lab::platform::Platform;
use understudy_lab::powerdns::ZONE;
use understudy_lab::wordpress::users::{Log, audit};

use crate::LIMIT;
use crate::host::Host;

/// Time between two things that the users do.
const PACE: Duration = Duration::from_millis(200);

async fn zones() -> Result<Platform> {
    Platform::up(Options::new(env!("CARGO_BIN_EXE_understudy-lab"))).await
}

/// Waits until a zone has everything that was acknowledged: media follow a moment later.
async fn complete(platform: &Platform, zone: &str, log: &Log) -> Result<()> {
    let (server, files) = match zone {
        "pz" => (&platform.databases.pz, &platform.pz.files),
        _ => (&platform.databases.bz, &platform.bz.files),
    };
    eventually(&format!("{zone} to have everything"), LIMIT, async || {
        let missing = audit(log, server, files).await?;
        ensure!(missing.is_empty(), "{missing:?}");
        Ok(Some(()))
    })
    .await
}

async fn is_exposed(cluster: &Cluster) -> Result<bool> {
    let ingress = cluster.get(Kind::INGRESS, APP, WORDPRESS).await?;
    Ok(ingress.is_some())
}

/// The password by which the application reaches its database.
async fn database_password(cluster: &Cluster) -> Result<String> {
    let secret = cluster.get(Kind::SECRET, APP, DATABASE_SECRET).await?;
    let secret = secret.context("there is no such Secret")?;
    let password = BASE64.decode(text(&secret, "/data/password"))?;
    Ok(String::from_utf8(password)?)
}

/// Renews that password there and nowhere else.
async fn set_database_password(cluster: &Cluster, password: &str) -> Result<()> {
    let change = json!({ "stringData": { "password": password } });
    cluster
        .patch(Kind::SECRET, APP, DATABASE_SECRET, &change)
        .await
        .map(drop)
}

/// Waits until a cluster has missed a node that says nothing any more.
async fn node_missed(cluster: &Cluster, name: &str) -> Result<()> {
    eventually("the node to be missed", LIMIT, async || {
        let node = cluster.get(Kind::NODE, "", name).await?;
        Ok((!is_condition_true(&node.unwrap_or_default(), "Ready")).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_drill_over_clusters_loses_nothing_and_ends_where_it_began() {
    let platform = zones().await.unwrap();
    let host = Host::of_zones(&platform).unwrap();
    let users = platform.users(PACE);
    users.acknowledged_by("pz", 10, LIMIT).await.unwrap();
    host.ends_well(host.run("failover", "graceful").unwrap())
        .await
        .unwrap();
    users.acknowledged_by("bz", 10, LIMIT).await.unwrap();
    let standby = platform.bz.cluster().await.unwrap();
    assert!(is_exposed(&standby).await.unwrap());

    host.ends_well(host.run("failback", "graceful").unwrap())
        .await
        .unwrap();
    users.acknowledged_by("pz", 10, LIMIT).await.unwrap();
    assert!(!is_exposed(&standby).await.unwrap());
    let log = users.stop().await;
    let active = platform.names.resolver.active().await.unwrap();
    assert_eq!(active.alias, Some(format!("wp-pz.{ZONE}")));
    for zone in ["pz", "bz"] {
        complete(&platform, zone, &log).await.unwrap();
    }
    for text in host.written().unwrap() {
        let text = String::from_utf8_lossy(&text);
        for (name, secret) in platform.credentials().unwrap() {
            assert!(!text.contains(&secret), "{name} was written");
        }
    }
}

#[tokio::test]
async fn a_dead_zone_costs_what_it_alone_had() {
    let mut platform = zones().await.unwrap();
    let host = Host::of_zones(&platform).unwrap();
    let users = platform.users(PACE);
    users.acknowledged_by("pz", 10, LIMIT).await.unwrap();
    platform.databases.bz.stop_receiving().await.unwrap();
    users.acknowledged_by("pz", 10, LIMIT).await.unwrap();
    platform.kill("pz").unwrap();

    let mut running = host.run("failover", "ungraceful").unwrap();
    eventually("bz to become the writer", LIMIT, async || {
        assert_eq!(running.try_wait()?, None, "{}", host.log());
        let fenced = platform.databases.bz.is_read_only().await?;
        Ok((!fenced).then_some(()))
    })
    .await
    .unwrap();
    // It comes back on its own, as it was: nobody's primary, with rows and pictures that nobody else has.
    platform.restart("pz").await.unwrap();
    users.acknowledged_by("bz", 10, LIMIT).await.unwrap();
    host.ends_well(running).await.unwrap();
    let log = users.stop().await;
    let (server, files) = (&platform.databases.bz, &platform.bz.files);
    let lost = audit(&log, server, files).await.unwrap();
    assert!(lost.posts.len() >= 5, "{lost:?}");
    let by_pz = |row: &understudy_lab::wordpress::users::Acknowledged| row.zone == "pz";
    assert!(lost.posts.iter().all(by_pz), "{lost:?}");
    assert!(lost.media.iter().all(by_pz), "{lost:?}");
    let report = host.report().await.unwrap();
    assert_eq!(report["conclusion"]["ending"], "recovered", "{report}");
}
