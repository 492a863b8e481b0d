//! The active record: lower its TTL, wait out the old one, flip, prove that nothing else changed, restore the TTL.
//!
//! A resolver may keep an answer for the TTL it was given *then*: a lower TTL helps only those who ask after it was
//! lowered. So the TTL is lowered first of all, and the flip waits until one old TTL has passed since, as long as the site
//! that is left serves meanwhile: then users are moved within the new TTL, all at once. In an outage it does not wait.
//! Whoever still has the old answer is led to a site that fails, for as long as they keep it, whenever the flip comes; all
//! others are served the sooner.

use serde_json::json;
use understudy_sdk::strategy::understudy::control::control;
use understudy_sdk::strategy::understudy::dns::dns::{self, RecordSet};

use crate::Error;
use crate::plan::{At, Budget, DNS_LEAD, Move, Reversal};
use crate::recovery::{
    Recovery, attach, measure_duration, measure_text, recall_duration, recall_text, settled,
};
use crate::{validate, words};

/// Type of the active record: an alias for the name of a site.
const ACTIVE_KIND: &str = "CNAME";

/// How often a record is set that is not shown as it was set.
const TRIES: u32 = 2;

/// Types that the name of a site may have.
const TARGET_KINDS: [&str; 3] = ["A", "AAAA", "CNAME"];

/// Lowers the TTL of the active record, never below what the zone accepts, reads it back, and sets `ttl-lowered`.
pub const LOWER_TTL: Move = Move {
    title: "Lower the TTL of the active record",
    role: DNS_LEAD,
    budget: Budget::Minutes(5),
    reversal: Reversal::Undo(raise_ttl_again),
    acts: &[("lower-ttl", At::Nowhere)],
    uses: &["control", "dns"],
    perform: lower_ttl,
};

/// Waits until one old TTL has passed since the TTL was lowered. For a move away from a site that serves.
pub const AWAIT_OLD_TTL: Move = Move {
    title: "Wait until resolvers have forgotten the old TTL",
    role: DNS_LEAD,
    budget: Budget::OldTtl,
    reversal: Reversal::Nothing,
    acts: &[],
    uses: &["control"],
    perform: await_old_ttl,
};

/// Points the active record at the site gone to, only if it points at the site left and every journey passes there still:
/// somebody may have thought about the flip for an hour. Sets `flipped`.
pub const FLIP: Move = Move {
    title: "Point the active record from {from} to {to}",
    role: DNS_LEAD,
    budget: Budget::Minutes(5),
    reversal: Reversal::PointOfNoReturn,
    acts: &[("flip", At::To)],
    uses: &["control", "dns", "probe"],
    perform: flip,
};

/// Compares the records of the sites with what they were before.
pub const CHECK_RECORDS: Move = Move {
    title: "Check that the flip changed the active record alone",
    role: DNS_LEAD,
    budget: Budget::Minutes(5),
    reversal: Reversal::Nothing,
    acts: &[("check", At::Nowhere)],
    uses: &["control", "dns"],
    perform: check_records,
};

/// Checks that the TTL stayed low for the whole change, then gives it its normal value.
pub const RESTORE_TTL: Move = Move {
    title: "Give the active record its normal TTL",
    role: DNS_LEAD,
    budget: Budget::Minutes(5),
    reversal: Reversal::Undo(lower_ttl_again),
    acts: &[("restore-ttl", At::Nowhere)],
    uses: &["control", "dns"],
    perform: restore_ttl,
};

/// What is left of one old TTL, in milliseconds, since the TTL was lowered.
#[must_use]
pub fn left_of_old_ttl(old_ttl_ms: u64, lowered_at_ms: u64, now_ms: u64) -> u64 {
    lowered_at_ms
        .saturating_add(old_ttl_ms)
        .saturating_sub(now_ms)
}

/// The TTL for the change: what was asked for, never above what it is, never below what the zone accepts.
#[must_use]
pub fn flip_ttl_seconds(asked: u32, found: u32, zone_minimum: u32) -> u32 {
    asked.min(found).max(zone_minimum)
}

