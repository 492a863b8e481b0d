//! How far a restore is: one row on the server that is restored, outside its binary log.
//!
//! From the first thing that is deleted until everything is there the server is *unusable*, whatever is asked of it next;
//! only a restore or a copy that gets through ends that.

use understudy_sdk::host::understudy::types::types::Error;

use crate::reseed::BOOKKEEPING_SCHEMA;
use crate::session::{Sql, is_refusal, literal};

/// `ER_NO_SUCH_TABLE`.
const NO_SUCH_TABLE: u32 = 1146;

/// What is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Read the logs: nothing was changed yet.
    Logs,
    /// Load the dump.
    Import,
    /// Apply the logs.
    Replay,
    /// Nothing: it is restored.
    Done,
}

impl Phase {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Logs, "logs"),
        (Self::Import, "import"),
        (Self::Replay, "replay"),
        (Self::Done, "done"),
    ];

    pub(crate) fn word(self) -> &'static str {
        let found = Self::ALL.iter().find(|(phase, _)| *phase == self);
        found.map_or("", |(_, word)| word)
    }

    fn read(word: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, other)| *other == word);
        found.map(|(phase, _)| *phase)
    }
}

/// A restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) token: String,
    /// Stem of the dump.
    pub(crate) point: String,
    pub(crate) phase: Phase,
    /// The logs are applied as well.
    pub(crate) logs: bool,
    pub(crate) attempt: u32,
    /// What the server holds is of no use.
    pub(crate) unusable: bool,
}

/// The newest restore of a server, if any.
pub(crate) fn read(sql: &impl Sql, connection: &str) -> Result<Option<Progress>, Error> {
    let question = format!(
        "SELECT token, point, phase, logs, attempt, unusable FROM {BOOKKEEPING_SCHEMA}.restore WHERE id = 1"
    );
    let answers = match sql.run(connection, &[question]) {
        Ok(answers) => answers,
        Err(error) if is_refusal(&error, NO_SUCH_TABLE) => return Ok(None),
        Err(error) => return Err(error),
    };
    let row = answers.first().and_then(|table| table.row(0));
    row.map(|row| {
        let phase = Phase::read(row.text("phase")).ok_or_else(|| {
            let word = row.text("phase");
            Error::Other(format!(
                "unknown phase `{word}` in {BOOKKEEPING_SCHEMA}.restore"
            ))
        })?;
        Ok(Progress {
            token: row.text("token").to_owned(),
            point: row.text("point").to_owned(),
            phase,
            logs: row.number("logs") != 0,
            attempt: u32::try_from(row.number("attempt")).unwrap_or(u32::MAX),
            unusable: row.number("unusable") != 0,
        })
    })
    .transpose()
}

/// The statements that write it down; the first of a session that stays out of the binary log.
pub(crate) fn record(progress: &Progress) -> Vec<String> {
    vec![
        "SET SESSION sql_log_bin = 0".to_owned(),
        format!("CREATE DATABASE IF NOT EXISTS {BOOKKEEPING_SCHEMA} CHARACTER SET utf8mb4"),
        format!(
            "CREATE TABLE IF NOT EXISTS {BOOKKEEPING_SCHEMA}.restore (id TINYINT NOT NULL PRIMARY KEY, token VARCHAR(500) NOT NULL, \
             point VARCHAR(190) NOT NULL, phase VARCHAR(16) NOT NULL, logs TINYINT NOT NULL, attempt INT NOT NULL, unusable TINYINT NOT NULL) ENGINE=InnoDB"
        ),
        format!(
            "REPLACE INTO {BOOKKEEPING_SCHEMA}.restore VALUES (1, {}, {}, '{}', {}, {}, {})",
            literal(&progress.token),
            literal(&progress.point),
            progress.phase.word(),
            u8::from(progress.logs),
            progress.attempt,
            u8::from(progress.unusable)
        ),
    ]
}

/// The statement that forgets restores: what the server holds comes from somewhere else now.
pub(crate) fn forget() -> String {
    format!("DROP TABLE IF EXISTS {BOOKKEEPING_SCHEMA}.restore")
}

/// True where the server holds half a restore.
pub(crate) fn is_unusable(sql: &impl Sql, connection: &str) -> Result<bool, Error> {
    Ok(read(sql, connection)?.is_some_and(|progress| progress.unusable))
}

/// Refuses to use a server that holds half a restore.
pub(crate) fn refuse_unusable(sql: &impl Sql, connection: &str, site: &str) -> Result<(), Error> {
    match read(sql, connection)? {
        Some(progress) if progress.unusable => Err(Error::Conflict(format!(
            "{site} holds an unfinished restore of {} ({}); finish it with ensure-restored",
            progress.point,
            progress.phase.word()
        ))),
        _ => Ok(()),
    }
}
