//! What users and resolvers really see: `understudy:probe/probe`, served natively from what the runbook declares.
//!
//! Nothing here waits: `ensure-*` looks once and answers `in-progress` until what it looks for is there; the host
//! asks again. Passes in a row are counted per call (its idempotency key) and in memory only: after a crash the count
//! starts anew, which can make a wait longer and never shorter. Start at [`ProbeService`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::task::JoinSet;

use crate::call::{IdempotencyKey, Operation, Outcome, Reply, Request, Service};
use crate::clock::{BoxFuture, Instant};
use crate::name::SiteName;
use crate::runbook::types;

use super::credential::{Attachment, Redactor};
use super::trust::Trust;
use super::{Asked, Capability, CapabilityError, Facilities, Fault, SecretShelf, Used};

mod cookie;
pub mod dns;
pub mod journey;

use dns::Question;
use journey::{Report, Walk, Way};

/// How soon to look again, in milliseconds. Users notice seconds; a probe every second is no load.
pub const POLL_AFTER_MS: u64 = 1000;

/// How long one look from every vantage point takes at most, in milliseconds. Most users do not wait longer for a page; and
/// whoever is led to a dead site must not hold up what the others see.
pub const LOOK_MS: u64 = 5000;

/// Most passes in a row that can be asked for.
pub const MAX_CONSECUTIVE: u32 = 1000;

/// Waits whose counts are kept; beyond it the one looked at longest ago starts anew.
const MAX_WAITS: usize = 1024;

/// The capability.
pub struct ProbeService {
    declared: types::Probe,
    attachments: BTreeMap<String, Attachment>,
    trust: Trust,
    redactor: Redactor,
    facilities: Facilities,
    waits: Mutex<Waits>,
}

#[derive(Default)]
struct Waits {
    looks: u64,
    by_key: BTreeMap<IdempotencyKey, Wait>,
}

