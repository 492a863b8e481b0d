//! Choose the recovery point, and say what it costs before anything is replaced.

use serde_json::json;
use understudy_recovery::Error;
use understudy_recovery::loss::{accept_beyond_objective, keep_recovery_point};
use understudy_recovery::plan::{At, Budget, DB_LEAD, Move, Reversal};
use understudy_recovery::recovery::{Recovery, attach, measure_duration, measure_text};
use understudy_recovery::words;
use understudy_sdk::strategy::understudy::control::control;
use understudy_sdk::strategy::understudy::database::database::{self, RecoveryPoint};

use super::damage;
use crate::parameters::Restore;

/// Most recovery points that are attached as evidence: the newest ones, which a choice is made among.
const MAX_SHOWN: usize = 20;

/// Chooses the newest complete recovery point, or the instant the parameters name, and records its age. What it costs
/// is weighed when it is known whether logs reach further ([`super::restore`]).
pub(crate) const CHOOSE_POINT: Move = Move {
    title: "Choose the recovery point to restore at {to}",
    role: DB_LEAD,
    budget: Budget::Minutes(15),
    reversal: Reversal::Nothing,
    acts: &[("choose-recovery-point", At::To)],
    uses: &["control", "database"],
    perform: choose_point,
};

/// Where this move leaves word of its choice.
pub(crate) fn word(recovery: &Recovery) -> String {
    recovery.own("recovery-point")
}

/// What the word is where the parameters name an instant.
pub(crate) const INSTANT: &str = "instant";

/// The newest complete one.
pub(crate) fn newest(points: &[RecoveryPoint]) -> Option<&RecoveryPoint> {
    points
        .iter()
        .filter(|point| point.complete)
        .max_by_key(|point| point.taken_at_ms)
}

/// The complete ones that are not newer than the chosen one, newest first: what to fall back to, in order.
pub(crate) fn from_chosen<'a>(points: &'a [RecoveryPoint], chosen: &str) -> Vec<&'a RecoveryPoint> {
    let taken = points
        .iter()
        .find(|point| point.id == chosen)
        .map(|point| point.taken_at_ms);
    let mut usable: Vec<_> = points
        .iter()
        .filter(|point| point.complete && taken.is_none_or(|taken| point.taken_at_ms <= taken))
        .collect();
    usable.sort_by_key(|point| (std::cmp::Reverse(point.taken_at_ms), point.id != chosen));
    usable
}

/// The newest instant to restore, of those that logs reach and, where the data are damaged, that are good: a whole second, as
/// logs have, and the one that the last write lies in where they reach its end.
pub(crate) fn newest_instant(ended_ms: u64, reach_ms: u64, good_ms: Option<u64>) -> u64 {
    let all = ended_ms.div_ceil(SECOND_MS) * SECOND_MS;
    let bound = reach_ms.min(good_ms.unwrap_or(u64::MAX));
    all.min(bound / SECOND_MS * SECOND_MS)
}

/// A second in milliseconds.
const SECOND_MS: u64 = 1_000;

/// Records what data as old as this costs, and has it accepted where it is beyond the objective.
pub(crate) fn weigh(recovery: &Recovery, what: &str, taken_at_ms: u64) -> Result<String, Error> {
    let loss = damage::writes_ended_at(recovery)?.saturating_sub(taken_at_ms);
    measure_duration("rpo", loss)?;
    keep_recovery_point(taken_at_ms)?;
    let said = format!(
        "{what}: at most the last {} of writes are lost",
        words::duration(loss)
    );
    accept_beyond_objective(recovery, &said, loss > recovery.rpo_target_ms)
}

fn record_age(taken_at_ms: u64) -> Result<u64, Error> {
    let age = control::now()?.saturating_sub(taken_at_ms);
    measure_duration("backup-age", age)?;
    keep_recovery_point(taken_at_ms)?;
    Ok(age)
}

fn choose_point(recovery: &Recovery) -> Result<String, Error> {
    let (to, database) = (recovery.to(), &recovery.parameters.database);
    if let Some(instant_ms) = Restore::of(recovery)?.point_in_time_ms {
        measure_text(&word(recovery), INSTANT.to_owned())?;
        record_age(instant_ms)?;
        return Ok("the instant of the parameters".to_owned());
    }
    let points = database::list_recovery_points(to, database)?;
    let shown: Vec<_> = points
        .iter()
        .take(MAX_SHOWN)
        .map(|point| json!({"id": point.id, "taken-at-ms": point.taken_at_ms, "complete": point.complete, "size-bytes": point.size_bytes}))
        .collect();
    attach(
        "recovery-points",
        &json!({"newest": shown, "in-all": points.len()}),
    )?;
    let good = damage::good_until(recovery)?;
    let of_all = points.len();
    let points: Vec<_> = points
        .into_iter()
        .filter(|point| good.is_none_or(|good| point.taken_at_ms <= good))
        .collect();
    let Some(chosen) = newest(&points) else {
        return Err(Error::NotFound(format!(
            "no complete recovery point of {database} at {to}{}, of {of_all} in all",
            if good.is_some() {
                " from before the damage"
            } else {
                ""
            },
        )));
    };
    measure_text(&word(recovery), chosen.id.clone())?;
    let age = record_age(chosen.taken_at_ms)?;
    Ok(format!(
        "recovery point {}, {} old",
        chosen.id,
        words::duration(age)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(id: &str, taken_at_ms: u64, complete: bool) -> RecoveryPoint {
        RecoveryPoint {
            id: id.to_owned(),
            taken_at_ms,
            complete,
            size_bytes: 0,
        }
    }

    #[test]
    fn the_newest_complete_point_is_chosen_and_older_ones_follow() {
        let points = [
            point("d", 400, false),
            point("c", 300, true),
            point("a", 100, true),
            point("b", 200, true),
        ];
        assert_eq!(newest(&points).unwrap().id, "c");
        let ids = |chosen| {
            from_chosen(&points, chosen)
                .iter()
                .map(|point| point.id.as_str())
                .collect::<Vec<_>>()
        };
        assert_eq!(ids("c"), ["c", "b", "a"]);
        assert_eq!(ids("b"), ["b", "a"]);
        assert_eq!(ids("gone"), ["c", "b", "a"]);
        assert!(newest(&points[..1]).is_none());
    }

    #[test]
    fn an_instant_is_a_whole_second_that_logs_reach() {
        for (ended, reach, good, instant) in [
            (10_400, 60_000, None, 11_000),
            (10_400, 10_900, None, 10_000),
            (10_400, 11_000, None, 11_000),
            (11_000, 60_000, None, 11_000),
            (10_400, 7_900, None, 7_000),
            (10_400, 60_000, Some(10_400), 10_000),
            (10_400, 60_000, Some(8_999), 8_000),
            (10_400, 7_900, Some(8_999), 7_000),
        ] {
            let found = newest_instant(ended, reach, good);
            assert_eq!(found, instant, "{ended} {reach} {good:?}");
        }
    }
}
