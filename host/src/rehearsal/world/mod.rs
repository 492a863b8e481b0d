//! The simulated world: sites, data, names, clients and people under a time that is handed in. No wasmtime, no clock.
//!
//! Start at [`World::call`]. The world stands still between calls: [`World::advance`] lives through the time since the
//! last one, from event to event, and lets clients do what they do in the stretches in between ([`clients`]). Same
//! scenario, seed, and calls at the same times: same answers. Chance for a call is drawn from its identity and for a
//! process from a stream of its own (`rehearsal/draw.rs`).

mod clients;
mod cluster;
mod contract;
mod database;
mod edge;
mod event;
mod fault;
mod history;
mod job;
mod pace;
mod people;
mod resolver;
mod site;
mod stale;
#[cfg(test)]
mod tests;
mod truth;
mod ward;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::draw::Draws;
use super::scenario::Scenario;
use super::scenario::events::{Fault, Inject, Person, StandIn};
use super::scenario::start::{self, Bucket, Clients, Durations, Objective};
use super::scenario::time::Range;
use super::scenario::timing::Timing;
use super::scenario::{CONTRACTS, JourneyStart};
use crate::call::{CallKind, Outcome, Reply, Request};
use crate::clock::Instant;
use crate::name::{InterfaceName, RoleName, SiteName};
use clients::{Demand, Reception};
use contract::infrastructure::Stack;
use database::Database;
use edge::EdgeCache;
use event::Event;
use job::{Job, Subject};
use pace::Pace;
pub use people::{GateQuestion, PersonAnswer};
use resolver::{Population, Zone};
use site::Site;
use stale::Staleness;
use ward::Ward;
pub use ward::{Hazard, Sighting};
use watch::Watch;

/// Version of the contracts that the world serves.
const CONTRACT_VERSION: &str = "0.1.0";

/// An answer, and how long it takes to arrive. Effects apply when the call arrives.
#[derive(Debug, Clone)]
pub struct Served {
    /// What came back.
    pub reply: Reply,
    /// Time until it does.
    pub took: Duration,
}

/// An issuer and the orders it has had.
#[derive(Debug, Clone)]
struct IssuerState {
    settings: start::Issuer,
    /// Names and time of each certificate ordered.
    orders: Vec<(BTreeSet<String>, Instant)>,
    limited_until: Option<Instant>,
}

/// Who has asked what, by the calls' keys.
#[derive(Debug, Clone, Default)]
struct Asked {
    /// Attempts after the first.
    polls: BTreeMap<String, u32>,
    /// Calls so far, by function.
    calls: BTreeMap<String, u32>,
    /// Which call of its function it is.
    nth: BTreeMap<String, u32>,
    /// Calls that were told to wait.
    waiting: BTreeSet<String>,
    /// Journeys that passed in a row.
    streaks: BTreeMap<String, u32>,
    /// When a call came first.
    first: BTreeMap<String, Instant>,
}

/// A simulated world.
#[derive(Debug)]
pub struct World {
    draws: Draws,
    now: Instant,
    primary: SiteName,
    /// Hosts that have died on the run so far.
    dead_hosts: u64,
    // What there is.
    sites: BTreeMap<SiteName, Site>,
    databases: BTreeMap<String, Database>,
    zone: Zone,
    population: Population,
    edge: Option<EdgeCache>,
    issuers: BTreeMap<String, IssuerState>,
    buckets: BTreeMap<String, Bucket>,
    stacks: BTreeMap<String, Stack>,
    channels: BTreeMap<String, BTreeSet<String>>,
    failed_apis: BTreeSet<String>,
    control_planes: BTreeMap<String, SiteName>,
    stale: Staleness,
    // What is asked of it.
    clients: Clients,
    demand: Demand,
    journeys: BTreeMap<String, Vec<JourneyStart>>,
    objectives: BTreeMap<String, Objective>,
    durations: Durations,
    // What happens.
    queue: BTreeMap<(Instant, u64), Event>,
    next_event: u64,
    injects: Vec<Inject>,
    jobs: BTreeMap<Subject, Job>,
    next_job: u64,
    timings: Vec<Timing>,
    faults: Vec<Fault>,
    people: BTreeMap<RoleName, Person>,
    stand_ins: Vec<StandIn>,
    asked: Asked,
    // The call at hand.
    key: String,
    took: Duration,
    pace: Pace,
    // What clients get.
    dirty: bool,
    receptions: Vec<Reception>,
    write_rates: Vec<(String, usize, u128)>,
    watch: Watch,
    ward: Ward,
}

