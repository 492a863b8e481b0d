//! One step for other people's plans: purge ACME's delivery network. A strategy that calls an organisation's own
//! contract needs a world of its own, made of the published one and that import.
//!
//! A runbook adds the step with `run`, where it wants it: the README beside this folder shows how.

use serde::Deserialize;

wit_bindgen::generate!({
    path: ["../../../../wit/types", "../../../../wit/control", "../../../../wit/database", "../../../../wit/dns",
            "../../../../wit/kubernetes", "../../../../wit/workload", "../../../../wit/certificates",
            "../../../../wit/ingress", "../../../../wit/infrastructure", "../../../../wit/storage", "../../../../wit/edge-cache", "../../../../wit/probe", "../../../../wit/metrics",
            "../../../../wit/notify", "../../../../wit/http", "../../../../wit/sql", "../../../../wit/tls", "../../../../wit/exec", "../../../../wit/dns-update", "../../../../wit/acme",
            "../../../../wit/plugin", "../wit"],
    inline: "package acme:cdn-strategy; world cdn-strategy {
        include understudy:plugin/strategy-plugin@0.1.0;
        import acme:cdn/purge@1.0.0;
    }",
    world: "acme:cdn-strategy/cdn-strategy",
    generate_all,
});

use acme::cdn::purge;
use exports::understudy::plugin::strategy::{
    Context, Description, Error, Finding, Guest, Reversal, Step,
};
use understudy::types::types::Outcome;

/// JSON Schema of [`Parameters`].
const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "required": ["site", "host"],
  "properties": {
    "site": { "description": "Site whose answers the caches may keep.", "type": "string", "minLength": 1 },
    "host": { "description": "Public name whose caches are purged.", "type": "string", "minLength": 1 }
  }
}"#;

/// The one step.
const STEP: &str = "purge";

/// Upper bound in milliseconds that the network promises for a purge.
const BUDGET_MS: u64 = 120_000;

/// The parameters; [`SCHEMA`] says what each field means.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Parameters {
    site: String,
    host: String,
}

/// The strategy.
struct AcmeCdn;

impl Guest for AcmeCdn {
    fn describe() -> Description {
        Description {
            name: "acme-cdn".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "purge ACME's delivery network after a flip".to_owned(),
            config_schema: SCHEMA.to_owned(),
        }
    }

    fn validate_config(config: String) -> Result<(), Vec<String>> {
        read(&config).map(|_| ()).map_err(|error| vec![error])
    }

    fn plan(context: Context) -> Result<Vec<Step>, Error> {
        let parameters = read(&context.config).map_err(Error::Invalid)?;
        Ok(vec![Step {
            id: STEP.to_owned(),
            title: format!("Purge the caches in front of {}", parameters.host),
            role: "dns-lead".to_owned(),
            budget_ms: BUDGET_MS,
            needs: Vec::new(),
            // A purged cache fills again by itself.
            reversal: Reversal::Nothing,
            acts: Vec::new(),
            covers: Vec::new(),
            uses: vec!["purge".to_owned()],
        }])
    }

    fn run_step(context: Context, step: String) -> Result<String, Error> {
        known(&step)?;
        let Parameters { site, host } = read(&context.config).map_err(Error::Invalid)?;
        Ok(match purge::ensure_purged(&site, &host)? {
            Outcome::Unchanged => {
                format!("the caches in front of {host} held nothing but answers of {site}")
            }
            Outcome::Changed | Outcome::InProgress(_) => {
                format!("purged the caches in front of {host}")
            }
        })
    }

    fn undo_step(_: Context, step: String) -> Result<String, Error> {
        known(&step)?;
        Ok("nothing to take back: the caches fill again".to_owned())
    }

    fn assess(_: Context) -> Result<Vec<Finding>, Error> {
        // Whether the network answers is not known without asking for a purge.
        Ok(Vec::new())
    }
}

/// Reads the parameters.
fn read(config: &str) -> Result<Parameters, String> {
    serde_json::from_str(config).map_err(|error| error.to_string())
}

/// Refuses a step that this strategy did not plan.
fn known(step: &str) -> Result<(), Error> {
    if step == STEP {
        Ok(())
    } else {
        Err(Error::NotFound(format!(
            "step `{step}` of acme-cdn; there is `{STEP}`"
        )))
    }
}

export!(AcmeCdn);

#[cfg(test)]
mod tests {
    use super::*;
    use exports::understudy::plugin::strategy::Mode;

    fn context(config: &str) -> Context {
        Context {
            run: "run-1".to_owned(),
            config: config.to_owned(),
            mode: Mode::Graceful,
            rto_target_ms: 0,
            rpo_target_ms: 0,
        }
    }

    #[test]
    fn the_plan_is_one_step_that_uses_the_own_contract_alone() {
        let plan =
            AcmeCdn::plan(context(r#"{"site":"bz","host":"wp-active.example.test"}"#)).unwrap();
        assert_eq!(plan.len(), 1);
        assert_eq!(
            (plan[0].id.as_str(), plan[0].uses.as_slice()),
            ("purge", ["purge".to_owned()].as_slice())
        );
    }

    #[test]
    fn wrong_parameters_and_steps_are_refused() {
        assert!(AcmeCdn::validate_config(r#"{"site":"bz"}"#.to_owned()).is_err());
        assert!(matches!(
            AcmeCdn::plan(context("{}")),
            Err(Error::Invalid(_))
        ));
        assert!(matches!(
            AcmeCdn::undo_step(context("{}"), "flip".to_owned()),
            Err(Error::NotFound(_))
        ));
    }
}
