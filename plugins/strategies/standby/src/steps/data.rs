//! The data of the site that waits: a replica that follows, or recovery points that are young enough.

use understudy_recovery::plan::{At, Budget, DB_LEAD, Move, Reversal};
use understudy_recovery::protect::keep_what_it_holds;
use understudy_recovery::recovery::{Recovery, attach, measure_duration};
use understudy_recovery::{Error, words};
use understudy_sdk::strategy::understudy::control::control;
use understudy_sdk::strategy::understudy::database::database::{self, Role};

use crate::guard;
use crate::parameters::Standby;

/// Makes the database at the site that waits a replica of the one that serves, and lets it catch up once.
pub(crate) const FOLLOW: Move = Move {
    title: "Have the database at {to} follow that at {from}",
    role: DB_LEAD,
    budget: Budget::Minutes(120),
    reversal: Reversal::Nothing,
    acts: &[("reseed", At::To)],
    uses: &["control", "database", "dns"],
    perform: follow,
};

/// Checks that the newest complete recovery point is young enough, as the site that waits sees it.
pub(crate) const CHECK_RECOVERY_POINTS: Move = Move {
    title: "Check that recovery points young enough are at hand at {to}",
    role: DB_LEAD,
    budget: Budget::Minutes(5),
    reversal: Reversal::Nothing,
    acts: &[("check", At::To)],
    uses: &["control", "database"],
    perform: check_recovery_points,
};

fn follow(recovery: &Recovery) -> Result<String, Error> {
    guard::insist(recovery)?;
    let (from, to, database) = (
        recovery.from(),
        recovery.to(),
        &recovery.parameters.database,
    );
    let source = database::observe(from, database)?;
    if source.role != Role::Primary || source.read_only {
        return Err(Error::Conflict(format!(
            "the database at {from} takes no writes: there is nothing to follow"
        )));
    }
    let seen = database::observe(to, database)?;
    let runs = seen.replication.as_ref().is_some_and(|link| link.running);
    if seen.role != Role::Absent && !runs {
        // Whatever it was before, it may hold what nobody else does.
        keep_what_it_holds(recovery, to, from)?;
    }
    database::ensure_replica_of(to, database, from)?;
    database::ensure_caught_up(to, database, &source.position)?;
    Ok(format!(
        "{database} at {to} replicates from {from}, applied {}",
        source.position
    ))
}

fn check_recovery_points(recovery: &Recovery) -> Result<String, Error> {
    let (to, database) = (recovery.to(), &recovery.parameters.database);
    let limit_ms = Standby::of(recovery)?.max_backup_age_ms(recovery);
    let now_ms = control::now()?;
    let points = database::list_recovery_points(to, database)?;
    let all: Vec<_> = points
        .iter()
        .map(|point| serde_json::json!({"id": point.id, "taken-at-ms": point.taken_at_ms, "complete": point.complete}))
        .collect();
    attach("recovery-points", &serde_json::json!(all))?;
    let complete = points.iter().filter(|point| point.complete);
    let Some(newest) = complete.max_by_key(|point| point.taken_at_ms) else {
        return Err(Error::Conflict(format!(
            "there is no complete recovery point of {database} at {to}"
        )));
    };
    let age_ms = now_ms.saturating_sub(newest.taken_at_ms);
    measure_duration("backup-age", age_ms)?;
    let (age, limit) = (words::duration(age_ms), words::duration(limit_ms));
    if age_ms > limit_ms {
        return Err(Error::Conflict(format!(
            "the newest recovery point of {database} is {age} old, at most {limit} are allowed"
        )));
    }
    Ok(format!("recovery point {} is {age} old", newest.id))
}
