//! Making a server follow another, and waiting until it has caught up.
//!
//! Start at [`ensure_replica_of`]: it says what has to be done from what both servers say, and hands over to `reseed` where
//! programs have to do it.

use understudy_sdk::exec::Programs;
use understudy_sdk::host::understudy::types::types::{Error, Outcome};
use understudy_sdk::provider::in_progress;
use understudy_sdk::sql::{Sql, statements};

use crate::config::{Config, FollowPrograms, ServerPrograms};
use crate::promote::let_go_of_archive;
use crate::reseed::{self, Phase, Progress};
use crate::server::{Server, look};
use crate::wal::Position;

/// Wait in milliseconds before looking again at replication that is starting.
const POLL_AFTER_MS: u64 = 500;

/// Wait in milliseconds before looking again for a position.
const CATCH_UP_POLL_MS: u64 = 250;

/// Both ends of a replication, as seen and as configured.
pub(crate) struct Pair<'a> {
    pub(crate) site: &'a str,
    pub(crate) source_site: &'a str,
    pub(crate) source_connection: &'a str,
    /// `host:port` of the source as the replica shall know it.
    pub(crate) address: String,
    pub(crate) server: &'a ServerPrograms,
    pub(crate) follow: &'a FollowPrograms,
    /// None where it does not answer, in the middle of a copy.
    pub(crate) target: Option<Server>,
    pub(crate) source: Server,
    /// The source still has the log from where the target stands.
    pub(crate) has_log: bool,
}

/// What to do about a server that shall follow another.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It does.
    Done,
    /// It is about to.
    Wait(String),
    /// Somebody paused applying.
    Resume,
    /// Its log has to be taken back to where both were one, if it went on at all, and it has to be told its source.
    Rewind,
    /// What it has is of no use: copy.
    Copy(&'static str),
}

/// See `ensure-replica-of`.
pub(crate) fn ensure_replica_of(
    sql: &impl Sql,
    programs: &impl Programs,
    config: &Config,
    (site, database): (&str, &str),
    source_site: &str,
) -> Result<Outcome, Error> {
    if site == source_site {
        return Err(Error::Invalid(format!(
            "{site} cannot be a replica of itself"
        )));
    }
    let name = config.database(database);
    let (connection, source_connection) =
        (config.connection(site)?, config.connection(source_site)?);
    let server = config.server(site)?;
    let follow = server.follow(source_site)?;
    let progress = reseed::read(programs, follow, site)?;
    let target = match look(sql, connection, name, database) {
        Ok(target) => Some(target),
        // It was stopped to be copied.
        Err(Error::Unavailable(_)) if progress.is_some() => None,
        Err(error) => return Err(error),
    };
    if target.as_ref().is_some_and(|target| !target.in_recovery) {
        return Err(Error::Conflict(format!(
            "{site} accepts writes; fence it first"
        )));
    }
    if let Some(target) = &target {
        let_go_of_archive(sql, connection, target)?;
    }
    let source = look(sql, source_connection, name, database)?;
    if source.is_replica() {
        return Err(Error::Conflict(format!(
            "{source_site} is itself a replica; promote it first"
        )));
    }
    let address = match config.address(source_site) {
        Some(address) => address.to_owned(),
        None => sql.address(source_connection)?,
    };
    let has_log = match &target {
        Some(target) if !source.in_recovery => has_log(sql, source_connection, target.end)?,
        _ => true,
    };
    let pair = Pair {
        site,
        source_site,
        source_connection,
        address,
        server,
        follow,
        target,
        source,
        has_log,
    };
    match progress {
        Some(progress) if progress.source == source_site => {
            reseed::go_on(sql, programs, &pair, progress)
        }
        _ => decide(sql, programs, &pair, connection),
    }
}

