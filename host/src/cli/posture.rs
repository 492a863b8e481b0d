//! `understudy check RUNBOOK --live`: whether the strategies could begin now, by looking at the world and changing nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::Context;
use super::error::{CommandError, Kind};
use super::output::{Output, Table, Tone};
use super::rehearse::{Written, block_on};
use super::run::{self, Cast};
use super::{stage, wanted};
use understudy::journal::record::Mode;
use understudy::journal::sqlite::{SqliteOptions, SqliteStore};
use understudy::name::{RunId, StrategyName};
use understudy::plugin::Engines;
use understudy::prepare::{Order, Prepared, bindings, prepare};
use understudy::rehearsal::driver::Rehearsal;
use understudy::run::assess::Assessment;
use understudy::runbook::types::Runbook;

/// What `check` looks at beside the files.
#[derive(Debug, clap::Args)]
pub(super) struct LiveArgs {
    /// Also ask the strategies whether they could begin now: by reads alone, recorded like a run. Exit code 1 where
    /// something does not hold or could not be asked
    #[arg(long)]
    pub(super) live: bool,
    /// Procedures to ask about, by the strategy that each begins with [default: all]
    #[arg(long, value_name = "NAME", num_args = 1.., requires = "live")]
    procedure: Vec<String>,
    /// Whether the site that is left still answers [default: as the scenario says, else graceful]
    #[arg(long, value_enum, requires = "live")]
    mode: Option<wanted::Mode>,
    /// Look at a simulated world instead: name of a scenario beside the runbook, or a file
    #[arg(long, value_name = "NAME|FILE", requires = "live")]
    scenario: Option<String>,
    /// Seed of that world
    #[arg(long, default_value_t = 1, value_name = "N", requires = "scenario")]
    seed: u64,
}

/// The runbook with the paths by which it was found.
pub(super) struct Checked<'a> {
    pub(super) runbook: Arc<Runbook>,
    pub(super) path: &'a PathBuf,
    pub(super) overlays: &'a [PathBuf],
}

impl LiveArgs {
    /// The scenario of the simulated world, where one is looked at.
    ///
    /// # Errors
    /// There is none of that name, or it cannot be read.
    pub(super) fn written(&self, folder: &Path) -> Result<Option<Written>, CommandError> {
        let name = self.scenario.as_deref();
        name.map(|name| Written::read(folder, name)).transpose()
    }

    /// Looks at the world, or at that of the scenario, says what was found, and answers with the exit code.
    ///
    /// # Errors
    /// A procedure there is not; something that does not hold or could not be asked.
    pub(super) fn look(
        &self,
        context: &Context,
        engines: &Engines,
        checked: &Checked<'_>,
        written: Option<Written>,
    ) -> Result<(), CommandError> {
        let runbook = &checked.runbook;
        let strategies = self.strategies(runbook)?;
        let world = written.as_ref().and_then(|written| written.scenario.mode);
        let run = stage::new_run(context, &runbook.name)?;
        let order = Order {
            procedure: strategies.clone(),
            mode: self
                .mode
                .map(Into::into)
                .or(world)
                .unwrap_or(Mode::Graceful),
            run: run.clone(),
            started_by: stage::person(context, None),
        };
        let assessments = match written {
            Some(written) => {
                let prepared = block_on(prepare(engines, Arc::clone(runbook), order))??;
                self.simulated(context, checked, prepared, written, &strategies)?
            }
            None => live(context, engines, checked, order, &strategies)?,
        };
        tell(context, &run, &assessments)
    }

    /// The strategies that the wanted procedures begin with, each once.
    fn strategies(&self, runbook: &Runbook) -> Result<Vec<StrategyName>, CommandError> {
        let known = || runbook.procedures.keys().map(String::as_str);
        let wanted: Vec<&str> = if self.procedure.is_empty() {
            known().collect()
        } else {
            self.procedure.iter().map(String::as_str).collect()
        };
        let mut strategies = Vec::new();
        for name in wanted {
            let procedure = runbook.procedures.get(name).ok_or_else(|| {
                let text = format!("runbook `{}` has no procedure `{name}`", runbook.name);
                let known: Vec<&str> = known().collect();
                CommandError::invalid(text).hint(format!("it has: {}", known.join(", ")))
            })?;
            strategies.extend(
                procedure
                    .first()
                    .filter(|first| !strategies.contains(*first))
                    .cloned(),
            );
        }
        Ok(strategies)
    }

