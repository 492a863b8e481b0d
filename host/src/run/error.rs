//! Why a run stops without an ending of its own.

use super::state::{Event, StepState};
use crate::name::{InvalidName, StepId};

/// Pages for `understudy explain`.
pub const PAGES: &[(&str, &str)] = crate::explain::pages![
    "RN0001", "RN0002", "RN0003", "RN0004", "RN0005", "RN0006", "RN0007"
];

/// A run that stopped where it stood.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The journal cannot be written. Nothing more was sent; `resume` goes on once it can be.
    #[error(
        "RN0005: the run is parked, nothing more was sent: {0}; once the journal can be written, `understudy resume` goes on"
    )]
    Parked(String),
    /// The plan names a strategy that is not loaded.
    #[error(
        "RN0006: step `{step}` is performed by strategy `{strategy}`, which this runbook does not declare"
    )]
    NoStrategy {
        /// The step.
        step: StepId,
        /// The strategy.
        strategy: String,
    },
    /// An event that cannot happen to a step in its state: a bug of the host.
    #[error(
        "RN0007: step `{step}` is {state:?} and cannot {event:?}; this is a bug of the host, the journal is intact"
    )]
    Impossible {
        /// The step.
        step: StepId,
        /// Where it stands.
        state: StepState,
        /// What was to happen.
        event: Event,
    },
    /// A name of the plan is none.
    #[error(transparent)]
    Name(#[from] InvalidName),
}