/// How long, in milliseconds, resolvers that honour the TTL may still lead to the site left, after the flip.
///
/// # Errors
/// Whatever `dns.get-record` or `control` answers.
pub fn until_forgotten_ms(recovery: &Recovery) -> Result<u64, Error> {
    let now = control::now()?;
    let flip_ttl_ms = u64::from(active(recovery)?.ttl_seconds) * 1000;
    let old_ttl_ms = recall_duration(&recovery.own("old-ttl"))?;
    let kept = [
        ("flipped", recovery.to(), Some(flip_ttl_ms)),
        ("ttl-lowered", recovery.from(), old_ttl_ms),
    ];
    let mut left = 0;
    for (milestone, site, ttl_ms) in kept {
        if let (Some(since), Some(ttl_ms)) = (control::recall_mark(milestone, Some(site))?, ttl_ms)
        {
            left = left.max(left_of_old_ttl(ttl_ms, since, now));
        }
    }
    Ok(left)
}

fn active(recovery: &Recovery) -> Result<RecordSet, Error> {
    dns::get_record(&recovery.parameters.records.active, ACTIVE_KIND)
}

fn low_ttl(recovery: &Recovery, found: u32) -> Result<u32, Error> {
    let records = &recovery.parameters.records;
    let limits = dns::get_zone_limits(&records.active)?;
    Ok(flip_ttl_seconds(
        records.ttl_flip_seconds,
        found,
        limits.min_ttl_seconds,
    ))
}

/// Sets the active record, and reads it back: an API that says yes and does nothing costs a recovery its time.
fn set(
    recovery: &Recovery,
    expected: &[String],
    values: &[String],
    ttl_seconds: u32,
) -> Result<(), Error> {
    let name = &recovery.parameters.records.active;
    let is_set = |found: &RecordSet| found.values == values && found.ttl_seconds == ttl_seconds;
    let mut shown = String::new();
    for _ in 0..TRIES {
        dns::ensure_record(name, ACTIVE_KIND, Some(expected), values, ttl_seconds)?;
        let found = settled(|| active(recovery), is_set)?;
        if is_set(&found) {
            return Ok(());
        }
        shown = format!("{:?} with TTL {} s", found.values, found.ttl_seconds);
    }
    Err(Error::Conflict(format!(
        "`{name}` was set to {values:?} with TTL {ttl_seconds} s, and its zone shows {shown}: see whether the API does what \
         it says"
    )))
}

fn lower_ttl(recovery: &Recovery) -> Result<String, Error> {
    let name = &recovery.parameters.records.active;
    let found = active(recovery)?;
    let left = recovery.parameters.target(recovery.from());
    if found.values != [left] {
        return Err(Error::Conflict(format!(
            "`{name}` holds {:?}, expected [{left:?}]: clients are not at {} now; find out who moved them",
            found.values,
            recovery.from()
        )));
    }
    let before = recovery.own("records-before");
    if recall_text(&before)?.is_none() {
        measure_text(&before, target_records(recovery)?)?;
    }
    // A second attempt would read the TTL that the first one set: the first reading counts.
    let old = recovery.own("old-ttl");
    let old_ttl_ms = match recall_duration(&old)? {
        Some(old_ttl_ms) => old_ttl_ms,
        None => {
            let old_ttl_ms = u64::from(found.ttl_seconds) * 1000;
            measure_duration(&old, old_ttl_ms)?;
            old_ttl_ms
        }
    };
    let ttl = low_ttl(recovery, found.ttl_seconds)?;
    set(recovery, &found.values, &found.values, ttl)?;
    recovery.mark_from("ttl-lowered")?;
    Ok(format!(
        "TTL of {name} was {}, is {ttl} s",
        words::duration(old_ttl_ms)
    ))
}

fn raise_ttl_again(recovery: &Recovery) -> Result<String, Error> {
    let name = &recovery.parameters.records.active;
    let Some(old_ttl_ms) = recall_duration(&recovery.own("old-ttl"))? else {
        return Ok(format!("TTL of {name} was not touched"));
    };
    let found = active(recovery)?;
    let ttl = u32::try_from(old_ttl_ms / 1000).unwrap_or(found.ttl_seconds);
    set(recovery, &found.values, &found.values, ttl)?;
    Ok(format!("TTL of {name} is {ttl} s again"))
}

fn await_old_ttl(recovery: &Recovery) -> Result<String, Error> {
    let lowered_at = control::recall_mark("ttl-lowered", Some(recovery.from()))?;
    let (Some(lowered_at), Some(old_ttl_ms)) =
        (lowered_at, recall_duration(&recovery.own("old-ttl"))?)
    else {
        return Err(Error::Conflict(
            "the TTL was not lowered in this run: put the step `lower-ttl` before this one"
                .to_owned(),
        ));
    };
    let left = left_of_old_ttl(old_ttl_ms, lowered_at, control::now()?);
    if left > 0 {
        control::sleep(left)?;
    }
    Ok(format!(
        "waited {}: one old TTL has passed",
        words::duration(left)
    ))
}

