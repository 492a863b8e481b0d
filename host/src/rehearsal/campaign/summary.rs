//! What a campaign found: plain data, the same for the same runs, however many threads they took.
//!
//! Start at [`Summary::of`]. The text for terminals is the command line's; [`html`](super::html) and
//! [`junit`](super::junit) show the same.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Campaign;
use super::outcome::Outcome;
use super::path::Stretch;
use super::shrink::{Minimal, shrink};
use crate::clock::millis;
use crate::journal::record::{Ending, Mode};
use crate::name::{StepId, StrategyName};
use crate::rehearsal::trace;
use crate::report::model::{Comparison, TRUTH_TOLERANCE_PERCENT};
use crate::report::units::count;
use crate::statistics::{Distribution, Probability, median, rounded};

/// Version of the JSON. Fields are added under the same version; one that changes its meaning raises it.
pub const SUMMARY_VERSION: u32 = 1;

/// Most seeds listed of those that break a rule; all are counted.
const MAX_SEEDS: usize = 20;

/// What a campaign over one scenario found.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Summary {
    /// Name of the runbook.
    pub runbook: String,
    /// The scenario, as it was named.
    pub scenario: String,
    /// Its summary.
    pub about: String,
    /// Strategies in order.
    pub procedure: Vec<StrategyName>,
    /// Whether the site that is left still answers.
    pub mode: Mode,
    /// Seed of the first run.
    pub first_seed: u64,
    /// Runs.
    pub runs: u64,
    /// Runs by how they ended.
    pub endings: Endings,
    /// A step of the plan moves the service, so that there is a recovery to time.
    pub is_a_move: bool,
    /// The scenario means the run to recover, so that its targets can be met.
    pub is_to_recover: bool,
    /// From the outage until clients are served again.
    pub rto: Target,
    /// Age of what is lost.
    pub rpo: Target,
    /// What each strategy reports.
    pub legs: Vec<LegSummary>,
    /// Acknowledged writes that are missing: as many in half of the runs, 95 and 99 of 100, at most.
    pub lost_writes: LostWrites,
    /// How often each key of `[expect]` was missed.
    pub missed: BTreeMap<String, u64>,
    /// What the time until clients were served was made of, the largest share first.
    pub path_to_served: Vec<Share>,
    /// What the whole time was made of, the largest share first.
    pub path_to_end: Vec<Share>,
    /// Rules that were broken, in the order of their codes.
    pub broken: Vec<BrokenRule>,
    /// Every run.
    pub outcomes: Vec<Outcome>,
}

/// Runs by how they ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Endings {
    /// Every step done.
    pub recovered: u64,
    /// Failed, and taken back.
    pub undone: u64,
    /// A human is needed.
    pub stuck: u64,
    /// No outcome: a bug.
    pub none: u64,
}

/// An objective over many runs, as the simulated clients and data saw it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Target {
    /// The objective in milliseconds.
    pub target_ms: u64,
    /// How often it was met. A time that never came meets nothing.
    pub met: Probability,
    /// The first seed with which it was missed.
    pub first_missed: Option<u64>,
    /// What was true.
    pub truth: Distribution,
    /// What the runs reported.
    pub reported: Distribution,
    /// How far the two are apart.
    pub difference: Difference,
}

/// How far reported figures are from the truth, run by run.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Difference {
    /// Runs that have a figure on either side.
    pub runs: u64,
    /// Reported minus true in the middle of them, in milliseconds.
    pub median_ms: Option<i64>,
    /// Largest distance, in milliseconds.
    pub max_ms: Option<u64>,
    /// Distance in the middle, in per cent of the truth.
    pub median_percent: Option<f64>,
    /// Largest distance, in per cent of the truth.
    pub max_percent: Option<f64>,
    /// Share of runs that differ by more than [`TRUTH_TOLERANCE_PERCENT`], or have only one of the two.
    pub flagged_share: f64,
    /// Share of runs that looked better than they were.
    pub too_good_share: f64,
    /// Mean of the reported figures against the mean of the true ones, in per cent of the latter: what remains when runs
    /// that look better and runs that look worse cancel out. `None` where the true ones are all zero and the others are not.
    pub mean_percent: Option<f64>,
    /// Runs that have only one of the two.
    pub one_sided: u64,
    /// Seed of the run that is farthest off in milliseconds; one with only one of the two comes first.
    pub farthest: Option<u64>,
}

