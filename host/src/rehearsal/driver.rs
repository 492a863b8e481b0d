//! A rehearsal: a prepared runbook in a simulated world, under a virtual clock, on one thread.
//!
//! The same seed gives the same journal, byte for byte. A rehearsal that was cut off is resumed like a live run; its
//! world is brought to where it was by making the recorded calls again ([`rebuild`](super::rebuild)).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use toml::Spanned;

use super::death::Deaths;
use super::people::SimulatedPeople;
use super::rebuild;
use super::scenario::Scenario;
use super::scenario::crash::{Crash, Moment};
use super::service::SimulatedService;
use super::trace::{Broken, Trace, broken};
use super::truth::Truth;
use super::world::{self, World};
use crate::call::CallSite;
use crate::clock::{Clock, Deadlock, Instant, VirtualClock, millis};
use crate::journal::record::{Ending, Entry, Missed, Record, Stage};
use crate::journal::redact::Redactor;
use crate::journal::store::Store;
use crate::journal::{Cut, Durability, Hook, Journal, JournalError, Setup, chain};
use crate::mediation::routing::Route;
use crate::name::{InterfaceName, InvalidName, RunId, StrategyName};
use crate::prepare::{PrepareErrors, Prepared, Staging, served};
use crate::run::assess::Assessment;
use crate::run::{Ended, Run, RunError};

/// A rehearsal, ready to begin or to go on. Cheap to clone.
#[derive(Clone)]
pub struct Rehearsal {
    /// What is rehearsed.
    pub prepared: Prepared,
    /// What goes wrong, and what must hold.
    pub scenario: Arc<Scenario>,
    /// Seed of the world.
    pub seed: u64,
    /// Path of the runbook, for the journal's header.
    pub runbook_path: String,
    /// Paths laid over it.
    pub overlays: Vec<String>,
    /// Name or path by which the scenario is found again.
    pub scenario_name: String,
    /// Version of the host.
    pub host_version: String,
}

/// How a rehearsal is carried out; switches of the host, not of the world.
#[derive(Clone, Default)]
pub struct Switches {
    /// Cut the journal off once it holds this many records, as if the host had died there.
    pub cut_after: Option<u64>,
    /// The same by what a record is.
    pub cut_when: Option<Cut>,
    /// Told every record.
    pub on_append: Option<Hook>,
}

/// Kind of the record after which a host that dies has sent nothing.
const INTENT: &str = "intent";

/// Where the journal of a rehearsal is kept: called once for a new journal, and again after each death of the host for
/// the one there is.
pub type Stores<'a> = dyn FnMut() -> Result<Box<dyn Store>, JournalError> + 'a;

/// What came of a rehearsal.
#[derive(Debug)]
pub struct Rehearsed {
    /// How the run ended.
    pub ended: Ended,
    /// What the simulated clients saw.
    pub truth: Truth,
    /// Expectations of the scenario that were missed.
    pub missed: Vec<Missed>,
    /// Rules that the trace breaks.
    pub broken: Vec<Broken>,
    /// The journal.
    pub entries: Vec<Entry>,
}

