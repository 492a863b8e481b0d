//! What a runbook says of the rows that no step covers: `coverage.toml` beside it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::evidence::Evidence;
use crate::name::ItemId;

/// Name of the file, beside the runbook.
pub const FILE: &str = "coverage.toml";

/// What is declared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    sources: Vec<String>,
    rows: BTreeMap<ItemId, How>,
}

/// How a row is covered that no step covers, or why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum How {
    /// By something that is no step, seen in these records.
    Covered(String, Vec<Evidence>),
    /// Not.
    Not(String),
}

impl How {
    pub(super) fn covers(&self) -> Option<&str> {
        match self {
            Self::Covered(how, _) => Some(how),
            Self::Not(_) => None,
        }
    }

    pub(super) fn why_not(&self) -> Option<&str> {
        match self {
            Self::Covered(..) => None,
            Self::Not(why) => Some(why),
        }
    }

    pub(super) fn seen(&self) -> &[Evidence] {
        match self {
            Self::Covered(_, seen) => seen,
            Self::Not(_) => &[],
        }
    }
}

/// A declaration that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeclaredError {
    /// Not TOML, or not of this shape.
    #[error("{0}")]
    Shape(String),
    /// Neither `how` nor `why-not`, or both.
    #[error("{0}: say either `how` it is covered, or `why-not`")]
    Neither(String),
    /// A row twice.
    #[error("`{0}` stands in two entries")]
    Twice(ItemId),
    /// Evidence of a kind there is not.
    #[error("{0}")]
    Evidence(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawFile {
    sources: Vec<String>,
    #[serde(default)]
    rows: Vec<RawRow>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawRow {
    items: Vec<ItemId>,
    how: Option<String>,
    #[serde(default)]
    seen: Vec<String>,
    why_not: Option<String>,
}

impl Declared {
    /// Reads a declaration.
    ///
    /// # Errors
    /// Where it is none; the error says what is wrong, with its place where it has one.
    pub fn read(text: &str) -> Result<Self, DeclaredError> {
        let file: RawFile =
            toml::from_str(text).map_err(|error| DeclaredError::Shape(error.to_string()))?;
        let mut rows = BTreeMap::new();
        for row in file.rows {
            let how = row.how()?;
            for item in row.items {
                if rows.insert(item.clone(), how.clone()).is_some() {
                    return Err(DeclaredError::Twice(item));
                }
            }
        }
        Ok(Self {
            sources: file.sources,
            rows,
        })
    }

    /// True where the row is of a source that the runbook replaces: all of them, where none is named.
    pub(super) fn is_of_a_source(&self, item: &ItemId) -> bool {
        let source = item.as_str().split('-').next().unwrap_or_default();
        self.sources.is_empty() || self.sources.iter().any(|own| own == source)
    }

    pub(super) fn of(&self, item: &ItemId) -> Option<&How> {
        self.rows.get(item)
    }

    pub(super) fn items(&self) -> impl Iterator<Item = &ItemId> {
        self.rows.keys()
    }
}

impl RawRow {
    fn how(&self) -> Result<How, DeclaredError> {
        match (&self.how, &self.why_not) {
            (Some(how), None) => {
                let seen = self.seen.iter().map(|text| text.parse());
                let seen: Result<Vec<Evidence>, String> = seen.collect();
                Ok(How::Covered(
                    how.clone(),
                    seen.map_err(DeclaredError::Evidence)?,
                ))
            }
            (None, Some(why)) if self.seen.is_empty() => Ok(How::Not(why.clone())),
            _ => {
                let items: Vec<&str> = self.items.iter().map(ItemId::as_str).collect();
                Err(DeclaredError::Neither(items.join(", ")))
            }
        }
    }
}
