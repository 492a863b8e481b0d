//! Making a replica at a site, and making the writer out of one.

use serde_json::json;
use understudy_sdk::host::understudy::types::types::{Error, Outcome};
use understudy_sdk::mysql::Sql;

use crate::cluster::{Cloud, Found};
use crate::fence::{accepts_writes, open};
use crate::server::look;

/// See `ensure-promoted`.
pub(crate) fn ensure_promoted(
    cloud: &Cloud<'_>,
    sql: &impl Sql,
    site: &str,
    database: &str,
) -> Result<Outcome, Error> {
    let spec = cloud.config.spec(site)?;
    let schema = cloud.config.schema(database)?;
    match cloud.look(site)? {
        Found::Absent => Err(Error::NotFound(format!(
            "neither cluster nor replica {} at {site}",
            spec.name
        ))),
        Found::Cluster(cluster) if !cluster.is_online() => {
            Ok(cloud.waiting("promote", &spec.name, "not online yet"))
        }
        Found::Cluster(cluster) => {
            has_schema(cloud, sql, site, schema)?;
            if !accepts_writes(cloud, sql, site, &cluster, schema)? {
                others_are_fenced(cloud, sql, site, schema)?;
            }
            open(cloud, sql, site, &cluster, schema)
        }
        Found::Replica { of, replica } => {
            // One that is being promoted is not online; one that is being made cannot be.
            if replica.is_online() {
                has_schema(cloud, sql, site, schema)?;
                others_are_fenced(cloud, sql, site, schema)?;
                let path = format!("{}/promote", replica.path(&of));
                cloud.api.change("PUT", &path, None)?;
                return Ok(cloud.waiting("promote", &spec.name, "being promoted"));
            }
            Ok(cloud.waiting("promote", &spec.name, &replica.status))
        }
    }
}

