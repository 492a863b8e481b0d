//! The kinds of problem that a runbook or its lock file can have: code, message and way out of each.
//!
//! Where a problem is and how it is shown: [`super::error`].

use std::path::PathBuf;

use super::source::{MAX_FILE_BYTES, MAX_OVERLAYS, Place};
use crate::name::PluginDigest;
use crate::nearest::suggestion;

/// One kind of problem.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Not TOML.
    #[error("{message}")]
    Syntax {
        /// What the TOML parser found.
        message: String,
    },
    /// A key the format does not have.
    #[error("unknown key `{key}`")]
    UnknownKey {
        /// As written.
        key: String,
        /// The keys that can stand there.
        known: Vec<String>,
    },
    /// A name that nothing in the runbook has.
    #[error("unknown {kind} `{name}`")]
    UnknownReference {
        /// `site`, `plugin`, `strategy`, …
        kind: &'static str,
        /// As written.
        name: String,
        /// What exists.
        known: Vec<String>,
    },
    /// Two bindings for one contract and site.
    #[error("`{contract}` is bound twice for {site}")]
    DuplicateBinding {
        /// The contract.
        contract: String,
        /// The site, in words.
        site: String,
        /// The first of the two.
        first: Option<Place>,
    },
    /// A text that is not what it should be: a duration, a name, an address, an URL.
    #[error("`{text}` is not a valid {kind}")]
    InvalidValue {
        /// What it should be.
        kind: &'static str,
        /// As written.
        text: String,
        /// What a valid one looks like.
        rule: String,
    },
    /// A value of the wrong type, or a key or table that is missing.
    #[error("{message}")]
    Shape {
        /// What is wrong.
        message: String,
    },
    /// Keys that do not go together, or need each other.
    #[error("{message}")]
    Contradiction {
        /// What is wrong.
        message: String,
        /// The way out.
        help: String,
    },
    /// The same thing declared twice in a list.
    #[error("{kind} `{name}` is declared twice")]
    Duplicate {
        /// What it is.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The first of the two.
        first: Option<Place>,
    },
    /// A file that cannot be read.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        reason: std::io::Error,
    },
    /// A file above [`MAX_FILE_BYTES`].
    #[error("`{}` is {size} bytes long", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// More overlays than [`MAX_OVERLAYS`].
    #[error("{count} overlays were given")]
    TooManyOverlays {
        /// How many.
        count: usize,
    },
    /// A format this host does not know.
    #[error("format {found} is not known to this host")]
    Format {
        /// As written.
        found: i64,
    },
    /// A plugin without a line in the lock file.
    #[error("plugin `{plugin}` is not locked in `{}`", lock.display())]
    NotLocked {
        /// The plugin.
        plugin: String,
        /// The lock file.
        lock: PathBuf,
        /// The runbook.
        runbook: PathBuf,
    },
    /// A component that is not the locked one.
    #[error(
        "plugin `{plugin}` is not the component that was locked: expected {expected}, found {found}"
    )]
    WrongDigest {
        /// The plugin.
        plugin: String,
        /// The component's file.
        path: PathBuf,
        /// From the lock file.
        expected: PluginDigest,
        /// Of the file.
        found: PluginDigest,
        /// The runbook.
        runbook: PathBuf,
    },
    /// Something in the place of the lock file that is none.
    #[error("not a lock file: {message}")]
    BrokenLock {
        /// What was found.
        message: String,
        /// The runbook.
        runbook: PathBuf,
    },
    /// An URL with a user name or a password in it.
    #[error("this URL holds a user name or a password")]
    SecretInUrl,
    /// A file that cannot be written.
    #[error("cannot write `{}`", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        reason: std::io::Error,
    },
}

impl Problem {
    /// The code, with a page in `docs/codes`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "RB0001",
            Self::UnknownKey { .. } => "RB0002",
            Self::UnknownReference { .. } => "RB0003",
            Self::DuplicateBinding { .. } => "RB0004",
            Self::InvalidValue { .. } => "RB0005",
            Self::Shape { .. } => "RB0006",
            Self::Contradiction { .. } => "RB0007",
            Self::Duplicate { .. } => "RB0008",
            Self::Unreadable { .. } | Self::TooLarge { .. } | Self::TooManyOverlays { .. } => {
                "RB0009"
            }
            Self::Format { .. } => "RB0010",
            Self::NotLocked { .. } => "RB0011",
            Self::WrongDigest { .. } => "RB0012",
            Self::Unwritable { .. } => "RB0013",
            Self::BrokenLock { .. } => "RB0014",
            Self::SecretInUrl => "RB0015",
        }
    }

    /// The way out.
    #[must_use]
    pub fn help(&self) -> String {
        let lock = |runbook: &PathBuf| format!("`understudy plugin lock {}`", runbook.display());
        match self {
            Self::Syntax { .. } => "the file must be TOML 1.0; see https://toml.io".to_owned(),
            Self::UnknownKey { key, known } => suggestion(key, known.iter().map(String::as_str)),
            Self::UnknownReference { name, known, .. } => {
                suggestion(name, known.iter().map(String::as_str))
            }
            Self::DuplicateBinding { .. } => {
                "keep one of the two, or give each its own `sites`".to_owned()
            }
            Self::InvalidValue { rule, .. } => rule.clone(),
            Self::Shape { .. } => {
                "docs/runbook.schema.json has every key with its type; editors can check against it"
                    .to_owned()
            }
            Self::Contradiction { help, .. } => help.clone(),
            Self::Duplicate { .. } => "merge the two into one".to_owned(),
            Self::Unreadable { .. } => "check the path and its permissions".to_owned(),
            Self::TooLarge { .. } => format!("a file may have {MAX_FILE_BYTES} bytes"),
            Self::TooManyOverlays { .. } => format!("a runbook may have {MAX_OVERLAYS} overlays"),
            Self::Format { .. } => {
                "write `format = 1`, or use a host that knows this format".to_owned()
            }
            Self::NotLocked { runbook, .. } => {
                format!(
                    "look at the component, then record it with {}",
                    lock(runbook)
                )
            }
            Self::WrongDigest { path, runbook, .. } => format!(
                "put the locked component back at `{}`, or review the new one and record it with {}",
                path.display(),
                lock(runbook)
            ),
            Self::BrokenLock { runbook, .. } => {
                format!(
                    "restore it from version control, or delete it and write it anew with {}",
                    lock(runbook)
                )
            }
            Self::SecretInUrl => {
                "take it out, change it where it is used, and name it in a credential slot"
                    .to_owned()
            }
            Self::Unwritable { .. } => {
                "check that the folder exists and may be written to".to_owned()
            }
        }
    }

    /// True for a file that does not exist.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::Unreadable { reason, .. } if reason.kind() == std::io::ErrorKind::NotFound)
    }

    /// Where the first of two things stands, with a label.
    pub(super) fn first(&self) -> Option<(&Place, &'static str)> {
        match self {
            Self::DuplicateBinding { first, .. } => {
                first.as_ref().map(|place| (place, "first bound here"))
            }
            Self::Duplicate { first, .. } => {
                first.as_ref().map(|place| (place, "first declared here"))
            }
            _ => None,
        }
    }
}
