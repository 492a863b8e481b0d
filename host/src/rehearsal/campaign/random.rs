//! Troubles drawn at random: a handful per run, over the calls that the plan can make.
//!
//! They come from a stream of their own ([`STREAM`]) of the run's seed, so they neither depend on what the world draws
//! nor change it: a run without one of its troubles is otherwise the same run.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::trouble::Trouble;
use crate::call::{CallKind, FunctionName};
use crate::mediation::CONTROL;
use crate::name::SiteName;
use crate::plan::Step;
use crate::prepare::Prepared;
use crate::rehearsal::draw::{Draws, Stream};
use crate::rehearsal::scenario::start::StartRole;
use crate::rehearsal::scenario::{CONTRACTS, Scenario};

/// Name of the stream of draws.
const STREAM: &str = "campaign troubles";

/// Most troubles of one run: more at once say less about any of them.
const MAX_TROUBLES: u64 = 4;

/// What a trouble is, by weight: most are faults of single calls.
const WEIGHTS: [(What, u64); 7] = [
    (What::Fault, 59),
    (What::Lag, 5),
    (What::Outage, 10),
    (What::Stall, 6),
    (What::ReadOnly, 5),
    (What::CrashLoop, 5),
    (What::Crash, 10),
];

/// Which call of its function a fault hits, at most: effects are few, reads are many.
const NTH_EFFECT: u64 = 3;
const NTH_READ: u64 = 10;

/// How many attempts at a call are hit. Seven is every attempt that the host makes on its own
/// ([`ATTEMPTS`](crate::mediation::retry::ATTEMPTS)): the call fails for the strategy.
const ATTEMPTS: [u64; 5] = [1, 1, 2, 3, 7];

/// How many attempts hang: each costs the time after which a service is taken for dead.
const HUNG_ATTEMPTS: [u64; 3] = [1, 1, 2];

/// Longest delay of an answer in seconds: three times what the host waits for an effect's answer, so that it also comes
/// after nobody listens any more.
const DELAY_SECONDS: u64 = 180;

/// Longest wish of a throttling API in seconds.
const THROTTLE_SECONDS: u64 = 60;

/// Control planes whose reads may show an old state: vendors' APIs. A database is looked at itself.
const MAY_LAG: [&str; 5] = ["certificates", "dns", "ingress", "kubernetes", "workload"];

/// Longest time in seconds for which a change stays hidden.
const LAG_SECONDS: u64 = 45;

/// Records before or after which a host may die, by what they are: all kinds that every recovery writes.
const CRASH_AT: [&str; 5] = ["intent", "waiting", "outcome", "marked", "step-changed"];

/// How many of its kind may come before that record. Calls and steps are hundreds, milestones a dozen.
const CRASH_NTH: u64 = 120;
const CRASH_NTH_MARK: u64 = 12;

/// From when to when outages and stalls begin, in seconds from the start of the run.
const STALL_FROM: i64 = -600;
const OUTAGE_FROM: i64 = 0;
const BEGIN_UNTIL: i64 = 2_400;

/// How long they last, in seconds.
const LASTS: std::ops::Range<u64> = 20..480;

/// How many records a host may write before it dies. A drill over both ways writes about a thousand.
const CRASH_RECORDS: std::ops::Range<u64> = 20..900;

/// Effects that may claim `changed` and do nothing. Only those whose effect the way back and forth looks at again before
/// it relies on it: a record by `check-records` and the converging resolvers, an application by the journeys, a
/// certificate as it is served, an entry by its health. A database that lies about a fence or a promotion is not here:
/// its contract makes the provider prove both, and no plan can stand on a false proof.
const MAY_LIE: [&str; 6] = [
    "certificates/ensure-certificate",
    "dns/ensure-record",
    "ingress/ensure-exposed",
    "notify/ensure-announced",
    "workload/ensure-restarted",
    "workload/ensure-scaled",
];

#[derive(Clone, Copy)]
enum What {
    Fault,
    Lag,
    Outage,
    Stall,
    ReadOnly,
    CrashLoop,
    Crash,
}

/// What can go wrong in runs of one plan in one scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Palette {
    /// Functions that the plan's strategies import, of contracts that its steps use.
    pub calls: Vec<FunctionName>,
    /// Contracts among them whose control plane can go away.
    pub apis: Vec<String>,
    /// Sites with a replica.
    pub replicas: Vec<SiteName>,
    /// Databases with the sites that have them.
    pub databases: Vec<(SiteName, String)>,
    /// Applications with the sites that have them.
    pub apps: Vec<(SiteName, String)>,
}

