//! Restoring: a server that does not write is stopped, emptied, and given a backup.
//!
//! *clear* → *unpack* → *detach* (it is told no source: a backup of a replica would replicate on) → *target* (where the log is
//! archived: what to go on with, and where to stop) → *mark* (it comes up in recovery, and stays there: read-only until it is
//! promoted) → *start* → *replay*. As in `reseed` the server does not answer meanwhile, so what is being done is kept in a file
//! beside the backups, and every phase may be begun again.
//!
//! Replay ends where the server pauses at its target, or where it has applied the newest segment of the archive. An instant
//! later than that is refused before anything is touched. Both stay in the settings until the server is promoted
//! ([`crate::promote`]): one that is started again in between does not go on past its target.

use serde::{Deserialize, Serialize};
use understudy_sdk::exec::{Command, Input, Job, Output, Programs, Source, last_words, waiting};
use understudy_sdk::host::understudy::types::types::{Error, Outcome};
use understudy_sdk::provider::in_progress;
use understudy_sdk::sql::Sql;
use understudy_sdk::time::rfc3339;

use super::{BACKUP, Backup, backups, complete};
use crate::archive::{self, stop_at};
use crate::config::{BackupPrograms, Config, ServerPrograms};
use crate::database::RecoveryTarget;
use crate::dialect::is_starting;
use crate::programs::{Stand, gave_up, run, run_to_end};
use crate::server::{Server, look};

/// Longest file of progress, in bytes.
const PROGRESS_BYTES: u32 = 4096;

/// Wait in milliseconds before looking again at a server that replays: longer than it waits itself where there is nothing to
/// replay (`wal_retrieve_retry_interval`, five seconds).
const REPLAY_POLL_MS: u64 = 6_000;

/// What is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Phase {
    Clear,
    Unpack,
    Start,
    Done,
}

/// A restore that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Progress {
    token: String,
    stem: String,
    phase: Phase,
    /// How far it had replayed at the last look.
    #[serde(default)]
    replayed: Option<String>,
}

/// A restore and where it happens.
struct Restore<'a, P> {
    programs: &'a P,
    site: &'a str,
    server: &'a ServerPrograms,
    backups: &'a BackupPrograms,
    target: &'a RecoveryTarget,
    /// Where it answers.
    seen: Option<Server>,
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
    let (server, own) = (config.server(site)?, config.backups(site)?);
    let mut restore = Restore {
        programs,
        site,
        server,
        backups: own,
        target,
        seen: None,
    };
    let known = restore.read()?;
    let known = known.filter(|known| known.token == token);
    if known
        .as_ref()
        .is_some_and(|known| known.phase == Phase::Done)
    {
        return Ok(Outcome::Unchanged);
    }
    let name = config.database(database);
    match look(sql, config.connection(site)?, name, database) {
        Ok(seen) if !seen.in_recovery => {
            return Err(Error::Conflict(format!(
                "{site} accepts writes; fence it first"
            )));
        }
        Ok(seen) => restore.seen = Some(seen),
        Err(error) if is_starting(&error) && known.is_some() => {
            return Ok(restore.waiting("the server starts", 0));
        }
        Err(Error::Unavailable(_)) if known.is_some() => {}
        Err(error) => return Err(error),
    }
    let progress = match known {
        // Somebody has started what was emptied.
        Some(known) if known.phase == Phase::Unpack && restore.seen.is_some() => Progress {
            phase: Phase::Clear,
            ..known
        },
        Some(known) => known,
        None => Progress {
            token: token.to_owned(),
            stem: choose(programs, own, database, target)?.stem,
            phase: Phase::Clear,
            replayed: None,
        },
    };
    match progress.phase {
        Phase::Clear => restore.clear(progress),
        Phase::Unpack => restore.unpack(progress),
        Phase::Start => restore.start(progress),
        Phase::Done => Ok(Outcome::Unchanged),
    }
}

fn choose(
    programs: &impl Programs,
    own: &BackupPrograms,
    database: &str,
    target: &RecoveryTarget,
) -> Result<Backup, Error> {
    let newest = |until_ms: u64| {
        let all = backups(programs, &own.take, database)?;
        let mut early = all
            .into_iter()
            .filter(|backup| backup.manifest.taken_at_ms <= until_ms);
        early.next().ok_or_else(|| {
            Error::NotFound(format!(
                "no complete backup of {database} that is old enough"
            ))
        })
    };
    match target {
        RecoveryTarget::Latest => newest(u64::MAX),
        RecoveryTarget::Point(stem) => complete(programs, &own.take, stem)?
            .ok_or_else(|| Error::NotFound(format!("no complete backup `{stem}` of {database}"))),
        RecoveryTarget::InstantMs(instant_ms) => {
            let Some(archive) = &own.archive else {
                return Err(Error::Invalid(
                    "the log is not archived (`archive` under `backups` of the postgres binding): choose a recovery point".to_owned(),
                ));
            };
            let newest_segment = archive::look(programs, archive)?;
            let reach_ms = newest_segment.map_or(0, |segment| segment.written_at_ms);
            if reach_ms < *instant_ms {
                return Err(Error::NotFound(format!(
                    "the archive of the log reaches to {}, and no instant after that",
                    rfc3339(reach_ms)
                )));
            }
            newest(*instant_ms)
        }
    }
}

