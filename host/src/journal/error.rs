//! What can go wrong with a journal. Each case has a code with a page in `docs/codes`.

use std::fmt;
use std::sync::Arc;

use super::chain::ChainError;
use super::record::RECORD_VERSION;

/// A cause that can be handed to everyone who waits for the same failed write.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// A journal that cannot be read, written or taken over.
///
/// Cloneable, because one failed write is the answer to everything that is appended after it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// Damaged, or not a database at all.
    #[error(
        "JN0001: `{path}` cannot be read as a journal; restore it from a copy, or verify an export of the run instead"
    )]
    Unreadable {
        /// The file.
        path: String,
        /// What the database says.
        #[source]
        source: Cause,
    },
    /// A database of another program, or an empty one.
    #[error(
        "JN0002: `{path}` is not a journal of Understudy; name the folder of a run, or restore the file from a copy"
    )]
    Foreign {
        /// The file.
        path: String,
    },
    /// Written by a version of Understudy that this one does not know.
    #[error(
        "JN0003: `{path}` has layout version {found} and this host reads version {known}; use the host that wrote it"
    )]
    UnknownLayout {
        /// The file.
        path: String,
        /// Its version.
        found: i64,
        /// The version this host reads.
        known: i64,
    },
    /// The records are not the ones that were written.
    #[error(
        "JN0004: the chain of records is broken; do not resume from this journal, keep it as it is and find out who changed it"
    )]
    Chain(#[source] ChainError),
    /// Records of a version that this host does not know.
    #[error(
        "JN0003: the records have version {found} and this host reads version {RECORD_VERSION}; use the host that wrote them"
    )]
    UnknownRecords {
        /// The version in the header.
        found: u64,
    },
    /// Another host has the run.
    #[error(
        "JN0005: run `{run}` is held by another host (pid {pid}); let it finish, or end that process and resume"
    )]
    Held {
        /// The run.
        run: String,
        /// The other process; 0 where it did not say.
        pid: u32,
    },
    /// Another host has taken the run over since.
    #[error(
        "JN0006: epoch {epoch} of this run is over: another host has taken it; stop this one and look at `understudy show`"
    )]
    Fenced {
        /// The epoch this host wrote in.
        epoch: u64,
    },
    /// No room left. Nothing of the refused batch is kept.
    #[error("JN0007: no room left for the journal `{path}`; make room on its disk")]
    Full {
        /// The file.
        path: String,
    },
    /// The operating system refused. Nothing of the refused batch counts as written.
    #[error("JN0008: cannot use `{path}`; mend the cause, then try again")]
    Io {
        /// The file or folder.
        path: String,
        /// What the system says.
        #[source]
        source: Cause,
    },
    /// The journal was told to fail here (`rehearse --crash-after`).
    #[error("JN0009: the journal was cut after {after} records, as asked; resume the run to go on")]
    Cut {
        /// How many records it holds.
        after: u64,
    },
    /// A record that could not be read back: redaction hit a name it is built on, or a figure is not a number.
    #[error(
        "JN0010: a `{kind}` record cannot be kept; if a secret is spelled like a name in the runbook, change the secret"
    )]
    Unrecordable {
        /// Which record.
        kind: &'static str,
        /// What does not fit.
        #[source]
        source: Cause,
    },
    /// Records come faster than the disk takes them.
    #[error(
        "JN0011: {queued} records wait to be written; the disk is too slow, move the runs folder and resume"
    )]
    Backlog {
        /// How many wait.
        queued: usize,
    },
    /// The thread that writes has ended.
    #[error("JN0011: the journal's writer has stopped; resume the run")]
    WriterGone,
    /// No such run.
    #[error("JN0012: no run in `{folder}` begins with `{wanted}`; `understudy runs` lists them")]
    NoSuchRun {
        /// The runs folder.
        folder: String,
        /// What was asked for.
        wanted: String,
    },
    /// Several runs fit.
    #[error("JN0012: `{wanted}` fits {}; give more of the name", .candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// What fits.
        candidates: Vec<String>,
    },
    /// There is a run of this name already.
    #[error(
        "JN0013: there is a run in `{path}` already; resume it, or start a run under another name"
    )]
    Exists {
        /// Its folder.
        path: String,
    },
    /// A message for a run that its mailbox does not take.
    #[error("JN0014: the mailbox `{path}` does not take the message: {why}")]
    Mailbox {
        /// The mailbox.
        path: String,
        /// Why, and what would fit.
        why: String,
    },
    /// An exported journal with a line that is none.
    #[error(
        "JN0015: line {line} is not an exported record; export the run again, whole and unedited"
    )]
    Import {
        /// From 1.
        line: usize,
        /// What does not fit.
        #[source]
        source: Cause,
    },
}

