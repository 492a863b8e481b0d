//! Why a runbook cannot be run. Nothing was.

use std::fmt;

use crate::plan::PlanErrors;
use crate::plugin::PluginError;

/// Pages for `understudy explain`.
pub const PAGES: &[(&str, &str)] =
    crate::explain::pages!["PR0001", "PR0002", "PR0003", "PR0004", "PR0005", "PR0006"];

/// One thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The procedure names a strategy that is not declared.
    #[error("PR0001: no strategy `{name}` is declared; there are: {}", known.join(", "))]
    NoStrategy {
        /// As asked for.
        name: String,
        /// Those declared.
        known: Vec<String>,
    },
    /// A strategy or binding names a plugin that is not declared.
    #[error("PR0002: no plugin `{name}` is declared under `[plugins]`")]
    NoPlugin {
        /// As asked for.
        name: String,
    },
    /// Parameters or configuration do not fit the plugin's schema.
    #[error("PR0003: `{whose}` does not fit the plugin's schema: {}", problems.join("; "))]
    Parameters {
        /// Where in the runbook.
        whose: String,
        /// One per problem.
        problems: Vec<String>,
    },
    /// Nothing serves a contract that the plan uses.
    #[error("PR0004: nothing serves {contract}{at}, which the plan uses; {way_out}")]
    Unserved {
        /// The interface.
        contract: String,
        /// ` at site …`, or empty.
        at: String,
        /// What to do.
        way_out: String,
    },
    /// A binding names a provider that does not serve the contract.
    #[error("PR0005: provider `{plugin}` does not serve {contract}; it serves {}", serves.join(", "))]
    Misbound {
        /// The provider.
        plugin: String,
        /// The interface.
        contract: String,
        /// What it exports.
        serves: Vec<String>,
    },
    /// A capability could not be set up for a binding.
    #[error("PR0006: the binding of {contract} to `{plugin}` cannot be used: {reason}")]
    Binding {
        /// The interface.
        contract: String,
        /// The provider.
        plugin: String,
        /// Why, without secrets.
        reason: String,
    },
    /// The plugin itself.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// The merged plan.
    #[error(transparent)]
    Plan(#[from] PlanErrors),
}

/// Everything that is wrong. Never empty.
#[derive(Debug)]
pub struct PrepareErrors(pub Vec<PrepareError>);

impl std::error::Error for PrepareErrors {}

impl fmt::Display for PrepareErrors {
    /// One paragraph per problem, with its causes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
            let mut cause = std::error::Error::source(error);
            while let Some(inner) = cause {
                write!(f, ": {inner}")?;
                cause = inner.source();
            }
        }
        Ok(())
    }
}
