//! What a report says: plain data, every figure taken from the journal, every blank left for people on purpose.
//!
//! Start at [`Report`]; its lines are in [`account`](super::account). How the figures are found is in the sibling modules; how they are shown in
//! [`markdown`](super::markdown), [`html`](super::html) and [`json`](super::json).

use std::collections::BTreeMap;

use serde::Serialize;

use super::account::{
    CoveredItem, Effect, EgressLine, Event, Evidence, GateLine, Issue, Mark, Measurement, StepLine,
};
use crate::clock::Instant;
use crate::journal::record::{Mode, Stage};
use crate::name::{PluginDigest, PluginName, RunId, StepId, StrategyName};

/// Version of the report's JSON. Fields are added under the same version; one that changes its meaning raises it.
pub const REPORT_VERSION: u32 = 1;

/// A figure that differs from the truth by more than this many per cent is flagged.
pub const TRUTH_TOLERANCE_PERCENT: f64 = 5.0;

/// Everything a postmortem is written from.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// [`REPORT_VERSION`].
    pub report_version: u32,
    /// What ran.
    pub run: RunFacts,
    /// How it ended, or that it has not.
    pub conclusion: Conclusion,
    /// What was in it and what was not.
    pub scope: Scope,
    /// One per strategy, in order: for example a failover and a failback.
    pub legs: Vec<Leg>,
    /// What the simulated world knows, in a rehearsal that came to its end.
    pub truth: Option<Truth>,
    /// Milestones in order of time; the first per leg, name and site.
    pub marks: Vec<Mark>,
    /// Every step of the plan, in the plan's order.
    pub steps: Vec<StepLine>,
    /// What happened, in order of time.
    pub timeline: Vec<Event>,
    /// Every human decision asked for.
    pub gates: Vec<GateLine>,
    /// What went wrong or needs a look, in order of time.
    pub issues: Vec<Issue>,
    /// Every measurement.
    pub measurements: Vec<Measurement>,
    /// Every call that could change the world.
    pub effects: Vec<Effect>,
    /// What providers sent, added up; for the auditor.
    pub egress: Vec<EgressLine>,
    /// Everything attached.
    pub evidence: Vec<Evidence>,
    /// Items of source runbooks that done steps covered.
    pub items: Vec<CoveredItem>,
    /// Whether the exercise may be closed.
    pub exit_criteria: Vec<Criterion>,
    /// What no journal can know.
    pub for_people: ForPeople,
}

/// Facts of the run, from its header and its records.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RunFacts {
    /// The run.
    pub id: RunId,
    /// Name of the runbook.
    pub runbook: String,
    /// SHA-256 of the runbook file.
    pub runbook_digest: String,
    /// SHA-256 of the merged plan.
    pub plan_digest: String,
    /// SHA-256 of bindings and grants.
    pub policy_digest: String,
    /// Digests of the plugins.
    pub plugins: BTreeMap<PluginName, PluginDigest>,
    /// Versions of the hosts that worked on it, in order.
    pub host_versions: Vec<String>,
    /// Who started it.
    pub started_by: String,
    /// First record.
    pub started_at: Instant,
    /// Last record.
    pub last_record_at: Instant,
    /// Time between them, in milliseconds.
    pub elapsed_ms: u64,
    /// How often a host took it over.
    pub resumes: u64,
    /// Number of records.
    pub records: u64,
    /// Calls made that only read.
    pub reads: u64,
    /// Hash of the last record: names this state of the journal.
    pub last_hash: String,
}

/// How a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Conclusion {
    /// How.
    pub ending: Standing,
    /// One line, from the journal.
    pub detail: String,
    /// When it was written; `None` while there is no ending.
    pub at: Option<Instant>,
}

/// [`Ending`](crate::journal::record::Ending), or none yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Every step done.
    Recovered,
    /// Failed, and everything that could be was taken back.
    Undone,
    /// A human is needed.
    Stuck,
    /// It only looked, and everything holds.
    Ready,
    /// It only looked, and something does not hold or could not be asked.
    NotReady,
    /// The journal has no ending: a host works on it, or one was killed while it did.
    Unfinished,
}

/// What was included and excluded.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Scope {
    /// Live, or a rehearsal with scenario and seed.
    pub stage: Stage,
    /// Whether the site that was left still answered.
    pub mode: Mode,
    /// Strategies in order.
    pub strategies: Vec<StrategyName>,
    /// Sites that steps act on or milestones name.
    pub sites: Vec<String>,
    /// Number of steps that were begun.
    pub steps_begun: u64,
    /// Number of steps of the plan.
    pub steps_planned: u64,
    /// What was left out, and why.
    pub excluded: Vec<Exclusion>,
}

/// A step that did not happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Exclusion {
    /// The step.
    pub step: StepId,
    /// Its title; empty where the plan does not have it.
    pub title: String,
    /// Why, for example `never begun`.
    pub reason: String,
}

