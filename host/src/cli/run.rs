//! `understudy run RUNBOOK`: a procedure, for real.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::Context;
use super::environment::Environment;
use super::error::{CommandError, Kind};
use super::progress::ProgressDisplay;
use super::stage::{self, Told};
use super::terminal_gate::TerminalGate;
use super::wanted::{GivenAnswer, Wanted};
use understudy::capability::Facilities;
use understudy::capability::credential::MachineSecrets;
use understudy::capability::digest::DigestKey;
use understudy::capability::network::SystemResolver;
use understudy::capability::trust::SystemRoots;
use understudy::clock::Clock;
use understudy::journal::record::Ending;
use understudy::journal::sqlite::{self, SqliteOptions};
use understudy::journal::{JournalError, chain};
use understudy::live::people::People;
use understudy::live::{Live, LiveError};
use understudy::mediation::seed_of;
use understudy::name::RoleName;
use understudy::prepare::{Order, Prepared, bindings, prepare};
use understudy::run::Ended;
use understudy::run::gate::Gatekeeper;

/// Run a procedure for real: journaled, resumable, with people at the gates.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) wanted: Wanted,
    /// Who starts it; cannot be the second approver of a gate [default: the user]
    #[arg(long, value_name = "NAME")]
    pub(super) started_by: Option<String>,
    /// Answer of a role to every question it is asked, for runs without people; may be given for several roles
    #[arg(long, value_name = "ROLE=go|no-go")]
    pub(super) answer: Vec<GivenAnswer>,
    /// Largest size of the journal in pages of 4096 bytes; beyond it the run parks
    #[arg(long, value_name = "PAGES")]
    pub(super) journal_pages: Option<u32>,
}

impl Args {
    /// Runs.
    pub(super) fn run(&self, context: &Context) -> Result<(), CommandError> {
        let runbook = self.wanted.load()?;
        let run = stage::new_run(context, &runbook.name)?;
        let order = Order {
            procedure: self.wanted.strategies(&runbook)?,
            mode: self.wanted.mode_or(None),
            run: run.clone(),
            started_by: stage::person(context, self.started_by.as_deref()),
        };
        let engines = context.engines()?;
        runtime()?.block_on(async {
            let prepared = prepare(&engines, Arc::new(runbook), order).await?;
            stage::refuse_unsafe(&prepared)?;
            bindings::check_bound(&prepared)?;
            let facilities = facilities(context)?;
            let providers = bindings::bind(&engines, &prepared.runbook, &facilities).await?;
            let folder = context.runs().create(&run)?;
            context.output.say(&format!("run {run}"));
            let cast = Cast {
                prepared,
                providers,
                facilities,
            };
            let options = SqliteOptions {
                max_pages: self.journal_pages,
            };
            let overlays = self
                .wanted
                .overlay
                .iter()
                .map(|path| stage::absolute(path))
                .collect();
            let paths = (stage::absolute(&self.wanted.runbook), overlays);
            let (live, display) = set_up(context, &folder, cast, &self.answer, options, paths)?;
            let ended = live.begin(&folder).await;
            display.finish();
            if let Err(LiveError::Journal(error)) = ended {
                // Also where a run would park: this one has no record to go on from.
                return Err(
                    CommandError::invalid(error).hint("nothing was run; start it again then")
                );
            }
            finish(context, &folder, ended)
        })
    }
}

/// What a live run is made of.
pub(super) struct Cast {
    pub(super) prepared: Prepared,
    pub(super) providers: bindings::Providers,
    pub(super) facilities: Facilities,
}

/// The runtime of live runs.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    let built = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    built.map_err(|error| CommandError::new(Kind::Bug, error))
}

/// What a live run may use of this machine.
pub(super) fn facilities(context: &Context) -> Result<Facilities, CommandError> {
    Ok(Facilities {
        clock: Arc::new(context.clock),
        secrets: Arc::new(MachineSecrets::new(Environment::secret)),
        resolver: Arc::new(SystemResolver),
        roots: Arc::new(SystemRoots::load()),
        digests: Arc::new(DigestKey::draw().map_err(|error| CommandError::new(Kind::Bug, error))?),
    })
}

/// Puts a live run together: its journal, its people and its display.
pub(super) fn set_up(
    context: &Context,
    folder: &Path,
    cast: Cast,
    answers: &[GivenAnswer],
    journal: SqliteOptions,
    (runbook_path, overlays): (String, Vec<String>),
) -> Result<(Live, Arc<ProgressDisplay>), CommandError> {
    let clock: Arc<dyn Clock> = Arc::new(context.clock);
    let terminal = terminal(context)?;
    let given: BTreeMap<RoleName, bool> = answers
        .iter()
        .map(|answer| (answer.role.clone(), answer.go))
        .collect();
    let people = People::new(folder, Arc::clone(&clock), terminal, given);
    let live = context.environment.stderr_is_terminal;
    let display = Arc::new(ProgressDisplay::new(&context.output, clock, live));
    let live = Live {
        seed: seed_of(&cast.prepared.order.run),
        prepared: cast.prepared,
        providers: cast.providers,
        facilities: cast.facilities,
        keeper: Arc::new(people),
        on_append: Some(display.hook()),
        journal,
        runbook_path,
        overlays,
        host_version: stage::VERSION.to_owned(),
    };
    Ok((live, display))
}

/// People at this very terminal, if it is one.
fn terminal(context: &Context) -> Result<Option<Arc<dyn Gatekeeper>>, CommandError> {
    if !context.environment.stdin_is_terminal {
        return Ok(None);
    }
    let input = Box::new(std::io::BufReader::new(std::io::stdin()));
    let gate = TerminalGate::new(
        input,
        context.output.screen().clone(),
        stage::person(context, None),
    );
    gate.map(|gate| Some(Arc::new(gate) as Arc<dyn Gatekeeper>))
        .map_err(|error| CommandError::new(Kind::Bug, error))
}

/// Writes the report, says how it went and answers with the exit code. A run that was not touched has no new report:
/// another host may be at it.
pub(super) fn finish(
    context: &Context,
    folder: &Path,
    ended: Result<Ended, LiveError>,
) -> Result<(), CommandError> {
    if let Err(untouched @ (LiveError::Prepare(_) | LiveError::Journal(_))) = ended {
        return Err(untouched.into());
    }
    let told = tell(context, folder);
    // First what stopped the run: a full disk also keeps the report from being written.
    let ended = ended?;
    let told = told?;
    if ended.ending == Ending::Recovered {
        Ok(())
    } else {
        let error = stage::ended_error(&ended);
        Err(told.failures().fold(error, CommandError::hint))
    }
}

fn tell(context: &Context, folder: &Path) -> Result<Told, CommandError> {
    let lines = sqlite::read(folder)?;
    let (entries, _) = chain::read(&lines).map_err(JournalError::from)?;
    let told = Told::write(&entries, folder)?;
    told.say(context)?;
    Ok(told)
}
