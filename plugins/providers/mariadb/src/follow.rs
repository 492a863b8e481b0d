//! Making a server follow another, and waiting until it has caught up.
//!
//! Start at [`ensure_replica_of`]: it follows on from where the server stands where the source's history holds that, and
//! hands over to `reseed` where it does not.

use understudy_sdk::host::understudy::types::types::{Error, Outcome};
use understudy_sdk::provider::in_progress;

use crate::backup::progress;
use crate::config::{Config, Replication};
use crate::gtid::Position;
use crate::reseed;
use crate::server::{Replica, Server, look};
use crate::session::{Sql, statements};

/// Wait in milliseconds before looking again at replication that is starting.
const POLL_AFTER_MS: u64 = 1000;

/// Wait in seconds on the server for a position, per call.
const CATCH_UP_WAIT_SECONDS: u32 = 2;

/// Wait in milliseconds between two such calls.
const CATCH_UP_POLL_MS: u64 = 250;

/// Seconds between two attempts of a replica to reach its source.
const CONNECT_RETRY_SECONDS: u32 = 5;

/// `ER_MASTER_FATAL_ERROR_READING_BINLOG`: what the replica asks for is not in the source's binary log.
const NOT_IN_BINLOG: u64 = 1236;

/// Apply errors that say that the data or the history differs: duplicate entry, row not found, transaction out of order.
const DIVERGENCE: [u64; 4] = [1062, 1032, 1950, 1946];

/// Both ends of a replication, as seen and as configured.
pub(crate) struct Pair<'a> {
    pub(crate) site: &'a str,
    pub(crate) source_site: &'a str,
    pub(crate) schema: &'a str,
    pub(crate) connection: &'a str,
    pub(crate) source_connection: &'a str,
    /// `host:port` of the source as the replica shall know it.
    pub(crate) address: String,
    pub(crate) replication: &'a Replication,
    pub(crate) target: Server,
    pub(crate) source: Server,
}

/// What to do about a server that shall follow another.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// It does.
    Done,
    /// It is about to.
    Wait(String),
    /// Replication is set up and was stopped.
    Start,
    /// Replication runs up to a position only, which somebody's verification left behind.
    Restart,
    /// Its history is part of the source's: follow on from this position.
    Attach(Position),
    /// Its history is not: copy.
    Reseed,
    /// A person has to change something.
    Refuse(String),
}

/// See `ensure-replica-of`.
pub(crate) fn ensure_replica_of(
    sql: &impl Sql,
    config: &Config,
    site: &str,
    database: &str,
    source_site: &str,
) -> Result<Outcome, Error> {
    if site == source_site {
        return Err(Error::Invalid(format!(
            "{site} cannot be a replica of itself"
        )));
    }
    let schema = config.schema(database)?;
    let (connection, source_connection) =
        (config.connection(site)?, config.connection(source_site)?);
    let replication = config.replication()?;
    let address = match replication.address(source_site) {
        Some(address) => address.to_owned(),
        None => sql.address(source_connection)?,
    };
    let pair = Pair {
        site,
        source_site,
        schema,
        connection,
        source_connection,
        address,
        replication,
        target: look(sql, connection, schema)?,
        source: look(sql, source_connection, schema)?,
    };
    check(&pair)?;
    if let Some(progress) = reseed::unfinished(sql, connection, &pair.target)? {
        return reseed::go_on(sql, config, &pair, progress);
    }
    if progress::is_unusable(sql, connection)? {
        // Whatever position it names, it does not hold what belongs to it.
        return reseed::begin(sql, config, &pair, 1, "");
    }
    match next(&pair) {
        Next::Done => Ok(Outcome::Unchanged),
        Next::Wait(description) => Ok(waiting(&pair, description)),
        Next::Refuse(why) => Err(Error::Conflict(why)),
        Next::Reseed => reseed::begin(sql, config, &pair, 1, ""),
        Next::Start => {
            sql.run(connection, &statements(&["START SLAVE"]))?;
            Ok(waiting(&pair, "replication was started".to_owned()))
        }
        Next::Restart => {
            sql.run(connection, &statements(&["STOP SLAVE", "START SLAVE"]))?;
            Ok(waiting(&pair, "replication was started again".to_owned()))
        }
        Next::Attach(position) => {
            sql.run(connection, &attach(&pair, &position)?)?;
            Ok(waiting(
                &pair,
                format!("replication was started at {position}"),
            ))
        }
    }
}

