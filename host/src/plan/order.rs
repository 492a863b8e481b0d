//! The order of a plan: every step after what it needs, and otherwise as it was written.

use std::collections::{BTreeMap, BTreeSet};

use super::Step;
use crate::name::StepId;

/// Puts `steps` into order, or answers a cycle: each of its steps needs the next, the last is the first again. Every
/// need must be one of the steps.
pub(super) fn in_order(mut steps: Vec<Step>) -> Result<Vec<Step>, Vec<StepId>> {
    let mut ordered: Vec<Step> = Vec::with_capacity(steps.len());
    let mut placed: BTreeSet<StepId> = BTreeSet::new();
    while !steps.is_empty() {
        let ready = |step: &Step| step.needs.iter().all(|need| placed.contains(need));
        let Some(index) = steps.iter().position(ready) else {
            return Err(cycle(&steps));
        };
        let step = steps.remove(index);
        placed.insert(step.id.clone());
        ordered.push(step);
    }
    Ok(ordered)
}

/// A cycle among steps of which each needs at least one other of them.
fn cycle(stuck: &[Step]) -> Vec<StepId> {
    let next: BTreeMap<&StepId, &StepId> = stuck
        .iter()
        .filter_map(|step| {
            let need = step
                .needs
                .iter()
                .find(|need| stuck.iter().any(|other| &other.id == *need))?;
            Some((&step.id, need))
        })
        .collect();
    let mut path: Vec<&StepId> = Vec::new();
    let mut at = stuck.first().map(|step| &step.id);
    // Ends: the path holds each step once at most.
    while let Some(step) = at {
        if let Some(start) = path.iter().position(|earlier| *earlier == step) {
            let round = path.iter().skip(start).copied().chain([step]);
            return round.cloned().collect();
        }
        path.push(step);
        at = next.get(step).copied();
    }
    path.into_iter().cloned().collect()
}
