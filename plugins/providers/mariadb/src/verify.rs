//! Comparing a copy with its source, table by table, while the source keeps taking writes.
//!
//! The target is stopped; the source answers a checksum in a snapshot whose position it knows; the target replicates up
//! to exactly that position and stops; its checksum must be the same.

use understudy_sdk::host::understudy::types::types::{Error, Outcome};

use crate::config::Config;
use crate::copy;
use crate::follow::{Pair, waiting};
use crate::gtid::Position;
use crate::reseed::{Progress, finish, record, unlogged};
use crate::session::{Sql, Table, identifier, statements};

/// Verifies the next table, or finishes.
pub(crate) fn verify_next(
    sql: &impl Sql,
    config: &Config,
    pair: &Pair<'_>,
    progress: &Progress,
) -> Result<Outcome, Error> {
    let mut now = progress.clone();
    if now.end.is_empty() {
        let Some(cursor) = copy::next_table(sql, config, pair, &now.cursor)? else {
            return finish(sql, pair);
        };
        now.cursor = cursor;
        return take_snapshot(sql, pair, &mut now);
    }
    let end = Position::parse(&now.end).map_err(Error::Other)?;
    let Some(replica) = &pair.target.replica else {
        return Err(Error::Conflict(format!(
            "somebody ended replication at {} during the copy",
            pair.site
        )));
    };
    if replica.apply_errno != 0 {
        return Err(Error::Conflict(format!(
            "applying stopped: {}",
            replica.apply_error
        )));
    }
    let place = format!("`{}`.{}", now.cursor.schema, identifier(&now.cursor.table));
    if !pair.target.slave_position.contains(&end) {
        if replica.applying {
            return Ok(waiting(pair, format!("verifying {place} at {end}")));
        }
        sql.run(pair.connection, &replicate_until(&end))?;
        return Ok(waiting(pair, format!("verifying {place} at {end}")));
    }
    if replica.applying {
        // It has got there and not stopped itself yet.
        return Ok(waiting(pair, format!("verifying {place} at {end}")));
    }
    let answers = sql.run(pair.connection, &[format!("CHECKSUM TABLE {place}")])?;
    let ours = checksum(answers.first());
    if ours != now.checksum {
        return Err(Error::Conflict(format!(
            "the copy of {place} differs from its source at {end} (rows whose keys change during a copy are lost by it)"
        )));
    }
    now.end = String::new();
    now.checksum = String::new();
    let mut session = unlogged();
    session.push(record(&now));
    sql.run(pair.connection, &session)?;
    Ok(waiting(pair, format!("{place} is equal at {end}")))
}

/// Stops the target, takes the source's checksum, and lets the target replicate up to it.
fn take_snapshot(sql: &impl Sql, pair: &Pair<'_>, now: &mut Progress) -> Result<Outcome, Error> {
    sql.run(pair.connection, &statements(&["STOP SLAVE"]))?;
    let place = format!("`{}`.{}", now.cursor.schema, identifier(&now.cursor.table));
    let answers = sql.run(pair.source_connection, &snapshot(&place))?;
    now.checksum = checksum(answers.get(4));
    now.end = answers
        .get(3)
        .map(|table| table.single().to_owned())
        .unwrap_or_default();
    let end = Position::parse(&now.end).map_err(Error::Other)?;
    if end.is_empty() || now.checksum.is_empty() {
        return Err(Error::Conflict(format!(
            "the source answered no checksum or no position for {place}"
        )));
    }
    let mut session = unlogged();
    session.push(record(now));
    session.extend(replicate_until(&end));
    sql.run(pair.connection, &session)?;
    Ok(waiting(pair, format!("verifying {place} at {end}")))
}

/// A snapshot, its position, and a table's checksum in it. The server sets both at once (binlog group commit).
fn snapshot(place: &str) -> Vec<String> {
    let variable = |name: &str, into: &str| {
        format!(
            "SELECT VARIABLE_VALUE INTO {into} FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME = '{name}'"
        )
    };
    vec![
        "START TRANSACTION WITH CONSISTENT SNAPSHOT".to_owned(),
        variable("BINLOG_SNAPSHOT_FILE", "@understudy_file"),
        variable("BINLOG_SNAPSHOT_POSITION", "@understudy_position"),
        "SELECT BINLOG_GTID_POS(@understudy_file, @understudy_position) AS position".to_owned(),
        format!("CHECKSUM TABLE {place}"),
    ]
}

/// Replicates up to a position and no further. Both threads must be stopped before.
fn replicate_until(end: &Position) -> Vec<String> {
    vec![
        "STOP SLAVE".to_owned(),
        format!("START SLAVE UNTIL MASTER_GTID_POS = '{end}'"),
        // Often it is there at once, and the next poll finds it stopped.
        format!("SELECT MASTER_GTID_WAIT('{end}', 1)"),
    ]
}

fn checksum(answer: Option<&Table>) -> String {
    answer
        .and_then(|table| table.row(0))
        .map(|row| row.text("Checksum").to_owned())
        .unwrap_or_default()
}
