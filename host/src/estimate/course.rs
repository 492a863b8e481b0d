//! One course that a plan may take: the times of a past run, laid along the needs of the plan.

use std::collections::BTreeMap;

use serde::Serialize;

use super::sample::{Origin, Sample};
use crate::name::{StepId, StrategyName};
use crate::plan::Plan;
use crate::statistics::median;

/// A step on a critical path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Link {
    /// The step.
    pub step: StepId,
    /// When everything it needs is done in that course, in milliseconds from the beginning of the run.
    pub begins_ms: u64,
    /// What it adds to the path in that course, in milliseconds.
    pub adds_ms: u64,
}

/// What stands in for a step that a run did not do: the middle of the other runs' times, else its budget.
pub(super) struct Usual<'a>(BTreeMap<&'a StepId, u64>);

impl<'a> Usual<'a> {
    pub(super) fn of(plan: &'a Plan, samples: &[Sample]) -> Self {
        let steps = plan.steps.iter().map(|step| {
            let times = samples.iter().filter_map(|sample| sample.time(&step.id));
            let usual = median(times.collect()).unwrap_or(step.budget_ms);
            (&step.id, usual)
        });
        Self(steps.collect())
    }
}

/// When each step of a plan begins and is done, in milliseconds from the beginning.
pub(super) struct Course<'a> {
    plan: &'a Plan,
    sample: &'a Sample,
    lives: BTreeMap<&'a StepId, (u64, u64)>,
}

impl<'a> Course<'a> {
    /// A plan lists every step after what it needs, so one pass lays it out.
    pub(super) fn of(plan: &'a Plan, sample: &'a Sample, usual: &Usual<'_>) -> Self {
        let mut course = Self {
            plan,
            sample,
            lives: BTreeMap::new(),
        };
        for step in &plan.steps {
            let begins = course.waits_for(&step.id).map_or(0, |(_, done)| done);
            let otherwise = || usual.0.get(&step.id).copied();
            let takes = sample.time(&step.id).or_else(otherwise).unwrap_or_default();
            course
                .lives
                .insert(&step.id, (begins, begins.saturating_add(takes)));
        }
        course
    }

    /// The step that is done last, and when; `None` for a plan without steps.
    pub(super) fn end(&self) -> Option<(&'a StepId, u64)> {
        let done = self.lives.iter().map(|(step, (_, done))| (*step, *done));
        done.max_by_key(|(step, done)| (*done, std::cmp::Reverse(*step)))
    }

    /// When a strategy reaches a milestone, and during which step; `None` where the run did not, or where the plan does not
    /// have the step.
    pub(super) fn milestone(
        &self,
        strategy: &StrategyName,
        name: &str,
    ) -> Option<(&'a StepId, u64)> {
        let (step, after_ms) = self.sample.milestone(strategy, name)?;
        let (step, (begins, _)) = self.lives.get_key_value(step)?;
        Some((*step, begins.saturating_add(after_ms)))
    }

    /// What the recovery time of a strategy counts from, in milliseconds from the beginning; before it for an outage that
    /// the run answers.
    pub(super) fn origin(&self, strategy: &StrategyName) -> Option<i64> {
        match self.sample.origin(strategy)? {
            Origin::Outage(before_ms) => Some(-before_ms),
            Origin::Milestone(name) => {
                let (_, at_ms) = self.milestone(strategy, name)?;
                i64::try_from(at_ms).ok()
            }
        }
    }

    /// The chain of steps, each of which waited for the one before, to `step` at `at_ms`.
    pub(super) fn path(&self, step: &StepId, at_ms: u64) -> Vec<Link> {
        let mut path = Vec::new();
        let (mut step, mut until) = (step, at_ms);
        while let Some((begins_ms, _)) = self.lives.get(step).copied() {
            path.push(Link {
                step: step.clone(),
                begins_ms,
                adds_ms: until.saturating_sub(begins_ms),
            });
            let Some((before, done)) = self.waits_for(step) else {
                break;
            };
            (step, until) = (before, done);
        }
        path.reverse();
        path
    }

    /// Of what a step needs, that which is done last, and when.
    fn waits_for(&self, step: &StepId) -> Option<(&'a StepId, u64)> {
        let needs = self.plan.step(step)?.needs.iter();
        let done = needs.filter_map(|need| {
            let (need, (_, done)) = self.lives.get_key_value(need)?;
            Some((*need, *done))
        });
        done.max_by_key(|(need, done)| (*done, std::cmp::Reverse(*need)))
    }
}
