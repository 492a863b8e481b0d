//! `understudy rehearse RUNBOOK`: a procedure in a simulated world under a virtual clock, once or many times.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Context;
use super::campaign::{self, Many};
use super::error::{CommandError, Kind};
use super::progress::ProgressDisplay;
use super::stage::{self, Told};
use super::wanted::{self, Wanted};
use understudy::clock::{Clock, Instant, VirtualClock};
use understudy::journal::record::Ending;
use understudy::journal::sqlite::{SqliteOptions, SqliteStore};
use understudy::name::InvalidName;
use understudy::plugin::Engines;
use understudy::prepare::{Order, Prepared, prepare};
use understudy::rehearsal::campaign::trouble::{self, Troubles};
use understudy::rehearsal::driver::{Rehearsal, Rehearsed, Switches, run_id};
use understudy::rehearsal::scenario::Scenario;
use understudy::rehearsal::scenario::error::Refused;
use understudy::runbook::types::Runbook;

/// Rehearse in a simulated world: hours pass in milliseconds, and the same seed gives the same run.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) wanted: Wanted,
    /// What goes wrong: name of a scenario beside the runbook, or a file; with `--runs` several may be given
    /// [default: primary-lost; with `--runs` every scenario beside the runbook]
    #[arg(long, value_name = "NAME|FILE")]
    pub(super) scenario: Vec<String>,
    /// Seed of the world; with `--runs` of the first one
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(super) seed: u64,
    /// What goes wrong beyond the scenario: `random`, or a file of troubles with their chances
    #[arg(long, value_name = "random|FILE")]
    pub(super) faults: Option<String>,
    /// Cut the journal off after this many records, as if the host had died; `resume` goes on
    #[arg(long, value_name = "N", conflicts_with = "runs")]
    pub(super) crash_after: Option<u64>,
    /// Folder for the report in all formats [default: the run's folder]; with `--runs` for the smallest scenarios that
    /// break a rule [default: none]
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Who started it, for the report [default: the user]
    #[arg(long, value_name = "NAME")]
    pub(super) started_by: Option<String>,
    #[command(flatten)]
    pub(super) many: Many,
}

/// Scenario where none is named.
pub(super) const DEFAULT_SCENARIO: &str = "primary-lost";

/// Name of the file in a run's folder that holds a scenario with drawn troubles.
const DRAWN_SCENARIO: &str = "scenario.toml";

/// A scenario as it is written, and read.
pub(super) struct Written {
    /// Name or path by which it is found again.
    pub(super) name: String,
    /// The file.
    path: PathBuf,
    /// The file's text.
    pub(super) text: String,
    /// What it says.
    pub(super) scenario: Scenario,
}

impl Args {
    /// Rehearses.
    pub(super) fn run(&self, context: &Context) -> Result<(), CommandError> {
        let runbook = Arc::new(self.wanted.load()?);
        let engines = context.engines()?;
        if self.many.runs.is_some() {
            return campaign::run(self, context, &engines, &runbook);
        }
        let name = match self.scenario.as_slice() {
            [] => DEFAULT_SCENARIO,
            [name] => name,
            _ => {
                return Err(CommandError::invalid("one rehearsal is of one scenario")
                    .hint("`--runs N` takes several"));
            }
        };
        let written = Written::read(&runbook.folder, name)?;
        let rehearsal = self.rehearsal(context, &engines, &runbook, &written)?;
        let (rehearsal, drawn) = self.troubled(rehearsal, &written)?;
        rehearsal.check()?;
        let folder = stage::replace(context, &rehearsal.prepared.order.run)?;
        if let Some(text) = drawn {
            super::report::write(&folder.join(DRAWN_SCENARIO), &text)?;
        }
        let (switches, display) = self.switches(context);
        let mut begun = false;
        let mut open = || {
            let options = SqliteOptions::default();
            let store = if begun {
                SqliteStore::open(&folder, options)
            } else {
                SqliteStore::create(&folder, options)
            };
            begun = true;
            store.map(|store| Box::new(store) as _)
        };
        let rehearsed = rehearsal.perform(&mut open, &switches);
        display.finish();
        finish(context, &folder, self.out.as_deref(), rehearsed?)
    }

    /// What is rehearsed of a scenario, by its seed, with nothing drawn.
    pub(super) fn rehearsal(
        &self,
        context: &Context,
        engines: &Engines,
        runbook: &Arc<Runbook>,
        written: &Written,
    ) -> Result<Rehearsal, CommandError> {
        let scenario = &written.scenario;
        let (path, given) = (&self.wanted.runbook, &self.wanted.overlay);
        let (runbook, overlays) = written.laid_over(runbook, path, given)?;
        let procedure = self
            .wanted
            .strategies_or(&runbook, scenario.procedure.as_deref())?;
        let order = Order {
            run: run_id(&runbook.name, &procedure, &scenario.name, self.seed)
                .map_err(|error: InvalidName| CommandError::invalid(error))?,
            procedure,
            mode: self.wanted.mode_or(scenario.mode),
            started_by: stage::person(context, self.started_by.as_deref()),
        };
        let prepared = block_on(prepare(engines, runbook, order))??;
        stage::refuse_unsafe(&prepared)?;
        written.fits(&prepared)?;
        Ok(Rehearsal {
            prepared,
            scenario: Arc::new(scenario.clone()),
            seed: self.seed,
            runbook_path: stage::absolute(&self.wanted.runbook),
            overlays: overlays.iter().map(|path| stage::absolute(path)).collect(),
            scenario_name: written.name.clone(),
            host_version: stage::VERSION.to_owned(),
        })
    }

