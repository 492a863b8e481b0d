//! Names of objects at the door: after it, every part of a [`Place`] can stand in a path as it is.
//!
//! Paths are put together from these names, so a name that would lead to another path is refused here, before grants
//! are compared.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::runbook::types::{KindName, KubernetesVerb};

use super::super::Fault;
use super::grant::Wanted;

/// Longest name of an object (RFC 1123 subdomains, and what RBAC takes), in bytes.
const MAX_NAME_BYTES: usize = 253;

/// `object-ref` of `wit/kubernetes`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct ObjectRef {
    api_version: String,
    kind: String,
    namespace: String,
    name: String,
}

impl ObjectRef {
    pub(super) fn pod(namespace: String, name: String) -> Self {
        Self {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            namespace,
            name,
        }
    }
}

/// An object, or with an empty name the objects of a kind, where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) kind: KindName,
    /// Empty for objects that belong to none.
    pub(super) namespace: String,
    /// Empty for all.
    pub(super) name: String,
}

impl Place {
    /// One object.
    ///
    /// # Errors
    /// `invalid`: not a name.
    pub(super) fn of(object: ObjectRef) -> Result<Self, Fault> {
        let place = Self::of_kind(object.api_version, object.kind, object.namespace)?;
        named("name of an object", &object.name, is_name)?;
        Ok(Self {
            name: object.name,
            ..place
        })
    }

    /// The objects of a kind in a namespace.
    ///
    /// # Errors
    /// `invalid`: not a name.
    pub(super) fn of_kind(
        api_version: String,
        kind: String,
        namespace: String,
    ) -> Result<Self, Fault> {
        named("group and version", &api_version, is_api_version)?;
        named("kind", &kind, |text| {
            text.bytes().all(|b| b.is_ascii_alphanumeric())
        })?;
        if !namespace.is_empty() {
            named("namespace", &namespace, is_label)?;
        }
        Ok(Self {
            kind: KindName { api_version, kind },
            namespace,
            name: String::new(),
        })
    }

    /// What is asked for with it.
    pub(super) fn wanted<'a>(&'a self, cluster: &'a str, verb: KubernetesVerb) -> Wanted<'a> {
        Wanted {
            cluster,
            verb,
            kind: &self.kind,
            namespace: &self.namespace,
            name: &self.name,
        }
    }
}

/// A manifest, and the object it is of.
///
/// # Errors
/// `invalid`: no JSON object with `apiVersion`, `kind` and `metadata.name`.
pub(super) fn manifest(text: &str) -> Result<(Place, Value), Fault> {
    let manifest = json_object("manifest", text)?;
    let field = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let metadata = &manifest["metadata"];
    let place = Place::of(ObjectRef {
        api_version: field(&manifest["apiVersion"]),
        kind: field(&manifest["kind"]),
        namespace: field(&metadata["namespace"]),
        name: field(&metadata["name"]),
    })?;
    Ok((place, manifest))
}

/// A text that is a JSON object within the limit of one object.
///
/// # Errors
/// `invalid`.
pub(super) fn json_object(what: &str, text: &str) -> Result<Value, Fault> {
    if text.len() > super::MAX_REQUEST_BYTES {
        let limit = super::MAX_REQUEST_BYTES;
        let text = format!(
            "the {what} has {} bytes; at most {limit} are sent",
            text.len()
        );
        return Err(Fault::invalid("CP0009", text));
    }
    let read: Result<Value, _> = serde_json::from_str(text);
    read.ok().filter(Value::is_object).ok_or_else(|| {
        let text = format!("the {what} is not a JSON object");
        Fault::invalid("CP0009", text)
    })
}

/// A patch that is refused where the object is no longer at this version.
///
/// # Errors
/// `invalid`: its `metadata` is not an object.
pub(super) fn at_version(patch: &mut Value, version: String) -> Result<(), Fault> {
    let metadata = patch
        .as_object_mut()
        .map(|patch| patch.entry("metadata").or_insert_with(|| json!({})));
    let Some(Value::Object(metadata)) = metadata else {
        let text = "the patch's `metadata` is not an object";
        return Err(Fault::invalid("CP0009", text));
    };
    metadata.insert("resourceVersion".to_owned(), Value::from(version));
    Ok(())
}

/// An item of a list, which does not say itself what it is.
pub(super) fn described(kind: &KindName, mut item: Value) -> Value {
    if let Some(fields) = item.as_object_mut() {
        fields.insert(
            "apiVersion".to_owned(),
            Value::from(kind.api_version.clone()),
        );
        fields.insert("kind".to_owned(), Value::from(kind.kind.clone()));
    }
    item
}

fn named(what: &str, text: &str, fits: impl Fn(&str) -> bool) -> Result<(), Fault> {
    if !text.is_empty() && text.len() <= MAX_NAME_BYTES && fits(text) {
        return Ok(());
    }
    let text: String = text.chars().take(MAX_NAME_BYTES).collect();
    let text = format!("`{text}` is not a {what}");
    Err(Fault::invalid("CP0009", text))
}

/// What API servers take as a path segment (`IsValidPathSegmentName`), less what would have to be encoded there.
fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:~@".contains(&b);
    text != "." && text != ".." && text.bytes().all(plain)
}

fn is_label(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    text.bytes().all(plain)
}

fn is_api_version(text: &str) -> bool {
    let mut parts = text.split('/');
    let part = |text: &str| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
        !text.is_empty() && !text.starts_with('.') && text.bytes().all(plain)
    };
    parts.by_ref().take(2).all(part) && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(api_version: &str, namespace: &str, name: &str) -> Result<Place, Fault> {
        Place::of(ObjectRef {
            api_version: api_version.to_owned(),
            kind: "Deployment".to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }

    #[test]
    fn what_would_lead_to_another_path_is_no_name() {
        for (api_version, namespace, name) in [
            ("apps/v1", "app", ""),
            ("apps/v1", "app", ".."),
            ("apps/v1", "app", "a/b"),
            ("apps/v1", "app", "a?b"),
            ("apps/v1", "app", "a%2fb"),
            ("apps/v1", "app", "a b"),
            ("apps/v1", "../kube-system", "a"),
            ("apps/v1", "App", "a"),
            ("apps/v1/x", "app", "a"),
            ("../v1", "app", "a"),
            ("apps/..", "app", "a"),
            ("", "app", "a"),
            ("apps/", "app", "a"),
        ] {
            let read = object(api_version, namespace, name);
            assert!(
                read.is_err(),
                "{api_version} {namespace} {name} must not pass"
            );
        }
        assert!(object("v1", "", "system:node").is_ok());
        assert!(object("cert-manager.io/v1", "app", "wordpress-tls.2").is_ok());
    }

    #[test]
    fn a_manifest_says_which_object_it_is() {
        let text =
            r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"namespace":"app","name":"a"}}"#;
        let (place, _) = manifest(text).unwrap();
        assert_eq!(place.kind.to_string(), "v1/ConfigMap");
        for bad in ["[]", "{", r#"{"apiVersion":"v1","kind":"ConfigMap"}"#] {
            assert!(manifest(bad).is_err(), "{bad}");
        }
        let long = format!(
            r#"{{"a":"{}"}}"#,
            "x".repeat(super::super::MAX_REQUEST_BYTES)
        );
        assert!(json_object("patch", &long).is_err());
    }
}
