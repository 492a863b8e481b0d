//! What a journal says of its world's times, and how two runs compare.

use serde_json::json;

use super::fidelity::Fidelity;
use super::{CalibrateError, Calibration};
use crate::call::{CallError, Operation};
use crate::clock::Instant;
use crate::journal::record::{Entry, GateKind, Record};
use crate::rehearsal::scenario::Scenario;
use crate::report::fixture::stories;
use crate::report::fixture::{Journal, header, plain_step};
use crate::run::state::StepState;

const BASE: &str = include_str!("../../../runbooks/wordpress/scenarios/primary-lost.toml");

/// A run of one step, which a test writes.
fn run(write: impl FnOnce(&mut Journal)) -> Vec<Entry> {
    let mut journal = Journal::start(header(&["replica"], vec![plain_step("replica/go")]));
    journal.begin("replica/go");
    write(&mut journal);
    journal.entries()
}

fn fitted(entries: &[Entry]) -> Scenario {
    let text = Calibration::of(entries).unwrap().fit(BASE).unwrap();
    Scenario::parse(&text).unwrap()
}

/// `answer work look` of a function at a site, in milliseconds.
fn timing(scenario: &Scenario, call: &str, site: &str) -> String {
    let found = scenario.timings.iter().find(|timing| {
        let at = timing.site.as_ref().map_or("", |at| at.as_ref().as_str());
        timing.call.as_ref() == call && at == site && timing.step.is_none()
    });
    let found = found.unwrap_or_else(|| panic!("nothing was measured of {call} at {site}"));
    let range = |range: Option<crate::rehearsal::scenario::time::Range>| {
        range.map_or("-".to_owned(), |range| {
            format!("{}..{}", range.min.ms(), range.max.ms())
        })
    };
    let look = found
        .look
        .map_or("-".to_owned(), |look| look.ms().to_string());
    format!("{} {} {look}", range(found.answer), range(found.work))
}

fn waiting(journal: &mut Journal, site: &crate::call::CallSite, poll_after_ms: u64) {
    let operation = Operation {
        id: "op".to_owned(),
        description: "on its way".to_owned(),
        poll_after_ms,
    };
    let site = site.clone();
    journal.say(Record::Waiting { site, operation });
}

#[test]
fn answers_work_and_looks_are_told_apart() {
    let place = json!({"site": "bz", "database": "wordpress"});
    let entries = run(|j| {
        // Half a second of the host's own counts to the call that follows it.
        let promote = j
            .at(0.5)
            .intent("replica/go", "database/ensure-promoted", place.clone());
        j.at(1.0);
        waiting(j, &promote, 2_000);
        j.at(4.0);
        waiting(j, &promote, 2_000);
        j.at(6.5).outcome(&promote, Ok(json!("changed")), 1);
        let journey =
            json!({"site": "bz", "journey": "login", "entry": "direct", "consecutive": 2});
        let walk = j.intent("replica/go", "probe/ensure-journey", journey);
        j.at(6.75);
        waiting(j, &walk, 1_000);
        j.at(8.0).outcome(&walk, Ok(json!("unchanged")), 1);
        j.at(8.5).done("replica/go", "done");
    });
    let scenario = fitted(&entries);
    // Answers of 1 s, 1 s and 0.5 s; from the first one to the last look 5 s.
    assert_eq!(
        timing(&scenario, "database/ensure-promoted", "bz"),
        "666..1000 5000..5000 -"
    );
    // 0.25 s, and 0.25 s with half a second until the step was over.
    assert_eq!(
        timing(&scenario, "probe/ensure-journey", "bz"),
        "250..750 - 1000"
    );
    assert_eq!(scenario.name, "primary-lost-calibrated");
    assert_eq!(scenario.world.start, entries[0].at);
}

