//! What a journal says, record by record. Reports, resume and verification read nothing else.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::call::{
    Arguments, CallHash, CallKind, CallSite, FunctionName, IdempotencyKey, Operation, Reply,
};
use crate::clock::Instant;
use crate::name::{PluginDigest, PluginName, RoleName, RunId, StepId, StrategyName};
use crate::plan::Plan;
use crate::run::state::StepState;
use crate::runbook::types::Gate;

/// Version of the records. A reader refuses a journal of a version it does not know.
pub const RECORD_VERSION: u32 = 1;

/// Something that a scenario expects and that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Missed {
    /// What: the key of `[expect]`, or the cue of the script.
    pub what: String,
    /// As the scenario has it.
    pub expected: String,
    /// As it was.
    pub found: String,
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` should be {}, and is {}",
            self.what, self.expected, self.found
        )
    }
}

/// A record in its place in the chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    /// From 0, without gaps.
    pub seq: u64,
    /// When it was written.
    pub at: Instant,
    /// Fencing epoch of the writer: grows by one with each host that takes the run over.
    pub epoch: u64,
    /// What is said.
    pub record: Record,
    /// SHA-256, lower-case hexadecimal, over the previous entry's hash (64 zeros for the first) and the canonical
    /// JSON of `[seq, at, epoch, record]`.
    pub hash: String,
}

/// Whether the world was real.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Stage {
    /// The real thing.
    Live,
    /// A simulated world.
    Rehearsal {
        /// Seed of the world.
        seed: u64,
        /// Name of the scenario.
        scenario: String,
        /// SHA-256 of the scenario file, lower-case hexadecimal.
        scenario_digest: String,
    },
}

/// What a run is, fixed at its start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Header {
    /// [`RECORD_VERSION`].
    pub version: u32,
    /// The run.
    pub run: RunId,
    /// Name of the runbook.
    pub runbook: String,
    /// SHA-256 of the runbook file.
    pub runbook_digest: String,
    /// Path of the runbook file, so that `resume` finds it again.
    pub runbook_path: String,
    /// Paths of the files laid over it, in order.
    #[serde(default)]
    pub overlays: Vec<String>,
    /// Strategies, in order.
    pub strategies: Vec<StrategyName>,
    /// Live or rehearsal.
    pub stage: Stage,
    /// `graceful` or `ungraceful`.
    pub mode: Mode,
    /// Recovery time objective in milliseconds.
    pub rto_target_ms: u64,
    /// Recovery point objective in milliseconds.
    pub rpo_target_ms: u64,
    /// Digests of all plugins the run may use.
    pub plugins: BTreeMap<PluginName, PluginDigest>,
    /// SHA-256 of bindings and grants (the policy), lower-case hexadecimal.
    pub policy_digest: String,
    /// Version of the host.
    pub host_version: String,
    /// Who started it, as given.
    pub started_by: String,
    /// The merged plan.
    pub plan: Arc<Plan>,
    /// Steps of the strategies that the runbook takes out of the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<StepId>,
}

/// Whether the site that is left still answers (`understudy:plugin/strategy.mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It answers.
    Graceful,
    /// It may be dead.
    Ungraceful,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Every step done.
    Recovered,
    /// Failed, and everything that could be was taken back.
    Undone,
    /// A human is needed. Not final: `resume` goes on.
    Stuck,
    /// It only looked, and everything holds.
    Ready,
    /// It only looked, and something does not hold or could not be asked.
    NotReady,
}

/// Where an answer to a gate came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerSource {
    /// Typed at the run's own terminal.
    Terminal,
    /// By `understudy decide`.
    Mailbox,
    /// The gate's default, after its timeout.
    Timeout,
    /// A simulated person.
    Scenario,
    /// Given beforehand, by the command that started the run (`--answer ROLE=go`).
    CommandLine,
}

