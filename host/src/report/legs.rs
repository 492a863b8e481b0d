//! Recovery times and points: each strategy of a run is a leg with its own figures, and beside them stands what the
//! simulated world knows.
//!
//! The definitions, the same as those of the simulated world (`rehearsal/truth.rs`): RTO is the time from when users
//! failed until most of them are served by the other site (`served`). Users failed from the measured `outage-began`; in a
//! planned move, whose service is not down while it prepares, from the freeze (`frozen`). Where neither is known RTO counts
//! from the declaration (`declared`), says so, and leaves out what was before. RPO is the measured loss (`rpo`, or what a way
//! home gives up, `rpo-given-up`, where that is more), else the replication lag or the age of the backup; where the outage
//! is not dated the measured loss is an upper bound.

use std::collections::BTreeSet;

use super::account::{Mark, Measurement, StepLine};
use super::course::Course;
use super::model::{
    Comparison, Convergence, Leg, LegStart, Objective, TRUTH_TOLERANCE_PERCENT, Truth, Verdict,
};
use super::units;
use crate::clock::{Instant, millis};
use crate::journal::record::{Entry, Header, Mode, Record};
use crate::name::{StepId, StrategyName};

/// Milestones in order; the first per strategy, name and site counts.
pub(super) fn marks(entries: &[Entry]) -> Vec<Mark> {
    let mut seen = BTreeSet::new();
    let mut marks = Vec::new();
    for entry in entries {
        if let Record::Marked { step, name, site } = &entry.record
            && seen.insert((step.strategy(), name, site))
        {
            marks.push(Mark {
                at: entry.at,
                name: units::one_line(name),
                site: site.as_deref().map(units::one_line),
                step: step.clone(),
            });
        }
    }
    marks
}

/// One leg per strategy that was to recover the service in the end. What it took over from a strategy in whose place it
/// stands (the declaration, a measured lag) is its own.
pub(super) fn legs(
    course: &Course,
    marks: &[Mark],
    measurements: &[Measurement],
    steps: &[StepLine],
) -> Vec<Leg> {
    let header = &course.header;
    let strategies = header.strategies.iter().enumerate();
    strategies
        .map(|(place, strategy)| {
            let own = Own {
                strategy,
                strategies: course.of_leg(strategy),
                marks,
                measurements,
                steps,
            };
            own.leg(header, place > 0 || header.mode == Mode::Graceful)
        })
        .collect()
}

/// What belongs to one leg.
struct Own<'a> {
    strategy: &'a StrategyName,
    /// With those in whose place it stands.
    strategies: Vec<&'a StrategyName>,
    marks: &'a [Mark],
    measurements: &'a [Measurement],
    steps: &'a [StepLine],
}

