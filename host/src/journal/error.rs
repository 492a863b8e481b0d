//! What can go wrong with a journal. Each case has a code with a page in `docs/codes`.

use std::fmt;
use std::sync::Arc;

use super::chain::ChainError;

/// A cause that can be handed to everyone who waits for the same failed write.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// A journal that cannot be read, written or taken over.
///
/// Cloneable, because one failed write is the answer to everything that is appended after it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// Damaged, or not a database at all.
    #[error(
        "`{path}` cannot be read as a journal; restore it from a copy, or verify an export of the run instead"
    )]
    Unreadable {
        /// The file.
        path: String,
        /// What the database says.
        #[source]
        source: Cause,
    },
    /// A database of another program, or an empty one.
    #[error("`{path}` is not a journal of Understudy; name the folder of a run")]
    Foreign {
        /// The file.
        path: String,
    },
    /// Written by a version of Understudy that this one does not know.
    #[error(
        "`{path}` has layout version {found} and this host reads version {known}; use the host that wrote it"
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
        "the chain of records is broken; do not resume from this journal, keep it as it is and find out who changed it"
    )]
    Chain(#[from] ChainError),
    /// Another host has the run.
    #[error(
        "run `{run}` is held by another host (pid {pid}); let it finish, or end that process and resume"
    )]
    Held {
        /// The run.
        run: String,
        /// The other process; 0 where it did not say.
        pid: u32,
    },
    /// Another host has taken the run over since.
    #[error(
        "epoch {epoch} of this run is over: another host has taken it; stop this one and look at `understudy show`"
    )]
    Fenced {
        /// The epoch this host wrote in.
        epoch: u64,
    },
    /// No room left. Nothing of the refused batch is kept.
    #[error(
        "no room left for the journal `{path}`; nothing was sent, make room and resume the run"
    )]
    Full {
        /// The file.
        path: String,
    },
    /// The operating system refused. Nothing of the refused batch counts as written.
    #[error("cannot use `{path}`; nothing was sent, mend the cause and resume the run")]
    Io {
        /// The file or folder.
        path: String,
        /// What the system says.
        #[source]
        source: Cause,
    },
    /// The journal was told to fail here (`rehearse --crash-after`).
    #[error("the journal was cut after {after} records, as asked; resume the run to go on")]
    Cut {
        /// How many records it holds.
        after: u64,
    },
    /// A record that could not be read back: redaction hit a name it is built on, or a figure is not a number.
    #[error(
        "a `{kind}` record cannot be kept; if a secret is spelled like a name in the runbook, change the secret"
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
        "{queued} records wait to be written; the disk is too slow, move the runs folder and resume"
    )]
    Backlog {
        /// How many wait.
        queued: usize,
    },
    /// The thread that writes has ended.
    #[error("the journal's writer has stopped; resume the run")]
    WriterGone,
    /// No such run.
    #[error("no run in `{folder}` begins with `{wanted}`; `understudy runs` lists them")]
    NoSuchRun {
        /// The runs folder.
        folder: String,
        /// What was asked for.
        wanted: String,
    },
    /// Several runs fit.
    #[error("`{wanted}` fits {}; give more of the name", .candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// What fits.
        candidates: Vec<String>,
    },
    /// There is a run of this name already.
    #[error("there is a run in `{path}` already; resume it, or start a run under another name")]
    Exists {
        /// Its folder.
        path: String,
    },
    /// A message for a run that its mailbox does not take.
    #[error("the mailbox `{path}` does not take the message: {why}")]
    Mailbox {
        /// The mailbox.
        path: String,
        /// Why, and what would fit.
        why: String,
    },
    /// An exported journal with a line that is none.
    #[error("line {line} is not an exported record; export the run again, whole and unedited")]
    Import {
        /// From 1.
        line: usize,
        /// What does not fit.
        #[source]
        source: Cause,
    },
}

impl JournalError {
    /// The code under which `understudy explain` tells more.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "JN0001",
            Self::Foreign { .. } => "JN0002",
            Self::UnknownLayout { .. } | Self::Chain(ChainError::Version { .. }) => "JN0003",
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
