//! What must be true of the cluster of the site that waits, by reads alone: [`findings`]. What is read is judged by the pure
//! functions below it.

use serde_json::Value;
use understudy_recovery::check::judged;
use understudy_recovery::parameters::Pods;
use understudy_recovery::recovery::Recovery;
use understudy_recovery::{Error, Finding, nodes};
use understudy_sdk::kubernetes::{condition, text};
use understudy_sdk::strategy::understudy::kubernetes::kubernetes::{self, NodeCondition};

use crate::networks;
use crate::parameters::Cluster;

/// Nodes are Ready, as many as decided, and short of nothing; namespaces are there; pods are there and Ready; addresses are
/// none of the site's that serves.
pub(crate) fn findings(recovery: &Recovery, wanted: &Cluster) -> Vec<Finding> {
    let site = recovery.to();
    let conditions = kubernetes::list_node_conditions(site);
    let mut found = vec![
        judged("nodes-ready", conditions.clone(), |all| ready(&all, wanted)),
        judged("nodes-short-of-nothing", conditions, |all| short_of(&all)),
    ];
    if !wanted.namespaces.is_empty() {
        let namespaces = listed(site, "Namespace", &Pods::default());
        found.extend(wanted.namespaces.iter().map(|name| {
            let id = format!("namespace-{name}-exists");
            judged(&id, namespaces.clone(), |all| exists(&all, name))
        }));
    }
    found.extend(wanted.pods.iter().map(|pods| {
        let id = format!("pods-of-{}-ready", pods.namespace);
        judged(&id, listed(site, "Pod", pods), |all| healthy(&all))
    }));
    if wanted.networks_apart {
        found.push(networks::finding([recovery.from(), site]));
    }
    found
}

/// Objects of a kind of the core API.
fn listed(site: &str, kind: &str, of: &Pods) -> Result<Vec<Value>, Error> {
    let text = kubernetes::list_objects(site, "v1", kind, &of.namespace, &of.selector)?;
    serde_json::from_str(&text)
        .map_err(|error| Error::Other(format!("objects of kind {kind} are no list: {error}")))
}

/// Whether so many nodes are Ready and none is not.
fn ready(conditions: &[NodeCondition], wanted: &Cluster) -> (bool, String) {
    let all = nodes::names(conditions).len();
    let mut problems = nodes::not_ready(conditions);
    let (count, least, most) = (all - problems.len(), wanted.min_nodes, wanted.max_nodes);
    if count < least.max(1) {
        problems.push(format!("at least {} are wanted", least.max(1)));
    }
    if most > 0 && all > most {
        problems.push(format!("at most {most} are wanted"));
    }
    let seen = format!("{count} of {all} nodes are Ready");
    (problems.is_empty(), said(seen, &problems))
}

/// Whether no node is short of anything.
fn short_of(conditions: &[NodeCondition]) -> (bool, String) {
    let problems = nodes::short_of(conditions);
    let seen = format!("{} conditions of nodes", conditions.len());
    (problems.is_empty(), said(seen, &problems))
}

/// Whether a namespace is there and not about to go.
fn exists(all: &[Value], name: &str) -> (bool, String) {
    let found = all
        .iter()
        .find(|namespace| text(namespace, "/metadata/name") == name);
    let phase = found.map(|namespace| text(namespace, "/status/phase"));
    match phase {
        Some("Active") => (true, format!("namespace {name} is there")),
        Some(phase) => (false, format!("namespace {name} is {phase}")),
        None => (false, format!("there is no namespace {name}")),
    }
}

/// Whether there are pods and all of them are Ready. One that has done its work is, one that is about to go does not count.
fn healthy(all: &[Value]) -> (bool, String) {
    let stays = |pod: &&Value| text(pod, "/metadata/deletionTimestamp").is_empty();
    let pods: Vec<&Value> = all.iter().filter(stays).collect();
    let mut problems: Vec<String> = pods
        .iter()
        .filter(|pod| text(pod, "/status/phase") != "Succeeded")
        .filter(|pod| !condition(pod, "Ready").is_some_and(|ready| ready.holds))
        .map(|pod| {
            let name = text(pod, "/metadata/name");
            format!("{name} is not ({})", text(pod, "/status/phase"))
        })
        .collect();
    let ready = pods.len() - problems.len();
    if pods.is_empty() {
        problems.push("no pod runs there".to_owned());
    }
    let seen = format!("{ready} of {} pods are Ready", pods.len());
    (problems.is_empty(), said(seen, &problems))
}