/// What is known of one `ensure-*` call so far.
#[derive(Debug, Clone, Copy, Default)]
struct Wait {
    /// Passes in a row.
    passes: u32,
    /// True once a look has failed: what came later is a change.
    missed: bool,
    /// When it was last looked at, in looks.
    last: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Entry {
    Public,
    Direct,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct JourneyArgs {
    site: SiteName,
    journey: String,
    entry: Entry,
    consecutive: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ServedArgs {
    site: SiteName,
    journey: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct NamesArgs {
    name: String,
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ConvergedArgs {
    name: String,
    kind: String,
    values: Vec<String>,
    percent: u32,
}

/// `probe.answer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Answer {
    resolver: String,
    values: Vec<String>,
    ttl_seconds: u32,
    problem: Option<String>,
}

/// `probe.vantage`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Vantage {
    resolver: String,
    passed: bool,
    status: u16,
    zone: Option<String>,
    problem: Option<String>,
}

type Done = Result<(Value, String), Fault>;

impl ProbeService {
    /// Reads the probe's secrets and roots. Relative paths start at `folder`. Nothing is connected to.
    ///
    /// # Errors
    /// [`CapabilityError`] for secrets and roots that are not usable.
    pub fn new(
        declared: &types::Probe,
        folder: &Path,
        facilities: &Facilities,
    ) -> Result<Self, CapabilityError> {
        let trust = Trust::new(&facilities.roots, folder, &declared.trust)?;
        let mut secrets = SecretShelf::new(facilities.secrets.as_ref(), folder);
        let attachments = secrets.attachments(&declared.credentials)?;
        Ok(Self {
            declared: declared.clone(),
            attachments,
            trust,
            redactor: secrets.redactor(),
            facilities: facilities.clone(),
            waits: Mutex::default(),
        })
    }

    /// Takes out of a journal what it holds of secrets.
    #[must_use]
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    async fn serve(&self, asked: Asked<'_>) -> Used {
        let (action, done) = match asked.function {
            "observe-journey" | "ensure-journey" => self.journey(asked).await,
            "observe-vantages" | "ensure-served" => self.served(asked).await,
            "observe-names" => self.names(asked.args, asked.deadline).await,
            "ensure-converged" => self.converged(asked).await,
            other => (
                format!("probe {other}"),
                Err(Fault::no_function(self.interface(), other)),
            ),
        };
        Used::of(&action, done, &self.redactor)
    }

    async fn journey(&self, asked: Asked<'_>) -> (String, Done) {
        let args: JourneyArgs = match super::arguments(asked.args) {
            Ok(args) => args,
            Err(fault) => return (format!("probe {}", asked.function), Err(fault)),
        };
        let entry = match args.entry {
            Entry::Public => "public",
            Entry::Direct => "direct",
        };
        let action = format!("probe journey {} at {}, {entry}", args.journey, args.site);
        let walked = self.walk(&args, asked.deadline).await;
        let done = match (walked, asked.function, args.consecutive) {
            (Err(fault), _, _) => Err(fault),
            (Ok(report), "observe-journey", None) => reported(&report),
            (Ok(report), "ensure-journey", Some(wanted)) => {
                self.counted(&args, &report, wanted, asked.key)
            }
            _ => Err(Fault::invalid(
                "CP0009",
                "`consecutive` belongs to `ensure-journey`, which needs it",
            )),
        };
        (action, done)
    }

    async fn walk(&self, args: &JourneyArgs, deadline: Instant) -> Result<Report, Fault> {
        let way = match args.entry {
            Entry::Direct => {
                let entry = self.declared.entries.get(&args.site).ok_or_else(|| {
                    let text = format!("the runbook declares no entry for site `{0}`; add `probe.entries.{0}`", args.site);
                    Fault::not_found("CP0019", text)
                })?;
                Way::Direct(*entry)
            }
            Entry::Public => match &self.declared.public_resolver {
                None => Way::System,
                Some(name) => Way::Resolver(*self.declared.resolvers.get(name).ok_or_else(|| {
                    let text = format!("`probe.public-resolver` names `{name}`, which is not in `probe.resolvers`");
                    Fault::not_found("CP0019", text)
                })?),
            },
        };
        self.walk_by(way, &args.journey, &args.site, deadline).await
    }

    async fn walk_by(
        &self,
        way: Way,
        journey: &str,
        site: &SiteName,
        deadline: Instant,
    ) -> Result<Report, Fault> {
        let steps = self.declared.journeys.get(journey).ok_or_else(|| {
            let known = listed(self.declared.journeys.keys());
            let text = format!("the runbook declares no journey `{journey}`; it has {known}");
            Fault::not_found("CP0019", text)
        })?;
        let walk = Walk {
            way,
            site,
            zone_header: &self.declared.zone_header,
            attachments: &self.attachments,
            trust: &self.trust,
            redactor: &self.redactor,
            facilities: &self.facilities,
            deadline,
        };
        Ok(walk.walk(steps).await)
    }

    async fn served(&self, asked: Asked<'_>) -> (String, Done) {
        let args: ServedArgs = match super::arguments(asked.args) {
            Ok(args) => args,
            Err(fault) => return (format!("probe {}", asked.function), Err(fault)),
        };
        let count = self.declared.resolvers.len();
        let action = format!(
            "probe journey {} at {}, from {count} vantage points",
            args.journey, args.site
        );
        let waits = asked.function == "ensure-served";
        let vantages = match self.look_around(&args, waits, asked.deadline).await {
            Ok(vantages) => vantages,
            Err(fault) => return (action, Err(fault)),
        };
        let passed = vantages.iter().filter(|vantage| vantage.passed).count();
        let state = format!("served at {passed} of {count} vantage points");
        let done = if waits {
            let most = is_most(passed, count);
            let wait = self.look(asked.key, most, 1);
            let id = format!("served/{}@{}", args.journey, args.site);
            outcome(most, wait.missed, id, state)
        } else {
            json(vantages).map(|vantages| (vantages, state))
        };
        (action, done)
    }

    /// The journey by every resolver at once, in the order of their names; with `until_most` only those that answer until
    /// it has passed from most.
    async fn look_around(
        &self,
        args: &ServedArgs,
        until_most: bool,
        deadline: Instant,
    ) -> Result<Vec<Vantage>, Fault> {
        let resolvers = &self.declared.resolvers;
        if resolvers.is_empty() {
            let text = "the runbook declares no resolvers; add them to `probe.resolvers`";
            return Err(Fault::not_found("CP0019", text));
        }
        let latest = Instant(self.facilities.clock.now().0.saturating_add(LOOK_MS));
        let deadline = deadline.min(latest);
        let looks = resolvers.iter().map(async |(resolver, server)| {
            let way = Way::Resolver(*server);
            let report = self
                .walk_by(way, &args.journey, &args.site, deadline)
                .await?;
            let last = report.steps.last();
            Ok(Vantage {
                resolver: resolver.clone(),
                passed: report.passed,
                status: last.map_or(0, |step| step.status),
                zone: last.and_then(|step| step.zone.clone()),
                problem: report.problem(),
            })
        });
        let mut looks: FuturesUnordered<_> = looks.collect();
        let (mut vantages, mut passed) = (Vec::with_capacity(resolvers.len()), 0);
        while let Some(vantage) = looks.next().await {
            let vantage: Vantage = vantage?;
            passed += usize::from(vantage.passed);
            vantages.push(vantage);
            if until_most && is_most(passed, resolvers.len()) {
                break;
            }
        }
        vantages.sort_by(|a, b| a.resolver.cmp(&b.resolver));
        Ok(vantages)
    }

    fn counted(
        &self,
        args: &JourneyArgs,
        report: &Report,
        wanted: u32,
        key: &IdempotencyKey,
    ) -> Done {
        if !(1..=MAX_CONSECUTIVE).contains(&wanted) {
            let text = format!("`consecutive` is {wanted}; use 1 to {MAX_CONSECUTIVE}");
            return Err(Fault::invalid("CP0009", text));
        }
        let wait = self.look(key, report.passed, wanted);
        let state = format!("{} of {wanted} passes in a row", wait.passes);
        let state = match report.problem() {
            None => state,
            Some(problem) => format!("{state}; {problem}"),
        };
        let id = format!("journey/{}@{}", args.journey, args.site);
        outcome(wait.passes >= wanted, wait.missed, id, state)
    }

    /// Adds one look to a wait, and forgets the wait where it is over.
    fn look(&self, key: &IdempotencyKey, passed: bool, wanted: u32) -> Wait {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        waits.looks += 1;
        let mut wait = waits.by_key.remove(key).unwrap_or_default();
        wait.last = waits.looks;
        if passed {
            wait.passes += 1;
        } else {
            wait.passes = 0;
            wait.missed = true;
        }
        if wait.passes < wanted {
            if waits.by_key.len() >= MAX_WAITS {
                let oldest = waits.by_key.iter().min_by_key(|(_, wait)| wait.last);
                let oldest = oldest.map(|(key, _)| key.clone());
                oldest.and_then(|oldest| waits.by_key.remove(&oldest));
            }
            waits.by_key.insert(key.clone(), wait);
        }
        wait
    }

    async fn names(&self, args: Map<String, Value>, deadline: Instant) -> (String, Done) {
        let args: NamesArgs = match super::arguments(args) {
            Ok(args) => args,
            Err(fault) => return ("probe observe-names".to_owned(), Err(fault)),
        };
        let action = self.asking(&args.name, &args.kind);
        let done = self.ask_all(&args.name, &args.kind, deadline).await;
        let done = done.and_then(|answers| {
            let silent = answers
                .iter()
                .filter(|answer| answer.problem.is_some())
                .count();
            let line = format!("{} of {} answer", answers.len() - silent, answers.len());
            Ok((json(answers)?, line))
        });
        (action, done)
    }

    async fn converged(&self, asked: Asked<'_>) -> (String, Done) {
        let args: ConvergedArgs = match super::arguments(asked.args) {
            Ok(args) => args,
            Err(fault) => return ("probe ensure-converged".to_owned(), Err(fault)),
        };
        let action = self.asking(&args.name, &args.kind);
        if !(1..=100).contains(&args.percent) {
            let text = format!("`percent` is {}; use 1 to 100", args.percent);
            return (action, Err(Fault::invalid("CP0009", text)));
        }
        let answers = match self.ask_all(&args.name, &args.kind, asked.deadline).await {
            Ok(answers) => answers,
            Err(fault) => return (action, Err(fault)),
        };
        let agreeing = agreeing(&answers, &args);
        let needed = (answers.len() * usize::try_from(args.percent).unwrap_or(100)).div_ceil(100);
        let enough = agreeing >= needed;
        let wait = self.look(asked.key, enough, 1);
        let state = format!("{agreeing} of {} resolvers, {needed} needed", answers.len());
        let id = format!("names/{}/{}", args.name, args.kind);
        (action, outcome(enough, wait.missed, id, state))
    }

    fn asking(&self, name: &str, kind: &str) -> String {
        let count = self.declared.resolvers.len();
        format!("probe {name} {kind} at {count} resolvers")
    }

    async fn ask_all(
        &self,
        name: &str,
        kind: &str,
        deadline: Instant,
    ) -> Result<Vec<Answer>, Fault> {
        if self.declared.resolvers.is_empty() {
            let text = "the runbook declares no resolvers; add them to `probe.resolvers`";
            return Err(Fault::not_found("CP0019", text));
        }
        let question =
            Arc::new(Question::new(name, kind).map_err(|text| Fault::invalid("CP0009", text))?);
        let mut asked = JoinSet::new();
        for (resolver, server) in &self.declared.resolvers {
            let (resolver, server): (String, SocketAddr) = (resolver.clone(), *server);
            let (clock, question) = (Arc::clone(&self.facilities.clock), Arc::clone(&question));
            asked.spawn(async move {
                match dns::ask(clock.as_ref(), server, &question, deadline).await {
                    Ok(found) => Answer {
                        resolver,
                        values: found.values,
                        ttl_seconds: found.ttl_seconds,
                        problem: None,
                    },
                    Err(problem) => Answer {
                        resolver,
                        values: Vec::new(),
                        ttl_seconds: 0,
                        problem: Some(problem.to_string()),
                    },
                }
            });
        }
        let mut answers = Vec::with_capacity(asked.len());
        while let Some(answer) = asked.join_next().await {
            let answer = answer
                .map_err(|error| Fault::other("CP0013", format!("a question was lost: {error}")))?;
            answers.push(answer);
        }
        answers.sort_by(|a, b| a.resolver.cmp(&b.resolver));
        Ok(answers)
    }
}

impl Capability for ProbeService {
    fn interface(&self) -> &'static str {
        "understudy:probe/probe"
    }

    fn call<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Used> {
        Box::pin(self.serve(asked))
    }
}

/// Strategies call the probe as they call a provider.
impl Service for ProbeService {
    fn call<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            let asked = Asked {
                function: &request.function.function,
                args: Map::clone(&request.args),
                key: &request.key,
                deadline: request.deadline,
            };
            self.serve(asked).await.reply
        })
    }
}

