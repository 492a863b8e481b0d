//! Programs, for providers: behind a trait, so that what uses them is tested without a host; and what a program's last
//! words are.

use crate::host::understudy::exec::exec;
use crate::host::understudy::types::types::{Error, Outcome};
use crate::provider::in_progress;

pub use exec::{Command, Ended, Input, Job, Listed, Output, Source, Written};

/// Wait in milliseconds before a job is asked after again; the host itself has waited some seconds by then.
const JOB_POLL_MS: u64 = 250;

/// Runs programs and keeps their files.
pub trait Programs {
    /// Runs a program to its end.
    ///
    /// # Errors
    /// As `exec.run`.
    fn run(&self, command: &Command) -> Result<Ended, Error>;

    /// Starts a job, or asks how it stands.
    ///
    /// # Errors
    /// As `exec.ensure-job`.
    fn job(&self, name: &str, command: &Command) -> Result<Job, Error>;

    /// The files of a program.
    ///
    /// # Errors
    /// As `exec.list-files`.
    fn files(&self, program: &str) -> Result<Vec<Listed>, Error>;

    /// A part of a file; a negative offset counts from its end.
    ///
    /// # Errors
    /// As `exec.get-file`.
    fn part(&self, program: &str, name: &str, offset: i64, length: u32) -> Result<Vec<u8>, Error>;

    /// Has a file with this content.
    ///
    /// # Errors
    /// As `exec.ensure-file`.
    fn put(&self, program: &str, name: &str, content: &[u8]) -> Result<(), Error>;

    /// Has no file of this name.
    ///
    /// # Errors
    /// As `exec.ensure-no-file`.
    fn remove(&self, program: &str, name: &str) -> Result<(), Error>;
}

/// Programs through the host.
#[derive(Debug)]
pub struct Host;

impl Programs for Host {
    fn run(&self, command: &Command) -> Result<Ended, Error> {
        exec::run(command)
    }

    fn job(&self, name: &str, command: &Command) -> Result<Job, Error> {
        exec::ensure_job(name, command)
    }

    fn files(&self, program: &str) -> Result<Vec<Listed>, Error> {
        exec::list_files(program)
    }

    fn part(&self, program: &str, name: &str, offset: i64, length: u32) -> Result<Vec<u8>, Error> {
        exec::get_file(program, name, offset, length)
    }

    fn put(&self, program: &str, name: &str, content: &[u8]) -> Result<(), Error> {
        exec::ensure_file(program, name, content)
    }

    fn remove(&self, program: &str, name: &str) -> Result<(), Error> {
        exec::ensure_no_file(program, name)
    }
}

/// The `in-progress` of a job that runs for so many milliseconds.
#[must_use]
pub fn waiting(name: &str, doing: &str, running_ms: u64) -> Outcome {
    let description = format!("{doing}, for {} s", running_ms / 1000);
    in_progress(name, description, JOB_POLL_MS)
}

/// The last lines that a program wrote to standard error, in one.
#[must_use]
pub fn last_words(ended: &Ended) -> String {
    const LINES: usize = 3;
    let lines: Vec<&str> = ended
        .stderr
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let from = lines.len().saturating_sub(LINES);
    lines.get(from..).unwrap_or_default().join(" ")
}
/// Longest stem made of a name, in bytes.
pub const MAX_STEM_BYTES: usize = 100;

/// A name as the beginning of a file's, of at most [`MAX_STEM_BYTES`]: what cannot stand there becomes `_`.
#[must_use]
pub fn stem(name: &str) -> String {
    let plain = |c: char| match c.is_ascii_alphanumeric() || c == '-' || c == '.' {
        true => c,
        false => '_',
    };
    let mut stem: String = name.chars().map(plain).collect();
    if !stem.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
        stem.insert(0, '_');
    }
    // The end is what tells names of one run apart.
    let over = stem.len().saturating_sub(MAX_STEM_BYTES);
    stem.split_off(over)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_a_files_name() {
        assert_eq!(stem("r-1.restore/take-backup"), "r-1.restore_take-backup");
        assert_eq!(stem(".hidden"), "_.hidden");
        let long = stem(&format!("{}-end", "a".repeat(200)));
        assert_eq!(long.len(), MAX_STEM_BYTES);
        assert!(long.ends_with("-end"));
    }
}
