//! Making a server a copy of another by the operator's programs.
//!
//! *stop* → *rewind* (`pg_rewind`: takes back what only this server has, and writes down its source) → *restart*. Where that
//! is refused or of no use: *stop* → *clear* → *seed* (`pg_basebackup`) → *restart*. The server does not answer meanwhile, so
//! what is being done is kept in a file on the host, beside the programs: written before each phase begins. Every phase may
//! be begun again, whatever became of it.

use serde::{Deserialize, Serialize};
use understudy_sdk::exec::{self, Programs};
use understudy_sdk::host::understudy::types::types::{Error, Outcome};
use understudy_sdk::sql::{Sql, statements};

use crate::config::FollowPrograms;
use crate::follow::{Next, Pair, next, waiting};
use crate::programs::{Stand, gave_up, run};

/// Times that a copy is begun before a person is asked.
const ATTEMPTS: u32 = 4;

/// Longest file of progress, in bytes.
const PROGRESS_BYTES: u32 = 4096;

/// What is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Phase {
    /// Stop it and take it back to where both were one.
    Rewind,
    /// Stop it and empty its data directory.
    Clear,
    /// Copy the source.
    Seed,
    /// Start it.
    Start,
}

/// A copy that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Progress {
    pub(crate) source: String,
    pub(crate) phase: Phase,
    pub(crate) attempt: u32,
}

fn file(site: &str) -> String {
    format!("replica-{site}.json")
}