fn json<T: Serialize>(value: T) -> Result<Value, Fault> {
    serde_json::to_value(value)
        .map_err(|error| Fault::other("CP0010", format!("no JSON of the answer: {error}")))
}

fn reported(report: &Report) -> Done {
    let line = report.problem().map_or_else(
        || "passed".to_owned(),
        |problem| format!("missed, {problem}"),
    );
    Ok((json(report)?, line))
}

fn outcome(enough: bool, missed: bool, id: String, state: String) -> Done {
    let (outcome, word) = match (enough, missed) {
        (true, false) => (Outcome::Unchanged, "unchanged"),
        (true, true) => (Outcome::Changed, "changed"),
        (false, _) => (
            Outcome::InProgress(Operation {
                id,
                description: super::clip(state.clone()),
                poll_after_ms: POLL_AFTER_MS,
            }),
            "in progress",
        ),
    };
    Ok((json(outcome)?, format!("{word}, {state}")))
}

/// Users are served when the journey passes from more than half of the vantage points.
pub(crate) fn is_most(passed: usize, all: usize) -> bool {
    passed * 2 > all
}

/// Resolvers that answer with exactly the values asked for.
fn agreeing(answers: &[Answer], args: &ConvergedArgs) -> usize {
    let text = args.kind == "TXT";
    let mut wanted: Vec<String> = args
        .values
        .iter()
        .map(|value| {
            if text {
                value.clone()
            } else {
                dns::normal(value)
            }
        })
        .collect();
    wanted.sort();
    wanted.dedup();
    answers
        .iter()
        .filter(|answer| answer.problem.is_none() && answer.values == wanted)
        .count()
}

fn listed<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

#[cfg(test)]
mod testbed;
#[cfg(test)]
mod tests;
