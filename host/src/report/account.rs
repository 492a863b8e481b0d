//! What happened, line by line: steps, decisions, issues, effects and evidence of a report.
//!
//! Plain data like [`model`](super::model), which holds the figures and the whole.

use serde::Serialize;
use serde_json::Value;

use crate::call::Direction;
use crate::clock::Instant;
use crate::journal::record::{AnswerSource, Choice, GateKind};
use crate::name::{ItemId, PluginName, RoleName, StepId, StrategyName};
use crate::plan::Act;
use crate::run::state::StepState;

/// A milestone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Mark {
    /// When.
    pub at: Instant,
    /// For example `declared`.
    pub name: String,
    /// Site, where it is about one.
    pub site: Option<String>,
    /// The step that set it.
    pub step: StepId,
}

/// A step of the plan and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepLine {
    /// The step.
    pub id: StepId,
    /// One line in the imperative.
    pub title: String,
    /// Who answers for it.
    pub role: RoleName,
    /// Where it stands.
    pub state: StepState,
    /// The newest line that goes with the state.
    pub detail: String,
    /// First start.
    pub started_at: Option<Instant>,
    /// When it came to rest; `None` while it has not.
    pub ended_at: Option<Instant>,
    /// Budget in milliseconds.
    pub budget_ms: u64,
    /// Time it ran, all attempts together, without waiting for people, in milliseconds.
    pub took_ms: Option<u64>,
    /// How far its longest attempt went over the budget, in milliseconds.
    pub over_budget_ms: Option<u64>,
    /// Time it stood while people were asked, in milliseconds.
    pub waited_for_people_ms: u64,
    /// Attempts begun.
    pub attempts: u32,
    /// Once begun there was no way back.
    pub point_of_no_return: bool,
    /// What it does.
    pub acts: Vec<Act>,
    /// Items of source runbooks.
    pub covers: Vec<ItemId>,
    /// The periods of its life that are neither before its beginning nor after its end.
    pub periods: Vec<Period>,
}

/// A stretch of a step's life in one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Period {
    /// The state.
    pub state: StepState,
    /// Attempt, from 1.
    pub attempt: u32,
    /// When it was entered.
    pub from: Instant,
    /// When it was left, or the last record.
    pub until: Instant,
}

/// Something that happened, for the timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Event {
    /// When.
    pub at: Instant,
    /// The record it comes from.
    pub seq: u64,
    /// What kind of thing.
    pub kind: EventKind,
    /// The step, where it is about one.
    pub step: Option<StepId>,
    /// One line.
    pub text: String,
}

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// The run began, was taken over, was asked to go back or ended.
    Run,
    /// A step changed its state.
    Step,
    /// A milestone.
    Mark,
    /// A question to people, or an answer.
    Gate,
    /// A step went over its budget.
    Budget,
    /// A call was retried or refused.
    Call,
    /// A log line.
    Log,
    /// A measurement.
    Measurement,
}

/// A human decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct GateLine {
    /// Its identity.
    pub gate: String,
    /// The step it is about.
    pub step: StepId,
    /// What it is about.
    pub kind: GateKind,
    /// Who may answer.
    pub role: RoleName,
    /// How many must say go.
    pub quorum: u32,
    /// The question.
    pub title: String,
    /// What the person was told.
    pub detail: String,
    /// When it was asked.
    pub opened_at: Instant,
    /// What came of it.
    pub result: GateResult,
    /// From the question to the answer that decided it, in milliseconds.
    pub took_ms: Option<u64>,
    /// Strategies that may take the place of the step's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<StrategyName>,
    /// Who said what.
    pub answers: Vec<Answer>,
}

/// What came of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateResult {
    /// Go.
    Go,
    /// No-go.
    NoGo,
    /// Another strategy.
    Switched,
    /// Not answered, or not by enough people.
    Open,
}

/// A person's answer, or the gate's default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Answer {
    /// When.
    pub at: Instant,
    /// What was said.
    pub choice: Choice,
    /// Who.
    pub by: String,
    /// As which role.
    pub role: RoleName,
    /// Why.
    pub note: String,
    /// By which way.
    pub source: AnswerSource,
    /// Time since the question, in milliseconds.
    pub after_ms: u64,
}

