//! The postmortem of a run, as a pure function of its journal: the same records give the same report, byte for byte.
//!
//! Start at [`Report::of`] and [`model`]; then [`markdown`], [`html`] and [`json`] show it. What is not here: a clock
//! (a report of a running run ends at its last record), and any opinion on causes, which is left to people.

pub mod account;
pub mod events;
pub mod html;
pub mod json;
pub mod markdown;
pub mod model;
pub mod units;

mod calls;
mod course;
mod criteria;
mod gates;
mod issues;
mod legs;
mod steps;
mod timeline;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::journal::record::{Ending, Entry, Record};
use crate::plan::Plan;
use account::StepLine;
use course::Course;
use model::{Conclusion, Leg, Report, RunFacts, Standing, Truth};

/// Pages of this module's codes.
pub const PAGES: &[(&str, &str)] = crate::explain::pages!["RP0001", "RP0002"];

/// A journal that no report can be made of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// There is no record at all.
    #[error(
        "RP0001: the journal is empty, so there is no run to report on; check that the run was started"
    )]
    Empty,
    /// The first record is something else than a start.
    #[error(
        "RP0002: the journal does not begin with the start of a run; `understudy verify` tells whether it is whole"
    )]
    NoStart,
}

impl Report {
    /// The report of a journal, finished or not.
    ///
    /// # Errors
    /// [`ReportError`] where the journal does not begin with the start of a run.
    pub fn of(entries: &[Entry]) -> Result<Self, ReportError> {
        let first = entries.first().ok_or(ReportError::Empty)?;
        let Record::RunStarted(header) = &first.record else {
            return Err(ReportError::NoStart);
        };
        let last = entries.last().unwrap_or(first);
        let conclusion = conclusion(entries);
        let marks = legs::marks(entries);
        let measurements = events::measurements(entries);
        let course = Course::of(header, entries);
        let steps = steps::lines(entries, &course.header, last.at);
        let legs = legs::legs(&course, &marks, &measurements, &steps);
        let gates = gates::lines(entries);
        let truth = legs::truth(entries, &legs);
        let effects = calls::effects(entries);
        let mut report = Self {
            report_version: model::REPORT_VERSION,
            run: facts(entries, &course, first, last),
            scope: steps::scope(&course.header, &steps, &marks),
            timeline: events::timeline(entries),
            egress: calls::egress(entries),
            evidence: events::evidence(entries),
            items: steps::items(&steps),
            issues: Vec::new(),
            exit_criteria: Vec::new(),
            for_people: model::ForPeople::default(),
            conclusion,
            legs,
            truth,
            marks,
            steps,
            gates,
            measurements,
            effects,
        };
        report.issues = issues::issues(entries, &report);
        report.exit_criteria = criteria::exit_criteria(&report);
        report.for_people = criteria::for_people(&report.issues);
        Ok(report)
    }

    /// Where the report's axis is zero: the first leg's beginning, else the first record.
    #[must_use]
    pub fn zero(&self) -> crate::clock::Instant {
        let begun = self.legs.iter().find_map(|leg| leg.begun_at);
        begun.unwrap_or(self.run.started_at)
    }

    /// The title of a step; its id where the plan does not have it.
    #[must_use]
    pub fn title_of<'a>(&'a self, step: &'a crate::name::StepId) -> &'a str {
        let line = self.steps.iter().find(|line| &line.id == step);
        line.map_or(step.as_str(), |line| line.title.as_str())
    }
}

/// The figures of a journal without its stories: what is kept of a run where there are many.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// As [`Report::legs`].
    pub legs: Vec<Leg>,
    /// As [`Report::truth`].
    pub truth: Option<Truth>,
    /// As [`Report::steps`].
    pub steps: Vec<StepLine>,
    /// The plan in the end, and before it the steps that a switch of strategies gave up.
    pub plan: Arc<Plan>,
}

impl Figures {
    /// The figures of a journal, finished or not.
    ///
    /// # Errors
    /// As [`Report::of`].
    pub fn of(entries: &[Entry]) -> Result<Self, ReportError> {
        let first = entries.first().ok_or(ReportError::Empty)?;
        let Record::RunStarted(header) = &first.record else {
            return Err(ReportError::NoStart);
        };
        let last = entries.last().unwrap_or(first);
        let course = Course::of(header, entries);
        let steps = steps::lines(entries, &course.header, last.at);
        let marks = legs::marks(entries);
        let legs = legs::legs(&course, &marks, &events::measurements(entries), &steps);
        Ok(Self {
            truth: legs::truth(entries, &legs),
            legs,
            steps,
            plan: course.header.plan,
        })
    }
}

/// The last ending, unless the run was resumed after it.
fn conclusion(entries: &[Entry]) -> Conclusion {
    let newest = entries
        .iter()
        .rev()
        .find_map(|entry| match &entry.record {
            Record::RunEnded { ending, detail } => Some(Some((entry.at, *ending, detail))),
            Record::RunResumed { .. } => Some(None),
            _ => None,
        })
        .flatten();
    match newest {
        Some((at, ending, detail)) => Conclusion {
            ending: match ending {
                Ending::Recovered => Standing::Recovered,
                Ending::Undone => Standing::Undone,
                Ending::Stuck => Standing::Stuck,
                Ending::Ready => Standing::Ready,
                Ending::NotReady => Standing::NotReady,
            },
            detail: units::one_line(detail),
            at: Some(at),
        },
        None => Conclusion {
            ending: Standing::Unfinished,
            detail: "the journal has no ending yet".to_owned(),
            at: None,
        },
    }
}

fn facts(entries: &[Entry], course: &Course, first: &Entry, last: &Entry) -> RunFacts {
    let header = &course.header;
    let resumed = entries.iter().filter_map(|entry| match &entry.record {
        Record::RunResumed { host_version } => Some(host_version.clone()),
        _ => None,
    });
    let host_versions: Vec<String> = std::iter::once(header.host_version.clone())
        .chain(resumed)
        .collect();
    RunFacts {
        id: header.run.clone(),
        runbook: units::one_line(&header.runbook),
        runbook_digest: header.runbook_digest.clone(),
        plan_digest: course.in_force.digest(),
        policy_digest: header.policy_digest.clone(),
        plugins: header.plugins.clone(),
        started_by: units::one_line(&header.started_by),
        started_at: first.at,
        last_record_at: last.at,
        elapsed_ms: crate::clock::millis(last.at.since(first.at)),
        resumes: units::count(host_versions.len().saturating_sub(1)),
        records: units::count(entries.len()),
        reads: calls::reads(entries),
        last_hash: last.hash.clone(),
        host_versions,
    }
}
