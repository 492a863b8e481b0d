//! `understudy rehearse RUNBOOK`: a procedure in a simulated world under a virtual clock.

use std::path::PathBuf;

use super::Context;
use super::error::CommandError;
use super::wanted::Wanted;

/// Rehearse in a simulated world: hours pass in milliseconds, and the same seed gives the same run.
#[derive(Debug, clap::Args)]
#[expect(dead_code, reason = "read once the engine is behind this command")]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) wanted: Wanted,
    /// What goes wrong: name of a scenario beside the runbook, or a file [default: the runbook's first]
    #[arg(long, value_name = "NAME|FILE")]
    pub(super) scenario: Option<String>,
    /// Seed of the world
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(super) seed: u64,
    /// Cut the journal off after this many records, as if the host had died; `resume` goes on
    #[arg(long, value_name = "N")]
    pub(super) crash_after: Option<u64>,
    /// Folder for the report in all formats [default: the run's folder]
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Who started it, for the report [default: the user]
    #[arg(long, value_name = "NAME")]
    pub(super) started_by: Option<String>,
}

impl Args {
    /// Rehearses.
    pub(super) fn run(&self, _context: &Context) -> Result<(), CommandError> {
        Err(CommandError::without_engine("rehearse"))
    }
}
