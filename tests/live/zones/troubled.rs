//! What breaks the service after a flip: the run looks where that comes from, on the cluster, and says so in its journal while
//! there is time to mend it; and a service level that is missed gets more replicas.
//!
//! A person who is on call is asked before the step that is to notice, so that what breaks is broken by then.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio::process::Child;
use tokio::task::JoinSet;
use understudy_lab::clock::eventually;
use understudy_lab::host::Host;
use understudy_lab::kubernetes::cluster::{Cluster, Kind, text};
use understudy_lab::kubernetes::objects::{APP, CONTROLLER_NAMESPACE, WORDPRESS};
use understudy_lab::monitoring::{ERROR_RATE, Monitoring};
use understudy_lab::platform::Platform;
use understudy_lab::wordpress::server::QUEUE_VARIABLE;
use understudy_lab::zone::Zone;

use super::{PACE, complete, database_password, node_missed, set_database_password, zones};
use crate::LIMIT;

/// Who is asked before the step that is to notice.
const ON_CALL: &str = "on-call";

/// An overlay by which somebody is asked before a step.
fn asked_before(step: &str) -> Value {
    json!({ "step": step, "gate": { "before": { "role": ON_CALL, "timeout": "15m" } } })
}

/// Waits until somebody is asked before a step, and answers by what the question goes.
async fn asked(host: &Host, running: &mut Child, step: &str) -> Result<String> {
    eventually(&format!("a question before {step}"), LIMIT, async || {
        ensure!(running.try_wait()?.is_none(), "{}", host.log());
        let opened = |record: &Value| {
            let body = &record["body"];
            let is_ours = record["type"] == "gate-opened"
                && body["step"] == step
                && body["rule"]["role"] == ON_CALL;
            is_ours.then(|| text(body, "/gate").to_owned())
        };
        Ok(host.records()?.iter().find_map(opened))
    })
    .await
}

/// Records of a type that a step of the newest run has written, by a field of theirs.
fn written(host: &Host, step: &str, kind: &str, field: &str) -> Result<Vec<String>> {
    let records = host.records()?;
    let ours = records
        .iter()
        .filter(|record| record["type"] == kind && record["body"]["step"] == step);
    Ok(ours
        .map(|record| text(&record["body"], field).to_owned())
        .collect())
}

/// Waits until a step has warned of what it found, and answers that.
async fn found(host: &Host, running: &mut Child, step: &str) -> Result<String> {
    eventually("a cause to be found", LIMIT, async || {
        ensure!(running.try_wait()?.is_none(), "{}", host.log());
        let lines = written(host, step, "logged", "/message")?;
        Ok(lines.into_iter().find(|line| line.contains("look at ")))
    })
    .await
}

/// The evidence of this name that a step attached.
fn evidence(host: &Host, step: &str, name: &str) -> String {
    let records = host.records().unwrap();
    let attached = records.iter().find(|record| {
        let body = &record["body"];
        record["type"] == "attached" && body["step"] == step && body["name"] == name
    });
    text(&attached.unwrap()["body"], "/content").to_owned()
}

/// Has every pod of the application begin anew, and waits until those that were there are gone.
async fn begin_anew(cluster: &Cluster) {
    let pods = cluster.list(Kind::POD, APP).await.unwrap();
    for pod in &pods {
        let name = text(pod, "/metadata/name");
        cluster.delete(Kind::POD, APP, name).await.unwrap();
    }
    eventually("pods to be gone", LIMIT, async || {
        for pod in &pods {
            let left = cluster.get(Kind::POD, APP, text(pod, "/metadata/name"));
            ensure!(left.await?.is_none(), "one is left");
        }
        Ok(Some(()))
    })
    .await
    .unwrap();
}

