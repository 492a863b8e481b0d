//! A logical database: its history, its copies at sites, what replicates, and its recovery points.
//!
//! State only; `contract/database.rs` has what plugins ask of it and how long that takes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::super::draw::Draws;
use super::history::{History, Point};
use crate::clock::Instant;
use crate::name::SiteName;
use crate::rehearsal::scenario::start::{self, Returns, StartRole};

/// History that the world knows from before the run: one day, hour by hour.
const PAST_MS: u64 = 86_400_000;
const HOUR_MS: u64 = 3_600_000;

/// A replica's progress, told in the source's time.
#[derive(Debug, Clone)]
pub(crate) struct Follower {
    pub(crate) source: SiteName,
    /// The source's branch as followed; another one that does not continue it cannot be followed.
    pub(crate) branch: usize,
    /// Everything committed at the source by then is here.
    pub(crate) received: Instant,
    /// Everything committed at the source by then is applied.
    pub(crate) applied: Instant,
    /// An inject holds it.
    pub(crate) stalled: bool,
    /// A promotion has begun: nothing more is received.
    pub(crate) stopped: bool,
    /// Nothing arrives at the moment, for this reason.
    pub(crate) problem: Option<&'static str>,
}

/// What is at a site.
#[derive(Debug, Clone)]
pub(crate) enum State {
    /// A server without the database.
    Absent,
    /// Half a copy; the next attempt replaces it.
    Broken,
    /// Nothing replicates into it.
    Primary(usize),
    /// It applies another one's changes.
    Replica(Follower),
}

/// A database at a site.
#[derive(Debug, Clone)]
pub(crate) struct Copy {
    pub(crate) endpoint: String,
    pub(crate) state: State,
    pub(crate) read_only: bool,
    pub(crate) migration: String,
    /// Tokens of write probes and restores that were done here.
    pub(crate) tokens: BTreeSet<String>,
    /// Tokens of restores that failed, and why.
    pub(crate) failed: BTreeMap<String, String>,
    /// Until then its storage takes no writes, whatever its settings say.
    pub(crate) refuses_until: Option<Instant>,
}

impl Copy {
    /// Whether writes are refused at an instant.
    pub(crate) fn refuses_writes(&self, at: Instant) -> bool {
        self.read_only || self.refuses_until.is_some_and(|until| until > at)
    }
}

/// A state of the past that was kept.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) id: String,
    pub(crate) taken: Instant,
    /// From then on it can be restored at other sites.
    pub(crate) available: Instant,
    pub(crate) point: Point,
    pub(crate) corrupt: bool,
}

/// Tables that were lost at a point of the history: whatever has that point lacks them.
#[derive(Debug, Clone, Copy)]
struct Damage {
    point: Point,
    tables: u32,
}

/// A logical database.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pub(crate) name: String,
    pub(crate) settings: start::Database,
    pub(crate) history: History,
    pub(crate) copies: BTreeMap<SiteName, Copy>,
    /// Oldest first.
    pub(crate) kept: Vec<Kept>,
    /// Branch and instant up to which logs have left their site.
    pub(crate) logs: Option<(usize, Instant)>,
    /// Until when clients wrote.
    pub(crate) written: Instant,
    damages: Vec<Damage>,
    before: u64,
    draws: Draws,
    settled: Instant,
}

impl Database {
    /// The database as it is at `at`, with a past of one day: clients wrote at `rate(instant)` (parts of
    /// [`super::history::RATE_UNIT`] per millisecond).
    pub(crate) fn new(
        name: &str,
        settings: &start::Database,
        primary: &SiteName,
        rate: impl Fn(Instant) -> u128,
        draws: Draws,
        at: Instant,
    ) -> Self {
        let mut from = Instant(at.0.saturating_sub(PAST_MS));
        let mut history = History::beginning(primary.clone(), from);
        while from < at {
            let hour = Instant((from.0 / HOUR_MS + 1) * HOUR_MS).min(at);
            history.write(0, from, hour, rate(from));
            from = hour;
        }
        let mut database = Self {
            name: name.to_owned(),
            settings: settings.clone(),
            before: history.head(0).number,
            history,
            copies: BTreeMap::new(),
            kept: Vec::new(),
            logs: None,
            written: Instant(0),
            damages: Vec::new(),
            draws,
            settled: at,
        };
        database.keep_past(at);
        database
    }

