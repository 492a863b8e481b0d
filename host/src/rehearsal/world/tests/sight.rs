//! What monitoring and vantage points see of an outage and of a recovery: what a run's own figures are made of.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Hand, scenario, text};
use crate::call::CallError;
use crate::clock::Instant;
use crate::rehearsal::scenario::Scenario;

const ACTIVE: &str = "wp-active.example.test";

fn outage(hand: &mut Hand, site: &str) -> Value {
    hand.must(
        "metrics/observe-outage",
        json!({ "site": site, "objective": "error-rate" }),
    )
}

fn flip(hand: &mut Hand, from: &str, to: &str) {
    let args = json!({
        "name": ACTIVE, "kind": "CNAME", "expected": [from], "values": [to], "ttl-seconds": 60,
    });
    hand.must("dns/ensure-record", args);
}

fn served(site: &str) -> Value {
    json!({ "site": site, "journey": "front-page" })
}

#[test]
fn an_outage_is_dated_by_the_requests_that_failed() {
    let mut hand = Hand::new(&scenario("primary-lost"), 5);
    let died = hand.now.0 - 180_000;
    let seen = outage(&mut hand, "bz");
    let (since, met_until) = (
        seen["since"].as_u64().unwrap(),
        seen["met-until"].as_u64().unwrap(),
    );
    // 40 requests a second, 1.7 times as many in this hour of the day: one in 15 milliseconds.
    assert!((died..=died + 15).contains(&since), "{seen}");
    assert!((since - 15..since).contains(&met_until), "{seen}");
    hand.wait(Duration::from_secs(600));
    assert_eq!(outage(&mut hand, "bz"), seen, "it is still the same one");
    let of_the_dead = hand.once(
        "metrics/observe-outage",
        json!({ "site": "pz", "objective": "error-rate" }),
    );
    assert!(
        matches!(of_the_dead, Err(CallError::Unavailable(_))),
        "a dead site's monitoring is dead: {of_the_dead:?}"
    );
}

#[test]
fn only_an_objective_that_counts_failures_dates_an_outage_and_only_while_there_is_one() {
    let mut hand = Hand::new(&scenario("planned"), 5);
    hand.wait(Duration::from_secs(60));
    assert_eq!(outage(&mut hand, "bz"), Value::Null);
    let latency = json!({ "site": "bz", "objective": "latency-p90" });
    let refused = hand.once("metrics/observe-outage", latency);
    assert!(matches!(refused, Err(CallError::Invalid(_))), "{refused:?}");
    let freeze = |enabled: bool| json!({ "site": "pz", "app": "wordpress", "enabled": enabled });
    hand.must("workload/ensure-maintenance", freeze(true));
    hand.wait(Duration::from_secs(60));
    assert!(outage(&mut hand, "bz").is_object(), "writes fail");
    hand.must("workload/ensure-maintenance", freeze(false));
    hand.wait(Duration::from_secs(60));
    assert_eq!(outage(&mut hand, "bz"), Value::Null, "it is over");
}

/// A move with the primary zone alive, whose name is flipped with its old TTL. Answers when that was.
fn moved(seed: u64) -> (Hand, Instant) {
    let mut hand = Hand::new(&scenario("planned"), seed);
    let at = |site: &str| json!({ "site": site, "database": "wordpress" });
    hand.must("database/ensure-fenced", at("pz"));
    hand.must("database/ensure-promoted", at("bz"));
    super::by_hand::activate(&mut hand, "bz", 3);
    flip(&mut hand, "wp-pz.example.test", "wp-bz.example.test");
    let at = hand.now;
    (hand, at)
}

#[test]
fn a_site_serves_when_more_than_half_of_the_vantage_points_see_it() {
    let (mut hand, flipped) = moved(5);
    let look = |hand: &mut Hand| {
        let seen = hand.must("probe/observe-vantages", served("bz"));
        let seen = seen.as_array().unwrap().clone();
        let there = |vantage: &&Value| vantage["passed"].as_bool().unwrap();
        (seen.iter().filter(there).count(), seen)
    };
    let (none, seen) = look(&mut hand);
    assert_eq!((none, seen.len()), (0, 8));
    assert_eq!(seen[0]["zone"], "pz");
    assert!(seen[0]["problem"].as_str().unwrap().contains("answered by"));
    hand.must("probe/ensure-served", served("bz"));
    let took = hand.now.since(flipped);
    let (there, _) = look(&mut hand);
    assert!((5..8).contains(&there), "{there} of 8 after {took:?}");
    // Half of the clients follow within half a TTL of five minutes; one resolver alone would say anything up to all of it.
    assert!(
        (Duration::from_secs(90)..Duration::from_secs(240)).contains(&took),
        "{took:?}"
    );
}

#[test]
fn vantage_points_that_are_cut_off_do_not_make_a_majority() {
    let text = text("planned").replace(
        r#"panel = ["isp-a", "isp-b", "isp-c", "isp-d", "public-a", "public-b", "public-c", "public-d"]"#,
        "panel = []",
    );
    let mut hand = Hand::new(&Scenario::parse(&text).unwrap(), 5);
    let nobody = hand.once("probe/ensure-served", served("pz"));
    assert!(matches!(nobody, Err(CallError::NotFound(_))), "{nobody:?}");
    // Whoever is led to a dead site waits for nobody else.
    let mut hand = Hand::new(&scenario("primary-lost"), 5);
    let before = hand.now;
    let waits = hand.once("probe/ensure-served", served("bz")).unwrap();
    let said = waits["in-progress"]["description"].as_str().unwrap();
    assert_eq!(said, "served at 0 of 8 vantage points");
    assert!(
        hand.now.since(before) <= Duration::from_secs(7),
        "one look is short"
    );
}

#[test]
fn the_newest_write_dates_what_a_site_that_came_back_took() {
    let mut hand = Hand::new(&scenario("back-from-the-dead"), 3);
    let start = hand.now;
    let newest = |hand: &mut Hand, site: &str| {
        let args = json!({ "site": site, "database": "wordpress" });
        let newest = hand.must("database/observe-newest-write", args);
        Instant(newest.as_u64().unwrap())
    };
    let at = json!({ "site": "bz", "database": "wordpress" });
    hand.must("database/ensure-promoted", at);
    let followed = newest(&mut hand, "bz");
    assert!(followed.0 < start.0 - 180_000, "it died before");
    hand.wait(Duration::from_secs(420));
    let taken = newest(&mut hand, "pz");
    assert!(taken > start, "it takes writes again since T+5m");
    assert_eq!(newest(&mut hand, "bz"), followed, "and nobody has them");
}
