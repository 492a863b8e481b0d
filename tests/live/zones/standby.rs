//! The backup zone on any day before a recovery: `standby` brings it to where it waits, and `check --live` tells by name what
//! does not hold any more, without touching it.

use std::collections::BTreeSet;

use anyhow::ensure;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use understudy_lab::clock::eventually;
use understudy_lab::host::{Host, Look};
use understudy_lab::kubernetes::cluster::{Cluster, Kind, text};
use understudy_lab::kubernetes::objects::{
    APP, INGRESS_CLASS, PLATFORM, SETTINGS, TLS_SECRET, WORDPRESS,
};
use understudy_lab::powerdns::ZONE;

use super::{PACE, database_password, is_exposed, node_missed, set_database_password, zones};
use crate::LIMIT;

/// A password that nothing has but one zone's Secret.
const RENEWED: &str = "renewed-in-one-zone";

#[tokio::test]
async fn a_zone_is_brought_to_where_it_waits_and_a_look_names_what_breaks_it() {
    let mut platform = zones().await.unwrap();
    let host = Host::of_zones(&platform).unwrap();
    let users = platform.users(PACE);
    users.acknowledged_by("pz", 5, LIMIT).await.unwrap();
    let bz = platform.bz.cluster().await.unwrap();

    // Somebody has tried things out there.
    bz.scale(APP, WORDPRESS, 0).await.unwrap();
    bz.rolled_out(APP, WORDPRESS, 0, LIMIT).await.unwrap();
    expose(&bz).await;
    platform.databases.bz.stop_receiving().await.unwrap();
    let wrong = [
        "app-in-maintenance",
        "app-waits",
        "entry-closed",
        "replica-within-objective",
    ];
    look_names(&host, &wrong).await;

    host.ends_well(host.run("standby", "graceful").unwrap())
        .await
        .unwrap();
    assert!(!is_exposed(&bz).await.unwrap());
    bz.rolled_out(APP, WORDPRESS, 1, LIMIT).await.unwrap();
    let settings = bz.get(Kind::CONFIG_MAP, APP, SETTINGS).await.unwrap();
    assert_eq!(text(&settings.unwrap(), "/data/maintenance"), "true");
    let link = platform.databases.bz.replica_status().await.unwrap();
    assert!(link.is_some_and(|link| link.receiving && link.applying));
    assert!(platform.databases.bz.is_read_only().await.unwrap());
    let active = platform.names.resolver.active().await.unwrap();
    assert_eq!(active.alias, Some(format!("wp-pz.{ZONE}")));
    users.acknowledged_by("pz", 5, LIMIT).await.unwrap();
    let look = look_names(&host, &[]).await;
    assert_eq!(look.said["ready"], true, "{}", look.said);

    a_value_that_is_another_one_is_named(&host, &bz).await;

    expose(&bz).await;
    platform.databases.bz.stop_receiving().await.unwrap();
    let before = decided(&bz).await;
    let look = look_names(&host, &["entry-closed", "replica-within-objective"]).await;
    let open = look.missed()["entry-closed"].to_owned();
    assert!(open.contains(&format!("wp-bz.{ZONE}")), "{open}");

    platform.bz.agent.kill().unwrap();
    bz.delete(Kind::NAMESPACE, "", PLATFORM).await.unwrap();
    node_missed(&bz, "bz-1").await.unwrap();
    let broken = [
        "app-waits",
        "entry-closed",
        "media-reachable",
        "namespace-platform-exists",
        "nodes-ready",
        "pods-of-ingress-nginx-ready",
        "replica-within-objective",
    ];
    let look = look_names(&host, &broken).await;
    let node = look.missed()["nodes-ready"].to_owned();
    assert!(node.contains("bz-1 is not"), "{node}");

    // It has looked, and nothing else.
    assert_eq!(effects(&host), Vec::<String>::new());
    assert_eq!(decided(&bz).await, before);
    let link = platform.databases.bz.replica_status().await.unwrap();
    assert!(link.is_some_and(|link| !link.receiving));
    users.acknowledged_by("pz", 5, LIMIT).await.unwrap();
    users.stop().await;
}

