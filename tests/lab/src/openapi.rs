//! A vendor's published API document (OpenAPI 3.0), and whether a request and its answer keep to it.
//!
//! The documents are not part of this repository: [`folder`] says where they are looked for. What the vendor's document
//! gets wrong is corrected by whoever loads it, with the reason ([`Document::correct`]).
//!
//! Start at [`Document::load`], then [`Document::find`]. Checked are paths, parameters, bodies and answers, by their
//! schemas; not checked are headers and `readOnly`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, bail, ensure};
use jsonschema::Validator;
use serde_json::{Value, json};

/// Names the folder with the documents.
pub const FOLDER_VARIABLE: &str = "UNDERSTUDY_VENDOR_APIS";

/// What bodies are written in, but where an operation says otherwise.
pub const JSON: &str = "application/json";

/// Methods that a path may have.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The folder with the vendors' documents: as [`FOLDER_VARIABLE`] says, else `shared/openapi` beside the checkout.
///
/// # Errors
/// Where there is no such folder: without the documents nothing holds a provider to its vendor.
pub fn folder() -> Result<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/openapi");
    let folder = std::env::var_os(FOLDER_VARIABLE).map_or(beside, PathBuf::from);
    ensure!(
        folder.is_dir(),
        "no vendors' API documents at {}: set {FOLDER_VARIABLE} to the folder with cloudflare.yaml and digitalocean.yaml",
        folder.display()
    );
    Ok(folder)
}

/// A document.
#[derive(Debug)]
pub struct Document {
    name: String,
    /// As the JSON Schema that it becomes: `nullable` is a type there.
    root: Value,
    base: String,
    operations: Vec<Operation>,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

/// One method of one path.
#[derive(Debug, Clone)]
pub struct Operation {
    /// The vendor's name for it.
    pub id: String,
    method: String,
    template: String,
    parameters: Vec<Parameter>,
}

#[derive(Debug, Clone)]
struct Parameter {
    name: String,
    place: String,
    required: bool,
    /// JSON pointer of its schema.
    schema: String,
    /// Its type, where the schema names one.
    kind: String,
}

/// A request, as far as the document knows it.
#[derive(Debug, Clone)]
pub struct Matched<'a> {
    /// What was asked for.
    pub operation: &'a Operation,
    /// Values of the path's parameters.
    pub path: HashMap<String, String>,
}

impl Document {
    /// Reads `NAME.yaml` in [`folder`].
    ///
    /// # Errors
    /// Where it is missing, or is no document of OpenAPI 3.0.
    pub fn load(name: &str) -> Result<Self> {
        let file = folder()?.join(format!("{name}.yaml"));
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        Self::parse(name, &text).with_context(|| file.display().to_string())
    }

