//! How far a rehearsal is to be believed: the same run, live and rehearsed, side by side.
//!
//! The order of steps is that in which they began. What ran one after the other live must begin in the same order
//! rehearsed. Steps that ran side by side have no order between them, nor have those that began at the same time, as
//! exactly as a rehearsal knows it ([`SAME_TIME`]).
//!
//! A call that a step makes again in the same words after a pause, with nothing else between, is the same as one: how often
//! something is looked at until it is so is a matter of time, and shows in how long the step took. Where a step was tried again,
//! the calls of its last attempt are compared; that it was tried again in only one of the two is a difference of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::calls::SLEEP;
use crate::call::{Arguments, CallSite, Direction, FunctionName};
use crate::clock::{Instant, millis};
use crate::journal::record::{Entry, Record};
use crate::name::{StepId, StrategyName};
use crate::report::model::Leg;
use crate::report::units::count;
use crate::report::{Figures, ReportError};

/// A rehearsed recovery time may differ from the live one by so many per cent.
pub const RTO_TOLERANCE_PERCENT: f64 = 20.0;

/// Two steps began at the same time where no more lies between than this, or than [`SAME_TIME_PERCENT`] of the time since
/// the run began: a scenario knows how long a function took, not how long each call of it did.
pub const SAME_TIME: Duration = Duration::from_secs(1);

/// See [`SAME_TIME`].
pub const SAME_TIME_PERCENT: u32 = 5;

/// A run and its rehearsal side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Fidelity {
    /// Every step that began in either, in the order in which they did live.
    pub steps: Vec<StepPair>,
    /// Every strategy, in the order of the procedure.
    pub legs: Vec<LegPair>,
    /// What keeps the rehearsal from being believed, one line each; empty where nothing does.
    pub differences: Vec<String>,
}

/// A step, live and rehearsed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepPair {
    /// The step.
    pub step: StepId,
    /// Live; `None` where it did not begin.
    pub live: Option<Course>,
    /// Rehearsed; `None` where it did not begin.
    pub rehearsed: Option<Course>,
    /// Every call of the last attempt was made in both, in the same order; one that was made again after a pause counts once.
    pub same_calls: bool,
    /// It did not begin before anything that it began after live.
    pub same_order: bool,
}

/// What a step did in one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Course {
    /// How many steps had begun with it, from 1.
    pub place: u64,
    /// When it began, in milliseconds since the run did.
    pub begun_ms: u64,
    /// Until it came to rest the last time, in milliseconds.
    pub took_ms: u64,
    /// How many calls it made, all attempts together.
    pub calls: u64,
    /// How often it was tried.
    pub attempts: u32,
}

/// A strategy, live and rehearsed. Times in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LegPair {
    /// The strategy.
    pub strategy: StrategyName,
    /// Recovery time.
    pub rto: Pair,
    /// Recovery point.
    pub rpo: Pair,
}

/// A figure, live and rehearsed, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Pair {
    /// Live; `None` for never.
    pub live_ms: Option<u64>,
    /// Rehearsed; `None` for never.
    pub rehearsed_ms: Option<u64>,
    /// By how much the rehearsed one is longer, in per cent of the live one; `None` where that says nothing.
    pub difference_percent: Option<f64>,
}

impl Pair {
    fn of(live_ms: Option<u64>, rehearsed_ms: Option<u64>) -> Self {
        let difference_percent = match (live_ms, rehearsed_ms) {
            (Some(live), Some(rehearsed)) if live == rehearsed => Some(0.0),
            (Some(live), Some(rehearsed)) if live > 0 => {
                let share = rehearsed as f64 / live as f64 - 1.0;
                Some((share * 1_000.0).round() / 10.0)
            }
            _ => None,
        };
        Self {
            live_ms,
            rehearsed_ms,
            difference_percent,
        }
    }

    fn is_within(&self, percent: f64) -> bool {
        match self.difference_percent {
            Some(difference) => difference.abs() <= percent,
            None => self.live_ms == self.rehearsed_ms,
        }
    }
}

