//! Ending sessions that could still write, and proving that writes are refused.

use super::session::{Sql, is_refusal, statements};
use super::write_probe::PROBE_TABLE;
use crate::host::understudy::types::types::Error;

/// Wait in seconds for statements in flight to finish before their sessions are ended.
const WRITE_DRAIN_SECONDS: u32 = 3;

/// Sessions ended per call; with more, the next poll goes on.
const KILLS_PER_POLL: usize = 200;

/// `ER_OPTION_PREVENTS_STATEMENT`: what a write meets under `read_only`.
const READ_ONLY_REFUSAL: u32 = 1290;

/// `ER_LOCK_WAIT_TIMEOUT`.
const LOCK_WAIT_TIMEOUT: u32 = 1205;

/// `ER_NO_SUCH_THREAD`: it ended by itself.
const NO_SUCH_THREAD: u32 = 1094;

/// Switches `variable` on (`read_only`, `super_read_only`), which waits for statements in flight; false where they take
/// too long.
///
/// # Errors
/// As `sql.run`.
pub fn switch_on(sql: &impl Sql, connection: &str, variable: &str) -> Result<bool, Error> {
    let asked = sql.run(
        connection,
        &[
            format!("SET SESSION lock_wait_timeout = {WRITE_DRAIN_SECONDS}"),
            format!("SET GLOBAL {variable} = 1"),
        ],
    );
    match asked {
        Ok(_) => Ok(true),
        Err(error) if is_refusal(&error, LOCK_WAIT_TIMEOUT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Ends the sessions of other users that hold open writes or have one of `bypassing`, the privileges that write in
/// spite of `read_only`; answers how many there were.
///
/// # Errors
/// As `sql.run`.
pub fn end_writers(sql: &impl Sql, connection: &str, bypassing: &[&str]) -> Result<usize, Error> {
    let answers = sql.run(connection, &[writers(bypassing)])?;
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
fn writers(bypassing: &[&str]) -> String {
    // A list may not be empty; no privilege has an empty name.
    let privileges: Vec<String> = bypassing
        .iter()
        .chain(&[""])
        .map(|privilege| format!("'{privilege}'"))
        .collect();
    let privileges = privileges.join(", ");
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
/// it looks for the table or the privileges. `schema` is a checked name ([`super::schema_name`]).
///
/// # Errors
/// `conflict`: the write was not refused, or for another reason; else as `sql.run` where nothing was found out.
pub fn prove_refused(sql: &impl Sql, client: &str, schema: &str) -> Result<(), Error> {
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
