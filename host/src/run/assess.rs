//! A run that only looks: every strategy is asked whether it could begin now (`strategy.assess`), by reads alone.
//!
//! The calls take the one path of all calls and are recorded; policy refuses whatever is no read (PO0004). The plan of such
//! a run is [`plan`]: it has nothing else in it, so that nobody can go on from its journal.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::error::RunError;
use super::scheduler::Run;
use super::state::StepState;
use crate::call::{CallError, CallSite, Direction};
use crate::journal::Durability;
use crate::journal::record::{Ending, Entry, Record};
use crate::mediation::StepCalls;
use crate::mediation::deadline::Deadline;
use crate::mediation::spent::Spent;
use crate::name::{InvalidName, StepId, StrategyName};
use crate::plan::{Act, Plan, Reversal, Step};
use crate::plugin::error::{Halt, PluginError};
use crate::plugin::strategy::Finding;

/// Longest assessment of one strategy: a few dozen reads, each of which may have to be given up on.
pub const LONGEST: Duration = Duration::from_secs(600);

/// Nobody is asked twice.
const ATTEMPT: u32 = 1;

/// The step of a strategy under which its reads are recorded.
const STEP: &str = "assess";

/// Who reads what was found.
const ROLE: &str = "observer";

/// What was found of a strategy.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Assessment {
    /// The strategy.
    pub strategy: StrategyName,
    /// What it looked at, in its order.
    pub findings: Vec<Found>,
    /// What could not be asked, in the order in which it was tried.
    pub unasked: Vec<Unasked>,
    /// Why the strategy could not say; `None` where it could.
    pub problem: Option<String>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Found {
    /// Kebab-case.
    pub id: String,
    /// The strategy could begin in spite of it.
    pub holds: bool,
    /// One line.
    pub detail: String,
}

/// A call that nobody answered, or that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Unasked {
    /// `contract/function`.
    pub call: String,
    /// The argument `site`; `None` for none.
    pub site: Option<String>,
    /// Why, with the code of the rule where one refused it.
    pub reason: String,
}

impl Assessment {
    /// Everything holds, and everything was asked.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let holds = self.findings.iter().all(|found| found.holds);
        holds && self.unasked.is_empty() && self.problem.is_none()
    }

    fn line(&self) -> String {
        if let Some(problem) = &self.problem {
            return problem.clone();
        }
        let missed: Vec<&str> = self
            .findings
            .iter()
            .filter(|found| !found.holds)
            .map(|found| found.id.as_str())
            .collect();
        let (all, unasked) = (self.findings.len(), self.unasked.len());
        match (missed.as_slice(), unasked) {
            ([], 0) => format!("{all} findings, and all hold"),
            ([], unasked) => format!("{all} findings hold, {unasked} calls found no answer"),
            (missed, _) => format!("does not hold: {}", missed.join(", ")),
        }
    }
}

/// The plan of a run that asks these strategies, one step each.
///
/// # Errors
/// [`InvalidName`] never in practice: strategies have names that steps can have.
pub fn plan(strategies: &[StrategyName]) -> Result<Plan, InvalidName> {
    let step = |strategy: &StrategyName| {
        let id = StepId::new(strategy, STEP)?;
        Ok(Step {
            performs: id.clone(),
            id,
            title: format!("Look whether {strategy} could begin"),
            role: ROLE.parse()?,
            budget_ms: crate::clock::millis(LONGEST),
            needs: Vec::new(),
            reversal: Reversal::Nothing,
            acts: vec![Act {
                verb: "check".to_owned(),
                site: String::new(),
            }],
            covers: Vec::new(),
            uses: Vec::new(),
            gate_before: None,
            gate_after: None,
        })
    };
    let steps = strategies.iter().map(step).collect::<Result<_, _>>()?;
    Ok(Plan { steps })
}

impl Run {
    /// Asks the strategies of a [`plan`] one after the other, and ends the run.
    ///
    /// # Errors
    /// [`RunError::Parked`] where the journal cannot be written, [`RunError::NoStrategy`] where nobody can be asked.
    pub async fn assess(&self) -> Result<Vec<Assessment>, RunError> {
        let mut assessments = Vec::new();
        for step in &self.plan.steps {
            assessments.push(self.ask(Arc::new(step.clone())).await?);
        }
        let ready = assessments.iter().all(Assessment::is_ready);
        let lines = assessments.iter();
        let lines: Vec<String> = lines
            .map(|one| format!("{}: {}", one.strategy, one.line()))
            .collect();
        let record = Record::RunEnded {
            ending: if ready {
                Ending::Ready
            } else {
                Ending::NotReady
            },
            detail: lines.join("; "),
        };
        self.write(record, Durability::Durable).await?;
        Ok(assessments)
    }

