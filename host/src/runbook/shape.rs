//! From the merged TOML tree to [`RawRunbook`] (or [`RawAgainst`]), piece by piece, so that one bad piece does not hide
//! the next.
//!
//! Unknown keys are found by walking the tree along the JSON Schema of the format; they are reported and taken out,
//! and reading goes on without them. A piece with a value of the wrong type ends the reading after all pieces were
//! looked at: what refers to it could not be judged.

use std::collections::BTreeMap;

use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::error::RunbookError;
use super::problem::Problem;
use super::raw::{At, RawRunbook, Text};
use super::raw_against::RawAgainst;
use super::schema;
use super::source::Sources;

/// What was read, and the unknown keys that were passed over on the way.
pub(super) struct Shaped<T> {
    pub(super) raw: T,
    pub(super) unknown: Vec<RunbookError>,
}

/// Reads the shape of a runbook's files.
pub(super) fn read(sources: &Sources) -> Result<Shaped<RawRunbook>, Vec<RunbookError>> {
    shaped(sources, &schema::value(), |reader, root| {
        reader.runbook(root)
    })
}

/// Reads the shape of a file that says what a provider is tested against.
pub(super) fn read_against(sources: &Sources) -> Result<Shaped<RawAgainst>, Vec<RunbookError>> {
    let schema = schemars::schema_for!(RawAgainst).to_value();
    shaped(sources, &schema, |reader, root| reader.against(root))
}

fn shaped<T>(
    sources: &Sources,
    schema: &Value,
    read: impl FnOnce(&mut Reader<'_>, &mut DeTable<'_>) -> Option<T>,
) -> Result<Shaped<T>, Vec<RunbookError>> {
    let mut root = sources.tree()?;
    let mut unknown = Vec::new();
    take_unknown(&mut root, schema, schema, sources, &mut unknown);
    let mut reader = Reader {
        sources,
        errors: Vec::new(),
    };
    let raw = read(&mut reader, &mut root);
    match raw {
        Some(raw) if reader.errors.is_empty() => Ok(Shaped { raw, unknown }),
        _ => Err(unknown.into_iter().chain(reader.errors).collect()),
    }
}

struct Reader<'s> {
    sources: &'s Sources,
    errors: Vec<RunbookError>,
}

