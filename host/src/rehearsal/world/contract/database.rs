//! `understudy:database/database`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::super::World;
use super::super::database::{Copy, Database, Follower, State};
use super::super::history::Point;
use super::super::job::{Subject, Work};
use super::super::site::Condition;
use super::{args, no_such_function, ok, outcome};
use crate::call::{CallError, Outcome, Reply, Request, hex};
use crate::clock::Instant;
use crate::name::SiteName;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Role {
    Primary,
    Replica,
    Absent,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Replication {
    source: String,
    running: bool,
    lag_ms: Option<u64>,
    last_applied_at_ms: Option<Instant>,
    received: String,
    problem: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Observation {
    role: Role,
    read_only: bool,
    endpoint: String,
    tls: bool,
    position: String,
    replication: Option<Replication>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Contents {
    tables: u32,
    rows: u64,
    schema_digest: String,
    checksum: String,
    migration: String,
}

#[derive(Deserialize)]
pub(super) struct Place {
    pub(super) site: SiteName,
    pub(super) database: String,
}

#[derive(Deserialize)]
struct ReplicaOf {
    source: SiteName,
}

#[derive(Deserialize)]
struct Position {
    position: String,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

#[derive(Deserialize)]
struct Token {
    token: String,
}

impl World {
    pub(crate) fn database(&mut self, request: &Request) -> Reply {
        let place: Place = args(request)?;
        if !self.databases.contains_key(&place.database) {
            return Err(CallError::NotFound(format!(
                "no database `{}`",
                place.database
            )));
        }
        self.reach(&place.site)?;
        match request.function.function.as_str() {
            "observe" => self.observe_database(&place),
            "observe-newest-write" => self.observe_newest_write(&place),
            "list-recovery-points" => self.list_recovery_points(&place),
            "observe-restorable" => self.observe_restorable(&place),
            "observe-contents" => self.observe_contents(&place),
            "ensure-fenced" => self.ensure_fenced(&place),
            "ensure-promoted" => self.ensure_promoted(&place),
            "ensure-replica-of" => {
                self.ensure_replica_of(&place, &args::<ReplicaOf>(request)?.source)
            }
            "ensure-caught-up" => {
                self.ensure_caught_up(&place, &args::<Position>(request)?.position)
            }
            "ensure-restored" => self.ensure_restored(&place, args(request)?),
            "ensure-migrated" => self.ensure_migrated(&place, args::<Version>(request)?.version),
            "ensure-backup" => self.ensure_backup(&place, args::<Name>(request)?.name),
            "ensure-write-probe" => self.ensure_write_probe(&place, args::<Token>(request)?.token),
            _ => no_such_function(request),
        }
    }

    pub(super) fn data(&self, place: &Place) -> Result<(&Database, &Copy), CallError> {
        let database = self.databases.get(&place.database);
        let copy = database.and_then(|database| database.copies.get(&place.site));
        match (database, copy) {
            (Some(database), Some(copy)) => Ok((database, copy)),
            _ => Err(CallError::NotFound(format!(
                "no database `{}` at `{}`",
                place.database, place.site
            ))),
        }
    }

    fn copy_mut(&mut self, place: &Place) -> Option<&mut Copy> {
        self.databases
            .get_mut(&place.database)?
            .copies
            .get_mut(&place.site)
    }

    fn observe_database(&mut self, place: &Place) -> Reply {
        let Ok((database, copy)) = self.data(place) else {
            return ok(&Observation {
                role: Role::Absent,
                read_only: true,
                endpoint: String::new(),
                tls: true,
                position: String::new(),
                replication: None,
            });
        };
        let (role, replication) = match &copy.state {
            State::Absent | State::Broken => (Role::Absent, None),
            State::Primary(_) => (Role::Primary, None),
            State::Replica(follower) => (Role::Replica, Some(self.replication(database, follower))),
        };
        ok(&Observation {
            role,
            read_only: copy.refuses_writes(self.now),
            endpoint: copy.endpoint.clone(),
            tls: true,
            position: database
                .applied(copy)
                .map_or_else(String::new, |point| database.history.position(point)),
            replication,
        })
    }

    fn observe_newest_write(&self, place: &Place) -> Reply {
        let (database, copy) = self.data(place)?;
        let newest = database.applied(copy);
        ok(&newest.map(|point| database.history.time_of(point)))
    }

    fn replication(&self, database: &Database, follower: &Follower) -> Replication {
        let source = database.copies.get(&follower.source);
        let applied = Point {
            branch: follower.branch,
            number: database
                .history
                .number_at(follower.branch, follower.applied),
        };
        let running = follower.problem.is_none();
        // Where everything there is has been applied, nothing is behind; otherwise the age of what was applied last.
        let caught_up = database.history.head(follower.branch).number == applied.number;
        let lag = if caught_up {
            0
        } else {
            self.now.0.saturating_sub(follower.applied.0)
        };
        Replication {
            source: source.map_or_else(String::new, |source| source.endpoint.clone()),
            running,
            lag_ms: running.then_some(lag),
            last_applied_at_ms: Some(database.history.time_of(applied)),
            received: database.history.position(database.received(follower)),
            problem: follower.problem.unwrap_or_default().to_owned(),
        }
    }

    fn observe_contents(&mut self, place: &Place) -> Reply {
        let (database, copy) = self.data(place)?;
        let Some(point) = database.applied(copy) else {
            return Err(CallError::NotFound(format!(
                "no data of `{}` at `{}`",
                place.database, place.site
            )));
        };
        let written = point.number.saturating_sub(database.history_before());
        let tables = database.tables(point);
        let contents = Contents {
            tables,
            rows: database.settings.rows.saturating_add(written),
            schema_digest: hex(&Sha256::digest(format!(
                "{} {} {}",
                place.database, tables, copy.migration
            ))),
            checksum: hex(&Sha256::digest(database.history.position(point))),
            migration: copy.migration.clone(),
        };
        // Reading everything goes at the speed at which a copy is made.
        let read = transfer(
            database.settings.size_gib,
            database.settings.reseed_mib_per_second,
        );
        self.took += read;
        ok(&contents)
    }

    fn ensure_fenced(&mut self, place: &Place) -> Reply {
        let (database, copy) = self.data(place)?;
        if copy.read_only {
            return outcome(Outcome::Unchanged);
        }
        let fence = self.length(database.settings.fence);
        self.took += fence;
        if let Some(copy) = self.copy_mut(place) {
            copy.read_only = true;
        }
        outcome(Outcome::Changed)
    }

    fn ensure_promoted(&mut self, place: &Place) -> Reply {
        let (database, copy) = self.data(place)?;
        let length = match &copy.state {
            State::Absent | State::Broken => {
                return Err(CallError::NotFound(format!(
                    "no data of `{}` at `{}`",
                    place.database, place.site
                )));
            }
            State::Primary(_) if !copy.read_only => return outcome(Outcome::Unchanged),
            State::Primary(_) => self.length(database.settings.fence),
            State::Replica(follower) => {
                self.length(database.settings.promotion)
                    + Duration::from_millis(database.backlog_ms(follower))
            }
        };
        let subject = place.subject();
        if let Some(busy) = self.busy(&subject) {
            return outcome(busy);
        }
        if let Some(State::Replica(follower)) = self.copy_mut(place).map(|copy| &mut copy.state) {
            follower.stopped = true;
        }
        outcome(self.begin(subject, Work::Promote, length))
    }

    fn ensure_replica_of(&mut self, place: &Place, source: &SiteName) -> Reply {
        if *source == place.site {
            return Err(CallError::Invalid(format!(
                "`{source}` cannot replicate from itself"
            )));
        }
        let subject = place.subject();
        if let Some(busy) = self.busy(&subject) {
            return outcome(busy);
        }
        let (database, copy) = self.data(place)?;
        match &copy.state {
            State::Replica(follower)
                if follower.source == *source && follower.problem.is_none() =>
            {
                return outcome(Outcome::Unchanged);
            }
            State::Primary(_) if !copy.read_only => {
                return Err(CallError::Conflict(format!(
                    "`{}` at `{}` accepts writes; fence it first",
                    place.database, place.site
                )));
            }
            _ => {}
        }
        let from = database.copies.get(source);
        let Some(newest) = from.and_then(|from| database.applied(from)) else {
            return Err(CallError::NotFound(format!(
                "no data of `{}` at `{source}`",
                place.database
            )));
        };
        let fits = database
            .applied(copy)
            .is_some_and(|here| database.history.contains(newest, here));
        let attach = self.length(database.settings.attach);
        let reseed = transfer(
            database.settings.size_gib,
            database.settings.reseed_mib_per_second,
        );
        if !self.linked(&place.site, source) {
            return Err(CallError::unavailable(format!(
                "`{}` does not reach `{source}`",
                place.site
            )));
        }
        let source = source.clone();
        if fits {
            return outcome(self.begin(subject, Work::Attach { source }, attach));
        }
        self.break_copy(&subject);
        outcome(self.begin(subject, Work::Reseed { source }, attach + reseed))
    }

    fn ensure_caught_up(&mut self, place: &Place, position: &str) -> Reply {
        let (database, copy) = self.data(place)?;
        let Some(wanted) = database.history.parse(position) else {
            return Err(CallError::Invalid(format!(
                "`{position}` is no position of `{}`",
                place.database
            )));
        };
        let Some(here) = database.applied(copy) else {
            return Err(CallError::NotFound(format!(
                "no data of `{}` at `{}`",
                place.database, place.site
            )));
        };
        if database.history.contains(here, wanted) {
            return outcome(Outcome::Unchanged);
        }
        let stopped = match &copy.state {
            State::Replica(follower) => {
                let coming = database
                    .history
                    .contains(database.received(follower), wanted);
                follower.problem.filter(|_| !coming)
            }
            _ => Some("nothing replicates into it"),
        };
        match stopped {
            Some(problem) => Err(CallError::Conflict(format!(
                "expected {position}, found {} and {problem}",
                database.history.position(here)
            ))),
            None => outcome(self.wait(
                format!("position {position}"),
                format!("replication into {}", place.site),
            )),
        }
    }

    fn ensure_migrated(&mut self, place: &Place, version: String) -> Reply {
        let (database, copy) = self.data(place)?;
        if copy.migration == version {
            return outcome(Outcome::Unchanged);
        }
        if copy.refuses_writes(self.now) || !matches!(copy.state, State::Primary(_)) {
            return Err(CallError::Conflict(format!(
                "`{}` at `{}` is read-only",
                place.database, place.site
            )));
        }
        let length = self.length(database.settings.migration_time);
        let subject = place.subject();
        let busy = self.busy(&subject);
        outcome(busy.unwrap_or_else(|| self.begin(subject, Work::Migrate { version }, length)))
    }

    fn ensure_backup(&mut self, place: &Place, name: String) -> Reply {
        let (database, copy) = self.data(place)?;
        if database.kept.iter().any(|kept| kept.id == name) {
            return outcome(Outcome::Unchanged);
        }
        if database.applied(copy).is_none() {
            return Err(CallError::NotFound(format!(
                "no data of `{}` at `{}`",
                place.database, place.site
            )));
        }
        let why = match &database.settings.backups {
            None => "the scenario keeps no backups",
            Some(backups) if !backups.on_request => "no backups are taken on request",
            Some(_) => "",
        };
        if !why.is_empty() {
            return Err(CallError::Invalid(format!("{why} of `{}`", place.database)));
        }
        let length = transfer(
            database.settings.size_gib,
            database.settings.reseed_mib_per_second,
        );
        let subject = place.subject();
        let busy = self.busy(&subject);
        outcome(busy.unwrap_or_else(|| self.begin(subject, Work::Backup { id: name }, length)))
    }

    fn ensure_write_probe(&mut self, place: &Place, token: String) -> Reply {
        let (_, copy) = self.data(place)?;
        if copy.tokens.contains(&token) {
            return outcome(Outcome::Unchanged);
        }
        let State::Primary(branch) = copy.state else {
            return Err(CallError::Conflict(format!(
                "`{}` at `{}` is read-only",
                place.database, place.site
            )));
        };
        if copy.refuses_writes(self.now) {
            return Err(CallError::Conflict(format!(
                "`{}` at `{}` is read-only",
                place.database, place.site
            )));
        }
        let now = self.now;
        if let Some(database) = self.databases.get_mut(&place.database) {
            database.history.write_own(branch, now);
        }
        if let Some(copy) = self.copy_mut(place) {
            copy.tokens.insert(token);
        }
        outcome(Outcome::Changed)
    }

    /// What a job on a database leaves behind.
    pub(crate) fn finish_database(&mut self, subject: &Subject, work: Work) {
        let now = self.now;
        let up = |world: &Self, site: &SiteName| {
            world
                .sites
                .get(site)
                .is_some_and(|site| site.condition == Condition::Up)
        };
        let source_up = match &work {
            Work::Attach { source } | Work::Reseed { source } => up(self, source),
            _ => true,
        };
        let Some(database) = self.databases.get_mut(&subject.name) else {
            return;
        };
        match work {
            Work::Promote => database.promote(&subject.site, now),
            Work::Attach { source } | Work::Reseed { source } if source_up => {
                database.attach(&subject.site, &source, now)
            }
            Work::Restore {
                token,
                point,
                corrupt,
            } => database.restore(&subject.site, point, token, corrupt, now),
            Work::Migrate { version } => {
                if let Some(copy) = database.copies.get_mut(&subject.site) {
                    copy.migration = version;
                }
            }
            Work::Backup { id } => {
                let copy = database.copies.get(&subject.site);
                if let Some(point) = copy.and_then(|copy| database.applied(copy)) {
                    database.keep_as(id, point.branch, now);
                }
            }
            _ => {}
        }
    }

    /// A copy that is being replaced is of no use until that is done.
    pub(crate) fn break_copy(&mut self, subject: &Subject) {
        let database = self.databases.get_mut(&subject.name);
        if let Some(copy) = database.and_then(|database| database.copies.get_mut(&subject.site)) {
            copy.state = State::Broken;
            copy.read_only = true;
        }
    }
}

impl Place {
    pub(super) fn subject(&self) -> Subject {
        Subject {
            site: self.site.clone(),
            kind: "database",
            name: self.database.clone(),
        }
    }
}

/// Time to move so many GiB.
pub(super) fn transfer(gib: f64, mib_per_second: f64) -> Duration {
    Duration::try_from_secs_f64((gib * 1_024.0 / mib_per_second).round()).unwrap_or(Duration::MAX)
}