impl Fidelity {
    /// Lays a run and its rehearsal side by side.
    ///
    /// # Errors
    /// [`ReportError`] where a journal is none.
    pub fn of(live: &[Entry], rehearsed: &[Entry]) -> Result<Self, ReportError> {
        let figures = (Figures::of(live)?, Figures::of(rehearsed)?);
        let (live, rehearsed) = (Lives::of(live), Lives::of(rehearsed));
        let mut differences = Vec::new();
        let mut steps = Vec::new();
        for step in live.steps_with(&rehearsed) {
            let pair = (live.of_step(step), rehearsed.of_step(step));
            let both = pair.0.zip(pair.1);
            let tried = both.and_then(|(live, rehearsed)| tried_otherwise(live, rehearsed));
            let calls = both.map(|(live, rehearsed)| differing(live, rehearsed));
            let overtaken = live.overtaken(&rehearsed, step);
            let same_calls = calls == Some(None);
            let same_order = overtaken.is_none();
            differences.extend(tried.map(|how| format!("`{step}` {how}")));
            differences.extend(calls.flatten().map(|which| format!("`{step}`: {which}")));
            differences.extend(overtaken.map(|other| {
                format!("`{step}` began before `{other}` in the rehearsal, which it came after")
            }));
            steps.push(StepPair {
                step: step.clone(),
                live: pair.0.map(|life| life.course(live.started_at)),
                rehearsed: pair.1.map(|life| life.course(rehearsed.started_at)),
                same_calls,
                same_order,
            });
        }
        differences.extend(only_in(&live, &rehearsed, "live"));
        differences.extend(only_in(&rehearsed, &live, "in the rehearsal"));
        let legs = legs(&figures.0.legs, &figures.1.legs);
        for leg in &legs {
            if !leg.rto.is_within(RTO_TOLERANCE_PERCENT) {
                let strategy = &leg.strategy;
                differences.push(match leg.rto.difference_percent {
                    Some(percent) => format!(
                        "the RTO of `{strategy}` is off by {percent} %, more than {RTO_TOLERANCE_PERCENT} %"
                    ),
                    None => format!("`{strategy}` served users in only one of the two"),
                });
            }
        }
        Ok(Self {
            steps,
            legs,
            differences,
        })
    }
}

/// Steps that began in only one of the two, in one line.
fn only_in(one: &Lives, other: &Lives, word: &str) -> Option<String> {
    let mut only = one
        .order
        .iter()
        .filter(|step| other.of_step(step).is_none());
    let (first, more) = (only.next()?, only.count());
    Some(match more {
        0 => format!("`{first}` began only {word}"),
        more => format!("`{first}` and {more} more steps began only {word}"),
    })
}

fn legs(live: &[Leg], rehearsed: &[Leg]) -> Vec<LegPair> {
    let pair = |leg: &Leg| {
        let same = |other: &&Leg| other.strategy == leg.strategy;
        let other = rehearsed.iter().find(same);
        LegPair {
            strategy: leg.strategy.clone(),
            rto: Pair::of(
                leg.rto.achieved_ms,
                other.and_then(|other| other.rto.achieved_ms),
            ),
            rpo: Pair::of(
                leg.rpo.achieved_ms,
                other.and_then(|other| other.rpo.achieved_ms),
            ),
        }
    };
    live.iter().map(pair).collect()
}

/// That it was not tried as often, in words; `None` where it was.
fn tried_otherwise(live: &Life, rehearsed: &Life) -> Option<String> {
    let times = |attempts: u32| match attempts {
        1 => "once".to_owned(),
        many => format!("{many} times"),
    };
    let (live, rehearsed) = (live.attempt, rehearsed.attempt);
    (live != rehearsed).then(|| {
        let (live, rehearsed) = (times(live), times(rehearsed));
        format!("was tried {live} live and {rehearsed} in the rehearsal")
    })
}

/// The first call that is not the same, in words; `None` where all are.
fn differing(live: &Life, rehearsed: &Life) -> Option<String> {
    let length = live.calls.len().max(rehearsed.calls.len());
    let place = (0..length).find(|place| live.call(*place) != rehearsed.call(*place))?;
    let word = |life: &Life| {
        life.call(place)
            .map_or_else(|| "none".to_owned(), Call::words)
    };
    Some(format!(
        "call {} is {} live and {} in the rehearsal",
        place + 1,
        word(live),
        word(rehearsed)
    ))
}

