//! One model at a time: replication, fencing, certificates, workloads, faults, people, scenarios at the door.

use crate::journal::record::{Choice, GateKind};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Hand, scenario, text};
use crate::call::CallError;
use crate::rehearsal::scenario::Scenario;

fn hand(base: &str, extra: &str) -> Hand {
    let scenario = Scenario::parse(&format!("{}\n{extra}", text(base))).unwrap();
    Hand::new(&scenario, 11)
}

fn wordpress(site: &str) -> Value {
    json!({ "site": site, "database": "wordpress" })
}

#[test]
fn a_replica_follows_at_its_lag_and_falls_behind_when_it_stalls() {
    let mut hand = hand(
        "planned",
        "[[injects]]\nat = 'T+10m'\nstall.replication = 'bz'\n[[injects]]\nat = 'T+20m'\nresume.replication = 'bz'\n",
    );
    hand.wait(Duration::from_secs(300));
    let lag = hand.observe("bz")["replication"]["lag-ms"]
        .as_u64()
        .unwrap();
    assert!((1_500..=2_400).contains(&lag), "{lag} ms");
    hand.wait(Duration::from_secs(600));
    let stalled = hand.observe("bz")["replication"].clone();
    assert_eq!(
        (&stalled["running"], &stalled["lag-ms"]),
        (&json!(false), &Value::Null)
    );
    let position = hand.observe("pz")["position"].clone();
    let reached = hand.once(
        "database/ensure-caught-up",
        json!({ "site": "bz", "database": "wordpress", "position": position }),
    );
    assert!(
        matches!(reached, Err(CallError::Conflict(_))),
        "{reached:?}"
    );
    hand.wait(Duration::from_secs(330));
    let catching_up = hand.observe("bz")["replication"]["lag-ms"]
        .as_u64()
        .unwrap();
    assert!(
        (300_000..600_000).contains(&catching_up),
        "{catching_up} ms half a minute after it resumed"
    );
    hand.wait(Duration::from_secs(300));
    let lag = hand.observe("bz")["replication"]["lag-ms"]
        .as_u64()
        .unwrap();
    assert!(lag <= 2_400, "{lag} ms");
}

#[test]
fn a_replica_that_is_behind_says_by_how_much() {
    let mut hand = hand("replica-behind", "");
    let applied = hand.observe("bz")["replication"]["last-applied-at-ms"]
        .as_u64()
        .unwrap();
    let outage = hand.now.0 - 180_000;
    assert!(
        (1_195_000..1_205_000).contains(&(outage - applied)),
        "{} ms",
        outage - applied
    );
}

#[test]
fn a_dead_site_can_be_neither_fenced_nor_seen() {
    let mut hand = hand("primary-lost", "");
    for function in ["database/ensure-fenced", "database/observe"] {
        let reply = hand.once(function, wordpress("pz"));
        assert!(matches!(reply, Err(CallError::Unavailable(_))), "{reply:?}");
    }
    hand.wait(Duration::from_secs(3_600));
    let back = hand.observe("pz");
    assert_eq!(
        (&back["role"], &back["read-only"]),
        (&json!("primary"), &json!(true))
    );
}

#[test]
fn a_primary_from_the_dead_takes_writes_that_nobody_keeps() {
    let mut hand = hand("back-from-the-dead", "");
    let promoted = hand.must("database/ensure-promoted", wordpress("bz"));
    assert_eq!(promoted, "changed");
    hand.wait(Duration::from_secs(1_800));
    assert_eq!(hand.observe("pz")["read-only"], json!(false));
    let truth = hand.truth();
    // Nobody has flipped: every client went back to the old primary and wrote there.
    assert!(truth.lost_writes > 5_000, "{truth:?}");
}