/// Why a rehearsal has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// The world does not serve what the plan uses.
    #[error(transparent)]
    Prepare(#[from] PrepareErrors),
    /// The journal cannot be begun or taken over.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The run stopped where it stood.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// The name of a rehearsal: made of what makes it what it is, so that the same rehearsal is the same run, key by key and
/// byte by byte.
///
/// # Errors
/// [`InvalidName`] if the parts make no name, for example because they are too long together.
pub fn run_id(
    runbook: &str,
    procedure: &[StrategyName],
    scenario: &str,
    seed: u64,
) -> Result<RunId, InvalidName> {
    let strategies: Vec<&str> = procedure.iter().map(StrategyName::as_str).collect();
    let strategies = strategies.join("-");
    format!("rehearsal-{runbook}-{strategies}-{scenario}-{seed}").parse()
}

impl Rehearsal {
    /// The same with another seed and scenario, under the name that goes with them.
    ///
    /// # Errors
    /// [`InvalidName`] as [`run_id`].
    pub fn with_seed(&self, seed: u64, scenario: Arc<Scenario>) -> Result<Self, InvalidName> {
        let mut prepared = self.prepared.clone();
        let order = &mut prepared.order;
        order.run = run_id(
            &prepared.runbook.name,
            &order.procedure,
            &scenario.name,
            seed,
        )?;
        for actor in prepared.actors.values_mut() {
            actor.context.run = order.run.clone();
        }
        Ok(Self {
            prepared,
            scenario,
            seed,
            ..self.clone()
        })
    }

    /// Checks that the world serves everything the plan uses.
    ///
    /// # Errors
    /// [`PrepareErrors`] naming what it does not.
    pub fn check(&self) -> Result<(), PrepareErrors> {
        let offered = world::interfaces(&self.scenario.stand_ins);
        let way_out = "the simulated world does not know it: add `[[stand-ins]]` to the scenario";
        served::check_served(&self.prepared, &offered, way_out)
    }

    /// Begins and carries through, past every death of the host that the scenario asks for.
    ///
    /// # Errors
    /// [`RehearsalError`]; with `cut_after`, [`RunError::Parked`] at the cut.
    pub fn perform(
        &self,
        open: &mut Stores<'_>,
        switches: &Switches,
    ) -> Result<Rehearsed, RehearsalError> {
        let mut deaths: Vec<Crash> = Vec::new();
        for crash in self.scenario.crashes.iter().map(Spanned::as_ref) {
            if !deaths.contains(crash) {
                deaths.push(crash.clone());
            }
        }
        let mut known: Vec<Entry> = Vec::new();
        let mut unsent = BTreeSet::new();
        loop {
            let written = u64::try_from(known.len()).unwrap_or(u64::MAX);
            deaths.retain(|crash| !matches!(crash.moment, Moment::Records(n) if n <= written));
            let watched = Deaths::watch(&deaths, &known);
            let mut switches = switches.clone();
            if !deaths.is_empty() {
                switches.cut_when = Some(watched.cut());
            }
            let store = open()?;
            let done = if known.is_empty() {
                self.begin(store, switches)
            } else {
                self.go_on(store, &known, &unsent, switches)
            };
            let Some(place) = watched.fired() else {
                return done;
            };
            if !matches!(done, Err(RehearsalError::Run(RunError::Parked(_)))) {
                return done;
            }
            let died = deaths.remove(place);
            let (_, lines) = open()?.read_all()?;
            known = chain::read(&lines).map_err(JournalError::from)?.0;
            unsent.extend(left_unsent(&died, &known));
        }
    }

    /// Begins and carries through, or up to `cut_after`.
    ///
    /// # Errors
    /// [`RehearsalError`]; with `cut_after`, [`RunError::Parked`] at the cut.
    pub fn begin(
        &self,
        store: Box<dyn Store>,
        switches: Switches,
    ) -> Result<Rehearsed, RehearsalError> {
        self.check()?;
        let clock = VirtualClock::starting_at(self.start());
        let header = self.prepared.header(
            self.stage(),
            self.runbook_path.clone(),
            self.overlays.clone(),
            &self.host_version,
        );
        let journal = Journal::create(store, setup(&clock, switches), header)?;
        self.carry_on(&clock, self.world(), journal, &[])
    }

    /// Asks the strategies whether they could begin in the world as it is when the run starts.
    ///
    /// # Errors
    /// [`RehearsalError`].
    pub fn assess(
        &self,
        store: Box<dyn Store>,
        strategies: &[StrategyName],
    ) -> Result<Vec<Assessment>, RehearsalError> {
        self.check()?;
        let looking = self.prepared.only_looking(strategies);
        let looking = looking.map_err(RunError::from)?;
        let clock = VirtualClock::starting_at(self.start());
        let header = looking.header(
            self.stage(),
            self.runbook_path.clone(),
            self.overlays.clone(),
            &self.host_version,
        );
        let journal = Journal::create(store, setup(&clock, Switches::default()), header)?;
        let world = Arc::new(Mutex::new(self.world()));
        let run = self.staged(&looking, &clock, &world, &journal, &[]);
        let assessed = clock.block_on(run.assess());
        let deadlock = |error: Deadlock| RunError::Parked(error.to_string());
        Ok(assessed.map_err(deadlock)??)
    }

    /// Goes on where a journal was cut off.
    ///
    /// # Errors
    /// [`RehearsalError`].
    pub fn resume(
        &self,
        store: Box<dyn Store>,
        known: &[Entry],
        switches: Switches,
    ) -> Result<Rehearsed, RehearsalError> {
        self.go_on(store, known, &BTreeSet::new(), switches)
    }

    /// The same, where these calls were on record and never sent.
    fn go_on(
        &self,
        store: Box<dyn Store>,
        known: &[Entry],
        unsent: &BTreeSet<CallSite>,
        switches: Switches,
    ) -> Result<Rehearsed, RehearsalError> {
        let last = known.last().map_or(self.start(), |entry| entry.at);
        let clock = VirtualClock::starting_at(last);
        let mut world = self.world();
        for seen in rebuild::calls(known, unsent) {
            // What it answers now is what it answered then.
            drop(world.call(seen.at, &seen.request));
        }
        let taken_over = |entry: &&Entry| matches!(entry.record, Record::RunResumed { .. });
        world.taken_over(1 + known.iter().filter(taken_over).count() as u64);
        let (journal, entries) =
            Journal::resume(store, setup(&clock, switches), &self.host_version)?;
        self.carry_on(&clock, world, journal, &entries)
    }

    fn stage(&self) -> Stage {
        Stage::Rehearsal {
            seed: self.seed,
            scenario: self.scenario_name.clone(),
            scenario_digest: self.scenario.digest.clone(),
        }
    }

    fn start(&self) -> Instant {
        self.scenario.world.start
    }

    fn world(&self) -> World {
        let sites: Vec<_> = self.prepared.runbook.sites.keys().cloned().collect();
        World::new(&self.scenario, &sites, self.seed, self.start())
    }

    /// The run of `prepared` in a world.
    fn staged(
        &self,
        prepared: &Prepared,
        clock: &VirtualClock,
        world: &Arc<Mutex<World>>,
        journal: &Journal,
        entries: &[Entry],
    ) -> Run {
        let interfaces = world::interfaces(&self.scenario.stand_ins);
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        prepared.staged(Staging {
            clock: Arc::clone(&shared),
            journal,
            entries,
            keeper: Arc::new(SimulatedPeople {
                world: Arc::clone(world),
                clock: Arc::clone(&shared),
            }),
            routes: routes(interfaces, world, &shared),
            seed: self.seed,
        })
    }

    fn carry_on(
        &self,
        clock: &VirtualClock,
        world: World,
        journal: Journal,
        entries: &[Entry],
    ) -> Result<Rehearsed, RehearsalError> {
        let world = Arc::new(Mutex::new(world));
        let run = self.staged(&self.prepared, clock, &world, &journal, entries);
        let ended = clock.block_on(run.execute());
        drop(run);
        let ended = match ended {
            Ok(ended) => ended?,
            Err(deadlock) => {
                let detail = format!(
                    "at {} nothing could go on: a person is waited for who does not answer",
                    deadlock.at
                );
                let ended = Ended {
                    ending: Ending::Stuck,
                    detail: detail.clone(),
                };
                append(
                    clock,
                    &journal,
                    Record::RunEnded {
                        ending: Ending::Stuck,
                        detail,
                    },
                )?;
                ended
            }
        };
        let (truth, seen) = {
            let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
            (world.truth(clock.now()), world.sightings())
        };
        append(clock, &journal, truth.clone().into_record())?;
        let missed = journal.read(|entries| self.scenario.judge(&truth, ended.ending, entries));
        let judged = Record::Judged {
            missed: missed.clone(),
        };
        append(clock, &journal, judged)?;
        let broken = journal.read(|entries| {
            broken(&Trace {
                entries,
                plan: &self.prepared.plan,
                scenario: &self.scenario,
                truth: &truth,
                seen: &seen,
                rpo_target_ms: millis(self.prepared.runbook.targets.rpo),
                ending: ended.ending,
            })
        });
        Ok(Rehearsed {
            ended,
            truth,
            missed,
            broken,
            entries: journal.into_entries(),
        })
    }
}

/// The call that a host had on record and did not send when it died.
fn left_unsent(died: &Crash, known: &[Entry]) -> Option<CallSite> {
    let after_intent = matches!(&died.moment, Moment::After(kind) if kind.as_ref() == INTENT);
    match known.last().map(|entry| &entry.record) {
        Some(Record::Intent { site, .. }) if after_intent => Some(site.clone()),
        _ => None,
    }
}

fn setup(clock: &VirtualClock, switches: Switches) -> Setup {
    let mut setup = Setup::inline(Arc::new(clock.clone()), Redactor::none());
    if let Some(records) = switches.cut_after {
        setup = setup.cut_after(records);
    }
    if let Some(cut) = switches.cut_when {
        setup = setup.cut_when(cut);
    }
    if let Some(hook) = switches.on_append {
        setup = setup.on_append(hook);
    }
    setup
}

fn routes(
    interfaces: Vec<InterfaceName>,
    world: &Arc<Mutex<World>>,
    clock: &Arc<dyn Clock>,
) -> Vec<Route> {
    let route = |interface: InterfaceName| Route {
        name: format!("simulated {}", interface.short()),
        interface,
        sites: Vec::new(),
        service: Arc::new(SimulatedService::new(Arc::clone(world), Arc::clone(clock))),
    };
    interfaces.into_iter().map(route).collect()
}

fn append(clock: &VirtualClock, journal: &Journal, record: Record) -> Result<(), RehearsalError> {
    let parked = |reason: String| RehearsalError::Run(RunError::Parked(reason));
    let appended = clock.block_on(journal.append(record, Durability::Durable));
    appended
        .map_err(|deadlock| parked(deadlock.to_string()))?
        .map(drop)
        .map_err(|error| parked(error.to_string()))
}