impl From<ChainError> for JournalError {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::Version { found } => Self::UnknownRecords { found },
            other => Self::Chain(other),
        }
    }
}

impl JournalError {
    /// The code under which `understudy explain` tells more; the message begins with it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "JN0001",
            Self::Foreign { .. } => "JN0002",
            Self::UnknownLayout { .. } | Self::UnknownRecords { .. } => "JN0003",
            Self::Chain(_) => "JN0004",
            Self::Held { .. } => "JN0005",
            Self::Fenced { .. } => "JN0006",
            Self::Full { .. } => "JN0007",
            Self::Io { .. } => "JN0008",
            Self::Cut { .. } => "JN0009",
            Self::Unrecordable { .. } => "JN0010",
            Self::Backlog { .. } | Self::WriterGone => "JN0011",
            Self::NoSuchRun { .. } | Self::Ambiguous { .. } => "JN0012",
            Self::Exists { .. } => "JN0013",
            Self::Mailbox { .. } => "JN0014",
            Self::Import { .. } => "JN0015",
        }
    }

    /// The message and what caused it, for where only text goes on.
    pub(crate) fn with_cause(&self) -> String {
        match std::error::Error::source(self) {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }

    /// An operating system's refusal about `path`.
    pub(crate) fn io(
        path: impl fmt::Display,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Io {
            path: path.to_string(),
            source: Arc::new(source),
        }
    }

    /// What `error` of the database in `path` means.
    pub(crate) fn database(path: impl fmt::Display, error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        let path = path.to_string();
        match error.sqlite_error_code() {
            Some(Code::DiskFull) => Self::Full { path },
            Some(Code::NotADatabase | Code::DatabaseCorrupt | Code::SchemaChanged) => {
                Self::Unreadable {
                    path,
                    source: Arc::new(error),
                }
            }
            Some(Code::Unknown | Code::TypeMismatch) | None => Self::Unreadable {
                path,
                source: Arc::new(error),
            },
            Some(_) => Self::Io {
                path,
                source: Arc::new(error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_begins_with_its_code() {
        let text = String::new;
        let source = || -> Cause { Arc::new(std::io::Error::other("SOURCE")) };
        let all = [
            JournalError::Unreadable {
                path: text(),
                source: source(),
            },
            JournalError::Foreign { path: text() },
            JournalError::UnknownLayout {
                path: text(),
                found: 2,
                known: 1,
            },
            ChainError::Version { found: 2 }.into(),
            ChainError::Empty.into(),
            JournalError::Held {
                run: text(),
                pid: 1,
            },
            JournalError::Fenced { epoch: 0 },
            JournalError::Full { path: text() },
            JournalError::Io {
                path: text(),
                source: source(),
            },
            JournalError::Cut { after: 0 },
            JournalError::Unrecordable {
                kind: "logged",
                source: source(),
            },
            JournalError::Backlog { queued: 1 },
            JournalError::WriterGone,
            JournalError::NoSuchRun {
                folder: text(),
                wanted: text(),
            },
            JournalError::Ambiguous {
                wanted: text(),
                candidates: Vec::new(),
            },
            JournalError::Exists { path: text() },
            JournalError::Mailbox {
                path: text(),
                why: text(),
            },
            JournalError::Import {
                line: 1,
                source: source(),
            },
        ];
        for error in all {
            let message = error.to_string();
            assert!(
                message.starts_with(&format!("{}: ", error.code())),
                "{message}"
            );
            assert!(!message.contains("SOURCE"), "repeats its source: {message}");
        }
    }
}
