//! Clusters of sites: nodes and what they say of themselves, namespaces, pods, and the room that is left without a node.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Hand, text};
use crate::call::CallError;
use crate::rehearsal::scenario::Scenario;

/// The planned drill, in which a node of `bz` is lost after ten minutes and is back after an hour, and another is full.
fn hand() -> Hand {
    let node = |at: &str, node: &str, condition: &str, holds: bool| {
        format!(
            "\n[[injects]]\nat = '{at}'\nnode = {{ site = 'bz', name = '{node}', condition = '{condition}', holds = {holds} }}\n"
        )
    };
    let injects = [
        node("T+10m", "bz-2", "Ready", false),
        node("T+10m", "bz-3", "DiskPressure", true),
        node("T+10m", "bz-3", "KernelDeadlock", true),
        node("T+1h", "bz-2", "Ready", true),
    ];
    let scenario = Scenario::parse(&(text("planned") + &injects.concat())).unwrap();
    Hand::new(&scenario, 7)
}

fn conditions(hand: &mut Hand, wanted: impl Fn(&Value) -> bool) -> Vec<String> {
    let all = hand.must("kubernetes/list-node-conditions", json!({ "site": "bz" }));
    let told = all.as_array().unwrap().iter().filter(|one| wanted(one));
    told.map(|one| {
        format!(
            "{} {}",
            one["node"].as_str().unwrap(),
            one["condition"].as_str().unwrap()
        )
    })
    .collect()
}

fn listed(hand: &mut Hand, kind: &str, namespace: &str, selector: &str) -> Vec<Value> {
    let args = json!({
        "site": "bz", "api-version": "v1", "kind": kind, "namespace": namespace, "label-selector": selector,
    });
    let text = hand.must("kubernetes/list-objects", args);
    serde_json::from_str(text.as_str().unwrap()).unwrap()
}

