//! Protection: a replica or a fresh backup exists again before a recovery is over.

use understudy_sdk::strategy::understudy::database::database;

use crate::plan::{At, Budget, DB_LEAD, Move, Reversal};
use crate::recovery::{Recovery, measure_text, recall_text, warn};
use crate::{Error, fault, loss, words};

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
            return protect_by_what_is_left(recovery);
        }
        Err(error) => return Err(error),
    }
    measure_text(&word(recovery), format!("a backup at {to}, no replica"))?;
    recovery.mark_to("protected")?;
    Ok(format!(
        "backup {name} of {database} at {to}; there is no replica"
    ))
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
                "nothing takes backups at {to} and {from} is out of reach ({}): bring {from} back and try again, or bind a \
                 provider that takes backups",
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
