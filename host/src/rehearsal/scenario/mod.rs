//! A scenario: the world a rehearsal starts from, what goes wrong in it, and what must hold at the end.
//!
//! [`Scenario::parse`] is the door: after it every name resolves inside the file. [`Scenario::check_sites`] compares it
//! with a runbook. Nothing here simulates anything; `rehearsal/world` does.

mod check;
pub mod cluster;
pub mod contracts;
pub mod crash;
pub mod edge_cache;
pub mod error;
pub mod events;
pub mod expect;
pub mod script;
pub mod stack;
pub mod start;
#[cfg(test)]
mod tests;
pub mod time;
pub mod timing;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use toml::Spanned;

use crate::call::hex;
use crate::journal::record::{Ending, Entry, Missed, Mode};
use crate::name::{RoleName, SiteName, StepId, StrategyName};
use crate::rehearsal::truth::Truth;
pub use contracts::CONTRACTS;
use crash::Crash;
use edge_cache::EdgeCache;
pub use error::ScenarioError;
use events::{Fault, Inject, Person, StandIn};
use expect::Expect;
use script::Cue;
use stack::Stack;
use start::{
    Bucket, Clients, Database, Dns, Durations, Issuer, Objective, Resolvers, SiteStart, WorldStart,
};
use time::Range;
use timing::Timing;

/// A scenario after the door.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scenario {
    /// Short name, kebab-case.
    pub name: String,
    /// One line for people.
    pub summary: String,
    /// How the run is started where the command line does not say.
    pub mode: Option<Mode>,
    /// The procedure of the runbook it is for, where the command line does not say.
    pub procedure: Option<String>,
    /// Overlays of the runbook that it is for, besides those of the command line; by path from the runbook's folder.
    #[serde(default)]
    pub overlays: Vec<PathBuf>,
    /// What the drill is about.
    pub world: WorldStart,
    /// Who uses the service.
    pub clients: Spanned<Clients>,
    /// By which caches they look names up.
    #[serde(default = "even_resolvers")]
    pub resolvers: Spanned<Resolvers>,
    /// Sites by name.
    pub sites: BTreeMap<SiteName, Spanned<SiteStart>>,
    /// Databases by name.
    #[serde(default)]
    pub databases: BTreeMap<String, Spanned<Database>>,
    /// The zone.
    pub dns: Dns,
    /// Caches in front of the clients' name; none where left out.
    pub edge_cache: Option<Spanned<EdgeCache>>,
    /// Issuers by name.
    #[serde(default)]
    pub issuers: BTreeMap<String, Issuer>,
    /// Buckets by name.
    #[serde(default)]
    pub buckets: BTreeMap<String, Bucket>,
    /// Infrastructure as code, by name of the stack.
    #[serde(default)]
    pub stacks: BTreeMap<String, Spanned<Stack>>,
    /// Service levels by name.
    #[serde(default)]
    pub objectives: BTreeMap<String, Objective>,
    /// Channels for announcements.
    #[serde(default)]
    pub channels: Vec<String>,
    /// Control planes that live in a site and die with it, by contract, for example `dns = "pz"`.
    #[serde(default)]
    pub control_planes: BTreeMap<String, Spanned<SiteName>>,
    /// Control planes whose reads show the old state for so long after a change, by contract.
    #[serde(default)]
    pub eventual_consistency: BTreeMap<String, Spanned<Range>>,
    /// Journeys that the `probe` contract can walk, by name: what each of their requests needs.
    #[serde(default = "usual_journeys")]
    pub journeys: BTreeMap<String, Vec<JourneyStart>>,
    /// How long everything else takes.
    #[serde(default)]
    pub durations: Durations,
    /// How long calls take where that was measured.
    #[serde(default)]
    pub timings: Vec<Timing>,
    /// What happens at a time.
    #[serde(default)]
    pub injects: Vec<Inject>,
    /// Calls that go wrong.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// Deaths of the host; another one goes on each time.
    #[serde(default)]
    pub crashes: Vec<Spanned<Crash>>,
    /// How people answer, by role.
    #[serde(default)]
    pub people: BTreeMap<RoleName, Person>,
    /// Answers for an organisation's own contracts.
    #[serde(default)]
    pub stand_ins: Vec<StandIn>,
    /// What must be reached by when, in this order.
    #[serde(default)]
    pub script: Vec<Spanned<Cue>>,
    /// What must hold at the end.
    #[serde(default)]
    pub expect: Expect,
    /// SHA-256 of the file's bytes, lower-case hexadecimal.
    #[serde(skip)]
    pub digest: String,
}

