//! What can go wrong with a plugin, before and while it runs.

use std::path::PathBuf;

use crate::call::CallError;
use crate::name::{InterfaceName, PluginDigest};

/// Pages for `understudy explain`.
pub const PAGES: &[(&str, &str)] = crate::explain::pages![
    "PG0001", "PG0002", "PG0003", "PG0004", "PG0005", "PG0006", "PG0007", "PG0008", "PG0009",
    "PG0017",
];

/// A failure of a plugin or of what carries it.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// The engine could not be set up.
    #[error("PG0001: the WebAssembly engine could not be set up")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The file could not be read.
    #[error("PG0002: component `{}` cannot be read; build it with `understudy plugin build`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The bytes are not a component this host can run.
    #[error("PG0003: `{name}` is not a component this host can run")]
    NotAComponent {
        /// Plugin or file.
        name: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The bytes are not the ones that were locked.
    #[error(
        "PG0004: `{name}` has digest {found}, but the lock file says {expected}; if the new one was reviewed, run `understudy plugin lock RUNBOOK`"
    )]
    Digest {
        /// Plugin.
        name: String,
        /// From the lock file.
        expected: PluginDigest,
        /// Of the bytes.
        found: PluginDigest,
    },
    /// It imports or exports something it must not.
    #[error("PG0005: `{name}` {problem}")]
    Shape {
        /// Plugin.
        name: String,
        /// What, and the way out.
        problem: String,
    },
    /// It was built against another version of a contract.
    #[error(
        "PG0006: `{name}` was built for {wanted}, but {offered} is what is served here; rebuild it against the contracts in `wit/` of this release"
    )]
    Version {
        /// Plugin.
        name: String,
        /// What it was built for.
        wanted: InterfaceName,
        /// What there is.
        offered: String,
    },
    /// It trapped: a bug of the plugin, or a limit it ran into.
    #[error("PG0007: `{name}` was stopped in `{function}`: {reason}")]
    Trapped {
        /// Plugin.
        name: String,
        /// What it was asked.
        function: String,
        /// The trap in one line.
        reason: String,
    },
    /// It answered something that does not fit its contract.
    #[error("PG0008: `{name}` answered `{function}` with {problem}")]
    Answer {
        /// Plugin.
        name: String,
        /// What it was asked.
        function: String,
        /// What was wrong.
        problem: String,
    },
    /// It answered more than is recorded of one call.
    #[error(
        "PG0017: `{name}` answered `{function}` with {size} bytes, more than the {limit} that are recorded; ask it for less"
    )]
    TooMuch {
        /// Plugin.
        name: String,
        /// What it was asked.
        function: String,
        /// Size as JSON, in bytes.
        size: usize,
        /// Most bytes.
        limit: usize,
    },
    /// It refuses its configuration.
    #[error("PG0009: `{name}` refuses its configuration: {}", problems.join("; "))]
    Configuration {
        /// Plugin.
        name: String,
        /// One per line.
        problems: Vec<String>,
    },
    /// The host stopped the guest on purpose.
    #[error(transparent)]
    Halted(#[from] Halt),
}

impl PluginError {
    /// Whether an error that a provider's caller is told is the host's own word for a provider that was stopped, or that
    /// answered what does not fit: the provider itself told nothing.
    #[must_use]
    pub fn told_by(error: &CallError) -> bool {
        let (CallError::Other(text) | CallError::InDoubt(text)) = error else {
            return false;
        };
        let codes = ["PG0007", "PG0008", "PG0017", "RN0003"];
        codes.iter().any(|code| text.starts_with(code))
    }

    pub(crate) fn engine(error: wasmtime::Error) -> Self {
        Self::Engine(error.into())
    }
}

/// Why the host itself ends a guest in the middle of a call. The guest sees nothing: its instance is gone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// The journal cannot be written: nothing more is sent.
    #[error("the journal cannot be written: {0}")]
    Journal(String),
    /// The step does not do what it did before the crash.
    #[error(
        "RN0001: step `{step}` diverged from the journal at call {ordinal}: recorded {recorded}, attempted {attempted}; the plugin or its parameters are not what they were"
    )]
    Diverged {
        /// The step.
        step: String,
        /// Which call of the attempt, from 0.
        ordinal: u32,
        /// Function and arguments in the journal.
        recorded: String,
        /// Function and arguments now.
        attempted: String,
    },
    /// A call that must not be sent twice was sent before the crash, and nobody knows what came of it.
    #[error(
        "RN0002: `{call}` was sent before the crash and its outcome is not known; observe the world, then retry the step or take the run back"
    )]
    InDoubt {
        /// Function and arguments.
        call: String,
    },
    /// The guest called more often than a step may.
    #[error("RN0003: more than {0} calls in one attempt")]
    TooManyCalls(u32),
    /// The calls of one attempt hold more than it may add to the journal.
    #[error(
        "PG0017: the calls of one attempt hold more than {0} bytes; a step that passes so much is a loop"
    )]
    TooMuch(usize),
    /// The step is stopped from outside.
    #[error("RN0004: the step was stopped: {0}")]
    Cancelled(String),
}
