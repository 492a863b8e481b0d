//! What can be wrong with a merged plan. All problems that can be found at once are reported together.

use std::fmt;

use crate::name::{InvalidName, StepId, StrategyName};
use crate::nearest::suggestion;

/// One problem of a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Steps that wait for each other.
    #[error("these steps wait for each other: {}", chain(.cycle))]
    Cycle {
        /// Each needs the next; the last is the first again.
        cycle: Vec<StepId>,
    },
    /// A step needs one that is not in the plan.
    #[error("step `{step}` needs `{need}`, which is not in the plan")]
    MissingNeed {
        /// The step.
        step: StepId,
        /// What it needs.
        need: StepId,
        /// Why it is not there, where that is known.
        why: Option<String>,
        /// The steps there are.
        known: Vec<StepId>,
    },
    /// Two steps or strategies of one name.
    #[error("{kind} `{name}` is there twice")]
    Duplicate {
        /// `step` or `strategy`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The runbook speaks of a step that no strategy planned.
    #[error("the change of step `{change}` names `{step}`, which no strategy planned")]
    UnknownStep {
        /// The `step` of the `[[steps]]` entry.
        change: StepId,
        /// The step that is not there.
        step: StepId,
        /// The steps there are.
        known: Vec<StepId>,
    },
    /// A plugin's plan has a text that is no valid name.
    #[error("strategy `{strategy}` planned step `{step}` with an invalid value")]
    InvalidName {
        /// The strategy.
        strategy: StrategyName,
        /// The step as the plugin names it.
        step: String,
        /// What is wrong.
        #[source]
        reason: InvalidName,
    },
    /// A plugin's plan has a value that means nothing here.
    #[error("strategy `{strategy}` planned step `{step}` with {kind} `{value}`")]
    InvalidValue {
        /// The strategy.
        strategy: StrategyName,
        /// The step as the plugin names it.
        step: String,
        /// `an unknown site`, …
        kind: &'static str,
        /// The value.
        value: String,
        /// What it may be.
        known: Vec<String>,
    },
    /// More steps than a plan may have.
    #[error("the plan has {count} steps")]
    TooManySteps {
        /// How many.
        count: usize,
    },
    /// A strategy of the procedure without a plan.
    #[error("strategy `{strategy}` has no plan")]
    NoPlan {
        /// The strategy.
        strategy: StrategyName,
        /// Strategies with a plan.
        known: Vec<StrategyName>,
    },
}

impl PlanError {
    /// The code, with a page in `docs/codes`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Cycle { .. } => "PL0001",
            Self::MissingNeed { .. } => "PL0002",
            Self::Duplicate { .. } => "PL0003",
            Self::UnknownStep { .. } => "PL0004",
            Self::InvalidName { .. } | Self::InvalidValue { .. } => "PL0005",
            Self::TooManySteps { .. } => "PL0006",
            Self::NoPlan { .. } => "PL0007",
        }
    }

    /// The way out.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Cycle { .. } => {
                "take one of these needs away: look at `needs` and `before` in `[[steps]]`"
                    .to_owned()
            }
            Self::MissingNeed { why: Some(why), .. } => why.clone(),
            Self::MissingNeed {
                need: step, known, ..
            }
            | Self::UnknownStep { step, known, .. } => {
                suggestion(step.as_str(), known.iter().map(StepId::as_str))
            }
            Self::Duplicate {
                kind: "strategy", ..
            } => "name each strategy once in a procedure".to_owned(),
            Self::Duplicate { .. } => "give each step its own id".to_owned(),
            Self::InvalidName { .. } => "this is the plugin's to correct".to_owned(),
            Self::InvalidValue { value, known, .. } => {
                suggestion(value, known.iter().map(String::as_str))
            }
            Self::TooManySteps { .. } => {
                format!(
                    "a plan may have {} steps: run fewer strategies at once",
                    super::MAX_STEPS
                )
            }
            Self::NoPlan { strategy, known } => {
                suggestion(strategy.as_str(), known.iter().map(StrategyName::as_str))
            }
        }
    }
}

/// `a → b → a`.
fn chain(cycle: &[StepId]) -> String {
    cycle
        .iter()
        .map(StepId::as_str)
        .collect::<Vec<_>>()
        .join(" → ")
}

/// All problems found at once. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanErrors(pub Vec<PlanError>);

impl std::error::Error for PlanErrors {}

impl fmt::Display for PlanErrors {
    /// Per problem, `CODE: message`, and the way out on the next line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use std::error::Error as _;
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}: {error}", error.code())?;
            if let Some(reason) = error.source() {
                write!(f, ": {reason}")?;
            }
            write!(f, "\n  help: {}", error.help())?;
        }
        Ok(())
    }
}
