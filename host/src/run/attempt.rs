//! One attempt at a step: a fresh instance of the strategy, its calls, and what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::RunError;
use crate::call::Direction;
use crate::mediation::deadline::Deadline;
use crate::mediation::spent::Spent;
use crate::mediation::{Mediation, StepCalls};
use crate::name::StrategyName;
use crate::plan::Step;
use crate::plugin::error::{Halt, PluginError};
use crate::plugin::strategy::{Context, StrategyPlugin};

/// A strategy as a run uses it.
#[derive(Clone)]
pub struct Actor {
    /// The plugin.
    pub plugin: StrategyPlugin,
    /// What it is run for.
    pub context: Context,
}

/// The strategies of a run, by name.
pub type Actors = BTreeMap<StrategyName, Actor>;

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Done, with one line for the timeline.
    Done(String),
    /// Failed, and why.
    Failed(String),
    /// The host cannot decide alone: diverged, or in doubt.
    Unclear(String),
    /// The journal cannot be written.
    Unrecorded(String),
}

/// Performs a step or takes it back.
///
/// # Errors
/// [`RunError::NoStrategy`] if nobody can perform it.
pub async fn attempt(
    mediation: Arc<Mediation>,
    actors: &Actors,
    step: Arc<Step>,
    direction: Direction,
    number: u32,
    deadline: Deadline,
) -> Result<Verdict, RunError> {
    let strategy: StrategyName = step.performs.strategy().parse()?;
    let actor = actors.get(&strategy).ok_or_else(|| RunError::NoStrategy {
        step: step.id.clone(),
        strategy: strategy.to_string(),
    })?;
    let clock = Arc::clone(&mediation.clock);
    let calls = StepCalls {
        mediation,
        step: Arc::clone(&step),
        strategy,
        direction,
        attempt: number,
        deadline: deadline.clone(),
        read_only: false,
        spent: Spent::default(),
    };
    let performing = actor.plugin.perform(
        direction,
        &actor.context,
        step.performs.step(),
        Arc::new(calls),
    );
    Ok(match deadline.bound(&*clock, performing).await {
        Some(Ok(Ok(line))) => Verdict::Done(line),
        Some(Ok(Err(error))) => Verdict::Failed(error.to_string()),
        Some(Err(PluginError::Halted(Halt::Journal(reason)))) => Verdict::Unrecorded(reason),
        Some(Err(PluginError::Halted(halt @ (Halt::Diverged { .. } | Halt::InDoubt { .. })))) => {
            Verdict::Unclear(halt.to_string())
        }
        Some(Err(error)) => Verdict::Failed(error.to_string()),
        None => Verdict::Failed("the step's deadline passed".to_owned()),
    })
}
