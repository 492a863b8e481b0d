//! Redaction against readers who decode.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn redactor(secret: &[u8]) -> Redactor {
    let (redactor, ignored) = Redactor::new([("test", secret)]);
    assert_eq!(ignored, []);
    redactor
}

fn bytes_as_numbers(bytes: &[u8]) -> Value {
    bytes.iter().copied().map(Value::from).collect()
}

/// What a careless plugin or server might do with `secret`, by name.
fn leaks(before: &str, secret: &str, after: &str) -> Vec<(&'static str, Value)> {
    let around = format!("{before}{secret}{after}");
    let quoted = serde_json::to_string(&around).unwrap();
    let twice = serde_json::to_string(&json!({ "inner": quoted })).unwrap();
    let query: String = url::form_urlencoded::byte_serialize(around.as_bytes()).collect();
    let every_byte: String = around.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let unicode: String = around
        .encode_utf16()
        .map(|unit| format!("\\u{unit:04X}"))
        .collect();
    vec![
        ("as it is", json!(around)),
        ("as a key", json!({ around.clone(): 1 })),
        ("nested", json!({"a": [{"b": [null, around.clone()]}]})),
        ("json in a string", json!(quoted)),
        ("json in json in a string", json!(twice)),
        ("form", json!(query)),
        ("percent", json!(every_byte)),
        ("unicode escapes", json!(unicode)),
        (
            "base64",
            json!(format!("Basic {}", STANDARD.encode(&around))),
        ),
        (
            "base64url",
            json!(format!("x.{}.y", URL_SAFE_NO_PAD.encode(&around))),
        ),
        ("hexadecimal", json!(crate::call::hex(around.as_bytes()))),
        (
            "numbers",
            json!({"body": bytes_as_numbers(around.as_bytes())}),
        ),
        ("json in numbers", bytes_as_numbers(quoted.as_bytes())),
        (
            "base64 in numbers",
            bytes_as_numbers(STANDARD.encode(&around).as_bytes()),
        ),
    ]
}

fn texts(text: &str, found: &mut Vec<Vec<u8>>) {
    let mut layers = vec![text.to_owned()];
    for _ in 0..3 {
        let last = layers.last().unwrap().clone();
        layers.push(serde_json::from_str::<String>(&last).unwrap_or_default());
        if let Ok(inner) = serde_json::from_str::<Value>(&last) {
            layers.extend(
                inner
                    .get("inner")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
            );
        }
    }
    layers.extend(serde_json::from_str::<String>(&format!("\"{text}\"")));
    for layer in layers {
        let form: Vec<u8> = url::form_urlencoded::parse(layer.as_bytes())
            .flat_map(|(key, value)| format!("{key}{value}").into_bytes())
            .collect();
        found.push(form);
        for word in layer.split([' ', '.']) {
            found.extend(STANDARD.decode(word));
            found.extend(URL_SAFE_NO_PAD.decode(word));
        }
        let digits = |at: usize| u8::from_str_radix(layer.get(at..at + 2)?, 16).ok();
        found.push((0..layer.len()).step_by(2).map_while(digits).collect());
        found.push(layer.into_bytes());
    }
}