/// One strategy of the run with its figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Leg {
    /// The strategy.
    pub strategy: StrategyName,
    /// Strategies in whose place it stands, the first one first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub instead_of: Vec<StrategyName>,
    /// Site that serves after it, where a `served` milestone names one.
    pub to_site: Option<String>,
    /// Where the axis of its timeline is zero.
    pub begun_at: Option<Instant>,
    /// What [`begun_at`](Self::begun_at) is.
    pub begun_by: LegStart,
    /// When its last step ended, or the last record of an unfinished one.
    pub ended_at: Option<Instant>,
    /// When clients were served by [`to_site`](Self::to_site).
    pub served_at: Option<Instant>,
    /// Since when users failed, where a step measured it.
    pub outage_began_at: Option<Instant>,
    /// What the recovery time counts from: [`outage_began_at`](Self::outage_began_at), else in a planned move the freeze,
    /// else [`begun_at`](Self::begun_at).
    pub rto_from: Option<Instant>,
    /// Recovery time against its objective.
    pub rto: Objective,
    /// From [`begun_at`](Self::begun_at) until served, in milliseconds.
    pub begun_to_served_ms: Option<u64>,
    /// The same from `outage-detected`, where that milestone was set, in milliseconds.
    pub rto_from_detection_ms: Option<u64>,
    /// From `frozen` until `served`: how long clients could not write, in milliseconds.
    pub writes_stopped_ms: Option<u64>,
    /// Recovery point against its objective.
    pub rpo: Objective,
    /// Last measured replication lag in milliseconds.
    pub replication_lag_ms: Option<u64>,
    /// Age of the backup in milliseconds.
    pub backup_age_ms: Option<u64>,
    /// How long clients took to follow the flip.
    pub dns: Option<Convergence>,
}

/// What a leg is counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LegStart {
    /// Its `declared` milestone.
    Declared,
    /// Its first step, as it set no `declared` milestone.
    FirstStep,
    /// Nothing: no step of it was begun.
    NotBegun,
}

/// An objective and what was achieved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Objective {
    /// The objective in milliseconds.
    pub target_ms: u64,
    /// What was achieved in milliseconds; `None` where it was not reached or not measured.
    pub achieved_ms: Option<u64>,
    /// What the figure is, in words, for example `outage to served`.
    pub basis: String,
    /// How the two compare.
    pub verdict: Verdict,
}

/// How a figure compares with its objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Within.
    Met,
    /// Over.
    Missed,
    /// There is no figure.
    Unknown,
}

/// From the flip of the name until clients follow it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Convergence {
    /// `flipped`.
    pub flipped_at: Instant,
    /// `converged`.
    pub converged_at: Option<Instant>,
    /// Time between them in milliseconds.
    pub took_ms: Option<u64>,
}

/// What a rehearsal's world knows, beside what the runbook reports.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Truth {
    /// Time from the outage until most clients were served again, in milliseconds.
    pub rto_ms: Option<u64>,
    /// Time from the recovery point to the disruption, in milliseconds; see [`crate::rehearsal::truth`].
    pub rpo_ms: u64,
    /// Acknowledged writes that are missing.
    pub lost_writes: u64,
    /// Acknowledged writes in all.
    pub acknowledged_writes: u64,
    /// Further figures.
    pub figures: BTreeMap<String, f64>,
    /// Reported recovery time beside the true one.
    pub rto: Option<Comparison>,
    /// Reported recovery point beside the true one.
    pub rpo: Option<Comparison>,
}

/// A reported figure beside the true one.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Comparison {
    /// What was reported, in milliseconds.
    pub reported_ms: Option<u64>,
    /// What the reported figure is.
    pub basis: String,
    /// What was true, in milliseconds.
    pub truth_ms: Option<u64>,
    /// Reported minus true in milliseconds: negative where the run looked better than it was.
    pub difference_ms: Option<i64>,
    /// The difference in per cent of the truth; `None` where the truth is zero or missing.
    pub difference_percent: Option<f64>,
    /// More than [`TRUTH_TOLERANCE_PERCENT`] apart, or only one of the two exists.
    pub flagged: bool,
}

/// One condition for closing the exercise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Criterion {
    /// The condition.
    pub text: String,
    /// Whether it holds; `None` where only people can say.
    pub met: Option<bool>,
    /// What the journal has to say about it.
    pub because: String,
}

/// Fields of the postmortem that people fill in. All are blank in a fresh report.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ForPeople {
    /// Root causes of the issues.
    pub root_causes: Option<String>,
    /// What could have been seen or done earlier.
    pub contributing_factors: Option<String>,
    /// Fixes and improvements of the runbook.
    pub fixes_runbook: Option<String>,
    /// Fixes and improvements of the automation.
    pub fixes_automation: Option<String>,
    /// Fixes and improvements of alerts.
    pub fixes_alerts: Option<String>,
    /// One per issue that is more than a note, at least one.
    pub action_items: Vec<ActionItem>,
}

/// Something to be done by somebody until some day.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ActionItem {
    /// Number of the issue it answers, from 1 in the order of the report.
    pub issue: Option<u64>,
    /// What is to be done.
    pub action: Option<String>,
    /// By whom.
    pub owner: Option<String>,
    /// Until when.
    pub due: Option<String>,
}