    /// Puts a copy at a site.
    pub(crate) fn place(
        &mut self,
        site: &SiteName,
        start: &start::DatabaseStart,
        primary: &SiteName,
        at: Instant,
    ) {
        let state = match start.role {
            StartRole::Absent => State::Absent,
            StartRole::Primary => State::Primary(0),
            StartRole::Replica => {
                let received = Instant(at.0.saturating_sub(self.settings.receive_behind.ms()));
                State::Replica(Follower {
                    source: primary.clone(),
                    branch: 0,
                    received: Instant(received.0.saturating_sub(self.receive_lag(site, at))),
                    applied: Instant(received.0.saturating_sub(
                        self.settings.apply_behind.ms() + self.total_lag(site, at),
                    )),
                    stalled: false,
                    stopped: false,
                    problem: None,
                })
            }
        };
        let copy = Copy {
            endpoint: start.endpoint.clone(),
            read_only: !matches!(state, State::Primary(_)),
            state,
            migration: self.settings.migration.clone(),
            tokens: BTreeSet::new(),
            failed: BTreeMap::new(),
            refuses_until: None,
        };
        self.copies.insert(site.clone(), copy);
    }

    fn keep_past(&mut self, at: Instant) {
        let Some(backups) = self.settings.backups.clone() else {
            return;
        };
        let every = backups.every.ms();
        let phase = self
            .draws
            .stream(&format!("backups {}", self.name))
            .below(every);
        for n in (0..u64::from(backups.keep)).rev() {
            let age = n.saturating_mul(every).saturating_add(phase);
            if age < PAST_MS {
                self.keep(0, Instant(at.0.saturating_sub(age)));
            }
        }
    }

    /// Takes a recovery point of a branch as it is at `at`.
    pub(crate) fn keep(&mut self, branch: usize, at: Instant) {
        let id = format!("{}-{at}", self.name);
        self.keep_as(id, branch, at);
    }

    /// Takes a recovery point under a name.
    pub(crate) fn keep_as(&mut self, id: String, branch: usize, at: Instant) {
        let Some(backups) = &self.settings.backups else {
            return;
        };
        let copy = self
            .draws
            .within(backups.copy, "backup-copy", &self.name, at.0);
        let keep = usize::try_from(backups.keep).unwrap_or(usize::MAX);
        let point = Point {
            branch,
            number: self.history.number_at(branch, at),
        };
        self.kept.push(Kept {
            id,
            taken: at,
            available: at.after(copy),
            point,
            corrupt: false,
        });
        let surplus = self.kept.len().saturating_sub(keep.max(1));
        self.kept.drain(..surplus);
    }

    fn receive_lag(&self, site: &SiteName, at: Instant) -> u64 {
        let lag = self.draws.within(
            self.settings.receive_lag,
            "receive-lag",
            site.as_str(),
            at.0 / 60_000,
        );
        crate::clock::millis(lag)
    }

    fn total_lag(&self, site: &SiteName, at: Instant) -> u64 {
        let lag = self.draws.within(
            self.settings.apply_lag,
            "apply-lag",
            site.as_str(),
            at.0 / 60_000,
        );
        self.receive_lag(site, at) + crate::clock::millis(lag)
    }

    /// The site whose copy accepts writes, newest branch first where several do.
    pub(crate) fn writer(&self) -> Option<(&SiteName, usize)> {
        let writers = self
            .copies
            .iter()
            .filter_map(|(site, copy)| match copy.state {
                State::Primary(branch) if !copy.read_only => Some((site, branch)),
                _ => None,
            });
        writers.max_by_key(|(_, branch)| *branch)
    }

    /// Brings replicas, logs and lags up to `at`, with links as they were since the last time. `linked` says whether
    /// one site reaches another; `alive` whether a site runs.
    pub(crate) fn settle(
        &mut self,
        at: Instant,
        alive: impl Fn(&SiteName) -> bool,
        linked: impl Fn(&SiteName, &SiteName) -> bool,
    ) {
        let passed = at.0.saturating_sub(self.settled.0);
        self.settled = at;
        let mut last = None::<SiteName>;
        // One after the other: a replica may follow another one.
        while let Some((site, mut follower)) = self.follower_after(last.as_ref(), &alive) {
            follower.problem = self.problem(&follower, &site, &linked);
            self.follow(&mut follower, &site, at, passed);
            if let Some(copy) = self.copies.get_mut(&site) {
                copy.state = State::Replica(follower);
            }
            last = Some(site);
        }
        self.ship_logs(at, alive);
    }

