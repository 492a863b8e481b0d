//! What is wrong with the nodes of a cluster, by their conditions.

use std::collections::BTreeSet;

use understudy_sdk::strategy::understudy::kubernetes::kubernetes::NodeCondition;

/// What every node has and must not: it is short of something.
const SHORT_OF: &str = "Pressure";
/// Beside that: the same of its network.
const NO_NETWORK: &str = "NetworkUnavailable";

/// Every node that has a condition, by name.
#[must_use]
pub fn names(nodes: &[NodeCondition]) -> BTreeSet<&str> {
    nodes.iter().map(|one| one.node.as_str()).collect()
}

/// Each node that is not Ready, with the reason it gives.
#[must_use]
pub fn not_ready(nodes: &[NodeCondition]) -> Vec<String> {
    let readiness = |node: &str| {
        nodes
            .iter()
            .find(|one| one.node == node && one.condition == "Ready")
    };
    let not_ready = |node: &str| match readiness(node) {
        Some(ready) if ready.holds => None,
        Some(not) => Some(format!("{node} is not ({})", not.reason)),
        None => Some(format!("{node} is not (it does not say why)")),
    };
    names(nodes).into_iter().filter_map(not_ready).collect()
}

/// Each thing that a node is short of. What is unknown of a node does not hold, and then it is not Ready either.
#[must_use]
pub fn short_of(nodes: &[NodeCondition]) -> Vec<String> {
    let short = nodes.iter().filter(|one| {
        one.holds && (one.condition.ends_with(SHORT_OF) || one.condition == NO_NETWORK)
    });
    short
        .map(|one| format!("{} has {} ({})", one.node, one.condition, one.reason))
        .collect()
}
