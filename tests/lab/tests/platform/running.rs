//! A zone runs what its cluster says: restarts, maintenance, replicas, images, the way in.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use understudy_lab::clock::eventually;
use understudy_lab::kubernetes::cluster::{Cluster, Kind, list, text};
use understudy_lab::kubernetes::objects::{
    APP, CONTROLLER, CONTROLLER_NAMESPACE, DATABASE_SECRET, SETTINGS, WORDPRESS,
};
use understudy_lab::platform::Platform;

use super::{LIMIT, answers, count, get, log_in, options, processes};

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_runs_what_its_cluster_says() {
    let platform = Platform::up(options()).await.unwrap();
    let cluster = platform.pz.cluster().await.unwrap();
    let restarted = a_new_endpoint_counts_from_the_restart_on(&platform, &cluster);
    restarted.await.unwrap();
    let paused = maintenance_answers_503_and_takes_no_pod_out(&platform, &cluster);
    paused.await.unwrap();
    an_api_that_does_not_answer_stops_nothing(&platform, &cluster)
        .await
        .unwrap();
    pods_are_processes(&platform, &cluster).await.unwrap();
    an_image_that_nobody_has_is_said_to_be_that(&cluster)
        .await
        .unwrap();
    nobody_is_let_in_without_a_controller(&platform, &cluster)
        .await
        .unwrap();
}

async fn a_new_endpoint_counts_from_the_restart_on(
    platform: &Platform,
    cluster: &Cluster,
) -> Result<()> {
    let (session, client) = log_in(platform, &platform.pz).await?;
    let other = platform.databases.bz.address().to_string();
    let change = json!({ "stringData": { "endpoint": other } });
    cluster
        .patch(Kind::SECRET, APP, DATABASE_SECRET, &change)
        .await?;
    session
        .post(&client, "it still has the writable database")
        .await?;
    let annotation = json!({ "kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z" });
    let template = json!({ "metadata": { "annotations": annotation } });
    let restart = json!({ "spec": { "template": template } });
    cluster
        .patch(Kind::DEPLOYMENT, APP, WORDPRESS, &restart)
        .await?;
    cluster.rolled_out(APP, WORDPRESS, 1, LIMIT).await?;
    eventually("the read-only database to refuse", LIMIT, async || {
        let refused = session.post(&client, "after").await.err();
        let refused = refused.context("it was taken")?;
        ensure!(refused.to_string().contains("read-only"), "{refused:#}");
        Ok(Some(()))
    })
    .await
}

async fn maintenance_answers_503_and_takes_no_pod_out(
    platform: &Platform,
    cluster: &Cluster,
) -> Result<()> {
    let set = async |on: &str| {
        let change = json!({ "data": { "maintenance": on } });
        cluster
            .patch(Kind::CONFIG_MAP, APP, SETTINGS, &change)
            .await
    };
    set("true").await?;
    answers(platform, &platform.pz, "/", 503).await?;
    cluster.rolled_out(APP, WORDPRESS, 1, LIMIT).await?;
    set("false").await?;
    answers(platform, &platform.pz, "/", 200).await
}

async fn an_api_that_does_not_answer_stops_nothing(
    platform: &Platform,
    cluster: &Cluster,
) -> Result<()> {
    let node = &platform.pz.agent.config().folder;
    let masters = || -> Result<Vec<u32>> {
        let found = processes(node)?.into_iter();
        let masters = found.filter(|(_, line)| line.starts_with("php-fpm: master"));
        Ok(masters.map(|(id, _)| id).collect())
    };
    let before = masters()?;
    platform.pz.plane.freeze()?;
    eventually("the agent to give up a look", LIMIT, async || {
        let log = platform.pz.agent.log_end();
        Ok(log.contains("machine: not done after").then_some(()))
    })
    .await?;
    answers(platform, &platform.pz, "/", 200).await?;
    platform.pz.plane.thaw()?;
    cluster.rolled_out(APP, WORDPRESS, 1, LIMIT).await?;
    answers(platform, &platform.pz, "/", 200).await?;
    assert_eq!(masters()?, before);
    Ok(())
}

async fn pods_are_processes(platform: &Platform, cluster: &Cluster) -> Result<()> {
    let node = &platform.pz.agent.config().folder;
    cluster.scale(APP, WORDPRESS, 2).await?;
    cluster.rolled_out(APP, WORDPRESS, 2, LIMIT).await?;
    assert_eq!(count(node, "php-fpm: master")?, 2);
    cluster.scale(APP, WORDPRESS, 0).await?;
    cluster.rolled_out(APP, WORDPRESS, 0, LIMIT).await?;
    eventually("WordPress to be gone", LIMIT, async || {
        Ok((count(node, "php-fpm: master")? == 0).then_some(()))
    })
    .await?;
    answers(platform, &platform.pz, "/", 503).await
}

async fn an_image_that_nobody_has_is_said_to_be_that(cluster: &Cluster) -> Result<()> {
    let container = json!({ "name": WORDPRESS, "image": "wordpres:6" });
    let template = json!({ "spec": { "containers": [container] } });
    let change = json!({ "spec": { "replicas": 1, "template": template } });
    // Merged, so the list of containers is replaced as a whole.
    cluster
        .patch(Kind::DEPLOYMENT, APP, WORDPRESS, &change)
        .await?;
    eventually("the pod to say why it waits", LIMIT, async || {
        let pods = cluster.list(Kind::POD, APP).await?;
        let reason = |pod: &Value| {
            let states = list(pod, "/status/containerStatuses").first();
            states.map(|state| text(state, "/state/waiting/reason").to_owned())
        };
        let reasons: Vec<_> = pods.iter().filter_map(reason).collect();
        ensure!(reasons == ["ImagePullBackOff"], "{reasons:?}");
        Ok(Some(()))
    })
    .await
}

async fn nobody_is_let_in_without_a_controller(
    platform: &Platform,
    cluster: &Cluster,
) -> Result<()> {
    cluster.scale(CONTROLLER_NAMESPACE, CONTROLLER, 0).await?;
    eventually("the way in to be closed", LIMIT, async || {
        let answer = get(platform, &platform.pz, "/").await;
        Ok(answer.is_err().then_some(()))
    })
    .await
}