impl Own<'_> {
    fn is_own(&self, step: &StepId) -> bool {
        let mut strategies = self.strategies.iter();
        strategies.any(|strategy| strategy.as_str() == step.strategy())
    }

    fn mark(&self, name: &str) -> Option<&Mark> {
        self.marks
            .iter()
            .find(|mark| mark.name == name && self.is_own(&mark.step))
    }

    fn at(&self, name: &str) -> Option<Instant> {
        self.mark(name).map(|mark| mark.at)
    }

    /// The newest duration of this name.
    fn measured(&self, name: &str) -> Option<u64> {
        let own = self.measurements.iter().rev();
        own.filter(|m| m.name == name && self.is_own(&m.step))
            .find_map(|m| m.quantity.get("duration-ms")?.as_u64())
    }

    /// Since when users fail, where a step measured it.
    fn outage_began(&self) -> Option<Instant> {
        let is_it = |name: &str| {
            let rest = name.strip_prefix("outage-began");
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        let own = self.measurements.iter().rev();
        own.filter(|m| is_it(&m.name) && self.is_own(&m.step))
            .find_map(|m| m.quantity.get("instant-ms")?.as_u64())
            .map(Instant)
    }

    /// What the recovery time counts from, and what to call it.
    fn rto_from(
        &self,
        planned: bool,
        begun: (Option<Instant>, LegStart),
    ) -> (Option<Instant>, &'static str) {
        match (self.outage_began(), self.at("frozen"), begun) {
            (Some(at), ..) if !planned => (Some(at), "outage to served"),
            (_, Some(at), _) if planned => (Some(at), "writes stopped, frozen to served"),
            (_, _, (at, LegStart::Declared)) if !planned => (
                at,
                "declared to served: since when users failed before is not known",
            ),
            (_, _, (at, LegStart::Declared)) => (at, "declared to served"),
            (_, _, (at, _)) => (at, "first step to served"),
        }
    }

    /// The loss, and what to call it.
    fn rpo(&self, planned: bool) -> (Option<u64>, &'static str) {
        let dated = planned || self.outage_began().is_some();
        let loss = self.measured("rpo").max(self.measured("rpo-given-up"));
        let lag = self.measured("replication-lag");
        match (loss, lag, self.measured("backup-age")) {
            (Some(0), ..) => (Some(0), "measured loss"),
            (Some(rpo), ..) if dated => (Some(rpo), "measured loss"),
            (Some(rpo), ..) => (
                Some(rpo),
                "measured loss, an upper bound: counted from the detection of the outage",
            ),
            (None, Some(lag), _) => (Some(lag), "replication lag"),
            (None, None, Some(age)) => (Some(age), "age of the backup"),
            (None, None, None) => (None, "not measured"),
        }
    }

    fn steps(&self) -> impl Iterator<Item = &StepLine> {
        self.steps.iter().filter(|step| self.is_own(&step.id))
    }

    fn leg(&self, header: &Header, planned: bool) -> Leg {
        let first_step = self.steps().filter_map(|step| step.started_at).min();
        let (begun_at, begun_by) = match (self.at("declared"), first_step) {
            (Some(at), _) => (Some(at), LegStart::Declared),
            (None, Some(at)) => (Some(at), LegStart::FirstStep),
            (None, None) => (None, LegStart::NotBegun),
        };
        let served = self.mark("served");
        let served_at = served.map(|mark| mark.at);
        let until_served = |from: Option<Instant>| {
            Some(millis(
                served_at?.since(from.filter(|f| Some(*f) <= served_at)?),
            ))
        };
        let (rto_from, basis) = self.rto_from(planned, (begun_at, begun_by));
        let rto = match served_at {
            None => (None, "not served"),
            Some(_) => (until_served(rto_from), basis),
        };
        Leg {
            strategy: self.strategy.clone(),
            instead_of: self
                .strategies
                .iter()
                .filter(|replaced| **replaced != self.strategy)
                .map(|replaced| (*replaced).clone())
                .collect(),
            to_site: served.and_then(|mark| mark.site.clone()),
            begun_at,
            begun_by,
            ended_at: self
                .steps()
                .flat_map(|step| step.periods.iter().map(|period| period.until))
                .max(),
            served_at,
            begun_to_served_ms: until_served(begun_at),
            rto_from_detection_ms: until_served(self.at("outage-detected")),
            writes_stopped_ms: until_served(self.at("frozen")),
            outage_began_at: self.outage_began().filter(|_| !planned),
            rto_from,
            rto: objective(header.rto_target_ms, rto),
            rpo: objective(header.rpo_target_ms, self.rpo(planned)),
            replication_lag_ms: self.measured("replication-lag"),
            backup_age_ms: self.measured("backup-age"),
            dns: self.convergence(),
        }
    }

    fn convergence(&self) -> Option<Convergence> {
        let flipped_at = self.at("flipped")?;
        let converged_at = self.at("converged").filter(|at| *at >= flipped_at);
        Some(Convergence {
            flipped_at,
            converged_at,
            took_ms: converged_at.map(|at| millis(at.since(flipped_at))),
        })
    }
}

fn objective(target_ms: u64, (achieved_ms, basis): (Option<u64>, &str)) -> Objective {
    Objective {
        target_ms,
        achieved_ms,
        basis: basis.to_owned(),
        verdict: match achieved_ms {
            None => Verdict::Unknown,
            Some(achieved) if achieved <= target_ms => Verdict::Met,
            Some(_) => Verdict::Missed,
        },
    }
}

/// The world's own figures, beside those of the run: the recovery time of the first leg, which is the one that an outage
/// began, and the largest loss of any (a way back gives up what a primary took that came back).
pub(super) fn truth(entries: &[Entry], legs: &[Leg]) -> Option<Truth> {
    let truth = entries.iter().rev().find_map(|entry| match &entry.record {
        Record::Truth {
            rto_ms,
            rpo_ms,
            lost_writes,
            acknowledged_writes,
            figures,
        } => Some(Truth {
            rto_ms: *rto_ms,
            rpo_ms: *rpo_ms,
            lost_writes: *lost_writes,
            acknowledged_writes: *acknowledged_writes,
            figures: figures.clone(),
            rto: None,
            rpo: None,
        }),
        _ => None,
    })?;
    let rto = legs.first().and_then(|leg| compare(&leg.rto, truth.rto_ms));
    // What a leg that served nobody would lose is no loss yet.
    let served = legs.iter().filter(|leg| leg.served_at.is_some());
    let rpo = served
        .max_by_key(|leg| leg.rpo.achieved_ms)
        .and_then(|leg| compare(&leg.rpo, Some(truth.rpo_ms)));
    Some(Truth { rto, rpo, ..truth })
}

/// `None` where neither figure exists.
fn compare(reported: &Objective, truth_ms: Option<u64>) -> Option<Comparison> {
    let reported_ms = reported.achieved_ms;
    let difference_ms = match (reported_ms, truth_ms) {
        (None, None) => return None,
        (Some(reported), Some(truth)) => {
            let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
            Some(signed(reported).saturating_sub(signed(truth)))
        }
        _ => None,
    };
    let percent = match (difference_ms, truth_ms) {
        (Some(0), _) => Some(0.0),
        (Some(difference), Some(truth)) if truth > 0 => {
            Some((difference as f64 / truth as f64 * 1000.0).round() / 10.0)
        }
        _ => None,
    };
    Some(Comparison {
        reported_ms,
        basis: reported.basis.clone(),
        truth_ms,
        difference_ms,
        difference_percent: percent,
        flagged: percent.is_none_or(|percent| percent.abs() > TRUTH_TOLERANCE_PERCENT),
    })
}
