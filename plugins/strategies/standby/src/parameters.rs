//! What the strategy is told: what every strategy is told, and how the site that waits is to wait.

use std::net::IpAddr;

use serde::Deserialize;
use understudy_recovery::Error;
use understudy_recovery::fault;
use understudy_recovery::parameters::{self, Parameters, Pods};
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
    /// What its cluster must have; not looked at where this names nothing.
    pub(crate) cluster: Cluster,
    /// Infrastructure as code that makes the site, in the order in which it is applied.
    pub(crate) stacks: Vec<String>,
    /// What monitoring must measure and of what it must tell people.
    pub(crate) monitoring: Vec<Watched>,
    /// Secrets and ConfigMaps that hold what those of the site that serves hold.
    pub(crate) mirrored: Vec<Mirrored>,
}

/// What the cluster of the site that waits must have. Whatever it is, every node is Ready and none is short of anything.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct Cluster {
    /// Fewest nodes.
    pub(crate) min_nodes: usize,
    /// Most nodes; 0 for as many as there are.
    pub(crate) max_nodes: usize,
    /// Namespaces that must be there.
    pub(crate) namespaces: Vec<String>,
    /// Pods that must be there and ready.
    pub(crate) pods: Vec<Pods>,
    /// Its ranges of addresses overlap with none of the other site's cluster.
    pub(crate) networks_apart: bool,
}

/// Monitoring of a site.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Watched {
    pub(crate) site: String,
    /// What it must measure, by name.
    #[serde(default)]
    pub(crate) jobs: Vec<String>,
    /// Rules that must be there and work, by name.
    #[serde(default)]
    pub(crate) alerts: Vec<String>,
}

/// A Secret or ConfigMap that is the same at both sites: one of the two is named.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Mirrored {
    pub(crate) namespace: String,
    #[serde(default)]
    pub(crate) secret: Option<String>,
    #[serde(default)]
    pub(crate) config_map: Option<String>,
    /// Keys that each site has a value of its own for.
    #[serde(default)]
    pub(crate) differs: Vec<String>,
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

impl Cluster {
    /// True where it names anything.
    fn is_named(&self) -> bool {
        self.min_nodes > 0
            || self.max_nodes > 0
            || !self.namespaces.is_empty()
            || !self.pods.is_empty()
            || self.networks_apart
    }
}

/// True where the site that waits follows by replication.
pub(crate) fn follows(recovery: &Recovery) -> bool {
    Standby::of(recovery).is_ok_and(|own| own.data == Data::Replica)
}

/// True where the cluster of the site that waits is looked at.
pub(crate) fn has_cluster(recovery: &Recovery) -> bool {
    Standby::of(recovery).is_ok_and(|own| own.cluster.is_named())
}

/// True where the site is made of infrastructure as code.
pub(crate) fn has_stacks(recovery: &Recovery) -> bool {
    Standby::of(recovery).is_ok_and(|own| !own.stacks.is_empty())
}

/// True where monitoring is looked at.
pub(crate) fn is_monitored(recovery: &Recovery) -> bool {
    Standby::of(recovery).is_ok_and(|own| !own.monitoring.is_empty())
}

/// True where Secrets or ConfigMaps of both sites are compared.
pub(crate) fn mirrors(recovery: &Recovery) -> bool {
    Standby::of(recovery).is_ok_and(|own| !own.mirrored.is_empty())
}

