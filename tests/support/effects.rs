//! What a run did to the world.

use std::collections::BTreeSet;

use serde_json::Value;

/// What was done, by step and function; how often a step looks or waits depends on the time. A key that is issued twice
/// fails.
pub(crate) fn effects(records: &[Value]) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    let mut effects = BTreeSet::new();
    let intents = records.iter().filter(|record| record["type"] == "intent");
    for body in intents
        .map(|record| &record["body"])
        .filter(|body| body["kind"] != "read")
    {
        let key = body["key"].as_str().unwrap().to_owned();
        assert!(keys.insert(key), "issued twice under one key: {body}");
        effects.insert(format!(
            "{} {}",
            body["site"]["step"], body["function"]["function"]
        ));
    }
    effects
}
