//! `understudy rehearse RUNBOOK`: a procedure in a simulated world under a virtual clock.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Context;
use super::error::{CommandError, Kind};
use super::progress::ProgressDisplay;
use super::stage::{self, Told};
use super::wanted::Wanted;
use understudy::clock::{Clock, Instant, VirtualClock};
use understudy::journal::record::Ending;
use understudy::journal::sqlite::{SqliteOptions, SqliteStore};
use understudy::name::{InvalidName, RunId, StrategyName};
use understudy::prepare::{Order, prepare};
use understudy::rehearsal::driver::{Rehearsal, Rehearsed, Switches};
use understudy::rehearsal::scenario::Scenario;

/// Rehearse in a simulated world: hours pass in milliseconds, and the same seed gives the same run.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) wanted: Wanted,
    /// What goes wrong: name of a scenario beside the runbook, or a file [default: primary-lost]
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

/// Scenario where none is named.
const DEFAULT_SCENARIO: &str = "primary-lost";

impl Args {
    /// Rehearses.
    pub(super) fn run(&self, context: &Context) -> Result<(), CommandError> {
        let runbook = self.wanted.load()?;
        let name = self.scenario.as_deref().unwrap_or(DEFAULT_SCENARIO);
        let scenario = read_scenario(&runbook.folder, name)?;
        let procedure = self
            .wanted
            .strategies_or(&runbook, scenario.procedure.as_deref())?;
        let run = identity(&runbook.name, &procedure, &scenario.name, self.seed)?;
        let order = Order {
            procedure,
            mode: self.wanted.mode_or(scenario.mode),
            run: run.clone(),
            started_by: stage::person(context, self.started_by.as_deref()),
        };
        let engines = context.engines()?;
        let prepared = block_on(prepare(&engines, Arc::new(runbook), order))??;
        stage::refuse_unsafe(&prepared)?;
        let rehearsal = Rehearsal {
            prepared,
            scenario: Arc::new(scenario),
            seed: self.seed,
            runbook_path: stage::absolute(&self.wanted.runbook),
            overlays: self
                .wanted
                .overlay
                .iter()
                .map(|path| stage::absolute(path))
                .collect(),
            scenario_name: name.to_owned(),
            host_version: stage::VERSION.to_owned(),
        };
        rehearsal.check()?;
        let folder = stage::replace(context, &run)?;
        let store = SqliteStore::create(&folder, SqliteOptions::default())?;
        let (switches, display) = self.switches(context);
        let rehearsed = rehearsal.begin(Box::new(store), switches);
        display.finish();
        finish(context, &folder, self.out.as_deref(), rehearsed?)
    }

    fn switches(&self, context: &Context) -> (Switches, Arc<ProgressDisplay>) {
        let clock: Arc<dyn Clock> = Arc::new(context.clock);
        let display = Arc::new(ProgressDisplay::new(&context.output, clock, false));
        (
            Switches {
                cut_after: self.crash_after,
                on_append: Some(display.hook()),
            },
            display,
        )
    }
}

/// A rehearsal is named by what makes it what it is, so that the same rehearsal is the same run, key by key and byte by
/// byte. Rehearsing again replaces it.
fn identity(
    runbook: &str,
    procedure: &[StrategyName],
    scenario: &str,
    seed: u64,
) -> Result<RunId, CommandError> {
    let strategies: Vec<&str> = procedure.iter().map(StrategyName::as_str).collect();
    let name = format!(
        "rehearsal-{runbook}-{}-{scenario}-{seed}",
        strategies.join("-")
    );
    name.parse()
        .map_err(|error: InvalidName| CommandError::invalid(error))
}

/// Drives something that waits for nothing but itself.
pub(super) fn block_on<F: Future>(future: F) -> Result<F::Output, CommandError> {
    VirtualClock::starting_at(Instant(0))
        .block_on(future)
        .map_err(|error| CommandError::new(Kind::Bug, error))
}

/// A scenario by name, beside the runbook, or by path.
pub(super) fn read_scenario(folder: &Path, name: &str) -> Result<Scenario, CommandError> {
    let beside = folder.join("scenarios").join(format!("{name}.toml"));
    let path = if beside.is_file() {
        beside
    } else {
        PathBuf::from(name)
    };
    let text = std::fs::read_to_string(&path).map_err(|error| {
        let there = stage::names_in(&folder.join("scenarios"));
        CommandError::file("read", &path, &error)
            .hint(format!("`--scenario` takes a file or one of: {there}"))
    })?;
    Scenario::parse(&text).map_err(|error| {
        let code = error.code();
        CommandError::invalid(format!(
            "{}",
            stage::Located::new(&path, &text, error.span(), code, &error)
        ))
    })
}

/// Writes the report, says how it went and answers with the exit code.
pub(super) fn finish(
    context: &Context,
    folder: &Path,
    out: Option<&Path>,
    rehearsed: Rehearsed,
) -> Result<(), CommandError> {
    let told = Told::write(&rehearsed.entries, out.unwrap_or(folder))?;
    told.say(context)?;
    for missed in &rehearsed.missed {
        context.output.say(&format!("expectation missed: {missed}"));
    }
    if rehearsed.ended.ending != Ending::Recovered {
        return Err(stage::ended_error(&rehearsed.ended));
    }
    if !rehearsed.missed.is_empty() {
        let missed = rehearsed.missed.len();
        return Err(CommandError::new(
            Kind::Undone,
            format!("{missed} expectation(s) of the scenario were missed"),
        ));
    }
    Ok(())
}