/// The copy that is under way at a site, if any.
pub(crate) fn read(
    programs: &impl Programs,
    follow: &FollowPrograms,
    site: &str,
) -> Result<Option<Progress>, Error> {
    match programs.part(&follow.rewind, &file(site), 0, PROGRESS_BYTES) {
        // One that cannot be read was never finished: what it was about is seen again.
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        Err(Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn write(programs: &impl Programs, pair: &Pair<'_>, progress: &Progress) -> Result<(), Error> {
    let text = serde_json::json!(progress).to_string();
    programs.put(&pair.follow.rewind, &file(pair.site), text.as_bytes())
}

/// Begins a copy.
pub(crate) fn begin(
    sql: &impl Sql,
    programs: &impl Programs,
    pair: &Pair<'_>,
    progress: Progress,
    why: &str,
) -> Result<Outcome, Error> {
    if progress.attempt > ATTEMPTS {
        programs.remove(&pair.follow.rewind, &file(pair.site))?;
        return Err(Error::Conflict(format!(
            "{} was made a copy of {} {ATTEMPTS} times and does not follow it: see the log of its server",
            pair.site, pair.source_site
        )));
    }
    if progress.phase == Phase::Clear && pair.server.clear.is_none() {
        programs.remove(&pair.follow.rewind, &file(pair.site))?;
        return Err(Error::Conflict(format!(
            "{} has to be copied anew ({why}), and its entry under `servers` names no program `clear`",
            pair.site
        )));
    }
    write(programs, pair, &progress)?;
    go_on(sql, programs, pair, progress)
}

/// Goes on with a copy.
pub(crate) fn go_on(
    sql: &impl Sql,
    programs: &impl Programs,
    pair: &Pair<'_>,
    progress: Progress,
) -> Result<Outcome, Error> {
    match progress.phase {
        Phase::Rewind => rewind(sql, programs, pair, progress),
        Phase::Clear => clear(programs, pair, progress),
        Phase::Seed => seed(programs, pair, progress),
        Phase::Start => start(sql, programs, pair, progress),
    }
}

/// Stops the server where it answers; none once it is stopped.
fn stop(programs: &impl Programs, pair: &Pair<'_>) -> Result<Option<Outcome>, Error> {
    if pair.target.is_none() {
        return Ok(None);
    }
    let what = format!("stop {}", pair.site);
    match run(programs, &pair.server.stop, &what)? {
        Stand::Done => Ok(None),
        Stand::Running(ms) => Ok(Some(running(pair, "stopping it", ms))),
        Stand::Failed(words) => Err(gave_up(words)),
    }
}

fn rewind(
    sql: &impl Sql,
    programs: &impl Programs,
    pair: &Pair<'_>,
    progress: Progress,
) -> Result<Outcome, Error> {
    let source = &pair.source;
    if !source.in_recovery && source.checkpoint_timeline != source.history.current() {
        // `pg_rewind` reads the timeline of the newest checkpoint, and would take a source that has just been promoted for
        // what it was before.
        sql.run(pair.source_connection, &statements(&["CHECKPOINT"]))?;
    }
    if let Some(outcome) = stop(programs, pair)? {
        return Ok(outcome);
    }
    let what = format!("rewind {}", pair.site);
    match run(programs, &pair.follow.rewind, &what)? {
        Stand::Running(ms) => Ok(running(pair, "rewinding it", ms)),
        Stand::Done => {
            let phase = Phase::Start;
            let progress = Progress { phase, ..progress };
            write(programs, pair, &progress)?;
            restart(programs, pair)
        }
        Stand::Failed(words) => match gave_up(words) {
            Error::Conflict(why) => {
                let phase = Phase::Clear;
                begin(sql, programs, pair, Progress { phase, ..progress }, &why)
            }
            error => Err(error),
        },
    }
}

fn clear(programs: &impl Programs, pair: &Pair<'_>, progress: Progress) -> Result<Outcome, Error> {
    if let Some(outcome) = stop(programs, pair)? {
        return Ok(outcome);
    }
    let Some(program) = &pair.server.clear else {
        return Err(Error::Invalid(format!(
            "no program `clear` for {}",
            pair.site
        )));
    };
    match run(programs, program, &format!("clear {}", pair.site))? {
        Stand::Running(ms) => Ok(running(pair, "emptying its data directory", ms)),
        Stand::Failed(words) => Err(gave_up(words)),
        Stand::Done => {
            let phase = Phase::Seed;
            let progress = Progress { phase, ..progress };
            write(programs, pair, &progress)?;
            seed(programs, pair, progress)
        }
    }
}

fn seed(programs: &impl Programs, pair: &Pair<'_>, progress: Progress) -> Result<Outcome, Error> {
    let what = format!("seed {}", pair.site);
    match run(programs, &pair.follow.seed, &what)? {
        Stand::Running(ms) => Ok(running(pair, "copying the source", ms)),
        Stand::Done => {
            let phase = Phase::Start;
            write(programs, pair, &Progress { phase, ..progress })?;
            restart(programs, pair)
        }
        Stand::Failed(words) => {
            // What is there may be half a copy.
            let progress = Progress {
                phase: Phase::Clear,
                ..progress
            };
            write(programs, pair, &progress)?;
            Err(gave_up(words))
        }
    }
}

fn start(
    sql: &impl Sql,
    programs: &impl Programs,
    pair: &Pair<'_>,
    progress: Progress,
) -> Result<Outcome, Error> {
    if pair.target.is_none() {
        return restart(programs, pair);
    }
    let again = |phase| Progress {
        phase,
        attempt: progress.attempt + 1,
        ..progress.clone()
    };
    match next(pair) {
        Next::Done => {
            programs.remove(&pair.follow.rewind, &file(pair.site))?;
            Ok(Outcome::Changed)
        }
        Next::Wait(doing) => Ok(waiting(pair, doing)),
        Next::Resume => Ok(waiting(pair, "applying is paused".to_owned())),
        Next::Rewind => begin(sql, programs, pair, again(Phase::Rewind), ""),
        Next::Copy(why) => begin(sql, programs, pair, again(Phase::Clear), why),
    }
}

fn restart(programs: &impl Programs, pair: &Pair<'_>) -> Result<Outcome, Error> {
    let what = format!("start {}", pair.site);
    match run(programs, &pair.server.restart, &what)? {
        Stand::Running(ms) => Ok(running(pair, "starting it", ms)),
        Stand::Done => Ok(waiting(pair, "it is started".to_owned())),
        Stand::Failed(words) => Err(gave_up(words)),
    }
}

fn running(pair: &Pair<'_>, doing: &str, ms: u64) -> Outcome {
    let id = format!("replica {} of {}", pair.site, pair.source_site);
    exec::waiting(&id, doing, ms)
}
