//! Sites and their control planes: away, read-only, behind what they have accepted; applications that pull and crash;
//! load balancers with addresses that nobody knew.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Hand, figure, text};
use crate::call::CallError;
use crate::rehearsal::scenario::Scenario;
use crate::rehearsal::world::Hazard;

const ACTIVE: &str = "wp-active.example.test";

fn hand(base: &str, extra: &str) -> Hand {
    edited(base, |text| format!("{text}\n{extra}"))
}

fn edited(base: &str, edit: impl Fn(&str) -> String) -> Hand {
    let scenario = Scenario::parse(&edit(&text(base))).unwrap();
    Hand::new(&scenario, 11)
}

fn wordpress(site: &str) -> Value {
    json!({ "site": site, "database": "wordpress" })
}

fn app(site: &str) -> Value {
    json!({ "site": site, "app": "wordpress" })
}

fn with(mut args: Value, name: &str, value: Value) -> Value {
    args[name] = value;
    args
}

fn flip() -> Value {
    json!({
        "name": ACTIVE, "kind": "CNAME", "expected": ["wp-pz.example.test"], "values": ["wp-bz.example.test"],
        "ttl-seconds": 60,
    })
}

#[test]
fn who_comes_back_when_told_finds_the_work_done() {
    let mut hand = hand("planned", "");
    let scaled = || with(app("bz"), "replicas", json!(5));
    let mut look = |before_ms: u64| {
        let reply = hand.once("workload/ensure-scaled", scaled()).unwrap();
        let after_ms = reply["in-progress"]["poll-after-ms"].as_u64();
        hand.wait(Duration::from_millis(
            after_ms.unwrap_or(0).saturating_sub(before_ms),
        ));
        (reply, after_ms)
    };
    // Six seconds too early, which is more than a look of the control plane.
    let (_, told_ms) = look(6_000);
    assert!(told_ms > Some(6_000), "{told_ms:?}: as long as it takes");
    let (early, told_ms) = look(0);
    assert!(told_ms.is_some_and(|ms| ms % 5_000 == 0), "{early}");
    assert_eq!(look(0).0, "unchanged");
}

#[test]
fn a_change_is_accepted_at_once_and_shown_later() {
    let mut hand = hand("planned", "[eventual-consistency]\ndns = '20s'\n");
    let get = json!({ "name": ACTIVE, "kind": "CNAME" });
    let values = |hand: &mut Hand| hand.must("dns/get-record", get.clone())["values"][0].clone();
    assert_eq!(hand.once("dns/ensure-record", flip()), Ok(json!("changed")));
    assert_eq!(values(&mut hand), "wp-pz.example.test");
    // Whoever asks for the same again is not told a lie, and resolvers ask the servers and not the API.
    assert_eq!(
        hand.once("dns/ensure-record", flip()),
        Ok(json!("unchanged"))
    );
    hand.wait(Duration::from_secs(15));
    assert_eq!(values(&mut hand), "wp-pz.example.test");
    hand.wait(Duration::from_secs(6));
    assert_eq!(values(&mut hand), "wp-bz.example.test");
    let other = hand.must("workload/observe", app("pz"));
    assert_eq!(other["ready"], 3, "only the contract that is named lags");
}

#[test]
fn work_that_is_done_is_shown_later_too_and_changes_are_shown_in_their_order() {
    let mut hand = hand(
        "planned",
        "[eventual-consistency]\nworkload = '30s'\nkubernetes = '5s'\n",
    );
    let scaled = |replicas: u32| with(app("bz"), "replicas", json!(replicas));
    hand.must("workload/ensure-scaled", scaled(3));
    let ready = |hand: &mut Hand| hand.must("workload/observe", app("bz"))["ready"].clone();
    assert_eq!(ready(&mut hand), 1);
    let deployment = json!({ "site": "bz", "object": {
        "api-version": "apps/v1", "kind": "Deployment", "namespace": "app", "name": "wordpress" } });
    hand.wait(Duration::from_secs(6));
    let shown = hand
        .must("kubernetes/get-object", deployment)
        .as_str()
        .unwrap()
        .to_owned();
    assert!(shown.contains("\"readyReplicas\":3"), "{shown}");
    assert_eq!(ready(&mut hand), 1);
    hand.wait(Duration::from_secs(25));
    assert_eq!(ready(&mut hand), 3);
}

