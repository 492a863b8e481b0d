//! One host per run: a lock file held for as long as the host lives.
//!
//! The operating system drops the lock with the process, however it ends. The epoch in the journal is the second
//! line: it also refuses a host that wrote through a lock that was not one (some network file systems).

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::error::JournalError;

/// Name of the lock file in a run's folder.
pub const LOCK_FILE: &str = "lock";

/// How often an acquire looks again: [`Lease::holder`] in another process takes the lock for an instant.
const ATTEMPTS: u32 = 5;
/// Time between two looks.
const ATTEMPT_GAP: Duration = Duration::from_millis(20);
/// Digits of a process id that are read; more is not one.
const MAX_PID_BYTES: u64 = 10;

/// The right to write a run's journal. Dropping it gives it back.
#[derive(Debug)]
pub struct Lease {
    _file: File,
}

impl Lease {
    /// Takes the run in `folder`.
    ///
    /// # Errors
    /// [`JournalError::Held`] if another host has it, [`JournalError::Io`] if the lock file cannot be used.
    pub fn acquire(folder: &Path) -> Result<Self, JournalError> {
        let path = folder.join(LOCK_FILE);
        let io = |error| JournalError::io(path.display(), error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io)?;
        for attempt in 1..=ATTEMPTS {
            match file.try_lock() {
                Ok(()) => {
                    file.set_len(0).map_err(io)?;
                    file.seek(SeekFrom::Start(0)).map_err(io)?;
                    write!(file, "{}", std::process::id()).map_err(io)?;
                    return Ok(Self { _file: file });
                }
                Err(TryLockError::WouldBlock) if attempt < ATTEMPTS => thread::sleep(ATTEMPT_GAP),
                Err(TryLockError::WouldBlock) => break,
                Err(TryLockError::Error(error)) => return Err(io(error)),
            }
        }
        Err(JournalError::Held {
            run: run_name(folder),
            pid: read_pid(&mut file),
        })
    }

    /// The process that has the run in `folder`, if one has.
    #[must_use]
    pub fn holder(folder: &Path) -> Option<u32> {
        let mut file = File::open(folder.join(LOCK_FILE)).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(read_pid(&mut file)),
            Ok(()) | Err(TryLockError::Error(_)) => None,
        }
    }
}

/// The run that a folder is named after.
pub(super) fn run_name(folder: &Path) -> String {
    folder
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn read_pid(file: &mut File) -> u32 {
    let mut text = String::new();
    match file.take(MAX_PID_BYTES).read_to_string(&mut text) {
        Ok(_) => text.trim().parse().unwrap_or(0),
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_host_is_told_who_has_the_run() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Lease::holder(folder.path()), None);
        let lease = Lease::acquire(folder.path()).unwrap();
        let error = Lease::acquire(folder.path()).unwrap_err();
        assert_eq!(error.code(), "JN0005");
        assert!(
            error
                .to_string()
                .contains(&format!("pid {}", std::process::id()))
        );
        assert_eq!(Lease::holder(folder.path()), Some(std::process::id()));
        drop(lease);
        assert_eq!(Lease::holder(folder.path()), None);
        Lease::acquire(folder.path()).unwrap();
    }
}
