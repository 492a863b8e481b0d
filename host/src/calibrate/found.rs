//! What a run found and saw of its world, beside how long its calls took: records, replicas, lags, and how soon resolvers
//! followed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::calls::Call;
use super::spread::Spread;
use crate::clock::{Instant, millis};
use crate::journal::record::Entry;
use crate::name::SiteName;
use crate::report::{Figures, ReportError};

/// What the first looks found.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Found {
    /// Time to live in seconds, by name and kind of the record set.
    pub(super) ttl_seconds: BTreeMap<(String, String), u64>,
    /// Smallest TTL that the zone takes, in seconds.
    pub(super) min_ttl_seconds: Option<u64>,
    /// Replicas that were asked for, by site and application: whether they were ready then is a matter of what else the
    /// site had lost, and of a readiness check's moment.
    pub(super) replicas: BTreeMap<(SiteName, String), u64>,
    /// From a commit until a replica had applied it, by database.
    pub(super) lag: BTreeMap<String, Spread>,
    /// How long before the run users began to fail, in milliseconds, where a step measured it.
    pub(super) outage_before_ms: Option<u64>,
    /// When sites that did not answer first did again: in the middle between the last attempt at a call that got no answer and
    /// the first that got one. What comes back later there is tried again until it does.
    pub(super) returned: BTreeMap<SiteName, Instant>,
}

impl Found {
    pub(super) fn of(entries: &[Entry], calls: &[Call]) -> Result<Self, ReportError> {
        let mut found = Self {
            lag: lags(calls),
            outage_before_ms: outage_before(entries)?,
            returned: returned(calls),
            ..Self::default()
        };
        for call in calls {
            let Some(Ok(answer)) = &call.reply else {
                continue;
            };
            let number = |field: &str| answer.get(field).and_then(Value::as_u64);
            let text = |of: &Value, field: &str| Some(of.get(field)?.as_str()?.to_owned());
            match call.asked.call.as_str() {
                "dns/get-record" => {
                    let record = text(answer, "name").zip(text(answer, "kind"));
                    if let (Some(record), Some(ttl)) = (record, number("ttl-seconds")) {
                        found.ttl_seconds.entry(record).or_insert(ttl);
                    }
                }
                "dns/get-zone-limits" => {
                    found.min_ttl_seconds = found.min_ttl_seconds.or(number("min-ttl-seconds"));
                }
                "workload/observe" => {
                    let app = call.args.get("app").and_then(Value::as_str);
                    let place = call.asked.site.clone().zip(app.map(str::to_owned));
                    if let (Some(place), Some(desired)) = (place, number("desired")) {
                        found.replicas.entry(place).or_insert(desired);
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

fn returned(calls: &[Call]) -> BTreeMap<SiteName, Instant> {
    let mut reached: BTreeMap<&SiteName, Vec<(Instant, bool)>> = BTreeMap::new();
    for call in calls {
        if let Some(site) = &call.asked.site {
            reached.entry(site).or_default().extend(call.reached());
        }
    }
    let returned = reached.into_iter().filter_map(|(site, mut reached)| {
        reached.sort();
        let away = reached.iter().position(|(_, answered)| !answered)?;
        let back = reached
            .iter()
            .skip(away)
            .position(|(_, answered)| *answered)?;
        let (last, first) = (reached.get(away + back - 1)?.0, reached.get(away + back)?.0);
        Some((site.clone(), last.after(first.since(last) / 2)))
    });
    returned.collect()
}

/// How long before the run its outage began; `None` where it did not, or was not dated.
fn outage_before(entries: &[Entry]) -> Result<Option<u64>, ReportError> {
    let figures = Figures::of(entries)?;
    let started = entries.first().map(|entry| entry.at);
    let began = figures.legs.first().and_then(|leg| leg.outage_began_at);
    let before = started
        .zip(began)
        .filter(|(started, began)| began < started);
    Ok(before.map(|(started, began)| millis(started.since(began))))
}

#[derive(Deserialize)]
struct Place {
    database: String,
}

/// How far replicas were behind: what the site that was fenced had written last took so long to arrive. Where nobody
/// waited for that, nothing was on its way any more.
fn lags(calls: &[Call]) -> BTreeMap<String, Spread> {
    let mut lags: BTreeMap<String, Spread> = BTreeMap::new();
    let mut fenced: BTreeMap<String, Instant> = BTreeMap::new();
    for call in calls {
        let Ok(Place { database }) = Place::deserialize(&*call.args) else {
            continue;
        };
        match (call.asked.call.as_str(), &call.reply) {
            ("database/ensure-fenced", Some(Ok(_))) => {
                fenced.extend(call.tries.last().map(|last| (database, last.from)));
            }
            ("database/ensure-caught-up", Some(Ok(_))) => {
                let Some(since) = fenced.remove(&database) else {
                    continue;
                };
                let lag = call.found_at().map(|at| at.since(since));
                lags.entry(database)
                    .or_default()
                    .add(lag.unwrap_or_default());
            }
            _ => {}
        }
    }
    lags
}

/// How soon resolvers followed a name that was led elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Propagation {
    /// Until users were served there from most of them.
    pub(super) most: Duration,
    /// Until all of them led there.
    pub(super) all: Duration,
}

#[derive(Deserialize)]
struct Record {
    name: String,
    values: Vec<String>,
}

/// A name, and what it leads to.
fn led_to(record: &Value) -> Option<(String, String)> {
    let Record { name, values } = Record::deserialize(record).ok()?;
    Some((name, values.into_iter().next()?))
}

/// How soon resolvers followed, by what the name was led to: as it was seen where a run waited for users to be served,
/// and for resolvers to converge.
pub(super) fn propagation(calls: &[Call]) -> BTreeMap<String, Propagation> {
    let mut all: BTreeMap<String, Propagation> = BTreeMap::new();
    let mut led: BTreeMap<String, String> = BTreeMap::new();
    let mut flipped: Option<(String, Instant)> = None;
    for call in calls {
        let since_flip = |flipped: &Option<(String, Instant)>| {
            let (target, at) = flipped.clone()?;
            Some((target, call.found_at().map(|found| found.since(at))))
        };
        match call.asked.call.as_str() {
            "dns/get-record" => {
                let found = call.reply.iter().flatten().next();
                if let Some((name, target)) = found.and_then(led_to) {
                    led.entry(name).or_insert(target);
                }
            }
            "dns/ensure-record" => {
                let Some((name, target)) = led_to(&call.args.to_value()) else {
                    continue;
                };
                let before = led.insert(name, target.clone());
                if let (true, Some(at)) = (before.is_some_and(|b| b != target), call.begun()) {
                    flipped = Some((target, at));
                }
            }
            "probe/ensure-served" => {
                if let Some((target, followed)) = since_flip(&flipped) {
                    all.entry(target).or_default().most = followed.unwrap_or_default();
                }
            }
            "probe/ensure-converged" => {
                if let Some((target, followed)) = since_flip(&flipped) {
                    all.entry(target).or_default().all = followed.unwrap_or_default();
                }
            }
            _ => {}
        }
    }
    for followed in all.values_mut() {
        followed.all = followed.all.max(followed.most);
    }
    all
}
