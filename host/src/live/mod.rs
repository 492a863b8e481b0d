//! The real thing: a prepared runbook with its providers, the machine's clock, a journal on disk and people.
//!
//! The same [`Run`](crate::run::Run) as in a rehearsal; what differs is who serves the contracts, what time it is and who answers.

pub mod people;

use std::path::Path;
use std::sync::Arc;

use crate::capability::Facilities;
use crate::capability::probe::ProbeService;
use crate::clock::Clock;
use crate::journal::record::{Entry, Stage};
use crate::journal::redact::Redactor;
use crate::journal::sqlite::{SqliteOptions, SqliteStore};
use crate::journal::{Hook, Journal, JournalError, Setup};
use crate::mediation::routing::Route;
use crate::name::StrategyName;
use crate::prepare::bindings::{self, Providers};
use crate::prepare::{PrepareError, PrepareErrors, Prepared, Staging};
use crate::run::assess::Assessment;
use crate::run::gate::Gatekeeper;
use crate::run::{Ended, Run, RunError};

/// A live run, ready to begin or to go on.
pub struct Live {
    /// What is run.
    pub prepared: Prepared,
    /// Who serves its contracts.
    pub providers: Providers,
    /// What the host may use of the machine.
    pub facilities: Facilities,
    /// The way to people.
    pub keeper: Arc<dyn Gatekeeper>,
    /// Told every record.
    pub on_append: Option<Hook>,
    /// Bounds the journal's size.
    pub journal: SqliteOptions,
    /// Path of the runbook, for the journal's header.
    pub runbook_path: String,
    /// Paths laid over it.
    pub overlays: Vec<String>,
    /// Version of the host.
    pub host_version: String,
    /// For jitter and `control.random`.
    pub seed: u64,
}

/// Why a live run has no ending.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// Something of it cannot be set up. Nothing was run.
    #[error(transparent)]
    Prepare(#[from] PrepareErrors),
    /// The journal cannot be begun or taken over. Nothing was run.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The run stopped where it stood.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl Live {
    /// Begins the run in its (empty) folder and carries it through.
    ///
    /// # Errors
    /// [`LiveError`].
    pub async fn begin(&self, folder: &Path) -> Result<Ended, LiveError> {
        bindings::check_bound(&self.prepared)?;
        let (probe, setup) = self.set_up()?;
        let header = self.prepared.header(
            Stage::Live,
            self.runbook_path.clone(),
            self.overlays.clone(),
            &self.host_version,
        );
        let store = SqliteStore::create(folder, self.journal)?;
        let journal = Journal::create(Box::new(store), setup, header)?;
        self.carry_on(&journal, &[], probe).await
    }

    /// Asks the strategies whether they could begin, and records it in the (empty) folder. Nothing is changed.
    ///
    /// # Errors
    /// [`LiveError`].
    pub async fn assess(
        &self,
        folder: &Path,
        strategies: &[StrategyName],
    ) -> Result<Vec<Assessment>, LiveError> {
        let looking = self
            .prepared
            .only_looking(strategies)
            .map_err(RunError::from)?;
        let (probe, setup) = self.set_up()?;
        let header = looking.header(
            Stage::Live,
            self.runbook_path.clone(),
            self.overlays.clone(),
            &self.host_version,
        );
        let store = SqliteStore::create(folder, self.journal)?;
        let journal = Journal::create(Box::new(store), setup, header)?;
        let run = self.staged(&looking, &journal, &[], probe);
        Ok(run.assess().await?)
    }

    /// Takes the run over from whoever had it and carries it through.
    ///
    /// # Errors
    /// [`LiveError`]; another host that is still at it is one.
    pub async fn resume(&self, folder: &Path) -> Result<Ended, LiveError> {
        bindings::check_bound(&self.prepared)?;
        let (probe, setup) = self.set_up()?;
        let store = SqliteStore::open(folder, self.journal)?;
        let (journal, entries) = Journal::resume(Box::new(store), setup, &self.host_version)?;
        self.carry_on(&journal, &entries, probe).await
    }

    /// The probe, and a journal setup that knows every secret the run may hold.
    fn set_up(&self) -> Result<(ProbeService, Setup), PrepareErrors> {
        let runbook = &self.prepared.runbook;
        let probe = ProbeService::new(&runbook.probe, &runbook.folder, &self.facilities).map_err(
            |error| {
                PrepareErrors(vec![PrepareError::Binding {
                    contract: "understudy:probe/probe".to_owned(),
                    plugin: "host".to_owned(),
                    reason: error.to_string(),
                }])
            },
        )?;
        let probes = probe.redactor().for_journal();
        let redactor = Redactor::joined(self.providers.redactors().chain([probes]));
        let mut setup = Setup::threaded(Arc::clone(&self.facilities.clock), redactor);
        if let Some(hook) = &self.on_append {
            setup = setup.on_append(Arc::clone(hook));
        }
        Ok((probe, setup))
    }

    async fn carry_on(
        &self,
        journal: &Journal,
        entries: &[Entry],
        probe: ProbeService,
    ) -> Result<Ended, LiveError> {
        let run = self.staged(&self.prepared, journal, entries, probe);
        Ok(run.execute().await?)
    }

    /// The run of `prepared`, with who serves its contracts.
    fn staged(
        &self,
        prepared: &Prepared,
        journal: &Journal,
        entries: &[Entry],
        probe: ProbeService,
    ) -> Run {
        let clock: Arc<dyn Clock> = Arc::clone(&self.facilities.clock);
        let mut routes = self.providers.routes(journal, &clock);
        if let Some(interface) = self.prepared.contract("understudy:probe/probe") {
            routes.push(Route {
                interface: interface.clone(),
                sites: Vec::new(),
                name: "probe".to_owned(),
                service: Arc::new(probe),
            });
        }
        prepared.staged(Staging {
            clock,
            journal,
            entries,
            keeper: Arc::clone(&self.keeper),
            routes,
            seed: self.seed,
        })
    }
}
