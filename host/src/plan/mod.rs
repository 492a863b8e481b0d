//! The plan: the steps of one or more strategies, merged with the runbook's changes into one graph.
//!
//! Start at [`merge`], which makes a [`Plan`] of what strategies planned. What is not here: whether the plan is safe
//! ([`crate::rules`]), and anything that runs it.

mod error;
mod merge;
mod order;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::call::hex;
use crate::name::{ItemId, RoleName, StepId};
use crate::runbook::types::Gate;

pub use error::{PlanError, PlanErrors};
pub use merge::{MAX_STEPS, merge, merge_for_mode};

/// Pages of this module's codes.
pub const PAGES: &[(&str, &str)] = crate::explain::pages![
    "PL0001", "PL0002", "PL0003", "PL0004", "PL0005", "PL0006", "PL0007",
];

/// A step as a strategy's `plan` returns it (`understudy:plugin/strategy.step`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlannedStep {
    /// Unique within the strategy.
    pub id: String,
    /// One line in the imperative.
    pub title: String,
    /// Who answers for it.
    pub role: String,
    /// Expected upper bound in milliseconds.
    pub budget_ms: u64,
    /// Ids within the strategy.
    pub needs: Vec<String>,
    /// How far it can be taken back.
    pub reversal: Reversal,
    /// What it does, for safety rules and readers.
    pub acts: Vec<Act>,
    /// Items of source runbooks.
    pub covers: Vec<String>,
    /// Interfaces it may call, by short name.
    pub uses: Vec<String>,
}

/// Whether and how far a step can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reversal {
    /// Changes nothing that would need to be taken back.
    Nothing,
    /// `undo-step` takes it back.
    Undo,
    /// No way back once begun.
    PointOfNoReturn,
}

/// Something a step does, at a site or at none (empty).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Act {
    /// For example `promote`.
    pub verb: String,
    /// Site name, or empty.
    pub site: String,
}

/// Every verb that an [`Act`] may have. A verb that no rule knows would be a step that no rule watches, so a plan with
/// one is refused.
pub const VERBS: [&str; 24] = [
    "activate",
    "announce",
    "catch-up",
    "certify",
    "check",
    "choose-recovery-point",
    "declare",
    "destroy",
    "expose",
    "fence",
    "flip",
    "freeze",
    "lower-ttl",
    "measure-lag",
    "observe-slo",
    "point-app",
    "promote",
    "protect",
    "provision",
    "reseed",
    "restore",
    "restore-ttl",
    "stand-down",
    "validate",
];

/// The verbs that mean nothing without a site: rules ask where.
pub const SITED_VERBS: [&str; 10] = [
    "activate",
    "certify",
    "destroy",
    "expose",
    "fence",
    "flip",
    "freeze",
    "promote",
    "provision",
    "restore",
];

/// A step of the merged plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Step {
    /// Its name in the merged plan.
    pub id: StepId,
    /// The strategy and plugin step that perform it; differs from `id` where the runbook replaced or added it.
    pub performs: StepId,
    /// One line in the imperative.
    pub title: String,
    /// Who answers for it.
    pub role: RoleName,
    /// Over it, go or no-go is asked, in milliseconds.
    pub budget_ms: u64,
    /// Steps that must be done before.
    pub needs: Vec<StepId>,
    /// How far it can be taken back.
    pub reversal: Reversal,
    /// What it does.
    pub acts: Vec<Act>,
    /// Items of source runbooks.
    pub covers: Vec<ItemId>,
    /// Interfaces it may call, by short name.
    pub uses: Vec<String>,
    /// Asked before it starts.
    pub gate_before: Option<Gate>,
    /// Asked when it is done.
    pub gate_after: Option<Gate>,
}

impl Step {
    /// The budget as a duration.
    #[must_use]
    pub fn budget(&self) -> Duration {
        Duration::from_millis(self.budget_ms)
    }
}

/// The merged plan, in an order a person would read it: every step after what it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
}

impl Plan {
    /// SHA-256 of the canonical plan; gates bind to it. Lower-case hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        use sha2::{Digest as _, Sha256};
        let text = serde_json::to_string(self).unwrap_or_default();
        hex(&Sha256::digest(text.as_bytes()))
    }

    /// The step of this id.
    #[must_use]
    pub fn step(&self, id: &StepId) -> Option<&Step> {
        self.steps.iter().find(|step| &step.id == id)
    }
}
