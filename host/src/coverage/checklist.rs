//! The rows of the source documents: tab-separated text with a line of headings, `id`, `kind` and `item` among them.

use serde::Serialize;

use crate::name::ItemId;

/// A row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Row {
    /// For example `S0-A2.1`.
    pub id: ItemId,
    /// For example `op`.
    pub kind: String,
    /// What is to be done, checked, decided or known.
    pub item: String,
}

/// A text that is no checklist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChecklistError {
    /// A column is missing.
    #[error(
        "the first line has no column `{0}`: it must name `id`, `kind` and `item`, tab-separated"
    )]
    NoColumn(&'static str),
    /// A line is too short.
    #[error("line {line} has no `{column}`")]
    NoCell {
        /// From 1.
        line: usize,
        /// Heading of the column.
        column: &'static str,
    },
    /// An id that is none.
    #[error("line {line}: {because}")]
    BadId {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        because: String,
    },
    /// An id twice.
    #[error("line {line}: `{id}` stands above already")]
    Twice {
        /// From 1.
        line: usize,
        /// The id.
        id: ItemId,
    },
}

/// Reads a checklist.
///
/// # Errors
/// Where it is none; the error names the line.
pub fn read(text: &str) -> Result<Vec<Row>, ChecklistError> {
    let mut lines = text.lines().enumerate();
    let headings: Vec<&str> = lines
        .next()
        .map(|(_, line)| line.split('\t').collect())
        .unwrap_or_default();
    let place = |column: &'static str| {
        let place = headings.iter().position(|heading| *heading == column);
        place.ok_or(ChecklistError::NoColumn(column))
    };
    let (id, kind, item) = (place("id")?, place("kind")?, place("item")?);
    let mut rows: Vec<Row> = Vec::new();
    for (above, text) in lines.filter(|(_, text)| !text.trim().is_empty()) {
        let line = above.saturating_add(1);
        let cells: Vec<&str> = text.split('\t').collect();
        let cell = |place: usize, column: &'static str| {
            let cell = cells.get(place);
            cell.ok_or(ChecklistError::NoCell { line, column })
        };
        let id: ItemId = cell(id, "id")?
            .parse()
            .map_err(|error: crate::name::InvalidName| ChecklistError::BadId {
                line,
                because: error.to_string(),
            })?;
        if rows.iter().any(|row| row.id == id) {
            return Err(ChecklistError::Twice { line, id });
        }
        rows.push(Row {
            id,
            kind: (*cell(kind, "kind")?).to_owned(),
            item: (*cell(item, "item")?).to_owned(),
        });
    }
    Ok(rows)
}