#[test]
fn a_way_in_that_follows_late_makes_the_answer_late() {
    let walked = |entry: &str| {
        let entries = run(|j| {
            let journey =
                json!({"site": "bz", "journey": "login", "entry": entry, "consecutive": 1});
            let walk = j.intent("replica/go", "probe/ensure-journey", journey);
            j.at(0.25);
            waiting(j, &walk, 1_000);
            j.at(1.5).outcome(&walk, Ok(json!("changed")), 1);
            j.at(1.75).done("replica/go", "done");
        });
        timing(&fitted(&entries), "probe/ensure-journey", "bz")
    };
    assert_eq!(walked("direct"), "1750..1750 - 250");
    // How late users follow is said of their resolvers.
    assert_eq!(walked("public"), "250..500 - 1000");
}

/// A run that looks twice at an application, with this between the looks.
fn looked_twice(between: &[&str]) -> Vec<Entry> {
    let app = json!({"site": "bz", "app": "wordpress"});
    run(|j| {
        let first = j.intent("replica/go", "workload/observe", app.clone());
        j.at(0.1).outcome(&first, Ok(json!({"desired": 2})), 1);
        for call in between {
            let control = j.intent("replica/go", call, json!({}));
            j.at(5.1).outcome(&control, Ok(json!(null)), 1);
        }
        let second = j.intent("replica/go", "workload/observe", app);
        j.at(5.3).outcome(&second, Ok(json!({"desired": 2})), 1);
        j.done("replica/go", "done");
    })
}

#[test]
fn a_look_that_is_taken_again_after_a_pause_is_an_answer_that_came_late() {
    let took = |between: &[&str]| timing(&fitted(&looked_twice(between)), "workload/observe", "bz");
    assert_eq!(took(&["control/sleep"]), "5300..5300 - -");
    // Another call between makes them two looks.
    assert_eq!(took(&["control/sleep", "control/log"]), "100..200 - -");
    assert_eq!(took(&["control/log"]), "100..5200 - -");
}

#[test]
fn people_records_and_replicas_are_taken_over() {
    let entries = run(|j| {
        let record = json!({"name": "wp-active.example.test", "kind": "CNAME", "values": ["wp-pz.example.test"], "ttl-seconds": 7});
        j.call(
            "replica/go",
            "dns/get-record",
            json!({"name": "wp-active.example.test", "kind": "CNAME"}),
            0.25,
            record,
        );
        let limits = json!({"zone": "example.test", "min-ttl-seconds": 3});
        j.call(
            "replica/go",
            "dns/get-zone-limits",
            json!({"name": "wp-active.example.test"}),
            0.25,
            limits,
        );
        // Replicas whose database is lost run, and are not ready: a strategy restarts them as it would any others.
        let app =
            json!({"desired": 2, "ready": 0, "database-endpoint": "db", "maintenance": false});
        j.call(
            "replica/go",
            "workload/observe",
            json!({"site": "bz", "app": "wordpress"}),
            0.25,
            app,
        );
        j.ask("g", "replica/go", GateKind::Before, "Go?")
            .at(31.0)
            .answer("g", true, "sam", "");
        // What an organisation's own contract took is its stand-in's.
        j.call("replica/go", "purge/run-purge", json!({}), 1.0, json!(null));
    });
    let scenario = fitted(&entries);
    assert_eq!(scenario.dns.min_ttl_seconds, 3);
    assert_eq!(scenario.dns.records[0].ttl_seconds, 7);
    assert_eq!(
        scenario.sites[&"bz".parse().unwrap()].as_ref().apps["wordpress"].replicas,
        2
    );
    let commander = &scenario.people[&"incident-commander".parse().unwrap()];
    assert_eq!(
        (commander.after.min.ms(), commander.after.max.ms()),
        (30_250, 30_250)
    );
    assert_eq!(timing(&scenario, "dns/get-record", ""), "250..250 - -");
    assert!(
        scenario
            .timings
            .iter()
            .all(|timing| timing.call.as_ref() != "purge/run-purge")
    );
}