/// A look that names exactly these, once a busy machine has let it; its exit code says whether there are any.
pub(super) async fn look_names(host: &Host, wanted: &[&str]) -> Look {
    let wanted: BTreeSet<&str> = wanted.iter().copied().collect();
    let look = eventually("a look to name what is wrong", LIMIT, async || {
        let look = host.look("standby").await?;
        let missed = look.missed();
        let named: BTreeSet<&str> = missed.keys().copied().collect();
        ensure!(named == wanted, "{missed:#?}, not {wanted:?}");
        Ok(Some(look))
    });
    let look = look.await.unwrap();
    assert_eq!(look.code, Some(i32::from(!wanted.is_empty())));
    look
}

/// A way in, as somebody adds one by hand.
async fn expose(cluster: &Cluster) {
    let host = format!("wp-bz.{ZONE}");
    let backend = json!({ "service": { "name": WORDPRESS, "port": { "number": 80 } } });
    let path = json!({ "path": "/", "pathType": "Prefix", "backend": backend });
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": { "name": WORDPRESS, "namespace": APP },
        "spec": {
            "ingressClassName": INGRESS_CLASS,
            "tls": [{ "hosts": [host], "secretName": TLS_SECRET }],
            "rules": [{ "host": host, "http": { "paths": [path] } }],
        },
    });
    cluster.apply(ingress).await.unwrap();
    assert!(is_exposed(cluster).await.unwrap());
}

/// Somebody has renewed a password in one zone alone, and added a key to the settings: a look says so by the names of the keys,
/// and no value is on record.
async fn a_value_that_is_another_one_is_named(host: &Host, bz: &Cluster) {
    let password = database_password(bz).await.unwrap();
    let set_password = async |value: &str| set_database_password(bz, value).await.unwrap();
    let set_cache = async |value: Value| {
        let change = json!({ "data": { "cache": value } });
        bz.patch(Kind::CONFIG_MAP, APP, SETTINGS, &change)
            .await
            .unwrap();
    };
    set_password(RENEWED).await;
    set_cache("off".into()).await;
    let secret = "wordpress-database-of-app-mirrored";
    let look = look_names(host, &["wordpress-settings-of-app-mirrored", secret]).await;
    let missed = look.missed();
    assert_eq!(missed[secret], "`password` is another one at bz than at pz");
    let settings = missed["wordpress-settings-of-app-mirrored"];
    assert_eq!(settings, "pz has no `cache`");
    let records = serde_json::to_string(&host.records().unwrap()).unwrap();
    for hidden in [
        RENEWED,
        &password,
        &BASE64.encode(RENEWED),
        &BASE64.encode(&password),
    ] {
        assert!(!records.contains(hidden), "a value is on record");
    }
    set_password(&password).await;
    set_cache(Value::Null).await;
    look_names(host, &[]).await;
}

/// What people and strategies have decided about the application there.
async fn decided(cluster: &Cluster) -> Vec<Value> {
    let mut all = Vec::new();
    for (kind, name, pointer) in [
        (Kind::INGRESS, WORDPRESS, "/spec"),
        (Kind::DEPLOYMENT, WORDPRESS, "/spec"),
        (Kind::CONFIG_MAP, SETTINGS, "/data"),
    ] {
        let object = cluster.get(kind, APP, name).await.unwrap().unwrap();
        all.push(object.pointer(pointer).cloned().unwrap());
    }
    all
}

/// Calls of the newest run that could have changed the world.
fn effects(host: &Host) -> Vec<String> {
    let records = host.records().unwrap();
    let intents = records.iter().filter(|record| record["type"] == "intent");
    let effects = intents.map(|record| &record["body"]).filter(|body| {
        let interface = body["function"]["interface"].as_str().unwrap_or_default();
        body["kind"] != "read" && !interface.starts_with("understudy:control")
    });
    effects.map(|body| body["function"].to_string()).collect()
}
