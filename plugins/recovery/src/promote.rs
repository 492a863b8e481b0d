//! Promote, and prove that the new writer writes.

use serde_json::json;
use understudy_sdk::strategy::understudy::control::control;
use understudy_sdk::strategy::understudy::database::database;

use crate::plan::{At, Budget, DB_LEAD, Move, Reversal};
use crate::recovery::{Recovery, attach};
use crate::{Error, fence, loss};

/// Makes the database at the site gone to the writer. From here the way is forward.
pub const PROMOTE: Move = Move {
    title: "Promote the database at {to}",
    role: DB_LEAD,
    budget: Budget::Minutes(10),
    reversal: Reversal::PointOfNoReturn,
    acts: &[("promote", At::To)],
    uses: &["control", "database", "workload"],
    perform: promote,
};

/// Writes and reads a row over verified TLS as a client would, checks that no replication is left; sets `writable`.
pub const VERIFY_WRITER: Move = Move {
    title: "Write to the database at {to} as a client would",
    role: DB_LEAD,
    budget: Budget::Minutes(3),
    reversal: Reversal::Nothing,
    acts: &[("check", At::To)],
    uses: &["control", "database"],
    perform: verify_writer,
};

fn promote(recovery: &Recovery) -> Result<String, Error> {
    let (from, to, database) = (
        recovery.from(),
        recovery.to(),
        &recovery.parameters.database,
    );
    if control::recall_mark("fenced", Some(from))?.is_none() {
        return Err(Error::Conflict(format!(
            "{from} was not fenced in this run: put the step `fence` before this one"
        )));
    }
    if fence::has_come_back(recovery)? {
        loss::weigh_again(recovery)?;
    }
    database::ensure_promoted(to, database)?;
    Ok(format!("{database} at {to} is the writer"))
}

fn verify_writer(recovery: &Recovery) -> Result<String, Error> {
    let (to, database) = (recovery.to(), &recovery.parameters.database);
    database::ensure_write_probe(to, database, &recovery.token())?;
    recovery.mark_to("writable")?;
    let seen = database::observe(to, database)?;
    attach(
        "writer",
        &json!({"endpoint": seen.endpoint, "tls": seen.tls, "read-only": seen.read_only, "position": seen.position}),
    )?;
    let problem = if seen.role != database::Role::Primary || seen.replication.is_some() {
        "it still replicates from another server"
    } else if seen.read_only {
        "it is read-only"
    } else if !seen.tls {
        "it was not reached over verified TLS"
    } else {
        return Ok(format!(
            "{} took a write over verified TLS; no replication is left",
            seen.endpoint
        ));
    };
    Err(Error::Conflict(format!(
        "{database} at {to} is no clean writer: {problem}"
    )))
}