/// A call as far as it is the same in any world.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Call {
    function: String,
    /// The argument `site`; empty for none.
    site: String,
    direction: Direction,
}

impl Call {
    fn of(place: &CallSite, function: &FunctionName, args: &Arguments) -> Self {
        let site = args.get("site").and_then(Value::as_str);
        Self {
            function: function.to_string(),
            site: site.unwrap_or_default().to_owned(),
            direction: place.direction,
        }
    }

    fn words(&self) -> String {
        match self.site.as_str() {
            "" => self.function.clone(),
            site => format!("{} at {site}", self.function),
        }
    }
}

/// What every step of a run did.
struct Lives {
    started_at: Instant,
    /// In the order in which they began.
    order: Vec<StepId>,
    by_step: BTreeMap<StepId, Life>,
}

struct Life {
    place: u64,
    begun_at: Instant,
    ended_at: Instant,
    /// The last one, from 1.
    attempt: u32,
    /// How many calls it made, all attempts together.
    made: u64,
    /// Those of the last attempt, without what was asked again after a pause, with what was given to each.
    calls: Vec<(Call, Arguments)>,
}

impl Life {
    fn course(&self, started_at: Instant) -> Course {
        Course {
            place: self.place,
            begun_ms: millis(self.begun_at.since(started_at)),
            took_ms: millis(self.ended_at.since(self.begun_at)),
            calls: self.made,
            attempts: self.attempt,
        }
    }

    fn call(&self, place: usize) -> Option<&Call> {
        self.calls.get(place).map(|(call, _)| call)
    }

    fn make(&mut self, call: Call, args: &Arguments) {
        self.made += 1;
        if let [.., before, (pause, _)] = self.calls.as_slice()
            && pause.function == SLEEP
            && (&before.0, &before.1) == (&call, args)
        {
            self.calls.pop();
        } else {
            self.calls.push((call, args.clone()));
        }
    }
}

impl Lives {
    fn of(entries: &[Entry]) -> Self {
        let mut lives = Self {
            started_at: entries.first().map(|entry| entry.at).unwrap_or_default(),
            order: Vec::new(),
            by_step: BTreeMap::new(),
        };
        for entry in entries {
            match &entry.record {
                Record::StepChanged {
                    step, to, attempt, ..
                } => {
                    use crate::run::state::StepState;
                    if let Some(life) = lives.by_step.get_mut(step) {
                        life.ended_at = entry.at;
                        if *attempt > life.attempt {
                            life.attempt = *attempt;
                            life.calls.clear();
                        }
                    } else if *to == StepState::Running {
                        lives.order.push(step.clone());
                        let life = Life {
                            place: count(lives.order.len()),
                            begun_at: entry.at,
                            ended_at: entry.at,
                            attempt: *attempt,
                            made: 0,
                            calls: Vec::new(),
                        };
                        lives.by_step.insert(step.clone(), life);
                    }
                }
                Record::Intent {
                    site,
                    function,
                    args,
                    ..
                } => {
                    if let Some(life) = lives.by_step.get_mut(&site.step) {
                        life.make(Call::of(site, function, args), args);
                    }
                }
                _ => {}
            }
        }
        lives
    }

    fn of_step(&self, step: &StepId) -> Option<&Life> {
        self.by_step.get(step)
    }

    /// All steps of both, those of the first in its order.
    fn steps_with<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a StepId> {
        let more = other.order.iter();
        let more = more.filter(|step| !self.by_step.contains_key(*step));
        self.order.iter().chain(more)
    }

    /// A step that was over here before `step` began, and began after it there.
    fn overtaken<'a>(&'a self, there: &Self, step: &StepId) -> Option<&'a StepId> {
        let (here, now) = (self.of_step(step)?, there.of_step(step)?);
        let since_start = here.begun_at.since(self.started_at);
        let same_time = SAME_TIME.max(since_start * SAME_TIME_PERCENT / 100);
        self.order.iter().find(|other| {
            let lives = self.of_step(other).zip(there.of_step(other));
            lives.is_some_and(|(then, other)| {
                then.ended_at <= here.begun_at
                    && here.begun_at.since(then.begun_at) > same_time
                    && then.place < here.place
                    && other.place > now.place
            })
        })
    }
}