/// Refuses where the server is known not to have the database. One that cannot be reached is not known to.
fn has_schema(cloud: &Cloud<'_>, sql: &impl Sql, site: &str, schema: &str) -> Result<(), Error> {
    let Some(connection) = cloud.config.connection(site) else {
        return Ok(());
    };
    match look(sql, connection, schema) {
        Ok(server) if !server.has_schema => Err(Error::NotFound(format!(
            "no schema `{schema}` at {site}; name the database's under `schemas`"
        ))),
        Err(Error::Denied(denial)) => Err(Error::Denied(denial)),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Refuses where another site is known to accept writes.
fn others_are_fenced(
    cloud: &Cloud<'_>,
    sql: &impl Sql,
    site: &str,
    schema: &str,
) -> Result<(), Error> {
    for (other, cluster) in cloud.clusters()? {
        if other != site && accepts_writes(cloud, sql, &other, &cluster, schema)? {
            return Err(Error::Conflict(format!(
                "{other} accepts writes; fence it before {site} is promoted"
            )));
        }
    }
    Ok(())
}

/// See `ensure-replica-of`.
pub(crate) fn ensure_replica_of(
    cloud: &Cloud<'_>,
    site: &str,
    source: &str,
) -> Result<Outcome, Error> {
    let (spec, from) = (cloud.config.spec(site)?, cloud.config.spec(source)?);
    if site == source {
        return Err(Error::Invalid(format!(
            "{site} cannot be a replica of itself"
        )));
    }
    let of = match cloud.look(source)? {
        Found::Cluster(cluster) => cluster,
        Found::Replica { of, .. } => {
            return Err(Error::Conflict(format!(
                "{source} is a replica of {} itself, and only a cluster has replicas: promote {source} first",
                of.name
            )));
        }
        Found::Absent => {
            return Err(Error::NotFound(format!(
                "no cluster {} at {source} to make a replica of",
                from.name
            )));
        }
    };
    of.online()?;
    match cloud.look(site)? {
        Found::Replica { of: now, replica } if now.id == of.id => Ok(if replica.is_online() {
            Outcome::Unchanged
        } else {
            cloud.waiting("replica", &spec.name, &replica.status)
        }),
        Found::Absent => {
            let mut body = json!({ "name": spec.name, "region": spec.region, "size": spec.size });
            if let (Some(network), Some(fields)) = (&spec.private_network, body.as_object_mut()) {
                fields.insert("private_network_uuid".to_owned(), network.as_str().into());
            }
            let path = format!("{}/replicas", of.path());
            cloud.api.change("POST", &path, Some(&body))?;
            Ok(cloud.waiting("replica", &spec.name, "being made"))
        }
        found => cloud.destroy(site, &found),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::api::Api;
    use crate::api::tests::Script;
    use crate::cluster::tests::{BZ, PZ, cluster, listed};
    use crate::config::example;
    use crate::server::tests::Mysql;

    fn replicas(status: &str) -> Value {
        json!({ "replicas": [{ "name": "wordpress-bz", "status": status }] })
    }

    fn script(replica: Value) -> Script {
        let (one, all) = (
            format!("/databases/{PZ}/firewall"),
            format!("/databases/{PZ}/replicas"),
        );
        let fenced = json!({ "rules": example().spec("pz").unwrap().fence_sources });
        Script::default()
            .with("GET", "/databases", 200, listed(&[cluster("pz", "online")]))
            .with("GET", &one, 200, fenced)
            .with("GET", &all, 200, replica)
            .with(
                "PUT",
                &format!("{all}/wordpress-bz/promote"),
                204,
                Value::Null,
            )
            .with("POST", &all, 201, json!({}))
    }

    fn promote(script: &Script) -> Result<Outcome, Error> {
        let config = example();
        let cloud = Cloud {
            api: Api::new(script, &config),
            config: &config,
        };
        ensure_promoted(&cloud, &Mysql::default(), "bz", "wordpress")
    }

    #[test]
    fn a_replica_is_promoted_once_it_is_online_and_not_while_it_is_on_its_way() {
        for (status, sent) in [("online", 1), ("forking", 0), ("migrating", 0)] {
            let script = script(replicas(status));
            assert!(
                matches!(promote(&script), Ok(Outcome::InProgress(_))),
                "{status}"
            );
            assert_eq!(script.changes().len(), sent, "{status}");
        }
        assert!(matches!(
            promote(&script(json!({ "replicas": [] }))),
            Err(Error::NotFound(_))
        ));
    }

    #[test]
    fn nothing_is_promoted_beside_a_writer() {
        let open = Script::default()
            .with("GET", "/databases", 200, listed(&[cluster("pz", "online")]))
            .with(
                "GET",
                &format!("/databases/{PZ}/firewall"),
                200,
                json!({ "rules": [] }),
            )
            .with(
                "GET",
                &format!("/databases/{PZ}/replicas"),
                200,
                replicas("online"),
            );
        let refused = promote(&open);
        assert!(
            matches!(&refused, Err(Error::Conflict(text)) if text.contains("pz accepts writes")),
            "{refused:?}"
        );
        assert_eq!(open.changes(), Vec::<String>::new());
    }

    #[test]
    fn a_replica_is_made_where_there_is_nothing_and_found_where_there_is_one() {
        let config = example();
        let make = |script: &Script| {
            let cloud = Cloud {
                api: Api::new(script, &config),
                config: &config,
            };
            ensure_replica_of(&cloud, "bz", "pz")
        };
        let none = script(json!({ "replicas": [] }));
        assert!(matches!(make(&none), Ok(Outcome::InProgress(_))));
        assert_eq!(none.changes(), [format!("POST /databases/{PZ}/replicas")]);
        let forking = script(replicas("forking"));
        assert!(matches!(make(&forking), Ok(Outcome::InProgress(_))));
        let online = script(replicas("online"));
        assert!(matches!(make(&online), Ok(Outcome::Unchanged)));
        assert_eq!(forking.changes().len() + online.changes().len(), 0);
    }

    #[test]
    fn a_writer_is_never_destroyed_for_a_replica() {
        let config = example();
        let clusters = [cluster("pz", "online"), cluster("bz", "online")];
        let script = Script::default()
            .with("GET", "/databases", 200, listed(&clusters))
            .with(
                "GET",
                &format!("/databases/{BZ}/firewall"),
                200,
                json!({ "rules": [] }),
            );
        let cloud = Cloud {
            api: Api::new(&script, &config),
            config: &config,
        };
        let refused = ensure_replica_of(&cloud, "bz", "pz");
        assert!(
            matches!(&refused, Err(Error::Conflict(text)) if text.contains("fence it first")),
            "{refused:?}"
        );
        assert_eq!(script.changes(), Vec::<String>::new());
    }
}
