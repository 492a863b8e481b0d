//! The files a runbook is read from: the text, one tree merged from all of them, and the way back from a value to the
//! line it stands on.
//!
//! Every file gets its own range of positions (the second begins where the first ends), so that a span says by itself
//! which file it is of. What is not here: the meaning of any key.

use std::ops::Range;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};

use super::error::RunbookError;
use super::problem::Problem;
use crate::call::hex;

/// Largest file accepted, in bytes: a runbook is written by hand, and every part of it is held in memory.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Most overlays that one runbook is read with.
pub const MAX_OVERLAYS: usize = 8;

/// How a list of tables in an overlay is laid over the one below it.
#[derive(Clone, Copy)]
enum Laid {
    /// Element by element, on top of the one with the same values of these keys. An element that names another `plugin`
    /// takes the place of the one below it: what one provider was given (configuration, credentials, grants) is nothing
    /// that another inherits.
    Each(&'static [&'static str]),
    /// Its elements take the place of all those below that have the same value of this key as one of them.
    Group(&'static str),
}

/// The lists that are merged. Any other list of an overlay takes the place of the whole list below it.
const LISTS: [(&str, Laid); 3] = [
    ("bindings", Laid::Each(&["contract", "sites"])),
    ("grants", Laid::Group("strategy")),
    ("steps", Laid::Each(&["step"])),
];

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// Bytes of the file.
    pub span: Range<usize>,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

/// A file and where its positions begin.
#[derive(Debug, Clone)]
struct SourceFile {
    path: PathBuf,
    text: String,
    start: usize,
}

/// A runbook's file and its overlays.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    files: Vec<SourceFile>,
}

impl Sources {
    /// Adds a file whose text is at hand.
    pub fn push(&mut self, path: PathBuf, text: String) {
        // One more than the text is long, so that the end of a file is a position of that file.
        let start = self
            .files
            .last()
            .map_or(0, |last| last.start + last.text.len() + 1);
        self.files.push(SourceFile { path, text, start });
    }

    /// Reads a file from the disk and adds it.
    pub(super) fn read(&mut self, path: &Path) -> Result<(), RunbookError> {
        let unreadable = |reason: std::io::Error| {
            RunbookError::new(
                Problem::Unreadable {
                    path: path.to_owned(),
                    reason,
                },
                None,
            )
        };
        let size = std::fs::metadata(path).map_err(unreadable)?.len();
        if size > MAX_FILE_BYTES {
            return Err(RunbookError::new(
                Problem::TooLarge {
                    path: path.to_owned(),
                    size,
                },
                None,
            ));
        }
        self.push(
            path.to_owned(),
            std::fs::read_to_string(path).map_err(unreadable)?,
        );
        Ok(())
    }

    /// SHA-256 of the file, lower-case hexadecimal; with overlays, of the digests of all files, one per line.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut digests = self
            .files
            .iter()
            .map(|file| hex(&Sha256::digest(file.text.as_bytes())));
        match (digests.next(), self.files.len()) {
            (Some(only), 1) => only,
            (first, _) => {
                let lines: Vec<String> = first.into_iter().chain(digests).collect();
                hex(&Sha256::digest(lines.join("\n").as_bytes()))
            }
        }
    }

    /// The folder of the runbook's own file.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.files
            .first()
            .map(|file| folder_of(&file.path))
            .unwrap_or_default()
    }

    /// A path as written at `span`: one from an overlay starts at the overlay's folder.
    pub(super) fn path_at(&self, span: &Range<usize>, path: &str) -> PathBuf {
        match self.file_index(span.start) {
            Some(index) if index > 0 => {
                let folder = self
                    .files
                    .get(index)
                    .map(|file| folder_of(&file.path))
                    .unwrap_or_default();
                let joined = folder.join(path);
                std::path::absolute(&joined).unwrap_or(joined)
            }
            _ => PathBuf::from(path),
        }
    }

    /// Where `span` is.
    #[must_use]
    pub fn place(&self, span: &Range<usize>) -> Option<Place> {
        let file = self.files.get(self.file_index(span.start)?)?;
        let start = (span.start - file.start).min(file.text.len());
        let end = span
            .end
            .saturating_sub(file.start)
            .clamp(start, file.text.len());
        let before = file.text.get(..start)?;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Some(Place {
            file: file.path.clone(),
            span: start..end,
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..)?.chars().count() + 1,
        })
    }

    /// The text of the file at `place`.
    #[must_use]
    pub fn text(&self, place: &Place) -> Option<&str> {
        self.files
            .iter()
            .find(|file| file.path == place.file)
            .map(|file| file.text.as_str())
    }

    /// Which of the files `place` is in, from 0.
    pub(super) fn order(&self, place: &Place) -> usize {
        self.files
            .iter()
            .position(|file| file.path == place.file)
            .unwrap_or(usize::MAX)
    }

    /// The text of the first file; empty where there is none.
    pub(super) fn first_text(&self) -> &str {
        self.files.first().map_or("", |file| file.text.as_str())
    }

    fn file_index(&self, position: usize) -> Option<usize> {
        self.files.iter().rposition(|file| file.start <= position)
    }

    /// All files as one tree, later ones merged on top of earlier ones.
    pub(super) fn tree(&self) -> Result<DeTable<'_>, Vec<RunbookError>> {
        let mut errors = Vec::new();
        let mut merged = DeTable::new();
        for file in &self.files {
            let (table, found) = DeTable::parse_recoverable(&file.text);
            for error in found {
                let span = error.span().unwrap_or(0..0);
                let problem = Problem::Syntax {
                    message: error.message().to_owned(),
                };
                errors.push(RunbookError::new(
                    problem,
                    self.place(&shift(span, file.start)),
                ));
            }
            merge_tables(&mut merged, moved_table(table.into_inner(), file.start));
        }
        if errors.is_empty() {
            Ok(merged)
        } else {
            Err(errors)
        }
    }
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().map(Path::to_path_buf).unwrap_or_default()
}

