//! Another strategy takes the place of one that does not get through: replica gives way to restore.
//!
//! What was done stays done: every `ensure-*` of the other strategy looks first, and finds the record lowered and the old
//! primary fenced. What was begun and not done is given up, and what such a call left in doubt stays in doubt in the
//! journal. Taking the run back later takes back the steps of both.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::RunError;
use super::scheduler::{Execution, Run};
use super::state::{Event, StepState};
use crate::journal::record::{Entry, Record};
use crate::name::{StepId, StrategyName};
use crate::plan::{Plan, Step};

/// Plans to go on with, by the strategy that is replaced and the one that takes its place.
pub type Alternatives = BTreeMap<(StrategyName, StrategyName), Arc<Plan>>;

/// Once this has begun, users may already be at the new site and write there. No other strategy may begin from a backup
/// then: people decide by hand.
const NO_SWITCH_AFTER: &str = "flip";

/// A decision to go on with another strategy.
pub(super) struct Switch {
    pub(super) from: StrategyName,
    pub(super) to: StrategyName,
    pub(super) by: String,
    pub(super) note: String,
}

impl Run {
    /// The plan as a journal leaves it.
    ///
    /// # Errors
    /// [`RunError::Parked`] if the journal went on with a plan that is not the one of this runbook.
    pub(super) fn plan_after(&self, entries: &[Entry]) -> Result<Arc<Plan>, RunError> {
        let mut current = Arc::clone(&self.plan);
        for entry in entries {
            let Record::StrategySwitched { from, to, plan, .. } = &entry.record else {
                continue;
            };
            let known = self.alternatives.get(&(from.clone(), to.clone()));
            current = match known {
                Some(known) if **known == **plan => Arc::clone(known),
                _ => {
                    return Err(RunError::Parked(format!(
                        "the run went on with `{to}` in the place of `{from}`, by a plan that the runbook does not give now"
                    )));
                }
            };
        }
        if !Arc::ptr_eq(&current, &self.plan) {
            self.gates.plan.replace(current.digest());
        }
        Ok(current)
    }
}

impl Execution<'_> {
    /// Strategies that may take the place of the one a step belongs to.
    pub(super) fn alternatives_to(&self, step: &Step) -> Vec<StrategyName> {
        let begun = |step: &Step| self.board.square(&step.id).attempt > 0;
        let own = |other: &&Step| other.id.strategy() == step.id.strategy();
        let mut steps = self.plan.steps.iter().filter(own);
        if steps.any(|step| begun(step) && step.acts.iter().any(|act| act.verb == NO_SWITCH_AFTER))
        {
            return Vec::new();
        }
        self.run
            .alternatives
            .keys()
            .filter(|(from, to)| from.as_str() == step.id.strategy() && !self.has_run(to))
            .map(|(_, to)| to.clone())
            .collect()
    }

    /// True for a strategy whose steps are on the board already.
    fn has_run(&self, strategy: &StrategyName) -> bool {
        let mut steps = self.board.steps().iter();
        steps.any(|step| step.id.strategy() == strategy.as_str())
    }

    /// Records the decision and goes on with the other plan.
    pub(super) async fn switch(&mut self, switch: Switch) -> Result<(), RunError> {
        let key = (switch.from.clone(), switch.to.clone());
        let Some(plan) = self.run.alternatives.get(&key).map(Arc::clone) else {
            return Ok(());
        };
        self.withdraw_all();
        self.append(Record::StrategySwitched {
            from: switch.from,
            to: switch.to,
            by: switch.by,
            note: switch.note,
            plan: Arc::clone(&plan),
        })
        .await?;
        self.run.gates.plan.replace(plan.digest());
        self.board.lay_out(&plan);
        self.plan = plan;
        self.stuck = None;
        self.listen();
        self.finish_switch().await
    }

    /// Gives up what is on the board and in the plan no more. Nothing to do where no strategy was switched.
    pub(super) async fn finish_switch(&mut self) -> Result<(), RunError> {
        let given_up: Vec<StepId> = self
            .board
            .steps()
            .iter()
            .filter(|step| self.plan.step(&step.id).is_none())
            .filter(|step| {
                !matches!(
                    self.board.square(&step.id).state,
                    StepState::Done | StepState::Superseded
                )
            })
            .map(|step| step.id.clone())
            .collect();
        for step in &given_up {
            self.happen(step, Event::Supersede, "another strategy has taken over")
                .await?;
        }
        Ok(())
    }
}
