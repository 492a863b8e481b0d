//! The table is a graph, covers what it says, and lays out in every mode and with the barest parameters.

use understudy_recovery::plan::{covered, flaws, lay_out};
use understudy_recovery::recovery::Recovery;
use understudy_recovery::{Context, Mode, Step};

use super::STEPS;

/// Ids and kinds of the source runbooks' items that the strategies are meant to cover.
const ITEMS: &str = include_str!("../../../covers.tsv");

const FULL: &str = r#"{"from":"bz","to":"pz","database":"d","app":"a","replicas":2,"journeys":["front-page"],
    "records":{"active":"active.test","targets":{"pz":"pz.test","bz":"bz.test"}},
    "certificate":{"name":"c","issuer":"i","dns-names":["active.test","pz.test"]},
    "objectives":["error-rate"],"media-bucket":"m","channel":"c"}"#;

const BARE: &str = r#"{"from":"bz","to":"pz","database":"d","app":"a","replicas":2,"journeys":["front-page"],
    "records":{"active":"active.test","targets":{"pz":"pz.test","bz":"bz.test"}},
    "certificate":{"name":"c","issuer":"i","dns-names":["active.test","pz.test"],"test-issue":false},
    "expose":false}"#;

fn plan(config: &str, mode: Mode) -> Vec<Step> {
    let context = Context {
        run: "r".to_owned(),
        config: config.to_owned(),
        mode,
        rto_target_ms: 1,
        rpo_target_ms: 1,
    };
    lay_out(STEPS, &Recovery::read("failback", context, "").unwrap())
}

/// True where `later` certainly comes after `earlier`.
fn is_after(plan: &[Step], later: &str, earlier: &str) -> bool {
    let step = plan.iter().find(|step| step.id == later).unwrap();
    step.needs
        .iter()
        .any(|need| need == earlier || is_after(plan, need, earlier))
}

#[test]
fn every_step_is_there_once_and_needs_only_steps_above_it() {
    assert_eq!(flaws(STEPS), Vec::<String>::new());
}

#[test]
fn every_need_is_planned_in_every_mode_and_with_the_barest_parameters() {
    for config in [FULL, BARE] {
        for mode in [Mode::Graceful, Mode::Ungraceful] {
            let plan = plan(config, mode);
            for step in &plan {
                for need in &step.needs {
                    assert!(
                        plan.iter().any(|other| &other.id == need),
                        "{} needs {need}",
                        step.id
                    );
                }
            }
        }
    }
}

#[test]
fn what_the_service_does_without_is_not_called() {
    for step in plan(BARE, Mode::Graceful) {
        for contract in ["ingress", "metrics", "notify", "storage"] {
            assert!(
                !step.uses.iter().any(|used| used == contract),
                "{} uses {contract}",
                step.id
            );
        }
    }
}

#[test]
fn items_are_known_and_this_strategys_own_are_all_covered() {
    let items: Vec<&str> = ITEMS
        .lines()
        .filter_map(|line| line.split('\t').next())
        .collect();
    let covered = covered(STEPS);
    for id in &covered {
        assert!(items.contains(id), "{id} is no item of covers.tsv");
    }
    let own = |id: &str| id.starts_with("S0-F") || matches!(id, "S1-H13" | "S1-H14" | "S1-H15");
    let missing: Vec<_> = items
        .iter()
        .copied()
        .filter(|&id: &&str| own(id) && !covered.contains(&id))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn the_order_that_keeps_data_safe_holds_in_every_mode() {
    for mode in [Mode::Graceful, Mode::Ungraceful] {
        for config in [FULL, BARE] {
            let plan = plan(config, mode);
            for (later, earlier) in [
                ("promote", "fence"),
                ("promote", "declare"),
                ("flip", "await-old-ttl"),
                ("await-old-ttl", "lower-ttl"),
                ("flip", "promote"),
                ("flip", "verify-writer"),
                ("flip", "check-certificate"),
                ("flip", "validate-direct"),
                ("flip", "activate"),
                ("activate", "promote"),
                ("protect", "validate-public"),
                ("announce", "protect"),
                ("restore-ttl", "converge"),
                ("catch-up", "fence"),
                ("weigh-loss", "catch-up"),
                ("promote", "weigh-loss"),
                ("promote", "measure-lag"),
                ("promote", "reseed"),
                ("promote", "catch-up-live"),
                ("fence", "freeze"),
                ("stand-down", "hold"),
                ("stand-down", "protect"),
                ("restore-ttl", "hold"),
            ] {
                assert!(
                    is_after(&plan, later, earlier),
                    "{later} does not come after {earlier}"
                );
            }
        }
    }
}
