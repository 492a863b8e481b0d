//! `understudy resume RUN`: go on where a host has died, or after a human has helped a stuck run.

use super::Context;
use super::error::CommandError;
use super::wanted::GivenAnswer;

/// Go on with a run whose host has died or that is stuck: what is recorded is replayed, nothing is done twice.
#[derive(Debug, clap::Args)]
#[expect(dead_code, reason = "read once the engine is behind this command")]
pub(super) struct Args {
    /// The run: as much of its name as is needed, or its folder
    pub(super) run: String,
    /// Answer of a role to every question it is asked, for runs without people; may be given for several roles
    #[arg(long, value_name = "ROLE=go|no-go")]
    pub(super) answer: Vec<GivenAnswer>,
}

impl Args {
    /// Goes on.
    pub(super) fn run(&self, _context: &Context) -> Result<(), CommandError> {
        Err(CommandError::without_engine("resume"))
    }
}
