//! The plans that people may switch to while a run is under way: merged, checked and bound before it begins, because
//! then is no time to find out that one of them is not.

use std::sync::Arc;

use super::PrepareErrors;
use crate::name::StrategyName;
use crate::plan::Plan;
use crate::rules::Violation;
use crate::run::switch::Alternatives;
use crate::runbook::types::Runbook;

/// The plan of `procedure` with each of its strategies replaced by each of its alternatives. An alternative that the
/// procedure holds already is none.
///
/// # Errors
/// Whatever `merge` answers.
pub(super) fn of(
    runbook: &Runbook,
    procedure: &[StrategyName],
    merge: impl Fn(&[StrategyName]) -> Result<Arc<Plan>, PrepareErrors>,
) -> Result<Alternatives, PrepareErrors> {
    let mut alternatives = Alternatives::new();
    for (place, from) in procedure.iter().enumerate() {
        let declared = runbook.strategies.get(from);
        let others = declared.map(|strategy| strategy.alternatives.as_slice());
        for to in others.unwrap_or_default() {
            if procedure.contains(to) {
                continue;
            }
            let mut replaced = procedure.to_vec();
            if let Some(strategy) = replaced.get_mut(place) {
                strategy.clone_from(to);
            }
            alternatives.insert((from.clone(), to.clone()), merge(&replaced)?);
        }
    }
    Ok(alternatives)
}

/// Every rule that one of the plans breaks, each once.
pub(super) fn violations<'p>(plans: impl Iterator<Item = &'p Arc<Plan>>) -> Vec<Violation> {
    let mut all: Vec<Violation> = Vec::new();
    for violation in plans.flat_map(|plan| crate::rules::check(plan)) {
        if !all.contains(&violation) {
            all.push(violation);
        }
    }
    all
}
