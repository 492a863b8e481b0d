use super::*;
use crate::report::Figures;
use crate::report::fixture::{Journal, header, plain_step, stories};

fn step(id: &str, needs: &[&str], budget_ms: u64) -> Step {
    Step {
        needs: needs.iter().map(|need| need.parse().unwrap()).collect(),
        budget_ms,
        ..plain_step(id)
    }
}

/// Two steps side by side and one that needs both; the times are in seconds.
fn fork(first: f64, second: f64, last: f64) -> Sample {
    let steps = vec![
        step("replica/first", &[], 1_000),
        step("replica/second", &[], 1_000),
        step("replica/last", &["replica/first", "replica/second"], 1_000),
    ];
    let mut journal = Journal::start(header(&["replica"], steps));
    let j = &mut journal;
    j.at(0.0).begin("replica/first").begin("replica/second");
    j.mark("replica/first", "declared", None);
    let done = |j: &mut Journal, id: &str, at: f64| {
        j.at(at).done(id, "");
    };
    if first <= second {
        done(j, "replica/first", first);
        done(j, "replica/second", second);
    } else {
        done(j, "replica/second", second);
        done(j, "replica/first", first);
    }
    j.begin("replica/last");
    j.at(first.max(second) + last)
        .mark("replica/last", "served", Some("bz"));
    j.done("replica/last", "");
    Sample::of(&journal.entries()).unwrap()
}

fn plan(steps: Vec<Step>) -> Plan {
    Plan { steps }
}

fn replica() -> Vec<StrategyName> {
    vec!["replica".parse().unwrap()]
}

fn ids(path: &[Link]) -> Vec<&str> {
    path.iter().map(|link| link.step.as_str()).collect()
}

#[test]
fn the_course_of_the_same_plan_is_the_run_that_it_comes_from() {
    let entries = stories::failover_and_failback();
    let figures = Figures::of(&entries).unwrap();
    let sample = Sample::of(&entries).unwrap();
    let procedure: Vec<StrategyName> = figures
        .legs
        .iter()
        .map(|leg| leg.strategy.clone())
        .collect();
    let estimate = Estimate::of(&figures.plan, &procedure, &[sample]);
    for (leg, seen) in estimate.legs.iter().zip(&figures.legs) {
        let (estimated, seen) = (leg.rto.p50_ms.unwrap(), seen.rto.achieved_ms.unwrap());
        // A step of the story begins up to a few seconds after the last one it needs.
        assert!(
            estimated.abs_diff(seen) <= seen / 20,
            "{}: {estimated} and {seen}",
            leg.strategy
        );
        assert!(!leg.critical_path.is_empty());
    }
}

#[test]
fn a_path_has_no_gap_and_adds_up_to_the_whole() {
    let samples = [
        fork(3.0, 5.0, 2.0),
        fork(9.0, 4.0, 2.0),
        fork(6.0, 5.0, 2.0),
    ];
    let steps = vec![
        step("replica/first", &[], 1_000),
        step("replica/second", &[], 1_000),
        step("replica/last", &["replica/first", "replica/second"], 1_000),
    ];
    let found = Estimate::of(&plan(steps), &replica(), &samples);
    assert_eq!(found.whole.p50_ms, Some(8_000));
    assert_eq!(
        (found.whole.min_ms, found.whole.max_ms),
        (Some(7_000), Some(11_000))
    );
    assert_eq!(ids(&found.critical_path), ["replica/first", "replica/last"]);
    let adds: Vec<u64> = found
        .critical_path
        .iter()
        .map(|link| link.adds_ms)
        .collect();
    assert_eq!(adds, [6_000, 2_000]);
    let shares: Vec<f64> = found.steps.iter().map(|step| step.decides_end).collect();
    assert_eq!(shares, [0.6667, 0.3333, 1.0]);
    assert_eq!(found.legs[0].rto, found.whole);
}

#[test]
fn another_order_of_the_same_steps_takes_another_time() {
    let one_by_one = vec![
        step("replica/first", &[], 1_000),
        step("replica/second", &["replica/first"], 1_000),
        step("replica/last", &["replica/second"], 1_000),
    ];
    let found = Estimate::of(&plan(one_by_one), &replica(), &[fork(3.0, 5.0, 2.0)]);
    assert_eq!(found.whole.p50_ms, Some(10_000));
    assert_eq!(
        ids(&found.critical_path),
        ["replica/first", "replica/second", "replica/last"]
    );
}

#[test]
fn a_step_that_no_run_did_counts_with_its_budget_and_says_so() {
    let steps = vec![
        step("replica/first", &[], 1_000),
        step("replica/new", &["replica/first"], 60_000),
    ];
    let found = Estimate::of(&plan(steps), &replica(), &[fork(3.0, 5.0, 2.0)]);
    assert_eq!(found.whole.p50_ms, Some(63_000));
    assert_eq!(found.steps[1].takes.runs, 0);
    // Nothing in the plan serves.
    assert_eq!((found.legs[0].rto.runs, found.legs[0].rto.never), (0, 1));
    assert!(found.legs[0].critical_path.is_empty());
}

#[test]
fn no_runs_say_nothing() {
    let found = Estimate::of(&plan(Vec::new()), &replica(), &[]);
    assert_eq!((found.samples, found.whole.p50_ms), (0, None));
    assert!(!fork(1.0, 1.0, 1.0).knows_any(&plan(vec![step("failback/x", &[], 1)])));
}
