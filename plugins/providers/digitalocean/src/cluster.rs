//! What there is at a site: a cluster, a replica of another site's cluster, or nothing.
//!
//! Everything is found by name, so a call that is repeated finds what an earlier one made. Start at [`Cloud::look`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;
use understudy_sdk::host::understudy::types::types::{Error, Outcome, RetryHint};
use understudy_sdk::provider::in_progress;

use crate::api::Api;
use crate::config::{Config, Endpoint, Spec};

/// The only engine that this provider understands.
pub(crate) const ENGINE: &str = "mysql";

/// A cluster as the API has it. Credentials are not read.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Cluster {
    pub(crate) id: String,
    pub(crate) name: String,
    engine: String,
    region: String,
    status: String,
    #[serde(default)]
    tags: Option<Vec<String>>,
    #[serde(default)]
    connection: Option<Address>,
    #[serde(default)]
    private_connection: Option<Address>,
}

/// A read-only replica as the API has it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Replica {
    name: String,
    pub(crate) status: String,
    #[serde(default)]
    connection: Option<Address>,
    #[serde(default)]
    private_connection: Option<Address>,
}

#[derive(Debug, Clone, Deserialize)]
struct Address {
    #[serde(default)]
    host: String,
    #[serde(default)]
    port: u16,
}

/// Somebody who may connect: a trusted source, as the API calls it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Source {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) value: String,
}

/// What a site has.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    Absent,
    Cluster(Cluster),
    Replica {
        /// The cluster it follows.
        of: Cluster,
        replica: Replica,
    },
}

/// The account, seen through the configuration.
#[derive(Clone, Copy)]
pub(crate) struct Cloud<'a> {
    pub(crate) api: Api<'a>,
    pub(crate) config: &'a Config,
}

#[derive(Deserialize)]
struct Clusters {
    #[serde(default)]
    databases: Vec<Cluster>,
}

#[derive(Deserialize)]
struct Replicas {
    #[serde(default)]
    replicas: Vec<Replica>,
}

#[derive(Deserialize)]
struct Rules {
    #[serde(default)]
    rules: Vec<Source>,
}

impl Cluster {
    /// Path below `/v2`.
    pub(crate) fn path(&self) -> String {
        format!("/databases/{}", self.id)
    }

    pub(crate) fn is_online(&self) -> bool {
        self.status == "online"
    }

    pub(crate) fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().flatten().any(|known| known == tag)
    }

    /// `unavailable` while it is being made or moved.
    pub(crate) fn online(&self) -> Result<(), Error> {
        if self.is_online() {
            return Ok(());
        }
        Err(Error::Unavailable(RetryHint {
            reason: format!("cluster {} is {}", self.name, self.status),
            after_ms: None,
        }))
    }

    /// `host:port` for the application.
    pub(crate) fn endpoint(&self, which: Endpoint) -> String {
        endpoint(
            which,
            self.private_connection.as_ref(),
            self.connection.as_ref(),
        )
    }
}

impl Replica {
    /// The document calls it online, the text beside it active.
    pub(crate) fn is_online(&self) -> bool {
        matches!(self.status.as_str(), "online" | "active")
    }

    /// `host:port` for the application.
    pub(crate) fn endpoint(&self, which: Endpoint) -> String {
        endpoint(
            which,
            self.private_connection.as_ref(),
            self.connection.as_ref(),
        )
    }

    /// Path below `/v2`.
    pub(crate) fn path(&self, of: &Cluster) -> String {
        format!("{}/replicas/{}", of.path(), self.name)
    }
}

fn endpoint(which: Endpoint, private: Option<&Address>, public: Option<&Address>) -> String {
    let wanted = match which {
        Endpoint::Private => private,
        Endpoint::Public => public,
    };
    wanted
        .filter(|address| !address.host.is_empty())
        .map(|address| format!("{}:{}", address.host, address.port))
        .unwrap_or_default()
}

impl Source {
    /// True where both let the same in.
    pub(crate) fn are_same(one: &[Self], other: &[Self]) -> bool {
        let sorted = |sources: &[Self]| {
            let mut sources = sources.to_vec();
            sources.sort();
            sources.dedup();
            sources
        };
        sorted(one) == sorted(other)
    }
}

