//! What becomes of small plans under the changes a runbook can make.

use std::path::PathBuf;

use super::*;
use crate::plan::{Act, Reversal};
use crate::runbook::source::Sources;

const HEAD: &str = r#"
[runbook]
name = "wordpress"
summary = "A blog"
format = 1
[targets]
rto = "30m"
rpo = "5m"
[sites.pz]
title = "Primary zone"
[sites.bz]
title = "Backup zone"
[plugins.p]
path = "p.wasm"
[strategies.replica]
plugin = "p"
[strategies.failback]
plugin = "p"
[strategies.cdn]
plugin = "p"
"#;

fn step(id: &str, needs: &[&str]) -> PlannedStep {
    PlannedStep {
        id: id.to_owned(),
        title: format!("Do {id}"),
        role: "db-lead".to_owned(),
        budget_ms: 60_000,
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        reversal: Reversal::Nothing,
        acts: vec![Act {
            verb: "check".to_owned(),
            site: "pz".to_owned(),
        }],
        covers: Vec::new(),
        uses: vec!["dns".to_owned()],
    }
}

fn planned() -> BTreeMap<StrategyName, Vec<PlannedStep>> {
    let plans = [
        (
            "replica",
            vec![
                step("fence", &[]),
                step("promote", &["fence"]),
                step("check", &[]),
                step("flip", &["promote"]),
            ],
        ),
        (
            "failback",
            vec![step("reseed", &[]), step("flip", &["reseed"])],
        ),
        ("cdn", vec![step("purge", &[])]),
    ];
    plans
        .into_iter()
        .map(|(name, steps)| (name.parse().unwrap(), steps))
        .collect()
}

fn runbook(changes: &str) -> Runbook {
    let mut sources = Sources::default();
    sources.push(PathBuf::from("runbook.toml"), format!("{HEAD}{changes}"));
    Runbook::read(sources).unwrap_or_else(|errors| panic!("{}", errors.render(false)))
}

fn names(names: &[&str]) -> Vec<StrategyName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// The plan as lines `step: needs`, or the errors as text.
fn merged(changes: &str, procedure: &[&str]) -> String {
    match merge(&runbook(changes), &names(procedure), &planned()) {
        Ok(plan) => lines(&plan),
        Err(errors) => errors.to_string(),
    }
}