#[test]
fn a_stale_read_changes_nothing_of_what_clients_get() {
    let run = |extra: &str| {
        let mut hand = hand("planned", extra);
        hand.must(
            "workload/ensure-scaled",
            with(app("bz"), "replicas", json!(3)),
        );
        hand.must("workload/observe", app("bz"));
        hand.wait(Duration::from_secs(3_600));
        hand.truth()
    };
    assert_eq!(run(""), run("[eventual-consistency]\nworkload = '10m'\n"));
}

#[test]
fn each_control_plane_dies_with_the_site_it_lives_in_and_data_goes_on_flowing() {
    let reads = [
        (
            "dns",
            "dns/get-record",
            json!({ "name": ACTIVE, "kind": "CNAME" }),
        ),
        (
            "certificates",
            "certificates/observe-issuer",
            json!({ "site": "bz", "issuer": "production" }),
        ),
        (
            "kubernetes",
            "kubernetes/list-node-conditions",
            json!({ "site": "bz" }),
        ),
        ("database", "database/observe", wordpress("bz")),
    ];
    for (contract, call, args) in &reads {
        let mut hand = edited("primary-lost", |text| {
            format!("{text}\n[control-planes]\n{contract} = 'pz'\n")
        });
        for (other, call, args) in &reads {
            let reply = hand.once(call, args.clone());
            let away = matches!(reply, Err(CallError::Unavailable(_)));
            assert_eq!(
                away,
                other == contract,
                "{call} with {contract} in pz: {reply:?}"
            );
        }
        hand.wait(Duration::from_secs(3_600));
        hand.must(call, args.clone());
    }
    // Replication needs no control plane: cut it off for half an hour, and the replica has followed all along.
    let mut hand = hand(
        "planned",
        "[control-planes]\ndatabase = 'bz'\n[[injects]]\nat = 'T+1m'\nfail.api = 'database'\n[[injects]]\nat = 'T+31m'\nheal.api = 'database'\n",
    );
    hand.wait(Duration::from_secs(31 * 60 + 1));
    let lag = hand.observe("bz")["replication"]["lag-ms"]
        .as_u64()
        .unwrap();
    assert!(lag <= 2_400, "{lag} ms");
}

#[test]
fn no_certificate_is_issued_while_the_control_plane_of_dns_is_dead() {
    let order = json!({
        "site": "bz", "name": "wordpress-tls", "dns-names": [ACTIVE], "issuer": "production", "min-valid-ms": 1,
    });
    let mut hand = hand("primary-lost", "[control-planes]\ndns = 'pz'\n");
    let refused = hand.once("certificates/ensure-certificate", order.clone());
    assert!(
        matches!(refused, Err(CallError::Conflict(_))),
        "{refused:?}"
    );
    hand.wait(Duration::from_secs(3_600));
    assert_eq!(
        hand.must("certificates/ensure-certificate", order),
        "changed"
    );
}

#[test]
fn a_database_with_read_only_storage_refuses_writes_and_says_so_until_it_is_over() {
    let extra = "[[injects]]\nat = 'T+1m'\nread-only = { site = 'pz', database = 'wordpress', for = '10m' }\n";
    let mut hand = hand("planned", extra);
    let probe = with(wordpress("pz"), "token", json!("t"));
    hand.wait(Duration::from_secs(300));
    assert_eq!(hand.observe("pz")["read-only"], true);
    let refused = hand.once("database/ensure-write-probe", probe.clone());
    assert!(
        matches!(refused, Err(CallError::Conflict(_))),
        "{refused:?}"
    );
    let journey = |name: &str| json!({ "site": "pz", "journey": name, "entry": "public" });
    let passed = |hand: &mut Hand, name: &str| {
        hand.must("probe/observe-journey", journey(name))["passed"].clone()
    };
    assert_eq!(passed(&mut hand, "front-page"), true, "reads go on");
    assert_eq!(passed(&mut hand, "create-post"), false);
    // What its storage refuses is no fence: it would take writes again on its own.
    assert_eq!(
        hand.must("database/ensure-fenced", wordpress("pz")),
        "changed"
    );
    assert_eq!(
        hand.must("database/ensure-promoted", wordpress("pz")),
        "changed"
    );
    hand.wait(Duration::from_secs(600));
    assert_eq!(hand.observe("pz")["read-only"], false);
    assert_eq!(passed(&mut hand, "create-post"), true);
    assert_eq!(hand.must("database/ensure-write-probe", probe), "changed");
    let errors = figure(&hand.truth(), "error-ratio");
    assert!(errors > 0.0, "clients' writes failed meanwhile: {errors}");
}

