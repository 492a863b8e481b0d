//! The cluster of a site: what its nodes say, which pods run where, and for how many replicas there is room.

use serde::Serialize;
use serde_json::{Value, json};

use super::site::{Condition as Reach, Site};
use crate::name::SiteName;
use crate::rehearsal::scenario::cluster::node_name;

/// Most replicas that a node can run.
const REPLICAS_PER_NODE: u32 = 20;

/// What every node says of itself, and whether it usually holds.
const USUAL: [(&str, bool); 4] = [
    ("Ready", true),
    ("MemoryPressure", false),
    ("DiskPressure", false),
    ("PIDPressure", false),
];

/// A node's condition, as the contract has it.
#[derive(Debug, Serialize)]
pub(crate) struct NodeCondition {
    node: String,
    condition: String,
    holds: bool,
    reason: &'static str,
}

impl Site {
    /// Conditions of every node.
    pub(crate) fn node_conditions(&self, place: &SiteName) -> Vec<NodeCondition> {
        let nodes = (1..=self.nodes).map(|number| node_name(place, number));
        nodes.flat_map(|node| self.conditions_of(&node)).collect()
    }

    /// Conditions of a node: the usual ones, and what it has been given besides.
    fn conditions_of(&self, node: &str) -> Vec<NodeCondition> {
        let given = |condition: &str| {
            let key = (node.to_owned(), condition.to_owned());
            self.conditions.get(&key).copied()
        };
        let usual = USUAL.map(|(name, holds)| (name, given(name).unwrap_or(holds)));
        let others = self
            .conditions
            .iter()
            .filter(|((of, name), _)| of == node && USUAL.iter().all(|(usual, _)| usual != name));
        let others = others.map(|((_, name), holds)| (name.as_str(), *holds));
        let told = usual.into_iter().chain(others);
        told.map(|(condition, holds)| NodeCondition {
            node: node.to_owned(),
            condition: condition.to_owned(),
            holds,
            reason: match (condition, holds) {
                ("Ready", true) => "KubeletReady",
                ("Ready", false) => "NodeStatusUnknown",
                (_, true) => "KubeletIsShort",
                (_, false) => "KubeletHasEnough",
            },
        })
        .collect()
    }

    /// Spec of a node: the range of addresses of its pods, where one is told.
    pub(crate) fn node_spec(&self, place: &SiteName, node: &str) -> Value {
        let mut numbered = (1..).zip(&self.pod_ranges);
        let range = numbered.find(|(number, _)| node_name(place, *number) == node);
        range.map_or_else(
            || json!({}),
            |(_, range)| json!({ "podCIDR": range, "podCIDRs": [range] }),
        )
    }

    /// Status of a node.
    pub(crate) fn node_status(&self, node: &str) -> Value {
        let told = self.conditions_of(node).into_iter();
        let told = told.map(|one| condition(&one.condition, one.holds));
        json!({ "conditions": told.collect::<Vec<_>>() })
    }

    fn is_ready(&self, node: &str) -> bool {
        let key = (node.to_owned(), "Ready".to_owned());
        self.conditions.get(&key).copied().unwrap_or(true)
    }

    /// Replicas of applications that its nodes have room for: of those that are Ready.
    pub(crate) fn room(&self, place: &SiteName) -> u32 {
        let nodes = (1..=self.nodes).map(|number| node_name(place, number));
        let ready = nodes.filter(|node| self.is_ready(node)).count();
        u32::try_from(ready)
            .unwrap_or(u32::MAX)
            .saturating_mul(REPLICAS_PER_NODE)
    }

    /// Has a node say this of itself from now on. Replicas that lose their node run where there is room, and where there is
    /// none once there is.
    pub(crate) fn set_condition(
        &mut self,
        place: &SiteName,
        node: String,
        name: String,
        holds: bool,
    ) {
        let moves = name == "Ready" && self.condition != Reach::Down;
        self.conditions.insert((node, name), holds);
        if !moves {
            return;
        }
        let mut room = self.room(place);
        for app in self.apps.values_mut() {
            let wanted = if holds { app.desired } else { app.count() };
            let count = wanted.min(room);
            if app.count() != count {
                app.run(count);
            }
            room -= count;
        }
    }

    /// Pods of a namespace: of applications as they are, of others one after the other on each node.
    pub(crate) fn pods(&self, place: &SiteName, namespace: &str) -> Vec<Value> {
        let Some(found) = self.namespaces.get(namespace) else {
            return Vec::new();
        };
        let mut pods = Vec::new();
        for name in &found.apps {
            if let Some(app) = self.apps.get(name) {
                let all = app.desired.max(app.count());
                pods.extend((1..=all).map(|number| pod(name, number, number <= app.ready())));
            }
        }
        let mut placed = 0;
        for (name, count) in &found.pods {
            for number in 1..=*count {
                placed += 1;
                let on = (placed - 1) % self.nodes.max(1) + 1;
                let runs = on <= self.nodes && self.is_ready(&node_name(place, on));
                pods.push(pod(name, number, runs));
            }
        }
        pods
    }
}

fn pod(app: &str, number: u32, ready: bool) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": format!("{app}-{number}"), "labels": { "app": app } },
        "spec": {},
        "status": {
            "phase": if ready { "Running" } else { "Pending" },
            "conditions": [condition("Ready", ready)],
        },
    })
}

/// A condition of an object, as its status has it.
pub(crate) fn condition(kind: &str, holds: bool) -> Value {
    json!({ "type": kind, "status": if holds { "True" } else { "False" } })
}
