//! Certificates: issued by the authority, served where a name is exposed, and explained where they are not issued.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use understudy_lab::clock::eventually;
use understudy_lab::kubernetes::cluster::{Cluster, Kind, list, text};
use understudy_lab::kubernetes::objects::{
    APP, ISSUER, PLATFORM, SOLVER_SECRET, TLS_SECRET, WORDPRESS,
};
use understudy_lab::platform::Platform;
use understudy_lab::powerdns::ZONE;
use understudy_lab::tls;

use super::{LIMIT, answers, get, options};

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_issued_by_the_authority_served_and_explained() {
    let platform = Platform::up(options()).await.unwrap();
    let cluster = platform.pz.cluster().await.unwrap();
    what_is_served_is_the_newest(&platform, &cluster)
        .await
        .unwrap();
    a_zone_serves_what_it_is_told_to(&platform, &cluster)
        .await
        .unwrap();
    refusals_are_in_the_conditions_words(&cluster)
        .await
        .unwrap();
}

async fn what_is_served_is_the_newest(platform: &Platform, cluster: &Cluster) -> Result<()> {
    let (public, root) = (platform.pz.public(), platform.pebble.root());
    let shown = async |name: &str| tls::shown(public, name, root).await;
    let first = shown(&Platform::name()).await?;
    assert_eq!(shown(&format!("wp-pz.{ZONE}")).await?, first);
    let other = shown(&format!("wp-bz.{ZONE}")).await;
    assert!(
        other.is_err(),
        "a name that is not served has a certificate"
    );
    cluster.delete(Kind::SECRET, APP, TLS_SECRET).await?;
    eventually("a new certificate to be served", LIMIT, async || {
        ensure!(shown(&Platform::name()).await? != first, "still the first");
        Ok(Some(()))
    })
    .await
}

async fn a_zone_serves_what_it_is_told_to(platform: &Platform, cluster: &Cluster) -> Result<()> {
    let standby = platform.bz.cluster().await?;
    // It has a certificate already, and shows it to nobody.
    let answer = get(platform, &platform.bz, "/").await;
    assert!(answer.is_err(), "{answer:?}");
    let ingress = cluster.get(Kind::INGRESS, APP, WORDPRESS).await?;
    let exposed = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": { "name": WORDPRESS, "namespace": APP },
        "spec": ingress.context("no ingress")?.get("spec"),
    });
    standby.create(exposed).await?;
    answers(platform, &platform.bz, "/", 200).await?;
    standby.delete(Kind::INGRESS, APP, WORDPRESS).await?;
    eventually("the standby to be closed again", LIMIT, async || {
        let answer = get(platform, &platform.bz, "/").await;
        Ok(answer.is_err().then_some(()))
    })
    .await
}

async fn refusals_are_in_the_conditions_words(cluster: &Cluster) -> Result<()> {
    let issuer = async |acme: Value| {
        let change = json!({ "spec": { "acme": acme } });
        cluster
            .patch(Kind::CLUSTER_ISSUER, "", ISSUER, &change)
            .await
    };
    // A name that the name server does not have.
    cluster
        .create(certificate("elsewhere", "www.elsewhere.test"))
        .await?;
    is_refused(cluster, Kind::CERTIFICATE, "elsewhere", "422").await?;
    cluster.delete(Kind::CERTIFICATE, APP, "elsewhere").await?;
    // A key that it does not take.
    let key = json!({ "stringData": { "api-key": "wrong" } });
    cluster
        .patch(Kind::SECRET, PLATFORM, SOLVER_SECRET, &key)
        .await?;
    issuer(json!({ "email": "others@example.test" })).await?;
    let name = format!("wp-pz.{ZONE}");
    cluster.create(certificate("unproved", &name)).await?;
    is_refused(cluster, Kind::CERTIFICATE, "unproved", "401").await?;
    // An authority that is not there.
    issuer(json!({ "server": "https://127.0.0.1:1/dir" })).await?;
    is_refused(
        cluster,
        Kind::CLUSTER_ISSUER,
        ISSUER,
        "registers no account",
    )
    .await
}

fn certificate(name: &str, host: &str) -> Value {
    json!({
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": { "name": name, "namespace": APP },
        "spec": {
            "secretName": name,
            "dnsNames": [host],
            "issuerRef": { "name": ISSUER, "kind": "ClusterIssuer" },
        },
    })
}

/// Waits until an object is not ready and says so with this word.
async fn is_refused(cluster: &Cluster, kind: Kind, name: &str, word: &str) -> Result<()> {
    let namespace = if kind == Kind::CERTIFICATE { APP } else { "" };
    eventually(&format!("{name} to say {word:?}"), LIMIT, async || {
        let object = cluster.get(kind, namespace, name).await?;
        let object = object.context("it is not there")?;
        let ready = list(&object, "/status/conditions")
            .iter()
            .find(|condition| text(condition, "/type") == "Ready")
            .context("it does not say whether it is ready")?;
        let says = text(ready, "/message").contains(word);
        ensure!(says && text(ready, "/status") == "False", "{ready}");
        Ok(Some(()))
    })
    .await
}