#[test]
fn a_read_only_site_answers_and_takes_no_changes() {
    let extra = "[[injects]]\nat = 'T+1m'\nread-only = { site = 'bz', for = '10m' }\n";
    let mut hand = hand("planned", extra);
    let scale = |site: &str| with(app(site), "replicas", json!(2));
    hand.wait(Duration::from_secs(120));
    let refused = hand.once("workload/ensure-scaled", scale("bz"));
    assert!(
        matches!(refused, Err(CallError::Unavailable(_))),
        "{refused:?}"
    );
    assert_eq!(hand.must("workload/observe", app("bz"))["desired"], 1);
    assert_eq!(hand.observe("bz")["read-only"], true);
    assert!(hand.once("workload/ensure-scaled", scale("pz")).is_ok());
    hand.wait(Duration::from_secs(600));
    assert_eq!(hand.must("workload/ensure-scaled", scale("bz")), "changed");
}

#[test]
fn an_image_is_pulled_once_where_no_replica_ever_ran() {
    let pull = "[durations]\nimage-pull = '30m'\nrollout = '40s'\nscale-down = '10s'\n";
    let mut hand = hand("restore", pull);
    let mut took = |replicas: u32| {
        let begun = hand.now;
        hand.must(
            "workload/ensure-scaled",
            with(app("bz"), "replicas", json!(replicas)),
        );
        hand.now.since(begun)
    };
    let (minute, pull) = (Duration::from_secs(60), Duration::from_secs(1_800));
    assert!(took(1) > pull);
    assert!(took(3) < minute + minute);
    took(0);
    assert!(took(3) < minute + minute, "the image is there by now");
}

#[test]
fn what_somebody_edits_by_hand_is_what_resolvers_get() {
    let extra = "[[injects]]\nat = 'T+1m'\nedit = { record = 'wp-active.example.test', kind = 'CNAME', values = ['wp-bz.example.test'] }\n\
                 [[injects]]\nat = 'T+2m'\nedit = { record = 'wp-active.example.test', kind = 'CNAME', ttl-seconds = 900 }\n";
    let mut hand = hand("planned", extra);
    let name = "wp-active.example.test";
    let record = |hand: &mut Hand| {
        let found = hand.must("dns/get-record", json!({ "name": name, "kind": "CNAME" }));
        (found["values"][0].clone(), found["ttl-seconds"].clone())
    };
    assert_eq!(record(&mut hand), (json!("wp-pz.example.test"), json!(300)));
    hand.wait(Duration::from_secs(90));
    assert_eq!(record(&mut hand), (json!("wp-bz.example.test"), json!(300)));
    hand.wait(Duration::from_secs(60));
    assert_eq!(record(&mut hand), (json!("wp-bz.example.test"), json!(900)));
    let stale = json!({ "name": name, "kind": "CNAME", "expected": ["wp-pz.example.test"],
        "values": ["wp-pz.example.test"], "ttl-seconds": 60 });
    let refused = hand.once("dns/ensure-record", stale);
    assert!(
        matches!(refused, Err(CallError::Conflict(_))),
        "{refused:?}"
    );
    hand.wait(Duration::from_secs(3_600));
    let led = hand.must(
        "probe/observe-names",
        json!({ "name": name, "kind": "CNAME" }),
    );
    assert_eq!(led[0]["values"][0], "wp-bz.example.test", "{led}");
}

#[test]
fn replicas_in_a_crash_loop_are_there_and_never_ready_until_it_ends() {
    let extra = "[[injects]]\nat = 'T+1m'\ncrash-loop = { site = 'pz', app = 'wordpress', for = '10m' }\n\
                 [[injects]]\nat = 'T+1m'\ncrash-loop = { site = 'bz', app = 'wordpress' }\n";
    let mut hand = hand("planned", extra);
    hand.wait(Duration::from_secs(120));
    let ready = |hand: &mut Hand, site: &str| {
        let seen = hand.must("workload/observe", app(site));
        (seen["desired"].clone(), seen["ready"].clone())
    };
    assert_eq!(ready(&mut hand, "pz"), (json!(3), json!(0)));
    let front = json!({ "site": "pz", "journey": "front-page", "entry": "public" });
    let report = hand.must("probe/observe-journey", front.clone());
    assert_eq!(report["steps"][0]["status"], 503);
    let begun = hand.now;
    hand.must(
        "workload/ensure-scaled",
        with(app("pz"), "replicas", json!(3)),
    );
    assert!(
        hand.now.since(begun) >= Duration::from_secs(500),
        "it waits until they stay up"
    );
    assert_eq!(ready(&mut hand, "pz"), (json!(3), json!(3)));
    assert_eq!(hand.must("probe/observe-journey", front)["passed"], true);
    hand.wait(Duration::from_secs(86_400));
    assert_eq!(ready(&mut hand, "bz").1, 0, "nobody has mended this one");
}

