//! What in a journal proves that a row was carried out which no step covers.

use std::str::FromStr;

use crate::journal::record::{GateKind, Record};

/// A kind of record to look for: `run`, `mark NAME`, `measured NAME`, `attached NAME`, `answer ROLE`, `asked KIND`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Evidence {
    /// Any run.
    Run,
    /// A milestone of this name.
    Mark(String),
    /// A measurement of this name, or of this name with a direction or a site after a hyphen.
    Measured(String),
    /// Evidence of this name was attached.
    Attached(String),
    /// Somebody answered as this role.
    Answer(String),
    /// A question of this kind was asked.
    Asked(GateKind),
}

impl Evidence {
    /// True where the record is such a one.
    pub(super) fn is(&self, record: &Record) -> bool {
        match (self, record) {
            (Self::Run, Record::RunStarted(_)) => true,
            (Self::Mark(wanted), Record::Marked { name, .. }) => wanted == name,
            (Self::Measured(wanted), Record::Measured { name, .. }) => name
                .strip_prefix(wanted.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('-')),
            (Self::Attached(wanted), Record::Attached { name, .. }) => wanted == name,
            (Self::Answer(wanted), Record::GateAnswered { role, .. }) => wanted == role.as_str(),
            (Self::Asked(wanted), Record::GateOpened { kind, .. }) => wanted == kind,
            _ => false,
        }
    }
}

impl FromStr for Evidence {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let name = || Some(rest.to_owned()).filter(|name| !name.is_empty());
        let kind = || serde_json::from_value(rest.into()).ok();
        let found = match word {
            "run" if rest.is_empty() => Some(Self::Run),
            "mark" => name().map(Self::Mark),
            "measured" => name().map(Self::Measured),
            "attached" => name().map(Self::Attached),
            "answer" => name().map(Self::Answer),
            "asked" => kind().map(Self::Asked),
            _ => None,
        };
        found.ok_or_else(|| {
            format!(
                "`{text}` is no evidence: `run`, `mark NAME`, `measured NAME`, `attached NAME`, `answer ROLE`, or `asked` with one \
                 of before, after, over-budget, failed, question"
            )
        })
    }
}
