//! What would be lost: the lag while it can be read, the last catch-up, and the loss weighed before a promotion.
//!
//! After a promotion the lag no longer exists, so it is read and recorded before. Beyond the recovery point objective
//! the incident commander decides.

use serde_json::json;
use understudy_sdk::strategy::understudy::control::control::{self, Quantity};
use understudy_sdk::strategy::understudy::database::database::{self, Observation, Replication};

use crate::plan::{At, Budget, DB_LEAD, INCIDENT_COMMANDER, Move, Reversal};
use crate::recovery::{
    Recovery, attach, measure_duration, measure_text, recall_duration, recall_text, warn,
};
use crate::{Error, fence, slo, words};

/// Reads and records the lag of the replica at the site gone to.
pub const MEASURE_LAG: Move = Move {
    title: "Read and record the replication lag at {to}",
    role: DB_LEAD,
    budget: Budget::Minutes(2),
    reversal: Reversal::Nothing,
    acts: &[("measure-lag", At::To)],
    uses: &["control", "database"],
    perform: measure_lag,
};

/// Lets the replica catch up while the other site still takes writes: shortens what the last catch-up has to do.
pub const CATCH_UP_LIVE: Move = Move {
    title: "Let {to} catch up while {from} serves",
    role: DB_LEAD,
    budget: Budget::Minutes(60),
    reversal: Reversal::Nothing,
    acts: &[("catch-up", At::To)],
    uses: &["control", "database"],
    perform: catch_up_live,
};

/// Lets the replica apply everything: up to the frozen position, or, where the other site is gone, all it received.
pub const CATCH_UP: Move = Move {
    title: "Let {to} apply everything {from} had",
    role: DB_LEAD,
    budget: Budget::Minutes(10),
    reversal: Reversal::Nothing,
    acts: &[("catch-up", At::To)],
    uses: &["control", "database"],
    perform: catch_up,
};

/// Says what would be lost, records it as `rpo`, and asks the incident commander where it is beyond the objective.
pub const WEIGH_LOSS: Move = Move {
    title: "Weigh what would be lost against the objective",
    role: DB_LEAD,
    budget: Budget::Minutes(15),
    reversal: Reversal::Nothing,
    acts: &[("measure-lag", At::To)],
    uses: &["control", "database"],
    perform: weigh_loss,
};

/// Where the last catch-up leaves word of how far it came.
#[must_use]
pub fn word(recovery: &Recovery) -> String {
    recovery.own("caught-up")
}

/// The replica has everything.
pub const EVERYTHING: &str = "everything";
/// The replica has what it had received.
const RECEIVED: &str = "received";
/// The replica could not apply all it had received.
const PART: &str = "part";

/// How old, in milliseconds, the newest applied change is; the lag the replica knows, or else the age at `at_ms`.
/// `None` where neither is known. An upper bound: nothing may have been written since.
#[must_use]
pub fn behind_ms(lag_ms: Option<u64>, last_applied_at_ms: Option<u64>, at_ms: u64) -> Option<u64> {
    lag_ms.or_else(|| last_applied_at_ms.map(|applied_at_ms| at_ms.saturating_sub(applied_at_ms)))
}

/// Asks the incident commander to accept a loss beyond the objective.
///
/// # Errors
/// `conflict`: the answer was no-go.
pub fn accept_beyond_objective(
    recovery: &Recovery,
    loss: &str,
    beyond: bool,
) -> Result<String, Error> {
    let objective = words::duration(recovery.rpo_target_ms);
    if !beyond {
        return Ok(format!("{loss}, within the objective of {objective}"));
    }
    let decision = recovery.ask(
        INCIDENT_COMMANDER,
        format!("Accept a loss beyond the recovery point objective of {objective}?"),
        format!(
            "{loss}. Go continues at {} with that loss; no-go takes back what can be taken back.",
            recovery.to()
        ),
    )?;
    Ok(format!(
        "{loss}, beyond the objective of {objective}: accepted by {}",
        decision.by
    ))
}

/// The moment from which writes are lost no more, which a loss is counted to: the fence where the site refused writes, else
/// the beginning of the outage, else its detection, which makes the loss an upper bound.
///
/// # Errors
/// Whatever `control` answers.
pub fn writes_ended_at(recovery: &Recovery) -> Result<u64, Error> {
    if let Some(at) = fence::fenced_at(recovery)? {
        return Ok(at);
    }
    if let Some(at) = slo::outage_began(recovery)? {
        return Ok(at);
    }
    if let Some(at) = control::recall_mark("outage-detected", Some(recovery.from()))? {
        return Ok(at);
    }
    control::now()
}

/// Where the recovery point is kept, for reports too.
const RECOVERY_POINT: &str = "last-recovery-point";

