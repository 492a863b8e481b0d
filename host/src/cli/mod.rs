//! The command line: what people and scripts type, and what they see.
//!
//! Start at [`Command`], one file per command with its own `Args`. [`output`] writes (stdout is data, stderr is for
//! people), [`error`] is the one error with its exit codes, [`environment`] the one place that reads the environment.
//! What is not here: anything that recovers a service. That is the library, which never prints.

mod abort;
mod calibrate;
mod campaign;
mod campaign_text;
mod check;
mod completions;
mod coverage;
mod decide;
mod environment;
mod error;
mod estimate;
mod explain;
mod log;
mod output;
mod plan;
mod plugin;
mod plugin_test;
mod posture;
mod progress;
mod recorded;
mod rehearse;
mod report;
mod resume;
mod run;
mod runs;
mod show;
mod stage;
mod terminal_gate;
mod verify;
mod wanted;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use environment::Environment;
use error::CommandError;
use output::{Format, Output};
use understudy::clock::SystemClock;
use understudy::journal::runs::Runs;
use understudy::plugin::Engines;

/// Where runs are kept, where nothing else is said.
const RUNS_FOLDER: &str = ".understudy/runs";

/// Where compiled plugins are kept, where nothing else is said and there is no home.
const CACHE_FOLDER: &str = ".understudy/cache";

/// Exit codes, as the help of every command shows them.
const EXIT_CODES: &str = "Exit codes: 0 done · 1 failed and taken back · 2 invalid input, nothing ran · \
                          3 stuck, a human is needed · 255 a bug of understudy";

/// Rehearse and run disaster-recovery runbooks whose strategies are sandboxed plugins.
#[derive(Debug, Parser)]
#[command(name = "understudy", version, after_help = EXIT_CODES, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
struct Global {
    /// Folder of all runs [default: $UNDERSTUDY_RUNS or .understudy/runs]
    #[arg(long, global = true, value_name = "DIR")]
    runs_dir: Option<PathBuf>,
    /// Folder of compiled plugins, safe to delete [default: $UNDERSTUDY_CACHE or the user's cache folder]
    #[arg(long, global = true, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// How data is written to stdout
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    output: Format,
    /// What is logged to stderr: a level (error, warn, info, debug, trace), filter directives, and `json` for JSON
    /// lines; joined by commas, for example `debug,json`
    #[arg(long, global = true, default_value = "warn", value_name = "LEVEL|json")]
    log: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a runbook and its plugins; nothing is run
    Check(check::Args),
    /// Show the merged plan of a procedure
    Plan(plan::Args),
    /// Show which rows of a checklist a runbook covers, and which were carried out
    Coverage(coverage::Args),
    /// Rehearse in a simulated world, in seconds
    Rehearse(rehearse::Args),
    /// Run for real
    Run(run::Args),
    /// Go on with a run whose host has died or that is stuck
    Resume(resume::Args),
    /// Answer a question of a run
    Decide(decide::Args),
    /// Ask a run to be taken back, up to its point of no return
    Abort(abort::Args),
    /// List runs
    Runs(runs::Args),
    /// Show where a run stands and what happened
    Show(show::Args),
    /// Write the postmortem of a run
    Report(report::Args),
    /// Fit a scenario to a run, and compare the two
    Calibrate(calibrate::Args),
    /// Check that no record of a run was changed
    Verify(verify::Args),
    /// Explain a code such as RB0012
    Explain(explain::Args),
    /// Write a completion script for a shell
    Completions(completions::Args),
    /// Build, inspect, test and lock plugins
    #[command(subcommand)]
    Plugin(plugin::Command),
}

/// What every command is given.
struct Context {
    /// The environment, read once.
    environment: Environment,
    /// Where it writes to.
    output: Output,
    /// The machine's clock.
    clock: SystemClock,
    /// Folder of all runs.
    runs: PathBuf,
    /// Folder of compiled plugins.
    cache: PathBuf,
}

impl Context {
    fn new(global: &Global, environment: Environment) -> Self {
        let runs = global.runs_dir.clone().or_else(|| environment.runs.clone());
        let cache = global.cache.clone().or_else(|| environment.cache.clone());
        Self {
            output: Output::new(global.output, &environment),
            clock: SystemClock,
            runs: runs.unwrap_or_else(|| RUNS_FOLDER.into()),
            cache: cache.unwrap_or_else(|| CACHE_FOLDER.into()),
            environment,
        }
    }

    /// The engines, with their cache of compiled plugins.
    fn engines(&self) -> Result<Engines, CommandError> {
        let cache = std::path::absolute(&self.cache);
        let cache = cache.map_err(|error| CommandError::file("find", &self.cache, &error))?;
        Ok(Engines::new(Some(cache))?)
    }

    /// The folder of all runs.
    fn runs(&self) -> Runs {
        Runs::in_folder(&self.runs)
    }
}

/// Reads the command line, does what it says, and answers with the exit code.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let context = Context::new(&cli.global, Environment::read());
    let done = log::start(&cli.global.log).and_then(|()| cli.command.run(&context));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.tell(&context.output),
    }
}

impl Command {
    fn run(&self, context: &Context) -> Result<(), CommandError> {
        match self {
            Self::Check(args) => args.run(context),
            Self::Plan(args) => args.run(context),
            Self::Coverage(args) => args.run(context),
            Self::Rehearse(args) => args.run(context),
            Self::Run(args) => args.run(context),
            Self::Resume(args) => args.run(context),
            Self::Decide(args) => args.run(context),
            Self::Abort(args) => args.run(context),
            Self::Runs(args) => args.run(context),
            Self::Show(args) => args.run(context),
            Self::Report(args) => args.run(context),
            Self::Calibrate(args) => args.run(context),
            Self::Verify(args) => args.run(context),
            Self::Explain(args) => args.run(context),
            Self::Completions(args) => args.run(context),
            Self::Plugin(command) => command.run(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_sound() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_stand_anywhere() {
        let cli =
            Cli::try_parse_from(["understudy", "runs", "--runs-dir", "/r", "-o", "json"]).unwrap();
        assert_eq!(cli.global.runs_dir, Some("/r".into()));
        assert_eq!(cli.global.output, Format::Json);
    }
}