/// Names of pods by whether they are ready.
fn pods(hand: &mut Hand, namespace: &str, ready: &str) -> Vec<String> {
    let all = listed(hand, "Pod", namespace, "").into_iter();
    let such = all.filter(|pod| pod["status"]["conditions"][0]["status"] == ready);
    such.map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_lost_node_says_so_takes_its_pods_with_it_and_comes_back() {
    let mut hand = hand();
    let down = |one: &Value| one["condition"] == "Ready" && one["holds"] == false;
    assert_eq!(conditions(&mut hand, down), Vec::<String>::new());
    assert_eq!(pods(&mut hand, "platform", "True").len(), 3);
    hand.wait(Duration::from_secs(660));
    assert_eq!(conditions(&mut hand, down), ["bz-2 Ready"]);
    assert_eq!(pods(&mut hand, "platform", "False"), ["kube-prometheus-1"]);
    let short = |one: &Value| one["condition"] != "Ready" && one["holds"] == true;
    let told = conditions(&mut hand, short);
    assert_eq!(told, ["bz-3 DiskPressure", "bz-3 KernelDeadlock"]);
    let node = json!({ "api-version": "v1", "kind": "Node", "namespace": "", "name": "bz-2" });
    let get = json!({ "site": "bz", "object": node });
    let seen = hand.must("kubernetes/get-object", get);
    assert!(
        seen.as_str()
            .unwrap()
            .contains(r#""status":"False","type":"Ready""#),
        "{seen}"
    );
    hand.wait(Duration::from_secs(3_600));
    assert_eq!(conditions(&mut hand, down), Vec::<String>::new());
    assert_eq!(pods(&mut hand, "platform", "False"), Vec::<String>::new());
}

#[test]
fn a_lost_node_leaves_less_room() {
    let mut hand = hand();
    let scale = |replicas: u32| json!({ "site": "bz", "app": "wordpress", "replicas": replicas });
    hand.must("workload/ensure-scaled", scale(50));
    hand.wait(Duration::from_secs(660));
    assert_eq!(
        pods(&mut hand, "app", "True").len(),
        40,
        "two nodes are left"
    );
    assert_eq!(pods(&mut hand, "app", "False").len(), 10);
    let refused = hand.once("workload/ensure-scaled", scale(50));
    assert!(
        matches!(refused, Err(CallError::Conflict(_))),
        "{refused:?}"
    );
    hand.wait(Duration::from_secs(3_600));
    assert_eq!(pods(&mut hand, "app", "True").len(), 50);
}

#[test]
fn namespaces_and_pods_are_those_of_the_scenario() {
    let mut hand = hand();
    let names = |all: Vec<Value>| -> Vec<String> {
        let names = all.into_iter();
        names
            .map(|one| one["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let namespaces = listed(&mut hand, "Namespace", "", "");
    assert!(
        namespaces
            .iter()
            .all(|one| one["status"]["phase"] == "Active")
    );
    assert_eq!(names(namespaces), ["app", "platform"]);
    assert_eq!(names(listed(&mut hand, "Pod", "app", "")), ["wordpress-1"]);
    assert_eq!(
        names(listed(&mut hand, "Pod", "platform", "app=cert-manager")),
        ["cert-manager-1"]
    );
    assert_eq!(listed(&mut hand, "Pod", "elsewhere", "").len(), 0);
    let logs = |namespace: &str| json!({ "site": "bz", "namespace": namespace, "label-selector": "", "lines": 5 });
    let said = hand.must("kubernetes/get-pod-logs", logs("platform"));
    assert_eq!(said.as_str().unwrap().lines().count(), 3, "{said}");
    let platform =
        json!({ "api-version": "v1", "kind": "Namespace", "namespace": "", "name": "platform" });
    let delete = json!({ "site": "bz", "object": platform });
    assert_eq!(hand.must("kubernetes/ensure-deleted", delete), "changed");
    assert_eq!(names(listed(&mut hand, "Namespace", "", "")), ["app"]);
    assert_eq!(listed(&mut hand, "Pod", "platform", "").len(), 0);
}

#[test]
fn values_of_secrets_are_compared_over_the_sites_by_one_host_and_never_shown() {
    let mut hand = hand();
    let object = |kind: &str, name: &str| json!({ "api-version": "v1", "kind": kind, "namespace": "app", "name": name });
    let digests = |hand: &mut Hand, site: &str, kind: &str, name: &str| -> (Value, Vec<Value>) {
        let args = json!({ "site": site, "object": object(kind, name) });
        let told = hand.must("kubernetes/get-value-digests", args);
        let values = told["values"].as_array().unwrap().clone();
        (told["made-with"].clone(), values)
    };
    let there = digests(&mut hand, "pz", "Secret", "wordpress-database");
    let here = digests(&mut hand, "bz", "Secret", "wordpress-database");
    assert_eq!(there.0, here.0);
    let differ: Vec<&str> = there
        .1
        .iter()
        .zip(&here.1)
        .filter(|(one, other)| one != other)
        .map(|(one, _)| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(differ, ["endpoint"]);
    hand.world.taken_over(1);
    let later = digests(&mut hand, "bz", "Secret", "wordpress-database");
    assert_ne!(later.0, here.0, "another host has another key");
    assert_ne!(later.1, here.1);
    let settings = digests(&mut hand, "bz", "ConfigMap", "wordpress-settings");
    assert_eq!(settings.1.len(), 2);
    let get = json!({ "site": "bz", "object": object("Secret", "wordpress-database") });
    let shown = hand.must("kubernetes/get-object", get);
    assert!(shown.as_str().unwrap().contains(r#""data":{}"#), "{shown}");
    assert_eq!(listed(&mut hand, "Secret", "app", "").len(), 2);
    let other = json!({ "site": "bz", "object": object("Pod", "wordpress-1") });
    let refused = hand.once("kubernetes/get-value-digests", other);
    assert!(matches!(refused, Err(CallError::Invalid(_))), "{refused:?}");
    let absent = json!({ "site": "bz", "object": object("Secret", "nobody") });
    let refused = hand.once("kubernetes/get-value-digests", absent);
    assert!(
        matches!(refused, Err(CallError::NotFound(_))),
        "{refused:?}"
    );
}

#[test]
fn clusters_tell_their_ranges_of_addresses() {
    let mut hand = hand();
    let nodes = listed(&mut hand, "Node", "", "");
    let range = |node: &Value| node["spec"]["podCIDRs"][0].as_str().unwrap().to_owned();
    let ranges: Vec<String> = nodes.iter().map(range).collect();
    assert_eq!(ranges, ["10.245.0.0/24", "10.245.1.0/24", "10.245.2.0/24"]);
    let args = json!({
        "site": "bz", "api-version": "networking.k8s.io/v1", "kind": "ServiceCIDR", "namespace": "", "label-selector": "",
    });
    let told = hand.must("kubernetes/list-objects", args);
    let told: Value = serde_json::from_str(told.as_str().unwrap()).unwrap();
    assert_eq!(told[0]["spec"]["cidrs"], json!(["10.97.0.0/16"]));
}
