//! Copying a source into a server whose own history has diverged, while the source keeps taking writes.
//!
//! 1. *create*: note the source's position, drop and create the schemas and tables.
//! 2. *copy*: rows in chunks of primary keys, not one consistent snapshot (`copy`).
//! 3. *replay*: replicate from the position noted before the copy, idempotently, until past the one noted after it:
//!    whatever changed during the copy is changed again.
//! 4. *verify*: table by table, stop at a position of a snapshot of the source and compare checksums. Replaying cannot
//!    repair a row whose primary or unique key changed during the copy; this finds it, and the copy is begun anew.
//!
//! Progress is one row in a schema of its own on the target, outside its binary log, so that every call goes on where
//! the last one got to and a crash loses nothing. Until the row is gone the copy is unusable, and a promotion refuses.

use understudy_sdk::host::understudy::types::types::{Error, Outcome};

use crate::backup::progress::forget;
use crate::config::Config;
use crate::copy::{self, Cursor};
use crate::follow::{Pair, change_master, waiting};
use crate::gtid::Position;
use crate::server::{Server, look};
use crate::session::{Sql, Table, identifier, literal, statements};
use crate::verify;

/// Schema of the bookkeeping on the target.
pub(crate) const BOOKKEEPING_SCHEMA: &str = "understudy_local";

/// Copies begun before a person is asked.
const ATTEMPTS: u32 = 3;

/// How far a copy is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) source: String,
    pub(crate) phase: String,
    pub(crate) attempt: u32,
    /// Source's position before the copy.
    pub(crate) start: String,
    /// Source's history up to there: what the copy contains without its binary log saying so.
    pub(crate) history: String,
    /// Source's position after the copy; while verifying, that of the snapshot.
    pub(crate) end: String,
    pub(crate) cursor: Cursor,
    pub(crate) copied_rows: u64,
    /// Source's checksum of the table being verified; empty where none was taken yet.
    pub(crate) checksum: String,
}

/// Begins a copy. `note` says why an earlier attempt failed.
pub(crate) fn begin(
    sql: &impl Sql,
    config: &Config,
    pair: &Pair<'_>,
    attempt: u32,
    note: &str,
) -> Result<Outcome, Error> {
    if attempt > ATTEMPTS {
        return Err(Error::Conflict(format!(
            "copying {} to {} failed {ATTEMPTS} times, the last time: {note}. Seed {} with mariadb-backup, set its \
             gtid_slave_pos, drop its schema {BOOKKEEPING_SCHEMA} and call again",
            pair.source_site, pair.site, pair.site
        )));
    }
    if pair.source.binlog_format != "ROW" {
        return Err(Error::Conflict(format!(
            "copying needs binlog_format=ROW at {}, it is {}; set it there and restart its clients' sessions",
            pair.source_site, pair.source.binlog_format
        )));
    }
    let known = config.known_schemas(pair.schema);
    copy::check_copyable(sql, pair.source_connection, pair.source_site, &known)?;
    copy::check_no_other_schemas(sql, pair.connection, pair.site, &known)?;
    let progress = Progress {
        source: pair.source_site.to_owned(),
        phase: "create".to_owned(),
        attempt,
        start: pair.source.binlog_position.to_string(),
        history: pair
            .source
            .history
            .up_to(&pair.source.binlog_position)
            .to_string(),
        ..Progress::default()
    };
    let mut session = vec![
        "SET SESSION sql_log_bin = 0".to_owned(),
        "SET SESSION sql_mode = ''".to_owned(),
    ];
    if pair.target.replica.is_some() {
        session.extend(statements(&["STOP SLAVE", "RESET SLAVE ALL"]));
    }
    session.push(format!(
        "CREATE DATABASE IF NOT EXISTS {BOOKKEEPING_SCHEMA} CHARACTER SET utf8mb4"
    ));
    session.push(format!(
        "CREATE TABLE IF NOT EXISTS {BOOKKEEPING_SCHEMA}.reseed (id TINYINT NOT NULL PRIMARY KEY, source VARCHAR(190) NOT NULL, \
         phase VARCHAR(16) NOT NULL, attempt INT NOT NULL, start_position TEXT NOT NULL, history TEXT NOT NULL, end_position TEXT NOT NULL, \
         cursor_json MEDIUMTEXT NOT NULL, copied_rows BIGINT NOT NULL, checksum VARCHAR(64) NOT NULL) ENGINE=InnoDB"
    ));
    session.push(record(&progress));
    session.push(forget());
    sql.run(pair.connection, &session)?;
    Ok(waiting(
        pair,
        format!(
            "{} has diverged; copying {} begins (attempt {attempt})",
            pair.site, pair.source_site
        ),
    ))
}