/// Waits until a zone serves nobody any more.
async fn serves_nobody(platform: &Platform, zone: &Zone) {
    let client = zone.client(&platform.roots, &Platform::name()).unwrap();
    eventually("a zone that does not serve", LIMIT, async || {
        let answer = client.get(platform.home()).send().await?;
        Ok(answer.status().is_server_error().then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_cause_is_found_on_the_cluster_and_the_run_ends_well_once_it_is_gone() {
    let mut platform = zones().await.unwrap();
    let steps = ["replica", "failback"].map(|it| asked_before(&format!("{it}/validate-public")));
    let overlay = toml::to_string(&json!({ "steps": steps })).unwrap();
    let host = Host::of_zones(&platform).unwrap();
    let host = host.laid_over("asked", &overlay).unwrap();
    let users = platform.users(PACE);
    users.acknowledged_by("pz", 5, LIMIT).await.unwrap();

    a_wrong_password(&platform, &host).await;
    users.acknowledged_by("bz", 5, LIMIT).await.unwrap();
    a_node_that_is_gone(&mut platform, &host).await;
    users.acknowledged_by("pz", 5, LIMIT).await.unwrap();
    let report = host.report().await.unwrap();
    assert_eq!(report["conclusion"]["ending"], "recovered", "{report}");
    complete(&platform, "pz", &users.stop().await)
        .await
        .unwrap();
}

/// The password in one zone's Secret is wrong, and every pod there is a new one: said by the step, and in the pods' logs.
async fn a_wrong_password(platform: &Platform, host: &Host) {
    let step = "replica/validate-public";
    let mut running = host.run("failover", "graceful").unwrap();
    let gate = asked(host, &mut running, step).await.unwrap();
    let bz = platform.bz.cluster().await.unwrap();
    let password = database_password(&bz).await.unwrap();
    set_database_password(&bz, "no-password-of-anything")
        .await
        .unwrap();
    begin_anew(&bz).await;
    serves_nobody(platform, &platform.bz).await;
    host.say_go(&gate, ON_CALL).await.unwrap();
    let said = found(host, &mut running, step).await.unwrap();
    assert!(
        said.contains("journey `front-page` does not pass at bz"),
        "{said}"
    );
    assert!(said.contains("replicas-ready (0 of 1 are)"), "{said}");
    assert!(!said.contains("nodes-well"), "{said}");
    let log = evidence(host, step, &format!("logs-{APP}"));
    assert!(log.contains("Access denied for user"), "{log}");
    assert!(!log.contains(&password), "a password is on record");

    set_database_password(&bz, &password).await.unwrap();
    begin_anew(&bz).await;
    host.ends_well(running).await.unwrap();
}

/// The only node of the zone is gone, and with it the way in. Its database is elsewhere.
async fn a_node_that_is_gone(platform: &mut Platform, host: &Host) {
    let step = "failback/validate-public";
    let mut running = host.run("failback", "graceful").unwrap();
    let gate = asked(host, &mut running, step).await.unwrap();
    platform.pz.agent.kill().unwrap();
    let pz = platform.pz.cluster().await.unwrap();
    node_missed(&pz, "pz-1").await.unwrap();
    host.say_go(&gate, ON_CALL).await.unwrap();
    let said = found(host, &mut running, step).await.unwrap();
    for cause in ["nodes-well (pz-1 is not", "way-in-open", "replicas-ready"] {
        assert!(said.contains(cause), "{cause}: {said}");
    }
    assert!(!said.contains("database-writes"), "{said}");
    let log = evidence(host, step, &format!("logs-{CONTROLLER_NAMESPACE}"));
    assert!(log.starts_with("no logs: "), "{log}");

    platform.pz.agent.restart().unwrap();
    host.ends_well(running).await.unwrap();
}

/// How many want the same page at once, each again as soon as they have it.
const RUSH: usize = 12;
/// Requests that may wait for a worker of a pod. A pod has three, so one is not enough for the rush and three are.
const QUEUE: u32 = 3;
/// Replicas after a service level was missed.
const SCALE_OUT: u32 = 3;
/// A page that waits for somebody else before it answers.
const PAGE: &str = "<?php usleep(300000);";
/// Before somebody who was sent away asks again.
const AGAIN: Duration = Duration::from_millis(250);

/// People who all want one page of a zone, for as long as this is held.
struct Rush {
    served: Arc<AtomicUsize>,
    sent_away: Arc<AtomicUsize>,
    _people: JoinSet<()>,
}

impl Rush {
    fn on(platform: &Platform) -> Self {
        let zone = &platform.bz;
        fs::write(zone.files.root().join("busy.php"), PAGE).unwrap();
        let client = zone.client(&platform.roots, &Platform::name()).unwrap();
        let page = format!("{}/busy.php", platform.home());
        let (served, sent_away) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let mut people = JoinSet::new();
        for _ in 0..RUSH {
            let (client, page) = (client.clone(), page.clone());
            let (served, sent_away) = (Arc::clone(&served), Arc::clone(&sent_away));
            people.spawn(async move {
                loop {
                    let answer = client.get(&page).send().await;
                    if answer.is_ok_and(|answer| answer.status().is_success()) {
                        served.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    sent_away.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(AGAIN).await;
                }
            });
        }
        Self {
            served,
            sent_away,
            _people: people,
        }
    }
}

/// Has the application of a zone turn requests away where too many wait.
async fn queue_up_to(cluster: &Cluster, waiting: u32) {
    let deployment = cluster.get(Kind::DEPLOYMENT, APP, WORDPRESS).await;
    let mut containers =
        deployment.unwrap().unwrap()["spec"]["template"]["spec"]["containers"].take();
    let environment = containers[0]["env"].as_array_mut().unwrap();
    environment.push(json!({ "name": QUEUE_VARIABLE, "value": waiting.to_string() }));
    let change = json!({ "spec": { "template": { "spec": { "containers": containers } } } });
    cluster
        .patch(Kind::DEPLOYMENT, APP, WORDPRESS, &change)
        .await
        .unwrap();
    cluster.rolled_out(APP, WORDPRESS, 1, LIMIT).await.unwrap();
}

#[tokio::test]
async fn a_service_level_that_is_missed_is_met_again_with_more_replicas() {
    let platform = zones().await.unwrap();
    let monitoring = Monitoring::start(&platform).await.unwrap();
    let step = "replica/observe-slo";
    let parameters = json!({ "objectives": [ERROR_RATE], "scale-out": SCALE_OUT });
    let overlay = json!({
        "strategies": { "replica": { "parameters": parameters } },
        "steps": [asked_before(step)],
        "bindings": [monitoring.binding()],
    });
    let host = Host::of_zones(&platform).unwrap();
    let overlay = toml::to_string(&overlay).unwrap();
    let host = host.laid_over("monitoring", &overlay).unwrap();
    let bz = platform.bz.cluster().await.unwrap();
    queue_up_to(&bz, QUEUE).await;
    let users = platform.users(PACE);
    users.acknowledged_by("pz", 5, LIMIT).await.unwrap();

    let mut running = host.run("failover", "graceful").unwrap();
    let gate = asked(&host, &mut running, step).await.unwrap();
    let rush = Rush::on(&platform);
    eventually("people who are sent away", LIMIT, async || {
        Ok((rush.sent_away.load(Ordering::Relaxed) > 5 * RUSH).then_some(()))
    })
    .await
    .unwrap();
    host.say_go(&gate, ON_CALL).await.unwrap();
    host.ends_well(running).await.unwrap();

    // They are as many as before, and are served.
    let (served, sent_away) = (&rush.served, &rush.sent_away);
    let [before, away] = [served, sent_away].map(|count| count.load(Ordering::Relaxed));
    eventually("people to be served", LIMIT, async || {
        Ok((served.load(Ordering::Relaxed) > before + 10 * RUSH).then_some(()))
    })
    .await
    .unwrap();
    let more_away = sent_away.load(Ordering::Relaxed) - away;
    assert!(
        more_away < RUSH,
        "{more_away} are sent away with more replicas"
    );
    bz.rolled_out(APP, WORDPRESS, SCALE_OUT.into(), LIMIT)
        .await
        .unwrap();
    scaled_out_once(&host, step);
    let report = host.report().await.unwrap();
    assert_eq!(report["conclusion"]["ending"], "recovered", "{report}");
    drop(rush);
    complete(&platform, "bz", &users.stop().await)
        .await
        .unwrap();
}

/// The step has scaled out once, and says why.
fn scaled_out_once(host: &Host, step: &str) {
    let records = host.records().unwrap();
    let scaled = records.iter().filter(|record| {
        let body = &record["body"];
        record["type"] == "intent"
            && body["function"]["function"] == "ensure-scaled"
            && body["args"]["replicas"] == SCALE_OUT
    });
    assert_eq!(scaled.count(), 1);
    let said = last_line(host, step);
    assert!(said.contains(&format!("`{ERROR_RATE}` was ")), "{said}");
    assert!(
        said.contains(&format!("with {SCALE_OUT} replicas, as ")),
        "{said}"
    );
    let quantity = records
        .iter()
        .find(|record| record["body"]["name"] == "scaled-out-bz");
    assert_eq!(
        quantity.unwrap()["body"]["quantity"],
        json!({ "count": SCALE_OUT })
    );
}

/// The line with which a step was done.
fn last_line(host: &Host, step: &str) -> String {
    let records = host.records().unwrap();
    let done = records.iter().find(|record| {
        let body = &record["body"];
        record["type"] == "step-changed" && body["step"] == step && body["to"] == "done"
    });
    text(&done.unwrap()["body"], "/detail").to_owned()
}
