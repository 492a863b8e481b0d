//! A scenario whose times are those of a run that was made: what a rehearsal must know to be believed.
//!
//! Start at [`Calibration::of`]: it reads a journal ([`calls`], [`found`]) and lays what it measured over a scenario that
//! says what the world is like otherwise ([`fitted`]). [`fidelity`] compares the run with a rehearsal in the fitted
//! scenario. Pure: nothing here runs anything.
//!
//! What the host itself took between two calls counts to the call before or after it, as a rehearsal's host takes no time.

mod calls;
pub mod fidelity;
mod fitted;
mod found;
mod spread;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::clock::Instant;
use crate::journal::record::{Entry, Record};
use crate::name::{RoleName, RunId};
use crate::rehearsal::scenario::ScenarioError;
use crate::report::ReportError;
use found::{Found, Propagation};
use spread::Spread;

/// Pages of this module's codes.
pub const PAGES: &[(&str, &str)] = crate::explain::pages!["CL0001", "CL0002"];

/// Why a scenario cannot be fitted to a run.
#[derive(Debug, thiserror::Error)]
pub enum CalibrateError {
    /// The journal is no run's.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// There is nothing to measure.
    #[error("CL0001: run `{run}` made no call whose time could be measured")]
    NothingMeasured {
        /// The run.
        run: RunId,
    },
    /// The scenario to start from is not one.
    #[error("CL0002: the scenario to start from cannot be fitted: {0}")]
    Base(String),
    /// What was measured does not go with the scenario to start from.
    #[error("CL0002: the fitted scenario cannot be: {0}")]
    Fitted(#[from] ScenarioError),
}

/// What a run says of the times of its world.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    run: RunId,
    /// When the run began.
    started_at: Instant,
    /// Time of the calls, by function and site.
    calls: BTreeMap<calls::Asked, calls::Times>,
    /// Time of any read.
    reads: Spread,
    /// Time after which a place that does not answer is given up.
    given_up: Spread,
    /// Time that people took, by role.
    people: BTreeMap<RoleName, Spread>,
    /// How soon resolvers followed, by what the name was led to.
    propagation: BTreeMap<String, Propagation>,
    /// What the first looks found.
    found: Found,
}

impl Calibration {
    /// What the journal of a run says, live or rehearsed.
    ///
    /// # Errors
    /// [`CalibrateError`] where the journal is no run's, or of a run that asked nothing of its world.
    pub fn of(entries: &[Entry]) -> Result<Self, CalibrateError> {
        let first = entries.first().ok_or(ReportError::Empty)?;
        let Record::RunStarted(header) = &first.record else {
            return Err(ReportError::NoStart.into());
        };
        let made = calls::read(entries);
        let measured = calls::times(&made);
        if measured.by_asked.is_empty() {
            let run = header.run.clone();
            return Err(CalibrateError::NothingMeasured { run });
        }
        Ok(Self {
            run: header.run.clone(),
            started_at: first.at,
            calls: measured.by_asked,
            reads: measured.reads,
            given_up: measured.given_up,
            people: people(entries),
            propagation: found::propagation(&made),
            found: Found::of(entries, &made)?,
        })
    }
}

/// From each question to the first answer to it, by the role that gave it.
fn people(entries: &[Entry]) -> BTreeMap<RoleName, Spread> {
    let mut asked: BTreeMap<&str, Instant> = BTreeMap::new();
    let mut people: BTreeMap<RoleName, Spread> = BTreeMap::new();
    for entry in entries {
        match &entry.record {
            Record::GateOpened { gate, .. } => {
                asked.insert(gate, entry.at);
            }
            Record::GateAnswered { gate, role, .. } => {
                if let Some(since) = asked.remove(gate.as_str()) {
                    people
                        .entry(role.clone())
                        .or_default()
                        .add(entry.at.since(since));
                }
            }
            _ => {}
        }
    }
    people
}