/// Goes on with a copy.
pub(crate) fn go_on(
    sql: &impl Sql,
    config: &Config,
    pair: &Pair<'_>,
    progress: Progress,
) -> Result<Outcome, Error> {
    if progress.source != pair.source_site {
        return begin(sql, config, pair, 1, "");
    }
    let outcome = match progress.phase.as_str() {
        "create" => create(sql, config, pair, &progress),
        "copy" => copy_some(sql, config, pair, &progress),
        "replay" => replay(sql, pair, &progress),
        "verify" => verify::verify_next(sql, config, pair, &progress),
        other => Err(Error::Other(format!(
            "unknown phase `{other}` in {BOOKKEEPING_SCHEMA}.reseed at {}",
            pair.site
        ))),
    };
    match outcome {
        // The server refused something: a table changed under the copy, or a row moved. Begin anew, a few times.
        Err(Error::Conflict(why)) => begin(sql, config, pair, progress.attempt + 1, &why),
        other => other,
    }
}

/// The copy that is under way on a server, if any.
pub(crate) fn unfinished(
    sql: &impl Sql,
    connection: &str,
    server: &Server,
) -> Result<Option<Progress>, Error> {
    if !server.has_bookkeeping {
        return Ok(None);
    }
    let question = format!(
        "SELECT source, phase, attempt, start_position, history, end_position, cursor_json, copied_rows, checksum \
         FROM {BOOKKEEPING_SCHEMA}.reseed WHERE id = 1"
    );
    let answers = sql.run(connection, &[question])?;
    answers
        .first()
        .and_then(|table| table.row(0))
        .map(|row| {
            Ok(Progress {
                source: row.text("source").to_owned(),
                phase: row.text("phase").to_owned(),
                attempt: u32::try_from(row.number("attempt")).unwrap_or(u32::MAX),
                start: row.text("start_position").to_owned(),
                history: row.text("history").to_owned(),
                end: row.text("end_position").to_owned(),
                cursor: Cursor::read(row.text("cursor_json"))?,
                copied_rows: row.number("copied_rows"),
                checksum: row.text("checksum").to_owned(),
            })
        })
        .transpose()
}

/// Refuses to use a server that holds half a copy.
pub(crate) fn refuse_unfinished(
    sql: &impl Sql,
    connection: &str,
    server: &Server,
    site: &str,
) -> Result<(), Error> {
    match unfinished(sql, connection, server)? {
        None => Ok(()),
        Some(progress) => Err(Error::Conflict(format!(
            "{site} holds an unfinished copy of {} (phase {}); finish it with ensure-replica-of",
            progress.source, progress.phase
        ))),
    }
}

/// The statement that writes progress down.
pub(crate) fn record(progress: &Progress) -> String {
    format!(
        "REPLACE INTO {BOOKKEEPING_SCHEMA}.reseed VALUES (1, {}, '{}', {}, '{}', '{}', '{}', {}, {}, {})",
        literal(&progress.source),
        progress.phase,
        progress.attempt,
        progress.start,
        progress.history,
        progress.end,
        literal(&progress.cursor.write()),
        progress.copied_rows,
        literal(&progress.checksum)
    )
}

/// Statements every session on the target begins with: nothing it does is the target's own history.
pub(crate) fn unlogged() -> Vec<String> {
    statements(&[
        "SET SESSION sql_log_bin = 0",
        "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'",
        "SET SESSION time_zone = '+00:00'",
        "SET SESSION foreign_key_checks = 0",
    ])
}

/// Drops and creates schemas and tables as the source defines them.
fn create(
    sql: &impl Sql,
    config: &Config,
    pair: &Pair<'_>,
    progress: &Progress,
) -> Result<Outcome, Error> {
    let mut session = unlogged();
    for schema in config.known_schemas(pair.schema) {
        session.push(format!("DROP DATABASE IF EXISTS `{schema}`"));
        let tables = copy::tables(sql, pair.source_connection, &schema)?;
        let Some(definition) = copy::schema_definition(sql, pair.source_connection, &schema)?
        else {
            continue;
        };
        session.push(definition);
        session.push(format!("USE `{schema}`"));
        let questions: Vec<_> = tables
            .iter()
            .map(|table| format!("SHOW CREATE TABLE `{schema}`.{}", identifier(table)))
            .collect();
        let answers = sql.run(pair.source_connection, &questions)?;
        session.extend(answers.iter().filter_map(Table::definition));
    }
    session.push(record(&Progress {
        phase: "copy".to_owned(),
        ..progress.clone()
    }));
    sql.run(pair.connection, &session)?;
    Ok(waiting(pair, "tables are created, copying rows".to_owned()))
}

