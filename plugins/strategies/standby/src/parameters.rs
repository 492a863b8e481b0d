//! What the strategy is told: what every strategy is told, and how the site that waits is to wait.

use std::net::IpAddr;

use serde::Deserialize;
use understudy_recovery::Error;
use understudy_recovery::fault;
use understudy_recovery::parameters::{self, Parameters};
use understudy_recovery::recovery::Recovery;

/// Where the data of the site that waits comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Data {
    /// A replica of the site that serves.
    #[default]
    Replica,
    /// Recovery points, which are restored once they are needed: there is no database until then.
    RecoveryPoints,
}

/// What only this strategy is told.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct Standby {
    pub(crate) data: Data,
    /// Replicas of the application that wait: 0 cold, 1 warm.
    pub(crate) standby_replicas: u32,
    /// Oldest that the newest recovery point may be, in milliseconds; the recovery point objective where it is left out.
    pub(crate) max_backup_age_ms: Option<u64>,
    /// Address that the name of the site that waits holds as long as nothing else is known.
    pub(crate) reserved_address: Option<IpAddr>,
}

impl Standby {
    pub(crate) fn of(recovery: &Recovery) -> Result<Self, Error> {
        Self::read(&recovery.config)
    }

    fn read(config: &str) -> Result<Self, Error> {
        serde_json::from_str(config).map_err(|error| Error::Invalid(format!("parameters: {error}")))
    }

    /// Oldest that the newest recovery point may be, in milliseconds.
    pub(crate) fn max_backup_age_ms(&self, recovery: &Recovery) -> u64 {
        self.max_backup_age_ms.unwrap_or(recovery.rpo_target_ms)
    }
}

/// True where the site that waits follows by replication.
pub(crate) fn follows(recovery: &Recovery) -> bool {
    Standby::of(recovery).is_ok_and(|own| own.data == Data::Replica)
}

/// True where it waits for a restore.
pub(crate) fn restores(recovery: &Recovery) -> bool {
    !follows(recovery)
}

/// The JSON Schema of the parameters.
pub(crate) fn schema() -> String {
    parameters::schema(
        "Parameters of the strategy standby",
        r#""data":{"enum":["replica","recovery-points"],"default":"replica","description":"Where the data of `to` comes from"},
"standby-replicas":{"type":"integer","minimum":0,"maximum":10000,"default":0,"description":"Replicas that wait at `to`: 0 cold, 1 warm"},
"max-backup-age-ms":{"type":"integer","minimum":1,"description":"Oldest that the newest recovery point may be [default: the recovery point objective]"},
"reserved-address":{"type":"string","description":"Address that the name of `to` holds as long as nothing else is known"},"#,
    )
}

/// What the schema cannot say, one line per problem.
pub(crate) fn validate(config: &str) -> Result<(), Vec<String>> {
    let parameters = Parameters::read(config).map_err(|error| vec![fault::say(&error)])?;
    let own = Standby::read(config).map_err(|error| vec![fault::say(&error)])?;
    let mut problems = parameters.problems();
    if own.data == Data::RecoveryPoints && own.standby_replicas > 0 {
        problems.push(format!(
            "`standby-replicas` is {}, and with `data = \"recovery-points\"` there is no database that they could reach: use 0",
            own.standby_replicas
        ));
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(own: &str) -> String {
        format!(
            r#"{{{own}"from":"pz","to":"bz","database":"d","app":"a","replicas":2,
            "records":{{"active":"wp-active.example.test","targets":{{"pz":"wp-pz.example.test","bz":"wp-bz.example.test"}}}},
            "certificate":{{"name":"c","issuer":"i","dns-names":["*.example.test"]}},"journeys":["front-page"]}}"#
        )
    }

    #[test]
    fn a_warm_application_needs_a_database_that_is_there() {
        assert_eq!(validate(&config(r#""standby-replicas":1,"#)), Ok(()));
        assert_eq!(validate(&config(r#""data":"recovery-points","#)), Ok(()));
        let warm = r#""data":"recovery-points","standby-replicas":1,"#;
        let problems = validate(&config(warm)).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(validate(&config(r#""reserved-address":"wp","#)).is_err());
    }

    #[test]
    fn the_schema_and_the_type_have_the_same_defaults() {
        let schema: serde_json::Value = serde_json::from_str(&schema()).unwrap();
        let defaults: serde_json::Map<_, _> = ["data", "standby-replicas"]
            .map(|name| {
                let default = schema["properties"][name]["default"].clone();
                (name.to_owned(), default)
            })
            .into_iter()
            .collect();
        let told = Standby::read(&serde_json::Value::Object(defaults).to_string()).unwrap();
        assert_eq!(
            format!("{told:?}"),
            format!("{:?}", Standby::read("{}").unwrap())
        );
    }
}