    fn simulated(
        &self,
        context: &Context,
        checked: &Checked<'_>,
        prepared: Prepared,
        written: Written,
        strategies: &[StrategyName],
    ) -> Result<Vec<Assessment>, CommandError> {
        let folder = context.runs().create(&prepared.order.run)?;
        let rehearsal = Rehearsal {
            prepared,
            scenario: Arc::new(written.scenario),
            seed: self.seed,
            runbook_path: stage::absolute(checked.path),
            overlays: checked
                .overlays
                .iter()
                .map(|path| stage::absolute(path))
                .collect(),
            scenario_name: written.name,
            host_version: stage::VERSION.to_owned(),
        };
        let store = SqliteStore::create(&folder, SqliteOptions::default())?;
        Ok(rehearsal.assess(Box::new(store), strategies)?)
    }
}

fn live(
    context: &Context,
    engines: &Engines,
    checked: &Checked<'_>,
    order: Order,
    strategies: &[StrategyName],
) -> Result<Vec<Assessment>, CommandError> {
    run::runtime()?.block_on(async {
        let run = order.run.clone();
        let prepared = prepare(engines, Arc::clone(&checked.runbook), order).await?;
        let facilities = run::facilities(context)?;
        let providers = bindings::bind(engines, &prepared.runbook, &facilities).await?;
        let folder = context.runs().create(&run)?;
        let cast = Cast {
            prepared,
            providers,
            facilities,
        };
        let overlays = checked.overlays.iter();
        let paths = (
            stage::absolute(checked.path),
            overlays.map(|path| stage::absolute(path)).collect(),
        );
        let options = SqliteOptions::default();
        let (live, display) = run::set_up(context, &folder, cast, &[], options, paths)?;
        let assessed = live.assess(&folder, strategies).await;
        display.finish();
        Ok(assessed?)
    })
}

fn tell(context: &Context, run: &RunId, assessments: &[Assessment]) -> Result<(), CommandError> {
    let ready = assessments.iter().all(Assessment::is_ready);
    if context.output.is_json() {
        context.output.json(&json!({
            "run": run,
            "ready": ready,
            "strategies": assessments,
        }))?;
    } else {
        context.output.data(&render(assessments, &context.output))?;
    }
    context.output.say(&format!("recorded as run {run}"));
    let not_ready: Vec<&str> = assessments
        .iter()
        .filter(|assessment| !assessment.is_ready())
        .map(|assessment| assessment.strategy.as_str())
        .collect();
    if not_ready.is_empty() {
        return Ok(());
    }
    Err(CommandError::new(
        Kind::Undone,
        format!("not ready: {}", not_ready.join(", ")),
    ))
}

fn render(assessments: &[Assessment], output: &Output) -> String {
    let mut table = Table::new(&["STRATEGY", "WHAT", "STANDING", "DETAIL"]);
    for assessment in assessments {
        let strategy = assessment.strategy.as_str();
        for found in &assessment.findings {
            let (word, tone) = if found.holds {
                ("holds", Tone::Good)
            } else {
                ("does not hold", Tone::Bad)
            };
            table.row([
                (strategy, None),
                (&found.id, None),
                (word, Some(tone)),
                (&found.detail, None),
            ]);
        }
        for unasked in &assessment.unasked {
            let call = match &unasked.site {
                Some(site) => format!("{} at {site}", unasked.call),
                None => unasked.call.clone(),
            };
            table.row([
                (strategy, None),
                (&call, None),
                ("not answered", Some(Tone::Bad)),
                (&unasked.reason, None),
            ]);
        }
        if let Some(problem) = &assessment.problem {
            table.row([
                (strategy, None),
                ("assessment", None),
                ("failed", Some(Tone::Bad)),
                (problem, None),
            ]);
        }
    }
    table.render(output)
}
