//! A good drill passes; broken in one place, it is caught by exactly the rule for that place.

use super::*;
use crate::name::StepId;
use crate::plan::{Act, Reversal};

/// A drill from `pz` to `bz` and back: `step: needs: acts`.
const DRILL: &str = "
    replica/measure  :                                  : measure-lag bz
    replica/ttl      :                                  : lower-ttl
    replica/declare  : replica/measure                  : declare
    replica/freeze   : replica/declare                  : freeze pz
    replica/catch-up : replica/freeze                   : catch-up bz
    replica/fence    : replica/catch-up                 : fence pz
    replica/promote  : replica/fence                    : promote bz
    replica/activate : replica/promote                  : point-app bz, activate bz
    replica/certify  :                                  : certify bz
    replica/flip     : replica/activate replica/certify replica/ttl : flip bz
    replica/validate : replica/flip                     : validate bz, observe-slo bz
    replica/protect  : replica/promote                  : reseed pz, protect pz
    replica/done     : replica/validate replica/protect replica/fence : announce, restore-ttl
    failback/ttl     : replica/done                     : lower-ttl
    failback/sync    : replica/done                     : catch-up pz
    failback/declare : failback/sync failback/ttl       : declare
    failback/freeze  : failback/declare                 : freeze bz
    failback/last    : failback/freeze                  : catch-up pz, measure-lag pz
    failback/fence   : failback/last                    : fence bz
    failback/promote : failback/fence                   : promote pz
    failback/expose  : failback/promote                 : expose pz, certify pz
    failback/flip    : failback/expose failback/ttl     : flip pz
    failback/validate: failback/flip                    : validate pz
    failback/protect : failback/flip                    : protect bz
    failback/done    : failback/validate failback/protect : restore-ttl
";

/// A restore from backup at `bz`.
const RESTORE: &str = "
    restore/choose   :                                  : choose-recovery-point bz
    restore/ttl      :                                  : lower-ttl
    restore/declare  :                                  : declare
    restore/fence    : restore/declare                  : fence pz
    restore/restore  : restore/declare restore/choose restore/fence : restore bz
    restore/serve    : restore/restore                  : certify bz, activate bz
    restore/flip     : restore/serve restore/ttl        : flip bz
    restore/done     : restore/flip                     : validate bz, protect, restore-ttl
";

fn id(text: &str) -> StepId {
    text.trim().parse().unwrap()
}

fn plan(text: &str) -> Plan {
    let step = |line: &str| {
        let [name, needs, acts] = line.splitn(3, ':').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let act = |text: &str| {
            let mut words = text.split_whitespace().map(str::to_owned);
            Act {
                verb: words.next().unwrap(),
                site: words.next().unwrap_or_default(),
            }
        };
        Step {
            id: id(name),
            performs: id(name),
            title: String::new(),
            role: "db-lead".parse().unwrap(),
            budget_ms: 1,
            needs: needs.split_whitespace().map(id).collect(),
            reversal: Reversal::Nothing,
            acts: acts
                .split(',')
                .filter(|text| !text.trim().is_empty())
                .map(act)
                .collect(),
            covers: Vec::new(),
            uses: Vec::new(),
            gate_before: None,
            gate_after: None,
        }
    };
    Plan {
        steps: text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(step)
            .collect(),
    }
}

/// Which rules are broken at which steps.
fn broken(text: &str) -> Vec<(String, String)> {
    check(&plan(text))
        .into_iter()
        .map(|violation| (violation.code, violation.step.to_string()))
        .collect()
}

/// The drill with one text replaced.
fn changed(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "`{from}` must be there once");
    text.replacen(from, to, 1)
}

#[test]
fn a_good_plan_passes() {
    assert_eq!(broken(DRILL), []);
    assert_eq!(broken(RESTORE), []);
    let destroyed = changed(
        DRILL,
        "failback/validate failback/protect : restore-ttl",
        "failback/validate failback/protect : restore-ttl, stand-down bz, destroy bz",
    );
    assert_eq!(broken(&destroyed), []);
}

/// A plan, what is replaced in it by what, the rule that this breaks, and at which step.
type Break = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

