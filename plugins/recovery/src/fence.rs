//! Freeze and fence: users first, the database for certain.
//!
//! A freeze is a courtesy (the application says so), and lets what is under way end: an application that writes several
//! times for one request may acknowledge half of it where a fence comes in between. A fence is what makes a single writer:
//! the database refuses writes, or a person who can see the site answers that it is dead or cut off. Nothing is promoted
//! before it.

use serde_json::json;
use understudy_sdk::strategy::understudy::control::control;
use understudy_sdk::strategy::understudy::database::database;
use understudy_sdk::strategy::understudy::workload::workload;

use crate::plan::{At, Budget, DB_LEAD, KUBERNETES_LEAD, Move, Reversal};
use crate::recovery::{Recovery, attach, measure_text, recall_text, warn};
use crate::{Error, fault, loss, words};

/// Puts the application of the site left into maintenance, sets `frozen`, and lets its requests under way end.
pub const FREEZE: Move = Move {
    title: "Put the application at {from} into maintenance, let its requests end",
    role: KUBERNETES_LEAD,
    budget: Budget::Minutes(2),
    reversal: Reversal::Undo(thaw),
    acts: &[("freeze", At::From)],
    uses: &["control", "workload"],
    perform: freeze,
};

/// Stops writes at the site left, or has a person answer that it is dead; sets `fenced`.
pub const FENCE: Move = Move {
    title: "Stop writes at {from}, or have its death confirmed",
    role: DB_LEAD,
    budget: Budget::Minutes(5),
    reversal: Reversal::Undo(unfence),
    acts: &[("fence", At::From)],
    uses: &["control", "database"],
    perform: fence,
};

/// Looks for a while whether a site that was taken for dead has come back, and fences it if it has: it may take writes
/// as if nothing had happened, and what it took is lost too. Not finding it is as good.
pub const FENCE_RETURNED: Move = Move {
    title: "Fence {from} if it comes back",
    role: DB_LEAD,
    budget: Budget::Minutes(20),
    reversal: Reversal::Nothing,
    acts: &[("fence", At::From)],
    uses: &["control", "database", "workload"],
    perform: fence_returned,
};

/// How often to look for a site that was taken for dead: with the host's own retries about a quarter of an hour, while
/// resolvers still lead clients there.
const MAX_LOOKS: u32 = 10;

/// For how long, in milliseconds, a person's answer that a site is dead stands without another look: as long as a look at a
/// dead site takes itself, with the host's retries.
const ANSWER_HOLDS_MS: u64 = 60_000;

/// How long, in milliseconds, to wait between two looks.
const LOOK_EVERY_MS: u64 = 30_000;

/// True where a person may have to answer for the fence.
#[must_use]
pub fn may_be_answered(recovery: &Recovery) -> bool {
    recovery.ungraceful()
}

/// How the fence came about: the database itself refuses writes.
pub const CLOSED: &str = "closed";
/// How the fence came about: a person answered for it.
pub const ANSWERED: &str = "answered";
/// How the fence came about: a person answered for it, and the site came back since and was closed.
pub const CLOSED_SINCE: &str = "closed-since";

/// Where the fence leaves word of how it came about.
#[must_use]
pub fn word(recovery: &Recovery) -> String {
    recovery.own("fence")
}

/// When the site left was seen to refuse writes; none where a person answered for it.
///
/// # Errors
/// Whatever `control` answers.
pub fn fenced_at(recovery: &Recovery) -> Result<Option<u64>, Error> {
    if recall_text(&word(recovery))?.as_deref() != Some(CLOSED) {
        return Ok(None);
    }
    control::recall_mark("fenced", Some(recovery.from()))
}

fn freeze(recovery: &Recovery) -> Result<String, Error> {
    let (from, app) = (recovery.from(), &recovery.parameters.app);
    match workload::ensure_maintenance(from, app, true) {
        Ok(_) => {
            recovery.mark_from("frozen")?;
            control::sleep(recovery.parameters.drain_ms)?;
            Ok(format!("{app} at {from} refuses its users' writes"))
        }
        Err(error) if recovery.ungraceful() && fault::is_out_of_reach(&error) => {
            let said = fault::say(&error);
            warn(&format!("no freeze at {from}: {said}"))?;
            Ok(format!(
                "{app} at {from} is out of reach ({said}); the fence decides"
            ))
        }
        Err(error) => Err(error),
    }
}

fn thaw(recovery: &Recovery) -> Result<String, Error> {
    let (from, app) = (recovery.from(), &recovery.parameters.app);
    match workload::ensure_maintenance(from, app, false) {
        Ok(_) => Ok(format!("{app} at {from} accepts its users' writes again")),
        Err(error) if recovery.ungraceful() && fault::is_out_of_reach(&error) => {
            let said = fault::say(&error);
            warn(&format!(
                "{app} at {from} may still be in maintenance: {said}"
            ))?;
            Ok(format!("{app} at {from} is out of reach ({said})"))
        }
        Err(error) => Err(error),
    }
}

