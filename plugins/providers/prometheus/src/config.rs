//! The binding's configuration, and what it says of an objective at a site. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::provider::base_address;

/// JSON Schema of [`Config`], as `describe` answers it.
pub(crate) const SCHEMA: &str = include_str!("config.schema.json");

/// Stands for the site's name in a query.
const SITE: &str = "${site}";

/// See `config.schema.json` for what each field means.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Config {
    sites: BTreeMap<String, Server>,
    objectives: BTreeMap<String, Declared>,
    #[serde(default = "resolution_ms")]
    pub(crate) resolution_ms: u64,
    #[serde(default = "look_back_ms")]
    pub(crate) look_back_ms: u64,
}

/// A site's monitoring.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Server {
    pub(crate) server: String,
    #[serde(default)]
    pub(crate) credential: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Declared {
    query: String,
    #[serde(default)]
    outage_query: Option<String>,
    threshold: f64,
    unit: String,
    #[serde(default)]
    over_ms: u64,
    #[serde(default)]
    met: Met,
    #[serde(default)]
    sites: BTreeMap<String, Different>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Different {
    #[serde(default)]
    query: Option<String>,
    #[serde(default)]
    outage_query: Option<String>,
    #[serde(default)]
    threshold: Option<f64>,
}

/// On which side of the threshold a number has to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Met {
    /// There or below.
    #[default]
    AtMost,
    /// There or above.
    AtLeast,
}

/// An objective at a site.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Objective {
    pub(crate) name: String,
    pub(crate) query: String,
    pub(crate) outage_query: Option<String>,
    pub(crate) threshold: f64,
    pub(crate) unit: String,
    /// How much of the past the query's number is of.
    pub(crate) over_ms: u64,
    pub(crate) met: Met,
}

impl Config {
    /// Reads the configuration.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut config: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        for server in config.sites.values_mut() {
            server.server = base_address(std::mem::take(&mut server.server));
        }
        for (name, objective) in &config.objectives {
            if let Some(site) = objective
                .sites
                .keys()
                .find(|site| !config.sites.contains_key(*site))
            {
                return Err(format!(
                    "objective `{name}` has an entry for site `{site}`, which has no server"
                ));
            }
        }
        Ok(config)
    }

    /// The site's server.
    pub(crate) fn server(&self, site: &str) -> Result<&Server, Error> {
        self.sites.get(site).ok_or_else(|| {
            Error::Invalid(format!(
                "no entry for site `{site}` under `sites` of the prometheus binding"
            ))
        })
    }

    /// The objective as it is at the site.
    pub(crate) fn objective(&self, site: &str, name: &str) -> Result<Objective, Error> {
        let declared = self.objectives.get(name).ok_or_else(|| {
            Error::NotFound(format!(
                "no objective `{name}` under `objectives` of the prometheus binding"
            ))
        })?;
        let here = declared.sites.get(site).cloned().unwrap_or_default();
        let at = |query: String| query.replace(SITE, site);
        let outage_query = here.outage_query.or_else(|| declared.outage_query.clone());
        Ok(Objective {
            name: name.to_owned(),
            query: at(here.query.unwrap_or_else(|| declared.query.clone())),
            outage_query: outage_query.map(at),
            threshold: here.threshold.unwrap_or(declared.threshold),
            unit: declared.unit.clone(),
            over_ms: declared.over_ms,
            met: declared.met,
        })
    }
}

fn resolution_ms() -> u64 {
    15_000
}

fn look_back_ms() -> u64 {
    86_400_000
}

#[cfg(test)]
pub(crate) fn example() -> Config {
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    Config::parse(&schema["examples"][0].to_string()).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_objective_is_that_of_its_site() {
        let config = example();
        let requests = |site| config.objective(site, "requests").unwrap();
        assert_eq!(
            (requests("pz").threshold, requests("bz").threshold),
            (1.0, 0.5)
        );
        assert!(requests("pz").query.contains(r#"zone="pz""#));
        assert_eq!(requests("bz").met, Met::AtLeast);
        assert_eq!(requests("bz").outage_query, None);
        assert!(
            config
                .objective("pz", "error-rate")
                .unwrap()
                .outage_query
                .is_some()
        );
        assert!(matches!(
            config.objective("pz", "speed"),
            Err(Error::NotFound(_))
        ));
        assert!(matches!(config.server("cz"), Err(Error::Invalid(_))));
        assert_eq!(
            config.server("bz").unwrap().credential.as_deref(),
            Some("bz")
        );
    }

    #[test]
    fn a_site_without_a_server_is_refused() {
        let text = r#"{"sites":{"pz":{"server":"http://p/"}},"objectives":{"a":{"query":"x","threshold":1,"unit":"ms","sites":{"bz":{}}}}}"#;
        assert!(Config::parse(text).unwrap_err().contains("`bz`"));
    }
}
