//! Protection: a replica or a fresh backup exists again before a recovery is over.
//!
//! Where no backup can be asked for, one that was taken by itself since the move protects as well: a vendor of managed
//! databases takes them daily and keeps the logs. One from before the move does not hold what was written since.

use understudy_sdk::strategy::understudy::control::control;
use understudy_sdk::strategy::understudy::database::database;

use crate::plan::{At, Budget, DB_LEAD, Move, Reversal};
use crate::recovery::{Recovery, measure_duration, measure_text, recall_text, warn};
use crate::{Error, fault, loss, words};

/// How often, in milliseconds, to look whether a backup was taken by itself.
const LOOK_EVERY_MS: u64 = 60_000;

/// How often to look at most: three quarters of an hour. The first backup of a database that was promoted is a matter of
/// minutes, the next of a day.
const MAX_LOOKS: u32 = 45;

/// Makes the site left a replica of the new writer where it gave everything away cleanly; else takes a backup. Sets
/// `protected`.
///
/// A site that died is not re-seeded here: it may hold the only copy of what was not replicated, and a failback keeps
/// that before it re-seeds.
pub const PROTECT: Move = Move {
    title: "Have a replica or a fresh backup of the database at {to}",
    role: DB_LEAD,
    budget: Budget::Minutes(60),
    reversal: Reversal::Nothing,
    // At no site: where a backup is kept is its provider's business.
    acts: &[("protect", At::Nowhere)],
    uses: &["control", "database"],
    perform: protect,
};

/// The same, and nothing but a replica will do.
pub const PROTECT_BY_REPLICA: Move = Move {
    title: "Make {from} a replica of {to} again",
    acts: &[("protect", At::From)],
    perform: protect_by_replica,
    ..PROTECT
};

/// Where this move leaves word of how the database is protected.
#[must_use]
pub fn word(recovery: &Recovery) -> String {
    recovery.own("protection")
}

fn protect(recovery: &Recovery) -> Result<String, Error> {
    let (from, to) = (recovery.from(), recovery.to());
    // Only a site that was fenced by its own database and lost nothing can be re-seeded without a loss.
    let caught_up = recall_text(&loss::word(recovery))?.as_deref() == Some(loss::EVERYTHING);
    if !recovery.ungraceful() && caught_up {
        match protect_by_replica(recovery) {
            Err(error) if !matches!(error, Error::Denied(_)) => {
                warn(&format!(
                    "{from} could not be made a replica of {to}: {}",
                    fault::say(&error)
                ))?;
            }
            answer => return answer,
        }
    }
    let (database, name) = (&recovery.parameters.database, recovery.token());
    match database::ensure_backup(to, database, &name) {
        Ok(_) => {}
        Err(error) if fault::is_unsupported(&error) => {
            warn(&format!("no backup at {to}: {}", fault::say(&error)))?;
            return match protected_by_itself(recovery)? {
                Some(said) => Ok(said),
                None => protect_by_what_is_left(recovery),
            };
        }
        Err(error) => return Err(error),
    }
    measure_text(&word(recovery), format!("a backup at {to}, no replica"))?;
    recovery.mark_to("protected")?;
    Ok(format!(
        "backup {name} of {database} at {to}; there is no replica"
    ))
}

/// Looks for a backup that was taken by itself since the new writer was seen to take writes, and waits for one where there
/// are older ones; none where there is none in time. Logs that reach beyond that moment do as well.
fn protected_by_itself(recovery: &Recovery) -> Result<Option<String>, Error> {
    let (to, database) = (recovery.to(), &recovery.parameters.database);
    let Some(moved) = control::recall_mark("writable", Some(to))? else {
        return Ok(None);
    };
    for look in 1..=MAX_LOOKS {
        let points = match database::list_recovery_points(to, database) {
            Ok(points) => points,
            Err(error) if fault::is_unsupported(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let complete = points.iter().filter(|point| point.complete);
        let newest = complete.map(|point| point.taken_at_ms).max();
        let logs = database::observe_restorable(to, database)?;
        for (reaches, what) in [
            (newest, "a backup that was taken by itself"),
            (logs, "logs that reach to"),
        ] {
            if let Some(at) = reaches.filter(|at| *at >= moved) {
                return rely_on(recovery, what, at).map(Some);
            }
        }
        if newest.is_none() || look == MAX_LOOKS {
            break;
        }
        control::sleep(LOOK_EVERY_MS)?;
    }
    Ok(None)
}

/// Says and keeps what protects the database, up to when.
fn rely_on(recovery: &Recovery, what: &str, at: u64) -> Result<String, Error> {
    let (to, database) = (recovery.to(), &recovery.parameters.database);
    let age = control::now()?.saturating_sub(at);
    measure_duration("protection-age", age)?;
    let told = format!("{what} {} ago at {to}, no replica", words::duration(age));
    measure_text(&word(recovery), told.clone())?;
    recovery.mark_to("protected")?;
    Ok(format!("{database} at {to} is protected by {told}"))
}

/// Where nothing takes backups only a replica protects: the site left, once it answers, and once what it alone holds
/// may go.
fn protect_by_what_is_left(recovery: &Recovery) -> Result<String, Error> {
    let (from, to, database) = (
        recovery.from(),
        recovery.to(),
        &recovery.parameters.database,
    );
    match database::ensure_fenced(from, database) {
        Ok(database::Outcome::Changed) => {
            if let Some(lost) = loss::count_on(recovery)? {
                warn(&format!(
                    "{from} had come back taking writes: the last {} are lost",
                    words::duration(lost)
                ))?;
            }
        }
        Ok(_) => {}
        Err(error) if fault::is_out_of_reach(&error) => {
            return Err(Error::Conflict(format!(
                "{to} has no backup since the move, none can be asked for, and {from} is out of reach ({}): bring {from} back \
                 and try again, or bind a provider that takes backups",
                fault::say(&error)
            )));
        }
        Err(error) => return Err(error),
    }
    keep_what_it_holds(recovery, from, to)?;
    protect_by_replica(recovery)
}

/// Has what the database at `site` holds kept as a backup before it is re-seeded from `source`, or a person say that it
/// may go.
///
/// # Errors
/// `conflict`: a person wants it kept.
pub fn keep_what_it_holds(recovery: &Recovery, site: &str, source: &str) -> Result<(), Error> {
    let name = format!("{}-held", recovery.token());
    let error = match database::ensure_backup(site, &recovery.parameters.database, &name) {
        Ok(_) => return Ok(()),
        Err(error @ Error::Denied(_)) => return Err(error),
        Err(error) => error,
    };
    let said = fault::say(&error);
    warn(&format!("what {site} holds could not be kept: {said}"))?;
    let question = format!("Discard what the database at {site} holds?");
    let detail = format!(
        "It was the writer before and is re-seeded from {source}: writes that {source} never received exist there alone. A \
         backup of them failed: {said}. Go discards them; no-go stops here."
    );
    recovery.ask(DB_LEAD, question, detail).map(drop)
}

fn protect_by_replica(recovery: &Recovery) -> Result<String, Error> {
    let (from, to, database) = (
        recovery.from(),
        recovery.to(),
        &recovery.parameters.database,
    );
    database::ensure_replica_of(from, database, to)?;
    let position = database::observe(to, database)?.position;
    database::ensure_caught_up(from, database, &position)?;
    measure_text(&word(recovery), format!("a replica at {from}"))?;
    recovery.mark_to("protected")?;
    Ok(format!(
        "{database} at {from} replicates from {to}, applied {position}"
    ))
}
