//! What effects do to users: where a change of a record sends them, and what an application is opened on.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::super::World;
use super::super::contract::args;
use super::super::database::State;
use super::super::resolver::RecordSet;
use super::super::site::{App, Condition, Crashing, Site};
use super::{Found, Hazard};
use crate::call::Request;
use crate::name::SiteName;
use crate::rehearsal::scenario::Need;

/// A time to live, in seconds, that needs no lowering: the upper end of what the source runbooks ask for during a
/// change.
const SHORT_TTL_SECONDS: u32 = 60;

/// How old a look at a site may be when the record is changed upon it: what began to crash since, nobody could know of. A
/// walk of all journeys and the change itself take a few seconds each.
const LOOKED_BEFORE: Duration = Duration::from_secs(15);

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
    /// A record is about to be changed.
    pub(super) fn foresee_record(&self, request: &Request) -> Found {
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
        if left.is_some_and(|(name, site, _)| {
            site.condition == Condition::Up && !self.ward.lost.contains(name)
        }) {
            found.extend(self.foresee_old_answers());
        }
        found
    }

    /// Infrastructure is about to be changed: not while users are badly served, and not under their feet.
    pub(super) fn foresee_infrastructure(&self, request: &Request) -> Found {
        let site = request.args.get("site").and_then(Value::as_str);
        let address = self.current_address();
        let mut found = Found::new();
        if let Some((_, problem)) = self.foresee_arrival(address.as_deref()).into_iter().next() {
            let what = format!("infrastructure is changed while {problem}");
            found.push((Hazard::Infrastructure, what));
        }
        let there = address.and_then(|address| self.entry(&address));
        let used = there.is_some_and(|(name, _, _)| Some(name.as_str()) == site);
        if used && request.function.function == "ensure-destroyed" {
            let site = site.unwrap_or_default();
            let what = format!("`{site}`, which users are led to, is destroyed");
            found.push((Hazard::Infrastructure, what));
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
        let just_begun = |crashing: Crashing| {
            self.now.since(crashing.since) < LOOKED_BEFORE && !app.running.is_empty()
        };
        let problem = match (app.ready(), app.hosts.contains(name), app.maintenance) {
            (0, _, _) if app.crashing.is_some_and(just_begun) => None,
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
            let forgotten = self.now.after(Duration::from_secs(old.into()));
            self.ward.forgotten = self.ward.forgotten.max(forgotten);
        }
    }

    /// At the end: the TTL of the last flip is still there.
    pub(super) fn ttl_left_low(&self) -> Option<(Hazard, String)> {
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
        of_kind("CNAME").or_else(|| of_kind("A")).map(AsRef::as_ref)
    }

    /// An application is about to be changed.
    pub(super) fn foresee_workload(&self, request: &Request, function: &str) -> Found {
        let Ok(AppAt { site, app: name }) = args(request) else {
            return Found::new();
        };
        let Ok(app) = self.app(&site, &name) else {
            return Found::new();
        };
        let number = |key: &str| request.args.get(key).and_then(Value::as_u64);
        let is_opened = match function {
            "ensure-scaled" => {
                !app.asked_maintenance && number("replicas") > Some(u64::from(app.ready()))
            }
            "ensure-restarted" => !app.asked_maintenance && app.desired > 0,
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
pub(super) fn foresee_object(request: &Request) -> Found {
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
