//! Making a server the writer.
//!
//! PostgreSQL applies what it has received before it ends recovery, also where applying was paused or delayed, so there is
//! nothing to prepare: a promotion is asked for and waited for.

use understudy_sdk::host::understudy::types::types::{Error, Outcome};
use understudy_sdk::provider::in_progress;
use understudy_sdk::sql::{Sql, statements};

use crate::config::Config;
use crate::dialect::{NOT_NOW, is_refusal};
use crate::server::{Server, look};

/// Wait in milliseconds before looking again at a server that applies what it received.
const POLL_AFTER_MS: u64 = 300;

/// See `ensure-promoted`.
pub(crate) fn ensure_promoted(
    sql: &impl Sql,
    config: &Config,
    site: &str,
    database: &str,
) -> Result<Outcome, Error> {
    let (connection, name) = (config.connection(site)?, config.database(database));
    let server = look(sql, connection, name, database)?;
    if !server.in_recovery {
        let_go_of_archive(sql, connection, &server)?;
        return match server.default_read_only {
            false => Ok(Outcome::Unchanged),
            true => Err(Error::Conflict(format!(
                "{site} is a primary, and somebody set default_transaction_read_only there: reset it"
            ))),
        };
    }
    others_are_fenced(sql, config, site, database)?;
    match sql.run(connection, &statements(&["SELECT pg_promote(false)"])) {
        // It was asked before, and has just come to its end.
        Err(error) if is_refusal(&error, NOT_NOW) => {}
        answer => drop(answer?),
    }
    let after = look(sql, connection, name, database)?;
    if after.in_recovery {
        let id = format!("promote {site}");
        let doing = format!("applying what was received, up to {}", server.received());
        return Ok(in_progress(id, doing, POLL_AFTER_MS));
    }
    let_go_of_archive(sql, connection, &after)?;
    match after.default_read_only {
        false => Ok(Outcome::Changed),
        true => Err(Error::Conflict(format!(
            "{site} was promoted, and somebody set default_transaction_read_only there: reset it"
        ))),
    }
}

/// Takes out of the settings of a server what it was restored from, and where it was to stop. As a standby it would stop at an
/// instant that has gone by, and take what the other server has archived since for its own log.
pub(crate) fn let_go_of_archive(
    sql: &impl Sql,
    connection: &str,
    server: &Server,
) -> Result<(), Error> {
    if !server.is_restored {
        return Ok(());
    }
    let reset = [
        "ALTER SYSTEM RESET restore_command",
        "ALTER SYSTEM RESET recovery_target",
        "ALTER SYSTEM RESET recovery_target_time",
    ];
    sql.run(connection, &statements(&reset)).map(drop)
}

/// Refuses where another site is known to accept writes. One that cannot be reached is not known to.
fn others_are_fenced(
    sql: &impl Sql,
    config: &Config,
    site: &str,
    database: &str,
) -> Result<(), Error> {
    let name = config.database(database);
    for other in config.other_sites(site) {
        match look(sql, config.connection(other)?, name, database) {
            Ok(server) if !server.in_recovery => {
                return Err(Error::Conflict(format!(
                    "{other} accepts writes; fence it before {site} is promoted"
                )));
            }
            Err(Error::Denied(denial)) => return Err(Error::Denied(denial)),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}
