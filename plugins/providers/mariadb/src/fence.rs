//! Stopping writes at a site, and proving it.
//!
//! `read_only` refuses everybody's writes except those of accounts with READ_ONLY ADMIN (before 10.11: SUPER), so the
//! sessions of such accounts are ended, and the proof is a write attempted as an ordinary client.

use understudy_sdk::host::understudy::types::types::{Error, Outcome};
use understudy_sdk::provider::in_progress;

use crate::config::Config;
use crate::server::{Server, look};
use crate::session::{Sql, is_refusal, statements};
use crate::write_probe::PROBE_TABLE;

/// Wait in seconds for statements in flight to finish before their sessions are ended.
const WRITE_DRAIN_SECONDS: u32 = 3;

/// Sessions ended per call; with more, the next poll goes on.
const KILLS_PER_POLL: usize = 200;

/// Wait in milliseconds before looking again for sessions that were ended.
const POLL_AFTER_MS: u64 = 500;

/// `ER_OPTION_PREVENTS_STATEMENT`: what a write meets under `read_only`.
const READ_ONLY_REFUSAL: u32 = 1290;

/// `ER_LOCK_WAIT_TIMEOUT`.
const LOCK_WAIT_TIMEOUT: u32 = 1205;

/// `ER_NO_SUCH_THREAD`: it ended by itself.
const NO_SUCH_THREAD: u32 = 1094;

/// See `ensure-fenced`.
pub(crate) fn ensure_fenced(
    sql: &impl Sql,
    config: &Config,
    site: &str,
    database: &str,
) -> Result<Outcome, Error> {
    let schema = config.schema(database)?;
    let connection = config.connection(site)?;
    let server = look(sql, connection, schema)?;
    if !server.read_only && !set_read_only(sql, connection)? {
        let ended = end_writers(sql, connection, &server)?;
        return Ok(waiting(
            site,
            &format!("{ended} sessions with open writes were ended"),
        ));
    }
    let ended = end_writers(sql, connection, &server)?;
    if ended > 0 {
        return Ok(waiting(
            site,
            &format!("waiting for {ended} sessions that could still write to end"),
        ));
    }
    prove_refused(sql, config.client_connection(site)?, schema)?;
    // Between the first look and the proof somebody else could have switched it off again.
    if !look(sql, connection, schema)?.read_only {
        return Err(Error::Conflict(format!(
            "read_only at {site} was switched off again by somebody else"
        )));
    }
    Ok(if server.read_only {
        Outcome::Unchanged
    } else {
        Outcome::Changed
    })
}

/// Switches `read_only` on, which waits for statements in flight; false where they take too long.
fn set_read_only(sql: &impl Sql, connection: &str) -> Result<bool, Error> {
    let asked = sql.run(
        connection,
        &[
            format!("SET SESSION lock_wait_timeout = {WRITE_DRAIN_SECONDS}"),
            "SET GLOBAL read_only = 1".to_owned(),
        ],
    );
    match asked {
        Ok(_) => Ok(true),
        Err(error) if is_refusal(&error, LOCK_WAIT_TIMEOUT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Ends the sessions of other users that hold open writes or may bypass `read_only`; answers how many there were.
fn end_writers(sql: &impl Sql, connection: &str, server: &Server) -> Result<usize, Error> {
    let answers = sql.run(connection, &[writers(server)])?;
    let ids: Vec<u64> = answers
        .first()
        .map(|table| {
            table
                .iter()
                .map(|row| row.number("id"))
                .filter(|id| *id > 0)
                .collect()
        })
        .unwrap_or_default();
    for id in &ids {
        match sql.run(connection, &[format!("KILL CONNECTION {id}")]) {
            Err(error) if !is_refusal(&error, NO_SUCH_THREAD) => return Err(error),
            _ => {}
        }
    }
    Ok(ids.len())
}

/// The question after sessions that could still write. The administering user's own are left alone: the host's other
/// calls are among them. Needs PROCESS and SELECT on `mysql` to see everybody.
fn writers(server: &Server) -> String {
    let privileges = if server.super_bypasses_read_only() {
        "'READ_ONLY ADMIN', 'READ ONLY ADMIN', 'SUPER'"
    } else {
        "'READ_ONLY ADMIN', 'READ ONLY ADMIN'"
    };
    format!(
        "SELECT p.ID AS id FROM information_schema.PROCESSLIST p \
         WHERE p.ID <> CONNECTION_ID() AND p.USER NOT IN ('system user', 'event_scheduler') \
         AND p.USER <> SUBSTRING_INDEX(USER(), '@', 1) AND p.COMMAND NOT IN ('Binlog Dump', 'Daemon', 'Killed') \
         AND (p.ID IN (SELECT t.trx_mysql_thread_id FROM information_schema.INNODB_TRX t WHERE t.trx_rows_modified > 0) \
         OR CONCAT('''', p.USER, '''') IN (SELECT SUBSTRING_INDEX(u.GRANTEE, '@', 1) \
         FROM information_schema.USER_PRIVILEGES u WHERE u.PRIVILEGE_TYPE IN ({privileges}))) \
         ORDER BY p.ID LIMIT {KILLS_PER_POLL}"
    )
}

/// Attempts a write that would change nothing, and wants it refused for being read-only. The server checks this before
/// it looks for the table or the privileges.
fn prove_refused(sql: &impl Sql, client: &str, schema: &str) -> Result<(), Error> {
    let attempt = format!("DELETE FROM `{schema}`.`{PROBE_TABLE}` WHERE 1 = 0");
    match sql.run(client, &statements(&[&attempt])) {
        Err(error) if is_refusal(&error, READ_ONLY_REFUSAL) => Ok(()),
        Err(
            error @ (Error::Unavailable(_)
            | Error::Denied(_)
            | Error::InDoubt(_)
            | Error::TimedOut(_)),
        ) => Err(error),
        Ok(_) | Err(_) => Err(Error::Conflict(format!(
            "read_only is on, and a write through the connection `{client}` was not refused for it: its user may bypass \
             read_only (READ_ONLY ADMIN, GRANT ALL ON *.*). Name an ordinary client's under `client-connections`, or \
             revoke that privilege"
        ))),
    }
}

fn waiting(site: &str, description: &str) -> Outcome {
    in_progress(format!("fence {site}"), description, POLL_AFTER_MS)
}
