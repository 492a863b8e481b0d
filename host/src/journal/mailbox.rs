//! How other processes speak to a run: `understudy decide` and `understudy abort` post, the host that has the run takes.
//!
//! A file of its own, `<runs>/<run>/mailbox.sqlite`: the journal has exactly one writer, and a message that is stopped
//! halfway must not stand in its way. A message counts once the owner has journaled it; it is taken after that, so a
//! crash between the two delivers it again ([`Mailbox::unread`]). Nothing here knows who may say what.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use super::error::JournalError;
use super::record::Choice;
use super::sqlite::JOURNAL_FILE;
use crate::clock::Instant;
use crate::name::{RoleName, StepId};

/// Name of the mailbox in a run's folder.
pub const MAILBOX_FILE: &str = "mailbox.sqlite";

/// Longest message, in bytes of JSON: a decision with a long note, not a document.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024;

/// Most messages that may wait to be taken. A host takes them within a second; more means that no host is there.
pub const MAX_UNREAD: u64 = 1000;

/// How long a process waits for another one's turn.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a mailbox that others are making is opened, before they are said to be in the way.
const MAX_CONNECTS: u32 = 100;

/// Pause between two attempts to open it.
const CONNECT_AGAIN: Duration = Duration::from_millis(10);

/// `PRAGMA application_id` of a mailbox: `UNMB` in ASCII.
const APPLICATION_ID: i64 = 0x554e_4d42;

const LAYOUT: &str = "
CREATE TABLE IF NOT EXISTS mailbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, body TEXT NOT NULL, taken INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS unread ON mailbox (id) WHERE taken = 0;
";

/// What a decision is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// A gate by its identity.
    Gate(String),
    /// Whichever gate of this step is open.
    Step(StepId),
}

/// Something said to a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    rename_all = "kebab-case",
    tag = "kind",
    rename_all_fields = "kebab-case"
)]
pub enum Message {
    /// An answer to a gate.
    Decide {
        /// Which gate.
        target: Target,
        /// What was decided.
        choice: Choice,
        /// Who.
        by: String,
        /// As which role.
        role: RoleName,
        /// Why; may be empty.
        note: String,
    },
    /// Take the run back.
    Abort {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
}

/// A message as it lies in the mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Grows with every message.
    pub id: u64,
    /// When it was posted, by the poster's clock.
    pub at: Instant,
    /// What it says, or why it cannot be read (a poster of another version).
    pub message: Result<Message, String>,
}

/// Posts `message` to the run in `folder`. It is synced when this returns.
///
/// # Errors
/// [`JournalError::Mailbox`] if it is too long or too many wait, [`JournalError::Io`] if there is no run or the file
/// cannot be used.
pub fn post(folder: &Path, at: Instant, message: &Message) -> Result<u64, JournalError> {
    Mailbox::open(folder)?.post(at, message)
}

/// The mailbox of a run.
#[derive(Debug)]
pub struct Mailbox {
    connection: Connection,
    path: PathBuf,
}

impl Mailbox {
    /// Opens the mailbox of the run in `folder`; creates it if this is the first to speak or listen.
    ///
    /// # Errors
    /// [`JournalError`] if `folder` holds no run, or the file is damaged, foreign or cannot be used.
    pub fn open(folder: &Path) -> Result<Self, JournalError> {
        let journal = folder.join(JOURNAL_FILE);
        if let Err(error) = journal.metadata() {
            return Err(JournalError::io(journal.display(), error));
        }
        let path = folder.join(MAILBOX_FILE);
        match connect(&path) {
            Ok(Some(connection)) => Ok(Self { connection, path }),
            Ok(None) => Err(JournalError::Foreign {
                path: path.display().to_string(),
            }),
            Err(error) => Err(JournalError::database(path.display(), error)),
        }
    }

    /// Everything that was not taken yet, oldest first. Journal what it asks for, then [`mark_taken`](Self::mark_taken);
    /// after a crash between the two it is here again, so whoever journals it looks whether it already did.
    ///
    /// # Errors
    /// [`JournalError`] if the file cannot be read.
    pub fn unread(&self) -> Result<Vec<Mail>, JournalError> {
        self.select()
            .map_err(|error| JournalError::database(self.path.display(), error))
    }