/// See `ensure-caught-up`.
pub(crate) fn ensure_caught_up(
    sql: &impl Sql,
    config: &Config,
    site: &str,
    database: &str,
    position: &str,
) -> Result<Outcome, Error> {
    let wanted = Position::parse(position).map_err(Error::Invalid)?;
    let schema = config.schema(database)?;
    let connection = config.connection(site)?;
    let server = look(sql, connection, schema)?;
    reseed::refuse_unfinished(sql, connection, &server, site)?;
    if server.position.contains(&wanted) {
        return Ok(Outcome::Unchanged);
    }
    let stopped = |why: &str| {
        Err(Error::Conflict(format!(
            "{site} is at {}, not at {wanted}, and {why}",
            server.position
        )))
    };
    let Some(replica) = &server.replica else {
        return stopped("nothing replicates into it");
    };
    if !replica.applying {
        return stopped(&format!(
            "applying has stopped: {}",
            or_no_error(&replica.apply_error)
        ));
    }
    if replica.receiving == "No" && !replica.received.contains(&wanted) {
        return stopped(&format!(
            "receiving has stopped: {}",
            or_no_error(&replica.receive_error)
        ));
    }
    let wait = format!("SELECT MASTER_GTID_WAIT('{wanted}', {CATCH_UP_WAIT_SECONDS}) AS waited");
    let answers = sql.run(connection, &[wait])?;
    if answers.first().is_some_and(|table| table.single() == "0") {
        return Ok(Outcome::Unchanged);
    }
    let description = format!(
        "{site} is at {}, waiting for {wanted} {}",
        server.position,
        replica.problem()
    );
    Ok(in_progress(
        format!("catch-up {site}"),
        description.trim_end(),
        CATCH_UP_POLL_MS,
    ))
}

fn or_no_error(text: &str) -> &str {
    if text.is_empty() {
        "no error, somebody stopped it"
    } else {
        text
    }
}

/// What must hold before anything is sent.
fn check(pair: &Pair<'_>) -> Result<(), Error> {
    let conflict = |text: String| Err(Error::Conflict(text));
    let (site, source) = (pair.site, pair.source_site);
    if !pair.target.read_only {
        return conflict(format!("{site} accepts writes; fence it first"));
    }
    if !pair.source.has_schema {
        return Err(Error::NotFound(format!(
            "schema {} at {source}",
            pair.schema
        )));
    }
    if !pair.source.has_binlog {
        return conflict(format!(
            "{source} keeps no binary log; start it with --log-bin --log-slave-updates"
        ));
    }
    if pair.source.server_id == pair.target.server_id {
        return conflict(format!(
            "{site} and {source} have the same server_id {}; give each its own",
            pair.source.server_id
        ));
    }
    if pair.source.replica.is_some() {
        return conflict(format!("{source} is itself a replica; promote it first"));
    }
    Ok(())
}

/// Decides from what was seen.
fn next(pair: &Pair<'_>) -> Next {
    match &pair.target.replica {
        Some(replica) if replica.source == pair.address => next_for_replica(pair, replica),
        // Applying is not stopped while something received is left: it belongs to the position that is followed on from.
        Some(replica)
            if replica.applying && !replica.has_applied_all(&pair.target.slave_position) =>
        {
            Next::Wait(format!("applying what {} sent", replica.source))
        }
        _ if pair.target.has_schema
            && !pair.target.position.is_empty()
            && pair.source.history.holds(&pair.target.position) =>
        {
            Next::Attach(pair.target.position.clone())
        }
        _ => Next::Reseed,
    }
}