    async fn ask(&self, step: Arc<Step>) -> Result<Assessment, RunError> {
        let strategy: StrategyName = step.performs.strategy().parse()?;
        let no_strategy = || RunError::NoStrategy {
            step: step.id.clone(),
            strategy: strategy.to_string(),
        };
        let actor = self.actors.get(&strategy).ok_or_else(no_strategy)?;
        self.enter(&step.id, StepState::Pending, StepState::Running, "")
            .await?;
        let clock = Arc::clone(&self.mediation.clock);
        let deadline = Deadline::at(clock.now().after(LONGEST));
        let calls = StepCalls {
            mediation: Arc::clone(&self.mediation),
            step: Arc::clone(&step),
            strategy: strategy.clone(),
            direction: Direction::Run,
            attempt: ATTEMPT,
            deadline: deadline.clone(),
            read_only: true,
            spent: Spent::default(),
        };
        let asking = actor.plugin.assess(&actor.context, Arc::new(calls));
        let (findings, problem) = match deadline.bound(&*clock, asking).await {
            Some(Ok(Ok(findings))) if findings.is_empty() => {
                (findings, Some("the strategy looks at nothing".to_owned()))
            }
            Some(Ok(Ok(findings))) => (findings, None),
            Some(Ok(Err(error))) => (Vec::new(), Some(error.to_string())),
            Some(Err(PluginError::Halted(Halt::Journal(reason)))) => {
                return Err(RunError::Parked(reason));
            }
            Some(Err(error)) => (Vec::new(), Some(error.to_string())),
            None => (
                Vec::new(),
                Some("it did not come to an end in time".to_owned()),
            ),
        };
        let journal = &self.mediation.journal;
        let assessment = Assessment {
            strategy,
            findings: findings.into_iter().map(found).collect(),
            unasked: journal.read(|entries| unasked(entries, &step.id)),
            problem,
        };
        let attached = Record::Attached {
            step: step.id.clone(),
            name: "posture".to_owned(),
            media_type: "application/json".to_owned(),
            content: serde_json::to_string(&assessment).unwrap_or_default(),
        };
        self.write(attached, Durability::Buffered).await?;
        let after = if assessment.is_ready() {
            StepState::Done
        } else {
            StepState::Failed
        };
        self.enter(&step.id, StepState::Running, after, &assessment.line())
            .await?;
        Ok(assessment)
    }

    async fn enter(
        &self,
        step: &StepId,
        from: StepState,
        to: StepState,
        detail: &str,
    ) -> Result<(), RunError> {
        let record = Record::StepChanged {
            step: step.clone(),
            attempt: ATTEMPT,
            from,
            to,
            detail: detail.to_owned(),
        };
        self.write(record, Durability::Durable).await
    }

    async fn write(&self, record: Record, durability: Durability) -> Result<(), RunError> {
        let appended = self.mediation.journal.append(record, durability).await;
        appended
            .map(drop)
            .map_err(|error| RunError::Parked(error.with_cause()))
    }
}

fn found(finding: Finding) -> Found {
    Found {
        id: finding.id,
        holds: finding.ok,
        detail: finding.detail,
    }
}

/// Calls of a step that got no answer: nobody was there to give one, or it was refused.
fn unasked(entries: &[Entry], step: &StepId) -> Vec<Unasked> {
    let mut made: Option<(&CallSite, Unasked)> = None;
    let mut unasked = Vec::new();
    for entry in entries {
        match &entry.record {
            Record::Intent {
                site,
                function,
                args,
                ..
            } if &site.step == step => {
                let at = args.get("site").and_then(serde_json::Value::as_str);
                let call = Unasked {
                    call: function.to_string(),
                    site: at.map(str::to_owned),
                    reason: String::new(),
                };
                made = Some((site, call));
            }
            Record::Outcome { site, reply, .. } => {
                let Err(error) = &**reply else {
                    continue;
                };
                let is_answer = matches!(
                    error,
                    CallError::NotFound(_) | CallError::Conflict(_) | CallError::Invalid(_)
                );
                if let Some((_, call)) = made.take_if(|(asked, _)| *asked == site && !is_answer) {
                    let reason = error.to_string();
                    unasked.push(Unasked { reason, ..call });
                }
            }
            _ => {}
        }
    }
    unasked
}