    /// Marks messages as taken. Taking one twice does no harm.
    ///
    /// # Errors
    /// [`JournalError`] if the file cannot be written; then none of them is marked.
    pub fn mark_taken(&mut self, ids: &[u64]) -> Result<(), JournalError> {
        if ids.is_empty() {
            // Whoever listens often must not keep speakers from writing.
            return Ok(());
        }
        self.update(ids)
            .map_err(|error| JournalError::database(self.path.display(), error))
    }

    fn post(&mut self, at: Instant, message: &Message) -> Result<u64, JournalError> {
        let refused = |why: String| JournalError::Mailbox {
            path: self.path.display().to_string(),
            why,
        };
        let body = serde_json::to_string(message).map_err(|error| refused(error.to_string()))?;
        if body.len() > MAX_MESSAGE_BYTES {
            let length = body.len();
            return Err(refused(format!(
                "it has {length} bytes and may have {MAX_MESSAGE_BYTES}; shorten the note"
            )));
        }
        match self.insert(at, &body) {
            Ok(Some(id)) => Ok(id),
            Ok(None) => Err(JournalError::Mailbox {
                path: self.path.display().to_string(),
                why: format!("{MAX_UNREAD} messages wait already; is a host at the run?"),
            }),
            Err(error) => Err(JournalError::database(self.path.display(), error)),
        }
    }

    fn insert(&mut self, at: Instant, body: &str) -> Result<Option<u64>, rusqlite::Error> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let count = "SELECT count(*) FROM mailbox WHERE taken = 0";
        let unread: u64 = transaction.query_row(count, [], |row| row.get(0))?;
        if unread >= MAX_UNREAD {
            return Ok(None);
        }
        let id = transaction.query_row(
            "INSERT INTO mailbox (at, body) VALUES (?1, ?2) RETURNING id",
            params![at.0, body],
            |row| row.get(0),
        )?;
        transaction.commit()?;
        Ok(Some(id))
    }

    fn select(&self) -> Result<Vec<Mail>, rusqlite::Error> {
        let wanted = "SELECT id, at, body FROM mailbox WHERE taken = 0 ORDER BY id";
        let mut statement = self.connection.prepare_cached(wanted)?;
        let mails = statement.query_map([], |row| {
            let body: String = row.get(2)?;
            Ok(Mail {
                id: row.get(0)?,
                at: Instant(row.get(1)?),
                message: serde_json::from_str(&body).map_err(|error| error.to_string()),
            })
        })?;
        mails.collect()
    }

    fn update(&mut self, ids: &[u64]) -> Result<(), rusqlite::Error> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        for id in ids {
            transaction
                .prepare_cached("UPDATE mailbox SET taken = 1 WHERE id = ?1")?
                .execute([id])?;
        }
        transaction.commit()
    }
}

/// `None` for a database that is not a mailbox. Where many open a new one at once, this waits its turn.
fn connect(path: &Path) -> Result<Option<Connection>, rusqlite::Error> {
    for _ in 1..MAX_CONNECTS {
        match try_connect(path) {
            Err(error) if is_busy(&error) => std::thread::sleep(CONNECT_AGAIN),
            answer => return answer,
        }
    }
    try_connect(path)
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
}

