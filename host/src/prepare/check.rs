//! Everything that can be known of a runbook without running it: its plugins, its bindings, and the merged plan of every
//! procedure in both modes.
//!
//! No secret is read and nothing is connected to, so that a runbook can be checked where none is at hand.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use super::bindings::{check_bound, load_provider};
use super::{Order, PrepareError, PrepareErrors, Prepared, prepare};
use crate::journal::record::Mode;
use crate::name::StrategyName;
use crate::plugin::Engines;
use crate::rules::Violation;
use crate::runbook::types::Runbook;

/// A procedure in one mode.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CheckedPlan {
    /// Name of the procedure.
    pub procedure: String,
    /// Its strategies, in order.
    pub strategies: Vec<StrategyName>,
    /// Whether the site that is left still answers.
    pub mode: Mode,
    /// Steps of the merged plan.
    pub steps: usize,
    /// SHA-256 of the merged plan, lower-case hexadecimal.
    pub digest: String,
    /// Safety rules that it breaks.
    pub violations: Vec<Violation>,
    /// Contracts that nothing serves in a live run; a rehearsal may know them all the same.
    pub unserved: Vec<String>,
}

/// Checks every binding, and every procedure in both modes; strategies that no procedure names are checked alone.
///
/// # Errors
/// Everything that is wrong, each thing once. Broken safety rules are no error here: they are in the answer.
pub async fn check(
    engines: &Engines,
    runbook: &Arc<Runbook>,
    order: &Order,
) -> Result<Vec<CheckedPlan>, PrepareErrors> {
    let mut errors = Vec::new();
    for binding in &runbook.bindings {
        if let Err(error) = load_provider(engines, runbook, binding).await {
            errors.push(error);
        }
    }
    match every_plan(engines, runbook, order).await {
        Ok(plans) if errors.is_empty() => {
            let checked = |(procedure, prepared): &(String, Prepared)| checked(procedure, prepared);
            return Ok(plans.iter().map(checked).collect());
        }
        Ok(_) => {}
        Err(PrepareErrors(found)) => errors.extend(found),
    }
    Err(once_each(errors))
}

/// The plans of every procedure in both modes, with the procedures' names; strategies that no procedure names are planned
/// alone.
///
/// # Errors
/// Everything that is wrong with any of them, each thing once.
pub async fn every_plan(
    engines: &Engines,
    runbook: &Arc<Runbook>,
    order: &Order,
) -> Result<Vec<(String, Prepared)>, PrepareErrors> {
    let (mut plans, mut errors) = (Vec::new(), Vec::new());
    for (procedure, strategies) in procedures(runbook) {
        for mode in [Mode::Graceful, Mode::Ungraceful] {
            let order = Order {
                procedure: strategies.clone(),
                mode,
                ..order.clone()
            };
            match prepare(engines, Arc::clone(runbook), order).await {
                Ok(prepared) => plans.push((procedure.clone(), prepared)),
                Err(PrepareErrors(found)) => errors.extend(found),
            }
        }
    }
    if errors.is_empty() {
        Ok(plans)
    } else {
        Err(once_each(errors))
    }
}

fn once_each(mut errors: Vec<PrepareError>) -> PrepareErrors {
    let mut seen = BTreeSet::new();
    errors.retain(|error| seen.insert(error.to_string()));
    PrepareErrors(errors)
}

/// The runbook's procedures, and each strategy that is in none as one of its own.
fn procedures(runbook: &Runbook) -> Vec<(String, Vec<StrategyName>)> {
    let named = runbook.procedures.clone();
    let used: BTreeSet<&StrategyName> = runbook.procedures.values().flatten().collect();
    let alone = runbook
        .strategies
        .keys()
        .filter(|name| !used.contains(name))
        .map(|name| (name.to_string(), vec![name.clone()]));
    named.into_iter().chain(alone).collect()
}

fn checked(procedure: &str, prepared: &Prepared) -> CheckedPlan {
    let unserved = match check_bound(prepared) {
        Ok(()) => Vec::new(),
        Err(PrepareErrors(errors)) => errors.iter().map(ToString::to_string).collect(),
    };
    CheckedPlan {
        procedure: procedure.to_owned(),
        strategies: prepared.order.procedure.clone(),
        mode: prepared.order.mode,
        steps: prepared.plan.steps.len(),
        digest: prepared.plan.digest(),
        violations: prepared.violations.clone(),
        unserved,
    }
}