const BREAKS: &[Break] = &[
    // Not fenced at all, in either direction; fenced beside the promotion; the wrong site fenced.
    (DRILL, ": fence pz", ":", "SR0001", "replica/promote"),
    (DRILL, ": fence bz", ":", "SR0001", "failback/promote"),
    (
        DRILL,
        ": replica/fence                    : promote bz",
        ": replica/catch-up : promote bz",
        "SR0001",
        "replica/promote",
    ),
    (
        DRILL,
        ": fence pz",
        ": fence bz",
        "SR0001",
        "replica/promote",
    ),
    (
        RESTORE,
        "restore/choose restore/fence ",
        "restore/choose ",
        "SR0001",
        "restore/restore",
    ),
    // Not frozen before the last catch-up.
    (DRILL, ": freeze pz", ":", "SR0002", "replica/catch-up"),
    (DRILL, ": freeze bz", ":", "SR0002", "failback/last"),
    (
        DRILL,
        ": catch-up pz, measure-lag pz",
        ": measure-lag pz",
        "SR0002",
        "failback/sync",
    ),
    (DRILL, ": measure-lag bz", ":", "SR0003", "replica/promote"),
    (DRILL, ", measure-lag pz", "", "SR0003", "failback/promote"),
    (
        RESTORE,
        ": choose-recovery-point bz",
        ":",
        "SR0003",
        "restore/restore",
    ),
    (
        RESTORE,
        "restore/choose restore/fence ",
        "restore/fence ",
        "SR0003",
        "restore/restore",
    ),
    // Not lowered, lowered beside the flip, and raised again since.
    (
        DRILL,
        "replica/ttl      :                                  : lower-ttl",
        "replica/ttl : :",
        "SR0004",
        "replica/flip",
    ),
    (
        DRILL,
        "replica/certify replica/ttl",
        "replica/certify",
        "SR0004",
        "replica/flip",
    ),
    (
        DRILL,
        "failback/ttl     : replica/done                     : lower-ttl",
        "failback/ttl : replica/done :",
        "SR0004",
        "failback/flip",
    ),
    (
        DRILL,
        "replica/certify  :                                  : certify bz",
        "replica/certify : :",
        "SR0005",
        "replica/flip",
    ),
    (
        DRILL,
        "activate replica/certify",
        "activate",
        "SR0005",
        "replica/flip",
    ),
    (
        DRILL,
        ", certify pz",
        ", certify bz",
        "SR0005",
        "failback/flip",
    ),
    (DRILL, ", activate bz", "", "SR0006", "replica/flip"),
    (
        DRILL,
        ": expose pz, certify pz",
        ": expose pz, certify pz, stand-down pz",
        "SR0006",
        "failback/flip",
    ),
    (
        DRILL,
        "failback/expose  : failback/promote",
        "failback/expose : failback/fence",
        "SR0007",
        "failback/flip",
    ),
    (
        DRILL,
        ": validate bz, observe-slo bz",
        ":",
        "SR0008",
        "replica/flip",
    ),
    (
        DRILL,
        ": validate pz",
        ": validate bz",
        "SR0008",
        "failback/flip",
    ),
    (
        DRILL,
        ": reseed pz, protect pz",
        ": reseed pz",
        "SR0009",
        "replica/flip",
    ),
    (
        DRILL,
        ": protect bz",
        ": protect pz",
        "SR0009",
        "failback/flip",
    ),
    (RESTORE, ", protect", "", "SR0009", "restore/flip"),
    (
        DRILL,
        "replica/declare  : replica/measure                  : declare",
        "replica/declare  : replica/measure                  :",
        "SR0016",
        "replica/promote",
    ),
    (
        DRILL,
        "failback/freeze  : failback/declare ",
        "failback/freeze  : failback/sync failback/ttl ",
        "SR0016",
        "failback/promote",
    ),
    (RESTORE, ", restore-ttl", "", "SR0011", "restore/flip"),
    // Infrastructure changed while a recovery is under way: before it is declared, between the two, and beside the end.
    (
        DRILL,
        "replica/certify  :                                  : certify bz",
        "replica/certify  :                                  : certify bz, provision bz",
        "SR0019",
        "replica/certify",
    ),
    (
        DRILL,
        ": announce, restore-ttl",
        ": announce, restore-ttl, destroy pz",
        "SR0019",
        "replica/done",
    ),
    (
        DRILL,
        "failback/validate failback/protect : restore-ttl",
        "failback/validate failback/protect : restore-ttl\n    failback/early : failback/validate : destroy bz",
        "SR0019",
        "failback/early",
    ),
    (
        DRILL,
        "failback/validate failback/protect : restore-ttl",
        "failback/validate failback/protect :",
        "SR0011",
        "failback/flip",
    ),
];