/// Keeps the recovery point: when the newest write that is kept was made.
///
/// # Errors
/// Whatever `control.measure` answers.
pub fn keep_recovery_point(at_ms: u64) -> Result<(), Error> {
    control::measure(RECOVERY_POINT, &Quantity::InstantMs(at_ms))
}

/// Weighs the loss again, now that the site left came back before anything was promoted and is fenced. A replica applies
/// everything it has, so nothing is lost; for a restored copy the incident commander decides, who may rather take the run back.
///
/// # Errors
/// `conflict`: replication does not get there, or the answer was no-go. Whatever `control` and the database answer.
pub fn weigh_again(recovery: &Recovery) -> Result<(), Error> {
    let (from, to) = (recovery.from(), recovery.to());
    let seen = database::observe(to, &recovery.parameters.database)?;
    if seen.role == database::Role::Replica {
        catch_up(recovery)?;
        return weigh_loss(recovery).map(drop);
    }
    count_on(recovery)?;
    let loss = words::duration_or_unknown(recall_duration("rpo")?);
    let title = format!("{from} came back with its data and is fenced. Promote {to} all the same?");
    let detail = format!(
        "Go promotes what was restored at {to} and loses the last {loss}. No-go stops here: taken back, {from} serves again with \
         everything it has."
    );
    recovery.ask(INCIDENT_COMMANDER, title, detail).map(drop)
}

/// Counts a loss that was weighed before it was known since when users fail again, now that it is.
///
/// # Errors
/// Whatever `control` answers.
pub fn count_again(recovery: &Recovery) -> Result<(), Error> {
    if recall_text(&word(recovery))?.as_deref() == Some(EVERYTHING) {
        return Ok(());
    }
    match control::recall(RECOVERY_POINT)? {
        Some(Quantity::InstantMs(kept)) => {
            measure_duration("rpo", writes_ended_at(recovery)?.saturating_sub(kept))
        }
        _ => Ok(()),
    }
}

/// Counts the loss on to the newest write of the site left, which came back, took writes and is fenced now. None where that
/// is no more than what is counted already, and where nothing says in this run what was kept.
///
/// # Errors
/// Whatever `control` and the database answer.
pub fn count_on(recovery: &Recovery) -> Result<Option<u64>, Error> {
    let loss = loss_at(recovery, recovery.from())?;
    if let Some(loss) = loss {
        measure_duration("rpo", loss)?;
    }
    Ok(loss)
}

/// What is given up with the database at the site gone to, which came back, took writes and is fenced now: on the way home it
/// is re-seeded. Beyond the objective the incident commander decides. Says what was found; none as for [`count_on`].
///
/// # Errors
/// `conflict`: the answer was no-go. Whatever `control` and the database answer.
pub fn give_up(recovery: &Recovery) -> Result<Option<String>, Error> {
    let to = recovery.to();
    let Some(loss) = loss_at(recovery, to)? else {
        return Ok(None);
    };
    measure_duration(GIVEN_UP, loss)?;
    let said = format!(
        "{to} came back taking writes, which only a backup of it keeps: the last {} before its fence",
        words::duration(loss)
    );
    accept_beyond_objective(recovery, &said, loss > recovery.rpo_target_ms).map(Some)
}

/// Where a loss on the way home is kept, for reports too: nothing is lost by that promotion itself.
const GIVEN_UP: &str = "rpo-given-up";

/// From the recovery point to the newest write at `site`, which nothing else has; where the database cannot tell, to now.
/// None where it is not more than the loss counted before, and where no recovery point is known.
fn loss_at(recovery: &Recovery, site: &str) -> Result<Option<u64>, Error> {
    let newest = match database::observe_newest_write(site, &recovery.parameters.database) {
        Ok(Some(newest)) => newest,
        Err(error @ Error::Denied(_)) => return Err(error),
        Ok(None) | Err(_) => control::now()?,
    };
    let Some(Quantity::InstantMs(kept)) = control::recall(RECOVERY_POINT)? else {
        return Ok(None);
    };
    let (loss, counted) = (newest.saturating_sub(kept), recall_duration("rpo")?);
    Ok(Some(loss).filter(|loss| counted.is_none_or(|counted| *loss > counted)))
}

fn replication_of(recovery: &Recovery, seen: &Observation) -> Result<Replication, Error> {
    let (to, database) = (recovery.to(), &recovery.parameters.database);
    if let (database::Role::Replica, Some(link)) = (seen.role, &seen.replication) {
        return Ok(link.clone());
    }
    Err(Error::Conflict(format!(
        "{database} at {to} is {}, expected a replica: recover from a backup instead (strategy `restore`)",
        match seen.role {
            database::Role::Primary => "a primary",
            database::Role::Absent => "absent",
            database::Role::Replica => "a replica without replication",
        }
    )))
}