impl Palette {
    /// What can go wrong for this plan.
    #[must_use]
    pub fn of(prepared: &Prepared, scenario: &Scenario) -> Self {
        let calls: BTreeSet<FunctionName> = prepared
            .plan
            .steps
            .iter()
            .flat_map(|step| calls_of(prepared, step))
            .collect();
        let apis: BTreeSet<&str> = calls
            .iter()
            .map(|call| call.interface.short())
            .filter(|short| CONTRACTS.contains(short))
            .collect();
        let has_replica = |site: &&SiteName| {
            let databases = scenario
                .sites
                .get(*site)
                .map(|site| &site.as_ref().databases);
            let mut roles = databases.into_iter().flatten().map(|(_, start)| start.role);
            roles.any(|role| role == StartRole::Replica)
        };
        let sites = || scenario.sites.iter();
        let databases = sites().flat_map(|(site, start)| {
            let names = start.as_ref().databases.keys();
            names.map(|name| (site.clone(), name.clone()))
        });
        let apps = sites().flat_map(|(site, start)| {
            let names = start.as_ref().apps.keys();
            names.map(|name| (site.clone(), name.clone()))
        });
        Self {
            databases: databases.collect(),
            apps: apps.collect(),
            apis: apis.into_iter().map(str::to_owned).collect(),
            replicas: scenario.sites.keys().filter(has_replica).cloned().collect(),
            calls: calls.into_iter().collect(),
        }
    }

    /// The troubles of the run of this seed.
    #[must_use]
    pub fn draw(&self, seed: u64) -> Vec<Trouble> {
        let mut stream = Draws::new(seed).stream(STREAM);
        let troubles = 1 + stream.below(MAX_TROUBLES);
        (0..troubles)
            .filter_map(|_| self.one(&mut stream))
            .collect()
    }

    fn one(&self, stream: &mut Stream) -> Option<Trouble> {
        let whole = WEIGHTS.iter().map(|(_, weight)| weight).sum();
        let mut drawn = stream.below(whole);
        for (what, weight) in WEIGHTS {
            if drawn < weight {
                return match what {
                    What::Fault => self.fault(stream),
                    What::Lag => self.lag(stream),
                    What::Outage => self.outage(stream),
                    What::Stall => self.stall(stream),
                    What::ReadOnly => self.read_only(stream),
                    What::CrashLoop => self.crash_loop(stream),
                    What::Crash => crash(stream),
                };
            }
            drawn -= weight;
        }
        None
    }

    fn fault(&self, stream: &mut Stream) -> Option<Trouble> {
        let call = pick(stream, &self.calls)?;
        let name = call.to_string();
        let kind = CallKind::of(&call.function);
        let (kinds, nth): (&[&str], u64) = match kind {
            CallKind::Read => (&["delay", "error", "throttle", "hang"], NTH_READ),
            CallKind::Ensure if MAY_LIE.contains(&name.as_str()) => (
                &[
                    "delay",
                    "error",
                    "error-after-effect",
                    "throttle",
                    "hang",
                    "wrong-answer",
                ],
                NTH_EFFECT,
            ),
            CallKind::Ensure => (
                &["delay", "error", "error-after-effect", "throttle", "hang"],
                NTH_EFFECT,
            ),
            // Who breaks off after an effect that must not come twice says `in-doubt`, never `unavailable`.
            CallKind::Once => (&["delay", "error", "throttle", "hang"], NTH_EFFECT),
        };
        let kind = *pick(stream, kinds)?;
        let mut fault = Table::new();
        fault.insert("call".to_owned(), name.clone().into());
        fault.insert("kind".to_owned(), kind.into());
        fault.insert("nth".to_owned(), whole(1 + stream.below(nth)));
        let attempts = *pick(
            stream,
            if kind == "hang" {
                HUNG_ATTEMPTS.as_slice()
            } else {
                ATTEMPTS.as_slice()
            },
        )?;
        fault.insert("attempts".to_owned(), whole(attempts));
        let longest = match kind {
            "delay" => Some(DELAY_SECONDS),
            "throttle" => Some(THROTTLE_SECONDS),
            _ => None,
        };
        if let Some(longest) = longest {
            let by = format!("{}s", 1 + stream.below(longest));
            fault.insert("by".to_owned(), by.into());
        }
        Some(Trouble {
            name: format!("{kind} of {name}"),
            faults: vec![fault],
            ..Trouble::default()
        })
    }

