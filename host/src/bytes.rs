//! Bytes of a contract (`list<u8>`) as JSON: `{"base64": "…"}`, a third more than the bytes themselves.
//!
//! As a list of numbers, which is also read, a body of 4 MiB would take 128 MiB of memory. For serde:
//! `#[serde(with = "crate::bytes")]`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

/// The one key.
const KEY: &str = "base64";

#[derive(Deserialize)]
#[serde(untagged)]
enum Shape {
    Compact { base64: String },
    Numbers(Vec<u8>),
}

/// Bytes as JSON.
#[must_use]
pub fn to_value(bytes: &[u8]) -> Value {
    json!({ KEY: STANDARD.encode(bytes) })
}

/// The bytes in a JSON value of the compact shape; `None` for any other.
#[must_use]
pub fn from_value(value: &Value) -> Option<Vec<u8>> {
    match value.as_object() {
        Some(object) if object.len() == 1 => object.get(KEY)?.as_str().map(decode),
        _ => None,
    }
}

/// A text that is no Base64 is one that a secret was taken out of: it stands for itself, so that what was journaled can
/// still be read.
fn decode(text: &str) -> Vec<u8> {
    STANDARD
        .decode(text)
        .unwrap_or_else(|_| text.as_bytes().to_vec())
}

/// For serde.
///
/// # Errors
/// The serialiser's.
pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    to_value(bytes).serialize(serializer)
}

/// For serde.
///
/// # Errors
/// Neither shape of bytes.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    Ok(match Shape::deserialize(deserializer)? {
        Shape::Compact { base64 } => decode(&base64),
        Shape::Numbers(bytes) => bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Body(#[serde(with = "crate::bytes")] Vec<u8>);

    #[test]
    fn bytes_come_back_from_both_shapes_and_go_out_in_one() {
        let body = Body(vec![0, 255, b'a']);
        let value = serde_json::to_value(&body).unwrap();
        assert_eq!(value, json!({"base64": "AP9h"}));
        assert_eq!(from_value(&value), Some(body.0.clone()));
        for shape in [value, json!([0, 255, 97])] {
            assert_eq!(serde_json::from_value::<Body>(shape).unwrap(), body);
        }
        for none in [
            json!([256]),
            json!("AP9h"),
            json!({"base64": 1}),
            json!(null),
        ] {
            assert_eq!(from_value(&none), None);
            assert!(serde_json::from_value::<Body>(none).is_err());
        }
    }

    #[test]
    fn what_was_redacted_stands_for_itself() {
        let redacted = json!({"base64": "[redacted]"});
        assert_eq!(from_value(&redacted), Some(b"[redacted]".to_vec()));
    }
}
