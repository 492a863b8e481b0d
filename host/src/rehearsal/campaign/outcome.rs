//! What is kept of one run of a campaign.

use serde::Serialize;

use super::CampaignError;
use super::path::Paths;
use super::trouble::Trouble;
use crate::clock::millis;
use crate::journal::record::{Ending, Record};
use crate::name::StrategyName;
use crate::rehearsal::driver::Rehearsed;
use crate::rehearsal::trace::{Broken, EXPECTATION, OUTCOME};
use crate::report::Figures;
use crate::report::model::Comparison;

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// How it ended; `None` where it has no outcome.
    pub ending: Option<Ending>,
    /// One line on that.
    pub detail: String,
    /// From the outage until clients were served again, in milliseconds; `None` if they never were.
    pub rto_ms: Option<u64>,
    /// Age of the oldest lost write at the outage, in milliseconds; `None` where there is no outcome.
    pub rpo_ms: Option<u64>,
    /// Acknowledged writes that are missing.
    pub lost_writes: u64,
    /// The recovery time that the run reports beside the true one.
    pub rto: Option<Comparison>,
    /// The recovery point that the run reports beside the true one.
    pub rpo: Option<Comparison>,
    /// What each strategy reports.
    pub legs: Vec<LegOutcome>,
    /// Keys of `[expect]` that were missed.
    pub missed: Vec<String>,
    /// Rules that it breaks.
    pub broken: Vec<Broken>,
    /// What went wrong beyond the scenario.
    pub troubles: Vec<Trouble>,
    /// Records of its journal.
    pub records: u64,
    /// Hash of the last record: stands for all of them.
    pub digest: String,
    /// What its time was made of.
    #[serde(skip)]
    pub paths: Paths,
}

/// What a strategy reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LegOutcome {
    /// The strategy that was to do it, whoever did it in its place.
    pub strategy: StrategyName,
    /// Recovery time in milliseconds.
    pub rto_ms: Option<u64>,
    /// Recovery point in milliseconds.
    pub rpo_ms: Option<u64>,
}

impl Outcome {
    /// The outcome of a run that has one.
    #[must_use]
    pub fn of(seed: u64, troubles: Vec<Trouble>, rehearsed: &Rehearsed) -> Self {
        let truth = &rehearsed.truth;
        let mut broken = rehearsed.broken.clone();
        if troubles.is_empty() {
            broken.extend(rehearsed.missed.iter().map(|missed| Broken {
                code: EXPECTATION.0,
                name: EXPECTATION.1,
                message: missed.to_string(),
            }));
            broken.sort_by_key(|broken| broken.code);
        }
        let missed = rehearsed.missed.iter().map(|missed| missed.what.clone());
        let last = rehearsed.entries.last();
        let figures = Figures::of(&rehearsed.entries).ok();
        let paths = figures.as_ref().map(|figures| paths(figures, rehearsed));
        let (legs, reported) = figures.map_or_else(Default::default, |figures| {
            let header = rehearsed.entries.first().map(|entry| &entry.record);
            (legs(&figures, header), figures.truth)
        });
        let (rto, rpo) = reported.map_or((None, None), |truth| (truth.rto, truth.rpo));
        Self {
            seed,
            ending: Some(rehearsed.ended.ending),
            detail: rehearsed.ended.detail.clone(),
            rto_ms: truth.rto.map(millis),
            rpo_ms: Some(millis(truth.rpo)),
            lost_writes: truth.lost_writes,
            rto,
            rpo,
            legs,
            missed: missed.collect(),
            broken,
            troubles,
            records: crate::report::units::count(rehearsed.entries.len()),
            digest: last.map_or_else(String::new, |entry| entry.hash.clone()),
            paths: paths.unwrap_or_default(),
        }
    }

    /// The outcome of a run that has none, and why.
    #[must_use]
    pub fn none(seed: u64, troubles: Vec<Trouble>, error: &CampaignError) -> Self {
        let broken = Broken {
            code: OUTCOME.0,
            name: OUTCOME.1,
            message: error.to_string(),
        };
        Self {
            seed,
            ending: None,
            detail: error.to_string(),
            rto_ms: None,
            rpo_ms: None,
            lost_writes: 0,
            rto: None,
            rpo: None,
            legs: Vec::new(),
            missed: Vec::new(),
            broken: vec![broken],
            troubles,
            records: 0,
            digest: String::new(),
            paths: Paths::default(),
        }
    }
}

fn paths(figures: &Figures, rehearsed: &Rehearsed) -> Paths {
    let entries = &rehearsed.entries;
    let started = entries.first().map(|entry| entry.at).unwrap_or_default();
    let served = entries.iter().find_map(|entry| match &entry.record {
        Record::Marked { step, name, .. } if name == "served" => Some((step, entry.at)),
        _ => None,
    });
    Paths::of(figures, started, served)
}

/// What each strategy of the procedure reports, under the name it has there.
fn legs(figures: &Figures, header: Option<&Record>) -> Vec<LegOutcome> {
    let Some(Record::RunStarted(header)) = header else {
        return Vec::new();
    };
    let legs = header.strategies.iter().zip(&figures.legs);
    legs.map(|(strategy, leg)| LegOutcome {
        strategy: strategy.clone(),
        rto_ms: leg.rto.achieved_ms,
        rpo_ms: leg.rpo.achieved_ms,
    })
    .collect()
}