#[test]
fn promoting_a_diverged_primary_back_into_the_fold_copies_everything() {
    let mut hand = hand("primary-lost", "");
    hand.must("database/ensure-promoted", wordpress("bz"));
    hand.wait(Duration::from_secs(3_600));
    let replica_of = json!({ "site": "pz", "database": "wordpress", "source": "bz" });
    let begun = hand.now;
    assert_eq!(
        hand.must("database/ensure-replica-of", replica_of.clone()),
        "changed"
    );
    assert!(
        hand.now.since(begun) >= Duration::from_secs(8 * 1_024 / 60),
        "a diverged copy is made anew"
    );
    assert_eq!(
        hand.must("database/ensure-replica-of", replica_of),
        "unchanged"
    );
    let contents = |hand: &mut Hand, site| hand.must("database/observe-contents", wordpress(site));
    let (bz, pz) = (contents(&mut hand, "bz"), contents(&mut hand, "pz"));
    assert_eq!(bz, pz);
}

#[test]
fn writers_are_neither_replaced_nor_probed_when_they_must_not_be() {
    let mut hand = hand("planned", "");
    let replica_of = hand.once(
        "database/ensure-replica-of",
        json!({ "site": "pz", "database": "wordpress", "source": "bz" }),
    );
    assert!(
        matches!(replica_of, Err(CallError::Conflict(_))),
        "{replica_of:?}"
    );
    let restore =
        json!({ "site": "pz", "database": "wordpress", "target": "latest", "token": "t" });
    assert!(matches!(
        hand.once("database/ensure-restored", restore),
        Err(CallError::Conflict(_))
    ));
    let probe = |site: &str| json!({ "site": site, "database": "wordpress", "token": "probe" });
    assert!(matches!(
        hand.once("database/ensure-write-probe", probe("bz")),
        Err(CallError::Conflict(_))
    ));
    assert_eq!(
        hand.must("database/ensure-write-probe", probe("pz")),
        "changed"
    );
    assert_eq!(
        hand.must("database/ensure-write-probe", probe("pz")),
        "unchanged"
    );
}

#[test]
fn a_corrupt_recovery_point_is_found_out_by_restoring_it() {
    let mut hand = hand("corrupt-backup", "");
    let points = hand.must("database/list-recovery-points", wordpress("bz"));
    let complete: Vec<&Value> = points
        .as_array()
        .unwrap()
        .iter()
        .filter(|point| point["complete"] == true)
        .collect();
    let restore = |target: Value, token: &str| json!({ "site": "bz", "database": "wordpress", "target": target, "token": token });
    let latest = hand.call("database/ensure-restored", restore(json!("latest"), "a"));
    assert!(
        matches!(&latest, Err(CallError::Conflict(problem)) if problem.contains("corrupt")),
        "{latest:?}"
    );
    let earlier = json!({ "point": complete[1]["id"] });
    assert_eq!(
        hand.must("database/ensure-restored", restore(earlier, "b")),
        "changed"
    );
}

#[test]
fn damage_is_in_whatever_comes_after_it_and_in_nothing_before() {
    let logs = "log-window = \"0s\"";
    let mut scenario = text("primary-lost").replace(logs, "log-window = \"2d\"");
    let begins = scenario.find("[[injects]]").unwrap();
    scenario.truncate(begins);
    scenario += "[[injects]]\nat = 'T+1m'\ndamage = { database = 'wordpress', tables = 4 }\n";
    let scenario = Scenario::parse(&scenario).unwrap();
    let (mut hand, start) = (Hand::new(&scenario, 1), scenario.world.start);
    let tables = |hand: &mut Hand, site: &str| {
        let contents = hand.must("database/observe-contents", wordpress(site));
        (
            contents["tables"].as_u64().unwrap(),
            contents["schema-digest"].clone(),
        )
    };
    let errors = |hand: &mut Hand, site: &str| {
        let objective = json!({ "site": site, "objective": "error-rate" });
        hand.must("metrics/observe-objective", objective)["value"].as_f64()
    };
    hand.wait(Duration::from_secs(50));
    assert_eq!(errors(&mut hand, "pz"), Some(0.0));
    hand.wait_until(start.after(Duration::from_secs(600)));
    assert_eq!(errors(&mut hand, "pz"), Some(1.0));
    let damaged = tables(&mut hand, "pz");
    assert_eq!(damaged.0, 8);
    assert_eq!(tables(&mut hand, "bz"), damaged, "a replica follows");
    hand.must("database/ensure-fenced", wordpress("pz"));
    let mut restored = |seconds: u64| {
        let at = start.after(Duration::from_secs(seconds));
        let target = json!({ "instant-ms": at.0 });
        let restore = json!({ "site": "bz", "database": "wordpress", "target": target, "token": format!("at {seconds}") });
        hand.must("database/ensure-restored", restore);
        tables(&mut hand, "bz")
    };
    assert_eq!(restored(61), damaged);
    let whole = restored(59);
    assert_eq!(whole.0, 12);
    assert_ne!(whole.1, damaged.1);
}

