//! The part of `understudy:database/database` that goes back in time: recovery points and restoring them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::database::{Database, Kept, State};
use super::super::history::Point;
use super::super::job::Work;
use super::super::{World, watch};
use super::database::{Place, transfer};
use super::{ok, outcome};
use crate::call::{CallError, Outcome, Reply};
use crate::clock::Instant;

/// Longest list of recovery points.
const MAX_RECOVERY_POINTS: usize = 1_000;
/// Replaying logs takes this part of the time in which they were written.
const REPLAY_PART: u64 = 20;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct RecoveryPoint {
    id: String,
    taken_at_ms: Instant,
    complete: bool,
    size_bytes: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RecoveryTarget {
    Latest,
    Point(String),
    InstantMs(Instant),
}

#[derive(Deserialize)]
pub(super) struct Restore {
    target: RecoveryTarget,
    token: String,
}

impl World {
    pub(super) fn list_recovery_points(&self, place: &Place) -> Reply {
        let Some(database) = self.databases.get(&place.database) else {
            return ok(&[(); 0]);
        };
        let point = |kept: &Kept| RecoveryPoint {
            id: kept.id.clone(),
            taken_at_ms: kept.taken,
            complete: kept.available <= self.now,
            size_bytes: bytes(database.settings.size_gib),
        };
        let points: Vec<RecoveryPoint> = database
            .kept
            .iter()
            .rev()
            .map(point)
            .take(MAX_RECOVERY_POINTS)
            .collect();
        ok(&points)
    }

    /// How far logs have left their site.
    pub(super) fn observe_restorable(&self, place: &Place) -> Reply {
        let database = self.databases.get(&place.database);
        ok(&database.and_then(logs).map(|(_, until)| until))
    }

    pub(super) fn ensure_restored(&mut self, place: &Place, restore: Restore) -> Reply {
        let (database, copy) = self.data(place)?;
        if copy.tokens.contains(&restore.token) {
            return outcome(Outcome::Unchanged);
        }
        if let Some(problem) = copy.failed.get(&restore.token) {
            return Err(CallError::Conflict(problem.clone()));
        }
        let subject = place.subject();
        if let Some(busy) = self.busy(&subject) {
            return outcome(busy);
        }
        if matches!(copy.state, State::Primary(_)) && !copy.read_only {
            return Err(CallError::Conflict(format!(
                "`{}` at `{}` accepts writes; fence it first",
                place.database, place.site
            )));
        }
        let (point, corrupt, replay) = self.recovery(database, &restore.target)?;
        let copying = transfer(
            database.settings.size_gib,
            database.settings.restore_mib_per_second,
        );
        let backups = database.settings.backups.as_ref();
        let retrieval = backups.map_or(Duration::ZERO, |backups| self.length(backups.retrieval));
        let length = retrieval + copying + replay + self.length(database.settings.attach);
        self.break_copy(&subject);
        outcome(self.begin(
            subject,
            Work::Restore {
                token: restore.token,
                point,
                corrupt,
            },
            length,
        ))
    }

    /// The state a target stands for, what will turn out to be wrong with it, and how long its logs take.
    fn recovery(
        &self,
        database: &Database,
        target: &RecoveryTarget,
    ) -> Result<(Point, Option<String>, Duration), CallError> {
        let available = || {
            database
                .kept
                .iter()
                .rev()
                .filter(|kept| kept.available <= self.now)
        };
        let window = log_window_ms(database);
        let logs = logs(database);
        let (base, until) = match target {
            RecoveryTarget::Point(id) => {
                let kept = database.kept.iter().find(|kept| kept.id == *id);
                if kept.is_some_and(|kept| kept.available > self.now) {
                    return Err(CallError::Conflict(format!(
                        "recovery point `{id}` is incomplete; choose an earlier one"
                    )));
                }
                (kept, None)
            }
            RecoveryTarget::Latest => (available().next(), logs),
            RecoveryTarget::InstantMs(at) => {
                let reached = logs
                    .filter(|(_, until)| at <= until && at.0.saturating_add(window) >= self.now.0);
                let Some((branch, _)) = reached else {
                    return Err(CallError::NotFound(format!(
                        "no logs reach {at}; list the recovery points"
                    )));
                };
                (
                    available().find(|kept| kept.taken <= *at),
                    Some((branch, *at)),
                )
            }
        };
        let Some(base) = base else {
            return Err(CallError::NotFound(format!(
                "no such recovery point of `{}`: {target:?}",
                database.name
            )));
        };
        let corrupt = base.corrupt.then(|| {
            format!(
                "recovery point `{}` is corrupt; choose an earlier one",
                base.id
            )
        });
        let (point, replay) = match until.filter(|(_, until)| *until > base.taken) {
            Some((branch, until)) => {
                let point = Point {
                    branch,
                    number: database.history.number_at(branch, until),
                };
                (
                    point,
                    until.since(base.taken) / u32::try_from(REPLAY_PART).unwrap_or(1),
                )
            }
            None => (base.point, Duration::ZERO),
        };
        Ok((point, corrupt, replay))
    }
}

/// For how long logs are kept, in milliseconds; zero where they are not.
fn log_window_ms(database: &Database) -> u64 {
    let backups = database.settings.backups.as_ref();
    backups.map_or(0, |backups| backups.log_window.ms())
}

/// The branch of which logs are kept, and until when they have left their site.
fn logs(database: &Database) -> Option<(usize, Instant)> {
    database.logs.filter(|_| log_window_ms(database) > 0)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates; a scenario's sizes are checked to be above zero"
)]
fn bytes(gib: f64) -> u64 {
    (gib * watch::float(1 << 30)) as u64
}