/// A request of a simulated journey.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct JourneyStart {
    /// Short name.
    pub name: String,
    /// What must work for it.
    pub needs: Vec<Need>,
}

/// What a request needs besides the application itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// The database answers.
    Read,
    /// The database takes writes.
    Write,
    /// This bucket takes objects.
    Bucket(String),
}

fn even_resolvers() -> Spanned<Resolvers> {
    Spanned::new(0..0, Resolvers::default())
}

fn usual_journeys() -> BTreeMap<String, Vec<JourneyStart>> {
    let journey = |name: &str, steps: &[(&str, &[Need])]| {
        let steps = steps
            .iter()
            .map(|(name, needs)| JourneyStart {
                name: (*name).to_owned(),
                needs: needs.to_vec(),
            })
            .collect();
        (name.to_owned(), steps)
    };
    let media = Need::Bucket("media".to_owned());
    BTreeMap::from([
        journey("front-page", &[("get", &[Need::Read])]),
        journey(
            "login",
            &[("form", &[Need::Read]), ("submit", &[Need::Write])],
        ),
        journey(
            "create-post",
            &[("login", &[Need::Write]), ("post", &[Need::Write])],
        ),
        journey(
            "upload-media",
            &[("login", &[Need::Write]), ("upload", &[Need::Write, media])],
        ),
    ])
}

impl Scenario {
    /// Reads a scenario file.
    ///
    /// # Errors
    /// [`ScenarioError`], with the place in the file.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let mut scenario: Self =
            toml::from_str(text).map_err(|error| ScenarioError::Unreadable {
                message: error.message().to_owned(),
                span: error.span(),
            })?;
        scenario.digest = hex(&Sha256::digest(text.as_bytes()));
        let sites: Vec<SiteName> = scenario.sites.keys().cloned().collect();
        scenario.check_names(&sites)?;
        scenario.check_clients()?;
        scenario.check_edge_cache(&sites)?;
        scenario.check_databases()?;
        scenario.check_expectations()?;
        scenario.check_script()?;
        scenario.check_timings()?;
        scenario.check_faults()?;
        scenario.check_crashes()?;
        Ok(scenario)
    }

    /// Checks that every site of the scenario is one of the runbook's.
    ///
    /// # Errors
    /// [`ScenarioError::UnknownName`].
    pub fn check_sites(&self, sites: &[SiteName]) -> Result<(), ScenarioError> {
        for (name, start) in &self.sites {
            check::known("site", name, sites.iter(), Some(start.span()))?;
        }
        Ok(())
    }

    /// Checks that every step that the scenario names is one of a plan's.
    ///
    /// # Errors
    /// [`ScenarioError::UnknownName`].
    pub fn check_steps(&self, steps: &[StepId]) -> Result<(), ScenarioError> {
        let cued = self
            .script
            .iter()
            .filter_map(|cue| cue.as_ref().what.step());
        let crashed = self.crashes.iter();
        let crashed = crashed.filter_map(|crash| crash.as_ref().step.as_ref());
        for step in cued.chain(crashed) {
            check::known("step", step.as_ref(), steps.iter(), Some(step.span()))?;
        }
        Ok(())
    }

    /// Checks that people switch to strategies that there are.
    ///
    /// # Errors
    /// [`ScenarioError::UnknownName`].
    pub fn check_strategies(&self, strategies: &[StrategyName]) -> Result<(), ScenarioError> {
        let people = self.people.values();
        for other in people.filter_map(|person| person.switch_to.as_ref()) {
            let span = Some(other.span());
            check::known("strategy", other.as_ref(), strategies.iter(), span)?;
        }
        Ok(())
    }

    /// Everything that was expected and did not hold, of a run with these records.
    #[must_use]
    pub fn judge(&self, truth: &Truth, ending: Ending, entries: &[Entry]) -> Vec<Missed> {
        let mut missed = self.expect.judge(truth, ending);
        missed.extend(script::missed(&self.script, self.world.start, entries));
        missed
    }
}
