//! What a past run says about how long steps take.

use std::collections::BTreeMap;

use crate::clock::{Instant, millis};
use crate::journal::record::{Entry, Record};
use crate::name::{StepId, StrategyName};
use crate::plan::Plan;
use crate::report::account::StepLine;
use crate::report::model::Leg;
use crate::report::{Figures, ReportError};
use crate::run::state::StepState;

/// One past run, live or rehearsed, step by step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sample {
    /// Steps that were done: from when everything a step needs was done until it was itself, waiting for people included,
    /// in milliseconds.
    times: BTreeMap<StepId, u64>,
    /// By strategy and name: the first time it set the milestone.
    milestones: BTreeMap<(String, String), Moment>,
    /// By strategy: what its recovery time counts from.
    origins: BTreeMap<String, Origin>,
}

/// What a recovery time counts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// A milestone of the strategy.
    Milestone(String),
    /// The outage, so long before the run began, in milliseconds; negative if it came later.
    Outage(i64),
}

/// A moment in the life of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Moment {
    step: StepId,
    /// Since everything it needs was done, in milliseconds.
    after_ms: u64,
}

impl Sample {
    /// What a journal says, finished or not.
    ///
    /// # Errors
    /// [`ReportError`] where the journal does not begin with the start of a run.
    pub fn of(entries: &[Entry]) -> Result<Self, ReportError> {
        let figures = Figures::of(entries)?;
        let begun: BTreeMap<&StepId, Instant> = figures
            .steps
            .iter()
            .filter_map(|line| Some((&line.id, line.periods.first()?.from)))
            .collect();
        let done = figures.steps.iter().filter_map(time);
        let mut milestones = BTreeMap::new();
        for entry in entries {
            let Record::Marked { step, name, .. } = &entry.record else {
                continue;
            };
            if let Some(from) = begun.get(step) {
                let strategy = step.strategy().to_owned();
                milestones
                    .entry((strategy, name.clone()))
                    .or_insert_with(|| Moment {
                        step: step.clone(),
                        after_ms: millis(entry.at.since(*from)),
                    });
            }
        }
        let times = done.collect();
        Ok(Self {
            times,
            milestones,
            origins: origins(entries, &figures),
        })
    }

    /// Whether the run did any of these steps.
    #[must_use]
    pub fn knows_any(&self, plan: &Plan) -> bool {
        let mut steps = plan.steps.iter();
        steps.any(|step| self.times.contains_key(&step.id))
    }

    /// How long a step took, in milliseconds; `None` where it was not done.
    pub(super) fn time(&self, step: &StepId) -> Option<u64> {
        self.times.get(step).copied()
    }

    /// What the recovery time of a strategy counts from; `None` where the run did not come so far.
    pub(super) fn origin(&self, strategy: &StrategyName) -> Option<&Origin> {
        self.origins.get(strategy.as_str())
    }

    /// In which step a strategy reached a milestone, and how long after the step's beginning, in milliseconds.
    pub(super) fn milestone(&self, strategy: &StrategyName, name: &str) -> Option<(&StepId, u64)> {
        let key = (strategy.as_str().to_owned(), name.to_owned());
        let moment = self.milestones.get(&key)?;
        Some((&moment.step, moment.after_ms))
    }
}

/// What the recovery time of each leg counts from, where it is known.
fn origins(entries: &[Entry], figures: &Figures) -> BTreeMap<String, Origin> {
    let started = entries.first().map(|entry| entry.at).unwrap_or_default();
    let origin = |leg: &Leg| {
        let from = leg.rto_from?;
        let strategy = leg.strategy.as_str();
        let mut marks = entries
            .iter()
            .filter_map(|entry| match &entry.record {
                Record::Marked { step, name, .. } if entry.at == from => Some((step, name)),
                _ => None,
            })
            .filter(|(step, _)| step.strategy() == strategy);
        let origin = match marks.next() {
            Some((_, name)) if leg.outage_began_at != Some(from) => Origin::Milestone(name.clone()),
            _ => Origin::Outage(signed(started) - signed(from)),
        };
        Some((strategy.to_owned(), origin))
    };
    figures.legs.iter().filter_map(origin).collect()
}

fn signed(at: Instant) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

/// A step that was done, with its time.
fn time(line: &StepLine) -> Option<(StepId, u64)> {
    let (first, last) = (line.periods.first()?, line.periods.last()?);
    let is_done = line.state == StepState::Done;
    is_done.then(|| (line.id.clone(), millis(last.until.since(first.from))))
}