/// What a strategy reports over many runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LegSummary {
    /// The strategy.
    pub strategy: StrategyName,
    /// Recovery times.
    pub rto: Distribution,
    /// How often the objective was met, as reported.
    pub rto_met: Probability,
    /// Recovery points.
    pub rpo: Distribution,
    /// How often the objective was met, as reported.
    pub rpo_met: Probability,
}

/// Lost writes over many runs, by nearest rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LostWrites {
    /// In half of the runs at most.
    pub p50: u64,
    /// In 95 of 100 runs at most.
    pub p95: u64,
    /// In 99 of 100 runs at most.
    pub p99: u64,
    /// In any run at most.
    pub max: u64,
}

/// A step's part of the time.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Share {
    /// The step.
    pub step: StepId,
    /// Runs on whose critical path it was.
    pub runs: u64,
    /// Its share of the path's time, on average over all runs that have a path, 0 to 1.
    pub share: f64,
    /// Its time on the path, on average over the runs on whose path it was, in milliseconds.
    pub mean_ms: u64,
}

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BrokenRule {
    /// Its code, with a page in `docs/codes`.
    pub code: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Runs that break it.
    pub runs: u64,
    /// Their seeds, the first ones.
    pub seeds: Vec<u64>,
    /// What happened with the first seed.
    pub message: String,
    /// The first seed's run with the fewest troubles that still break it.
    pub minimal: Minimal,
}

impl Summary {
    /// Adds up the outcomes of a campaign, in the order of their seeds, and makes each kind of broken run small.
    #[must_use]
    pub fn of(campaign: &Campaign, outcomes: Vec<Outcome>) -> Self {
        let rehearsal = &campaign.rehearsal;
        let targets = rehearsal.prepared.runbook.targets;
        let expected = rehearsal.scenario.expect.ending;
        let rto = |outcome: &Outcome| (outcome.rto_ms, outcome.rto.clone());
        let rpo = |outcome: &Outcome| (outcome.rpo_ms, outcome.rpo.clone());
        let mut acts = rehearsal
            .prepared
            .plan
            .steps
            .iter()
            .flat_map(|step| &step.acts);
        let is_a_move = acts.any(|act| act.verb == "flip");
        let paths = |path: fn(&Outcome) -> &[Stretch]| shares(outcomes.iter().map(path));
        Self {
            runbook: rehearsal.prepared.runbook.name.clone(),
            scenario: rehearsal.scenario_name.clone(),
            about: rehearsal.scenario.summary.clone(),
            procedure: rehearsal.prepared.order.procedure.clone(),
            mode: rehearsal.prepared.order.mode,
            first_seed: campaign.seeds.start,
            runs: count(outcomes.len()),
            endings: endings(&outcomes),
            is_a_move,
            is_to_recover: is_a_move && expected.is_none_or(|ending| ending == Ending::Recovered),
            rto: Target::of(millis(targets.rto), &outcomes, rto),
            rpo: Target::of(millis(targets.rpo), &outcomes, rpo),
            legs: legs(campaign, &outcomes),
            lost_writes: LostWrites::of(&outcomes),
            missed: missed(&outcomes),
            path_to_served: paths(|outcome| &outcome.paths.to_served),
            path_to_end: paths(|outcome| &outcome.paths.to_end),
            broken: broken(campaign, &outcomes),
            outcomes,
        }
    }
}

impl Target {
    fn of(
        target_ms: u64,
        outcomes: &[Outcome],
        figure: impl Fn(&Outcome) -> (Option<u64>, Option<Comparison>),
    ) -> Self {
        let met = |outcome: &&Outcome| figure(outcome).0.is_some_and(|ms| ms <= target_ms);
        let first_missed = outcomes.iter().find(|outcome| !met(outcome));
        let compared: Vec<(u64, Comparison)> = outcomes
            .iter()
            .filter_map(|outcome| Some((outcome.seed, figure(outcome).1?)))
            .collect();
        let reported = outcomes.iter().map(|o| figure(o).1?.reported_ms);
        Self {
            target_ms,
            met: Probability::of(
                count(outcomes.iter().filter(met).count()),
                count(outcomes.len()),
            ),
            first_missed: first_missed.map(|outcome| outcome.seed),
            truth: Distribution::of(outcomes.iter().map(|outcome| figure(outcome).0)),
            reported: Distribution::of(reported),
            difference: Difference::of(&compared),
        }
    }
}