impl<P: Programs> Restore<'_, P> {
    fn clear(&self, progress: Progress) -> Result<Outcome, Error> {
        let Some(clear) = &self.server.clear else {
            return Err(Error::Invalid(format!(
                "the entry of {} under `servers` names no program `clear`",
                self.site
            )));
        };
        self.write(&progress)?;
        let stop = self.seen.is_some().then_some((&self.server.stop, "stop"));
        for (program, what) in stop.into_iter().chain([(clear, "clear")]) {
            if let Some(outcome) = self.step(program, what)? {
                return Ok(outcome);
            }
        }
        let phase = Phase::Unpack;
        let progress = Progress { phase, ..progress };
        self.write(&progress)?;
        self.unpack(progress)
    }

    fn unpack(&self, progress: Progress) -> Result<Outcome, Error> {
        let backup = complete(self.programs, &self.backups.take, &progress.stem)?;
        let backup = backup
            .ok_or_else(|| Error::Conflict(format!("the backup `{}` is gone", progress.stem)))?;
        let command = Command {
            program: self.backups.unpack.clone(),
            arguments: Vec::new(),
            input: Input::File(Source {
                name: format!("{}{BACKUP}", progress.stem),
                sha256: Some(backup.manifest.sha256),
            }),
            output: Output::Captured,
        };
        let what = format!("unpack {} at {}", progress.stem, self.site);
        match self.programs.job(&what, &command)? {
            Job::Running(ms) => return Ok(self.waiting("unpacking the backup", ms)),
            Job::Ended(ended) if ended.exit_code == 0 => {}
            Job::Ended(ended) => {
                // What is there may be half of it.
                let phase = Phase::Clear;
                self.write(&Progress { phase, ..progress })?;
                let (code, words) = (ended.exit_code, last_words(&ended));
                return Err(gave_up(format!(
                    "{what} ended with exit code {code}: {words}"
                )));
            }
        }
        if let Some(outcome) = self.step(&self.backups.detach, "detach")? {
            return Ok(outcome);
        }
        if let Some(archive) = &self.backups.archive {
            self.tell_of_archive(&archive.target)?;
        }
        if let Some(outcome) = self.step(&self.server.standby, "mark")? {
            return Ok(outcome);
        }
        let phase = Phase::Start;
        self.write(&Progress { phase, ..progress })?;
        self.restart()
    }

    /// Tells it of the archive and where to stop. Begun again, this comes after unpacking, which takes it back.
    fn tell_of_archive(&self, program: &str) -> Result<(), Error> {
        let arguments = stop_at(self.target).into_iter().collect();
        let what = format!("telling {} of the archive", self.site);
        run_to_end(self.programs, program, arguments, &what).map(drop)
    }

    fn start(&self, progress: Progress) -> Result<Outcome, Error> {
        let Some(seen) = &self.seen else {
            return self.restart();
        };
        let phase = Phase::Done;
        let Some(archive) = &self.backups.archive else {
            self.write(&Progress { phase, ..progress })?;
            return Ok(Outcome::Changed);
        };
        let at = seen.position.lsn.to_string();
        let stands = progress.replayed.as_ref() == Some(&at);
        let newest = archive::look(self.programs, archive)?;
        let ends =
            newest.is_none_or(|newest| newest.begins(seen.segment_bytes) <= seen.position.lsn);
        if seen.paused || (stands && ends && !matches!(self.target, RecoveryTarget::Point(_))) {
            self.write(&Progress { phase, ..progress })?;
            return Ok(Outcome::Changed);
        }
        let doing = format!("replaying the archived log, at {at}");
        let replayed = Some(at);
        self.write(&Progress {
            replayed,
            ..progress
        })?;
        let id = format!("restore {}", self.site);
        Ok(in_progress(id, doing, REPLAY_POLL_MS))
    }

    /// Starts it; that it answers is seen the next time.
    fn restart(&self) -> Result<Outcome, Error> {
        let outcome = self.step(&self.server.restart, "start")?;
        Ok(outcome.unwrap_or_else(|| self.waiting("the server starts", 0)))
    }

    /// Runs a program; none once it has ended well.
    fn step(&self, program: &str, what: &str) -> Result<Option<Outcome>, Error> {
        match run(self.programs, program, &format!("{what} {}", self.site))? {
            Stand::Done => Ok(None),
            Stand::Running(ms) => Ok(Some(self.waiting(what, ms))),
            Stand::Failed(words) => Err(gave_up(words)),
        }
    }

    fn file(&self) -> String {
        format!("restore-{}.json", self.site)
    }

    fn read(&self) -> Result<Option<Progress>, Error> {
        let program = &self.backups.take;
        match self.programs.part(program, &self.file(), 0, PROGRESS_BYTES) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, progress: &Progress) -> Result<(), Error> {
        let text = serde_json::json!(progress).to_string();
        let program = &self.backups.take;
        self.programs.put(program, &self.file(), text.as_bytes())
    }

    fn waiting(&self, doing: &str, running_ms: u64) -> Outcome {
        waiting(&format!("restore {}", self.site), doing, running_ms)
    }
}