    /// Reads a document.
    ///
    /// # Errors
    /// Where it is none.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let mut root: Value = serde_saphyr::from_str(text)?;
        let version = root.get("openapi").and_then(Value::as_str);
        ensure!(
            version.is_some_and(|version| version.starts_with("3.0.")),
            "not OpenAPI 3.0: {version:?}"
        );
        into_json_schema(&mut root);
        let server = root.pointer("/servers/0/url").and_then(Value::as_str);
        let server = server.context("no server")?;
        let after_scheme = server.split_once("://").map_or(server, |(_, rest)| rest);
        let base = after_scheme
            .find('/')
            .and_then(|at| after_scheme.get(at..))
            .unwrap_or_default()
            .to_owned();
        let mut document = Self {
            name: name.to_owned(),
            root,
            base,
            operations: Vec::new(),
            validators: Mutex::default(),
        };
        document.operations = document.read_operations()?;
        Ok(document)
    }

    /// Puts `schema` where the document is wrong: `place` is a JSON pointer to what must be there already.
    ///
    /// # Errors
    /// Where nothing is there: the vendor has changed the document, and the correction has to be looked at again.
    pub fn correct(&mut self, place: &str, schema: Value) -> Result<()> {
        let name = &self.name;
        let wrong = self.root.pointer_mut(place);
        *wrong.with_context(|| format!("nothing to correct at {place} of {name}"))? = schema;
        Ok(())
    }

    /// Path below which the vendor serves this, without the last `/`.
    #[must_use]
    pub fn base(&self) -> &str {
        self.base.trim_end_matches('/')
    }

    /// The operation that a request is for. `path` is without the query.
    ///
    /// # Errors
    /// Where the document has none.
    pub fn find(&self, method: &str, path: &str) -> Result<Matched<'_>> {
        let below = path.strip_prefix(self.base());
        let below = below.with_context(|| format!("{path} is not below {}", self.base()))?;
        let found = self.operations.iter().find_map(|operation| {
            let same = operation.method.eq_ignore_ascii_case(method);
            let path = same.then(|| fits(&operation.template, below)).flatten()?;
            Some(Matched { operation, path })
        });
        found.with_context(|| format!("{} has no operation {method} {path}", self.name))
    }

    /// What of a request does not keep to the document; nothing where all does. `query` is as it was sent.
    ///
    /// # Errors
    /// Where a schema of the document is none.
    pub fn check_request(
        &self,
        request: &Matched<'_>,
        query: &[(String, String)],
        body: Option<&Value>,
    ) -> Result<Vec<String>> {
        let operation = request.operation;
        let mut problems = Vec::new();
        for parameter in &operation.parameters {
            let given: Vec<&String> = match parameter.place.as_str() {
                "path" => request.path.get(&parameter.name).into_iter().collect(),
                "query" => query
                    .iter()
                    .filter(|(name, _)| *name == parameter.name)
                    .map(|(_, value)| value)
                    .collect(),
                _ => continue,
            };
            if given.is_empty() && parameter.required {
                problems.push(format!("{} is missing", parameter.name));
            }
            for text in given {
                let value = parameter.read(text);
                problems.extend(self.violations(&parameter.schema, &value, &parameter.name)?);
            }
        }
        let known = |name: &String| {
            let mut all = operation.parameters.iter();
            all.any(|parameter| parameter.place == "query" && parameter.name == *name)
        };
        for (name, _) in query.iter().filter(|(name, _)| !known(name)) {
            problems.push(format!("there is no query parameter {name}"));
        }
        let place = format!("{}/requestBody", operation.place());
        problems.extend(self.check_body(&place, JSON, body, "the body")?);
        Ok(problems)
    }

    /// What of an answer does not keep to the document; nothing where all does.
    ///
    /// # Errors
    /// Where a schema of the document is none.
    pub fn check_answer(
        &self,
        operation: &Operation,
        status: u16,
        media: &str,
        body: Option<&Value>,
    ) -> Result<Vec<String>> {
        let place = format!("{}/responses", operation.place());
        let answers = self.at(&place).and_then(Value::as_object);
        let answers = answers.with_context(|| format!("no answers at {place}"))?;
        let family = format!("{}xx", status / 100);
        let known = answers
            .keys()
            .find(|known| **known == status.to_string())
            .or_else(|| {
                answers
                    .keys()
                    .find(|known| known.eq_ignore_ascii_case(&family))
            })
            .or_else(|| answers.keys().find(|known| *known == "default"));
        match known {
            Some(known) => {
                let place = format!("{place}/{known}");
                self.check_body(&place, media, body, &format!("the answer {status}"))
            }
            None => Ok(vec![format!("status {status} is not documented")]),
        }
    }

    /// Checks a body by the media type at `place`. Where there is none, there must be no body.
    fn check_body(
        &self,
        place: &str,
        media: &str,
        body: Option<&Value>,
        what: &str,
    ) -> Result<Vec<String>> {
        let place = self.followed(place);
        let content = format!("{place}/content/{}", escaped(media));
        let schema = format!("{content}/schema");
        let is_optional = self.root.pointer(&format!("{place}/required")) == Some(&json!(false));
        if self.root.pointer(&schema).is_some() {
            return match body {
                Some(body) => self.violations(&schema, body, what),
                None if is_optional => Ok(Vec::new()),
                None => Ok(vec![format!("{what} is missing")]),
            };
        }
        // Of a media type without a schema the vendor gives an example at most: there may be a body.
        match body {
            Some(_) if self.root.pointer(&content).is_none() => {
                Ok(vec![format!("{what} must be empty")])
            }
            _ => Ok(Vec::new()),
        }
    }

    fn violations(&self, schema: &str, value: &Value, what: &str) -> Result<Vec<String>> {
        let validator = self.validator(schema)?;
        let errors = validator.iter_errors(value);
        Ok(errors
            .map(|error| format!("{what}{}: {error}", error.instance_path()))
            .collect())
    }

    fn validator(&self, schema: &str) -> Result<Arc<Validator>> {
        let mut known = self
            .validators
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(validator) = known.get(schema) {
            return Ok(Arc::clone(validator));
        }
        // The whole document, so that every `$ref` of it leads somewhere.
        let mut whole = self.root.clone();
        if let Some(fields) = whole.as_object_mut() {
            // Braces have no place in a URI's fragment (RFC 3986, 3.5).
            let fragment = schema.replace('{', "%7B").replace('}', "%7D");
            fields.insert("$ref".to_owned(), format!("#{fragment}").into());
        }
        let built = jsonschema::draft202012::options()
            .should_validate_formats(true)
            .should_ignore_unknown_formats(true)
            .build(&whole);
        let built = match built {
            Ok(built) => Arc::new(built),
            Err(error) => bail!("{schema} of {} is no schema: {error}", self.name),
        };
        known.insert(schema.to_owned(), Arc::clone(&built));
        Ok(built)
    }

    fn at(&self, place: &str) -> Option<&Value> {
        self.root.pointer(&self.followed(place))
    }

    /// The place itself, or where it refers to.
    fn followed(&self, place: &str) -> String {
        let reference = self.root.pointer(&format!("{place}/$ref"));
        match reference.and_then(Value::as_str) {
            Some(reference) => self.followed(reference.trim_start_matches('#')),
            None => place.to_owned(),
        }
    }

    fn read_operations(&self) -> Result<Vec<Operation>> {
        let paths = self.root.get("paths").and_then(Value::as_object);
        let mut operations = Vec::new();
        for (template, item) in paths.context("no paths")? {
            for method in METHODS {
                let Some(fields) = item.get(method) else {
                    continue;
                };
                let id = fields.get("operationId").and_then(Value::as_str);
                let place = place(template, method);
                let mut operation = Operation {
                    id: id
                        .with_context(|| format!("{method} {template} has no name"))?
                        .to_owned(),
                    method: method.to_owned(),
                    template: template.clone(),
                    parameters: Vec::new(),
                };
                let shared = format!("/paths/{}/parameters", escaped(template));
                for list in [shared, format!("{place}/parameters")] {
                    let count = self.at(&list).and_then(Value::as_array).map_or(0, Vec::len);
                    for index in 0..count {
                        let parameter = self.read_parameter(&format!("{list}/{index}"))?;
                        operation.parameters.push(parameter);
                    }
                }
                operations.push(operation);
            }
        }
        Ok(operations)
    }

    fn read_parameter(&self, place: &str) -> Result<Parameter> {
        let place = self.followed(place);
        let text = |name: &str| {
            let value = self.root.pointer(&format!("{place}/{name}"));
            value.and_then(Value::as_str).map(str::to_owned)
        };
        let schema = self.followed(&format!("{place}/schema"));
        let kind = self.root.pointer(&format!("{schema}/type"));
        Ok(Parameter {
            name: text("name").with_context(|| format!("{place} has no name"))?,
            place: text("in").with_context(|| format!("{place} is nowhere"))?,
            required: self.root.pointer(&format!("{place}/required")) == Some(&json!(true)),
            kind: kind.and_then(Value::as_str).unwrap_or_default().to_owned(),
            schema,
        })
    }
}

