//! Merging: what the strategies planned, the runbook's changes on top, and a barrier between one strategy and the next.

use std::collections::{BTreeMap, BTreeSet};

use super::error::{PlanError, PlanErrors};
use super::order::in_order;
use super::{Plan, PlannedStep, SITED_VERBS, Step, VERBS};
use crate::clock::millis;
use crate::name::{StepId, StrategyName};
use crate::runbook::types::{Runbook, StepChange};

/// Most steps a plan may have: more than a hundred people could follow, few enough that no check of it takes long.
pub const MAX_STEPS: usize = 512;

/// Merges the plans of the strategies of `procedure`, in that order, with the changes of `runbook`.
///
/// `planned` holds the plan of every strategy the runbook declares, also of those outside the procedure: an added step
/// may be performed by any of them. A change of a step of a strategy outside the procedure is passed over.
///
/// Changes are applied in this order: steps are dropped (what needed one needs what it needed), then replaced and added,
/// then `needs`, then `before`, then budget, role, gates and covered items. After that every step of a strategy that
/// needs no other step of it comes to need all those steps of the strategy before that no other step of that one needs.
///
/// # Errors
/// Everything that is wrong with the plan, each with a way out. A cycle is looked for only where nothing else is wrong.
pub fn merge(
    runbook: &Runbook,
    procedure: &[StrategyName],
    planned: &BTreeMap<StrategyName, Vec<PlannedStep>>,
) -> Result<Plan, PlanErrors> {
    merge_for_mode(runbook, procedure, planned, &BTreeSet::new())
}

/// Merges as [`merge`] does, for a run in one mode: `elsewhere` are the steps that the same strategies plan in the other
/// mode.
///
/// One runbook is for both modes, and a step that only a graceful run has must not stand in the way of an ungraceful
/// one. So a change of a step that is planned only elsewhere is passed over, and so is a step planned only elsewhere in
/// `needs` and `before`; where that leaves none of the runbook's `needs`, the strategy's own stand.
///
/// # Errors
/// As [`merge`].
pub fn merge_for_mode(
    runbook: &Runbook,
    procedure: &[StrategyName],
    planned: &BTreeMap<StrategyName, Vec<PlannedStep>>,
    elsewhere: &BTreeSet<StepId>,
) -> Result<Plan, PlanErrors> {
    let mut merge = Merge {
        runbook,
        procedure,
        known: BTreeMap::new(),
        steps: Vec::new(),
        errors: Vec::new(),
    };
    merge.take(planned);
    let changes: Vec<StepChange> = runbook
        .steps
        .iter()
        .filter(|change| merge.concerns(change))
        .filter_map(|change| merge.in_this_mode(change, elsewhere))
        .collect();
    let changes: Vec<&StepChange> = changes.iter().collect();
    merge.drop_steps(&changes);
    merge.run_steps(&changes);
    merge.reorder(&changes);
    merge.adjust(&changes);
    merge.check_needs(&changes);
    merge.separate();
    if merge.steps.len() > MAX_STEPS {
        merge.errors.push(PlanError::TooManySteps {
            count: merge.steps.len(),
        });
    }
    if !merge.errors.is_empty() {
        return Err(PlanErrors(merge.errors));
    }
    match in_order(merge.steps) {
        Ok(steps) => Ok(Plan { steps }),
        Err(cycle) => Err(PlanErrors(vec![PlanError::Cycle { cycle }])),
    }
}

struct Merge<'m> {
    runbook: &'m Runbook,
    procedure: &'m [StrategyName],
    /// Every step that any strategy planned.
    known: BTreeMap<StepId, Step>,
    /// The plan so far, in reading order.
    steps: Vec<Step>,
    errors: Vec<PlanError>,
}

