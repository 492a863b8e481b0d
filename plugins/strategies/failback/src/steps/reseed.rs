//! Re-seed: the old primary becomes a replica of the site that serves now.
//!
//! It may come back believing that it is the writer: it is fenced first. What it holds and the other does not is kept as
//! a backup before it is discarded, or a person says that it may go.

use understudy_recovery::plan::{At, Budget, DB_LEAD, Move, Reversal};
use understudy_recovery::protect::keep_what_it_holds;
use understudy_recovery::recovery::{Recovery, warn};
use understudy_recovery::{Error, loss};
use understudy_sdk::strategy::understudy::database::database::{
    self, Observation, Outcome, RecoveryTarget, Role,
};

use crate::parameters::{Failback, Reseed};

/// Makes the database at the site gone to a replica of the one at the site left.
pub(crate) const RESEED: Move = Move {
    title: "Re-seed the database at {to} from {from}",
    role: DB_LEAD,
    budget: Budget::Minutes(60),
    reversal: Reversal::Nothing,
    acts: &[("fence", At::To), ("reseed", At::To)],
    uses: &["control", "database"],
    perform: reseed,
};

fn reseed(recovery: &Recovery) -> Result<String, Error> {
    let (from, to, database) = (
        recovery.from(),
        recovery.to(),
        &recovery.parameters.database,
    );
    let seen = database::observe(to, database)?;
    if !replicates(&seen) {
        if seen.role != Role::Absent {
            take_in(recovery)?;
        }
        if Failback::of(recovery)?.reseed == Reseed::Restore {
            restore_backup(recovery)?;
        }
    }
    database::ensure_replica_of(to, database, from)?;
    Ok(format!("{database} at {to} replicates from {from}"))
}

/// Closes the old primary and keeps what it holds. It may have taken writes since it came back, from users whose resolvers
/// still led there: the re-seed gives them up, so they are counted, and accepted by a person where they are many.
fn take_in(recovery: &Recovery) -> Result<(), Error> {
    let (to, database) = (recovery.to(), &recovery.parameters.database);
    let fenced = database::ensure_fenced(to, database)?;
    keep_what_it_holds(recovery, to, recovery.from())?;
    if matches!(fenced, Outcome::Changed)
        && let Some(given_up) = loss::give_up(recovery)?
    {
        warn(&given_up)?;
    }
    Ok(())
}

/// A replica that runs came from a clean change of sides: it holds nothing of its own.
fn replicates(seen: &Observation) -> bool {
    seen.role == Role::Replica && seen.replication.as_ref().is_some_and(|link| link.running)
}

fn restore_backup(recovery: &Recovery) -> Result<(), Error> {
    let (from, to, database) = (
        recovery.from(),
        recovery.to(),
        &recovery.parameters.database,
    );
    let name = recovery.token();
    database::ensure_backup(from, database, &name)?;
    database::ensure_restored(to, database, &RecoveryTarget::Latest, &name).map(drop)
}