#[test]
fn what_is_in_an_archive_is_not_at_hand() {
    let restore =
        json!({ "site": "bz", "database": "wordpress", "target": "latest", "token": "a" });
    let took = |retrieval: &str| {
        let keep = "keep = 48";
        let scenario =
            text("restore").replace(keep, &format!("{keep}, retrieval = \"{retrieval}\""));
        let scenario = Scenario::parse(&scenario).unwrap();
        let mut hand = Hand::new(&scenario, 1);
        let begun = hand.now;
        hand.must("database/ensure-restored", restore.clone());
        hand.now.since(begun)
    };
    let (at_hand, archived) = (took("0s"), took("2h"));
    assert_eq!(archived.saturating_sub(at_hand).as_secs() / 60, 120);
}

#[test]
fn an_issuer_limits_the_rate_and_names_the_time() {
    let mut hand = hand("planned", "");
    let order = |n: u32| json!({ "site": "bz", "issuer": "production", "dns-name": "probe.example.test", "token": format!("t-{n}") });
    for n in 0..5 {
        assert_eq!(
            hand.must("certificates/ensure-test-issued", order(n)),
            "changed"
        );
    }
    assert_eq!(
        hand.must("certificates/ensure-test-issued", order(0)),
        "unchanged"
    );
    let Err(CallError::Unavailable(hint)) = hand.once("certificates/ensure-test-issued", order(5))
    else {
        panic!("the sixth order within a week must be refused")
    };
    assert!(hint.after_ms.unwrap() > 6 * 86_400_000);
}

#[test]
fn an_expired_certificate_fails_clients_of_the_site_that_has_it() {
    let mut hand = hand(
        "planned",
        "[[injects]]\nat = 'T+1m'\nexpire = { site = 'pz', certificate = 'wp-active' }\n",
    );
    hand.wait(Duration::from_secs(300));
    let served = hand.must(
        "certificates/observe-served",
        json!({ "site": "pz", "server-name": "wp-active.example.test" }),
    );
    assert_eq!(served["verified"], false);
    let level = hand.must(
        "metrics/observe-objective",
        json!({ "site": "pz", "objective": "error-rate" }),
    );
    assert_eq!(
        (&level["value"], &level["met"]),
        (&json!(1.0), &json!(false))
    );
    let order = json!({
        "site": "pz", "name": "wp-active", "dns-names": ["wp-active.example.test"], "issuer": "production", "min-valid-ms": 1,
    });
    hand.must("certificates/ensure-certificate", order);
    hand.wait(Duration::from_secs(120));
    let level = hand.must(
        "metrics/observe-objective",
        json!({ "site": "pz", "objective": "error-rate" }),
    );
    assert_eq!(level["met"], true, "{level}");
}

#[test]
fn replicas_hold_their_endpoint_until_they_are_restarted() {
    let mut hand = hand("planned", "");
    let app = |extra: (&str, Value)| json!({ "site": "pz", "app": "wordpress", extra.0: extra.1 });
    hand.must(
        "workload/ensure-database-endpoint",
        app(("endpoint", json!("db.nowhere.example.test:3306"))),
    );
    let journey = json!({ "site": "pz", "journey": "create-post", "entry": "direct" });
    assert_eq!(
        hand.must("probe/observe-journey", journey.clone())["passed"],
        true
    );
    hand.must("workload/ensure-restarted", app(("token", json!("t"))));
    let report = hand.must("probe/observe-journey", journey);
    assert_eq!(
        (&report["passed"], &report["steps"][0]["status"]),
        (&json!(false), &json!(500))
    );
    hand.wait(Duration::from_secs(60));
    let errors = hand.must(
        "metrics/observe-objective",
        json!({ "site": "pz", "objective": "database-errors" }),
    );
    assert_eq!(errors["met"], false);
}

