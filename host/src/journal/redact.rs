//! Keeps secrets out of the journal: whatever spells one is replaced before a record is hashed and written.
//!
//! It finds a secret as it is, percent-encoded, JSON-escaped (also inside JSON inside JSON, and any mixture of these),
//! in hexadecimal, inside Base64 of either alphabet (also where the secret is only part of what was encoded, as in
//! HTTP basic authentication), and as a list of numbers. It does not find a secret that was compressed, split or
//! enciphered, nor one that is spelled by a single JSON number: the first defence is that no plugin ever holds one.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Map, Value};

use spelling::Pattern;

mod spelling;

/// What stands where a secret stood.
pub const MARKER: &str = "[redacted]";

/// Shorter secrets are not looked for: they would hit ordinary words.
pub const MIN_SECRET_BYTES: usize = 6;

/// A marker can only join its neighbours to another secret a few times; after that the whole text goes.
const MAX_PASSES: usize = 4;

/// Knows the secrets of a run and takes them out of texts and values. Its clones know what it knows, also what it learns
/// later.
#[derive(Clone)]
pub struct Redactor {
    /// The first is its own.
    shelves: Vec<Shelf>,
}

/// Secrets that several redactors know.
type Shelf = Arc<RwLock<Vec<Pattern>>>;

/// A secret that is *not* redacted, and why: whoever builds a [`Redactor`] tells the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("secret `{name}` is not redacted: {why}")]
pub struct Ignored {
    /// The name it was given under.
    pub name: String,
    /// Why.
    pub why: &'static str,
}

impl Redactor {
    /// A redactor for `secrets` (name and bytes), and those it cannot take.
    #[must_use]
    pub fn new<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> (Self, Vec<Ignored>) {
        let redactor = Self::none();
        let ignored = redactor.learn(secrets);
        (redactor, ignored)
    }

    /// One that knows what all of these know, now and later.
    #[must_use]
    pub fn joined<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut joined = Self::none();
        for part in parts {
            joined.shelves.extend(part.shelves.iter().cloned());
        }
        joined
    }

    /// Comes to know `secrets` (name and bytes) as well: to be called before anything is done with them. Those that it
    /// cannot take are returned.
    pub fn learn<'a>(
        &self,
        secrets: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Vec<Ignored> {
        let mut ignored = Vec::new();
        for (name, secret) in secrets {
            let why = if secret.len() < MIN_SECRET_BYTES {
                "it is shorter than 6 bytes; use a longer one"
            } else if find(MARKER.as_bytes(), secret) {
                "it is part of the word that replaces secrets; use another one"
            } else {
                if let Some(shelf) = self.shelves.first() {
                    let mut patterns = shelf.write().unwrap_or_else(PoisonError::into_inner);
                    patterns.push(Pattern::new(secret));
                }
                continue;
            };
            ignored.push(Ignored {
                name: name.to_owned(),
                why,
            });
        }
        ignored
    }

    /// A redactor that knows no secret yet.
    #[must_use]
    pub fn none() -> Self {
        Self {
            shelves: vec![Shelf::default()],
        }
    }

    /// True where it knows no secret, so that nothing is changed.
    #[must_use]
    pub fn is_none(&self) -> bool {
        let empty = |shelf: &Shelf| read(shelf, <[Pattern]>::is_empty);
        self.shelves.iter().all(empty)
    }

    /// `text` without secrets.
    #[must_use]
    pub fn redact_str(&self, text: &str) -> String {
        match self.redact_bytes(text.as_bytes()) {
            Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            None => text.to_owned(),
        }
    }

    /// Takes secrets out of `value`: out of strings, keys, and lists of numbers that are bytes.
    pub fn redact_value(&self, value: &mut Value) {
        if self.is_none() {
            return;
        }
        match value {
            Value::String(text) => {
                if let Some(bytes) = self.redact_bytes(text.as_bytes()) {
                    *text = String::from_utf8_lossy(&bytes).into_owned();
                }
            }
            Value::Array(items) => {
                items.iter_mut().for_each(|item| self.redact_value(item));
                self.redact_numbers(items);
            }
            Value::Object(fields) => self.redact_fields(fields),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn redact_fields(&self, fields: &mut Map<String, Value>) {
        let mut kept = Map::new();
        for (key, mut value) in std::mem::take(fields) {
            self.redact_value(&mut value);
            let mut key = self.redact_str(&key);
            // Two keys may become one; neither value is dropped for that.
            while kept.contains_key(&key) {
                key.push('+');
            }
            kept.insert(key, value);
        }
        *fields = kept;
    }

    /// Stretches of byte-sized numbers are read as bytes; the marker is spelled in numbers too, so that a list of
    /// bytes stays one.
    fn redact_numbers(&self, items: &mut Vec<Value>) {
        let as_byte = |item: &Value| item.as_u64().and_then(|number| u8::try_from(number).ok());
        let mut redacted: Vec<Value> = Vec::with_capacity(items.len());
        let mut stretch: Vec<u8> = Vec::new();
        let flush = |stretch: &mut Vec<u8>, redacted: &mut Vec<Value>| {
            let bytes = self
                .redact_bytes(stretch)
                .unwrap_or_else(|| stretch.clone());
            redacted.extend(bytes.into_iter().map(Value::from));
            stretch.clear();
        };
        for item in items.drain(..) {
            if let Some(byte) = as_byte(&item) {
                stretch.push(byte);
            } else {
                flush(&mut stretch, &mut redacted);
                redacted.push(item);
            }
        }
        flush(&mut stretch, &mut redacted);
        *items = redacted;
    }

    /// `bytes` without secrets; `None` where there was nothing to take out.
    #[must_use]
    pub fn redact_bytes(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut current: Option<Vec<u8>> = None;
        for _ in 0..MAX_PASSES {
            let text = current.as_deref().unwrap_or(bytes);
            let hits = self.hits(text);
            if hits.is_empty() {
                return current;
            }
            current = Some(replace(text, &hits));
        }
        Some(MARKER.as_bytes().to_vec())
    }

    fn hits(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut hits: Vec<Range<usize>> = Vec::new();
        for shelf in &self.shelves {
            read(shelf, |patterns| {
                for pattern in patterns {
                    pattern.find(text, &mut hits);
                }
            });
        }
        hits.sort_by_key(|hit| (hit.start, hit.end));
        hits
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = |shelf: &Shelf| read(shelf, <[Pattern]>::len);
        let count: usize = self.shelves.iter().map(known).sum();
        write!(f, "Redactor({count} secrets)")
    }
}

fn read<T>(shelf: &Shelf, look: impl FnOnce(&[Pattern]) -> T) -> T {
    look(&shelf.read().unwrap_or_else(PoisonError::into_inner))
}

/// `hits` are sorted by start and may overlap.
fn replace(text: &[u8], hits: &[Range<usize>]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(text.len());
    let mut done = 0;
    for hit in hits {
        if hit.start >= done {
            kept.extend_from_slice(text.get(done..hit.start).unwrap_or_default());
            kept.extend_from_slice(MARKER.as_bytes());
        }
        done = done.max(hit.end);
    }
    kept.extend_from_slice(text.get(done..).unwrap_or_default());
    kept
}

fn find(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len().max(1))
        .any(|window| window == wanted)
}

#[cfg(test)]
mod tests;
