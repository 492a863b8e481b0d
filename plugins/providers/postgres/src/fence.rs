//! Stopping writes at a site, and proving it.
//!
//! A server that accepts writes is made a standby of nobody: it is marked (`standby.signal`), told no source, and restarted.
//! It comes up in recovery, in which PostgreSQL itself assigns no transaction to anybody. That is the only state of a
//! running server that no session gets out of:
//!
//! | other way | what is wrong with it |
//! |---|---|
//! | `default_transaction_read_only` | a default: every session may say `SET transaction_read_only = off` |
//! | `ALTER ROLE … NOLOGIN`, `CONNECTION LIMIT`, `REVOKE`, `ALLOW_CONNECTIONS false` | rows of the catalog: they replicate, and fence the site that takes over as well; superusers and whoever was forgotten pass |
//! | `pg_hba.conf` | sessions that are there go on, and a reload brings nobody down |
//! | stopping the server | nothing can be read and compared there any more |
//!
//! The restart ends every session, the shutdown before it sends replicas the log to its end, and the mark stays: a server
//! that dies and comes back is still fenced. What it does not stop: who may call `pg_promote` there, or takes the mark away
//! on the machine; and prepared transactions stay prepared.
//!
//! Where the server does not answer but its machine does, marking and restarting are done all the same: a server that comes
//! back as a standby is fenced, whatever was wrong with it.

use understudy_sdk::exec::Programs;
use understudy_sdk::exec::waiting;
use understudy_sdk::host::understudy::types::types::{Error, Outcome};
use understudy_sdk::provider::{in_progress, unavailable};
use understudy_sdk::sql::{Sql, statements};

use crate::config::Config;
use crate::dialect::{READ_ONLY, is_refusal, is_starting};
use crate::programs::{Stand, gave_up, run};
use crate::promote::let_go_of_archive;
use crate::server::look;

/// Wait in milliseconds before looking again at a server that starts.
const POLL_AFTER_MS: u64 = 500;

/// See `ensure-fenced`.
pub(crate) fn ensure_fenced(
    sql: &impl Sql,
    programs: &impl Programs,
    config: &Config,
    site: &str,
    database: &str,
) -> Result<Outcome, Error> {
    let connection = config.connection(site)?;
    let name = config.database(database);
    let (seen, answer) = match look(sql, connection, name, database) {
        Ok(server) if server.in_recovery => {
            prove_refused(sql, config.client_connection(site)?)?;
            return Ok(Outcome::Unchanged);
        }
        Ok(server) => (Some(server), Ok(())),
        Err(error) if is_starting(&error) => {
            let id = format!("fence {site}");
            return Ok(in_progress(id, "the server is starting", POLL_AFTER_MS));
        }
        Err(error @ Error::Unavailable(_)) => (None, Err(error)),
        Err(error) => return Err(error),
    };
    let server = match (config.server(site), answer) {
        (Ok(server), _) => server,
        // Nobody can do more about it than say so.
        (Err(_), Err(unreachable)) => return Err(unreachable),
        (Err(error), Ok(())) => return Err(error),
    };
    let was_seen = seen.is_some();
    if let Some(server) = &seen {
        let_go_of_archive(sql, connection, server)?;
    }
    if seen.is_some_and(|server| server.source.is_some()) {
        // Where it was a replica once; it would be one again.
        sql.run(
            connection,
            &statements(&["ALTER SYSTEM SET primary_conninfo = ''"]),
        )?;
    }
    for (program, what) in [(&server.standby, "mark"), (&server.restart, "restart")] {
        match run(programs, program, &format!("{what} {site}"))? {
            Stand::Done => {}
            Stand::Running(ms) => {
                let doing = format!("the server of {site} becomes a standby ({what})");
                return Ok(waiting(&format!("fence {site}"), &doing, ms));
            }
            // Neither the server nor its machine can be told anything.
            Stand::Failed(words) if !was_seen => return Err(unavailable(words)),
            Stand::Failed(words) => return Err(gave_up(words)),
        }
    }
    let after = look(sql, connection, name, database)?;
    if !after.in_recovery {
        return Err(Error::Conflict(format!(
            "the server of {site} was marked as a standby and restarted, and accepts writes: do the programs `{}` and `{}` \
             act on the data directory that it runs on?",
            server.standby, server.restart
        )));
    }
    prove_refused(sql, config.client_connection(site)?)?;
    Ok(Outcome::Changed)
}

/// Attempts a write as an ordinary client, and wants it refused for being read-only. The server checks this before it looks
/// at privileges; where it does not refuse, the transaction is rolled back.
fn prove_refused(sql: &impl Sql, client: &str) -> Result<(), Error> {
    let attempt = statements(&[
        "BEGIN",
        "CREATE TABLE understudy_fence (n integer)",
        "ROLLBACK",
    ]);
    let attempted = sql.run(client, &attempt);
    match attempted {
        Err(error) if is_refusal(&error, READ_ONLY) => Ok(()),
        Err(Error::Conflict(text)) => Err(Error::Conflict(format!(
            "a write through the connection `{client}` was refused, but not for being read-only: {text}"
        ))),
        Err(error) => Err(error),
        Ok(_) => Err(Error::Conflict(format!(
            "the server recovers, and a write through the connection `{client}` was not refused: does it lead elsewhere?"
        ))),
    }
}
