//! Restoring: a server that does not write is stopped, emptied, and given a backup.
//!
//! *clear* → *unpack* → *detach* (it is told no source: a backup of a replica would replicate on) → *mark* (it comes up in
//! recovery, and stays there: read-only until it is promoted) → *start*. As in `reseed` the server does not answer
//! meanwhile, so what is being done is kept in a file beside the backups, and every phase may be begun again.

use serde::{Deserialize, Serialize};
use understudy_sdk::exec::{Command, Input, Job, Output, Programs, Source, last_words, waiting};
use understudy_sdk::host::understudy::types::types::{Error, Outcome};
use understudy_sdk::sql::Sql;

use super::{BACKUP, Backup, backups, complete};
use crate::config::{BackupPrograms, Config, ServerPrograms};
use crate::database::RecoveryTarget;
use crate::dialect::is_starting;
use crate::programs::{Stand, gave_up, run};
use crate::server::look;

/// Longest file of progress, in bytes.
const PROGRESS_BYTES: u32 = 4096;

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
}

/// A restore and where it happens.
struct Restore<'a, P> {
    programs: &'a P,
    site: &'a str,
    server: &'a ServerPrograms,
    backups: &'a BackupPrograms,
    /// It answers.
    is_up: bool,
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
        is_up: true,
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
        Ok(_) => {}
        Err(error) if is_starting(&error) && known.is_some() => {
            return Ok(restore.waiting("the server starts", 0));
        }
        Err(Error::Unavailable(_)) if known.is_some() => restore.is_up = false,
        Err(error) => return Err(error),
    }
    let (stem, phase) = match known {
        // Somebody has started what was emptied.
        Some(known) if known.phase == Phase::Unpack && restore.is_up => (known.stem, Phase::Clear),
        Some(known) => (known.stem, known.phase),
        None => {
            let backup = choose(programs, &own.take, database, target)?;
            (backup.stem, Phase::Clear)
        }
    };
    let progress = Progress {
        token: token.to_owned(),
        stem,
        phase,
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
    program: &str,
    database: &str,
    target: &RecoveryTarget,
) -> Result<Backup, Error> {
    match target {
        RecoveryTarget::Latest => {
            let newest = backups(programs, program, database)?.into_iter().next();
            newest.ok_or_else(|| Error::NotFound(format!("no complete backup of {database}")))
        }
        RecoveryTarget::Point(stem) => complete(programs, program, stem)?
            .ok_or_else(|| Error::NotFound(format!("no complete backup `{stem}` of {database}"))),
        RecoveryTarget::InstantMs(_) => Err(Error::Invalid(
            "the postgres provider restores backups as they are, and to no other instant: choose a recovery point".to_owned(),
        )),
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
        let stop = self.is_up.then_some((&self.server.stop, "stop"));
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
        let marks = [
            (&self.backups.detach, "detach"),
            (&self.server.standby, "mark"),
        ];
        for (program, what) in marks {
            if let Some(outcome) = self.step(program, what)? {
                return Ok(outcome);
            }
        }
        let phase = Phase::Start;
        self.write(&Progress { phase, ..progress })?;
        self.restart()
    }

    fn start(&self, progress: Progress) -> Result<Outcome, Error> {
        if !self.is_up {
            return self.restart();
        }
        let phase = Phase::Done;
        self.write(&Progress { phase, ..progress })?;
        Ok(Outcome::Changed)
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
