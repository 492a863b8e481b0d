//! What the values of a Secret or ConfigMap are compared by. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::super::Fault;
use super::super::credential::Redactor;
use super::super::digest::DigestKey;
use super::object::Place;

/// `value-digests` of `wit/kubernetes` for an object as the API server has it, and how many there are.
///
/// # Errors
/// `other`: a value that is none, without the value.
pub(super) fn digests(
    object: &Value,
    place: &Place,
    key: &DigestKey,
    redactor: &Redactor,
) -> Result<(Value, usize), Fault> {
    let kind = place.kind.to_string();
    let mut values = Vec::new();
    let in_base64 = place.kind.kind == "Secret";
    for (field, encoded) in [("data", in_base64), ("binaryData", true)] {
        let Some(data) = object.get(field).and_then(Value::as_object) else {
            continue;
        };
        for (name, value) in data {
            let value = bytes(value, encoded).ok_or_else(|| {
                let text = format!("key `{name}` of {kind} {}: it has no value", place.name);
                Fault::other("CP0031", text)
            })?;
            let of = [&kind, &place.namespace, &place.name, name].map(String::as_str);
            values.push((redactor.text(name), key.digest(&of, &value)));
        }
    }
    values.sort();
    let count = values.len();
    let value = |(name, digest)| json!({ "name": name, "digest": digest });
    let values: Vec<Value> = values.into_iter().map(value).collect();
    Ok((json!({ "made-with": key.name(), "values": values }), count))
}

fn bytes(value: &Value, encoded: bool) -> Option<Vec<u8>> {
    let text = value.as_str()?;
    if encoded {
        BASE64.decode(text).ok()
    } else {
        Some(text.as_bytes().to_vec())
    }
}
