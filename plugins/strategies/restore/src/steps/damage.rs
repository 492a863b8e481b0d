//! Damage that replicas, logs and later recovery points carry on: agree on the last instant of good data.

use understudy_recovery::plan::{Budget, DB_LEAD, INCIDENT_COMMANDER, Move, Reversal};
use understudy_recovery::recovery::Recovery;
use understudy_recovery::{Error, loss, slo, words};
use understudy_sdk::strategy::understudy::control::control::{self, Quantity};
use understudy_sdk::strategy::understudy::database::database;

use crate::parameters::Restore;

/// Takes the data for good until so long before users began to fail, and has the incident commander agree: everything after
/// that is given up, whatever it was.
pub(crate) const AGREE_ON_INSTANT: Move = Move {
    title: "Agree on the last instant of good data",
    role: DB_LEAD,
    budget: Budget::Minutes(15),
    reversal: Reversal::Nothing,
    acts: &[],
    uses: &["control"],
    perform: agree_on_instant,
};

/// True where the parameters say that the outage is damage.
pub(crate) fn is_damage(recovery: &Recovery) -> bool {
    Restore::of(recovery).is_ok_and(|own| own.before_outage_ms.is_some())
}

/// Where the instant is kept.
fn word(recovery: &Recovery) -> String {
    recovery.own("good-until")
}

/// Until when the data were good, in milliseconds since the epoch; none where nothing is known to be wrong with them.
pub(crate) fn good_until(recovery: &Recovery) -> Result<Option<u64>, Error> {
    if !is_damage(recovery) {
        return Ok(None);
    }
    match control::recall(&word(recovery))? {
        Some(Quantity::InstantMs(at)) => Ok(Some(at)),
        _ => Err(Error::Conflict(
            "no instant of good data was agreed on: put the step `agree-on-instant` before this one".to_owned(),
        )),
    }
}

/// The moment from which writes are lost no more. A site whose users fail for want of data is fenced long after the last of
/// them wrote: its newest write says more.
pub(crate) fn writes_ended_at(recovery: &Recovery) -> Result<u64, Error> {
    let ended = loss::writes_ended_at(recovery)?;
    if !is_damage(recovery) {
        return Ok(ended);
    }
    match database::observe_newest_write(recovery.from(), &recovery.parameters.database) {
        Ok(Some(newest)) => Ok(ended.min(newest)),
        Err(error @ Error::Denied(_)) => Err(error),
        Ok(None) | Err(_) => Ok(ended),
    }
}

fn agree_on_instant(recovery: &Recovery) -> Result<String, Error> {
    let before = Restore::of(recovery)?.before_outage_ms.unwrap_or_default();
    let Some(began) = slo::outage_began(recovery)? else {
        return Err(Error::Conflict(
            "since when users fail is not known: find out when the damage was done, and name an instant before it as \
             `point-in-time-ms` instead of `before-outage-ms`"
                .to_owned(),
        ));
    };
    let good = began.saturating_sub(before);
    let lost = words::duration(control::now()?.saturating_sub(good));
    let decision = recovery.ask(
        INCIDENT_COMMANDER,
        format!(
            "Give up what {} holds of the last {lost}?",
            recovery.parameters.database
        ),
        format!(
            "Users have failed since {began} (ms since the epoch). Go restores at {} what was there {} before that, and gives up \
             everything after. No-go where the damage is older: find out since when, and name the instant as `point-in-time-ms`.",
            recovery.to(),
            words::duration(before)
        ),
    )?;
    control::measure(&word(recovery), &Quantity::InstantMs(good))?;
    Ok(format!(
        "good until {} before users began to fail: agreed by {}",
        words::duration(before),
        decision.by
    ))
}
