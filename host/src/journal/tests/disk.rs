//! The journal on disk: crashes, second hosts, full disks, damaged files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{clock, header, inline, logged, now};
use crate::clock::SystemClock;
use crate::journal::lease::LOCK_FILE;
use crate::journal::record::{Ending, Entry, Record};
use crate::journal::redact::Redactor;
use crate::journal::sqlite::{self, JOURNAL_FILE, SqliteOptions, SqliteStore};
use crate::journal::{Durability, Journal, JournalError, Setup, chain};

fn run_folder() -> (tempfile::TempDir, PathBuf) {
    let runs = tempfile::tempdir().unwrap();
    let folder = runs.path().join(header().run.as_str());
    std::fs::create_dir(&folder).unwrap();
    (runs, folder)
}

fn create(folder: &Path, options: SqliteOptions, setup: Setup) -> Journal {
    let store = SqliteStore::create(folder, options).unwrap();
    Journal::create(Box::new(store), setup, header()).unwrap()
}

fn resume(folder: &Path) -> Result<(Journal, Vec<Entry>), JournalError> {
    let store = SqliteStore::open(folder, SqliteOptions::default())?;
    Journal::resume(Box::new(store), inline(), "0.1.0")
}

#[test]
fn durable_records_outlive_a_host_that_ends_without_closing() {
    let (runs, folder) = run_folder();
    let journal = create(
        &folder,
        SqliteOptions::default(),
        Setup::threaded(Arc::new(SystemClock), Redactor::none()),
    );
    now(journal.append(logged("kept"), Durability::Durable)).unwrap();
    // What a dead host leaves: the files as they are while it has them open.
    let left = runs.path().join("left");
    std::fs::create_dir(&left).unwrap();
    for file in std::fs::read_dir(&folder).unwrap() {
        let file = file.unwrap();
        if !file.file_name().to_string_lossy().ends_with("-shm") {
            std::fs::copy(file.path(), left.join(file.file_name())).unwrap();
        }
    }
    let (_, entries) = resume(&left).unwrap();
    assert_eq!(entries, journal.entries());
    assert_eq!(entries[1].record, logged("kept"));
}

#[test]
fn a_second_host_on_the_same_run_is_refused_and_readers_are_not() {
    let (_runs, folder) = run_folder();
    let journal = create(&folder, SqliteOptions::default(), inline());
    let error = resume(&folder).err().unwrap();
    assert_eq!(error.code(), "JN0005");
    assert!(
        error
            .to_string()
            .contains("20260102t030405z-wordpress-ab12"),
        "{error}"
    );
    assert_eq!(sqlite::read(&folder).unwrap().len(), 1);
    drop(journal);
    let (journal, _) = resume(&folder).unwrap();
    drop(journal);
    let error = SqliteStore::create(&folder, SqliteOptions::default()).unwrap_err();
    assert_eq!(error.code(), "JN0013");
}

/// Where locks do not work (some network file systems) the epoch still does.
#[test]
fn a_host_that_lost_the_run_cannot_write_even_without_a_lock() {
    let (_runs, folder) = run_folder();
    let old = create(&folder, SqliteOptions::default(), inline());
    std::fs::remove_file(folder.join(LOCK_FILE)).unwrap();
    let (new, _) = resume(&folder).unwrap();
    let error = now(old.append(logged("late"), Durability::Durable)).unwrap_err();
    assert_eq!(error.code(), "JN0006");
    now(new.append(logged("mine"), Durability::Durable)).unwrap();
    chain::verify(&sqlite::read(&folder).unwrap()).unwrap();
}

#[test]
fn a_full_disk_keeps_nothing_of_the_record_and_stops_the_run() {
    for threaded in [false, true] {
        let (_runs, folder) = run_folder();
        let setup = if threaded {
            Setup::threaded(clock(), Redactor::none())
        } else {
            inline()
        };
        let journal = create(
            &folder,
            SqliteOptions {
                max_pages: Some(12),
            },
            setup,
        );
        now(journal.append(logged("fits"), Durability::Durable)).unwrap();
        let big = "x".repeat(100_000);
        let error = now(journal.append(logged(big), Durability::Durable)).unwrap_err();
        assert_eq!(error.code(), "JN0007");
        let error = now(journal.append(logged("small"), Durability::Durable)).unwrap_err();
        assert_eq!(error.code(), "JN0007", "poisoned: a small record would fit");
        assert_eq!(journal.failure().unwrap().code(), "JN0007");
        drop(journal);
        let (journal, entries) = resume(&folder).unwrap();
        assert_eq!(entries.len(), 2);
        now(journal.append(logged("with room again"), Durability::Durable)).unwrap();
    }
}

#[test]
fn what_is_not_a_journal_is_refused_by_kind() {
    let refused = |content: &dyn Fn(&Path)| {
        let (_runs, folder) = run_folder();
        content(&folder.join(JOURNAL_FILE));
        let by_reader = sqlite::read(&folder).unwrap_err().code();
        assert_eq!(resume(&folder).err().unwrap().code(), by_reader);
        by_reader
    };
    let sql = |path: &Path, sql: &str| {
        rusqlite::Connection::open(path)
            .unwrap()
            .execute_batch(sql)
            .unwrap()
    };
    let made = |path: &Path| {
        drop(create(
            path.parent().unwrap(),
            SqliteOptions::default(),
            inline(),
        ))
    };
    assert_eq!(refused(&|_| ()), "JN0008");
    assert_eq!(
        refused(&|path| std::fs::write(path, "x".repeat(9000)).unwrap()),
        "JN0001"
    );
    assert_eq!(refused(&|path| std::fs::write(path, "").unwrap()), "JN0002");
    assert_eq!(refused(&|path| sql(path, "CREATE TABLE t(a)")), "JN0002");
    assert_eq!(
        refused(&|path| {
            made(path);
            sql(path, "PRAGMA user_version = 9")
        }),
        "JN0003"
    );
    assert_eq!(
        refused(&|path| {
            made(path);
            sql(path, "DROP TABLE entries")
        }),
        "JN0001"
    );
    let torn = |path: &Path| {
        made(path);
        let bytes = std::fs::read(path).unwrap();
        std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    };
    assert_eq!(refused(&torn), "JN0001");
}

#[test]
fn a_changed_row_stops_a_resume_and_nothing_is_written() {
    let (_runs, folder) = run_folder();
    drop(create(&folder, SqliteOptions::default(), inline()));
    let change = "UPDATE entries SET record = replace(record, '\"ic\"', '\"someone\"')";
    rusqlite::Connection::open(folder.join(JOURNAL_FILE))
        .unwrap()
        .execute_batch(change)
        .unwrap();
    let before = sqlite::read(&folder).unwrap();
    assert_eq!(resume(&folder).err().unwrap().code(), "JN0004");
    assert_eq!(sqlite::read(&folder).unwrap(), before);
}

#[test]
fn ten_thousand_records_resume() {
    let (_runs, folder) = run_folder();
    let setup = Setup::threaded(clock(), Redactor::none());
    let journal = create(&folder, SqliteOptions::default(), setup);
    let appends: Vec<_> = (0..9_998)
        .map(|_| journal.append(logged("x"), Durability::Buffered))
        .collect();
    for append in appends {
        now(append).unwrap();
    }
    let ended = Record::RunEnded {
        ending: Ending::Recovered,
        detail: String::new(),
    };
    drop(journal.append(ended, Durability::Durable));
    drop(journal);
    let (journal, entries) = resume(&folder).unwrap();
    assert_eq!(entries.len(), 10_000);
    assert_eq!(journal.read(<[Entry]>::len), 10_001);
}