    fn outage(&self, stream: &mut Stream) -> Option<Trouble> {
        let api = pick(stream, &self.apis)?;
        let (from, until) = stretch(stream, OUTAGE_FROM);
        Some(Trouble {
            name: format!("outage of the API behind {api}"),
            injects: vec![
                inject(from, "fail", "api", api),
                inject(until, "heal", "api", api),
            ],
            ..Trouble::default()
        })
    }

    fn stall(&self, stream: &mut Stream) -> Option<Trouble> {
        let site = pick(stream, &self.replicas)?.as_str();
        let (from, until) = stretch(stream, STALL_FROM);
        Some(Trouble {
            name: format!("stall of the replication into {site}"),
            injects: vec![
                inject(from, "stall", "replication", site),
                inject(until, "resume", "replication", site),
            ],
            ..Trouble::default()
        })
    }
}

impl Palette {
    fn lag(&self, stream: &mut Stream) -> Option<Trouble> {
        let lagging = self
            .apis
            .iter()
            .filter(|api| MAY_LAG.contains(&api.as_str()));
        let lagging: Vec<&String> = lagging.collect();
        let api = *pick(stream, &lagging)?;
        let (from, until) = stretch(stream, OUTAGE_FROM);
        let mut target = Table::new();
        target.insert("api".to_owned(), api.as_str().into());
        let by = format!("{}s", 1 + stream.below(LAG_SECONDS));
        target.insert("by".to_owned(), by.into());
        Some(Trouble {
            name: format!("lagging reads of {api}"),
            injects: vec![lasting(from, until, "lag", target)],
            ..Trouble::default()
        })
    }

    fn read_only(&self, stream: &mut Stream) -> Option<Trouble> {
        let (site, database) = pick(stream, &self.databases)?;
        let (from, until) = stretch(stream, OUTAGE_FROM);
        let mut target = Table::new();
        target.insert("site".to_owned(), site.as_str().into());
        target.insert("database".to_owned(), database.as_str().into());
        Some(Trouble {
            name: format!("read-only storage of {database} at {site}"),
            injects: vec![lasting(from, until, "read-only", target)],
            ..Trouble::default()
        })
    }

    fn crash_loop(&self, stream: &mut Stream) -> Option<Trouble> {
        let (site, app) = pick(stream, &self.apps)?;
        let (from, until) = stretch(stream, OUTAGE_FROM);
        let mut target = Table::new();
        target.insert("site".to_owned(), site.as_str().into());
        target.insert("app".to_owned(), app.as_str().into());
        Some(Trouble {
            name: format!("crash-loop of {app} at {site}"),
            injects: vec![lasting(from, until, "crash-loop", target)],
            ..Trouble::default()
        })
    }
}

/// Functions that whoever performs the step imports of the contracts it uses.
fn calls_of<'a>(prepared: &'a Prepared, step: &'a Step) -> impl Iterator<Item = FunctionName> + 'a {
    let mut actors = prepared.actors.iter();
    let actor = actors.find(|(name, _)| name.as_str() == step.performs.strategy());
    let imports = actor
        .into_iter()
        .flat_map(|(_, actor)| actor.plugin.component().imports());
    let used = imports.filter(|(interface, _)| {
        !interface.is(CONTROL) && step.uses.iter().any(|name| name == interface.short())
    });
    used.flat_map(|(interface, functions)| {
        functions.keys().map(|function| FunctionName {
            interface: interface.clone(),
            function: function.clone(),
        })
    })
}

/// A death of the host: half of them by how many records there are, half by what a record is.
fn crash(stream: &mut Stream) -> Option<Trouble> {
    let mut crash = Table::new();
    let name = if stream.below(2) == 0 {
        let records = CRASH_RECORDS.start + stream.below(CRASH_RECORDS.end - CRASH_RECORDS.start);
        crash.insert("after-records".to_owned(), whole(records));
        format!("death of the host after {records} records")
    } else {
        let side = *pick(stream, &["before", "after"])?;
        let kind = *pick(stream, &CRASH_AT)?;
        let most = if kind == "marked" {
            CRASH_NTH_MARK
        } else {
            CRASH_NTH
        };
        let nth = 1 + stream.below(most);
        crash.insert(side.to_owned(), kind.into());
        crash.insert("nth".to_owned(), whole(nth));
        format!("death of the host {side} {kind} {nth}")
    };
    Some(Trouble {
        name,
        crashes: vec![crash],
        ..Trouble::default()
    })
}