fn fence(recovery: &Recovery) -> Result<String, Error> {
    let (from, database) = (recovery.from(), &recovery.parameters.database);
    let said = match database::ensure_fenced(from, database) {
        Ok(_) => {
            measure_text(&word(recovery), CLOSED.to_owned())?;
            recovery.mark_from("fenced")?;
            return Ok(format!("{database} at {from} refuses writes"));
        }
        Err(error) if recovery.ungraceful() && fault::is_out_of_reach(&error) => fault::say(&error),
        Err(error) => return Err(error),
    };
    let seen = replica_evidence(recovery)?;
    attach(
        "fence",
        &json!({"site": from, "ensure-fenced": said, "seen-from-replica": seen}),
    )?;
    let decision = recovery.ask(
        DB_LEAD,
        format!("Is the database at {from} dead, or cut off from every client?"),
        format!(
            "It could not be fenced: {said}. Seen from {}: {seen}. Go promotes a second database: if {from} still takes writes, \
             they are lost or the data splits. Say go only after its power, network or volume was seen to be off. \
             No-go stops here.",
            recovery.to()
        ),
    )?;
    measure_text(&word(recovery), ANSWERED.to_owned())?;
    recovery.mark_from("fenced")?;
    Ok(format!(
        "{} answers for it that {from} takes no writes ({said})",
        decision.by
    ))
}

fn replica_evidence(recovery: &Recovery) -> Result<String, Error> {
    Ok(
        match database::observe(recovery.to(), &recovery.parameters.database) {
            Ok(seen) => match seen.replication {
                Some(link) if link.running => format!(
                    "replication from {} still runs: {from} may be alive",
                    link.source,
                    from = recovery.from()
                ),
                Some(link) => format!(
                    "replication from {} has stopped: {}",
                    link.source, link.problem
                ),
                None => "no replication".to_owned(),
            },
            Err(error @ Error::Denied(_)) => return Err(error),
            Err(error) => fault::say(&error),
        },
    )
}

fn fence_returned(recovery: &Recovery) -> Result<String, Error> {
    let from = recovery.from();
    if recall_text(&word(recovery))?.as_deref() != Some(ANSWERED) {
        return Ok(format!("{from} was fenced by its own database"));
    }
    for look in 0..MAX_LOOKS {
        if look > 0 {
            control::sleep(LOOK_EVERY_MS)?;
        }
        if let Some(found) = look_again(recovery)? {
            return Ok(found);
        }
    }
    Ok(format!(
        "{from} has not come back; whoever revives it must keep it read-only"
    ))
}

/// Fences a site that was taken for dead where it has come back, counts what it took and says how it came; none where it is
/// out of reach still.
fn look_again(recovery: &Recovery) -> Result<Option<String>, Error> {
    let from = recovery.from();
    let Some(outcome) = reach(recovery)? else {
        return Ok(None);
    };
    let came = if matches!(outcome, database::Outcome::Changed) {
        match loss::count_on(recovery)? {
            Some(lost) => format!(
                "taking writes (the last {} are lost)",
                words::duration(lost)
            ),
            None => "open for writes".to_owned(),
        }
    } else {
        "refusing writes".to_owned()
    };
    let found = format!("{from} came back {came}, and is fenced");
    warn(&found)?;
    Ok(Some(found))
}

/// Fences the site left and puts its application into maintenance; none where it is out of reach.
fn reach(recovery: &Recovery) -> Result<Option<database::Outcome>, Error> {
    let (from, parameters) = (recovery.from(), &recovery.parameters);
    let outcome = match database::ensure_fenced(from, &parameters.database) {
        Ok(outcome) => outcome,
        Err(error) if fault::is_out_of_reach(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    if let Err(error) = workload::ensure_maintenance(from, &parameters.app, true) {
        warn(&format!(
            "{} at {from} is not in maintenance: {}",
            parameters.app,
            fault::say(&error)
        ))?;
    }
    Ok(Some(outcome))
}

/// Looks once more where a person answered for the fence and that was not just now: a site that was dead then may have come
/// back since, while somebody thought about the loss or a call hung. True where it has; it is fenced by its own database
/// then, and what it has can be caught up with.
///
/// # Errors
/// Whatever `control` and the database answer, other than that the site is out of reach.
pub fn has_come_back(recovery: &Recovery) -> Result<bool, Error> {
    let from = recovery.from();
    if recall_text(&word(recovery))?.as_deref() != Some(ANSWERED) {
        return Ok(false);
    }
    let answered_at = control::recall_mark("fenced", Some(from))?.unwrap_or(0);
    if control::now()?.saturating_sub(answered_at) <= ANSWER_HOLDS_MS || reach(recovery)?.is_none()
    {
        return Ok(false);
    }
    warn(&format!("{from} came back, and is fenced"))?;
    measure_text(&word(recovery), CLOSED_SINCE.to_owned())?;
    Ok(true)
}

/// Accepts writes at the site left again, unless the other site accepts them.
fn unfence(recovery: &Recovery) -> Result<String, Error> {
    let (from, to, database) = (
        recovery.from(),
        recovery.to(),
        &recovery.parameters.database,
    );
    if recall_text(&word(recovery))?.as_deref() == Some(ANSWERED) {
        return Ok(format!(
            "{database} at {from} was not touched: a person answered for it"
        ));
    }
    match database::observe(to, database) {
        Ok(seen) if seen.role == database::Role::Primary && !seen.read_only => {
            return Err(Error::Conflict(format!(
                "{database} at {to} accepts writes: {from} must stay fenced; go on to the end, or fail back"
            )));
        }
        Ok(_) | Err(Error::NotFound(_)) => {}
        Err(error) => return Err(error),
    }
    match database::ensure_promoted(from, database) {
        Ok(_) => Ok(format!("{database} at {from} accepts writes again")),
        Err(error) if recovery.ungraceful() && fault::is_out_of_reach(&error) => {
            let said = fault::say(&error);
            warn(&format!("{database} at {from} may still be fenced: {said}"))?;
            Ok(format!("{database} at {from} is out of reach ({said})"))
        }
        Err(error) => Err(error),
    }
}