impl Operation {
    fn place(&self) -> String {
        place(&self.template, &self.method)
    }
}

impl Parameter {
    /// Its text as the value that its schema speaks of.
    fn read(&self, text: &str) -> Value {
        match self.kind.as_str() {
            "integer" | "number" | "boolean" => {
                serde_json::from_str(text).unwrap_or_else(|_| text.into())
            }
            _ => text.into(),
        }
    }
}

/// The values of a template's parameters, where a path fits it.
fn fits(template: &str, path: &str) -> Option<HashMap<String, String>> {
    let (wanted, given): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.split('/').collect());
    if wanted.len() != given.len() {
        return None;
    }
    let mut values = HashMap::new();
    for (wanted, given) in wanted.iter().zip(given) {
        match wanted
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
        {
            Some(name) if !given.is_empty() => {
                drop(values.insert(name.to_owned(), given.to_owned()))
            }
            _ if *wanted == given => {}
            _ => return None,
        }
    }
    Some(values)
}

fn place(template: &str, method: &str) -> String {
    format!("/paths/{}/{method}", escaped(template))
}

/// A path as a step of a JSON pointer (RFC 6901).
fn escaped(template: &str) -> String {
    template.replace('~', "~0").replace('/', "~1")
}

/// OpenAPI 3.0 says of a type that it may be `nullable`; JSON Schema has a type for it.
fn into_json_schema(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(into_json_schema),
        Value::Object(fields) => {
            fields.values_mut().for_each(into_json_schema);
            if fields.get("nullable") == Some(&json!(true)) {
                if let Some(Value::Array(allowed)) = fields.get_mut("enum")
                    && !allowed.contains(&Value::Null)
                {
                    allowed.push(Value::Null);
                }
                if let Some(kind) = fields.get("type").cloned() {
                    fields.insert("type".to_owned(), json!([kind, "null"]));
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
