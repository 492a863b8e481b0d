//! A scenario: the world a rehearsal starts from, what goes wrong in it, and what must hold at the end.
//!
//! [`Scenario::parse`] is the door: after it every name resolves inside the file. [`Scenario::check_sites`] compares it
//! with a runbook. Nothing here simulates anything; `rehearsal/world` does.

mod check;
pub mod events;
pub mod expect;
pub mod start;
pub mod time;

use std::collections::BTreeMap;
use std::ops::Range as Span;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use toml::Spanned;

use crate::call::hex;
use crate::journal::record::{Ending, Mode};
use crate::name::{RoleName, SiteName};
use crate::rehearsal::truth::Truth;
use events::{Crash, Fault, Inject, Person, StandIn};
use expect::{Expect, Missed};
use start::{
    Bucket, Clients, Database, Dns, Durations, Issuer, Objective, Resolvers, SiteStart, WorldStart,
};

/// A scenario that cannot be used. Every case carries the place in the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// The text is no scenario.
    #[error("[RH0001] the scenario cannot be read: {message}")]
    Unreadable {
        /// In the parser's words.
        message: String,
        /// Where, in bytes.
        span: Option<Span<usize>>,
    },
    /// A name is used and nowhere declared.
    #[error("[RH0002] there is no {kind} `{name}`; known: {known}")]
    UnknownName {
        /// For example `site`.
        kind: &'static str,
        /// The name.
        name: String,
        /// Names that would have been understood.
        known: String,
        /// Where, in bytes.
        span: Option<Span<usize>>,
    },
    /// A value that cannot be: a share above 1, a fault that hits no call, an expectation that can never hold.
    #[error("[RH0003] this can never be: {problem}")]
    Impossible {
        /// What is wrong with it, and what to write instead.
        problem: String,
        /// Where, in bytes.
        span: Option<Span<usize>>,
    },
}

impl ScenarioError {
    /// Its code, for `understudy explain`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "RH0001",
            Self::UnknownName { .. } => "RH0002",
            Self::Impossible { .. } => "RH0003",
        }
    }

    /// Where in the file, in bytes; `None` where it is about the file as a whole.
    #[must_use]
    pub fn span(&self) -> Option<Span<usize>> {
        match self {
            Self::Unreadable { span, .. }
            | Self::UnknownName { span, .. }
            | Self::Impossible { span, .. } => span.clone(),
        }
    }
}

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
    /// Issuers by name.
    #[serde(default)]
    pub issuers: BTreeMap<String, Issuer>,
    /// Buckets by name.
    #[serde(default)]
    pub buckets: BTreeMap<String, Bucket>,
    /// Service levels by name.
    #[serde(default)]
    pub objectives: BTreeMap<String, Objective>,
    /// Channels for announcements.
    #[serde(default)]
    pub channels: Vec<String>,
    /// Control planes that live in a site and die with it, by contract, for example `dns = "pz"`.
    #[serde(default)]
    pub control_planes: BTreeMap<String, Spanned<SiteName>>,
    /// Journeys that the `probe` contract can walk, by name: what each of their requests needs.
    #[serde(default = "usual_journeys")]
    pub journeys: BTreeMap<String, Vec<JourneyStart>>,
    /// How long everything else takes.
    #[serde(default)]
    pub durations: Durations,
    /// What happens at a time.
    #[serde(default)]
    pub injects: Vec<Inject>,
    /// Calls that go wrong.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// Deaths of the host; another one goes on each time.
    #[serde(default)]
    pub crashes: Vec<Crash>,
    /// How people answer, by role.
    #[serde(default)]
    pub people: BTreeMap<RoleName, Person>,
    /// Answers for an organisation's own contracts.
    #[serde(default)]
    pub stand_ins: Vec<StandIn>,
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
        scenario.check_databases()?;
        scenario.check_expectations()?;
        scenario.check_faults()?;
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

    /// Everything that was expected and did not hold.
    #[must_use]
    pub fn judge(&self, truth: &Truth, ending: Ending) -> Vec<Missed> {
        self.expect.judge(truth, ending)
    }
}

/// Contracts the simulated world serves, by short name.
pub const CONTRACTS: [&str; 10] = [
    "database",
    "dns",
    "kubernetes",
    "workload",
    "certificates",
    "ingress",
    "storage",
    "probe",
    "metrics",
    "notify",
];
