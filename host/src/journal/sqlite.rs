//! A journal on disk: one SQLite file per run, `<runs>/<run>/journal.sqlite`, in write-ahead mode.
//!
//! A batch is one transaction. Durable ones are committed under `synchronous=FULL` (one sync for the whole batch and
//! everything before it), others under `NORMAL` (they survive the process, not a power cut; what is lost then is a
//! tail, never a hole). Every transaction checks the epoch in `meta`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params};

use super::error::JournalError;
use super::lease::{Lease, run_name};
use super::store::{Durability, Seen, Store, StoredEntry};
use crate::clock::Instant;

/// Name of the journal in a run's folder.
pub const JOURNAL_FILE: &str = "journal.sqlite";

/// `PRAGMA application_id` of a journal: `UNDY` in ASCII.
const APPLICATION_ID: i64 = 0x554e_4459;
/// `PRAGMA user_version`: version of the tables. Records have their own.
const LAYOUT_VERSION: i64 = 1;
/// How long a statement waits for another connection. Only readers share the file, and they never block a writer for
/// longer than a checkpoint.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const LAYOUT: &str = "
CREATE TABLE entries (
  seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, epoch INTEGER NOT NULL, record TEXT NOT NULL, hash TEXT NOT NULL
) STRICT;
CREATE TABLE meta (
  one INTEGER PRIMARY KEY CHECK (one = 1), run TEXT NOT NULL, epoch INTEGER NOT NULL, next_seq INTEGER NOT NULL
) STRICT;
";

/// How a journal file is used.
#[derive(Debug, Clone, Copy, Default)]
pub struct SqliteOptions {
    /// Largest size of the file in pages of 4096 bytes; an append beyond it is [`JournalError::Full`]. It bounds what
    /// a run may take of a shared disk, and lets a rehearsal of a full disk be exact. `None` for no bound.
    pub max_pages: Option<u32>,
}

/// The journal of one run, open for writing. Holds the run's [`Lease`].
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
    path: PathBuf,
    synced: Option<Durability>,
    _lease: Lease,
}

impl SqliteStore {
    /// Creates the journal in `folder`, which is named after the run and exists already.
    ///
    /// # Errors
    /// [`JournalError::Exists`] if there is one, [`JournalError::Held`] if another host is at it, or what the disk
    /// says.
    pub fn create(folder: &Path, options: SqliteOptions) -> Result<Self, JournalError> {
        let lease = Lease::acquire(folder)?;
        let path = folder.join(JOURNAL_FILE);
        if path.exists() {
            return Err(JournalError::Exists {
                path: folder.display().to_string(),
            });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut connection =
            open(&path, flags).map_err(|error| JournalError::database(path.display(), error))?;
        lay_out(&mut connection, &run_name(folder))
            .and_then(|()| prepare(&connection, options))
            .map_err(|error| JournalError::database(path.display(), error))?;
        Ok(Self {
            connection,
            path,
            synced: None,
            _lease: lease,
        })
    }

    /// Opens the journal in `folder` for writing.
    ///
    /// # Errors
    /// [`JournalError`] if there is none, it is damaged or foreign, or another host has it.
    pub fn open(folder: &Path, options: SqliteOptions) -> Result<Self, JournalError> {
        let path = existing(folder)?;
        let lease = Lease::acquire(folder)?;
        let connection = open(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)
            .map_err(|error| JournalError::database(path.display(), error))?;
        check(&connection, &path)?;
        prepare(&connection, options)
            .map_err(|error| JournalError::database(path.display(), error))?;
        Ok(Self {
            connection,
            path,
            synced: None,
            _lease: lease,
        })
    }

    fn write(
        &mut self,
        batch: &[StoredEntry],
        durability: Durability,
    ) -> Result<bool, rusqlite::Error> {
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else {
            return Ok(true);
        };
        // Cannot be changed inside a transaction.
        if self.synced != Some(durability) {
            let level = match durability {
                Durability::Durable => "FULL",
                Durability::Buffered => "NORMAL",
            };
            self.connection.pragma_update(None, "synchronous", level)?;
            self.synced = Some(durability);
        }
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let fence = "UPDATE meta SET next_seq = ?1 WHERE epoch = ?2 AND next_seq = ?3";
        let touched = transaction.prepare_cached(fence)?.execute(params![
            last.seq + 1,
            first.epoch,
            first.seq
        ])?;
        if touched != 1 {
            return Ok(false);
        }
        insert(&transaction, batch)?;
        transaction.commit()?;
        Ok(true)
    }
}

impl Store for SqliteStore {
    fn read_all(&mut self) -> Result<(Seen, Vec<StoredEntry>), JournalError> {
        select(&mut self.connection)
            .map_err(|error| JournalError::database(self.path.display(), error))
    }

    fn take_over(&mut self, seen: Seen) -> Result<u64, JournalError> {
        let database = |error| JournalError::database(self.path.display(), error);
        self.synced = None;
        self.connection
            .pragma_update(None, "synchronous", "FULL")
            .map_err(database)?;
        let fence = "UPDATE meta SET epoch = epoch + 1 WHERE epoch = ?1 AND next_seq = ?2";
        let touched = self
            .connection
            .execute(fence, params![seen.epoch, seen.next_seq])
            .map_err(database)?;
        if touched == 1 {
            Ok(seen.epoch + 1)
        } else {
            Err(JournalError::Fenced { epoch: seen.epoch })
        }
    }

