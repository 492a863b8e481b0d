//! What the time of a run was made of: the chain of steps of which each waited for the one before.

use std::collections::BTreeMap;

use crate::clock::{Instant, millis};
use crate::name::StepId;
use crate::plan::Plan;
use crate::report::Figures;
use crate::report::account::StepLine;
use crate::run::state::StepState;

/// A step on a path with the time from the end of what it waited for to its own, in milliseconds.
pub type Stretch = (StepId, u64);

/// The paths of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Paths {
    /// To the first moment at which a strategy saw clients served; empty where none did.
    pub to_served: Vec<Stretch>,
    /// To the step that came to rest last.
    pub to_end: Vec<Stretch>,
}

/// A run's steps by id, with when each began and came to rest.
struct Lives<'a> {
    plan: &'a Plan,
    lines: BTreeMap<&'a StepId, Life>,
    started: Instant,
}

#[derive(Clone, Copy)]
struct Life {
    begun: Instant,
    rested: Instant,
    superseded: bool,
}

impl Paths {
    /// The paths of a run that began at `started`, from its figures and from where and when clients were first served.
    #[must_use]
    pub fn of(figures: &Figures, started: Instant, served: Option<(&StepId, Instant)>) -> Self {
        let lives = Lives::of(figures, started);
        let last = lives
            .lines
            .iter()
            .max_by_key(|(id, life)| (life.rested, std::cmp::Reverse(**id)))
            .map(|(id, life)| (*id, life.rested));
        let path = |end: Option<(&StepId, Instant)>| {
            end.map_or_else(Vec::new, |(step, at)| lives.path(step, at))
        };
        Self {
            to_served: path(served),
            to_end: path(last),
        }
    }
}

impl<'a> Lives<'a> {
    fn of(figures: &'a Figures, started: Instant) -> Self {
        let life = |line: &StepLine| {
            Some(Life {
                begun: line.periods.first()?.from,
                rested: line.periods.last()?.until,
                superseded: line.state == StepState::Superseded,
            })
        };
        let lines = figures.steps.iter();
        Self {
            plan: &figures.plan,
            lines: lines
                .filter_map(|line| Some((&line.id, life(line)?)))
                .collect(),
            started,
        }
    }

    /// From the step that is at `at` back to the beginning, in order of time.
    fn path(&self, step: &StepId, at: Instant) -> Vec<Stretch> {
        let mut path = Vec::new();
        let (mut step, mut at) = (step.clone(), at);
        // A path has no step twice, as a plan has no circle.
        for _ in 0..=self.lines.len() {
            let before = self.before(&step);
            let from = before.map_or(self.started, |(_, rested)| rested);
            path.push((step.clone(), millis(at.since(from))));
            let Some((id, rested)) = before else { break };
            step = id.clone();
            at = rested.min(at);
        }
        path.reverse();
        path
    }

    /// What a step waited for last: of its needs the one that came to rest last; for a step that needs nothing and came
    /// with a switch of strategies, what was given up for it.
    fn before(&self, step: &StepId) -> Option<(&StepId, Instant)> {
        let needs = self.plan.step(step).map(|step| step.needs.as_slice());
        let needed = needs.unwrap_or_default().iter();
        let needed = needed.filter_map(|need| Some((need, self.lines.get(need)?.rested)));
        let begun = self.lines.get(step)?.begun;
        let given_up = || {
            let gone = self.lines.iter();
            let gone = gone.filter(|(id, life)| {
                life.superseded && life.rested <= begun && id.strategy() != step.strategy()
            });
            gone.max_by_key(|(_, life)| life.rested)
                .map(|(id, life)| (*id, life.rested))
        };
        needed.max_by_key(|(_, rested)| *rested).or_else(given_up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::stories;

    #[test]
    fn a_path_has_no_gap_and_ends_last() {
        let entries = stories::failover_and_failback();
        let figures = Figures::of(&entries).unwrap();
        let started = entries.first().unwrap().at;
        let paths = Paths::of(&figures, started, None);
        let last = figures
            .steps
            .iter()
            .filter_map(|step| step.ended_at)
            .max()
            .unwrap();
        let whole: u64 = paths.to_end.iter().map(|(_, ms)| ms).sum();
        assert_eq!(whole, millis(last.since(started)));
        for pair in paths.to_end.windows(2) {
            let needs = &figures.plan.step(&pair[1].0).unwrap().needs;
            assert!(needs.contains(&pair[0].0), "{pair:?}");
        }
        assert!(paths.to_served.is_empty());
    }
}