#[test]
fn compare_and_set_and_the_least_ttl_are_enforced() {
    let mut hand = hand("planned", "");
    let record = |expected: &str, ttl: u32| {
        json!({
            "name": "wp-active.example.test", "kind": "CNAME", "expected": [expected],
            "values": ["wp-bz.example.test"], "ttl-seconds": ttl,
        })
    };
    assert!(matches!(
        hand.once("dns/ensure-record", record("wp-pz.example.test", 30)),
        Err(CallError::Invalid(_))
    ));
    assert!(matches!(
        hand.once("dns/ensure-record", record("other.example.test", 60)),
        Err(CallError::Conflict(_))
    ));
    assert_eq!(
        hand.must("dns/ensure-record", record("wp-pz.example.test", 60)),
        "changed"
    );
    assert_eq!(
        hand.must("dns/ensure-record", record("wp-pz.example.test", 60)),
        "unchanged"
    );
}

#[test]
fn control_planes_die_alone_and_with_their_site() {
    let get = json!({ "name": "wp-active.example.test", "kind": "CNAME" });
    let mut alone = hand(
        "planned",
        "[[injects]]\nat = 'T+1m'\nfail.api = 'dns'\n[[injects]]\nat = 'T+2m'\nheal.api = 'dns'\n",
    );
    alone.wait(Duration::from_secs(70));
    assert!(matches!(
        alone.once("dns/get-record", get.clone()),
        Err(CallError::Unavailable(_))
    ));
    let front = json!({ "site": "pz", "journey": "front-page", "entry": "public" });
    assert_eq!(alone.must("probe/observe-journey", front)["passed"], true);
    alone.wait(Duration::from_secs(60));
    alone.must("dns/get-record", get.clone());
    let mut inside = hand("primary-lost", "[control-planes]\ndns = 'pz'\n");
    assert!(matches!(
        inside.once("dns/get-record", get),
        Err(CallError::Unavailable(_))
    ));
}

#[test]
fn a_partitioned_site_serves_clients_and_refuses_operators() {
    let mut hand = hand(
        "planned",
        "[[injects]]\nat = 'T+1m'\npartition.site = 'pz'\n",
    );
    hand.wait(Duration::from_secs(120));
    assert!(matches!(
        hand.once("database/ensure-fenced", wordpress("pz")),
        Err(CallError::Unavailable(_))
    ));
    assert_eq!(hand.observe("bz")["replication"]["running"], false);
    hand.must("database/ensure-promoted", wordpress("bz"));
    hand.wait(Duration::from_secs(60));
    // Clients never left the old primary: whatever they write is on the branch that loses.
    assert!(hand.truth().lost_writes > 100);
}

#[test]
fn faults_hit_the_calls_they_name() {
    let ensure = json!({ "site": "pz", "app": "wordpress", "enabled": true });
    let observe = json!({ "site": "pz", "app": "wordpress" });
    let fault = |kind: &str| {
        format!(
            "[[faults]]\ncall = 'workload/ensure-maintenance'\nnth = 1\nkind = '{kind}'\nby = '7s'\n"
        )
    };
    let maintenance =
        |hand: &mut Hand| hand.must("workload/observe", observe.clone())["maintenance"].clone();
    for (kind, applied) in [
        ("error", false),
        ("error-after-effect", true),
        ("throttle", false),
    ] {
        let mut hand = hand("planned", &fault(kind));
        let reply = hand.once("workload/ensure-maintenance", ensure.clone());
        assert!(
            matches!(reply, Err(CallError::Unavailable(_))),
            "{kind}: {reply:?}"
        );
        assert_eq!(maintenance(&mut hand), applied, "{kind}");
        assert!(
            hand.once("workload/ensure-maintenance", ensure.clone())
                .is_ok(),
            "{kind} hits the first call alone"
        );
    }
    let mut slow = hand("planned", &fault("delay"));
    let begun = slow.now;
    assert_eq!(
        slow.once("workload/ensure-maintenance", ensure.clone()),
        Ok(json!("changed"))
    );
    assert!(slow.now.since(begun) >= Duration::from_secs(7));
    let mut hung = hand("planned", &fault("hang"));
    let begun = hung.now;
    assert!(
        hung.once("workload/ensure-maintenance", ensure.clone())
            .is_err()
    );
    assert!(hung.now.since(begun) >= Duration::from_secs(86_400));
    let mut lying = hand("planned", &fault("wrong-answer"));
    assert_eq!(
        lying.once("workload/ensure-maintenance", ensure),
        Ok(json!("changed"))
    );
    assert_eq!(maintenance(&mut lying), false);
}

