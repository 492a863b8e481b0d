//! Restoring: a dump, and what the logs add to it.
//!
//! 1. *logs*: read what was written after the dump, up to the instant asked for. Nothing is changed before it is known that
//!    they reach.
//! 2. *import*: replication into the server ends, its schemas are dropped, the dump is loaded outside the binary log. Then
//!    the server's log begins anew where the dump stands.
//! 3. *replay*: the logs are applied into the binary log with the GTIDs they have, so that the server stands where its source
//!    stood: a server that holds nothing else can follow it later. Its strict mode refuses what is already there, so applying
//!    them once more is noticed; then the import begins again.
//!
//! Each phase is written down before it begins (`progress`); a host that died is followed by one that begins the phase again.

use understudy_sdk::exec::{Input, Job, Output, Programs, Source, waiting};
use understudy_sdk::host::understudy::types::types::{Error, Outcome};

use super::logs::{self, Logs, working_file};
use super::progress::{self, Phase, Progress};
use super::{Dump, command, complete, dump_file, dumps, gave_up, patient};
use crate::config::Config;
use crate::database::RecoveryTarget;
use crate::gtid::Position;
use crate::reseed::BOOKKEEPING_SCHEMA;
use crate::server::{Server, look};
use crate::session::{Sql, statements};

/// Imports begun before a person is asked.
const ATTEMPTS: u32 = 3;

/// A restore and where it happens.
struct Restore<'a, S, P> {
    sql: &'a S,
    programs: &'a P,
    config: &'a Config,
    site: &'a str,
    database: &'a str,
    connection: &'a str,
    client: &'a str,
}

/// See `ensure-restored`.
pub(crate) fn ensure_restored(
    sql: &impl Sql,
    programs: &impl Programs,
    config: &Config,
    (site, database): (&str, &str),
    target: &RecoveryTarget,
    token: &str,
) -> Result<Outcome, Error> {
    let restore = Restore {
        sql,
        programs,
        config,
        site,
        database,
        connection: config.connection(site)?,
        client: config.client_program(site)?,
    };
    let server = look(sql, restore.connection, config.schema(database)?)?;
    let known = progress::read(sql, restore.connection)?;
    if let Some(done) = &known
        && (done.token.as_str(), done.phase) == (token, Phase::Done)
    {
        return Ok(Outcome::Unchanged);
    }
    if !server.read_only {
        return Err(Error::Conflict(format!(
            "{site} accepts writes; fence it first"
        )));
    }
    match known {
        Some(known) if known.token == token => {
            let dump = restore.dump(&known.point)?;
            restore.go_on(&server, known, &dump, target)
        }
        earlier => {
            let dump = restore.choose(target)?;
            let begun = Progress {
                token: token.to_owned(),
                point: dump.stem.clone(),
                phase: match target {
                    RecoveryTarget::Point(_) => Phase::Import,
                    RecoveryTarget::Latest | RecoveryTarget::InstantMs(_) => Phase::Logs,
                },
                logs: false,
                attempt: 0,
                unusable: earlier.is_some_and(|earlier| earlier.unusable),
            };
            restore.go_on(&server, begun, &dump, target)
        }
    }
}