impl Cloud<'_> {
    /// The clusters of the configuration's names, by site.
    pub(crate) fn clusters(&self) -> Result<BTreeMap<String, Cluster>, Error> {
        let all: Clusters = self.api.get("/databases")?;
        let mut found = BTreeMap::new();
        for (site, spec) in &self.config.clusters {
            let mut named = all
                .databases
                .iter()
                .filter(|cluster| cluster.name == spec.name);
            let Some(cluster) = named.next() else {
                continue;
            };
            if named.next().is_some() {
                return Err(Error::Conflict(format!(
                    "there are several clusters called {}: rename those that are not meant",
                    spec.name
                )));
            }
            if (cluster.engine.as_str(), cluster.region.as_str()) != (ENGINE, &spec.region) {
                return Err(Error::Conflict(format!(
                    "cluster {} is {} in {}, expected {ENGINE} in {}",
                    spec.name, cluster.engine, cluster.region, spec.region
                )));
            }
            found.insert(site.clone(), cluster.clone());
        }
        Ok(found)
    }

    /// What there is at a site.
    pub(crate) fn look(&self, site: &str) -> Result<Found, Error> {
        let spec = self.config.spec(site)?;
        let mut clusters = self.clusters()?;
        if let Some(cluster) = clusters.remove(site) {
            return Ok(Found::Cluster(cluster));
        }
        for of in clusters.into_values() {
            let all: Replicas = self.api.get(&format!("{}/replicas", of.path()))?;
            let mut replicas = all.replicas.into_iter();
            if let Some(replica) = replicas.find(|replica| replica.name == spec.name) {
                return Ok(Found::Replica { of, replica });
            }
        }
        Ok(Found::Absent)
    }

    /// Who may connect to a cluster.
    pub(crate) fn sources(&self, cluster: &Cluster) -> Result<Vec<Source>, Error> {
        let rules: Rules = self.api.get(&format!("{}/firewall", cluster.path()))?;
        Ok(rules.rules)
    }

    /// True where nobody but the fence's own sources may connect.
    pub(crate) fn is_closed(&self, spec: &Spec, cluster: &Cluster) -> Result<bool, Error> {
        Ok(Source::are_same(
            &self.sources(cluster)?,
            &spec.fence_sources,
        ))
    }

    /// Lets these connect and nobody else; answers whether that was a change.
    pub(crate) fn let_in(&self, cluster: &Cluster, sources: &[Source]) -> Result<bool, Error> {
        if Source::are_same(&self.sources(cluster)?, sources) {
            return Ok(false);
        }
        let path = format!("{}/firewall", cluster.path());
        self.api
            .change("PUT", &path, Some(&json!({ "rules": sources })))?;
        if Source::are_same(&self.sources(cluster)?, sources) {
            return Ok(true);
        }
        Err(Error::Conflict(format!(
            "the trusted sources of {} were set and are others right after: somebody else changes them",
            cluster.name
        )))
    }

    /// Work in progress at a site.
    pub(crate) fn waiting(&self, what: &str, name: &str, status: &str) -> Outcome {
        in_progress(
            format!("{what} {name}"),
            format!("{name} is {status}"),
            self.config.poll_after_ms,
        )
    }

    /// Destroys what is in the way of something new at a site.
    ///
    /// # Errors
    /// `conflict`: it accepts writes, or the configuration keeps it.
    pub(crate) fn destroy(&self, site: &str, found: &Found) -> Result<Outcome, Error> {
        let spec = self.config.spec(site)?;
        let path = match found {
            Found::Absent => return Ok(Outcome::Unchanged),
            Found::Cluster(cluster) => {
                if !self.is_closed(spec, cluster)? {
                    return Err(Error::Conflict(format!(
                        "{site} accepts writes: its cluster {} is not fenced; fence it first",
                        spec.name
                    )));
                }
                cluster.path()
            }
            Found::Replica { of, replica } => replica.path(of),
        };
        if !self.config.may_destroy {
            return Err(Error::Conflict(format!(
                "{} at {site} is in the way, and a new one cannot have its name: destroy it by hand, or allow it by \
                 `may-destroy` (a cluster's backups go with it)",
                spec.name
            )));
        }
        match self.api.change("DELETE", &path, None) {
            // Gone already.
            Ok(()) | Err(Error::NotFound(_)) => {
                Ok(self.waiting("replace", &spec.name, "being destroyed"))
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::Value;

    use super::*;
    use crate::api::tests::Script;
    use crate::config::example;

    pub(crate) const PZ: &str = "11111111-1111-4111-8111-111111111111";
    pub(crate) const BZ: &str = "22222222-2222-4222-8222-222222222222";

    /// A cluster of the example's name.
    pub(crate) fn cluster(site: &str, status: &str) -> Value {
        let (id, region) = if site == "pz" {
            (PZ, "fra1")
        } else {
            (BZ, "ams3")
        };
        json!({ "id": id, "name": format!("wordpress-{site}"), "engine": "mysql", "region": region, "status": status,
            "connection": { "host": format!("{site}.test"), "port": 25060, "password": "unread" } })
    }

    pub(crate) fn listed(clusters: &[Value]) -> Value {
        json!({ "databases": clusters })
    }

    fn look(clusters: &[Value], replicas: Value) -> Result<Found, Error> {
        let config = example();
        let script = Script::default()
            .with("GET", "/databases", 200, listed(clusters))
            .with("GET", &format!("/databases/{PZ}/replicas"), 200, replicas);
        let api = Api::new(&script, &config);
        Cloud {
            api,
            config: &config,
        }
        .look("bz")
    }

    #[test]
    fn a_site_has_a_cluster_a_replica_or_nothing() {
        let none = json!({ "replicas": [] });
        let (pz, bz) = (cluster("pz", "online"), cluster("bz", "forking"));
        assert!(
            matches!(look(&[pz.clone(), bz], none.clone()), Ok(Found::Cluster(found))
            if found.id == BZ && !found.is_online() && found.online().is_err())
        );
        assert!(matches!(
            look(std::slice::from_ref(&pz), none.clone()),
            Ok(Found::Absent)
        ));
        assert!(matches!(look(&[], none), Ok(Found::Absent)));
        let replicas = json!({ "replicas": [
            { "name": "reports", "status": "online" }, { "name": "wordpress-bz", "status": "active" }] });
        assert!(
            matches!(look(&[pz], replicas), Ok(Found::Replica { of, replica })
            if of.id == PZ && replica.is_online())
        );
    }

    #[test]
    fn a_cluster_in_another_region_or_twice_is_refused() {
        let none = json!({ "replicas": [] });
        let mut elsewhere = cluster("bz", "online");
        elsewhere["region"] = "nyc3".into();
        assert!(
            matches!(look(&[elsewhere], none.clone()), Err(Error::Conflict(text))
            if text.contains("expected mysql in ams3"))
        );
        let twice = [cluster("bz", "online"), cluster("bz", "online")];
        assert!(matches!(look(&twice, none), Err(Error::Conflict(_))));
    }

    #[test]
    fn sources_are_the_same_whatever_their_order() {
        let source = |value: &str| Source {
            kind: "tag".to_owned(),
            value: value.to_owned(),
        };
        let (a, b) = (source("a"), source("b"));
        assert!(Source::are_same(
            &[a.clone(), b.clone()],
            &[b.clone(), a.clone(), a.clone()]
        ));
        assert!(!Source::are_same(
            std::slice::from_ref(&a),
            &[a.clone(), b.clone()]
        ));
        assert!(!Source::are_same(&[], &[b]));
    }

    #[test]
    fn an_endpoint_is_the_configured_one_or_empty() {
        let cluster: Cluster = serde_json::from_value(cluster("pz", "online")).unwrap();
        assert_eq!(cluster.endpoint(Endpoint::Public), "pz.test:25060");
        assert_eq!(cluster.endpoint(Endpoint::Private), "");
    }
}