#[test]
fn resolvers_followed_when_users_were_first_served_from_most_of_them() {
    let entries = run(|j| {
        let lead = |to: &str| json!({"name": "wp-active.example.test", "kind": "CNAME", "values": [to], "ttl-seconds": 60});
        j.call(
            "replica/go",
            "dns/ensure-record",
            lead("wp-pz.example.test"),
            1.0,
            json!("changed"),
        );
        j.call(
            "replica/go",
            "dns/ensure-record",
            lead("wp-bz.example.test"),
            1.0,
            json!("changed"),
        );
        let served = j.intent(
            "replica/go",
            "probe/ensure-served",
            json!({"site": "bz", "journey": "login"}),
        );
        j.at(2.5);
        waiting(j, &served, 1_000);
        j.at(4.0).outcome(&served, Ok(json!("changed")), 1);
    });
    let follow = fitted(&entries).resolvers.as_ref().follow["wp-bz.example.test"];
    // Led there at 1 s; not seen at 2 s, and seen at 3.5 s.
    assert_eq!((follow.most.ms(), follow.all.ms()), (1_750, 1_750));
}

#[test]
fn an_outage_is_noticed_as_late_as_it_was() {
    // The story dates it three seconds before the run, and the site answers again on the way home; the scenario has it die
    // three minutes before and come back after 45.
    let scenario = fitted(&stories::failover_and_failback());
    let start = scenario.world.start;
    let at: Vec<Instant> = scenario
        .injects
        .iter()
        .map(|i| i.at.from_start(start))
        .collect();
    assert_eq!(at, [Instant(start.0 - 3_000), Instant(start.0 + 68_000)]);
}

#[test]
fn a_site_comes_back_when_it_answered_again() {
    let place = json!({"site": "pz", "database": "wordpress"});
    let entries = run(|j| {
        let fence = j.intent("replica/go", "database/ensure-fenced", place.clone());
        let next_at = Instant(j.entries()[0].at.0 + 30_000);
        j.at(10.0).say(Record::Retried {
            site: fence.clone(),
            attempt: 1,
            error: CallError::unavailable("refused"),
            next_at,
        });
        j.at(31.0).outcome(&fence, Ok(json!("changed")), 2);
    });
    let scenario = fitted(&entries);
    let start = scenario.world.start;
    let timings = scenario.timings.iter();
    let mut fences = timings.filter(|timing| timing.call.as_ref() == "database/ensure-fenced");
    let given_up = fences.next().and_then(|timing| timing.given_up).unwrap();
    assert_eq!((given_up.min.ms(), given_up.max.ms()), (10_000, 10_000));
    // Away at 10 s, and there when it was asked at 30 s.
    assert_eq!(
        scenario.injects[1].at.from_start(start),
        Instant(start.0 + 20_000)
    );
}

#[test]
fn a_run_that_asked_nothing_says_nothing() {
    let error = Calibration::of(&run(|_| {})).unwrap_err();
    assert!(
        matches!(error, CalibrateError::NothingMeasured { .. }),
        "{error}"
    );
    let calibration = Calibration::of(&stories::failover_and_failback()).unwrap();
    let error = calibration.fit("name = 'half'").unwrap_err();
    assert!(error.to_string().contains("CL0002"), "{error}");
}

/// The story and a copy that a test has changed.
fn compared(change: impl FnOnce(&mut Vec<Entry>)) -> Vec<String> {
    let live = stories::failover_and_failback();
    let mut rehearsed = live.clone();
    change(&mut rehearsed);
    Fidelity::of(&live, &rehearsed).unwrap().differences
}

/// Moves everything from the first milestone of this name on.
fn delay(entries: &mut [Entry], from: &str, ms: u64) {
    let mut late = false;
    for entry in entries {
        late |= matches!(&entry.record, Record::Marked { name, .. } if name == from);
        if late {
            entry.at = Instant(entry.at.0 + ms);
        }
    }
}

#[test]
fn the_same_run_is_as_it_was_and_a_recovery_may_take_a_fifth_longer() {
    assert_eq!(compared(|_| {}), Vec::<String>::new());
    let live = stories::failover_and_failback();
    let fidelity = Fidelity::of(&live, &live).unwrap();
    let rto = fidelity.legs[0].rto.live_ms.unwrap();
    assert_eq!(
        compared(|e| delay(e, "served", rto / 5)),
        Vec::<String>::new()
    );
    let late = compared(|e| delay(e, "served", rto / 5 + rto / 50));
    assert_eq!(late.len(), 1, "{late:?}");
    assert!(
        late[0].starts_with("the RTO of `replica` is off by 22 %"),
        "{late:?}"
    );
}

