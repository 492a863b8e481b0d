//! `understudy plan RUNBOOK`: the merged plan of a procedure, and the safety rules it keeps or breaks.

use super::Context;
use super::error::CommandError;
use super::wanted::Wanted;

/// Show the merged plan of a procedure: steps in order, needs, roles, budgets, gates, and broken safety rules.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) wanted: Wanted,
}

impl Args {
    /// Shows it.
    pub(super) fn run(&self, _context: &Context) -> Result<(), CommandError> {
        Err(CommandError::without_engine("plan"))
    }
}
