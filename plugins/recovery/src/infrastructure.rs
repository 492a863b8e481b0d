//! What of infrastructure differs from its code, as evidence. Pure.

use serde_json::{Value, json};
use understudy_sdk::strategy::understudy::infrastructure::infrastructure::{
    Action, Change, Difference,
};

/// A difference as JSON: `changes` and `drifted`, each with `address` and `action`.
#[must_use]
pub fn as_json(found: &Difference) -> Value {
    let changes = |changes: &[Change]| -> Vec<Value> {
        let change =
            |change: &Change| json!({"address": change.address, "action": word(change.action)});
        changes.iter().map(change).collect()
    };
    json!({"changes": changes(&found.changes), "drifted": changes(&found.drifted)})
}

/// Changes by which something is lost: what is replaced or destroyed.
#[must_use]
pub fn losses(found: &Difference) -> Vec<&Change> {
    let lost = |change: &&Change| matches!(change.action, Action::Replace | Action::Destroy);
    found.changes.iter().filter(lost).collect()
}

/// What is done, in a word.
#[must_use]
pub fn word(action: Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Update => "update",
        Action::Replace => "replace",
        Action::Destroy => "destroy",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_replaced_or_destroyed_is_lost_and_nothing_else() {
        let change = |address: &str, action: Action| Change {
            address: address.to_owned(),
            action,
        };
        let found = Difference {
            changes: vec![
                change("vpc.main", Action::Create),
                change("nodes.main", Action::Replace),
                change("firewall.main", Action::Update),
                change("volume.old", Action::Destroy),
            ],
            drifted: vec![change("firewall.main", Action::Update)],
        };
        let lost: Vec<&str> = losses(&found)
            .iter()
            .map(|one| one.address.as_str())
            .collect();
        assert_eq!(lost, ["nodes.main", "volume.old"]);
        let json = as_json(&found);
        assert_eq!(
            json["changes"][1],
            serde_json::json!({"address": "nodes.main", "action": "replace"})
        );
        assert_eq!(json["drifted"].as_array().unwrap().len(), 1);
    }
}
