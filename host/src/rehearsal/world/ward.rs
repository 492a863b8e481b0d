//! What an effect does to people and their data, judged by what is true at the moment it is accepted, whatever the
//! strategy believes. Start at [`World::foresee`]; the rules on traces say which [`Hazard`] breaks which rule.
//!
//! An effect that a dead, throttled or lying control plane does not carry out is no hazard, and one call is judged
//! once, when it is first accepted.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::contract::args;
use super::database::State;
use super::resolver::RecordSet;
use super::site::{App, Condition, Site};
use super::{World, truth};
use crate::call::{Direction, Reply, Request};
use crate::clock::{Instant, millis};
use crate::name::{SiteName, StepId};
use crate::rehearsal::scenario::Need;

/// A time to live, in seconds, that needs no lowering: the upper end of what the source runbooks ask for during a
/// change.
const SHORT_TTL_SECONDS: u32 = 60;

/// A kind of harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hazard {
    /// A copy of a database was promoted while another one accepted writes.
    SecondWriter,
    /// Clients' writes that the promoted copy does not have, from the oldest to the outage or to the newest.
    Loss {
        /// How long, in milliseconds.
        ms: u64,
    },
    /// Users were sent where nothing answers them.
    NotServing,
    /// Users were sent where no valid certificate for their name is served.
    NoCertificate,
    /// Users were sent where their writes are refused.
    NoWriter,
    /// Users were sent elsewhere by another record than the one they ask for.
    OtherRecord,
    /// A record was changed whatever it held.
    NotCompared,
    /// Users were taken from a site that is alive while resolvers still kept its address for long.
    LongTtl,
    /// An application was opened to users on a database that refuses writes.
    OpenedReadOnly,
    /// An application was pointed at a database of a dead site.
    DeadDependency,
    /// An object of a cluster was changed, not one of an application.
    Infrastructure,
    /// A copy of a database was replaced that held clients' writes which are nowhere else.
    Discarded,
    /// Users were sent where their uploads are refused.
    NoMedia,
    /// At the end: resolvers are still told the short time to live of a flip.
    TtlLeftLow,
    /// At the end: there is a writer, and its data is nowhere else.
    Unprotected,
}

/// Harm that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// When.
    pub at: Instant,
    /// The step that did it; `None` for what is so at the end.
    pub step: Option<StepId>,
    /// What.
    pub hazard: Hazard,
    /// What exactly, for people.
    pub what: String,
}

/// What was seen so far, and what is remembered to see more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ward {
    seen: Vec<Sighting>,
    /// Keys of calls that were judged.
    judged: BTreeSet<String>,
    /// Highest TTL of the service's own record in seconds.
    highest_ttl: u32,
    /// TTL that it was given by the last flip.
    flipped_with: Option<u32>,
    /// When resolvers that honour TTLs have forgotten every longer one of it.
    forgotten: Instant,
    /// An API claimed to have changed a record and had not: what resolvers keep is not the strategy's doing.
    pub(crate) lied_to: bool,
}

type Found = Vec<(Hazard, String)>;

#[derive(Deserialize)]
struct Place {
    site: SiteName,
}

#[derive(Deserialize)]
struct Named {
    database: String,
}

#[derive(Deserialize)]
struct AppAt {
    site: SiteName,
    app: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Record {
    name: String,
    kind: String,
    expected: Option<Vec<String>>,
    values: Vec<String>,
    ttl_seconds: u32,
}

impl World {
    /// What would be wrong with an effect if it were accepted now.
    pub(crate) fn foresee(&self, request: &Request) -> Found {
        if self.ward.judged.contains(&request.key.0) {
            return Found::new();
        }
        let short = request.function.interface.short();
        match (short, request.function.function.as_str()) {
            ("database", "ensure-promoted") => self.foresee_promotion(request),
            ("database", "ensure-replica-of" | "ensure-restored") => {
                self.foresee_replacement(request)
            }
            ("dns", "ensure-record") => self.foresee_record(request),
            ("workload", function) if request.site.direction == Direction::Run => {
                self.foresee_workload(request, function)
            }
            ("kubernetes", "ensure-applied" | "ensure-patched" | "ensure-deleted") => {
                foresee_object(request)
            }
            _ => Found::new(),
        }
    }

