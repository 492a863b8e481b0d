//! What the run was about in the end: the header with every switch from one strategy to another applied.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::journal::record::{Entry, Header, Record};
use crate::name::StrategyName;
use crate::plan::{Plan, Step};

/// A header as a run's switches leave it.
pub(super) struct Course {
    /// Its strategies are those that were to recover the service in the end. Its plan holds their steps, and before
    /// them the steps of each strategy that was replaced.
    pub(super) header: Header,
    /// The plan in force, without what was given up.
    pub(super) in_force: Arc<Plan>,
    /// By strategy: those in whose place it stands, the first one first.
    pub(super) replaced: BTreeMap<StrategyName, Vec<StrategyName>>,
}

impl Course {
    pub(super) fn of(header: &Header, entries: &[Entry]) -> Self {
        let mut course = Self {
            header: header.clone(),
            in_force: Arc::clone(&header.plan),
            replaced: BTreeMap::new(),
        };
        for entry in entries {
            if let Record::StrategySwitched { from, to, plan, .. } = &entry.record {
                course.switch(from, to, plan);
            }
        }
        course
    }

    fn switch(&mut self, from: &StrategyName, to: &StrategyName, plan: &Arc<Plan>) {
        self.in_force = Arc::clone(plan);
        for strategy in &mut self.header.strategies {
            if strategy == from {
                strategy.clone_from(to);
            }
        }
        let mut earlier = self.replaced.remove(from).unwrap_or_default();
        earlier.push(from.clone());
        self.replaced.insert(to.clone(), earlier);
        let is_gone = |step: &Step| plan.step(&step.id).is_none();
        let mut gone: Vec<Step> = self.header.plan.steps.clone();
        gone.retain(is_gone);
        let first = plan
            .steps
            .iter()
            .position(|step| step.id.strategy() == to.as_str());
        let mut steps = plan.steps.clone();
        let at = first.unwrap_or(steps.len());
        steps.splice(at..at, gone);
        self.header.plan = Arc::new(Plan { steps });
    }

    /// The strategies of a leg: the one that is to end it, after those in whose place it stands.
    pub(super) fn of_leg<'a>(&'a self, strategy: &'a StrategyName) -> Vec<&'a StrategyName> {
        let replaced = self.replaced.get(strategy).into_iter().flatten();
        replaced.chain([strategy]).collect()
    }
}
