//! Calls take as long as the scenario has them measured.

use std::time::Duration;

use serde_json::json;

use super::{Hand, text};
use crate::rehearsal::scenario::Scenario;

fn hand(timings: &str) -> Hand {
    let scenario = Scenario::parse(&format!("{}\n{timings}", text("planned"))).unwrap();
    Hand::new(&scenario, 5)
}

/// How long a call of this function takes until it is over.
fn takes(hand: &mut Hand, call: &str, args: serde_json::Value) -> Duration {
    let begun = hand.now;
    hand.must(call, args);
    hand.now.since(begun)
}

const ON_BZ: &str =
    "[[timings]]\ncall = 'workload/ensure-scaled'\nsite = 'bz'\nanswer = '300ms'\nwork = '7s'";

#[test]
fn work_and_answers_take_as_long_as_was_measured_at_their_site() {
    let mut hand = hand(ON_BZ);
    let scale = |site: &str, replicas: u32| json!({ "site": site, "app": "wordpress", "replicas": replicas });
    let there = takes(&mut hand, "workload/ensure-scaled", scale("bz", 3));
    assert_eq!(
        there,
        Duration::from_millis(7_600),
        "begun, and looked at once"
    );
    let unchanged = takes(&mut hand, "workload/ensure-scaled", scale("bz", 3));
    assert_eq!(unchanged, Duration::from_millis(300));
    let elsewhere = takes(&mut hand, "workload/ensure-scaled", scale("pz", 4));
    assert!(elsewhere > Duration::from_secs(30), "{elsewhere:?}");
}

#[test]
fn work_that_took_no_time_is_done_when_the_answer_comes() {
    let timings = "[[timings]]\ncall = 'database/ensure-promoted'\nwork = '0s'\nanswer = '2s'";
    let mut hand = hand(timings);
    let place = json!({ "site": "bz", "database": "wordpress" });
    let reply = hand.once("database/ensure-promoted", place);
    assert_eq!(reply.unwrap(), "changed");
    assert_eq!(hand.observe("bz")["role"], "primary");
}

#[test]
fn a_wait_is_looked_at_as_often_as_was_measured() {
    let timings = "[[timings]]\ncall = 'probe/ensure-journey'\nlook = '1s'\nanswer = '50ms'";
    let journey =
        json!({ "site": "pz", "journey": "front-page", "entry": "public", "consecutive": 3 });
    let measured = takes(&mut hand(timings), "probe/ensure-journey", journey.clone());
    assert_eq!(measured, Duration::from_millis(2_150));
    assert!(takes(&mut hand(""), "probe/ensure-journey", journey) > Duration::from_secs(10));
}

#[test]
fn a_place_that_is_away_is_given_up_as_soon_as_was_measured() {
    let given_up = |timings: &str| {
        let dead = format!("{timings}\n[[injects]]\nat = 'T'\nfail.site = 'bz'");
        let mut hand = hand(&dead);
        let begun = hand.now;
        let scale = json!({ "site": "bz", "app": "wordpress", "replicas": 3 });
        hand.once("workload/ensure-scaled", scale).unwrap_err();
        hand.now.since(begun)
    };
    // No answer is one of those that were measured.
    assert_eq!(given_up(ON_BZ), Duration::from_secs(5));
    let refused = given_up(&format!("{ON_BZ}\ngiven-up = '20ms'"));
    assert_eq!(refused, Duration::from_millis(20));
}