#[test]
fn how_often_something_is_looked_at_again_is_no_difference() {
    let looks = |between: &[&str]| {
        let once = run(|j| {
            let app = json!({"site": "bz", "app": "wordpress"});
            let look = j.intent("replica/go", "workload/observe", app);
            j.at(5.3).outcome(&look, Ok(json!({"desired": 2})), 1);
            j.done("replica/go", "done");
        });
        Fidelity::of(&looked_twice(between), &once).unwrap()
    };
    let again = looks(&["control/sleep"]);
    assert_eq!(again.differences, Vec::<String>::new());
    assert_eq!(again.steps[0].live.as_ref().unwrap().calls, 3);
    let logged = looks(&["control/log"]);
    assert_eq!(
        logged.differences,
        ["`replica/go`: call 2 is control/log live and none in the rehearsal"]
    );
}

#[test]
fn a_step_that_was_tried_again_in_only_one_of_the_two_is_named() {
    let tried = |fails: bool| {
        run(|j| {
            let app = json!({"site": "bz", "app": "wordpress"});
            if fails {
                let look = j.intent("replica/go", "workload/observe", app.clone());
                j.at(0.1).outcome(&look, Ok(json!({"desired": 2})), 1);
                let failed = "conflict: not ready";
                j.state("replica/go", StepState::Running, StepState::Failed, failed);
                j.state("replica/go", StepState::Failed, StepState::Running, "");
            }
            j.call(
                "replica/go",
                "workload/observe",
                app,
                0.1,
                json!({"desired": 2}),
            );
            j.call(
                "replica/go",
                "dns/get-zone-limits",
                json!({}),
                0.1,
                json!(null),
            );
            j.done("replica/go", "done");
        })
    };
    let fidelity = Fidelity::of(&tried(true), &tried(false)).unwrap();
    assert_eq!(
        fidelity.differences,
        ["`replica/go` was tried 2 times live and once in the rehearsal"]
    );
    assert!(fidelity.steps[0].same_calls);
    let again = Fidelity::of(&tried(true), &tried(true)).unwrap();
    assert_eq!(again.differences, Vec::<String>::new());
}

#[test]
fn other_calls_and_steps_in_another_order_are_named() {
    let other = compared(|entries| {
        let mut intents = entries
            .iter_mut()
            .filter_map(|entry| match &mut entry.record {
                Record::Intent { function, .. } => Some(function),
                _ => None,
            });
        intents.next().unwrap().function = "get-record".to_owned();
    });
    assert_eq!(
        other,
        [
            "`replica/lower-ttl`: call 1 is dns/ensure-record live and dns/get-record in the rehearsal"
        ]
    );
    let unfinished = compared(|entries| {
        let served = entries.iter().position(
            |entry| matches!(&entry.record, Record::Marked { name, .. } if name == "served"),
        );
        entries.truncate(served.unwrap());
    });
    let ends = |words: &str| unfinished.iter().any(|line| line.ends_with(words));
    assert!(ends("more steps began only live"), "{unfinished:?}");
    assert!(
        ends("served users in only one of the two"),
        "{unfinished:?}"
    );
    let swapped = compared(|entries| {
        let is_step = |entry: &Entry, id: &str| matches!(&entry.record, Record::StepChanged { step, .. } if step.as_str() == id);
        let fence = entries
            .iter()
            .position(|e| is_step(e, "replica/fence"))
            .unwrap();
        let first = entries
            .iter()
            .position(|e| is_step(e, "replica/declare"))
            .unwrap();
        let begun = entries.remove(fence);
        entries.insert(first, begun);
    });
    assert!(
        swapped.iter().any(|line| line.contains(
            "`replica/fence` began before `replica/declare` in the rehearsal, which it came after"
        )),
        "{swapped:?}"
    );
}
