//! Making a replica the writer.
//!
//! The received relay log must be applied before replication is taken away. Two things would lose it: `RESET SLAVE`,
//! and **starting either thread of a GTID replica while both are stopped** (the server then drops the relay log and
//! fetches it again from the source). So the receiving thread is stopped while the applying one runs, never the other
//! way round.

use understudy_sdk::host::understudy::types::types::{Error, Outcome};
use understudy_sdk::provider::in_progress;

use crate::backup::progress;
use crate::config::Config;
use crate::reseed;
use crate::server::{Replica, Server, look};
use crate::session::{Sql, statements};

/// Wait in milliseconds before looking again at a relay log that is being applied.
const POLL_AFTER_MS: u64 = 500;

/// What to send next to a replica on its way to becoming the writer.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// These statements, then look again.
    Send(&'static [&'static str]),
    /// These statements, and it is the writer.
    Finish(&'static [&'static str]),
    /// Nothing: the relay log is being applied.
    Wait,
    /// Nothing can be sent without losing what was received.
    Refuse(String),
}

/// See `ensure-promoted`.
pub(crate) fn ensure_promoted(
    sql: &impl Sql,
    config: &Config,
    site: &str,
    database: &str,
) -> Result<Outcome, Error> {
    let schema = config.schema(database)?;
    let connection = config.connection(site)?;
    let server = look(sql, connection, schema)?;
    progress::refuse_unusable(sql, connection, site)?;
    if !server.has_schema {
        return Err(Error::NotFound(format!(
            "database {database} at {site} (schema {schema})"
        )));
    }
    reseed::refuse_unfinished(sql, connection, &server, site)?;
    if server.replica.is_none() && !server.read_only {
        return Ok(Outcome::Unchanged);
    }
    let source_answers = others_are_fenced(sql, config, site, schema)?;
    match next(&server, source_answers) {
        Next::Refuse(why) => Err(Error::Conflict(why)),
        Next::Wait => Ok(waiting(site, "applying what was received")),
        Next::Send(texts) => {
            sql.run(connection, &statements(texts))?;
            Ok(waiting(site, "applying what was received"))
        }
        Next::Finish(texts) => {
            sql.run(connection, &statements(texts))?;
            let after = look(sql, connection, schema)?;
            if after.read_only || after.replica.is_some() {
                return Err(Error::Conflict(format!(
                    "{site} was promoted and is {} again: somebody else changes it",
                    if after.read_only {
                        "read-only"
                    } else {
                        "a replica"
                    }
                )));
            }
            Ok(Outcome::Changed)
        }
    }
}

/// Decides from what was seen. `source_answers`: another site was reached, so what is fetched again is there.
fn next(server: &Server, source_answers: bool) -> Next {
    let Some(replica) = &server.replica else {
        return Next::Finish(&["SET GLOBAL read_only = 0"]);
    };
    if replica.has_applied_all(&server.slave_position) {
        return if replica.receiving == "No" {
            Next::Finish(&["STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = 0"])
        } else {
            // Stop receiving first and look again: more may arrive between the look and the stop.
            Next::Send(&["STOP SLAVE IO_THREAD"])
        };
    }
    if replica.applying {
        return if replica.receiving == "No" {
            Next::Wait
        } else {
            Next::Send(&["STOP SLAVE IO_THREAD"])
        };
    }
    if replica.apply_errno != 0 {
        return Next::Refuse(format!(
            "received up to {}, applied up to {}, and applying stopped: {}. Repair it, or accept that loss by RESET SLAVE ALL",
            replica.received, server.slave_position, replica.apply_error
        ));
    }
    if replica.receiving != "No" {
        return Next::Send(&["START SLAVE SQL_THREAD"]);
    }
    if source_answers {
        return Next::Send(&["START SLAVE"]);
    }
    Next::Refuse(lost_relay_log(replica, server))
}

fn lost_relay_log(replica: &Replica, server: &Server) -> String {
    format!(
        "received up to {}, applied up to {}, both replication threads are stopped and the source is out of reach: starting \
         either would drop the received part. Accept that loss by RESET SLAVE ALL, or apply the relay log by hand",
        replica.received, server.slave_position
    )
}

/// Refuses where another site is known to accept writes; answers whether any other site was reached. A site that
/// cannot be reached is not known to.
fn others_are_fenced(
    sql: &impl Sql,
    config: &Config,
    site: &str,
    schema: &str,
) -> Result<bool, Error> {
    let mut reached = false;
    for other in config.other_sites(site) {
        match look(sql, config.connection(other)?, schema) {
            Ok(server) if !server.read_only && server.has_schema => {
                return Err(Error::Conflict(format!(
                    "{other} accepts writes; fence it before {site} is promoted"
                )));
            }
            Ok(_) => reached = true,
            Err(Error::Denied(denial)) => return Err(Error::Denied(denial)),
            Err(_) => {}
        }
    }
    Ok(reached)
}

fn waiting(site: &str, description: &str) -> Outcome {
    in_progress(format!("promote {site}"), description, POLL_AFTER_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gtid::Position;

    fn server(receiving: &str, applying: bool, received: &str) -> Server {
        Server {
            read_only: true,
            slave_position: Position::parse("0-1-15").unwrap(),
            replica: Some(Replica {
                receiving: receiving.to_owned(),
                applying,
                uses_gtid: true,
                received: Position::parse(received).unwrap(),
                ..Replica::default()
            }),
            ..Server::default()
        }
    }

    #[test]
    fn receiving_is_stopped_before_replication_is_taken_away() {
        assert_eq!(
            next(&server("Connecting", true, "0-1-15"), false),
            Next::Send(&["STOP SLAVE IO_THREAD"])
        );
        assert!(matches!(
            next(&server("No", true, "0-1-15"), false),
            Next::Finish(_)
        ));
        assert!(matches!(
            next(&server("No", false, "0-1-15"), false),
            Next::Finish(_)
        ));
    }

    #[test]
    fn what_was_received_is_applied_first() {
        assert_eq!(
            next(&server("Connecting", true, "0-1-16"), false),
            Next::Send(&["STOP SLAVE IO_THREAD"])
        );
        assert_eq!(next(&server("No", true, "0-1-16"), false), Next::Wait);
        // The applying thread is started while the receiving one still runs, else the relay log is dropped.
        assert_eq!(
            next(&server("Connecting", false, "0-1-16"), false),
            Next::Send(&["START SLAVE SQL_THREAD"])
        );
    }

    #[test]
    fn a_relay_log_that_starting_would_drop_is_kept_while_the_source_is_away() {
        assert!(
            matches!(next(&server("No", false, "0-1-16"), false), Next::Refuse(text) if text.contains("0-1-16"))
        );
        assert_eq!(
            next(&server("No", false, "0-1-16"), true),
            Next::Send(&["START SLAVE"])
        );
    }

    #[test]
    fn a_fenced_primary_only_becomes_writable_again() {
        let fenced = Server {
            read_only: true,
            ..Server::default()
        };
        assert_eq!(
            next(&fenced, false),
            Next::Finish(&["SET GLOBAL read_only = 0"])
        );
    }
}