impl Merge<'_> {
    fn concerns(&self, change: &StepChange) -> bool {
        self.procedure
            .iter()
            .any(|strategy| strategy.as_str() == change.step.strategy())
    }

    /// The change without the steps that are planned only `elsewhere`; `None` for a change of such a step.
    fn in_this_mode(
        &self,
        change: &StepChange,
        elsewhere: &BTreeSet<StepId>,
    ) -> Option<StepChange> {
        let is_here = |id: &StepId| self.known.contains_key(id) || !elsewhere.contains(id);
        let needs = change.needs.as_ref().map(|needs| {
            let kept = needs.iter().filter(|need| is_here(need)).cloned();
            (needs.is_empty(), kept.collect::<Vec<_>>())
        });
        is_here(&change.step).then(|| StepChange {
            needs: needs
                .filter(|(meant, kept)| *meant || !kept.is_empty())
                .map(|(_, kept)| kept),
            before: change
                .before
                .iter()
                .filter(|id| is_here(id))
                .cloned()
                .collect(),
            ..change.clone()
        })
    }

    fn position(&self, id: &StepId) -> Option<usize> {
        self.steps.iter().position(|step| &step.id == id)
    }

    fn step_mut(&mut self, id: &StepId) -> Option<&mut Step> {
        self.steps.iter_mut().find(|step| &step.id == id)
    }

    fn unknown(&mut self, change: &StepChange, step: &StepId, known: Vec<StepId>) {
        let (change, step) = (change.step.clone(), step.clone());
        self.errors.push(PlanError::UnknownStep {
            change,
            step,
            known,
        });
    }

    fn ids(&self) -> Vec<StepId> {
        self.steps.iter().map(|step| step.id.clone()).collect()
    }

    /// Reads all plans and begins with those of the procedure.
    fn take(&mut self, planned: &BTreeMap<StrategyName, Vec<PlannedStep>>) {
        for (strategy, steps) in planned {
            for step in steps {
                match self.read(strategy, step) {
                    Ok(read) => {
                        let name = read.id.to_string();
                        if self.known.insert(read.id.clone(), read).is_some() {
                            self.errors
                                .push(PlanError::Duplicate { kind: "step", name });
                        }
                    }
                    Err(error) => self.errors.push(error),
                }
            }
        }
        let mut seen = BTreeSet::new();
        for strategy in self.procedure {
            if !seen.insert(strategy) {
                let name = strategy.to_string();
                self.errors.push(PlanError::Duplicate {
                    kind: "strategy",
                    name,
                });
                continue;
            }
            let Some(steps) = planned.get(strategy) else {
                let known = planned.keys().cloned().collect();
                self.errors.push(PlanError::NoPlan {
                    strategy: strategy.clone(),
                    known,
                });
                continue;
            };
            // A step planned twice was reported above; here it counts once.
            let mut fresh = BTreeSet::new();
            let read = steps
                .iter()
                .filter_map(|step| StepId::new(strategy, &step.id).ok())
                .filter(|id| fresh.insert(id.clone()))
                .filter_map(|id| self.known.get(&id).cloned());
            self.steps.extend(read);
        }
    }

    /// A plugin's step with every name checked.
    fn read(&self, strategy: &StrategyName, planned: &PlannedStep) -> Result<Step, PlanError> {
        let invalid = |reason| PlanError::InvalidName {
            strategy: strategy.clone(),
            step: planned.id.clone(),
            reason,
        };
        let unknown = |kind, value: String, known| PlanError::InvalidValue {
            strategy: strategy.clone(),
            step: planned.id.clone(),
            kind,
            value,
            known,
        };
        let id = StepId::new(strategy, &planned.id).map_err(invalid)?;
        for act in &planned.acts {
            if !VERBS.contains(&act.verb.as_str()) {
                let known = VERBS.iter().map(|verb| (*verb).to_owned()).collect();
                return Err(unknown("an unknown act", act.verb.clone(), known));
            }
            if act.site.is_empty() && SITED_VERBS.contains(&act.verb.as_str()) {
                let known = self.runbook.sites.keys().map(ToString::to_string).collect();
                return Err(unknown("an act without a site", act.verb.clone(), known));
            }
            let known = || self.runbook.sites.keys().map(|site| site.as_str());
            if !act.site.is_empty() && !known().any(|site| site == act.site) {
                let known = known().map(str::to_owned).collect();
                return Err(unknown(
                    "an act at an unknown site",
                    act.site.clone(),
                    known,
                ));
            }
        }
        if planned.budget_ms == 0 {
            let rule = vec!["a budget of one millisecond or more".to_owned()];
            return Err(unknown("a budget in milliseconds of", "0".to_owned(), rule));
        }
        let needs = planned.needs.iter().map(|need| StepId::new(strategy, need));
        Ok(Step {
            performs: id.clone(),
            id,
            title: planned.title.clone(),
            role: planned.role.parse().map_err(invalid)?,
            budget_ms: planned.budget_ms,
            needs: needs.collect::<Result<_, _>>().map_err(invalid)?,
            reversal: planned.reversal,
            acts: planned.acts.clone(),
            covers: planned
                .covers
                .iter()
                .map(|item| item.parse())
                .collect::<Result<_, _>>()
                .map_err(invalid)?,
            uses: planned.uses.clone(),
            gate_before: None,
            gate_after: None,
        })
    }

    fn drop_steps(&mut self, changes: &[&StepChange]) {
        for change in changes.iter().filter(|change| change.drop) {
            let Some(position) = self.position(&change.step) else {
                self.unknown(change, &change.step, self.ids());
                continue;
            };
            let dropped = self.steps.remove(position);
            for step in &mut self.steps {
                let Some(at) = step.needs.iter().position(|need| need == &dropped.id) else {
                    continue;
                };
                step.needs.splice(at..=at, dropped.needs.iter().cloned());
                unique(&mut step.needs);
            }
        }
    }

    /// Replaces what performs a step, and adds steps.
    fn run_steps(&mut self, changes: &[&StepChange]) {
        for change in changes.iter().filter(|change| !change.drop) {
            let existing = self.position(&change.step);
            let Some(run) = &change.run else {
                if existing.is_none() {
                    self.unknown(change, &change.step, self.ids());
                }
                continue;
            };
            let Some(performed) = self.known.get(run).cloned() else {
                self.unknown(change, run, self.known.keys().cloned().collect());
                continue;
            };
            let needs = existing
                .and_then(|at| self.steps.get(at))
                .map(|step| step.needs.clone());
            let step = Step {
                id: change.step.clone(),
                needs: needs.unwrap_or_default(),
                ..performed
            };
            match existing.and_then(|at| self.steps.get_mut(at)) {
                Some(replaced) => *replaced = step,
                None => {
                    let at = self.place_for(change);
                    self.steps.insert(at, step);
                }
            }
        }
    }

    /// Where an added step reads best: after the last step it needs, else before the first that comes to need it, else
    /// at the end of its strategy.
    fn place_for(&self, change: &StepChange) -> usize {
        let positions = |ids: &[StepId]| {
            ids.iter()
                .filter_map(|id| self.position(id))
                .collect::<Vec<_>>()
        };
        let after = change
            .needs
            .as_deref()
            .and_then(|needs| positions(needs).into_iter().max());
        let before = positions(&change.before).into_iter().min();
        let end = self
            .steps
            .iter()
            .rposition(|step| step.id.strategy() == change.step.strategy());
        match (after, before, end) {
            (Some(after), _, _) => after + 1,
            (None, Some(before), _) => before,
            (None, None, Some(end)) => end + 1,
            (None, None, None) => self.steps.len(),
        }
    }

    fn reorder(&mut self, changes: &[&StepChange]) {
        for change in changes {
            if let (Some(needs), Some(step)) = (&change.needs, self.step_mut(&change.step)) {
                step.needs.clone_from(needs);
                unique(&mut step.needs);
            }
        }
        for change in changes {
            for target in &change.before {
                match self.step_mut(target) {
                    Some(step) => {
                        step.needs.push(change.step.clone());
                        unique(&mut step.needs);
                    }
                    None => self.unknown(change, target, self.ids()),
                }
            }
        }
    }

    fn adjust(&mut self, changes: &[&StepChange]) {
        for change in changes {
            let Some(step) = self.step_mut(&change.step) else {
                continue;
            };
            if let Some(budget) = change.budget {
                step.budget_ms = millis(budget);
            }
            if let Some(role) = &change.role {
                step.role = role.clone();
            }
            step.gate_before.clone_from(&change.gate_before);
            step.gate_after.clone_from(&change.gate_after);
            step.covers.extend(change.covers.iter().cloned());
            unique(&mut step.covers);
        }
    }

    fn check_needs(&mut self, changes: &[&StepChange]) {
        let known = self.ids();
        for step in &self.steps {
            for need in step.needs.iter().filter(|need| !known.contains(need)) {
                let dropped = changes
                    .iter()
                    .any(|change| change.drop && &change.step == need);
                let outside = !self
                    .procedure
                    .iter()
                    .any(|strategy| strategy.as_str() == need.strategy());
                let why = if dropped {
                    Some(format!(
                        "the runbook drops `{need}`: take it out of `needs` as well"
                    ))
                } else if outside {
                    Some(format!(
                        "strategy `{}` is not part of this procedure",
                        need.strategy()
                    ))
                } else {
                    None
                };
                self.errors.push(PlanError::MissingNeed {
                    step: step.id.clone(),
                    need: need.clone(),
                    why,
                    known: known.clone(),
                });
            }
        }
    }

    /// One strategy after the other.
    fn separate(&mut self) {
        let mut last: Vec<StepId> = Vec::new();
        for strategy in self.procedure {
            let own = |id: &StepId| id.strategy() == strategy.as_str();
            let needed: BTreeSet<StepId> = self
                .steps
                .iter()
                .filter(|step| own(&step.id))
                .flat_map(|step| step.needs.iter().cloned())
                .collect();
            let mut leaves: Vec<StepId> = Vec::new();
            for step in self.steps.iter_mut().filter(|step| own(&step.id)) {
                if !step.needs.iter().any(own) {
                    step.needs.extend(last.iter().cloned());
                    unique(&mut step.needs);
                }
                if !needed.contains(&step.id) {
                    leaves.push(step.id.clone());
                }
            }
            // A strategy without steps, or one that is a cycle, lets the barrier of the one before stand.
            if !leaves.is_empty() {
                last = leaves;
            }
        }
    }
}

/// Keeps the first of equal elements.
fn unique<T: Ord + Clone>(items: &mut Vec<T>) {
    let mut seen = BTreeSet::new();
    items.retain(|item| seen.insert(item.clone()));
}

#[cfg(test)]
mod tests;
