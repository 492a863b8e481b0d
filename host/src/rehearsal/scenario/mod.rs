//! A scenario: the world a rehearsal starts from, what goes wrong in it, and what must hold at the end.
//!
//! [`Scenario::parse`] is the door: after it every name resolves inside the file. [`Scenario::check_sites`] compares it
//! with a runbook. Nothing here simulates anything; `rehearsal/world` does.

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
use events::{Action, Fault, Inject, Person, StandIn};
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
        scenario.check_numbers()?;
        scenario.check_faults()?;
        Ok(scenario)
    }

    /// Checks that every site of the scenario is one of the runbook's.
    ///
    /// # Errors
    /// [`ScenarioError::UnknownName`].
    pub fn check_sites(&self, sites: &[SiteName]) -> Result<(), ScenarioError> {
        for (name, start) in &self.sites {
            known("site", name, sites.iter(), Some(start.span()))?;
        }
        Ok(())
    }

    /// Everything that was expected and did not hold.
    #[must_use]
    pub fn judge(&self, truth: &Truth, ending: Ending) -> Vec<Missed> {
        self.expect.judge(truth, ending)
    }

    fn check_names(&self, sites: &[SiteName]) -> Result<(), ScenarioError> {
        known("site", &self.world.primary, sites.iter(), None)?;
        for site in self.control_planes.values() {
            known("site", site.as_ref(), sites.iter(), Some(site.span()))?;
        }
        for start in self.sites.values() {
            for name in start.as_ref().databases.keys() {
                known("database", name, self.databases.keys(), Some(start.span()))?;
            }
        }
        for inject in &self.injects {
            match &inject.action {
                Action::FailSite(site)
                | Action::HealSite(site)
                | Action::PartitionSite(site)
                | Action::StallReplication(site)
                | Action::ResumeReplication(site)
                | Action::ExpireCertificate { site, .. } => {
                    known("site", site.as_ref(), sites.iter(), Some(site.span()))?;
                }
                Action::CorruptLatestBackup(name) => {
                    known(
                        "database",
                        name.as_ref(),
                        self.databases.keys(),
                        Some(name.span()),
                    )?;
                }
                Action::LimitIssuer { issuer, .. } => {
                    known(
                        "issuer",
                        issuer.as_ref(),
                        self.issuers.keys(),
                        Some(issuer.span()),
                    )?;
                }
                Action::FailApi(api) | Action::HealApi(api) => {
                    known("contract", api.as_ref(), CONTRACTS.iter(), Some(api.span()))?;
                }
            }
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<(), ScenarioError> {
        let impossible = |problem: &str, span| {
            Err(ScenarioError::Impossible {
                problem: problem.to_owned(),
                span,
            })
        };
        let clients = self.clients.as_ref();
        let rates = [
            clients.requests_per_second,
            clients.writes_per_second,
            clients.capacity_per_replica,
        ];
        if rates
            .iter()
            .chain(&clients.hourly)
            .any(|rate| !rate.is_finite() || *rate < 0.0)
        {
            return impossible("a rate is below zero", Some(self.clients.span()));
        }
        if clients.writes_per_second > clients.requests_per_second {
            return impossible(
                "more writes than requests per second",
                Some(self.clients.span()),
            );
        }
        if !matches!(clients.hourly.len(), 0 | 24) {
            return impossible(
                "`hourly` has one factor for each of the 24 hours, or none",
                Some(self.clients.span()),
            );
        }
        let resolvers = self.resolvers.as_ref();
        let (overstay, pin) = (resolvers.overstay, resolvers.pin);
        if overstay.share < 0.0
            || pin.share < 0.0
            || overstay.share + pin.share > 1.0
            || overstay.factor < 1.0
        {
            return impossible(
                "shares of resolvers are between 0 and 1 together, and `factor` is at least 1",
                Some(self.resolvers.span()),
            );
        }
        for database in self.databases.values() {
            let span = Some(database.span());
            let database = database.as_ref();
            let speeds = [
                database.reseed_mib_per_second,
                database.restore_mib_per_second,
                database.size_gib,
            ];
            if speeds
                .iter()
                .any(|speed| !speed.is_finite() || *speed <= 0.0)
                || database.catch_up_factor < 1.0
            {
                return impossible(
                    "size and throughput are above zero, and `catch-up-factor` is at least 1",
                    span,
                );
            }
            if database
                .backups
                .as_ref()
                .is_some_and(|backups| backups.every.ms() < 1_000)
            {
                return impossible("recovery points are at least a second apart", span);
            }
        }
        for (name, bound) in &self.expect.figures {
            let Bound { at_least, at_most } = *bound.as_ref();
            let crossed = matches!((at_least, at_most), (Some(least), Some(most)) if least > most);
            let ratio = name.ends_with("-ratio")
                && (at_most.is_some_and(|most| most < 0.0)
                    || at_least.is_some_and(|least| least > 1.0));
            if crossed || ratio || at_least.is_none() && at_most.is_none() {
                return impossible(
                    "no value lies within these bounds, or there is no bound",
                    Some(bound.span()),
                );
            }
        }
        Ok(())
    }

    fn check_faults(&self) -> Result<(), ScenarioError> {
        for fault in &self.faults {
            let span = Some(fault.call.span());
            let contract = fault
                .call
                .as_ref()
                .split_once('/')
                .map_or("", |(contract, _)| contract);
            let own = self
                .stand_ins
                .iter()
                .any(|own| own.contract.short() == contract);
            if !own {
                known("contract", contract, CONTRACTS.iter(), span.clone())?;
            }
            let problem = match (&fault.probability, fault.nth) {
                (Some(p), _) if !(0.0..=1.0).contains(p.as_ref()) => {
                    "a probability is between 0 and 1"
                }
                (Some(_), Some(_)) => "a fault has `nth` or `probability`, not both",
                (None, Some(0)) => "`nth` counts from 1",
                (None, None) => "a fault hits no call without `nth` or `probability`",
                _ if fault.attempts == 0 => "`attempts` counts from 1",
                _ => continue,
            };
            return Err(ScenarioError::Impossible {
                problem: problem.to_owned(),
                span,
            });
        }
        Ok(())
    }
}

use expect::Bound;

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

fn known<N: AsRef<str>>(
    kind: &'static str,
    name: impl AsRef<str>,
    names: impl Iterator<Item = N> + Clone,
    span: Option<Span<usize>>,
) -> Result<(), ScenarioError> {
    if names.clone().any(|known| known.as_ref() == name.as_ref()) {
        return Ok(());
    }
    let names: Vec<String> = names.map(|name| name.as_ref().to_owned()).collect();
    Err(ScenarioError::UnknownName {
        kind,
        name: name.as_ref().to_owned(),
        known: names.join(", "),
        span,
    })
}
