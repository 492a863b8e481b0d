//! Parameters of strategies and configurations of providers against the JSON Schema that the plugin describes.

use jsonschema::Draft;
use serde_json::Value;

/// Most problems reported for one value. The first few tell what is wrong; a thousand tell nothing.
pub const MAX_PROBLEMS: usize = 32;

/// Checks `value` against a JSON Schema (draft 2020-12).
///
/// # Errors
/// One line per problem, each with the place in the value (`/ttl-seconds`); or one line saying that the schema itself is
/// not valid, which is the plugin's fault. References to other documents are never followed.
pub fn check(schema_json: &str, value: &Value) -> Result<(), Vec<String>> {
    let schema: Value = serde_json::from_str(schema_json)
        .map_err(|error| vec![format!("the plugin's schema is not JSON: {error}")])?;
    let validator = jsonschema::options()
        .with_draft(Draft::Draft202012)
        .build(&schema)
        .map_err(|error| vec![format!("the plugin's schema is not valid: {error}")])?;
    let problems: Vec<String> = validator
        .iter_errors(value)
        .take(MAX_PROBLEMS)
        .map(|error| match error.instance_path().to_string() {
            path if path.is_empty() => error.to_string(),
            path => format!("{path}: {error}"),
        })
        .collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SCHEMA: &str = r#"{
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": { "ttl-seconds": { "type": "integer", "minimum": 1 }, "zone": { "type": "string" } },
        "required": ["zone"],
        "additionalProperties": false
    }"#;

    #[test]
    fn every_problem_is_told_with_its_place() {
        assert_eq!(
            check(
                SCHEMA,
                &json!({ "zone": "example.test", "ttl-seconds": 60 })
            ),
            Ok(())
        );
        let problems = check(SCHEMA, &json!({ "ttl-seconds": 0, "zon": "x" })).unwrap_err();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(
            problems.contains(&"/ttl-seconds: 0 is less than the minimum of 1".to_owned()),
            "{problems:?}"
        );
        assert!(
            problems
                .iter()
                .any(|problem| problem.contains("\"zone\" is a required property")),
            "{problems:?}"
        );
    }

    #[test]
    fn a_schema_that_is_none_is_the_plugins_fault() {
        assert!(
            check("{", &json!({})).unwrap_err()[0].starts_with("the plugin's schema is not JSON")
        );
        let wrong = check(r#"{"type": "objekt"}"#, &json!({})).unwrap_err();
        assert!(
            wrong[0].starts_with("the plugin's schema is not valid"),
            "{wrong:?}"
        );
        let remote = check(
            r#"{"$ref": "https://example.test/schema.json"}"#,
            &json!({}),
        )
        .unwrap_err();
        assert!(
            remote[0].starts_with("the plugin's schema is not valid"),
            "{remote:?}"
        );
    }
}
