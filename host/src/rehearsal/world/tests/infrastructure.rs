//! Infrastructure as code in the world: drift, locks, and what is left of a site whose stack is destroyed.

use serde_json::{Value, json};

use super::{Hand, text};
use crate::call::CallError;
use crate::rehearsal::scenario::Scenario;
use crate::rehearsal::world::Hazard;

/// The world of `planned` with more said of its stack.
fn hand(more: &str) -> Hand {
    let text = text("planned").replacen(
        "[stacks.zone.outputs]",
        &format!("{more}\n[stacks.zone.outputs]"),
        1,
    );
    Hand::new(&Scenario::parse(&text).unwrap(), 1)
}

fn at(site: &str) -> Value {
    json!({ "site": site, "stack": "zone" })
}

fn addresses(difference: &Value) -> Vec<&str> {
    let changes = difference["changes"].as_array().unwrap().iter();
    changes
        .map(|change| change["address"].as_str().unwrap())
        .collect()
}

fn harm(hand: &Hand) -> Vec<String> {
    let seen = hand.world.sightings().into_iter();
    seen.filter(|seen| seen.hazard == Hazard::Infrastructure)
        .map(|seen| seen.what)
        .collect()
}

#[test]
fn what_is_restored_outside_the_code_has_drifted_until_it_is_applied() {
    let mut hand = hand("drifted.pz = [\"firewall\"]");
    let see = |hand: &mut Hand, site| hand.must("infrastructure/observe-difference", at(site));
    assert_eq!(addresses(&see(&mut hand, "pz")), ["firewall"]);
    assert_eq!(addresses(&see(&mut hand, "bz")), [""; 0]);
    hand.must(
        "database/ensure-fenced",
        json!({ "site": "pz", "database": "wordpress" }),
    );
    hand.must(
        "database/ensure-promoted",
        json!({ "site": "bz", "database": "wordpress" }),
    );
    assert_eq!(addresses(&see(&mut hand, "bz")), ["database.wordpress"]);
    assert_eq!(
        hand.must("infrastructure/ensure-applied", at("bz")),
        "changed"
    );
    assert_eq!(addresses(&see(&mut hand, "bz")), [""; 0]);
    assert_eq!(
        hand.must("infrastructure/ensure-applied", at("bz")),
        "unchanged"
    );
    // The name still leads to pz, which is fenced: users wait.
    assert_eq!(harm(&hand).len(), 1, "{:?}", harm(&hand));
}

#[test]
fn a_lock_is_somebodys_until_it_is_given_back() {
    let mut hand = hand("locked.bz = { by = \"sam at a laptop\", for = \"10m\" }");
    let lock = hand.must("infrastructure/observe-lock", at("bz"));
    assert_eq!(lock["holder"], "sam at a laptop");
    let refused = hand.call("infrastructure/observe-difference", at("bz"));
    assert!(matches!(refused, Err(CallError::Conflict(text)) if text.contains("sam at a laptop")));
    assert_eq!(
        hand.must("infrastructure/observe-lock", at("pz")),
        Value::Null
    );
    hand.wait(std::time::Duration::from_secs(600));
    assert_eq!(
        hand.must("infrastructure/observe-lock", at("bz")),
        Value::Null
    );
    hand.must("infrastructure/observe-difference", at("bz"));
    let unknown = hand.call(
        "infrastructure/get-outputs",
        json!({ "site": "bz", "stack": "other" }),
    );
    assert!(matches!(unknown, Err(CallError::NotFound(_))));
}

#[test]
fn a_destroyed_site_serves_nobody() {
    let mut hand = hand("");
    assert_eq!(
        hand.must("infrastructure/ensure-destroyed", at("bz")),
        "changed"
    );
    assert_eq!(harm(&hand), [""; 0], "nobody was led there");
    let app = hand.must(
        "workload/observe",
        json!({ "site": "bz", "app": "wordpress" }),
    );
    assert_eq!((&app["desired"], &app["ready"]), (&json!(0), &json!(0)));
    assert_eq!(
        hand.must("infrastructure/ensure-destroyed", at("bz")),
        "unchanged"
    );
    hand.must("infrastructure/ensure-destroyed", at("pz"));
    assert!(
        harm(&hand)
            .iter()
            .any(|what| what.contains("`pz`, which users are led to"))
    );
}

#[test]
fn what_was_never_applied_is_there_once_it_is() {
    let never = |text: String, stack: &str, more: &str| {
        let at = format!("[stacks.{stack}]\nsites = [\"pz\", \"bz\"]\n");
        assert!(text.contains(&at), "{text}");
        text.replacen(&at, &format!("{at}{more}\n"), 1)
    };
    let text = never(text("planned"), "zone", "absent = [\"bz\"]");
    let pending =
        "absent = [\"bz\"]\npending.bz = [{ address = \"volume.old\", action = \"destroy\" }]";
    let text = never(text, "platform", pending);
    let mut hand = Hand::new(&Scenario::parse(&text).unwrap(), 1);
    let listed = |hand: &mut Hand, kind: &str| {
        let args = json!({
            "site": "bz", "api-version": "v1", "kind": kind, "namespace": "", "label-selector": "",
        });
        let text = hand.must("kubernetes/list-objects", args);
        let all: Vec<Value> = serde_json::from_str(text.as_str().unwrap()).unwrap();
        all.len()
    };
    let monitoring = |hand: &mut Hand| {
        let told = hand.must("metrics/observe-monitoring", json!({ "site": "bz" }));
        told["jobs"].as_array().unwrap().len()
    };
    let of = |stack: &str| json!({ "site": "bz", "stack": stack });
    let there = |hand: &mut Hand| {
        let (nodes, namespaces) = (listed(hand, "Node"), listed(hand, "Namespace"));
        (nodes, namespaces, monitoring(hand))
    };
    assert_eq!(there(&mut hand), (0, 0, 0));
    let difference = hand.must("infrastructure/observe-difference", of("platform"));
    assert_eq!(
        difference["changes"],
        json!([
            { "address": "platform", "action": "create" },
            { "address": "volume.old", "action": "destroy" },
        ])
    );
    hand.must("infrastructure/ensure-applied", of("zone"));
    assert_eq!(there(&mut hand), (3, 0, 0));
    hand.must("infrastructure/ensure-applied", of("platform"));
    assert_eq!(there(&mut hand), (3, 2, 3));
    for stack in ["zone", "platform"] {
        let difference = hand.must("infrastructure/observe-difference", of(stack));
        assert_eq!(addresses(&difference), [""; 0]);
    }
    assert_eq!(harm(&hand), [""; 0], "nobody was led there");

    // What is installed in a cluster goes with it, and all of it comes back.
    hand.must("infrastructure/ensure-destroyed", of("zone"));
    assert_eq!(there(&mut hand), (0, 0, 0));
    let difference = hand.must("infrastructure/observe-difference", of("platform"));
    assert_eq!(addresses(&difference), ["platform"]);
    for stack in ["zone", "platform"] {
        hand.must("infrastructure/ensure-applied", of(stack));
    }
    assert_eq!(there(&mut hand), (3, 2, 3));
    hand.must("infrastructure/ensure-destroyed", of("platform"));
    assert_eq!(there(&mut hand), (3, 0, 0));
}
