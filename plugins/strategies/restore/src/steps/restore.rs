//! Restore, falling back to an older recovery point where one turns out to be corrupt; and migrations.

use understudy_recovery::loss::writes_ended_at;
use understudy_recovery::plan::{At, Budget, DB_LEAD, Move, Reversal};
use understudy_recovery::recovery::{Recovery, measure_text, recall_text, warn};
use understudy_recovery::{Error, fence, loss};
use understudy_sdk::strategy::understudy::database::database::{
    self, RecoveryPoint, RecoveryTarget, Role,
};

use super::damage::good_until;
use super::point::{self, from_chosen, newest_instant, weigh};
use crate::parameters::Restore;

/// Most restores of recovery points that are tried: where so many are corrupt, a person has to look.
const MAX_TRIES: usize = 4;

/// Restores what was chosen. The result is read-only until it is promoted.
pub(crate) const RESTORE: Move = Move {
    title: "Restore the database at {to}",
    role: DB_LEAD,
    budget: Budget::Minutes(60),
    reversal: Reversal::Nothing,
    acts: &[("restore", At::To)],
    uses: &["control", "database"],
    perform: restore,
};

/// Applies migrations up to the version of the parameters.
pub(crate) const MIGRATE: Move = Move {
    title: "Apply migrations at {to}",
    role: DB_LEAD,
    budget: Budget::Minutes(15),
    reversal: Reversal::Nothing,
    acts: &[],
    uses: &["database"],
    perform: migrate,
};

/// True where the parameters name a version.
pub(crate) fn migrates(recovery: &Recovery) -> bool {
    Restore::of(recovery).is_ok_and(|own| own.migration.is_some())
}

fn restore(recovery: &Recovery) -> Result<String, Error> {
    let (to, database) = (recovery.to(), &recovery.parameters.database);
    refuse_to_replace_a_writer(recovery)?;
    let own = Restore::of(recovery)?;
    let Some(chosen) = recall_text(&point::word(recovery))? else {
        return Err(Error::Conflict(
            "no recovery point was chosen: put the step `choose-point` before this one".to_owned(),
        ));
    };
    if let (point::INSTANT, Some(instant_ms)) = (chosen.as_str(), own.point_in_time_ms) {
        let said = weigh(recovery, "the instant of the parameters", instant_ms)?;
        let target = RecoveryTarget::InstantMs(instant_ms);
        database::ensure_restored(to, database, &target, &recovery.token())?;
        return Ok(said);
    }
    let points = database::list_recovery_points(to, database)?;
    let usable = from_chosen(&points, &chosen);
    let Some(newest) = usable.first() else {
        return Err(Error::NotFound(format!(
            "no complete recovery point of {database} at {to}"
        )));
    };
    // Logs add nothing to a backup that was taken after the fence.
    let mut logs = own.use_logs && !holds_everything(recovery, newest)?;
    if logs {
        match restore_an_instant(recovery, newest.taken_at_ms)? {
            Instant::Restored(said) => return Ok(said),
            Instant::OutOfReach => {}
            Instant::Damaged => logs = false,
        }
    }
    // The newest state is damaged where the database is.
    let newest_is_good = good_until(recovery)?.is_none();
    restore_a_point(recovery, &usable, logs && newest_is_good)
}

/// True for a recovery point taken after the fence: the site left holds nothing more.
fn holds_everything(recovery: &Recovery, point: &RecoveryPoint) -> Result<bool, Error> {
    let fenced = fence::fenced_at(recovery)?;
    Ok(fenced.is_some_and(|fenced| point.taken_at_ms >= fenced))
}

/// What came of asking for an instant.
enum Instant {
    /// It is restored; what to say of it.
    Restored(String),
    /// Logs reach none that is newer than the recovery point, or nobody tells how far they do.
    OutOfReach,
    /// The newest recovery point or its logs are damaged: asking for both together again is of no use.
    Damaged,
}