fn as_json(seen: &Observation, link: &Replication) -> serde_json::Value {
    json!({"position": seen.position, "read-only": seen.read_only, "tls": seen.tls, "source": link.source,
        "running": link.running, "lag-ms": link.lag_ms, "last-applied-at-ms": link.last_applied_at_ms,
        "received": link.received, "problem": link.problem})
}

fn measure_lag(recovery: &Recovery) -> Result<String, Error> {
    let (to, database) = (recovery.to(), &recovery.parameters.database);
    let seen = database::observe(to, database)?;
    let link = replication_of(recovery, &seen)?;
    attach("replication", &as_json(&seen, &link))?;
    let behind = behind_ms(link.lag_ms, link.last_applied_at_ms, control::now()?);
    if let Some(lag_ms) = behind {
        measure_duration("replication-lag", lag_ms)?;
    }
    let state = if link.running { "running" } else { "stopped" };
    Ok(format!(
        "replication {state}, behind by {}",
        words::duration_or_unknown(behind)
    ))
}

fn catch_up_live(recovery: &Recovery) -> Result<String, Error> {
    let (from, to, database) = (
        recovery.from(),
        recovery.to(),
        &recovery.parameters.database,
    );
    let position = database::observe(from, database)?.position;
    database::ensure_caught_up(to, database, &position)?;
    Ok(format!("{to} has applied {position}"))
}

fn catch_up(recovery: &Recovery) -> Result<String, Error> {
    let (from, to, database) = (
        recovery.from(),
        recovery.to(),
        &recovery.parameters.database,
    );
    let word = word(recovery);
    if recall_text(&fence::word(recovery))?.as_deref() != Some(fence::ANSWERED) {
        let source = database::observe(from, database)?;
        if !source.read_only {
            return Err(Error::Conflict(format!(
                "{database} at {from} accepts writes: fence it before the last catch-up"
            )));
        }
        database::ensure_caught_up(to, database, &source.position)?;
        measure_text(&word, EVERYTHING.to_owned())?;
        return Ok(format!(
            "{to} has applied {}, all there is",
            source.position
        ));
    }
    let link = replication_of(recovery, &database::observe(to, database)?)?;
    if link.received.is_empty() {
        measure_text(&word, RECEIVED.to_owned())?;
        return Ok(format!(
            "{from} is out of reach and {to} tells no received position"
        ));
    }
    match database::ensure_caught_up(to, database, &link.received) {
        Ok(_) => {
            measure_text(&word, RECEIVED.to_owned())?;
            Ok(format!(
                "{to} has applied {}, all it received from {from}",
                link.received
            ))
        }
        Err(Error::Conflict(text)) => {
            warn(&format!("{to} could not apply all it received: {text}"))?;
            measure_text(&word, PART.to_owned())?;
            Ok(format!("{to} could not apply all it received: {text}"))
        }
        Err(error) => Err(error),
    }
}

fn weigh_loss(recovery: &Recovery) -> Result<String, Error> {
    let (to, database) = (recovery.to(), &recovery.parameters.database);
    let seen = database::observe(to, database)?;
    let link = replication_of(recovery, &seen)?;
    attach("replication-before-promotion", &as_json(&seen, &link))?;
    let caught_up = recall_text(&word(recovery))?;
    if caught_up.as_deref() == Some(EVERYTHING) {
        measure_duration("rpo", 0)?;
        return Ok("nothing is lost: everything was applied after the fence".to_owned());
    }
    if let Some(applied_at_ms) = link.last_applied_at_ms {
        keep_recovery_point(applied_at_ms)?;
    }
    let ended = writes_ended_at(recovery)?;
    let loss = behind_ms(None, link.last_applied_at_ms, ended).or(link.lag_ms);
    if let Some(rpo_ms) = loss {
        measure_duration("rpo", rpo_ms)?;
    }
    let part = if caught_up.as_deref() == Some(PART) {
        ", and a part of what was received cannot be applied"
    } else {
        ""
    };
    let said = format!(
        "at most the last {} of writes are lost{part}",
        words::duration_or_unknown(loss)
    );
    let beyond = loss.is_none_or(|rpo_ms| rpo_ms > recovery.rpo_target_ms) || !part.is_empty();
    accept_beyond_objective(recovery, &said, beyond)
}

#[cfg(test)]
mod tests {
    use super::behind_ms;

    #[test]
    fn an_unknown_lag_is_not_a_lag_of_zero() {
        assert_eq!(behind_ms(Some(700), Some(1), 9_000), Some(700));
        assert_eq!(behind_ms(None, Some(1_000), 9_000), Some(8_000));
        assert_eq!(behind_ms(None, None, 9_000), None);
        assert_eq!(behind_ms(None, Some(10_000), 9_000), Some(0));
    }
}
