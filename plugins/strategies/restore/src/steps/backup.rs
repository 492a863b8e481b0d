//! A last backup of the site that is left, once it takes no more writes: with it nothing is lost.

use understudy_recovery::plan::{At, Budget, DB_LEAD, Move, Reversal};
use understudy_recovery::recovery::{Recovery, warn};
use understudy_recovery::{Error, fault, fence};
use understudy_sdk::strategy::understudy::control::control;
use understudy_sdk::strategy::understudy::database::database;

use super::point;

/// How often, in milliseconds, to look whether the backup can be restored at the other site: copies between sites take
/// minutes.
const LOOK_EVERY_MS: u64 = 10_000;

/// How often to look at most: ten minutes. After that an older recovery point is the better choice.
const MAX_LOOKS: u32 = 60;

/// Takes the backup, and waits until it can be restored at the site gone to. Where it cannot be taken, an older
/// recovery point will have to do: the choice says what that costs.
pub(crate) const TAKE_BACKUP: Move = Move {
    title: "Take a last backup at {from}",
    role: DB_LEAD,
    budget: Budget::Minutes(20),
    reversal: Reversal::Nothing,
    acts: &[("check", At::From)],
    uses: &["control", "database"],
    perform: take_backup,
};

fn take_backup(recovery: &Recovery) -> Result<String, Error> {
    let (from, to, database) = (
        recovery.from(),
        recovery.to(),
        &recovery.parameters.database,
    );
    match database::ensure_backup(from, database, &recovery.token()) {
        Ok(_) => {}
        Err(error @ Error::Denied(_)) => return Err(error),
        Err(error) => {
            let said = fault::say(&error);
            warn(&format!("no last backup at {from}: {said}"))?;
            return Ok(format!(
                "no last backup at {from} ({said}); the newest recovery point has to do"
            ));
        }
    }
    let fenced = fence::fenced_at(recovery)?.unwrap_or_default();
    for _ in 0..MAX_LOOKS {
        let points = database::list_recovery_points(to, database)?;
        if point::newest(&points).is_some_and(|newest| newest.taken_at_ms >= fenced) {
            return Ok(format!(
                "a backup of everything {from} had can be restored at {to}"
            ));
        }
        control::sleep(LOOK_EVERY_MS)?;
    }
    warn(&format!(
        "the last backup of {from} did not reach {to} in time"
    ))?;
    Ok(format!(
        "the last backup of {from} is not at {to} yet; the newest recovery point has to do"
    ))
}
