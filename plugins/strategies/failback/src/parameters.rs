//! What the strategy is told: what every strategy is told, how the old primary is re-seeded, and what becomes of the
//! site that is left.

use serde::Deserialize;
use understudy_recovery::Error;
use understudy_recovery::fault;
use understudy_recovery::parameters::{self, Parameters};
use understudy_recovery::recovery::Recovery;

/// How the site gone to gets its data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reseed {
    /// By replication alone.
    #[default]
    Replica,
    /// From a fresh backup, and the rest by replication.
    Restore,
}

/// What becomes of the site that is left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StandDown {
    /// Its application is scaled down and its public way in closed.
    #[default]
    ScaleDown,
    /// Nothing: it stays as it is, in maintenance.
    Keep,
    /// It is scaled down and closed, then everything that its stacks made is destroyed.
    Destroy,
}

/// What only this strategy is told.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct Failback {
    pub(crate) reseed: Reseed,
    pub(crate) stand_down: StandDown,
    /// Replicas that stay at the site left: 0 cold, 1 warm.
    pub(crate) standby_replicas: u32,
    /// Infrastructure as code that both sites are made of, in the order in which it is applied.
    pub(crate) stacks: Vec<String>,
}

impl Failback {
    pub(crate) fn of(recovery: &Recovery) -> Result<Self, Error> {
        Self::read(&recovery.config)
    }

    fn problem(&self) -> Option<String> {
        let nameless = self.stand_down == StandDown::Destroy && self.stacks.is_empty();
        nameless.then(|| "`stand-down = \"destroy\"` needs `stacks`: what is destroyed".to_owned())
    }

    fn read(config: &str) -> Result<Self, Error> {
        serde_json::from_str(config).map_err(|error| Error::Invalid(format!("parameters: {error}")))
    }
}

/// The JSON Schema of the parameters.
pub(crate) fn schema() -> String {
    parameters::schema(
        "Parameters of the strategy failback",
        r#""reseed":{"enum":["replica","restore"],"default":"replica","description":"How `to` gets its data"},
"stand-down":{"enum":["scale-down","keep","destroy"],"default":"scale-down","description":"What becomes of `from`"},
"standby-replicas":{"type":"integer","minimum":0,"maximum":10000,"default":0,"description":"Replicas that stay at `from`"},
"stacks":{"type":"array","items":{"type":"string","minLength":1},"default":[],"description":"Infrastructure as code that both sites are made of, in the order in which it is applied: compared with what is there at the end, and destroyed at `from` from the last to the first where that is decided"},"#,
    )
}

/// What the schema cannot say, one line per problem.
pub(crate) fn validate(config: &str) -> Result<(), Vec<String>> {
    let parameters = Parameters::read(config).map_err(|error| vec![fault::say(&error)])?;
    let own = Failback::read(config).map_err(|error| vec![fault::say(&error)])?;
    let mut problems = parameters.problems();
    problems.extend(own.problem());
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
    fn the_schema_and_the_type_have_the_same_defaults() {
        let schema: serde_json::Value = serde_json::from_str(&schema()).unwrap();
        let defaults: serde_json::Map<_, _> =
            ["reseed", "stand-down", "standby-replicas", "stacks"]
                .map(|name| {
                    (
                        name.to_owned(),
                        schema["properties"][name]["default"].clone(),
                    )
                })
                .into_iter()
                .collect();
        let told = Failback::read(&serde_json::Value::Object(defaults).to_string()).unwrap();
        let untold = Failback::read("{}").unwrap();
        assert_eq!(format!("{told:?}"), format!("{untold:?}"));
    }
}