/// Decides about replication that is set up from the right source.
fn next_for_replica(pair: &Pair<'_>, replica: &Replica) -> Next {
    if replica.is_running() && pair.target.has_schema {
        return if replica.stops_by_itself {
            Next::Restart
        } else {
            Next::Done
        };
    }
    if DIVERGENCE.contains(&replica.apply_errno) || replica.receive_errno == NOT_IN_BINLOG {
        return Next::Reseed;
    }
    if replica.apply_errno != 0 {
        return Next::Refuse(format!(
            "applying at {} stopped: {}",
            pair.site, replica.apply_error
        ));
    }
    // 1045 and the like: the source answers and refuses. 2000 and above: not reached, the replica keeps trying.
    if replica.receive_errno != 0 && replica.receive_errno < 2000 {
        return Next::Refuse(format!(
            "receiving at {} fails: {}",
            pair.site, replica.receive_error
        ));
    }
    if replica.receiving == "No" || !replica.applying {
        return Next::Start;
    }
    Next::Wait(
        format!(
            "receiving is {} {}",
            replica.receiving.to_lowercase(),
            replica.receive_error
        )
        .trim_end()
        .to_owned(),
    )
}

/// Statements that make the target follow the source from a position.
pub(crate) fn attach(pair: &Pair<'_>, position: &Position) -> Result<Vec<String>, Error> {
    let mut session = Vec::new();
    if pair.target.replica.is_some() {
        session.push("STOP SLAVE".to_owned());
    }
    if pair.target.slave_position != *position {
        session.push(format!("SET GLOBAL gtid_slave_pos = '{position}'"));
    }
    session.push(change_master(&pair.address, pair.replication)?);
    session.push("START SLAVE".to_owned());
    Ok(session)
}

/// The statement that names the source. Its password is put in by the host.
pub(crate) fn change_master(address: &str, replication: &Replication) -> Result<String, Error> {
    let (host, port) = address
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)))
        .filter(|(host, _)| crate::session::is_plain(host))
        .ok_or_else(|| Error::Invalid(format!("`{address}` is not `host:port`")))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let mut options = vec![
        format!(
            "MASTER_HOST = '{host}', MASTER_PORT = {port}, MASTER_USER = '{}'",
            replication.user
        ),
        format!("MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = {CONNECT_RETRY_SECONDS}"),
    ];
    if let Some(slot) = &replication.credential {
        options.push(format!("MASTER_PASSWORD = ${{credential:{slot}}}"));
    }
    let on = u8::from(replication.tls);
    options.push(format!(
        "MASTER_SSL = {on}, MASTER_SSL_VERIFY_SERVER_CERT = {on}"
    ));
    for (option, file) in [
        ("MASTER_SSL_CA", &replication.ssl_ca),
        ("MASTER_SSL_CERT", &replication.ssl_cert),
        ("MASTER_SSL_KEY", &replication.ssl_key),
    ] {
        if let Some(file) = file {
            options.push(format!("{option} = '{file}'"));
        }
    }
    Ok(format!("CHANGE MASTER TO {}", options.join(", ")))
}