    /// The first replica that runs at a site after `last`, in order of the sites.
    fn follower_after(
        &self,
        last: Option<&SiteName>,
        alive: impl Fn(&SiteName) -> bool,
    ) -> Option<(SiteName, Follower)> {
        let after = last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut copies = self.copies.range((after, Bound::Unbounded));
        copies.find_map(|(site, copy)| match &copy.state {
            State::Replica(follower) if alive(site) => Some((site.clone(), follower.clone())),
            _ => None,
        })
    }

    fn problem(
        &self,
        follower: &Follower,
        site: &SiteName,
        linked: impl Fn(&SiteName, &SiteName) -> bool,
    ) -> Option<&'static str> {
        if follower.stopped {
            return Some("replication was stopped");
        }
        if follower.stalled {
            return Some("the receiver does not get any further");
        }
        let source = self.copies.get(&follower.source);
        let branch = match source.map(|source| &source.state) {
            Some(State::Primary(branch)) => *branch,
            Some(State::Replica(source)) => source.branch,
            _ => return Some("the source has no such database"),
        };
        if !linked(site, &follower.source) {
            return Some("the source cannot be reached");
        }
        let applied = Point {
            branch: follower.branch,
            number: self.history.number_at(follower.branch, follower.received),
        };
        if branch != follower.branch && !self.history.contains(self.history.head(branch), applied) {
            return Some("the source's history has diverged from this one");
        }
        None
    }

    fn follow(&self, follower: &mut Follower, site: &SiteName, at: Instant, passed: u64) {
        let budget = speed_up(passed, self.settings.catch_up_factor);
        if follower.problem.is_none() {
            let newest = Instant(at.0.saturating_sub(self.receive_lag(site, at)));
            let reach = Instant(follower.received.0.saturating_add(budget));
            follower.received = follower.received.max(newest.min(reach));
            if let Some(State::Primary(branch)) =
                self.copies.get(&follower.source).map(|copy| &copy.state)
            {
                follower.branch = *branch;
            }
        }
        let newest = match follower.problem {
            None => Instant(at.0.saturating_sub(self.total_lag(site, at))).min(follower.received),
            Some(_) => follower.received,
        };
        let reach = Instant(follower.applied.0.saturating_add(budget));
        follower.applied = follower.applied.max(newest.min(reach));
    }

    fn ship_logs(&mut self, at: Instant, alive: impl Fn(&SiteName) -> bool) {
        let Some(backups) = self
            .settings
            .backups
            .as_ref()
            .filter(|b| b.log_window.ms() > 0)
        else {
            return;
        };
        let every = backups.log_every.ms().max(1);
        if let Some((site, branch)) = self.writer()
            && alive(site)
        {
            self.logs = Some((branch, Instant(at.0 / every * every)));
        }
    }

    /// Everything that is applied at a site.
    pub(crate) fn applied(&self, copy: &Copy) -> Option<Point> {
        match &copy.state {
            State::Primary(branch) => Some(self.history.head(*branch)),
            State::Replica(follower) => Some(Point {
                branch: follower.branch,
                number: self.history.number_at(follower.branch, follower.applied),
            }),
            State::Absent | State::Broken => None,
        }
    }

    /// Everything that has arrived at a replica.
    pub(crate) fn received(&self, follower: &Follower) -> Point {
        Point {
            branch: follower.branch,
            number: self.history.number_at(follower.branch, follower.received),
        }
    }

    /// Time until a replica has applied what it has received, in milliseconds.
    pub(crate) fn backlog_ms(&self, follower: &Follower) -> u64 {
        let behind = follower.received.0.saturating_sub(follower.applied.0);
        slow_down(behind, self.settings.catch_up_factor)
    }

    /// Makes a replica a writer with everything it has received; the new branch.
    pub(crate) fn promote(&mut self, site: &SiteName, at: Instant) {
        let point = match self.copies.get(site).map(|copy| &copy.state) {
            Some(State::Replica(follower)) => Some(self.received(follower)),
            _ => None,
        };
        let branch = point.map(|point| self.history.fork(point, site.clone(), at));
        if let Some(copy) = self.copies.get_mut(site) {
            copy.read_only = false;
            if let Some(branch) = branch {
                copy.state = State::Primary(branch);
            }
        }
    }

    /// Makes a copy a replica of `source`: all of the source's past is there, the rest follows.
    pub(crate) fn attach(&mut self, site: &SiteName, source: &SiteName, at: Instant) {
        let Some(from) = self.copies.get(source) else {
            return;
        };
        let migration = from.migration.clone();
        let branch = match &from.state {
            State::Primary(branch) => *branch,
            State::Replica(follower) => follower.branch,
            State::Absent | State::Broken => return,
        };
        let here = self.copies.get(site).and_then(|copy| self.applied(copy));
        // A copy that only lacks the newest changes fetches them; one that was made anew is as old as its making.
        let have = here.map_or(at, |point| self.history.time_of(point));
        if let Some(copy) = self.copies.get_mut(site) {
            copy.read_only = true;
            copy.migration = migration;
            copy.state = State::Replica(Follower {
                source: source.clone(),
                branch,
                received: have,
                applied: have,
                stalled: false,
                stopped: false,
                problem: None,
            });
        }
    }

    /// Puts a restored state at a site, read-only, on a branch of its own; or says why it could not be.
    pub(crate) fn restore(
        &mut self,
        site: &SiteName,
        point: Point,
        token: String,
        corrupt: Option<String>,
        at: Instant,
    ) {
        let branch = corrupt
            .is_none()
            .then(|| self.history.fork(point, site.clone(), at));
        let migration = self.settings.migration.clone();
        let Some(copy) = self.copies.get_mut(site) else {
            return;
        };
        match (corrupt, branch) {
            (Some(problem), _) => {
                copy.failed.insert(token, problem);
            }
            (None, Some(branch)) => {
                copy.state = State::Primary(branch);
                copy.read_only = true;
                copy.migration = migration;
                copy.tokens.insert(token);
            }
            (None, None) => {}
        }
    }

    /// Tables are lost where the database takes writes, as by a write of its own, and answers where; nowhere where nobody
    /// takes any.
    pub(crate) fn damage(&mut self, tables: u32, at: Instant) -> Option<SiteName> {
        let (site, branch) = self.writer()?;
        let site = site.clone();
        self.history.write_own(branch, at);
        let point = self.history.head(branch);
        self.damages.push(Damage { point, tables });
        Some(site)
    }

    /// Tables that a state has.
    pub(crate) fn tables(&self, state: Point) -> u32 {
        let lost = self.damages.iter();
        let lost = lost.filter(|damage| self.history.contains(state, damage.point));
        let lost: u32 = lost.map(|damage| damage.tables).sum();
        self.settings.tables.saturating_sub(lost)
    }

    /// Whether a copy lacks tables.
    pub(crate) fn is_damaged(&self, copy: &Copy) -> bool {
        !self.damages.is_empty()
            && self
                .applied(copy)
                .is_some_and(|state| self.tables(state) < self.settings.tables)
    }

    /// Writes that the history knows from before the world began.
    pub(crate) fn history_before(&self) -> u64 {
        self.before
    }

    /// A site is back: its copy is as it was, and may refuse writes.
    pub(crate) fn come_back(&mut self, site: &SiteName) {
        let returns = self.settings.returns;
        if let Some(copy) = self.copies.get_mut(site)
            && returns == Returns::ReadOnly
        {
            copy.read_only = true;
        }
    }
}

/// What a replica that is behind gets through while `ms` pass.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "milliseconds of a drill are exact in an f64, and the factor is at least 1"
)]
fn speed_up(ms: u64, factor: f64) -> u64 {
    (ms as f64 * factor) as u64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "milliseconds of a drill are exact in an f64, and the factor is at least 1"
)]
fn slow_down(ms: u64, factor: f64) -> u64 {
    (ms as f64 / factor) as u64
}