    /// Takes note of what was foreseen of an effect, if it was accepted.
    pub(crate) fn keep_watch(&mut self, request: &Request, found: Found, reply: &Reply) {
        let accepted = reply.as_ref().is_ok_and(|value| *value != "unchanged");
        if !accepted || found.is_empty() || !self.ward.judged.insert(request.key.0.clone()) {
            return;
        }
        let seen = found.into_iter().map(|(hazard, what)| Sighting {
            at: self.now,
            step: Some(request.site.step.clone()),
            hazard,
            what,
        });
        self.ward.seen.extend(seen);
    }

    /// Everything seen, with what is wrong at the end.
    #[must_use]
    pub fn sightings(&self) -> Vec<Sighting> {
        let unprotected = self
            .databases
            .values()
            .filter_map(|database| {
                let (site, branch) = database.writer()?;
                let replica = database.copies.values().any(
                    |copy| matches!(&copy.state, State::Replica(follower) if follower.source == *site),
                );
                let backup = database.kept.iter().any(|kept| kept.point.branch == branch);
                (!replica && !backup).then(|| {
                    format!("`{}` at `{site}` has neither a replica nor a backup", database.name)
                })
            })
            .map(|what| (Hazard::Unprotected, what));
        let at_end = unprotected
            .chain(self.ttl_left_low())
            .map(|(hazard, what)| Sighting {
                at: self.now,
                step: None,
                hazard,
                what,
            });
        self.ward.seen.iter().cloned().chain(at_end).collect()
    }

    fn ttl_left_low(&self) -> Option<(Hazard, String)> {
        let (now, before) = (self.own_record()?.ttl_seconds, self.ward.highest_ttl);
        let is_low = self.ward.flipped_with.is_some_and(|flip| now <= flip) && now < before;
        let what = format!(
            "`{}` has a time to live of {now} s, and had {before} s",
            self.clients.name
        );
        (is_low && !self.ward.lied_to).then_some((Hazard::TtlLeftLow, what))
    }

    /// The record that users ask for.
    fn own_record(&self) -> Option<&RecordSet> {
        let of_kind = |kind| self.zone.get(&self.clients.name, kind);
        of_kind("CNAME").or_else(|| of_kind("A"))
    }

    /// What a copy holds that neither a backup nor any other copy has.
    fn foresee_replacement(&self, request: &Request) -> Found {
        let (Ok(Place { site }), Ok(Named { database })) = (args(request), args(request)) else {
            return Found::new();
        };
        let Some(database) = self.databases.get(&database) else {
            return Found::new();
        };
        let history = &database.history;
        let held = database
            .copies
            .get(&site)
            .and_then(|copy| database.applied(copy));
        let others = database.copies.iter().filter(|(other, _)| **other != site);
        let kept = others
            .filter_map(|(_, copy)| database.applied(copy))
            .chain(database.kept.iter().map(|kept| kept.point));
        let mut kept = kept.filter(|kept| held.is_some_and(|held| history.contains(*kept, held)));
        let alone = held.filter(|_| kept.next().is_none());
        alone
            .map(|_| {
                let what = format!(
                    "`{}` at `{site}` is replaced, and what it alone holds is not kept",
                    database.name
                );
                (Hazard::Discarded, what)
            })
            .into_iter()
            .collect()
    }

    fn foresee_promotion(&self, request: &Request) -> Found {
        let (Ok(Place { site }), Ok(Named { database })) = (args(request), args(request)) else {
            return Found::new();
        };
        let Some(database) = self.databases.get(&database) else {
            return Found::new();
        };
        let mut found = Found::new();
        let writes = |name: &SiteName| {
            database
                .copies
                .get(name)
                .is_some_and(|copy| matches!(copy.state, State::Primary(_)) && !copy.read_only)
        };
        let others = || database.copies.keys().filter(|other| **other != site);
        if let Some(other) = others().find(|other| self.is_alive(other) && writes(other)) {
            let what = format!(
                "`{}` is promoted at `{site}` while `{other}` accepts writes",
                database.name
            );
            found.push((Hazard::SecondWriter, what));
        }
        let loss = self.loss_by_promotion(database, &site);
        if loss > 0 {
            let what = format!(
                "`{}` is promoted at `{site}` without the newest {} s of acknowledged writes",
                database.name,
                loss.div_ceil(1_000)
            );
            found.push((Hazard::Loss { ms: loss }, what));
        }
        found
    }