fn said(seen: String, problems: &[String]) -> String {
    if problems.is_empty() {
        seen
    } else {
        format!("{seen}: {}", problems.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(node: &str, condition: &str, holds: bool, reason: &str) -> NodeCondition {
        NodeCondition {
            node: node.to_owned(),
            condition: condition.to_owned(),
            holds,
            reason: reason.to_owned(),
        }
    }

    fn nodes(count: usize) -> Vec<NodeCondition> {
        let node = |n: usize| {
            let name = format!("bz-{n}");
            [
                of(&name, "Ready", true, "KubeletReady"),
                of(&name, "DiskPressure", false, "KubeletHasNoDiskPressure"),
            ]
        };
        (1..=count).flat_map(node).collect()
    }

    fn between(min_nodes: usize, max_nodes: usize) -> Cluster {
        Cluster {
            min_nodes,
            max_nodes,
            ..Cluster::default()
        }
    }

    #[test]
    fn nodes_are_counted_and_the_one_that_is_not_ready_is_named() {
        assert!(ready(&nodes(3), &between(3, 3)).0);
        assert!(ready(&nodes(3), &between(0, 0)).0);
        let mut one_down = nodes(3);
        one_down[2] = of("bz-2", "Ready", false, "NodeStatusUnknown");
        let mut silent = nodes(2);
        silent.push(of("bz-3", "DiskPressure", false, ""));
        for (nodes, wanted, words) in [
            (one_down, between(1, 0), "bz-2 is not (NodeStatusUnknown)"),
            (silent, between(2, 0), "bz-3 is not"),
            (
                nodes(2),
                between(3, 0),
                "2 of 2 nodes are Ready: at least 3",
            ),
            (nodes(4), between(3, 3), "at most 3"),
            (Vec::new(), between(0, 0), "0 of 0 nodes"),
        ] {
            let (holds, said) = ready(&nodes, &wanted);
            assert!(!holds && said.contains(words), "{said}");
        }
    }

    #[test]
    fn a_node_that_is_short_of_something_is_named() {
        assert!(short_of(&nodes(2)).0);
        for condition in ["MemoryPressure", "PIDPressure", "NetworkUnavailable"] {
            let mut all = nodes(2);
            all.push(of("bz-2", condition, true, "Because"));
            let (holds, said) = short_of(&all);
            assert!(
                !holds && said.contains(&format!("bz-2 has {condition}")),
                "{said}"
            );
        }
    }

    #[test]
    fn a_namespace_is_there_unless_it_is_missing_or_about_to_go() {
        let of = |name: &str, phase: &str| json!({ "metadata": { "name": name }, "status": { "phase": phase } });
        let all = [of("platform", "Active"), of("app", "Terminating")];
        assert!(exists(&all, "platform").0);
        assert!(exists(&all, "app").1.contains("app is Terminating"));
        assert!(exists(&all, "other").1.contains("no namespace other"));
        assert!(!exists(&all, "app").0 && !exists(&all, "other").0);
    }

    #[test]
    fn pods_are_there_and_ready_or_have_done_their_work() {
        let of = |name: &str, phase: &str, ready: &str| {
            json!({
                "metadata": { "name": name },
                "status": { "phase": phase, "conditions": [{ "type": "Ready", "status": ready }] }
            })
        };
        let well = [of("a", "Running", "True"), of("job", "Succeeded", "False")];
        assert!(healthy(&well).0, "{}", healthy(&well).1);
        let mut ending = of("b", "Running", "False");
        ending["metadata"]["deletionTimestamp"] = json!("2024-02-29T12:00:00Z");
        assert!(healthy(&[well[0].clone(), ending.clone()]).0);
        for (pods, words) in [
            (vec![of("c", "Running", "False")], "c is not (Running)"),
            (vec![of("d", "Failed", "False")], "d is not (Failed)"),
            (vec![json!({ "metadata": { "name": "e" } })], "e is not"),
            (vec![ending], "no pod runs there"),
            (Vec::new(), "no pod runs there"),
        ] {
            let (holds, said) = healthy(&pods);
            assert!(!holds && said.contains(words), "{said}");
        }
    }
}
