//! Time passing: from event to event, with clients served in between.

use super::World;
use super::database::State;
use super::edge::EdgeCache;
use super::job::Subject;
use super::site::{Condition, Crashing};
use crate::clock::Instant;
use crate::name::SiteName;
use crate::rehearsal::scenario::events::{Action, RecordEdit};

/// Something that happens at a time.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// An inject of the scenario, by its place there.
    Inject(usize),
    /// A job is done, if it still is the one of this number.
    JobDone(Subject, u64),
    /// A site has finished starting.
    Booted(SiteName),
    /// A recovery point of a database is due.
    BackupDue(String),
    /// Replicas of an application at a site follow its settings.
    SettingsReach(SiteName, String),
    /// Replicas of an application at a site may stop crashing.
    Steady(SiteName, String),
    /// A limit or a validity ends: look again.
    Boundary,
}

impl World {
    /// Puts injects, backups and expiries into the queue.
    pub(crate) fn schedule_beginning(&mut self, start: Instant) {
        let injects: Vec<Instant> = self
            .injects
            .iter()
            .map(|inject| inject.at.from_start(start))
            .collect();
        for (place, at) in injects.into_iter().enumerate() {
            self.schedule(at, Event::Inject(place));
        }
        let certificates = self
            .sites
            .values()
            .flat_map(|site| site.certificates.values());
        let expiries: Vec<Instant> = certificates
            .map(|certificate| certificate.not_after)
            .collect();
        for at in expiries {
            self.schedule(at, Event::Boundary);
        }
        let mut due = Vec::new();
        for database in self.databases.values() {
            if let Some(backups) = &database.settings.backups {
                let last = database.kept.last().map_or(self.now, |kept| kept.taken);
                due.push((last.after(backups.every.get()), database.name.clone()));
            }
        }
        for (at, name) in due {
            self.schedule(at, Event::BackupDue(name));
        }
    }

    /// Lives through the time until `to`. Time never goes back.
    pub fn advance(&mut self, to: Instant) {
        loop {
            let queued = self
                .queue
                .first_key_value()
                .map(|((at, _), _)| *at)
                .filter(|at| *at <= to);
            let resolver = self.population.next_change().filter(|at| *at <= to);
            let hour = self.demand.next_change(self.now).filter(|at| *at <= to);
            let edge = self.edge.as_ref().and_then(EdgeCache::next_change);
            let edge = edge.filter(|at| *at <= to);
            let next = [queued, resolver, hour, edge].into_iter().flatten().min();
            let Some(next) = next else {
                break;
            };
            self.live(next);
            if resolver == Some(next) {
                self.population.settle(&self.zone, next);
                self.dirty = true;
                self.settle_edge();
            }
            if hour == Some(next) {
                self.dirty = true;
            }
            if queued == Some(next)
                && let Some((_, event)) = self.queue.pop_first()
            {
                self.happen(event);
                self.touch();
            }
        }
        self.live(to);
    }

    fn live(&mut self, until: Instant) {
        self.serve_clients(until);
        self.now = self.now.max(until);
        self.settle();
    }

