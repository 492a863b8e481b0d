//! What `$name` stands for in the arguments and expectations of a case.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::clock::Instant;

/// Another text for each check.
pub(super) const TOKEN: &str = "token";
/// Milliseconds since the epoch, when the check began.
pub(super) const NOW: &str = "now";
/// In an expectation: anything but nothing.
pub(super) const ANY: &str = "any";

/// A thing that nobody named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unnamed(pub(super) String);

/// Things by name.
#[derive(Debug, Clone)]
pub(super) struct Scope(Map<String, Value>);

impl Scope {
    /// The things of the file, with the token and the time of a check.
    pub(super) fn new(things: &Map<String, Value>, token: &str, now: Instant) -> Self {
        let mut scope = things.clone();
        scope.insert(TOKEN.to_owned(), token.into());
        scope.insert(NOW.to_owned(), now.0.into());
        Self(scope)
    }

    /// Adds a thing that a call answered.
    pub(super) fn keep(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    /// The table with everything put in.
    pub(super) fn fill(&self, table: &Map<String, Value>) -> Result<Map<String, Value>, Unnamed> {
        let filled = table
            .iter()
            .map(|(key, value)| Ok((key.clone(), self.value(value)?)));
        filled.collect()
    }

    fn value(&self, value: &Value) -> Result<Value, Unnamed> {
        Ok(match value {
            Value::String(text) => self.text(text)?,
            Value::Array(items) => items
                .iter()
                .map(|item| self.value(item))
                .collect::<Result<_, _>>()?,
            Value::Object(table) => Value::Object(self.fill(table)?),
            plain => plain.clone(),
        })
    }

    fn text(&self, text: &str) -> Result<Value, Unnamed> {
        if let Some(name) = whole(text) {
            return if name == ANY {
                Ok(text.into())
            } else {
                self.thing(name).cloned()
            };
        }
        let mut filled = String::new();
        for piece in pieces(text) {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Name(name) => match self.thing(name)? {
                    Value::String(text) => filled.push_str(text),
                    value => filled.push_str(&value.to_string()),
                },
            }
        }
        Ok(filled.into())
    }

    fn thing(&self, name: &str) -> Result<&Value, Unnamed> {
        self.0.get(name).ok_or_else(|| Unnamed(name.to_owned()))
    }
}

/// Names of the things that a table speaks of.
pub(super) fn named_in(table: &Map<String, Value>, names: &mut BTreeSet<String>) {
    table.values().for_each(|value| named(value, names));
}

fn named(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => match whole(text) {
            Some(name) => names.extend((name != ANY).then(|| name.to_owned())),
            None => names.extend(pieces(text).into_iter().filter_map(|piece| match piece {
                Piece::Name(name) => Some(name.to_owned()),
                Piece::Text(_) => None,
            })),
        },
        Value::Array(items) => items.iter().for_each(|item| named(item, names)),
        Value::Object(table) => named_in(table, names),
        _ => {}
    }
}

/// The name where the whole text is `$name`.
fn whole(text: &str) -> Option<&str> {
    text.strip_prefix('$').filter(|name| is_name(name))
}

/// A thing's name begins with a letter: `$5` is a price.
fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase()) && crate::name::is_kebab(text)
}

enum Piece<'t> {
    Text(&'t str),
    Name(&'t str),
}

/// Splits at `${name}`.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, behind)) = after.split_once('}').filter(|(name, _)| is_name(name)) else {
            break;
        };
        pieces.extend([Piece::Text(before), Piece::Name(name)]);
        rest = behind;
    }
    pieces.push(Piece::Text(rest));
    pieces
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn things_are_put_in_whole_or_into_a_text() {
        let things = json!({ "values": ["a", "b"], "port": 3306 });
        let scope = Scope::new(things.as_object().unwrap(), "t-1", Instant(7));
        let table = json!({ "v": "$values", "deep": [{ "text": "db:${port}/${token}" }], "at": "$now",
            "any": "$any", "cost": "$5", "brace": "${no" });
        let filled = scope.fill(table.as_object().unwrap()).unwrap();
        assert_eq!(
            Value::Object(filled),
            json!({ "v": ["a", "b"], "deep": [{ "text": "db:3306/t-1" }], "at": 7, "any": "$any",
                "cost": "$5", "brace": "${no" })
        );
        let unnamed = json!({ "x": ["$missing"] });
        assert_eq!(
            scope.fill(unnamed.as_object().unwrap()),
            Err(Unnamed("missing".to_owned()))
        );
    }
}
