//! The commands of `understudy-lab`.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::app;

/// What `understudy-lab` understands.
const USAGE: &str = "usage: understudy-lab app FILE";

/// Runs one command; what went wrong goes to standard error.
pub async fn run(arguments: Vec<OsString>) -> ExitCode {
    match command(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to be told where standard error is closed.
            drop(writeln!(std::io::stderr(), "understudy-lab: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn command(arguments: &[OsString]) -> Result<()> {
    match arguments {
        [command, file] if command == "app" => app::run(Path::new(file)).await,
        _ => bail!("{USAGE}"),
    }
}
