//! Whether an answer holds what is expected of it.

use serde_json::{Map, Value};

use super::scope::ANY;

/// Checks that `found` holds everything in `expected`: the keys named of a record, a list element by element.
///
/// # Errors
/// The first place where it does not.
pub(super) fn holds(expected: &Map<String, Value>, found: &Value) -> Result<(), String> {
    for (key, value) in expected {
        let there = found.get(key).unwrap_or(&Value::Null);
        value_holds(value, there).map_err(|place| format!("`{key}`{place}"))?;
    }
    Ok(())
}

fn value_holds(expected: &Value, found: &Value) -> Result<(), String> {
    let is_any = expected.as_str().and_then(|text| text.strip_prefix('$')) == Some(ANY);
    match (expected, found) {
        (Value::Object(table), Value::Object(_)) => {
            holds(table, found).map_err(|place| format!(".{place}"))
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => expected
            .iter()
            .zip(found)
            .try_for_each(|(expected, found)| value_holds(expected, found)),
        _ if is_any && !is_nothing(found) => Ok(()),
        _ if is_any => Err(" is nothing".to_owned()),
        _ if expected == found => Ok(()),
        _ => Err(format!(" should be {expected}, and is {found}")),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(table) => table.is_empty(),
        _ => false,
    }
}

/// The part of an answer at a path such as `replication/received`.
pub(super) fn part<'v>(answer: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('/').try_fold(answer, |value, key| match value {
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        value => value.get(key),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_named_must_hold_and_the_rest_may_be_anything() {
        let found =
            json!({ "values": ["a"], "ttl": 60, "replication": { "running": true }, "empty": "" });
        let check = |expected: Value| holds(expected.as_object().unwrap(), &found);
        assert_eq!(
            check(json!({ "values": ["a"], "replication": { "running": true } })),
            Ok(())
        );
        assert_eq!(check(json!({ "ttl": "$any" })), Ok(()));
        assert_eq!(
            check(json!({ "empty": "$any" })),
            Err("`empty` is nothing".to_owned())
        );
        assert!(check(json!({ "values": ["a", "a"] })).is_err());
        assert_eq!(
            check(json!({ "replication": { "running": false } })),
            Err("`replication`.`running` should be false, and is true".to_owned())
        );
        assert_eq!(
            part(&json!({ "a": [{ "b": 1 }] }), "a/0/b"),
            Some(&json!(1))
        );
    }
}
