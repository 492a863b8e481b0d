//! `understudy resume RUN`: go on where a host has died, or after a human has helped a stuck run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Context;
use super::error::CommandError;
use super::progress::ProgressDisplay;
use super::recorded::Recorded;
use super::rehearse::{self, block_on};
use super::run::{self, Cast};
use super::stage;
use super::wanted::{self, GivenAnswer};
use understudy::clock::Clock;
use understudy::journal::record::{Ending, Entry, Header, Record, Stage};
use understudy::journal::sqlite::{SqliteOptions, SqliteStore};
use understudy::prepare::{Order, Prepared, bindings, prepare};
use understudy::rehearsal::driver::{Rehearsal, Switches};

/// Go on with a run whose host has died or that is stuck: what is recorded is replayed, nothing is done twice.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run: as much of its name as is needed, or its folder
    pub(super) run: String,
    /// Answer of a role to every question it is asked, for runs without people; may be given for several roles
    #[arg(long, value_name = "ROLE=go|no-go")]
    pub(super) answer: Vec<GivenAnswer>,
}

impl Args {
    /// Goes on.
    pub(super) fn run(&self, context: &Context) -> Result<(), CommandError> {
        let recorded = Recorded::load(context, &self.run)?;
        let folder = recorded.folder()?.to_owned();
        let Some(Record::RunStarted(header)) = recorded.entries.first().map(|entry| &entry.record)
        else {
            return Err(CommandError::invalid(
                "the journal does not begin with a run",
            ));
        };
        if looked_only(&recorded.entries) {
            return Err(CommandError::invalid(
                "this run only looked: there is nothing to go on with",
            )
            .hint("`understudy check RUNBOOK --live` looks again"));
        }
        let overlays: Vec<PathBuf> = header.overlays.iter().map(PathBuf::from).collect();
        let runbook = wanted::load(Path::new(&header.runbook_path), &overlays)?;
        let order = Order {
            procedure: header.strategies.clone(),
            mode: header.mode,
            run: header.run.clone(),
            started_by: header.started_by.clone(),
        };
        let engines = context.engines()?;
        let prepared = block_on(prepare(&engines, Arc::new(runbook), order))??;
        same(header, &prepared)?;
        match &header.stage {
            Stage::Rehearsal {
                seed,
                scenario,
                scenario_digest,
            } => {
                let found = rehearse::scenario_of(&folder, &prepared.runbook.folder, scenario)?;
                if found.digest != *scenario_digest {
                    return Err(changed("scenario", scenario));
                }
                let rehearsal = Rehearsal {
                    prepared,
                    scenario: Arc::new(found),
                    seed: *seed,
                    runbook_path: header.runbook_path.clone(),
                    overlays: header.overlays.clone(),
                    scenario_name: scenario.clone(),
                    host_version: stage::VERSION.to_owned(),
                };
                let store = SqliteStore::open(&folder, SqliteOptions::default())?;
                let clock: Arc<dyn Clock> = Arc::new(context.clock);
                let display = Arc::new(ProgressDisplay::new(&context.output, clock, false));
                let switches = Switches {
                    cut_after: None,
                    cut_when: None,
                    on_append: Some(display.hook()),
                };
                let rehearsed = rehearsal.resume(Box::new(store), &recorded.entries, switches);
                display.finish();
                rehearse::finish(context, &folder, None, rehearsed?)
            }
            Stage::Live => self.live(context, &folder, header, prepared, &engines),
        }
    }

    fn live(
        &self,
        context: &Context,
        folder: &Path,
        header: &Header,
        prepared: Prepared,
        engines: &understudy::plugin::Engines,
    ) -> Result<(), CommandError> {
        run::runtime()?.block_on(async {
            let facilities = run::facilities(context)?;
            let providers = bindings::bind(engines, &prepared.runbook, &facilities).await?;
            let cast = Cast {
                prepared,
                providers,
                facilities,
            };
            let paths = (header.runbook_path.clone(), header.overlays.clone());
            let (live, display) = run::set_up(
                context,
                folder,
                cast,
                &self.answer,
                SqliteOptions::default(),
                paths,
            )?;
            let ended = live.resume(folder).await;
            display.finish();
            run::finish(context, folder, ended)
        })
    }
}

/// Whether a run was one that asks strategies whether they could begin, and no more.
fn looked_only(entries: &[Entry]) -> bool {
    let look = |entry: &Entry| match &entry.record {
        Record::RunEnded { ending, .. } => matches!(ending, Ending::Ready | Ending::NotReady),
        _ => false,
    };
    entries.iter().any(look)
}

/// A run goes on with what it was started with, or not at all.
fn same(header: &Header, prepared: &Prepared) -> Result<(), CommandError> {
    let now = prepared.header(
        header.stage.clone(),
        String::new(),
        Vec::new(),
        stage::VERSION,
    );
    if now.runbook_digest != header.runbook_digest {
        return Err(changed("runbook", &header.runbook_path));
    }
    if let Some((name, _)) = header
        .plugins
        .iter()
        .find(|(name, digest)| now.plugins.get(*name) != Some(*digest))
    {
        return Err(changed("plugin", name.as_str()));
    }
    if now.plan != header.plan {
        return Err(changed("plan of runbook", &header.runbook_path));
    }
    Ok(())
}

fn changed(what: &str, name: &str) -> CommandError {
    CommandError::invalid(format!(
        "the {what} `{name}` is not what it was when the run began; nothing was done"
    ))
    .hint("put back what was there; the digests are in `understudy show RUN -o json`")
}
