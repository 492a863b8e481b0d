//! `understudy completions SHELL`: a script that completes commands and options.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::error::CommandError;
use super::{Cli, Context};

/// Write a completion script for a shell to stdout.
///
/// For example: `understudy completions bash > ~/.local/share/bash-completion/completions/understudy`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Args {
    /// Writes it.
    ///
    /// # Errors
    /// stdout cannot be written.
    pub(super) fn run(&self, context: &Context) -> Result<(), CommandError> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "understudy", &mut script);
        context.output.data(&String::from_utf8_lossy(&script))
    }
}