/// What a gate is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateKind {
    /// Before a step starts.
    Before,
    /// After a step is done.
    After,
    /// A step is over its budget and goes on meanwhile.
    OverBudget,
    /// A step failed: go tries it again, no-go takes the run back.
    Failed,
    /// A strategy asks (`control.decide`).
    Question,
}

/// What a person decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// Go on.
    Go,
    /// Do not.
    NoGo,
    /// Another strategy takes the place of the step's own; only where the gate offers it.
    Switch(StrategyName),
}

impl Choice {
    /// Go or no-go.
    #[must_use]
    pub fn of(go: bool) -> Self {
        if go { Self::Go } else { Self::NoGo }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Go => f.write_str("go"),
            Self::NoGo => f.write_str("no-go"),
            Self::Switch(strategy) => write!(f, "switch to {strategy}"),
        }
    }
}

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// For authors.
    Debug,
    /// For the timeline.
    Info,
    /// Somebody should look.
    Warn,
}

/// One thing that is said. The members of what is said often are in alphabetical order, as the journal has them: nothing has
/// to be sorted to print them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    tag = "type",
    content = "body"
)]
pub enum Record {
    /// Always the first.
    RunStarted(Box<Header>),
    /// A host took the run over.
    RunResumed {
        /// Version of the host.
        host_version: String,
    },
    /// A step went from one state to another.
    StepChanged {
        /// Attempt at the step, from 1.
        attempt: u32,
        /// One line for the timeline: the strategy's own answer, or why it failed. May be empty.
        detail: String,
        /// Before.
        from: StepState,
        /// The step.
        step: StepId,
        /// After.
        to: StepState,
    },
    /// A call is about to be made. Effects: durable before anything is sent.
    Intent {
        /// Arguments, secrets redacted.
        args: Arguments,
        /// What is asked.
        function: FunctionName,
        /// Hash over the arguments as they were.
        hash: CallHash,
        /// The call's identity for whoever serves it.
        key: IdempotencyKey,
        /// Read, ensure or once.
        kind: CallKind,
        /// Where in the run.
        site: CallSite,
    },
    /// An attempt at a call failed in a way that is likely to pass; another follows.
    Retried {
        /// From 1.
        attempt: u32,
        /// What came back.
        error: crate::call::CallError,
        /// When the next attempt is made.
        next_at: Instant,
        /// Where in the run.
        site: CallSite,
    },
    /// The other side works on it; the host waits.
    Waiting {
        /// What is waited for.
        operation: Operation,
        /// Where in the run.
        site: CallSite,
    },
    /// What came of a call. `reply` is what the plugin is told, now and on every replay.
    Outcome {
        /// Attempts it took, from 1; 0 where policy refused and nothing was sent.
        attempts: u32,
        /// `Ok` payload or error, secrets redacted.
        reply: Arc<Reply>,
        /// Where in the run.
        site: CallSite,
    },
    /// A provider used a capability of the host. Not replayed; for the auditor.
    Egress {
        /// What it did, without payload: `http GET https://host/path`, `sql pz: 2 statements`.
        action: String,
        /// The provider.
        plugin: PluginName,
        /// What came of it, without payload: `200`, `denied PO0003: …`, `ok, 3 rows`.
        result: String,
        /// The call during which it did.
        site: CallSite,
        /// Time it took, in milliseconds.
        took_ms: u64,
    },
    /// A milestone. Only the first per name and site counts.
    Marked {
        /// For example `declared`.
        name: String,
        /// Site, where it is about one.
        site: Option<String>,
        /// The step.
        step: StepId,
    },
    /// A measurement.
    Measured {
        /// For example `rpo`.
        name: String,
        /// `control.quantity` as JSON, for example `{"duration-ms": 1200}`.
        quantity: Value,
        /// The step.
        step: StepId,
    },
    /// Evidence.
    Attached {
        /// The evidence, secrets redacted.
        content: String,
        /// Media type of `content`.
        media_type: String,
        /// Unique within the step.
        name: String,
        /// The step.
        step: StepId,
    },
    /// A log line of a strategy or a provider.
    Logged {
        /// The step.
        step: StepId,
        /// How much it matters.
        level: Level,
        /// The line, secrets redacted.
        message: String,
    },
    /// A human decision is asked for.
    GateOpened {
        /// Identity of the gate within the run: stable over a crash.
        gate: String,
        /// The step it is about.
        step: StepId,
        /// What it is about.
        kind: GateKind,
        /// Who may answer, how many, for how long.
        rule: Gate,
        /// The question in one line.
        title: String,
        /// What the person needs to know.
        detail: String,
        /// Digest of the plan the answer is for.
        plan_digest: String,
        /// Strategies that may take the place of the step's own.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        alternatives: Vec<StrategyName>,
    },
    /// Somebody answered. With a quorum above one there are several.
    GateAnswered {
        /// Which gate.
        gate: String,
        /// What was said.
        choice: Choice,
        /// Who.
        by: String,
        /// As which role.
        role: RoleName,
        /// Why; may be empty.
        note: String,
        /// By which way.
        source: AnswerSource,
    },
    /// Another strategy takes the place of one that does not get through. What was done stays done; what the plan holds
    /// of the replaced strategy beyond that is given up.
    StrategySwitched {
        /// The strategy that is replaced.
        from: StrategyName,
        /// The strategy that takes its place.
        to: StrategyName,
        /// Who decided.
        by: String,
        /// Why; may be empty.
        note: String,
        /// The plan from here on.
        plan: Arc<Plan>,
    },
    /// A step is over its budget.
    BudgetExceeded {
        /// The step.
        step: StepId,
        /// The budget in milliseconds.
        budget_ms: u64,
    },
    /// Somebody asked for the run to be taken back.
    AbortAsked {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// A rehearsal's own knowledge of the world, independent of what any plugin claims. Written at the end.
    Truth {
        /// Time from the outage until simulated clients were served again, in milliseconds; `None` if never.
        rto_ms: Option<u64>,
        /// Age of the oldest acknowledged write that is missing, at the moment of the outage, in milliseconds.
        rpo_ms: u64,
        /// Acknowledged writes that are missing.
        lost_writes: u64,
        /// Acknowledged writes in all.
        acknowledged_writes: u64,
        /// Further figures by name, with the unit last in the name.
        figures: BTreeMap<String, f64>,
    },
    /// What the scenario of a rehearsal expects and did not find. Written at the end, after the truth.
    Judged {
        /// Everything that did not hold; empty where all did.
        missed: Vec<Missed>,
    },
    /// The run is over, or waits for a human.
    RunEnded {
        /// How.
        ending: Ending,
        /// One line.
        detail: String,
    },
}

impl Record {
    /// The record's `type` as it is written, for example `run-started`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RunStarted(_) => "run-started",
            Self::RunResumed { .. } => "run-resumed",
            Self::StepChanged { .. } => "step-changed",
            Self::Intent { .. } => "intent",
            Self::Retried { .. } => "retried",
            Self::Waiting { .. } => "waiting",
            Self::Outcome { .. } => "outcome",
            Self::Egress { .. } => "egress",
            Self::Marked { .. } => "marked",
            Self::Measured { .. } => "measured",
            Self::Attached { .. } => "attached",
            Self::Logged { .. } => "logged",
            Self::GateOpened { .. } => "gate-opened",
            Self::GateAnswered { .. } => "gate-answered",
            Self::StrategySwitched { .. } => "strategy-switched",
            Self::BudgetExceeded { .. } => "budget-exceeded",
            Self::AbortAsked { .. } => "abort-asked",
            Self::Truth { .. } => "truth",
            Self::Judged { .. } => "judged",
            Self::RunEnded { .. } => "run-ended",
        }
    }
}
