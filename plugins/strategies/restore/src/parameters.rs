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
    /// The outage is damage that replicas, logs and later recovery points carry on: restore the data as it was so long before
    /// it began, in milliseconds.
    pub(crate) before_outage_ms: Option<u64>,
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
            before_outage_ms: None,
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

    fn problems(&self, parameters: &Parameters) -> Vec<String> {
        let mut problems = Vec::new();
        if self.before_outage_ms.is_some() && self.point_in_time_ms.is_some() {
            problems.push(
                "`before-outage-ms` and `point-in-time-ms` both say what to restore: leave one of them out".to_owned(),
            );
        }
        if self.before_outage_ms.is_some() && parameters.objectives.is_empty() {
            problems.push(
                "`before-outage-ms` counts from when users began to fail, which the first of `objectives` tells: name one"
                    .to_owned(),
            );
        }
        problems
    }
}

/// The JSON Schema of the parameters.
pub(crate) fn schema() -> String {
    parameters::schema(
        "Parameters of the strategy restore",
        r#""point-in-time-ms":{"type":"integer","minimum":0,"description":"Restore the data as it was at this instant, in milliseconds since the epoch"},
"before-outage-ms":{"type":"integer","minimum":0,"maximum":86400000,"description":"The outage is damage that replicas and logs carry on: restore the data as it was so long before it began"},
"use-logs":{"type":"boolean","default":true,"description":"Ask for what recovery points and logs give together"},
"migration":{"type":"string","minLength":1,"description":"Migrations are applied up to this version"},
"schema-digest":{"type":"string","pattern":"^[0-9a-f]{64}$","description":"What the restored schema must be"},"#,
    )
}

/// What the schema cannot say, one line per problem.
pub(crate) fn validate(config: &str) -> Result<(), Vec<String>> {
    let parameters = Parameters::read(config).map_err(|error| vec![fault::say(&error)])?;
    let own = Restore::read(config).map_err(|error| vec![fault::say(&error)])?;
    let mut problems = parameters.problems();
    problems.extend(own.problems(&parameters));
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

    #[test]
    fn one_thing_says_what_to_restore_and_something_tells_since_when_users_fail() {
        let mut parameters: Parameters = serde_json::from_str(
            r#"{"from":"pz","to":"bz","database":"d","app":"a","replicas":2,"records":{"active":"a.example.test","targets":{}},
            "certificate":{"name":"c","issuer":"i","dns-names":[]},"journeys":["front-page"],"objectives":["errors"]}"#,
        )
        .unwrap();
        let own = |config: &str| Restore::read(config).unwrap();
        assert!(
            own(r#"{"before-outage-ms":1}"#)
                .problems(&parameters)
                .is_empty()
        );
        let both = own(r#"{"before-outage-ms":1,"point-in-time-ms":1}"#).problems(&parameters);
        assert!(both[0].contains("leave one"), "{both:?}");
        parameters.objectives.clear();
        let untold = own(r#"{"before-outage-ms":1}"#).problems(&parameters);
        assert!(untold[0].contains("`objectives`"), "{untold:?}");
        assert!(own("{}").problems(&parameters).is_empty());
    }
}