/// An `in-progress` about the pair.
pub(crate) fn waiting(pair: &Pair<'_>, description: String) -> Outcome {
    in_progress(
        format!("replica {} of {}", pair.site, pair.source_site),
        description,
        POLL_AFTER_MS,
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::example;
    use crate::gtid::History;

    fn server(position: &str, history: &str, server_id: u64) -> Server {
        Server {
            server_id,
            has_schema: true,
            has_binlog: true,
            binlog_format: "ROW".to_owned(),
            read_only: true,
            position: Position::parse(position).unwrap(),
            history: History::parse(history).unwrap(),
            ..Server::default()
        }
    }

    fn with_pair<T>(target: Server, use_it: impl FnOnce(&Pair<'_>) -> T) -> T {
        let config = example();
        let pair = Pair {
            site: "pz",
            source_site: "bz",
            schema: "wordpress",
            connection: "pz",
            source_connection: "bz",
            address: "db.bz:3306".to_owned(),
            replication: config.replication().unwrap(),
            target,
            source: server("0-2-30", "0-1-21,0-2-30", 2),
        };
        use_it(&pair)
    }

    fn replica(receiving: &str, applying: bool, receive_errno: u64, apply_errno: u64) -> Server {
        Server {
            replica: Some(Replica {
                source: "db.bz:3306".to_owned(),
                receiving: receiving.to_owned(),
                applying,
                receive_errno,
                apply_errno,
                uses_gtid: true,
                ..Replica::default()
            }),
            ..server("0-1-21", "0-1-21", 1)
        }
    }

    #[test]
    fn a_clean_old_primary_follows_on_and_a_diverged_one_is_copied() {
        let attach = |position: &str| with_pair(server(position, position, 1), next);
        assert_eq!(
            attach("0-1-21"),
            Next::Attach(Position::parse("0-1-21").unwrap())
        );
        assert_eq!(attach("0-1-22"), Next::Reseed);
        assert_eq!(
            attach(""),
            Next::Reseed,
            "an empty server says nothing about how its data came to be"
        );
    }

    #[test]
    fn replication_that_runs_is_left_alone() {
        assert_eq!(with_pair(replica("Yes", true, 0, 0), next), Next::Done);
        assert_eq!(with_pair(replica("No", false, 0, 0), next), Next::Start);
        let mut until = replica("Yes", true, 0, 0);
        until.replica.as_mut().unwrap().stops_by_itself = true;
        assert_eq!(with_pair(until, next), Next::Restart);
        assert!(matches!(
            with_pair(replica("Connecting", true, 2003, 0), next),
            Next::Wait(_)
        ));
    }

    #[test]
    fn only_divergence_discards_data() {
        for (receive_errno, apply_errno) in [(1236, 0), (0, 1062), (0, 1032), (0, 1950)] {
            assert_eq!(
                with_pair(
                    replica("No", apply_errno == 0, receive_errno, apply_errno),
                    next
                ),
                Next::Reseed
            );
        }
        assert!(matches!(
            with_pair(replica("Connecting", true, 1045, 0), next),
            Next::Refuse(_)
        ));
        assert!(matches!(
            with_pair(replica("Yes", false, 0, 1114), next),
            Next::Refuse(_)
        ));
    }

    #[test]
    fn the_pair_is_checked_first() {
        let refused = |target: Server| matches!(with_pair(target, check), Err(Error::Conflict(_)));
        assert!(refused(Server {
            read_only: false,
            ..server("0-1-21", "", 1)
        }));
        assert!(refused(server("0-1-21", "", 2)));
        assert!(!refused(server("0-1-21", "", 1)));
    }

    #[test]
    fn the_password_is_left_to_the_host() {
        let statement = with_pair(server("", "", 1), |pair| {
            change_master(&pair.address, pair.replication)
        })
        .unwrap();
        assert_eq!(
            statement,
            "CHANGE MASTER TO MASTER_HOST = 'db.bz', MASTER_PORT = 3306, MASTER_USER = 'replication', MASTER_USE_GTID = \
             slave_pos, MASTER_CONNECT_RETRY = 5, MASTER_PASSWORD = ${credential:replication}, MASTER_SSL = 1, \
             MASTER_SSL_VERIFY_SERVER_CERT = 1, MASTER_SSL_CA = '/etc/mysql/tls/ca.pem'"
        );
        assert!(crate::session::check_statements(&[statement]).is_ok());
    }
}