impl Reader<'_> {
    fn runbook(&mut self, root: &mut DeTable<'_>) -> Option<RawRunbook> {
        // Every piece is read before the first `?`, so that all errors are found.
        let header = self.required(root, "runbook");
        let targets = self.required(root, "targets");
        let (sites, plugins) = (self.entries(root, "sites"), self.entries(root, "plugins"));
        let (strategies, bindings) = (
            self.entries(root, "strategies"),
            self.list(root, "bindings"),
        );
        let (grants, steps) = (self.list(root, "grants"), self.list(root, "steps"));
        let procedures = self.entries(root, "procedures");
        let probe = root.remove("probe").map(|value| self.piece(value));
        Some(RawRunbook {
            runbook: header?,
            targets: targets?,
            sites,
            plugins,
            strategies,
            bindings,
            grants,
            steps,
            procedures,
            probe: match probe {
                Some(read) => Some(read?),
                None => None,
            },
        })
    }

    fn against(&mut self, root: &mut DeTable<'_>) -> Option<RawAgainst> {
        let header = self.required(root, "conformance");
        let sites = self.entries(root, "sites");
        let (bindings, suites) = (self.list(root, "bindings"), self.list(root, "suites"));
        Some(RawAgainst {
            conformance: header?,
            sites,
            bindings,
            suites,
        })
    }

    fn report(&mut self, span: &std::ops::Range<usize>, message: String) {
        let place = self.sources.place(span);
        self.errors
            .push(RunbookError::new(Problem::Shape { message }, place));
    }

    fn piece<T: DeserializeOwned>(&mut self, value: Spanned<DeValue<'_>>) -> Option<At<T>> {
        let span = value.span();
        match At::deserialize(ValueDeserializer::from(value)) {
            Ok(read) => Some(read),
            Err(error) => {
                let message = error.message().replace("missing field", "missing key");
                self.report(&error.span().unwrap_or(span), message);
                None
            }
        }
    }

    fn required<T: DeserializeOwned>(
        &mut self,
        root: &mut DeTable<'_>,
        table: &str,
    ) -> Option<At<T>> {
        match root.remove(table) {
            Some(value) => self.piece(value),
            None => {
                self.report(&(0..0), format!("missing table `[{table}]`"));
                None
            }
        }
    }

    fn entries<T: DeserializeOwned>(
        &mut self,
        root: &mut DeTable<'_>,
        table: &str,
    ) -> BTreeMap<Text, At<T>> {
        let Some(value) = root.remove(table) else {
            return BTreeMap::new();
        };
        let span = value.span();
        let DeValue::Table(entries) = value.into_inner() else {
            self.report(
                &span,
                format!("`{table}` must be a table of tables, `[{table}.NAME]`"),
            );
            return BTreeMap::new();
        };
        entries
            .into_iter()
            .filter_map(|(key, value)| {
                let key = At(Spanned::new(key.span(), key.into_inner().into_owned()));
                Some((key, self.piece(value)?))
            })
            .collect()
    }

    fn list<T: DeserializeOwned>(&mut self, root: &mut DeTable<'_>, list: &str) -> Vec<At<T>> {
        let Some(value) = root.remove(list) else {
            return Vec::new();
        };
        let span = value.span();
        let DeValue::Array(items) = value.into_inner() else {
            self.report(
                &span,
                format!("`{list}` must be a list of tables, `[[{list}]]`"),
            );
            return Vec::new();
        };
        items
            .into_iter()
            .filter_map(|item| self.piece(item))
            .collect()
    }
}

/// Reports and removes every key of `table` that `schema` does not know.
fn take_unknown(
    table: &mut DeTable<'_>,
    schema: &Value,
    root: &Value,
    sources: &Sources,
    errors: &mut Vec<RunbookError>,
) {
    let schema = resolved(schema, root);
    let properties = schema.get("properties").and_then(Value::as_object);
    let additional = schema.get("additionalProperties");
    let closed = additional == Some(&Value::Bool(false));
    let mut unknown = Vec::new();
    for (key, value) in table.iter_mut() {
        let known = properties.and_then(|properties| properties.get(key.get_ref().as_ref()));
        match known.or(additional) {
            Some(inner) if known.is_some() || !closed => {
                descend(value.get_mut(), inner, root, sources, errors);
            }
            _ if closed => unknown.push(key.clone()),
            _ => {}
        }
    }
    for key in unknown {
        let known = properties
            .map(|known| known.keys().cloned().collect())
            .unwrap_or_default();
        let problem = Problem::UnknownKey {
            key: key.get_ref().to_string(),
            known,
        };
        errors.push(RunbookError::new(problem, sources.place(&key.span())));
        table.remove(&key);
    }
}

fn descend(
    value: &mut DeValue<'_>,
    schema: &Value,
    root: &Value,
    sources: &Sources,
    errors: &mut Vec<RunbookError>,
) {
    match value {
        DeValue::Table(table) => take_unknown(table, schema, root, sources, errors),
        DeValue::Array(items) => {
            if let Some(inner) = resolved(schema, root).get("items") {
                for item in items.iter_mut() {
                    descend(item.get_mut(), inner, root, sources, errors);
                }
            }
        }
        _ => {}
    }
}

/// Follows a reference, through the choice between a type and null that an optional key has.
fn resolved<'s>(schema: &'s Value, root: &'s Value) -> &'s Value {
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        return target
            .strip_prefix('#')
            .and_then(|pointer| root.pointer(pointer))
            .unwrap_or(schema);
    }
    let choices = schema.get("anyOf").and_then(Value::as_array);
    match choices.and_then(|choices| choices.iter().find(|choice| choice.get("$ref").is_some())) {
        Some(choice) => resolved(choice, root),
        None => schema,
    }
}
