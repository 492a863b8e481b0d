//! What the strategy is told: what every strategy is told, what to restore, and what must be true of it.

use serde::Deserialize;
use understudy_recovery::parameters::{self, Parameters};
use understudy_recovery::recovery::Recovery;
use understudy_recovery::{Error, fault};

/// What only this strategy is told.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct Restore {
    /// Restore the data as it was at this instant, in milliseconds since the epoch; the newest where none.
    pub(crate) point_in_time_ms: Option<u64>,
    /// Ask for the newest state that recovery points and logs give together; false for recovery points alone.
    pub(crate) use_logs: bool,
    /// Migrations are applied up to this version; none where none.
    pub(crate) migration: Option<String>,
    /// What the restored schema must be, SHA-256 in hexadecimal.
    pub(crate) schema_digest: Option<String>,
}

impl Default for Restore {
    fn default() -> Self {
        Self {
            point_in_time_ms: None,
            use_logs: true,
            migration: None,
            schema_digest: None,
        }
    }
}

impl Restore {
    pub(crate) fn of(recovery: &Recovery) -> Result<Self, Error> {
        Self::read(&recovery.config)
    }

    fn read(config: &str) -> Result<Self, Error> {
        serde_json::from_str(config).map_err(|error| Error::Invalid(format!("parameters: {error}")))
    }
}

/// The JSON Schema of the parameters.
pub(crate) fn schema() -> String {
    parameters::schema(
        "Parameters of the strategy restore",
        r#""point-in-time-ms":{"type":"integer","minimum":0,"description":"Restore the data as it was at this instant, in milliseconds since the epoch"},
"use-logs":{"type":"boolean","default":true,"description":"Ask for what recovery points and logs give together"},
"migration":{"type":"string","minLength":1,"description":"Migrations are applied up to this version"},
"schema-digest":{"type":"string","pattern":"^[0-9a-f]{64}$","description":"What the restored schema must be"},"#,
    )
}

/// What the schema cannot say, one line per problem.
pub(crate) fn validate(config: &str) -> Result<(), Vec<String>> {
    let parameters = Parameters::read(config).map_err(|error| vec![fault::say(&error)])?;
    Restore::read(config).map_err(|error| vec![fault::say(&error)])?;
    let problems = parameters.problems();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_json_and_agrees_on_the_default() {
        let schema: serde_json::Value = serde_json::from_str(&schema()).unwrap();
        assert_eq!(
            schema["properties"]["use-logs"]["default"],
            Restore::read("{}").unwrap().use_logs
        );
    }
}