/// Every text that a reader could get out of `value` by decoding what [`leaks`] encodes.
fn readings(value: &Value, found: &mut Vec<Vec<u8>>) {
    match value {
        Value::String(string) => texts(string, found),
        Value::Array(items) => {
            let bytes: Vec<u8> = items
                .iter()
                .filter_map(Value::as_u64)
                .filter_map(|number| u8::try_from(number).ok())
                .collect();
            texts(&String::from_utf8_lossy(&bytes), found);
            items.iter().for_each(|item| readings(item, found));
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                texts(key, found);
                readings(value, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn leaked(value: &Value, secret: &str) -> bool {
    let mut found = Vec::new();
    readings(value, &mut found);
    found.iter().any(|text| find(text, secret.as_bytes()))
}

proptest! {
    /// The test can fail: the same readings do find the secret before redaction.
    #[test]
    fn no_reading_of_a_redacted_value_gives_the_secret(
        before in ".{0,9}", secret in "[a-zA-Z0-9 \"\\\\/%+&=é𝄞\n\t-]{6,30}", after in ".{0,9}"
    ) {
        let redactor = redactor(secret.as_bytes());
        for (name, mut value) in leaks(&before, &secret, &after) {
            prop_assert!(leaked(&value, &secret), "the reading misses {name}: {value}");
            redactor.redact_value(&mut value);
            prop_assert!(!leaked(&value, &secret), "{name}: {value}");
            prop_assert!(value.to_string().contains(MARKER) || name.contains("numbers"), "{name}: {value}");
        }
    }

    /// What holds no secret is left alone, byte for byte.
    #[test]
    fn a_value_without_a_secret_is_unchanged(texts in prop::collection::vec("[a-m0-9 %\\\\+]{0,40}", 0..5), numbers: Vec<u8>) {
        let redactor = redactor(b"ZYXWVUTS-zyxwvuts");
        let value = json!({"texts": texts, "numbers": numbers, "other": [1.5, null, true, 70000]});
        let mut redacted = value.clone();
        redactor.redact_value(&mut redacted);
        prop_assert_eq!(value, redacted);
    }
}

#[test]
fn the_rest_of_a_text_stays() {
    let redactor = redactor(b"hunter2hunter2");
    assert_eq!(
        redactor.redact_str("user=a password=hunter2hunter2 host=b"),
        "user=a password=[redacted] host=b"
    );
    let header = format!(
        "authorization: Basic {} (sent)",
        STANDARD.encode("op:hunter2hunter2")
    );
    assert_eq!(
        redactor.redact_str(&header),
        "authorization: Basic [redacted] (sent)"
    );
}

#[test]
fn a_list_of_bytes_stays_a_list_of_bytes() {
    let redactor = redactor(b"hunter2hunter2");
    let mut value = bytes_as_numbers(b"<hunter2hunter2>");
    redactor.redact_value(&mut value);
    assert_eq!(value, bytes_as_numbers(b"<[redacted]>"));
}

#[test]
fn secrets_that_cannot_be_redacted_are_named() {
    let secrets: [(&str, &[u8]); 3] =
        [("pin", b"12345"), ("odd", b"redacted"), ("good", b"123456")];
    let (redactor, ignored) = Redactor::new(secrets);
    let names: Vec<&str> = ignored.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["pin", "odd"]);
    assert_eq!(redactor.redact_str("12345 123456"), "12345 [redacted]");
    assert_eq!(format!("{redactor:?}"), "Redactor(1 secrets)");
}

#[test]
fn what_one_learns_is_known_to_its_clones_and_to_whom_it_is_part_of() {
    let (first, second) = (redactor(b"abcdefgh"), Redactor::none());
    let joined = Redactor::joined([&first, &second]);
    let clone = second.clone();
    assert_eq!(joined.redact_str("abcdefgh 123456"), "[redacted] 123456");
    assert!(second.learn([("late", b"123456".as_slice())]).is_empty());
    for knowing in [&second, &clone, &joined] {
        assert_eq!(knowing.redact_str("<123456>"), "<[redacted]>");
    }
    joined.learn([("own", b"zyxwvu".as_slice())]);
    assert_eq!(joined.redact_str("zyxwvu"), "[redacted]");
    assert_eq!(first.redact_str("123456 zyxwvu"), "123456 zyxwvu");
}

#[test]
fn a_secret_that_is_not_text_is_found_in_bytes() {
    let secret = [0xff, 0x00, 0xfe, 0x80, 0x81, 0x22];
    let redactor = redactor(&secret);
    let mut value = bytes_as_numbers(&[&[1, 2], secret.as_slice(), &[3]].concat());
    redactor.redact_value(&mut value);
    assert_eq!(value, bytes_as_numbers(b"\x01\x02[redacted]\x03"));
}

#[test]
fn overlapping_secrets_leave_no_edge() {
    let secrets: [(&str, &[u8]); 2] = [("a", b"abcdefgh"), ("b", b"efghijkl")];
    let (redactor, _) = Redactor::new(secrets);
    assert_eq!(redactor.redact_str("<abcdefghijkl>"), "<[redacted]>");
}