    /// What this promotion adds to what is lost already, in milliseconds.
    fn loss_by_promotion(&self, database: &super::Database, site: &SiteName) -> u64 {
        let Some(copy) = database.copies.get(site) else {
            return 0;
        };
        let survivor = match &copy.state {
            State::Replica(follower) => Some(database.received(follower)),
            _ => database.applied(copy),
        };
        let others = database.copies.iter().filter(|(other, _)| *other != site);
        let newest = others
            .filter_map(|(_, copy)| database.applied(copy))
            .max_by_key(|point| (point.branch, point.number));
        let (Some(survivor), Some(newest)) = (survivor, newest) else {
            return 0;
        };
        let known = database.history.lost(newest);
        let outage = self.watch.outage.filter(|_| *site != self.primary);
        let losses = database.history.lost(survivor);
        let new = losses.iter().filter(|loss| !known.contains(loss));
        new.map(|loss| millis(truth::rpo(loss, outage)))
            .max()
            .unwrap_or(0)
    }

    fn foresee_record(&self, request: &Request) -> Found {
        let Ok(mut wanted) = args::<Record>(request) else {
            return Found::new();
        };
        wanted.values.sort();
        let now = self.zone.get(&wanted.name, &wanted.kind);
        let mut found = Found::new();
        if wanted.expected.is_none() && now.is_some_and(|record| record.values != wanted.values) {
            let what = format!("`{}` is changed whatever it holds", wanted.name);
            found.push((Hazard::NotCompared, what));
        }
        let mut zone = self.zone.clone();
        zone.set(
            &wanted.name,
            &wanted.kind,
            wanted.values.clone(),
            wanted.ttl_seconds,
        );
        let (old, new) = (self.current_address(), self.address_in(&zone));
        if old == new {
            return found;
        }
        if wanted.name != self.clients.name {
            let what = format!(
                "users of `{}` are moved by `{}`",
                self.clients.name, wanted.name
            );
            found.push((Hazard::OtherRecord, what));
        }
        found.extend(self.foresee_arrival(new.as_deref()));
        let left = old.and_then(|old| self.entry(&old));
        if left.is_some_and(|(_, site, _)| site.condition == Condition::Up) {
            found.extend(self.foresee_old_answers());
        }
        found
    }

    /// What users find where they are sent.
    fn foresee_arrival(&self, address: Option<&str>) -> Found {
        let name = &self.clients.name;
        let Some((site_name, site, app)) = address.and_then(|address| self.entry(address)) else {
            let address = address.unwrap_or("no address");
            let what = format!("`{name}` leads to {address}, where nothing is exposed");
            return vec![(Hazard::NotServing, what)];
        };
        let mut found = Found::new();
        let problem = match (app.ready(), app.hosts.contains(name), app.maintenance) {
            (0, _, _) => Some("no replica is ready"),
            (_, false, _) => Some("the name is not answered for"),
            (_, _, true) => Some("the application is in maintenance"),
            _ => None,
        };
        if let Some(problem) = problem {
            let what = format!("`{name}` leads to `{site_name}`, where {problem}");
            found.push((Hazard::NotServing, what));
        }
        if !self.is_certified(site) {
            let what =
                format!("`{name}` leads to `{site_name}`, which has no valid certificate for it");
            found.push((Hazard::NoCertificate, what));
        }
        let closed = |bucket: &&String| self.is_closed(bucket, site_name);
        if let Some(bucket) = self.buckets_used().find(closed) {
            let what =
                format!("`{name}` leads to `{site_name}`, whose uploads bucket `{bucket}` refuses");
            found.push((Hazard::NoMedia, what));
        }
        if !self.takes_writes(site_name, app) {
            let what =
                format!("`{name}` leads to `{site_name}`, whose application reaches no writer");
            found.push((Hazard::NoWriter, what));
        }
        found
    }

    fn foresee_old_answers(&self) -> Option<(Hazard, String)> {
        if self.ward.lied_to {
            return None;
        }
        let (name, ttl) = (&self.clients.name, self.own_record()?.ttl_seconds);
        let lowered = ttl <= SHORT_TTL_SECONDS || ttl < self.ward.highest_ttl;
        let what = match self.ward.forgotten.since(self.now) {
            _ if !lowered => format!("`{name}` is flipped with a time to live of {ttl} s"),
            left if !left.is_zero() => format!(
                "`{name}` is flipped {} s before resolvers forget its old time to live",
                left.as_secs().max(1)
            ),
            _ => return None,
        };
        Some((Hazard::LongTtl, what))
    }

