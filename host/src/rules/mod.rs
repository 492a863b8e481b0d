//! Safety rules that can be known from the merged plan, before anything runs.
//!
//! Start at [`check`] and the table [`RULES`]. A rule counts only on what is certain: an act happens before another
//! where the plan's needs say so. [`standing`] has the rules on what a run has really come to: asked before a step that is
//! hard to take back, and before a run ends recovered.

mod deeds;
mod flip;
mod infrastructure;
pub mod standing;
mod takeover;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use self::deeds::Deeds;
use crate::name::StepId;
use crate::plan::{Plan, Step};

/// Pages of this module's codes.
pub const PAGES: &[(&str, &str)] = crate::explain::pages![
    "SR0001", "SR0002", "SR0003", "SR0004", "SR0005", "SR0006", "SR0007", "SR0008", "SR0009",
    "SR0010", "SR0011", "SR0012", "SR0013", "SR0014", "SR0015", "SR0016", "SR0017", "SR0018",
    "SR0019", "SR0020",
];

/// A rule that a plan breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Violation {
    /// Code of the rule, with a page in `docs/codes`.
    pub code: String,
    /// Name of the rule.
    pub name: String,
    /// The step that must not happen like this.
    pub step: StepId,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub way_out: String,
}

/// A rule.
pub struct Rule {
    /// Its code, with a page in `docs/codes`.
    pub code: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What to do where it is broken.
    pub way_out: &'static str,
    check: for<'p> fn(&Deeds<'p>) -> Vec<Finding<'p>>,
}

/// A step that breaks a rule.
struct Finding<'p> {
    step: &'p Step,
    message: String,
}

/// Every rule, in the order of its code.
pub const RULES: [Rule; 15] = [
    Rule {
        code: "SR0001",
        name: "fence-before-promote",
        way_out: "put a step that fences the other site before it, or answer for a dead site in that step",
        check: takeover::fence_before_promote,
    },
    Rule {
        code: "SR0002",
        name: "freeze-before-last-catch-up",
        way_out: "make it need a step that freezes or fences the source",
        check: takeover::freeze_before_catch_up,
    },
    Rule {
        code: "SR0003",
        name: "measure-before-takeover",
        way_out: "make it need a step that measures the lag, or chooses the recovery point",
        check: takeover::measure_before_takeover,
    },
    Rule {
        code: "SR0004",
        name: "lower-ttl-before-flip",
        way_out: "make it need a step of its own that lowers the time to live",
        check: flip::lower_ttl_before_flip,
    },
    Rule {
        code: "SR0005",
        name: "certify-before-flip",
        way_out: "make it need a step that sees the certificate of the active name served there",
        check: flip::certify_before_flip,
    },
    Rule {
        code: "SR0006",
        name: "serve-before-flip",
        way_out: "make it need a step that activates or exposes the service there",
        check: flip::serve_before_flip,
    },
    Rule {
        code: "SR0007",
        name: "writer-before-flip",
        way_out: "make it need the step that promotes the database there",
        check: flip::writer_before_flip,
    },
    Rule {
        code: "SR0008",
        name: "validate-after-flip",
        way_out: "add a step that validates the service there and needs the flip",
        check: flip::validate_after_flip,
    },
    Rule {
        code: "SR0009",
        name: "protect-after-flip",
        way_out: "add a step that sets up a replica or takes a backup once the new site takes writes",
        check: flip::protect_after_flip,
    },
    Rule {
        code: "SR0010",
        name: "one-flip-at-a-time",
        way_out: "make one of the two need the other",
        check: flip::one_flip_at_a_time,
    },
    Rule {
        code: "SR0011",
        name: "restore-ttl-after-flip",
        way_out: "add a step that restores the time to live and needs the flip",
        check: flip::restore_ttl_after_flip,
    },
    Rule {
        code: "SR0016",
        name: "declare-before-takeover",
        way_out: "make it need the step that declares the recovery",
        check: takeover::declare_before_takeover,
    },
    Rule {
        code: "SR0017",
        name: "writer-before-application",
        way_out: "make it need the step that promotes the database there",
        check: takeover::writer_before_application,
    },
    Rule {
        code: "SR0018",
        name: "media-before-flip",
        way_out: "make it need a step that reads and writes the bucket from the site gone to",
        check: flip::media_before_flip,
    },
    Rule {
        code: "SR0019",
        name: "no-infrastructure-change-mid-incident",
        way_out: "make it need the steps that validate and protect the site flipped to, or leave it for after the run",
        check: infrastructure::no_change_mid_incident,
    },
];

/// Code and name of every rule, on plans and on runs, in order.
#[must_use]
pub fn names() -> Vec<(&'static str, &'static str)> {
    let on_plans = RULES.iter().map(|rule| (rule.code, rule.name));
    let on_runs = standing::BEFORE_STEP
        .iter()
        .map(|rule| (rule.code, rule.name));
    let (code, name, _) = standing::BEFORE_RECOVERED;
    let mut names: Vec<_> = on_plans.chain(on_runs).chain([(code, name)]).collect();
    names.sort_unstable();
    names
}

/// Every rule that `plan` breaks, in the order of the rules' codes; empty for a safe plan.
#[must_use]
pub fn check(plan: &Plan) -> Vec<Violation> {
    let deeds = Deeds::of(plan);
    let mut violations = Vec::new();
    for rule in &RULES {
        for finding in (rule.check)(&deeds) {
            violations.push(Violation {
                code: rule.code.to_owned(),
                name: rule.name.to_owned(),
                step: finding.step.id.clone(),
                message: finding.message,
                way_out: rule.way_out.to_owned(),
            });
        }
    }
    violations
}