#[test]
fn people_hand_over_to_another_strategy_when_their_patience_ends() {
    let extra = "[people.incident-commander]\npatience = 2\nswitch-to = 'restore'\n[people.db-lead]\nswitch-to = 'failback'\n";
    let mut hand = hand("planned", extra);
    let switch = Choice::Switch("restore".parse().unwrap());
    for (kind, tries, choice) in [
        (GateKind::OverBudget, 0, Choice::Go),
        (GateKind::OverBudget, 1, switch.clone()),
        (GateKind::Failed, 1, Choice::Go),
        (GateKind::Failed, 2, switch),
    ] {
        let said = hand.answer_after(kind, tries, "incident-commander");
        assert_eq!(said, choice, "{kind:?} {tries}");
    }
    let offered_another = hand.answer_after(GateKind::Failed, 4, "db-lead");
    assert_eq!(offered_another, Choice::NoGo);
}

#[test]
fn people_switch_sooner_than_they_give_up_and_give_up_late_where_that_undoes_nothing() {
    let extra = "[people.incident-commander]\npatience = 3\nswitch-to = 'restore'\nswitch-after = 1\n[people.db-lead]\npatience = 3\n";
    let mut hand = hand("planned", extra);
    let switched = hand.answer_after(GateKind::Failed, 1, "incident-commander");
    assert_eq!(switched, Choice::Switch("restore".parse().unwrap()));
    for (attempt, no_way_back, choice) in [
        (2, false, Choice::Go),
        (3, false, Choice::NoGo),
        (3, true, Choice::Go),
        (11, true, Choice::Go),
        (12, true, Choice::NoGo),
    ] {
        let answer = hand.answer_where(GateKind::Failed, attempt, "db-lead", no_way_back);
        assert_eq!(answer, choice, "{attempt} {no_way_back}");
    }
}

#[test]
fn people_answer_as_the_scenario_says() {
    let extra = "[people.incident-commander]\nafter = '90s'\nanswer = 'no-go'\n[people.db-lead]\nanswer = 'silent'\n";
    let mut hand = hand("planned", extra);
    let commander = hand.answer("g-1", "incident-commander");
    assert_eq!(
        (commander.after, commander.choice),
        (Some(Duration::from_secs(90)), Choice::NoGo)
    );
    assert_eq!(hand.answer("g-1", "db-lead").after, None);
    let mut after = |failed| hand.answer_after(GateKind::Failed, failed, "dns-lead");
    assert_eq!(after(3), Choice::Go);
    assert_eq!(after(4), Choice::NoGo, "nobody tries forever");
    let usual = hand.answer("g-1", "dns-lead");
    assert!(usual.choice == Choice::Go && usual.after.is_some());
    assert_eq!(usual, hand.answer("g-1", "dns-lead"));
}

#[test]
fn every_shipped_scenario_can_be_read_and_lived_through() {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../runbooks/wordpress/scenarios"
    );
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let name = name.strip_suffix(".toml").unwrap();
        let scenario = scenario(name);
        assert_eq!(scenario.name, name);
        let sites = ["bz", "cz", "pz"].map(|name| name.parse().unwrap());
        scenario.check_sites(&sites).unwrap();
        let mut hand = Hand::new(&scenario, 1);
        hand.wait(Duration::from_secs(14_400));
        let truth = hand.truth();
        assert!(truth.acknowledged_writes > 300_000, "{name}: {truth:?}");
        seen += 1;
    }
    assert!(seen >= 4);
}
