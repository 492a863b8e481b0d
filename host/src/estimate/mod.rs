//! How long a plan is likely to take, and which steps decide it, from runs that were made before.
//!
//! Start at [`Estimate::of`]. Each past run ([`Sample`]) gives its time for each step; laid along the needs of the plan at
//! hand they give one course of it ([`course`]): the same steps in another order take another time. Whose runs they are
//! (rehearsals in a scenario, past live runs) is up to the caller.

mod course;
mod sample;
#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::name::{StepId, StrategyName};
use crate::plan::{Plan, Step};
use crate::report::units::count;
use crate::statistics::{Distribution, rounded};
pub use course::Link;
use course::{Course, Usual};
pub use sample::Sample;

/// How long a plan is likely to take.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Estimate {
    /// How many past runs it is made of.
    pub samples: u64,
    /// Every step, in the order of the plan.
    pub steps: Vec<StepEstimate>,
    /// Every strategy, in the order of the procedure.
    pub legs: Vec<LegEstimate>,
    /// From the beginning until every step is done.
    pub whole: Distribution,
    /// The chain of steps that decides when everything is done, in the course whose time is in the middle.
    pub critical_path: Vec<Link>,
}

/// How long a step is likely to take.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepEstimate {
    /// The step.
    pub step: StepId,
    /// From when everything it needs is done until it is itself, waiting for people included, over the runs that did it.
    /// Where none did, its budget counts, which is an upper bound.
    pub takes: Distribution,
    /// Its budget in milliseconds.
    pub budget_ms: u64,
    /// Share of the courses in which it decides when clients are served by the site its strategy goes to, 0 to 1.
    pub decides_served: f64,
    /// Share of the courses in which it decides when everything is done, 0 to 1.
    pub decides_end: f64,
}

/// A strategy's estimated recovery.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LegEstimate {
    /// The strategy.
    pub strategy: StrategyName,
    /// Recovery time as reports count it, see [`crate::rehearsal::truth`]. Runs that never served are counted as such.
    pub rto: Distribution,
    /// Its steps in the chain that decides when clients are served, in the course whose time is in the middle. Empty where
    /// no run came so far.
    pub critical_path: Vec<Link>,
}

impl Estimate {
    /// What `samples` say about `plan`, whose strategies come in the order of `procedure`.
    #[must_use]
    pub fn of(plan: &Plan, procedure: &[StrategyName], samples: &[Sample]) -> Self {
        let usual = Usual::of(plan, samples);
        let course = |sample| Course::of(plan, sample, &usual);
        let courses: Vec<Course<'_>> = samples.iter().map(course).collect();
        let to_end: Vec<Way> = courses.iter().map(Way::to_end).collect();
        let legs: Vec<Leg<'_>> = procedure
            .iter()
            .map(|strategy| Leg::of(strategy, &courses))
            .collect();
        let step = |step: &Step| StepEstimate {
            step: step.id.clone(),
            takes: Distribution::of(samples.iter().filter_map(|s| s.time(&step.id)).map(Some)),
            budget_ms: step.budget_ms,
            decides_served: legs
                .iter()
                .map(|leg| share(&leg.ways, &step.id))
                .fold(0.0, f64::max),
            decides_end: share(&to_end, &step.id),
        };
        Self {
            samples: count(samples.len()),
            steps: plan.steps.iter().map(step).collect(),
            whole: Distribution::of(to_end.iter().map(|way| way.took_ms)),
            critical_path: middle(&to_end),
            legs: legs.into_iter().map(Leg::estimate).collect(),
        }
    }
}

/// How one course comes to a point: how long it takes, `None` for never, and the steps that decide it.
struct Way {
    took_ms: Option<u64>,
    path: Vec<Link>,
}

impl Way {
    fn to_end(course: &Course<'_>) -> Self {
        let end = course.end();
        Self {
            took_ms: end.map(|(_, at_ms)| at_ms),
            path: end.map_or_else(Vec::new, |(step, at_ms)| course.path(step, at_ms)),
        }
    }

    /// To `served` of a strategy.
    fn to_served(course: &Course<'_>, strategy: &StrategyName) -> Self {
        let served = course.milestone(strategy, "served");
        let (Some((step, at_ms)), Some(from_ms)) = (served, course.origin(strategy)) else {
            return Self {
                took_ms: None,
                path: Vec::new(),
            };
        };
        let mut path = course.path(step, at_ms);
        path.retain(|link| link.step.strategy() == strategy.as_str());
        let took_ms = i64::try_from(at_ms).unwrap_or(i64::MAX) - from_ms;
        Self {
            took_ms: Some(u64::try_from(took_ms).unwrap_or(0)),
            path,
        }
    }
}

/// A strategy in all courses.
struct Leg<'a> {
    strategy: &'a StrategyName,
    ways: Vec<Way>,
}

impl<'a> Leg<'a> {
    fn of(strategy: &'a StrategyName, courses: &[Course<'_>]) -> Self {
        let way = |course| Way::to_served(course, strategy);
        Self {
            strategy,
            ways: courses.iter().map(way).collect(),
        }
    }

    fn estimate(self) -> LegEstimate {
        LegEstimate {
            strategy: self.strategy.clone(),
            rto: Distribution::of(self.ways.iter().map(|way| way.took_ms)),
            critical_path: middle(&self.ways),
        }
    }
}

/// The path of the way whose time is in the middle of those that get there, by nearest rank.
fn middle(ways: &[Way]) -> Vec<Link> {
    let mut there: Vec<(u64, &Way)> = ways
        .iter()
        .filter_map(|way| Some((way.took_ms?, way)))
        .collect();
    there.sort_by_key(|(took_ms, _)| *took_ms);
    let place = there.len().div_ceil(2).saturating_sub(1);
    there
        .get(place)
        .map_or_else(Vec::new, |(_, way)| way.path.clone())
}

/// Share of the ways that a step is on.
fn share(ways: &[Way], step: &StepId) -> f64 {
    let is_on = |way: &&Way| way.path.iter().any(|link| &link.step == step);
    let on = ways.iter().filter(is_on).count();
    rounded(count(on) as f64 / count(ways.len()).max(1) as f64)
}