#[test]
fn nobody_could_know_of_a_crash_that_has_just_begun() {
    let led = |after: u64| {
        let extra = "[[injects]]\nat = 'T+10m'\ncrash-loop = { site = 'pz', app = 'wordpress', for = '10m' }\n";
        let mut hand = hand("planned", extra);
        let start = hand.now;
        let name = "wp-active.example.test";
        let lead = |hand: &mut Hand, from: &str, to: &str| {
            let record = json!({ "name": name, "kind": "CNAME", "expected": [from], "values": [to], "ttl-seconds": 60 });
            hand.must("dns/ensure-record", record);
        };
        lead(&mut hand, "wp-pz.example.test", "wp-bz.example.test");
        let begun = Duration::from_secs(600) + Duration::from_secs(after);
        hand.wait(start.after(begun).since(hand.now));
        lead(&mut hand, "wp-bz.example.test", "wp-pz.example.test");
        let seen = hand.world.sightings().into_iter();
        seen.filter(|seen| seen.hazard == Hazard::NotServing && seen.what.contains("`pz`"))
            .count()
    };
    assert_eq!(led(5), 0);
    assert_eq!(led(60), 1);
}

#[test]
fn a_load_balancer_that_is_made_anew_has_an_address_that_nobody_knew() {
    let mut hand = edited("planned", |text| {
        text.replace(
            "address = \"198.51.100.10\"",
            "address = \"198.51.100.10\"\nnew-addresses = [\"198.51.100.77\", \"198.51.100.78\"]",
        )
    });
    hand.must("ingress/ensure-controller", json!({ "site": "bz" }));
    let address = |hand: &mut Hand| {
        hand.must(
            "ingress/ensure-exposed",
            with(app("bz"), "hosts", json!([ACTIVE])),
        );
        let seen = hand.must("ingress/observe", app("bz"))["addresses"][0].clone();
        hand.must("ingress/ensure-unexposed", app("bz"));
        seen
    };
    assert_eq!(address(&mut hand), "198.51.100.77");
    assert_eq!(address(&mut hand), "198.51.100.78");
    assert_eq!(address(&mut hand), "198.51.100.10");
}

#[test]
fn a_control_plane_lags_for_as_long_as_an_inject_says() {
    let extra = "[[injects]]\nat = 'T+1m'\nlag = { api = 'dns', by = '20s', for = '5m' }\n";
    let shown_after_flip_at = |wait: u64| {
        let mut hand = hand("planned", extra);
        hand.wait(Duration::from_secs(wait));
        hand.must("dns/ensure-record", flip());
        let get = json!({ "name": ACTIVE, "kind": "CNAME" });
        hand.must("dns/get-record", get)["values"][0].clone()
    };
    assert_eq!(shown_after_flip_at(0), "wp-bz.example.test");
    assert_eq!(shown_after_flip_at(120), "wp-pz.example.test");
    assert_eq!(shown_after_flip_at(420), "wp-bz.example.test");
}

#[test]
fn a_bucket_that_is_copied_lags_and_falls_behind_while_its_home_is_away() {
    let copied = |base: &str| {
        edited(base, |text| {
            text.replace(
                "[buckets.media]",
                "[buckets.media]\nhome = \"pz\"\nlag = \"90s\"",
            )
        })
    };
    let media = |site: &str| json!({ "site": site, "bucket": "media" });
    let lag = |hand: &mut Hand, site: &str| {
        hand.must("storage/observe", media(site))["replication-lag-ms"].clone()
    };
    let mut up = copied("planned");
    assert_eq!(lag(&mut up, "pz"), Value::Null);
    assert_eq!(lag(&mut up, "bz"), 90_000);
    let begun = up.now;
    let synced = up.must("storage/ensure-synced", with(media("bz"), "id", json!("t")));
    assert_eq!(synced, "changed");
    assert!(up.now.since(begun) >= Duration::from_secs(90));
    // Its home died three minutes before the run.
    let mut lost = copied("primary-lost");
    let behind = lag(&mut lost, "bz").as_u64().unwrap();
    assert!((270_000..275_000).contains(&behind), "{behind} ms");
    let never = lost.once("storage/ensure-synced", with(media("bz"), "id", json!("t")));
    assert!(matches!(never, Err(CallError::Conflict(_))), "{never:?}");
    lost.wait(Duration::from_secs(3_600));
    assert_eq!(lag(&mut lost, "bz"), 90_000);
}