/// The sites of a runbook and those that a scenario says more of.
fn known_sites(
    scenario: &Scenario,
    sites: &[SiteName],
    start: Instant,
) -> BTreeMap<SiteName, Site> {
    let site = |name: &SiteName| {
        let declared = scenario.sites.get(name).map(|site| site.as_ref().clone());
        let site = Site::new(&declared.unwrap_or_default(), start);
        (name.clone(), site)
    };
    sites
        .iter()
        .chain(scenario.sites.keys())
        .map(site)
        .collect()
}

impl World {
    /// The world of a scenario with the sites of a runbook, for a run that starts at `start`. It has lived through
    /// whatever the scenario puts before that.
    #[must_use]
    pub fn new(scenario: &Scenario, sites: &[SiteName], seed: u64, start: Instant) -> Self {
        let draws = Draws::new(seed);
        let before = scenario
            .injects
            .iter()
            .map(|inject| inject.at.from_start(start));
        let begin = before.min().unwrap_or(start).min(start);
        let clients = scenario.clients.as_ref().clone();
        let zone = Zone::new(&scenario.dns);
        let population = Population::new(
            scenario.resolvers.as_ref(),
            &zone,
            &clients.name,
            draws,
            begin,
        );
        let mut all = known_sites(scenario, sites, start);
        let mut world = Self {
            draws,
            now: begin,
            primary: scenario.world.primary.clone(),
            dead_hosts: 0,
            stacks: stacks(scenario, start, &mut all),
            sites: all,
            databases: databases(scenario, draws, begin),
            zone,
            population,
            edge: edge(scenario, draws, begin),
            issuers: issuers(scenario),
            buckets: scenario.buckets.clone(),
            channels: channels(scenario),
            failed_apis: BTreeSet::new(),
            control_planes: scenario
                .control_planes
                .iter()
                .map(|(api, site)| (api.clone(), site.as_ref().clone()))
                .collect(),
            stale: Staleness::new(lags(scenario)),
            demand: Demand::new(&clients),
            clients,
            journeys: scenario.journeys.clone(),
            objectives: scenario.objectives.clone(),
            durations: scenario.durations.clone(),
            queue: BTreeMap::new(),
            next_event: 0,
            injects: scenario.injects.clone(),
            jobs: BTreeMap::new(),
            next_job: 0,
            timings: scenario.timings.clone(),
            faults: scenario.faults.clone(),
            people: scenario.people.clone(),
            stand_ins: scenario.stand_ins.clone(),
            asked: Asked::default(),
            key: String::new(),
            took: Duration::ZERO,
            pace: Pace::default(),
            dirty: true,
            receptions: Vec::new(),
            write_rates: Vec::new(),
            watch: Watch::default(),
            ward: Ward::default(),
        };
        world.schedule_beginning(start);
        world.advance(start);
        world
    }

    /// The contracts it serves.
    #[must_use]
    pub fn interfaces(&self) -> Vec<InterfaceName> {
        interfaces(&self.stand_ins)
    }

    /// Whether it serves a contract: an own one, or one the scenario declares a stand-in for.
    #[must_use]
    pub fn serves(&self, interface: &InterfaceName) -> bool {
        self.interfaces().contains(interface)
    }

    /// From now on another host asks: so many have died on the run.
    pub fn taken_over(&mut self, dead_hosts: u64) {
        self.dead_hosts = dead_hosts;
    }

    /// Serves one call that arrives at `now`.
    pub fn call(&mut self, now: Instant, request: &Request) -> Served {
        self.advance(now);
        self.key.clone_from(&request.key.0);
        let poll = self.count(request);
        let short = request.function.interface.short();
        self.took = self
            .draws
            .within(self.durations.api, "api", &self.key, u64::from(poll));
        self.pace = self.pace_of(request);
        let fault = self.fault_for(request, poll);
        let reply = match fault {
            Some(fault) => self.go_wrong(&fault, request, short, poll),
            None => self.dispatch(request, short, poll),
        };
        Served {
            reply,
            took: self.took,
        }
    }

    /// Serves a call as if nothing went wrong on the way.
    fn dispatch(&mut self, request: &Request, short: &str, poll: u32) -> Reply {
        let reply = self.answer_now(request, short);
        self.keep_pace(&reply, poll);
        reply
    }

    /// What the world answers.
    fn answer_now(&mut self, request: &Request, short: &str) -> Reply {
        if request.function.interface.namespace() != "understudy" {
            return self.stand_in(request);
        }
        self.control_plane(short, request)?;
        self.takes_changes(short, request)?;
        if CallKind::of(&request.function.function) == CallKind::Read {
            return self.serve(request, short);
        }
        let foreseen = self.foresee(request);
        let reply = self.serve(request, short);
        self.keep_watch(request, foreseen, &reply);
        self.note_drift(short, request, &reply);
        self.touch();
        self.remember_waiting(reply)
    }