impl Difference {
    /// Whether the reported figures can be believed: over all runs together they differ from the truth by no more than
    /// [`TRUTH_TOLERANCE_PERCENT`], and no larger share of the runs has only one of the two. A single run may differ by
    /// more: what it reports is seen from a few vantage points.
    #[must_use]
    pub fn agrees(&self) -> bool {
        let within = |percent: f64| percent.abs() <= TRUTH_TOLERANCE_PERCENT;
        let one_sided = self.one_sided as f64 / self.runs.max(1) as f64 * 100.0;
        within(one_sided) && (self.runs == self.one_sided || self.mean_percent.is_some_and(within))
    }

    fn of(compared: &[(u64, Comparison)]) -> Self {
        let runs = compared.len();
        let all = || compared.iter().map(|(_, comparison)| comparison);
        let share = |matching: usize| match runs {
            0 => 0.0,
            _ => rounded(matching as f64 / runs as f64),
        };
        let ms: Vec<i64> = all().filter_map(|c| c.difference_ms).collect();
        let percents = all().filter_map(|c| c.difference_percent);
        let percents: Vec<f64> = percents.map(f64::abs).collect();
        let distance = |c: &Comparison| c.difference_ms.map_or(u64::MAX, i64::unsigned_abs);
        // The first of those that are equally far.
        let farthest = compared.iter().rev().max_by_key(|(_, c)| distance(c));
        Self {
            runs: count(runs),
            max_ms: ms.iter().map(|ms| ms.unsigned_abs()).max(),
            max_percent: percents.iter().copied().reduce(f64::max),
            median_percent: median(percents),
            flagged_share: share(all().filter(|c| c.flagged).count()),
            too_good_share: share(ms.iter().filter(|ms| **ms < 0).count()),
            mean_percent: mean_percent(all()),
            one_sided: count(runs - ms.len()),
            farthest: farthest.map(|(seed, _)| *seed),
            median_ms: median(ms),
        }
    }
}

/// The sum of the reported figures against the sum of the true ones, of the runs that have both.
fn mean_percent<'a>(compared: impl Iterator<Item = &'a Comparison>) -> Option<f64> {
    let both = compared.filter_map(|c| Some((c.reported_ms?, c.truth_ms?)));
    let (reported, truth) = both.fold((0_u64, 0_u64), |sum, (reported, truth)| {
        (sum.0.saturating_add(reported), sum.1.saturating_add(truth))
    });
    match (reported, truth) {
        (0, 0) => Some(0.0),
        (_, 0) => None,
        _ => Some(rounded((reported as f64 / truth as f64 - 1.0) * 100.0)),
    }
}

impl LostWrites {
    fn of(outcomes: &[Outcome]) -> Self {
        let writes = Distribution::of(outcomes.iter().map(|outcome| Some(outcome.lost_writes)));
        Self {
            p50: writes.p50_ms.unwrap_or(0),
            p95: writes.p95_ms.unwrap_or(0),
            p99: writes.p99_ms.unwrap_or(0),
            max: writes.max_ms.unwrap_or(0),
        }
    }
}

fn endings(outcomes: &[Outcome]) -> Endings {
    let mut endings = Endings::default();
    for outcome in outcomes {
        match outcome.ending {
            Some(Ending::Recovered) => endings.recovered += 1,
            Some(Ending::Undone) => endings.undone += 1,
            Some(Ending::Stuck) => endings.stuck += 1,
            // A rehearsal of a campaign does more than look.
            Some(Ending::Ready | Ending::NotReady) | None => endings.none += 1,
        }
    }
    endings
}

fn legs(campaign: &Campaign, outcomes: &[Outcome]) -> Vec<LegSummary> {
    let prepared = &campaign.rehearsal.prepared;
    let targets = prepared.runbook.targets;
    let (rto_ms, rpo_ms) = (millis(targets.rto), millis(targets.rpo));
    let procedure = prepared.order.procedure.iter().enumerate();
    let leg = |(place, strategy): (usize, &StrategyName)| {
        let of = |figure: fn(&super::outcome::LegOutcome) -> Option<u64>| {
            let times = outcomes
                .iter()
                .map(move |o| o.legs.get(place).and_then(figure));
            times.collect::<Vec<Option<u64>>>()
        };
        let (rto, rpo) = (of(|leg| leg.rto_ms), of(|leg| leg.rpo_ms));
        let met = |times: &[Option<u64>], target: u64| {
            let met = times.iter().filter(|ms| ms.is_some_and(|ms| ms <= target));
            Probability::of(count(met.count()), count(times.len()))
        };
        LegSummary {
            strategy: strategy.clone(),
            rto_met: met(&rto, rto_ms),
            rpo_met: met(&rpo, rpo_ms),
            rto: Distribution::of(rto.into_iter()),
            rpo: Distribution::of(rpo.into_iter()),
        }
    };
    procedure.map(leg).collect()
}