fn decide(
    sql: &impl Sql,
    programs: &impl Programs,
    pair: &Pair<'_>,
    connection: &str,
) -> Result<Outcome, Error> {
    let begin = |phase, why: &str| {
        let progress = Progress {
            source: pair.source_site.to_owned(),
            phase,
            attempt: 1,
        };
        reseed::begin(sql, programs, pair, progress, why)
    };
    match next(pair) {
        Next::Done => Ok(Outcome::Unchanged),
        Next::Wait(doing) => Ok(waiting(pair, doing)),
        Next::Resume => {
            sql.run(connection, &statements(&["SELECT pg_wal_replay_resume()"]))?;
            Ok(waiting(pair, "applying was resumed".to_owned()))
        }
        Next::Rewind => begin(Phase::Rewind, ""),
        Next::Copy(why) => begin(Phase::Clear, why),
    }
}

/// Decides from what was seen.
pub(crate) fn next(pair: &Pair<'_>) -> Next {
    let Some(target) = &pair.target else {
        return Next::Rewind;
    };
    let source = &pair.source;
    if target.system != source.system {
        return Next::Copy("they are no copies of one another");
    }
    if target.history.is_namesake_of(&source.history) {
        // Rewinding compares the number alone, and would leave it as it is.
        return Next::Copy("both began a timeline of the same number");
    }
    if target.history.current() > source.history.current() {
        // A rewound server keeps what it wrote last, under the number of its timeline. Once the source is promoted to that
        // same number, the server would apply it instead of what the source writes.
        return Next::Copy("it has begun a timeline that is given up");
    }
    if !source.history.continues(&target.history, target.end) {
        return Next::Rewind;
    }
    if target.is_streaming_from(&pair.address) {
        return match target.paused {
            true => Next::Resume,
            false => Next::Done,
        };
    }
    if !pair.has_log {
        return Next::Copy("the source has not kept the log from where it stands");
    }
    match &target.source {
        Some(known) if *known == pair.address => Next::Wait(target.problem()),
        _ => Next::Rewind,
    }
}

/// True where a primary still has the log from a place on.
fn has_log(sql: &impl Sql, connection: &str, from: Position) -> Result<bool, Error> {
    let question = format!(
        "SELECT coalesce(min(substr(name, 9)) <= substr(pg_walfile_name('{}'), 9), false) AS there FROM pg_ls_waldir() \
         WHERE name ~ '^[0-9A-F]{{24}}$'",
        from.lsn
    );
    let answers = sql.run(connection, &[question])?;
    Ok(answers.first().is_some_and(|table| table.single() == "t"))
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
    let name = config.database(database);
    let server = look(sql, config.connection(site)?, name, database)?;
    if has_applied(&server, wanted) {
        return Ok(Outcome::Unchanged);
    }
    let stopped = |why: &str| {
        Err(Error::Conflict(format!(
            "{site} is at {}, not at {wanted}, and {why}",
            server.position
        )))
    };
    if !server.in_recovery {
        return stopped("nothing replicates into it");
    }
    if server.paused {
        return stopped("applying is paused");
    }
    let arrived = server.end.timeline == wanted.timeline && server.end.lsn >= wanted.lsn;
    if !server.is_replica() && !arrived {
        return stopped("it replicates from nobody");
    }
    let doing = format!(
        "{site} is at {}, waiting for {wanted} {}",
        server.position,
        server.problem()
    );
    let id = format!("catch-up {site}");
    Ok(in_progress(id, doing.trim_end(), CATCH_UP_POLL_MS))
}

/// True where a place is behind the server, on its own way.
fn has_applied(server: &Server, wanted: Position) -> bool {
    match server.history.current() == wanted.timeline {
        true => server.position.lsn >= wanted.lsn,
        // It went on to a later timeline from there.
        false => server.position.lsn >= wanted.lsn && server.history.holds(wanted),
    }
}

