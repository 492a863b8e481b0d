//! `understudy run RUNBOOK`: a procedure, for real.

use super::Context;
use super::error::CommandError;
use super::wanted::{GivenAnswer, Wanted};

/// Run a procedure for real: journaled, resumable, with people at the gates.
#[derive(Debug, clap::Args)]
#[expect(dead_code, reason = "read once the engine is behind this command")]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) wanted: Wanted,
    /// Who starts it; cannot be the second approver of a gate [default: the user]
    #[arg(long, value_name = "NAME")]
    pub(super) started_by: Option<String>,
    /// Answer of a role to every question it is asked, for runs without people; may be given for several roles
    #[arg(long, value_name = "ROLE=go|no-go")]
    pub(super) answer: Vec<GivenAnswer>,
}

impl Args {
    /// Runs.
    pub(super) fn run(&self, _context: &Context) -> Result<(), CommandError> {
        Err(CommandError::without_engine("run"))
    }
}