fn missed(outcomes: &[Outcome]) -> BTreeMap<String, u64> {
    let mut missed = BTreeMap::new();
    for key in outcomes.iter().flat_map(|outcome| &outcome.missed) {
        *missed.entry(key.clone()).or_default() += 1;
    }
    missed
}

/// The mean share of each step, over all runs that have a path.
fn shares<'a>(paths: impl Iterator<Item = &'a [Stretch]>) -> Vec<Share> {
    // Runs, sum of shares, sum of milliseconds.
    let mut sums: BTreeMap<&StepId, (u64, f64, u64)> = BTreeMap::new();
    let mut runs = 0_u64;
    for path in paths {
        let whole: u64 = path.iter().map(|(_, ms)| ms).sum();
        if whole == 0 {
            continue;
        }
        runs += 1;
        for (step, ms) in path {
            let sum = sums.entry(step).or_default();
            sum.0 += 1;
            sum.1 += *ms as f64 / whole as f64;
            sum.2 = sum.2.saturating_add(*ms);
        }
    }
    let share = |(step, (on, shares, ms)): (&StepId, (u64, f64, u64))| Share {
        step: step.clone(),
        runs: on,
        share: rounded(shares / runs as f64),
        mean_ms: ms / on.max(1),
    };
    let mut shares: Vec<Share> = sums.into_iter().map(share).collect();
    shares.sort_by(|a, b| b.share.total_cmp(&a.share));
    shares
}

/// Each rule that was broken, with its first run made small.
fn broken(campaign: &Campaign, outcomes: &[Outcome]) -> Vec<BrokenRule> {
    let rule = |(code, name): (&'static str, &'static str)| {
        let breaks = |outcome: &&Outcome| outcome.broken.iter().any(|b| b.code == code);
        let first = outcomes.iter().find(breaks)?;
        let message = first.broken.iter().find(|broken| broken.code == code);
        let seeds: Vec<u64> = outcomes.iter().filter(breaks).map(|o| o.seed).collect();
        Some(BrokenRule {
            code,
            name,
            runs: count(seeds.len()),
            message: message.map_or_else(String::new, |broken| broken.message.clone()),
            minimal: shrink(campaign, first.seed, &first.troubles, code),
            seeds: seeds.into_iter().take(MAX_SEEDS).collect(),
        })
    };
    trace::names().into_iter().filter_map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(pairs: &[(Option<u64>, Option<u64>)]) -> Difference {
        let one = |(seed, (reported_ms, truth_ms)): (u64, &(Option<u64>, Option<u64>))| {
            let ms = |ms: &Option<u64>| ms.map(|ms| i64::try_from(ms).unwrap());
            let comparison = Comparison {
                reported_ms: *reported_ms,
                basis: String::new(),
                truth_ms: *truth_ms,
                difference_ms: ms(reported_ms).zip(ms(truth_ms)).map(|(r, t)| r - t),
                difference_percent: None,
                flagged: false,
            };
            (seed, comparison)
        };
        let all: Vec<_> = (1..).zip(pairs).map(one).collect();
        Difference::of(&all)
    }

    #[test]
    fn figures_agree_over_all_runs_together() {
        let both = |reported, truth| (Some(reported), Some(truth));
        let off = compared(&[both(90, 100), both(112, 100), both(101, 100)]);
        assert!(off.agrees(), "one run may be off: {off:?}");
        assert_eq!((off.mean_percent, off.farthest), (Some(1.0), Some(2)));
        let early = compared(&[both(90, 100), both(100, 100), both(94, 100)]);
        assert!(!early.agrees(), "{early:?}");
        assert!(compared(&[both(0, 0)]).agrees() && !compared(&[both(1, 0)]).agrees());
        assert!(compared(&[]).agrees(), "nobody was served, nobody says so");
    }

    #[test]
    fn a_figure_that_stands_alone_agrees_with_nothing() {
        let never = compared(&[(Some(100), Some(100)), (Some(100), None)]);
        assert_eq!((never.one_sided, never.farthest), (1, Some(2)));
        assert!(!never.agrees(), "{never:?}");
        assert!(!compared(&[(Some(100), None)]).agrees());
    }
}