fn flip(recovery: &Recovery) -> Result<String, Error> {
    let parameters = &recovery.parameters;
    let name = &parameters.records.active;
    let ttl = low_ttl(recovery, active(recovery)?.ttl_seconds)?;
    let left = [parameters.target(recovery.from()).to_owned()];
    let target = [parameters.target(recovery.to()).to_owned()];
    validate::walk_all_direct(recovery)?;
    set(recovery, &left, &target, ttl)?;
    recovery.mark_to("flipped")?;
    Ok(format!(
        "{name} points at {} with TTL {ttl} s",
        target.concat()
    ))
}

/// The records of the sites as JSON text, but the one that this strategy writes itself; a name that has no record of a
/// type is left out.
fn target_records(recovery: &Recovery) -> Result<String, Error> {
    let mut found = Vec::new();
    let sites = [recovery.from(), recovery.to()].into_iter();
    let publishes = recovery.parameters.records.publish_target;
    for site in sites.filter(|site| !publishes || *site != recovery.to()) {
        for kind in TARGET_KINDS {
            match dns::get_record(recovery.parameters.target(site), kind) {
                Ok(record) => found.push(json!({"name": record.name, "kind": record.kind,
                    "values": record.values, "ttl-seconds": record.ttl_seconds})),
                Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(serde_json::Value::Array(found).to_string())
}

fn check_records(recovery: &Recovery) -> Result<String, Error> {
    let before = recall_text(&recovery.own("records-before"))?;
    let Some(before) = before else {
        return Err(Error::Conflict(
            "the records were not read before the flip: put the step `lower-ttl` before it"
                .to_owned(),
        ));
    };
    let after = target_records(recovery)?;
    attach("records", &json!({"before": before, "after": after}))?;
    if before == after {
        let active = active(recovery)?;
        let target = recovery.parameters.target(recovery.to());
        if active.values == [target] {
            return Ok(format!(
                "{} points at {target}; the sites' own records are as before",
                active.name
            ));
        }
        return Err(Error::Conflict(format!(
            "`{}` holds {:?}, expected [{target:?}]",
            active.name, active.values
        )));
    }
    Err(Error::Conflict(format!(
        "the sites' own records changed during the flip: before {before}, after {after}; find out who changed them"
    )))
}

fn restore_ttl(recovery: &Recovery) -> Result<String, Error> {
    let records = &recovery.parameters.records;
    let found = active(recovery)?;
    let target = [recovery.parameters.target(recovery.to()).to_owned()];
    let low = low_ttl(recovery, records.ttl_flip_seconds)?;
    attach(
        "ttl-during-change",
        &json!({"ttl-seconds": found.ttl_seconds, "at-most": low}),
    )?;
    // A second attempt finds the normal TTL that the first one set.
    if found.ttl_seconds > low && found.ttl_seconds != records.ttl_normal_seconds {
        return Err(Error::Conflict(format!(
            "TTL of `{}` is {} s, expected at most {low} s for the whole change: somebody raised it",
            records.active, found.ttl_seconds
        )));
    }
    set(recovery, &target, &target, records.ttl_normal_seconds)?;
    Ok(format!(
        "TTL of {} is {} s",
        records.active, records.ttl_normal_seconds
    ))
}

fn lower_ttl_again(recovery: &Recovery) -> Result<String, Error> {
    let found = active(recovery)?;
    let ttl = low_ttl(recovery, found.ttl_seconds)?;
    set(recovery, &found.values, &found.values, ttl)?;
    Ok(format!("TTL of {} is {ttl} s again", found.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_what_is_left_of_one_old_ttl() {
        assert_eq!(left_of_old_ttl(300_000, 1_000, 1_000), 300_000);
        assert_eq!(left_of_old_ttl(300_000, 1_000, 121_000), 180_000);
        assert_eq!(left_of_old_ttl(300_000, 1_000, 900_000), 0);
    }

    #[test]
    fn the_ttl_is_never_raised_and_never_refused() {
        assert_eq!(flip_ttl_seconds(60, 300, 1), 60);
        assert_eq!(flip_ttl_seconds(30, 300, 60), 60);
        assert_eq!(flip_ttl_seconds(60, 20, 1), 20);
    }
}