/// Something that went wrong or needs a look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Issue {
    /// When.
    pub at: Instant,
    /// How much it matters.
    pub severity: Severity,
    /// What kind.
    pub kind: IssueKind,
    /// The step, where it is about one.
    pub step: Option<StepId>,
    /// One line.
    pub text: String,
}

/// How much an issue matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// It cost time or margin.
    Warning,
    /// It stopped something, lost something or broke an objective.
    Problem,
}

/// What kind of issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum IssueKind {
    /// A step failed.
    StepFailed,
    /// A step is stuck: a human is needed.
    Stuck,
    /// A step was taken back.
    Undone,
    /// A step went over its budget.
    OverBudget,
    /// A call had to be tried again.
    Retried,
    /// Policy refused a call.
    Denied,
    /// A call failed for good.
    CallFailed,
    /// An effect was sent, or may have been, and its fate is not recorded.
    InDoubt,
    /// Data loss above the objective was accepted by a person.
    LossWaived,
    /// Somebody said no.
    NoGo,
    /// Another strategy took over.
    Switched,
    /// A gate was answered by its default.
    AnsweredByDefault,
    /// A gate is still open.
    Unanswered,
    /// Somebody asked for the run to be taken back.
    Aborted,
    /// A host took the run over.
    Resumed,
    /// An objective was missed.
    ObjectiveMissed,
    /// A scenario expects something that did not hold.
    ExpectationMissed,
    /// A reported figure is not what the world knows.
    DiffersFromTruth,
    /// A plugin said that somebody should look.
    Logged,
    /// The journal has no ending.
    Unfinished,
}

/// A measurement.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Measurement {
    /// When.
    pub at: Instant,
    /// The step.
    pub step: StepId,
    /// For example `rpo`.
    pub name: String,
    /// `control.quantity` as JSON.
    pub quantity: Value,
}

/// A call that could change the world.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Effect {
    /// When the intent was recorded, or the refusal.
    pub at: Instant,
    /// The step.
    pub step: StepId,
    /// Performing or taking back.
    pub direction: Direction,
    /// Attempt at the step, from 1.
    pub attempt: u32,
    /// Which call of that attempt, from 0.
    pub ordinal: u32,
    /// Short name, for example `dns/ensure-record`; empty where only the outcome was recorded.
    pub call: String,
    /// Arguments, secrets redacted.
    pub args: Value,
    /// What came of it.
    pub outcome: EffectOutcome,
    /// The reply or the error in one line.
    pub detail: String,
    /// Attempts it took; 0 where nothing was sent.
    pub attempts: u32,
    /// From intent to outcome in milliseconds.
    pub took_ms: Option<u64>,
    /// The call's identity for whoever served it.
    pub key: String,
}

/// What came of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EffectOutcome {
    /// The world was changed.
    Changed,
    /// It already was as asked.
    Unchanged,
    /// Something else was answered.
    Answered,
    /// An error came back.
    Failed,
    /// Policy refused; nothing was sent.
    Denied,
    /// The fate is not known.
    InDoubt,
}

/// Requests of a provider, added up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct EgressLine {
    /// The provider.
    pub plugin: PluginName,
    /// What it did, without payload.
    pub action: String,
    /// What came of it.
    pub result: String,
    /// How often.
    pub count: u64,
    /// Time it took in all, in milliseconds.
    pub took_ms: u64,
}

/// Something kept for the postmortem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// When.
    pub at: Instant,
    /// The step.
    pub step: StepId,
    /// Unique within the step.
    pub name: String,
    /// Media type.
    pub media_type: String,
    /// The evidence, secrets redacted.
    pub content: String,
}

/// An item of a source runbook and the done steps that cover it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CoveredItem {
    /// The item.
    pub item: ItemId,
    /// Steps that cover it and are done.
    pub done_by: Vec<StepId>,
    /// Steps that would cover it and are not done.
    pub open_in: Vec<StepId>,
}