    /// A record is about to be changed, to a new TTL or to new values.
    pub(crate) fn note_change(&mut self, name: &str, old: Option<u32>, new: u32, flips: bool) {
        let Some(old) = old.filter(|_| name == self.clients.name) else {
            return;
        };
        if flips {
            self.ward.flipped_with = Some(new);
        }
        self.ward.highest_ttl = self.ward.highest_ttl.max(old);
        if new < old {
            let forgotten = self.now.after(std::time::Duration::from_secs(old.into()));
            self.ward.forgotten = self.ward.forgotten.max(forgotten);
        }
    }

    fn foresee_workload(&self, request: &Request, function: &str) -> Found {
        let Ok(AppAt { site, app: name }) = args(request) else {
            return Found::new();
        };
        let Ok(app) = self.app(&site, &name) else {
            return Found::new();
        };
        let number = |key: &str| request.args.get(key).and_then(Value::as_u64);
        let is_opened = match function {
            "ensure-scaled" => {
                !app.maintenance && number("replicas") > Some(u64::from(app.ready()))
            }
            "ensure-restarted" => !app.maintenance && app.desired > 0,
            "ensure-maintenance" => {
                app.desired > 0 && request.args.get("enabled") == Some(&Value::Bool(false))
            }
            "ensure-database-endpoint" => return self.foresee_endpoint(request, &site, &name),
            _ => false,
        };
        if !is_opened || self.is_writer(&site, &app.endpoint) {
            return Found::new();
        }
        let what = format!("`{name}` at `{site}` is opened on a database that refuses writes");
        vec![(Hazard::OpenedReadOnly, what)]
    }

    fn foresee_endpoint(&self, request: &Request, site: &SiteName, app: &str) -> Found {
        let endpoint = request.args.get("endpoint").and_then(Value::as_str);
        let homes = self.databases.values().flat_map(|all| &all.copies);
        let home = homes
            .filter(|(_, copy)| Some(copy.endpoint.as_str()) == endpoint)
            .map(|(home, _)| home)
            .find(|home| *home != site && !self.is_alive(home));
        let what = home.map(|home| {
            format!("`{app}` at `{site}` is pointed at the database of `{home}`, which is dead")
        });
        what.map(|what| (Hazard::DeadDependency, what))
            .into_iter()
            .collect()
    }

    fn is_alive(&self, site: &SiteName) -> bool {
        let site = self.sites.get(site);
        site.is_some_and(|site| site.condition != Condition::Down)
    }

    fn is_certified(&self, site: &Site) -> bool {
        site.certificate_for(&self.clients.name, self.now)
            .is_some_and(|certificate| certificate.not_after > self.now)
    }

    /// Buckets that users' journeys need.
    fn buckets_used(&self) -> impl Iterator<Item = &String> {
        let requests = self.journeys.values().flatten();
        requests
            .flat_map(|request| &request.needs)
            .filter_map(|need| match need {
                Need::Bucket(bucket) => Some(bucket),
                _ => None,
            })
    }

    fn takes_writes(&self, site: &SiteName, app: &App) -> bool {
        let mut running = app.running.iter();
        running.any(|group| self.is_writer(site, &group.endpoint))
    }

    /// Whether a database that accepts writes answers at an endpoint, as a site's applications reach it.
    fn is_writer(&self, from: &SiteName, endpoint: &str) -> bool {
        let behind = self.behind(from, endpoint);
        let copy = behind.and_then(|(database, at)| database.copies.get(at));
        copy.is_some_and(|copy| matches!(copy.state, State::Primary(_)) && !copy.read_only)
    }
}

/// An object of no namespace is the cluster's and not an application's.
fn foresee_object(request: &Request) -> Found {
    let manifest = request.args.get("manifest").and_then(Value::as_str);
    let manifest: Value = manifest
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or(Value::Null);
    let reference = request.args.get("object").unwrap_or(&Value::Null);
    let text = |applied: &str, named: &str| {
        let found = manifest.pointer(applied).or_else(|| reference.get(named));
        found.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    if !text("/metadata/namespace", "namespace").is_empty() {
        return Found::new();
    }
    let (kind, name) = (text("/kind", "kind"), text("/metadata/name", "name"));
    let what = format!("{kind} `{name}`, which is the cluster's, is changed");
    vec![(Hazard::Infrastructure, what)]
}