/// The newest instant that logs reach, where that is newer than the recovery point.
fn restore_an_instant(recovery: &Recovery, taken_at_ms: u64) -> Result<Instant, Error> {
    let (to, database) = (recovery.to(), &recovery.parameters.database);
    let reach = match database::observe_restorable(to, database) {
        Ok(reach) => reach,
        // A provider that has no logs.
        Err(Error::NotFound(_) | Error::Invalid(_)) => None,
        Err(error) => return Err(error),
    };
    let ended = writes_ended_at(recovery)?;
    let good = good_until(recovery)?;
    let instant = reach.map_or(0, |reach| newest_instant(ended, reach, good));
    if instant <= taken_at_ms {
        return Ok(Instant::OutOfReach);
    }
    let said = weigh(
        recovery,
        "restored from a recovery point and its logs",
        instant,
    )?;
    let (target, token) = (
        RecoveryTarget::InstantMs(instant),
        format!("{}-instant", recovery.token()),
    );
    match database::ensure_restored(to, database, &target, &token) {
        Ok(_) => Ok(Instant::Restored(said)),
        // The logs were there a moment ago.
        Err(Error::NotFound(_) | Error::Invalid(_)) => Ok(Instant::OutOfReach),
        Err(Error::Conflict(text)) => {
            warn(&format!("no instant can be restored: {text}"))?;
            Ok(Instant::Damaged)
        }
        Err(error) => Err(error),
    }
}

/// The newest of these that can be restored; with logs, as far as they reach.
fn restore_a_point(
    recovery: &Recovery,
    usable: &[&RecoveryPoint],
    use_logs: bool,
) -> Result<String, Error> {
    let (to, database) = (recovery.to(), &recovery.parameters.database);
    let with_logs = usable
        .iter()
        .take(usize::from(use_logs))
        .map(|&point| (RecoveryTarget::Latest, point));
    let alone = usable
        .iter()
        .map(|&point| (RecoveryTarget::Point(point.id.clone()), point));
    let mut weighed = None;
    let mut problem = String::new();
    let mut damaged = None;
    for (place, (target, point)) in with_logs.chain(alone).take(MAX_TRIES).enumerate() {
        if damaged == Some(&point.id) {
            continue;
        }
        if weighed != Some(&point.id) {
            let why = if problem.is_empty() {
                String::new()
            } else {
                format!(", as {problem}")
            };
            weigh(
                recovery,
                &format!("recovery point {}{why}", point.id),
                point.taken_at_ms,
            )?;
            weighed = Some(&point.id);
        }
        let token = format!("{}-point-{place}", recovery.token());
        match database::ensure_restored(to, database, &target, &token) {
            Ok(_) => {
                // The site left can be re-seeded without a loss.
                if holds_everything(recovery, point)? {
                    measure_text(&loss::word(recovery), loss::EVERYTHING.to_owned())?;
                }
                return Ok(format!("{database} at {to} is restored from {}", point.id));
            }
            Err(Error::Conflict(text)) => {
                warn(&format!(
                    "recovery point {} cannot be restored: {text}",
                    point.id
                ))?;
                problem = text;
                damaged = Some(&point.id);
            }
            // Gone since it was listed, or a provider that knows no newest state.
            Err(Error::NotFound(text) | Error::Invalid(text)) => problem = text,
            Err(error) => return Err(error),
        }
    }
    Err(Error::Conflict(format!(
        "no recovery point of {database} could be restored at {to}: {problem}"
    )))
}

/// A restore replaces what the site holds: not while somebody writes there.
fn refuse_to_replace_a_writer(recovery: &Recovery) -> Result<(), Error> {
    let (to, database) = (recovery.to(), &recovery.parameters.database);
    match database::observe(to, database) {
        Ok(seen) if seen.role == Role::Primary && !seen.read_only => Err(Error::Conflict(format!(
            "{database} at {to} accepts writes, and a restore would replace it: find out who writes there"
        ))),
        Ok(_) | Err(Error::NotFound(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

fn migrate(recovery: &Recovery) -> Result<String, Error> {
    let (to, database) = (recovery.to(), &recovery.parameters.database);
    let Some(version) = Restore::of(recovery)?.migration else {
        return Ok("no migration to apply".to_owned());
    };
    database::ensure_migrated(to, database, &version)?;
    Ok(format!("{database} at {to} is at migration {version}"))
}