fn shift(span: Range<usize>, by: usize) -> Range<usize> {
    span.start + by..span.end + by
}

fn moved_table(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    table
        .into_iter()
        .map(|(key, value)| {
            let span = shift(key.span(), by);
            (Spanned::new(span, key.into_inner()), moved(value, by))
        })
        .collect()
}

fn moved(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let span = shift(value.span(), by);
    let inner = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(moved_table(table, by)),
        DeValue::Array(items) => {
            DeValue::Array(items.into_iter().map(|item| moved(item, by)).collect())
        }
        plain => plain,
    };
    Spanned::new(span, inner)
}

/// Puts `upper` on top of `lower`: tables key by key, [`LISTS`] as is said there, anything else whole.
fn merge_tables<'i>(lower: &mut DeTable<'i>, upper: DeTable<'i>) {
    for (key, value) in upper {
        let laid = LISTS.iter().find(|(list, _)| **list == **key.get_ref());
        merge_entry(lower, key, value, laid.map(|(_, laid)| *laid));
    }
}

fn merge_entry<'i>(
    lower: &mut DeTable<'i>,
    key: Spanned<DeString<'i>>,
    value: Spanned<DeValue<'i>>,
    laid: Option<Laid>,
) {
    let span = value.span();
    let existing = lower.get_mut(&key).map(Spanned::get_mut);
    match (existing, value.into_inner(), laid) {
        (Some(DeValue::Table(below)), DeValue::Table(above), _) => merge_inner(below, above),
        (Some(DeValue::Array(below)), DeValue::Array(above), Some(Laid::Each(keys))) => {
            for element in above {
                let same = below
                    .iter_mut()
                    .find(|other| is_same(other.get_ref(), element.get_ref(), keys));
                match same {
                    Some(other) if names_another_plugin(other.get_ref(), element.get_ref()) => {
                        *other = element;
                    }
                    Some(other) => merge_same(other, element),
                    None => below.push(element),
                }
            }
        }
        (Some(DeValue::Array(below)), DeValue::Array(above), Some(Laid::Group(key))) => {
            let mut kept = Vec::new();
            for element in std::mem::replace(below, DeArray::new()) {
                let same = |other: &Spanned<DeValue<'_>>| {
                    is_same(element.get_ref(), other.get_ref(), &[key])
                };
                if !above.iter().any(same) {
                    kept.push(element);
                }
            }
            *below = kept.into_iter().chain(above).collect();
        }
        (_, inner, _) => {
            // Removed first: inserting alone would keep the key as the lower file has it, with its span.
            lower.remove(&key);
            lower.insert(key, Spanned::new(span, inner));
        }
    }
}

fn merge_inner<'i>(lower: &mut DeTable<'i>, upper: DeTable<'i>) {
    for (key, value) in upper {
        merge_entry(lower, key, value, None);
    }
}

/// Merges an element on top of the one that is about the same.
fn merge_same<'i>(lower: &mut Spanned<DeValue<'i>>, upper: Spanned<DeValue<'i>>) {
    let span = upper.span();
    match (lower.get_mut(), upper.into_inner()) {
        (DeValue::Table(below), DeValue::Table(above)) => merge_inner(below, above),
        (_, above) => *lower = Spanned::new(span, above),
    }
}

fn names_another_plugin(lower: &DeValue<'_>, upper: &DeValue<'_>) -> bool {
    let plugin = |value: &DeValue<'_>| {
        let named = value.get("plugin").map(Spanned::get_ref);
        named.and_then(DeValue::as_str).map(str::to_owned)
    };
    plugin(upper).is_some_and(|named| plugin(lower).is_some_and(|below| below != named))
}

/// Whether two elements of a list are about the same thing: have the same values of these keys.
fn is_same(a: &DeValue<'_>, b: &DeValue<'_>, keys: &[&str]) -> bool {
    let plain = |value: &DeValue<'_>, key: &str| match value.get(key).map(Spanned::get_ref) {
        Some(DeValue::String(text)) => vec![text.to_string()],
        Some(DeValue::Array(items)) => items
            .iter()
            .filter_map(|item| item.get_ref().as_str())
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    };
    keys.iter().all(|key| plain(a, key) == plain(b, key))
}
