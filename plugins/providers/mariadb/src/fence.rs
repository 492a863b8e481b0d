//! Stopping writes at a site, and proving it.
//!
//! `read_only` refuses everybody's writes except those of accounts with READ_ONLY ADMIN (before 10.11: SUPER), so the
//! sessions of such accounts are ended, and the proof is a write attempted as an ordinary client.

use understudy_sdk::host::understudy::types::types::{Error, Outcome};
use understudy_sdk::provider::in_progress;

use crate::config::Config;
use crate::server::look;
use crate::session::Sql;
use crate::session::fence::{end_writers, prove_refused, switch_on};

/// Privileges that write in spite of `read_only`.
const BYPASSING: [&str; 2] = ["READ_ONLY ADMIN", "READ ONLY ADMIN"];

/// The same before 10.11.
const BYPASSING_BEFORE: [&str; 3] = ["READ_ONLY ADMIN", "READ ONLY ADMIN", "SUPER"];

/// Wait in milliseconds before looking again for sessions that were ended.
const POLL_AFTER_MS: u64 = 500;

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
    let bypassing: &[&str] = if server.super_bypasses_read_only() {
        &BYPASSING_BEFORE
    } else {
        &BYPASSING
    };
    if !server.read_only && !switch_on(sql, connection, "read_only")? {
        let ended = end_writers(sql, connection, bypassing)?;
        return Ok(waiting(
            site,
            &format!("{ended} sessions with open writes were ended"),
        ));
    }
    let ended = end_writers(sql, connection, bypassing)?;
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

fn waiting(site: &str, description: &str) -> Outcome {
    in_progress(format!("fence {site}"), description, POLL_AFTER_MS)
}
