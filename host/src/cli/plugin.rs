//! `understudy plugin …`: for authors of plugins, and for whoever reviews them.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

use super::Context;
use super::error::CommandError;

/// What to do with plugins.
#[derive(Debug, Subcommand)]
#[expect(dead_code, reason = "read once the engine is behind these commands")]
pub(super) enum Command {
    /// Compile crates for wasm32-unknown-unknown and make components of them; prints size and digest
    Build {
        /// Folders of the crates
        #[arg(required = true, value_name = "PATH")]
        crates: Vec<PathBuf>,
        /// Folder for the components [default: each crate's own]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Show what a component imports and exports, its size and its digest
    Inspect {
        /// The component
        #[arg(value_name = "COMPONENT")]
        component: PathBuf,
    },
    /// Write `understudy.lock` beside a runbook: the components as they are now
    Lock {
        /// The runbook
        #[arg(value_name = "RUNBOOK")]
        runbook: PathBuf,
    },
    /// Begin a new plugin from a template
    New {
        /// Folder to make; its name becomes the plugin's
        #[arg(value_name = "PATH")]
        path: PathBuf,
        /// What it will be
        #[arg(long, value_enum, default_value_t = Kind::Strategy)]
        kind: Kind,
        /// Contract that a provider serves, for example `dns`
        #[arg(long, value_name = "CONTRACT", required_if_eq("kind", "provider"))]
        contract: Option<String>,
    },
}

/// Kinds of plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// Says which steps recover a service, and performs them
    Strategy,
    /// Serves contracts for one vendor
    Provider,
}

impl Command {
    /// Does it.
    pub(super) fn run(&self, _context: &Context) -> Result<(), CommandError> {
        Err(CommandError::without_engine("plugin"))
    }
}