#[test]
fn each_break_is_caught_by_exactly_its_rule() {
    for (base, from, to, code, step) in BREAKS {
        assert_eq!(
            broken(&changed(base, from, to)),
            [((*code).to_owned(), (*step).to_owned())],
            "{from} -> {to}"
        );
    }
}

#[test]
fn an_application_before_its_writer_is_none_to_flip_to() {
    let text = changed(
        DRILL,
        "replica/activate : replica/promote ",
        "replica/activate : replica/fence ",
    );
    let both = [("SR0007", "replica/flip"), ("SR0017", "replica/activate")];
    assert_eq!(
        broken(&text),
        both.map(|(code, step)| (code.to_owned(), step.to_owned()))
    );
}

#[test]
fn media_that_is_relied_on_is_tried_before_the_flip() {
    let using = |steps: &[&str]| {
        let mut plan = plan(DRILL);
        for step in &mut plan.steps {
            if steps.contains(&step.id.to_string().as_str()) {
                step.uses.push("storage".to_owned());
            }
        }
        let violations = check(&plan).into_iter();
        violations
            .map(|violation| (violation.code, violation.step.to_string()))
            .collect::<Vec<_>>()
    };
    let untried = [("SR0018".to_owned(), "replica/flip".to_owned())];
    assert_eq!(using(&["replica/validate"]), untried);
    assert_eq!(using(&["replica/validate", "replica/certify"]), []);
    // Another strategy's trial says nothing of this one's site.
    let mut both = untried.to_vec();
    both.extend([("SR0018".to_owned(), "failback/flip".to_owned())]);
    assert_eq!(using(&["replica/validate", "failback/validate"]), both);
}

#[test]
fn lowering_in_the_flips_own_step_is_too_late() {
    let text = changed(
        RESTORE,
        "restore/ttl      :                                  : lower-ttl",
        "restore/ttl : :",
    );
    let text = changed(&text, ": flip bz", ": lower-ttl, flip bz");
    assert_eq!(
        broken(&text),
        [("SR0004".to_owned(), "restore/flip".to_owned())]
    );
}

#[test]
fn validating_after_the_next_flip_is_too_late() {
    let text = changed(DRILL, ": validate pz", ": validate");
    assert_eq!(broken(&text), []);
    let text = changed(&text, ": validate bz, observe-slo bz", ":");
    assert_eq!(
        broken(&text),
        [("SR0008".to_owned(), "replica/flip".to_owned())]
    );
}

#[test]
fn two_flips_at_once_are_caught() {
    let text = changed(
        RESTORE,
        "restore/done     : restore/flip ",
        "restore/again : restore/serve restore/ttl : flip bz\n restore/done : restore/flip restore/again ",
    );
    assert_eq!(
        broken(&text),
        [("SR0010".to_owned(), "restore/again".to_owned())]
    );
}

#[test]
fn a_fence_does_not_outlive_the_next_promotion() {
    // A second replica strategy after the failback: the fence of the first is void, since `pz` was promoted since.
    let second = DRILL
        .lines()
        .filter(|line| line.contains("replica/"))
        .filter(|line| !line.trim_start().starts_with("failback"))
        .map(|line| line.replace("replica/", "again/"))
        .collect::<Vec<_>>()
        .join("\n");
    let second = changed(
        &second,
        "again/measure  :                 ",
        "again/measure  : failback/done ",
    );
    let second = changed(
        &second,
        "again/ttl      :                 ",
        "again/ttl      : failback/done ",
    );
    let second = changed(
        &second,
        "again/certify  :                 ",
        "again/certify  : failback/done ",
    );
    let drill = format!("{DRILL}{second}");
    assert_eq!(broken(&drill), []);
    let unfenced = drill.replacen(
        "again/catch-up                 : fence pz",
        "again/catch-up                 :",
        1,
    );
    assert_ne!(drill, unfenced);
    assert_eq!(
        broken(&unfenced),
        [("SR0001".to_owned(), "again/promote".to_owned())]
    );
}

#[test]
fn rules_have_codes_in_order_and_no_two_share_one() {
    let codes: Vec<&str> = RULES.iter().map(|rule| rule.code).collect();
    let mut sorted = codes.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(codes, sorted);
}