fn try_connect(path: &Path) -> Result<Option<Connection>, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let id: i64 = transaction.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if id != APPLICATION_ID {
        let tables = "SELECT count(*) FROM sqlite_schema";
        if transaction.query_row(tables, [], |row| row.get::<_, i64>(0))? > 0 {
            return Ok(None);
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.execute_batch(LAYOUT)?;
    }
    transaction.commit()?;
    // Persistent, so only the first changes anything. SQLite's own waiting does not cover this switch.
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    Ok(Some(connection))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(JOURNAL_FILE), "").unwrap();
        folder
    }

    fn abort(reason: impl Into<String>) -> Message {
        Message::Abort {
            by: "ic".to_owned(),
            reason: reason.into(),
        }
    }

    #[test]
    fn a_message_stays_until_it_is_taken() {
        let run = run();
        let decide = Message::Decide {
            target: Target::Step("replica/flip".parse().unwrap()),
            choice: Choice::Go,
            by: "dana".to_owned(),
            role: "dns-lead".parse().unwrap(),
            note: String::new(),
        };
        let id = post(run.path(), Instant(7), &decide).unwrap();
        post(run.path(), Instant(8), &abort("no")).unwrap();
        let mut mailbox = Mailbox::open(run.path()).unwrap();
        let unread = mailbox.unread().unwrap();
        assert_eq!(
            (unread.len(), unread[0].id, unread[0].at),
            (2, id, Instant(7))
        );
        assert_eq!(unread[0].message, Ok(decide));
        assert_eq!(mailbox.unread().unwrap(), unread, "reading takes nothing");
        mailbox.mark_taken(&[id]).unwrap();
        drop(mailbox);
        let left = Mailbox::open(run.path()).unwrap().unread().unwrap();
        assert_eq!(left, unread[1..]);
    }

    /// Every post opens the file by itself, as another process does; the first ones also race to create it.
    #[test]
    fn many_speak_while_one_listens_and_nothing_is_lost() {
        const SPEAKERS: usize = 4;
        const EACH: usize = 10;
        let run = run();
        let mut reasons = std::collections::BTreeSet::new();
        std::thread::scope(|scope| {
            let folder = run.path();
            let speak = |speaker| {
                for number in 0..EACH {
                    let message = abort(format!("{speaker} {number}"));
                    post(folder, Instant(0), &message).unwrap();
                }
            };
            let speakers = (0..SPEAKERS).map(|speaker| scope.spawn(move || speak(speaker)));
            let speakers: Vec<_> = speakers.collect();
            let mut mailbox = Mailbox::open(run.path()).unwrap();
            loop {
                let was_last = speakers.iter().all(|speaker| speaker.is_finished());
                let mails = mailbox.unread().unwrap();
                let ids: Vec<u64> = mails.iter().map(|mail| mail.id).collect();
                mailbox.mark_taken(&ids).unwrap();
                for mail in mails {
                    let Ok(Message::Abort { reason, .. }) = mail.message else {
                        panic!("{mail:?}");
                    };
                    assert!(reasons.insert(reason), "delivered twice");
                }
                if was_last {
                    break;
                }
                std::thread::yield_now();
            }
        });
        assert_eq!(reasons.len(), SPEAKERS * EACH);
    }

    #[test]
    fn what_cannot_be_read_does_not_stop_what_can() {
        let run = run();
        let mut mailbox = Mailbox::open(run.path()).unwrap();
        mailbox
            .insert(Instant(0), r#"{"kind":"from-the-future"}"#)
            .unwrap();
        mailbox.post(Instant(0), &abort("stop")).unwrap();
        let unread = mailbox.unread().unwrap();
        assert!(unread[0].message.is_err());
        assert_eq!(unread[1].message, Ok(abort("stop")));
    }

    #[test]
    fn it_refuses_what_it_cannot_hold() {
        let run = run();
        let long = post(
            run.path(),
            Instant(0),
            &abort("x".repeat(MAX_MESSAGE_BYTES)),
        );
        assert_eq!(long.unwrap_err().code(), "JN0014");
        let mut mailbox = Mailbox::open(run.path()).unwrap();
        let fill = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MAX_UNREAD})
             INSERT INTO mailbox (at, body) SELECT 0, '{{}}' FROM n"
        );
        mailbox.connection.execute_batch(&fill).unwrap();
        assert_eq!(
            mailbox.post(Instant(0), &abort("late")).unwrap_err().code(),
            "JN0014"
        );
        let nowhere = tempfile::tempdir().unwrap();
        assert_eq!(
            post(nowhere.path(), Instant(0), &abort("x"))
                .unwrap_err()
                .code(),
            "JN0008"
        );
        assert!(!nowhere.path().join(MAILBOX_FILE).exists());
    }
}
