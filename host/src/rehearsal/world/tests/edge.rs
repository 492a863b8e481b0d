//! Caches in front of the service, as clients and probes meet them.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Hand, figure, text};
use crate::rehearsal::scenario::Scenario;

/// The primary zone dies before the run, with or without caches in front of it.
fn hand(cached: bool) -> Hand {
    let caches = "\n[edge-cache]\nshare = 0.8\nkeeps = '12h'\npurge = '10s'\n";
    let text = text("primary-lost") + if cached { caches } else { "" };
    Hand::new(&Scenario::parse(&text).unwrap(), 1)
}

fn walk(hand: &mut Hand, journey: &str, entry: &str) -> Value {
    let args = json!({ "site": "pz", "journey": journey, "entry": entry });
    hand.must("probe/observe-journey", args)
}

#[test]
fn pages_of_a_dead_site_are_read_until_they_are_purged() {
    let mut hand = hand(true);
    let page = walk(&mut hand, "front-page", "public");
    assert_eq!(page["passed"], true, "{page}");
    assert_eq!(page["steps"][0]["zone"], "pz");
    // What writes is not answered from caches, and what is asked of the site itself neither.
    for (journey, entry) in [("login", "public"), ("front-page", "direct")] {
        assert_eq!(walk(&mut hand, journey, entry)["passed"], false);
    }
    let seen = |hand: &mut Hand| {
        let args = json!({ "site": "pz", "journey": "front-page" });
        let seen = hand.must("probe/observe-vantages", args);
        let seen = seen.as_array().unwrap();
        seen.iter()
            .filter(|vantage| vantage["zone"] == "pz")
            .count()
    };
    assert_eq!(seen(&mut hand), 8);
    let purge = json!({ "hosts": ["wp-active.example.test"], "token": "t-1" });
    assert_eq!(hand.must("edge-cache/ensure-purged", purge), "changed");
    hand.wait(Duration::from_secs(11));
    assert_eq!(seen(&mut hand), 0, "nobody answers what was purged");
}

#[test]
fn clients_read_what_caches_hold_and_are_not_taken_for_served() {
    let truth = |cached| {
        let mut hand = hand(cached);
        hand.wait(Duration::from_secs(1_800));
        hand.truth()
    };
    let (with, without) = (truth(true), truth(false));
    let errors = |truth| figure(truth, "error-ratio");
    assert!(errors(&with) < errors(&without) / 2.0, "{with:?}");
    assert_eq!((with.rto, without.rto), (None, None));
    let downtime = "recovery-downtime-ms";
    assert!(figure(&with, downtime) > 0.0);
    assert!(
        !with.figures.contains_key("edge-convergence-most-ms"),
        "nobody was led elsewhere"
    );
}

#[test]
fn a_name_without_caches_is_none_that_has_some_and_one_that_leads_nowhere_is_no_name() {
    let observe =
        |hand: &mut Hand, host: &str| hand.once("edge-cache/observe", json!({ "host": host }));
    let mut hand = hand(true);
    let cached = |cached: bool| Ok(json!({ "cached": cached }));
    assert_eq!(observe(&mut hand, "wp-active.example.test"), cached(true));
    assert_eq!(observe(&mut hand, "wp-pz.example.test"), cached(false));
    assert!(observe(&mut hand, "nobody.example.test").is_err());
    let mut bare = self::hand(false);
    assert_eq!(observe(&mut bare, "wp-active.example.test"), cached(false));
}