    /// Where troubles beyond the scenario come from.
    pub(super) fn troubles(&self, rehearsal: &Rehearsal) -> Result<Troubles, CommandError> {
        campaign::troubles(self.faults.as_deref(), rehearsal)
    }

    /// With the troubles of its seed, and the scenario's text where there are any.
    fn troubled(
        &self,
        mut rehearsal: Rehearsal,
        written: &Written,
    ) -> Result<(Rehearsal, Option<String>), CommandError> {
        let troubles = self.troubles(&rehearsal)?.draw(self.seed);
        if troubles.is_empty() {
            return Ok((rehearsal, None));
        }
        let text = trouble::add(&written.text, &troubles);
        let scenario = match Scenario::parse(&text) {
            Ok(scenario) => scenario,
            Err(error) => {
                let path = written.path.clone();
                return Err(CommandError::invalid(Refused { path, text, error }));
            }
        };
        rehearsal.scenario = Arc::new(scenario);
        Ok((rehearsal, Some(text)))
    }

    fn switches(&self, context: &Context) -> (Switches, Arc<ProgressDisplay>) {
        let clock: Arc<dyn Clock> = Arc::new(context.clock);
        let display = Arc::new(ProgressDisplay::new(&context.output, clock, false));
        (
            Switches {
                cut_after: self.crash_after,
                cut_when: None,
                on_append: Some(display.hook()),
            },
            display,
        )
    }
}

/// Drives something that waits for nothing but itself.
pub(super) fn block_on<F: Future>(future: F) -> Result<F::Output, CommandError> {
    VirtualClock::starting_at(Instant(0))
        .block_on(future)
        .map_err(|error| CommandError::new(Kind::Bug, error))
}

/// The scenario of a rehearsal that began: the one in its folder, if troubles were drawn for it, else the one it names.
pub(super) fn scenario_of(
    run: &Path,
    runbook: &Path,
    name: &str,
) -> Result<Scenario, CommandError> {
    let drawn = run.join(DRAWN_SCENARIO);
    if drawn.is_file() {
        return Ok(Written::read(runbook, &drawn.display().to_string())?.scenario);
    }
    Ok(Written::read(runbook, name)?.scenario)
}

impl Written {
    /// A scenario by name, beside the runbook, or by path.
    pub(super) fn read(folder: &Path, name: &str) -> Result<Self, CommandError> {
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
        Self::parse(name.to_owned(), path, text)
    }

    /// The same scenario with another text.
    pub(super) fn with_text(self, text: String) -> Result<Self, CommandError> {
        Self::parse(self.name, self.path, text)
    }

    fn parse(name: String, path: PathBuf, text: String) -> Result<Self, CommandError> {
        let scenario = match Scenario::parse(&text) {
            Ok(scenario) => scenario,
            Err(error) => return Err(CommandError::invalid(Refused { path, text, error })),
        };
        Ok(Self {
            name,
            path,
            text,
            scenario,
        })
    }

    /// The runbook with the overlays that the scenario is for on top of those that were `given`, and all of them in order.
    ///
    /// # Errors
    /// Everything that is wrong with the files then.
    pub(super) fn laid_over(
        &self,
        runbook: &Arc<Runbook>,
        path: &Path,
        given: &[PathBuf],
    ) -> Result<(Arc<Runbook>, Vec<PathBuf>), CommandError> {
        let known: BTreeSet<String> = given.iter().map(|path| stage::absolute(path)).collect();
        let own = &self.scenario.overlays;
        let own = own.iter().map(|path| runbook.folder.join(path));
        let own: Vec<PathBuf> = own
            .filter(|path| !known.contains(&stage::absolute(path)))
            .collect();
        let overlays = [given, &own].concat();
        let runbook = if own.is_empty() {
            Arc::clone(runbook)
        } else {
            Arc::new(wanted::load(path, &overlays)?)
        };
        Ok((runbook, overlays))
    }

    /// Checks that what the scenario names of the runbook is there.
    pub(super) fn fits(&self, prepared: &Prepared) -> Result<(), CommandError> {
        let runbook = &prepared.runbook;
        let sites: Vec<_> = runbook.sites.keys().cloned().collect();
        let strategies: Vec<_> = runbook.strategies.keys().cloned().collect();
        let others = prepared.alternatives.values();
        let plans = std::iter::once(&prepared.plan).chain(others);
        let steps = plans.flat_map(|plan| plan.steps.iter().map(|step| step.id.clone()));
        let steps: BTreeSet<_> = steps.collect();
        let steps: Vec<_> = steps.into_iter().collect();
        let scenario = &self.scenario;
        let checked = scenario
            .check_sites(&sites)
            .and_then(|()| scenario.check_strategies(&strategies))
            .and_then(|()| scenario.check_steps(&steps));
        checked.map_err(|error| {
            CommandError::invalid(Refused {
                path: self.path.clone(),
                text: self.text.clone(),
                error,
            })
        })
    }
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
    if let Some(first) = rehearsed.broken.first() {
        for broken in &rehearsed.broken {
            let (code, name, message) = (broken.code, broken.name, &broken.message);
            let line = format!("rule broken: {code} {name}: {message}");
            context.output.say(&line);
        }
        let broken = rehearsed.broken.len();
        return Err(CommandError::new(
            Kind::Undone,
            format!("{broken} rule(s) were broken, the first is {}", first.code),
        ));
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