/// When something begins and ends, in seconds from the start of the run.
fn stretch(stream: &mut Stream, earliest: i64) -> (i64, i64) {
    let span = u64::try_from(BEGIN_UNTIL - earliest).unwrap_or(0);
    let from = earliest.saturating_add_unsigned(stream.below(span));
    let lasts = LASTS.start + stream.below(LASTS.end - LASTS.start);
    (from, from.saturating_add_unsigned(lasts))
}

/// `at = "T+90s"` and `verb.what = "name"`.
fn inject(at: i64, verb: &str, what: &str, name: &str) -> Table {
    let mut target = Table::new();
    target.insert(what.to_owned(), name.into());
    inject_of(at, verb, target)
}

/// `at = "T+90s"` and `verb = { …, for = "80s" }`.
fn lasting(from: i64, until: i64, verb: &str, mut target: Table) -> Table {
    let lasts = format!("{}s", until.saturating_sub(from).unsigned_abs());
    target.insert("for".to_owned(), lasts.into());
    inject_of(from, verb, target)
}

fn inject_of(at: i64, verb: &str, target: Table) -> Table {
    let sign = if at < 0 { '-' } else { '+' };
    let at = format!("T{sign}{}s", at.unsigned_abs());
    let mut inject = Table::new();
    inject.insert("at".to_owned(), at.into());
    inject.insert(verb.to_owned(), Value::Table(target));
    inject
}

fn whole(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn pick<'a, T>(stream: &mut Stream, from: &'a [T]) -> Option<&'a T> {
    let place = stream.below(u64::try_from(from.len()).unwrap_or(0));
    from.get(usize::try_from(place).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::super::trouble::troubled;
    use super::*;

    fn palette() -> Palette {
        let call = |interface: &str, function: &str| FunctionName {
            interface: interface.parse().unwrap(),
            function: function.to_owned(),
        };
        Palette {
            calls: vec![
                call("understudy:database/database@0.1.0", "ensure-fenced"),
                call("understudy:dns/dns@0.1.0", "ensure-record"),
                call("understudy:dns/dns@0.1.0", "get-record"),
            ],
            apis: vec!["database".to_owned(), "dns".to_owned()],
            replicas: vec!["bz".parse().unwrap()],
            databases: vec![("bz".parse().unwrap(), "wordpress".to_owned())],
            apps: vec![("pz".parse().unwrap(), "wordpress".to_owned())],
        }
    }

    #[test]
    fn every_draw_fits_a_scenario_and_every_kind_comes() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../runbooks/wordpress/scenarios/primary-lost.toml"
        );
        let text = std::fs::read_to_string(path).unwrap();
        let palette = palette();
        let mut seen = BTreeSet::new();
        for seed in 0..300 {
            let troubles = palette.draw(seed);
            assert!((1..=4).contains(&troubles.len()), "{troubles:?}");
            assert_eq!(troubles, palette.draw(seed));
            troubled(&text, &troubles).unwrap_or_else(|error| panic!("{seed}: {error}"));
            seen.extend(troubles.iter().map(|trouble| {
                trouble
                    .name
                    .split(' ')
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            }));
        }
        let kinds = [
            "crash-loop",
            "death",
            "delay",
            "error",
            "error-after-effect",
            "hang",
            "lagging",
            "outage",
            "read-only",
            "stall",
            "throttle",
            "wrong-answer",
        ];
        assert_eq!(seen.iter().map(String::as_str).collect::<Vec<_>>(), kinds);
    }

    #[test]
    fn no_database_lies_and_no_read_breaks_off_after_an_effect() {
        let drawn = (0..2_000).flat_map(|seed| palette().draw(seed));
        for fault in drawn.flat_map(|trouble| trouble.faults) {
            let call = fault.get("call").unwrap().as_str().unwrap();
            let kind = fault.get("kind").unwrap().as_str().unwrap();
            assert!(
                kind != "wrong-answer" || call == "dns/ensure-record",
                "{fault}"
            );
            assert!(
                kind != "error-after-effect" || call != "dns/get-record",
                "{fault}"
            );
        }
    }
}