    /// The answer of a contract.
    fn answer_call(&mut self, request: &Request, short: &str) -> Reply {
        match short {
            "database" => self.database(request),
            "dns" => self.dns(request),
            "kubernetes" => self.kubernetes(request),
            "workload" => self.workload(request),
            "certificates" => self.certificates(request),
            "ingress" => self.ingress(request),
            "infrastructure" => self.infrastructure(request),
            "storage" => self.storage(request),
            "edge-cache" => self.edge_cache(request),
            "probe" => self.probe(request),
            "metrics" => self.metrics(request),
            "notify" => self.notify(request),
            _ => self.stand_in(request),
        }
    }

    /// A call that was told to wait and now finds everything as asked has changed it.
    fn remember_waiting(&mut self, reply: Reply) -> Reply {
        let value = reply?;
        if value.get("in-progress").is_some() {
            self.asked.waiting.insert(self.key.clone());
        } else if value == "unchanged" && self.asked.waiting.remove(&self.key) {
            return contract::outcome(Outcome::Changed);
        }
        Ok(value)
    }

    /// Something may have changed: look at everything again.
    fn touch(&mut self) {
        self.dirty = true;
        self.settle();
    }
}

/// The contracts that a world serves: its own, and those that a scenario declares stand-ins for.
#[must_use]
pub fn interfaces(stand_ins: &[StandIn]) -> Vec<InterfaceName> {
    let own = CONTRACTS.iter().filter_map(|name| {
        format!("understudy:{name}/{name}@{CONTRACT_VERSION}")
            .parse()
            .ok()
    });
    let declared = stand_ins.iter().map(|stand_in| stand_in.contract.clone());
    let all: BTreeSet<InterfaceName> = own.chain(declared).collect();
    all.into_iter().collect()
}

fn stacks(
    scenario: &Scenario,
    start: Instant,
    sites: &mut BTreeMap<SiteName, Site>,
) -> BTreeMap<String, Stack> {
    let all = scenario.stacks.iter();
    all.map(|(name, stack)| (name.clone(), Stack::new(stack.as_ref(), start, sites)))
        .collect()
}

/// Caches in front of the service, where it has some.
fn edge(scenario: &Scenario, draws: Draws, at: Instant) -> Option<EdgeCache> {
    let settings = scenario.edge_cache.as_ref()?.as_ref();
    let site = settings.holds.as_ref().unwrap_or(&scenario.world.primary);
    Some(EdgeCache::new(settings, site, draws, at))
}

/// Channels on which nothing was said yet.
fn channels(scenario: &Scenario) -> BTreeMap<String, BTreeSet<String>> {
    let all = scenario.channels.iter();
    all.map(|name| (name.clone(), BTreeSet::new())).collect()
}

fn databases(scenario: &Scenario, draws: Draws, at: Instant) -> BTreeMap<String, Database> {
    let primary = &scenario.world.primary;
    let clients = scenario.clients.as_ref();
    let demand = Demand::new(clients);
    let home = scenario.sites.get(primary).map(|site| site.as_ref());
    let written = home.and_then(|site| site.apps.get(&clients.app));
    let mut databases = BTreeMap::new();
    for (name, settings) in &scenario.databases {
        // Clients' writes of the past are in the database that their application names.
        let endpoint = home
            .and_then(|site| site.databases.get(name))
            .map(|start| &start.endpoint);
        let used = endpoint.is_some() && endpoint == written.map(|app| &app.database_endpoint);
        let rate = |at| if used { demand.write_rate(at) } else { 0 };
        let mut database = Database::new(name, settings.as_ref(), primary, rate, draws, at);
        for (site, start) in &scenario.sites {
            if let Some(start) = start.as_ref().databases.get(name) {
                database.place(site, start, primary, at);
            }
        }
        databases.insert(name.clone(), database);
    }
    databases
}

fn lags(scenario: &Scenario) -> impl Iterator<Item = (String, Range)> {
    let lags = scenario.eventual_consistency.iter();
    lags.map(|(contract, by)| (contract.clone(), *by.as_ref()))
}

fn issuers(scenario: &Scenario) -> BTreeMap<String, IssuerState> {
    let state = |settings: &start::Issuer| IssuerState {
        settings: settings.clone(),
        orders: Vec::new(),
        limited_until: None,
    };
    scenario
        .issuers
        .iter()
        .map(|(name, issuer)| (name.clone(), state(issuer)))
        .collect()
}