impl<S: Sql, P: Programs> Restore<'_, S, P> {
    /// The dump to begin with.
    fn choose(&self, target: &RecoveryTarget) -> Result<Dump, Error> {
        let (site, database) = (self.site, self.database);
        let reaches = |dump: &Dump| match target {
            RecoveryTarget::Latest | RecoveryTarget::Point(_) => true,
            // The second of the instant is left out: a dump of that second may hold what comes after.
            RecoveryTarget::InstantMs(ms) => dump.manifest.taken_at_ms / 1000 < ms / 1000,
        };
        if let RecoveryTarget::Point(stem) = target {
            return self.dump(stem);
        }
        let dumps = dumps(self.programs, self.client, database)?;
        dumps.into_iter().find(reaches).ok_or_else(|| {
            Error::NotFound(format!(
                "no complete backup of {database} for {site} that is old enough"
            ))
        })
    }

    fn dump(&self, stem: &str) -> Result<Dump, Error> {
        complete(self.programs, self.client, stem)?.ok_or_else(|| {
            Error::NotFound(format!("no complete backup `{stem}` of {}", self.database))
        })
    }

    fn go_on(
        &self,
        server: &Server,
        progress: Progress,
        dump: &Dump,
        target: &RecoveryTarget,
    ) -> Result<Outcome, Error> {
        match progress.phase {
            Phase::Logs => self.logs(server, progress, dump, target),
            Phase::Import if progress.attempt == 0 => self.begin_import(server, progress, dump),
            Phase::Import => self.import(progress, dump),
            Phase::Replay => self.replay(server, progress, dump),
            Phase::Done => Ok(Outcome::Unchanged),
        }
    }

    fn logs(
        &self,
        server: &Server,
        progress: Progress,
        dump: &Dump,
        target: &RecoveryTarget,
    ) -> Result<Outcome, Error> {
        let instant_ms = match target {
            RecoveryTarget::InstantMs(ms) => Some(*ms),
            RecoveryTarget::Latest | RecoveryTarget::Point(_) => None,
        };
        let (sql, programs) = (self.sql, self.programs);
        let read = logs::read(sql, programs, self.config, self.site, dump, instant_ms)?;
        let logs = match read {
            Logs::Running(running_ms) => {
                // Written down, so that the next look goes on with the same dump.
                sql.run(self.connection, &progress::record(&progress))?;
                return Ok(self.waiting("reading the logs", running_ms));
            }
            Logs::Read => true,
            Logs::OutOfReach(why) if instant_ms.is_some() => return Err(Error::NotFound(why)),
            // The newest there is: without logs, that is the dump.
            Logs::OutOfReach(_) => false,
        };
        self.begin_import(server, Progress { logs, ..progress }, dump)
    }

    /// From here on what the server holds is replaced.
    fn begin_import(
        &self,
        server: &Server,
        progress: Progress,
        dump: &Dump,
    ) -> Result<Outcome, Error> {
        let progress = Progress {
            phase: Phase::Import,
            attempt: progress.attempt + 1,
            unusable: true,
            ..progress
        };
        let mut session = progress::record(&progress);
        session.push("SET SESSION foreign_key_checks = 0".to_owned());
        session.push(format!("DROP TABLE IF EXISTS {BOOKKEEPING_SCHEMA}.reseed"));
        if server.replica.is_some() {
            session.extend(statements(&["STOP SLAVE", "RESET SLAVE ALL"]));
        }
        for schema in self
            .config
            .known_schemas(self.config.schema(self.database)?)
        {
            session.push(format!("DROP DATABASE IF EXISTS `{schema}`"));
        }
        self.sql.run(self.connection, &session)?;
        self.import(progress, dump)
    }

    fn import(&self, progress: Progress, dump: &Dump) -> Result<Outcome, Error> {
        let source = Source {
            name: dump_file(&dump.stem),
            sha256: Some(dump.manifest.sha256.clone()),
        };
        let unlogged = vec!["--init-command=SET SESSION sql_log_bin=0".to_owned()];
        let command = command(self.client, unlogged, Input::File(source), Output::Captured);
        let job = format!("import at {}", self.site);
        let ended = match self.programs.job(&job, &command).map_err(patient)? {
            Job::Running(ms) => return Ok(self.waiting(&format!("loading {}", dump.stem), ms)),
            Job::Ended(ended) => ended,
        };
        if ended.exit_code != 0 {
            return Err(gave_up(&format!("loading {}", dump.stem), &ended));
        }
        let position = Position::parse(&dump.manifest.position).map_err(Error::Other)?;
        let next = Progress {
            phase: match progress.logs {
                true => Phase::Replay,
                false => Phase::Done,
            },
            unusable: progress.logs,
            ..progress
        };
        let mut session = vec![
            "SET SESSION sql_log_bin = 0".to_owned(),
            "RESET MASTER".to_owned(),
            // What was loaded counts as its history, so that a server that stands there can follow this one later.
            format!("SET GLOBAL gtid_binlog_state = '{position}'"),
            format!("SET GLOBAL gtid_slave_pos = '{position}'"),
        ];
        session.extend(progress::record(&next));
        self.sql.run(self.connection, &session)?;
        match next.phase {
            Phase::Done => Ok(Outcome::Changed),
            _ => Ok(self.waiting("the dump is loaded, applying the logs", 0)),
        }
    }

    fn replay(&self, server: &Server, progress: Progress, dump: &Dump) -> Result<Outcome, Error> {
        let source = Source {
            name: working_file(self.site),
            sha256: None,
        };
        let command = command(
            self.client,
            Vec::new(),
            Input::File(source),
            Output::Captured,
        );
        let job = format!("replay at {}", self.site);
        let ended = match self.programs.job(&job, &command).map_err(patient)? {
            Job::Running(ms) => return Ok(self.waiting("applying the logs", ms)),
            Job::Ended(ended) => ended,
        };
        if ended.exit_code != 0 {
            return match gave_up("applying the logs", &ended) {
                // A part of them may be there already: begin again with the dump.
                Error::Conflict(_) | Error::Unavailable(_) if progress.attempt < ATTEMPTS => {
                    self.begin_import(server, progress, dump)
                }
                error => Err(error),
            };
        }
        let mut session = statements(&[
            "SET SESSION sql_log_bin = 0",
            "SET GLOBAL gtid_slave_pos = @@GLOBAL.gtid_binlog_pos",
        ]);
        session.extend(progress::record(&Progress {
            phase: Phase::Done,
            unusable: false,
            ..progress
        }));
        self.sql.run(self.connection, &session)?;
        self.programs
            .remove(self.client, &working_file(self.site))?;
        Ok(Outcome::Changed)
    }

    fn waiting(&self, doing: &str, running_ms: u64) -> Outcome {
        waiting(&format!("restore {}", self.site), doing, running_ms)
    }
}