/// Copies a bounded amount; after the last row, notes the source's position and begins to replicate.
fn copy_some(
    sql: &impl Sql,
    config: &Config,
    pair: &Pair<'_>,
    progress: &Progress,
) -> Result<Outcome, Error> {
    let mut now = progress.clone();
    if !copy::copy_chunks(sql, config, pair, &mut now)? {
        let place = format!("{}.{}", now.cursor.schema, now.cursor.table);
        return Ok(waiting(
            pair,
            format!("copying {place}, {} rows so far", now.copied_rows),
        ));
    }
    let source = look(sql, pair.source_connection, pair.schema)?;
    now.phase = "replay".to_owned();
    now.end = source.binlog_position.to_string();
    now.cursor = Cursor::default();
    let mut session = unlogged();
    session.push(record(&now));
    sql.run(pair.connection, &session)?;
    Ok(waiting(
        pair,
        format!(
            "{} rows are copied, replaying from {} to {}",
            now.copied_rows, now.start, now.end
        ),
    ))
}

/// Replicates idempotently until past the end of the copy.
fn replay(sql: &impl Sql, pair: &Pair<'_>, progress: &Progress) -> Result<Outcome, Error> {
    let end = Position::parse(&progress.end).map_err(Error::Other)?;
    let Some(replica) = &pair.target.replica else {
        // The target's own history is discarded with its data; transactions of it would be out of order after these.
        sql.run(
            pair.connection,
            &[
                "RESET MASTER".to_owned(),
                // What is copied counts as its history, so that a server that stands there can follow this one later.
                format!("SET GLOBAL gtid_binlog_state = '{}'", progress.history),
                format!("SET GLOBAL gtid_slave_pos = '{}'", progress.start),
                "SET GLOBAL slave_exec_mode = 'IDEMPOTENT'".to_owned(),
                change_master(&pair.address, pair.replication)?,
                "START SLAVE".to_owned(),
            ],
        )?;
        return Ok(waiting(
            pair,
            format!("replaying from {} to {}", progress.start, progress.end),
        ));
    };
    if replica.apply_errno != 0 {
        return Err(Error::Conflict(format!(
            "replaying stopped: {}",
            replica.apply_error
        )));
    }
    if replica.receive_errno != 0 && replica.receive_errno < 2000 {
        return Err(Error::Conflict(format!(
            "receiving for the replay fails: {}",
            replica.receive_error
        )));
    }
    if !pair.target.slave_position.contains(&end) {
        if replica.receiving == "No" || !replica.applying {
            sql.run(
                pair.connection,
                &statements(&["SET GLOBAL slave_exec_mode = 'IDEMPOTENT'", "START SLAVE"]),
            )?;
        }
        return Ok(waiting(
            pair,
            format!(
                "replayed up to {} of {}",
                pair.target.slave_position, progress.end
            ),
        ));
    }
    let mut session = unlogged();
    session.extend(statements(&[
        "STOP SLAVE",
        "SET GLOBAL slave_exec_mode = 'STRICT'",
    ]));
    session.push(record(&Progress {
        phase: "verify".to_owned(),
        end: String::new(),
        ..progress.clone()
    }));
    sql.run(pair.connection, &session)?;
    Ok(waiting(
        pair,
        "the copy is complete, verifying it".to_owned(),
    ))
}

/// Replication is on and every table was equal: the copy is a replica.
pub(crate) fn finish(sql: &impl Sql, pair: &Pair<'_>) -> Result<Outcome, Error> {
    sql.run(
        pair.connection,
        &[
            "SET SESSION sql_log_bin = 0".to_owned(),
            "SET GLOBAL slave_exec_mode = 'STRICT'".to_owned(),
            "START SLAVE".to_owned(),
            format!("DELETE FROM {BOOKKEEPING_SCHEMA}.reseed"),
        ],
    )?;
    let after = look(sql, pair.connection, pair.schema)?;
    match &after.replica {
        Some(replica) if replica.is_running() => Ok(Outcome::Changed),
        _ => Ok(waiting(
            pair,
            "the copy is verified, replication is starting".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_written_without_anything_that_needs_escaping() {
        let statement = record(&Progress {
            source: "b'z".to_owned(),
            phase: "copy".to_owned(),
            attempt: 2,
            start: "0-2-30".to_owned(),
            ..Progress::default()
        });
        assert!(
            statement.contains("_utf8mb4 x'62277a', 'copy', 2, '0-2-30', '', ''"),
            "{statement}"
        );
        assert!(!statement.contains("b'z"));
    }
}