fn lines(plan: &Plan) -> String {
    let line = |step: &Step| {
        let needs: Vec<&str> = step.needs.iter().map(StepId::as_str).collect();
        format!("{}: {}", step.id, needs.join(" "))
    };
    plan.steps.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn strategies_follow_each_other_from_all_leaves_to_all_roots() {
    assert_eq!(
        merged("", &["replica", "failback"]),
        "replica/fence: \n\
         replica/promote: replica/fence\n\
         replica/check: \n\
         replica/flip: replica/promote\n\
         failback/reseed: replica/check replica/flip\n\
         failback/flip: failback/reseed"
    );
}

#[test]
fn what_needed_a_dropped_step_needs_what_it_needed() {
    let drop = "[[steps]]\nstep = \"replica/promote\"\ndrop = true\n[[steps]]\nstep = \"replica/flip\"\nbudget = \"2m\"";
    assert_eq!(
        merged(drop, &["replica"]),
        "replica/fence: \nreplica/check: \nreplica/flip: replica/fence"
    );
}

#[test]
fn dropping_the_last_step_moves_the_barrier() {
    let drop = "[[steps]]\nstep = \"replica/flip\"\ndrop = true\n[[steps]]\nstep = \"failback/reseed\"\ndrop = true";
    assert_eq!(
        merged(drop, &["replica", "failback"]),
        "replica/fence: \n\
         replica/promote: replica/fence\n\
         replica/check: \n\
         failback/flip: replica/promote replica/check"
    );
}

#[test]
fn an_added_step_is_performed_by_any_declared_strategy_and_comes_before_others() {
    let add = "[[steps]]\nstep = \"replica/purge\"\nrun = \"cdn/purge\"\nneeds = [\"replica/fence\"]\n\
               before = [\"replica/flip\"]\nrole = \"cdn-lead\"\ncovers = [\"S0-X1\"]";
    let plan = merge(&runbook(add), &names(&["replica"]), &planned()).unwrap();
    assert_eq!(
        lines(&plan),
        "replica/fence: \n\
         replica/purge: replica/fence\n\
         replica/promote: replica/fence\n\
         replica/check: \n\
         replica/flip: replica/promote replica/purge"
    );
    let purge = plan.step(&"replica/purge".parse().unwrap()).unwrap();
    assert_eq!(
        (purge.performs.as_str(), purge.title.as_str()),
        ("cdn/purge", "Do purge")
    );
    assert_eq!((purge.role.as_str(), purge.covers.len()), ("cdn-lead", 1));
}

#[test]
fn a_replaced_step_keeps_its_name_and_needs() {
    let replace = "[[steps]]\nstep = \"replica/promote\"\nrun = \"cdn/purge\"";
    let plan = merge(&runbook(replace), &names(&["replica"]), &planned()).unwrap();
    let promote = plan.step(&"replica/promote".parse().unwrap()).unwrap();
    assert_eq!(
        (promote.performs.as_str(), promote.title.as_str()),
        ("cdn/purge", "Do purge")
    );
    assert_eq!(promote.needs, ["replica/fence".parse().unwrap()]);
}

#[test]
fn budget_role_and_gates_are_the_runbooks() {
    let change = "[[steps]]\nstep = \"replica/promote\"\nbudget = \"2m\"\nrole = \"ic\"\n\
                  gate.before = { role = \"ic\", quorum = 2, timeout = \"10m\", default = \"go\" }";
    let plan = merge(&runbook(change), &names(&["replica"]), &planned()).unwrap();
    let promote = plan.step(&"replica/promote".parse().unwrap()).unwrap();
    assert_eq!((promote.budget_ms, promote.role.as_str()), (120_000, "ic"));
    assert_eq!(promote.gate_before.as_ref().unwrap().default, Some(true));
    assert_eq!(promote.gate_after, None);
}

#[test]
fn steps_can_be_put_into_another_order() {
    let change = "[[steps]]\nstep = \"replica/fence\"\nneeds = [\"replica/promote\"]\n\
                  [[steps]]\nstep = \"replica/promote\"\nneeds = []";
    assert_eq!(
        merged(change, &["replica"]),
        "replica/promote: \n\
         replica/fence: replica/promote\n\
         replica/check: \n\
         replica/flip: replica/promote"
    );
}

#[test]
fn a_cycle_is_shown_step_by_step() {
    let change = "[[steps]]\nstep = \"replica/fence\"\nneeds = [\"replica/flip\"]";
    assert_eq!(
        merged(change, &["replica"]),
        "PL0001: these steps wait for each other: \
         replica/fence → replica/flip → replica/promote → replica/fence\n  \
         help: take one of these needs away: look at `needs` and `before` in `[[steps]]`"
    );
}

#[test]
fn a_step_that_needs_a_later_strategy_is_a_cycle() {
    let change = "[[steps]]\nstep = \"replica/check\"\nneeds = [\"failback/flip\"]";
    let errors = merged(change, &["replica", "failback"]);
    assert!(
        errors
            .starts_with("PL0001: these steps wait for each other: replica/check → failback/flip"),
        "{errors}"
    );
}

#[test]
fn a_missing_need_says_why() {
    for (needs, help) in [
        ("\"replica/fense\"", "help: did you mean `replica/fence`?"),
        (
            "\"failback/flip\"",
            "help: strategy `failback` is not part of this procedure",
        ),
        (
            "\"replica/check\"",
            "help: the runbook drops `replica/check`",
        ),
    ] {
        let change = format!(
            "[[steps]]\nstep = \"replica/flip\"\nneeds = [{needs}]\n[[steps]]\nstep = \"replica/check\"\ndrop = true"
        );
        let errors = merged(&change, &["replica"]);
        assert!(
            errors.starts_with("PL0002: step `replica/flip` needs"),
            "{errors}"
        );
        assert!(errors.contains(help), "{errors}");
    }
}

#[test]
fn a_change_of_an_unknown_step_is_refused_and_of_another_procedure_passed_over() {
    for change in [
        "[[steps]]\nstep = \"replica/promot\"\nbudget = \"2m\"",
        "[[steps]]\nstep = \"replica/promot\"\ndrop = true",
        "[[steps]]\nstep = \"replica/purge\"\nrun = \"cdn/purg\"",
        "[[steps]]\nstep = \"replica/check\"\nbefore = [\"replica/promot\"]",
    ] {
        let errors = merged(change, &["replica"]);
        assert!(
            errors.starts_with("PL0004: ") && errors.contains("did you mean"),
            "{errors}"
        );
        assert!(merged(change, &["failback"]).starts_with("failback/reseed"));
    }
}

#[test]
fn what_a_plugin_plans_is_checked() {
    for (break_it, code, part) in [
        (
            Box::new(|step: &mut PlannedStep| step.id = "Fence".into())
                as Box<dyn Fn(&mut PlannedStep)>,
            "PL0005",
            "not a step id",
        ),
        (
            Box::new(|step| step.role = "DB lead".into()),
            "PL0005",
            "not a role",
        ),
        (
            Box::new(|step| step.acts[0].verb = "fench".into()),
            "PL0005",
            "did you mean `fence`?",
        ),
        (
            Box::new(|step| step.acts[0].site = "xz".into()),
            "PL0005",
            "unknown site `xz`",
        ),
        (
            Box::new(|step| {
                step.acts[0] = Act {
                    verb: "fence".into(),
                    site: String::new(),
                }
            }),
            "PL0005",
            "an act without a site `fence`",
        ),
        (Box::new(|step| step.budget_ms = 0), "PL0005", "budget"),
        (
            Box::new(|step| step.id = "promote".into()),
            "PL0003",
            "`replica/promote` is there twice",
        ),
    ] {
        let mut plans = planned();
        break_it(&mut plans.get_mut(&"replica".parse().unwrap()).unwrap()[0]);
        let errors = merge(&runbook(""), &names(&["replica"]), &plans).unwrap_err();
        assert_eq!(errors.0[0].code(), code);
        assert!(errors.to_string().contains(part), "{errors}");
    }
}

#[test]
fn a_procedure_is_checked() {
    assert!(
        merged("", &["replica", "replica"])
            .starts_with("PL0003: strategy `replica` is there twice")
    );
    assert!(merged("", &["restore"]).starts_with("PL0007: strategy `restore` has no plan"));
}

#[test]
fn a_plan_without_end_is_refused() {
    let mut plans = planned();
    let many = (0..=MAX_STEPS)
        .map(|index| step(&format!("step-{index}"), &[]))
        .collect();
    plans.insert("cdn".parse().unwrap(), many);
    let errors = merge(&runbook(""), &names(&["cdn"]), &plans).unwrap_err();
    assert_eq!(
        errors.0,
        [PlanError::TooManySteps {
            count: MAX_STEPS + 1
        }]
    );
}

#[test]
fn a_step_of_the_other_mode_does_not_stand_in_the_way() {
    let change = "[[steps]]\nstep = \"replica/freeze\"\nbudget = \"2m\"\n\
                  [[steps]]\nstep = \"replica/promote\"\nneeds = [\"replica/freeze\"]\n\
                  [[steps]]\nstep = \"replica/flip\"\nneeds = [\"replica/freeze\", \"replica/check\"]\n\
                  [[steps]]\nstep = \"replica/check\"\nbefore = [\"replica/freeze\"]";
    let elsewhere = ["replica/freeze", "replica/promote"].map(|id| id.parse().unwrap());
    let procedure = names(&["replica"]);
    let plan = merge_for_mode(&runbook(change), &procedure, &planned(), &elsewhere.into()).unwrap();
    assert_eq!(
        lines(&plan),
        "replica/fence: \n\
         replica/promote: replica/fence\n\
         replica/check: \n\
         replica/flip: replica/check"
    );
    let errors = merged(change, &["replica"]);
    assert!(
        errors.contains("PL0004") && errors.contains("PL0002"),
        "{errors}"
    );
}