    fn append(
        &mut self,
        batch: Vec<StoredEntry>,
        durability: Durability,
    ) -> Result<(), JournalError> {
        match self.write(&batch, durability) {
            Ok(true) => Ok(()),
            Ok(false) => Err(JournalError::Fenced {
                epoch: batch.first().map_or(0, |first| first.epoch),
            }),
            Err(error) => Err(JournalError::database(self.path.display(), error)),
        }
    }
}

/// Everything in the journal of `folder`, without a lease: also while a host writes it.
///
/// # Errors
/// [`JournalError`] if there is none, or it is damaged or foreign.
pub fn read(folder: &Path) -> Result<Vec<StoredEntry>, JournalError> {
    let (path, mut connection) = read_only(folder)?;
    select(&mut connection)
        .map(|(_, lines)| lines)
        .map_err(|error| JournalError::database(path.display(), error))
}

/// The first and the last entry and the last that ends or resumes the run: enough for a list of runs.
///
/// # Errors
/// As [`read`].
pub fn glance(folder: &Path) -> Result<Vec<StoredEntry>, JournalError> {
    let (path, connection) = read_only(folder)?;
    let wanted = "SELECT seq, at, epoch, record, hash FROM entries WHERE seq IN (
        (SELECT min(seq) FROM entries),
        (SELECT max(seq) FROM entries),
        (SELECT max(seq) FROM entries WHERE json_extract(record, '$.type') IN ('run-ended', 'run-resumed'))
      ) ORDER BY seq";
    rows(&connection, wanted).map_err(|error| JournalError::database(path.display(), error))
}

fn read_only(folder: &Path) -> Result<(PathBuf, Connection), JournalError> {
    let path = existing(folder)?;
    let connection = open(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(|error| JournalError::database(path.display(), error))?;
    check(&connection, &path)?;
    Ok((path, connection))
}

fn existing(folder: &Path) -> Result<PathBuf, JournalError> {
    let path = folder.join(JOURNAL_FILE);
    match path.metadata() {
        Ok(_) => Ok(path),
        Err(error) => Err(JournalError::io(path.display(), error)),
    }
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

fn lay_out(connection: &mut Connection, run: &str) -> Result<(), rusqlite::Error> {
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(LAYOUT)?;
    transaction.execute("INSERT INTO meta VALUES (1, ?1, 0, 0)", [run])?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", LAYOUT_VERSION)?;
    transaction.commit()
}

fn prepare(connection: &Connection, options: SqliteOptions) -> Result<(), rusqlite::Error> {
    match options.max_pages {
        Some(pages) => {
            connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
        }
        None => Ok(()),
    }
}

/// Refuses what is not a journal of this layout, and a damaged one.
fn check(connection: &Connection, path: &Path) -> Result<(), JournalError> {
    let database = |error| JournalError::database(path.display(), error);
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    if pragma("application_id").map_err(database)? != APPLICATION_ID {
        return Err(JournalError::Foreign {
            path: path.display().to_string(),
        });
    }
    let found = pragma("user_version").map_err(database)?;
    if found != LAYOUT_VERSION {
        return Err(JournalError::UnknownLayout {
            path: path.display().to_string(),
            found,
            known: LAYOUT_VERSION,
        });
    }
    let health: String = connection
        .pragma_query_value(None, "quick_check", |row| row.get(0))
        .map_err(database)?;
    if health == "ok" {
        Ok(())
    } else {
        Err(JournalError::Unreadable {
            path: path.display().to_string(),
            source: std::sync::Arc::new(std::io::Error::other(health)),
        })
    }
}

fn insert(transaction: &Transaction<'_>, batch: &[StoredEntry]) -> Result<(), rusqlite::Error> {
    let mut statement =
        transaction.prepare_cached("INSERT INTO entries VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for line in batch {
        statement.execute(params![
            line.seq,
            line.at.0,
            line.epoch,
            line.record,
            line.hash
        ])?;
    }
    Ok(())
}

/// In one transaction, so that both halves are of one moment.
fn select(connection: &mut Connection) -> Result<(Seen, Vec<StoredEntry>), rusqlite::Error> {
    let transaction = connection.transaction()?;
    let seen = transaction.query_row("SELECT epoch, next_seq FROM meta", [], |row| {
        Ok(Seen {
            epoch: row.get(0)?,
            next_seq: row.get(1)?,
        })
    })?;
    let lines = rows(
        &transaction,
        "SELECT seq, at, epoch, record, hash FROM entries ORDER BY seq",
    )?;
    Ok((seen, lines))
}

fn rows(connection: &Connection, sql: &str) -> Result<Vec<StoredEntry>, rusqlite::Error> {
    let mut statement = connection.prepare(sql)?;
    let lines = statement.query_map([], |row| {
        Ok(StoredEntry {
            seq: row.get(0)?,
            at: Instant(row.get(1)?),
            epoch: row.get(2)?,
            record: row.get(3)?,
            hash: row.get(4)?,
        })
    })?;
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1 is NORMAL, 2 is FULL (sqlite.org/pragma.html#pragma_synchronous).
    #[test]
    fn only_what_must_be_durable_is_synced() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = SqliteStore::create(folder.path(), SqliteOptions::default()).unwrap();
        let line = |seq| StoredEntry {
            seq,
            at: Instant(0),
            epoch: 0,
            record: "{}".to_owned(),
            hash: String::new(),
        };
        let mut level_after = |seq, durability| {
            store.append(vec![line(seq)], durability).unwrap();
            let level = store
                .connection
                .pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0));
            level.unwrap()
        };
        assert_eq!(level_after(0, Durability::Durable), 2);
        assert_eq!(level_after(1, Durability::Buffered), 1);
        assert_eq!(level_after(2, Durability::Durable), 2);
        let mode: String = store
            .connection
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .unwrap();
        assert_eq!(mode, "wal");
    }
}