/// An `in-progress` about the pair.
pub(crate) fn waiting(pair: &Pair<'_>, doing: String) -> Outcome {
    let id = format!("replica {} of {}", pair.site, pair.source_site);
    in_progress(id, doing, POLL_AFTER_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, SCHEMA};
    use crate::server::tests::server;

    /// `bz` went on from 0/3000100 on timeline 2 and is at 0/5000000.
    fn next_of(target: &[(&str, &str)]) -> Next {
        next_with(target, true)
    }

    fn next_with(target: &[(&str, &str)], has_log: bool) -> Next {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let config = Config::parse(&schema["examples"][0].to_string()).unwrap();
        let programs = config.server("pz").unwrap();
        let none = [("source_host", ""), ("receiver", "")];
        let fenced = [("timeline", "1"), ("history", ""), ("received", "")];
        let changed: Vec<_> = none
            .into_iter()
            .chain(fenced)
            .chain(target.iter().copied())
            .collect();
        let pair = Pair {
            site: "pz",
            source_site: "bz",
            source_connection: "bz",
            address: "db.bz.example.test:5432".to_owned(),
            server: programs,
            follow: programs.follow("bz").unwrap(),
            target: Some(server(&changed)),
            source: server(&[("recovery", "f"), ("receiver", "")]),
            has_log,
        };
        next(&pair)
    }

    const SECOND: [(&str, &str); 2] = [
        ("timeline", "2"),
        ("history", "1\t0/3000100\tno recovery target specified\n"),
    ];

    #[test]
    fn an_old_primary_is_rewound_whether_or_not_it_went_on() {
        // Where it did not, that only tells it its source.
        assert_eq!(next_of(&[("position", "0/3000100")]), Next::Rewind);
        assert_eq!(next_of(&[("position", "0/3000101")]), Next::Rewind);
        let streaming = [
            ("position", "0/3000101"),
            ("receiver", "streaming"),
            ("source_host", "db.bz.example.test"),
            ("sender_host", "db.bz.example.test"),
        ];
        assert_eq!(
            next_of(&streaming),
            Next::Rewind,
            "it follows, from a place that is not the source's"
        );
    }

    #[test]
    fn replication_that_runs_is_left_alone() {
        let running = [
            SECOND[0],
            SECOND[1],
            ("position", "0/4000000"),
            ("receiver", "streaming"),
            ("source_host", "db.bz.example.test"),
            ("sender_host", "db.bz.example.test"),
        ];
        assert_eq!(next_of(&running), Next::Done);
        let paused: Vec<_> = running.into_iter().chain([("paused", "paused")]).collect();
        assert_eq!(next_of(&paused), Next::Resume);
        let connecting: Vec<_> = running.into_iter().chain([("receiver", "")]).collect();
        assert!(matches!(next_of(&connecting), Next::Wait(_)));
        let other: Vec<_> = running
            .into_iter()
            .chain([("sender_host", "x"), ("source_host", "x")])
            .collect();
        assert_eq!(next_of(&other), Next::Rewind);
        assert!(matches!(next_with(&connecting, false), Next::Copy(_)));
    }

    #[test]
    fn what_cannot_be_rewound_is_copied() {
        assert!(matches!(next_of(&[("system", "7")]), Next::Copy(_)));
        let namesake = [SECOND[0], ("history", "1\t0/2000000\tpromoted as well\n")];
        assert!(matches!(next_of(&namesake), Next::Copy(_)));
        let given_up = [
            ("timeline", "3"),
            ("history", "1\t0/3000100\tx\n2\t0/5000000\ty\n"),
        ];
        assert!(matches!(next_of(&given_up), Next::Copy(_)));
    }

    #[test]
    fn a_place_is_reached_on_the_servers_own_way_only() {
        let at = |text: &str| Position::parse(text).unwrap();
        let bz = server(&[]);
        assert!(has_applied(&bz, at("0/5000000@2")));
        assert!(!has_applied(&bz, at("0/5000001@2")));
        assert!(has_applied(&bz, at("0/3000100@1")));
        assert!(
            !has_applied(&bz, at("0/3000101@1")),
            "written by who was left behind"
        );
        assert!(
            !has_applied(&bz, at("0/4000000@3")),
            "of a timeline to come"
        );
    }
}