/// True where objects of clusters are looked at.
pub(crate) fn looks_at_clusters(recovery: &Recovery) -> bool {
    has_cluster(recovery) || mirrors(recovery)
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
"cluster":{"type":"object","additionalProperties":false,"default":{},"description":"What the cluster of `to` must have, beside nodes that are all Ready; not looked at where it names nothing","properties":{
"min-nodes":{"type":"integer","minimum":0,"maximum":500,"default":0},
"max-nodes":{"type":"integer","minimum":0,"maximum":500,"default":0,"description":"0 for as many as there are"},
"namespaces":{"type":"array","items":{"type":"string","minLength":1},"default":[]},
"pods":{"type":"array","default":[],"description":"Pods of the platform that must be there and Ready","items":{"type":"object","additionalProperties":false,"required":["namespace"],"properties":{
"namespace":{"type":"string","minLength":1},"selector":{"type":"string","default":"","description":"Label selector; empty for all of the namespace"}}}},
"networks-apart":{"type":"boolean","default":false,"description":"Ranges of pods and Services, as far as both clusters tell them, overlap with none of `from`"}}},
"stacks":{"type":"array","items":{"type":"string","minLength":1},"uniqueItems":true,"default":[],"description":"Infrastructure as code that makes `to`, in the order in which it is applied; the incident commander is asked before anything is replaced or destroyed"},
"monitoring":{"type":"array","default":[],"description":"What monitoring must measure, and which rules must be there to tell people","items":{"type":"object","additionalProperties":false,"required":["site"],"properties":{
"site":{"type":"string","minLength":1,"description":"Whose monitoring: `from` or `to`"},
"jobs":{"type":"array","items":{"type":"string","minLength":1},"default":[],"description":"Of each of these some target is up and none is down"},
"alerts":{"type":"array","items":{"type":"string","minLength":1},"default":[],"description":"Each of these rules is there and works"}}}},
"mirrored":{"type":"array","default":[],"description":"Secrets and ConfigMaps of `to` that hold what those of `from` hold; nobody is shown a value","items":{"type":"object","additionalProperties":false,"required":["namespace"],"oneOf":[{"required":["secret"]},{"required":["config-map"]}],"properties":{
"namespace":{"type":"string","minLength":1},"secret":{"type":"string","minLength":1},"config-map":{"type":"string","minLength":1},
"differs":{"type":"array","items":{"type":"string","minLength":1},"default":[],"description":"Keys that must be there and for which each site has a value of its own"}}}},
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
    let (least, most) = (own.cluster.min_nodes, own.cluster.max_nodes);
    if most > 0 && most < least {
        problems.push(format!(
            "`cluster.max-nodes` ({most}) is below `cluster.min-nodes` ({least})"
        ));
    }
    for watched in &own.monitoring {
        let site = &watched.site;
        if ![&parameters.from, &parameters.to].contains(&site) {
            problems.push(format!(
                "`monitoring` is of site `{site}`, which is neither `from` nor `to`"
            ));
        }
        if watched.jobs.is_empty() && watched.alerts.is_empty() {
            problems.push(format!(
                "`monitoring` of site `{site}` names neither `jobs` nor `alerts`"
            ));
        }
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
    fn a_cluster_is_looked_at_where_anything_is_named() {
        let named = |own: &str| Standby::read(own).unwrap().cluster.is_named();
        let emptied = r#"{"cluster":{"min-nodes":0,"max-nodes":0,"namespaces":[],"pods":[]}}"#;
        assert!(!named("{}") && !named(emptied));
        for one in [
            r#""min-nodes":1"#,
            r#""max-nodes":1"#,
            r#""namespaces":["app"]"#,
            r#""pods":[{"namespace":"app"}]"#,
            r#""networks-apart":true"#,
        ] {
            assert!(named(&format!(r#"{{"cluster":{{{one}}}}}"#)), "{one}");
        }
        let turned = r#""cluster":{"min-nodes":3,"max-nodes":2},"#;
        assert_eq!(validate(&config(turned)).unwrap_err().len(), 1);
    }

    #[test]
    fn monitoring_is_that_of_one_of_the_sites_and_says_what_for() {
        let of = |one: &str| validate(&config(&format!(r#""monitoring":[{one}],"#)));
        assert_eq!(of(r#"{"site":"bz","jobs":["node"]}"#), Ok(()));
        assert_eq!(
            of(r#"{"site":"xz","alerts":["Old"]}"#).unwrap_err().len(),
            1
        );
        assert_eq!(of(r#"{"site":"pz"}"#).unwrap_err().len(), 1);
    }

    #[test]
    fn the_schema_and_the_type_have_the_same_defaults() {
        let schema: serde_json::Value = serde_json::from_str(&schema()).unwrap();
        let defaults: serde_json::Map<_, _> = [
            "data",
            "standby-replicas",
            "cluster",
            "stacks",
            "monitoring",
            "mirrored",
        ]
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