    /// Brings replicas up to now with links as they are, and caches with what fills them.
    pub(crate) fn settle(&mut self) {
        let sites = &self.sites;
        let condition = |site: &SiteName| {
            sites
                .get(site)
                .map_or(Condition::Down, |site| site.condition)
        };
        let alive = |site: &SiteName| condition(site) != Condition::Down;
        let linked = |a: &SiteName, b: &SiteName| {
            a == b || condition(a) == Condition::Up && condition(b) == Condition::Up
        };
        for database in self.databases.values_mut() {
            database.settle(self.now, alive, linked);
        }
        self.settle_edge();
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Inject(place) => {
                if let Some(inject) = self.injects.get(place).cloned() {
                    self.inject(inject.action);
                }
            }
            Event::JobDone(subject, id) => self.finish(&subject, id),
            Event::Booted(site) => self.boot(&site),
            Event::BackupDue(name) => self.back_up(&name),
            Event::SettingsReach(site, app) => {
                let site = self.sites.get_mut(&site);
                if let Some(app) = site.and_then(|site| site.apps.get_mut(&app)) {
                    app.maintenance = app.asked_maintenance;
                }
            }
            Event::Steady(site, app) => {
                let app = self
                    .sites
                    .get_mut(&site)
                    .and_then(|site| site.apps.get_mut(&app));
                let now = self.now;
                if let Some(app) = app {
                    app.crashing = app.crashing.filter(|crashing| crashing.until > now);
                }
            }
            Event::Boundary => {}
        }
    }

    fn inject(&mut self, action: Action) {
        match action {
            Action::FailSite(site) => self.fail(site.as_ref()),
            Action::HealSite(site) => self.heal(site.as_ref()),
            Action::PartitionSite(site) => {
                if let Some(site) = self.sites.get_mut(site.as_ref()) {
                    site.condition = Condition::Partitioned;
                    site.away_since.get_or_insert(self.now);
                }
            }
            Action::FailApi(api) => {
                self.failed_apis.insert(api.into_inner());
            }
            Action::HealApi(api) => {
                self.failed_apis.remove(api.as_ref());
            }
            Action::LagApi { api, by, length } => {
                let until = self.now.after(length.get());
                self.stale.lag(api.into_inner(), by, until);
            }
            Action::StallReplication(site) => self.stall(site.as_ref(), true),
            Action::ResumeReplication(site) => self.stall(site.as_ref(), false),
            Action::CorruptLatestBackup(name) => self.corrupt_latest_backup(name.as_ref()),
            Action::DamageDatabase { database, tables } => {
                self.damage(database.as_ref(), *tables.as_ref());
            }
            Action::LimitIssuer { issuer, length } => {
                let until = self.now.after(length.get());
                if let Some(issuer) = self.issuers.get_mut(issuer.as_ref()) {
                    issuer.limited_until = Some(until);
                }
            }
            Action::ExpireCertificate { site, certificate } => {
                self.expire(site.as_ref(), &certificate);
            }
            Action::ReadOnly {
                site,
                database,
                length,
            } => {
                let until = self.now.after(length.get());
                let database = database.map(toml::Spanned::into_inner);
                self.make_read_only(site.as_ref(), database.as_ref(), until);
            }
            Action::CrashLoop { site, app, length } => {
                let for_ever = Instant(u64::MAX);
                let until = length.map_or(for_ever, |length| self.now.after(length.get()));
                self.crash_loop(site.as_ref(), app.into_inner(), until);
            }
            Action::Node {
                site,
                name,
                condition,
                holds,
            } => {
                if let Some(found) = self.sites.get_mut(site.as_ref()) {
                    found.set_condition(site.as_ref(), name.into_inner(), condition, holds);
                }
            }
            Action::EditRecord(edit) => self.edit_record(edit),
        }
    }

    /// What a person does to the zone is no call of a strategy: rules on those do not see it.
    fn edit_record(&mut self, edit: RecordEdit) {
        let (name, kind) = (edit.record.into_inner(), edit.kind);
        let Some(record) = self.zone.get(&name, &kind) else {
            return;
        };
        let values = edit.values.unwrap_or_else(|| record.values.clone());
        let ttl_seconds = edit.ttl_seconds.unwrap_or(record.ttl_seconds);
        self.set_record(&name, &kind, values, ttl_seconds);
    }

    fn damage(&mut self, database: &str, tables: u32) {
        let damaged = self.databases.get_mut(database);
        let site = damaged.and_then(|database| database.damage(tables, self.now));
        if let Some(site) = site {
            self.note_lost(&site);
        }
    }

    fn corrupt_latest_backup(&mut self, database: &str) {
        let now = self.now;
        let kept = self.databases.get_mut(database);
        let kept = kept.map(|database| &mut database.kept);
        let latest = kept.and_then(|kept| kept.iter_mut().rev().find(|kept| kept.available <= now));
        if let Some(latest) = latest {
            latest.corrupt = true;
        }
    }

    fn expire(&mut self, site: &SiteName, certificate: &str) {
        let site = self.sites.get_mut(site);
        if let Some(found) = site.and_then(|site| site.certificates.get_mut(certificate)) {
            found.not_after = self.now;
        }
    }

    fn make_read_only(&mut self, site: &SiteName, database: Option<&String>, until: Instant) {
        if database.is_none()
            && let Some(site) = self.sites.get_mut(site)
        {
            site.read_only_until = site.read_only_until.max(Some(until));
        }
        for (name, found) in &mut self.databases {
            let meant = database.is_none_or(|database| database == name);
            if let Some(copy) = found.copies.get_mut(site).filter(|_| meant) {
                copy.refuses_until = copy.refuses_until.max(Some(until));
            }
        }
        self.schedule(until, Event::Boundary);
    }

    fn crash_loop(&mut self, site: &SiteName, app: String, until: Instant) {
        let found = self.sites.get_mut(site);
        if let Some(found) = found.and_then(|site| site.apps.get_mut(&app)) {
            let crashing = found.crashing.get_or_insert(Crashing {
                since: self.now,
                until,
            });
            crashing.until = crashing.until.max(until);
        }
        self.schedule(until, Event::Steady(site.clone(), app));
    }

    fn fail(&mut self, name: &SiteName) {
        let Some(site) = self.sites.get_mut(name) else {
            return;
        };
        site.condition = Condition::Down;
        site.away_since.get_or_insert(self.now);
        for app in site.apps.values_mut() {
            app.running.clear();
        }
        self.drop_jobs(name);
        self.note_lost(name);
        if *name == self.primary && self.watch.outage.is_none() && self.watch.recovered.is_none() {
            self.watch.outage = Some(self.now);
        }
    }

    fn heal(&mut self, name: &SiteName) {
        match self.sites.get_mut(name) {
            Some(site) if site.condition == Condition::Partitioned => {
                site.condition = Condition::Up;
                site.away_since = None;
            }
            Some(site) if site.condition == Condition::Down => {
                let length =
                    self.draws
                        .within(self.durations.boot, "boot", name.as_str(), self.now.0);
                self.schedule(self.now.after(length), Event::Booted(name.clone()));
            }
            _ => {}
        }
    }

    fn boot(&mut self, name: &SiteName) {
        let Some(site) = self.sites.get_mut(name) else {
            return;
        };
        site.condition = Condition::Up;
        site.away_since = None;
        for app in site.apps.values_mut() {
            let desired = app.desired;
            app.run(desired);
        }
        for database in self.databases.values_mut() {
            database.come_back(name);
        }
    }

    fn stall(&mut self, site: &SiteName, stalled: bool) {
        for database in self.databases.values_mut() {
            if let Some(State::Replica(follower)) =
                database.copies.get_mut(site).map(|copy| &mut copy.state)
            {
                follower.stalled = stalled;
            }
        }
    }

    fn back_up(&mut self, name: &str) {
        let now = self.now;
        let Some(database) = self.databases.get_mut(name) else {
            return;
        };
        let Some(every) = database
            .settings
            .backups
            .as_ref()
            .map(|backups| backups.every.get())
        else {
            return;
        };
        let writer = database
            .writer()
            .map(|(site, branch)| (site.clone(), branch));
        if let Some((site, branch)) = writer
            && self
                .sites
                .get(&site)
                .is_some_and(|site| site.condition != Condition::Down)
        {
            database.keep(branch, now);
        }
        self.schedule(now.after(every), Event::BackupDue(name.to_owned()));
    }
}
