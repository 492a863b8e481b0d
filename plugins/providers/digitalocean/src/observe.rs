//! Looking at the database of a site: the API says what it is, SQL how it stands.

use understudy_sdk::host::understudy::types::types::{Error, RetryHint};
use understudy_sdk::mysql::Sql;

use crate::cluster::{Cloud, Found, Replica};
use crate::exports::understudy::database::database::{Observation, Replication, Role};
use crate::server::{self, Server};

/// See `observe`.
pub(crate) fn observe(
    cloud: &Cloud<'_>,
    sql: &impl Sql,
    site: &str,
    database: &str,
) -> Result<Observation, Error> {
    let config = cloud.config;
    let schema = config.schema(database)?;
    let found = cloud.look(site)?;
    let server = match (&found, config.connection(site)) {
        (Found::Absent, _) | (_, None) => None,
        (_, Some(connection)) => {
            Some(server::look(sql, connection, schema).map_err(|error| with_ca(&found, error))?)
        }
    };
    let has_schema = server.as_ref().is_none_or(|server| server.has_schema);
    let of_server = |flag: fn(&Server) -> bool| server.as_ref().is_some_and(flag);
    let tls = of_server(|server| server.tls);
    let position = server
        .as_ref()
        .map(|server| server.position.clone())
        .unwrap_or_default();
    match found {
        Found::Cluster(cluster) if has_schema => {
            cluster.online()?;
            let closed = cloud.is_closed(config.spec(site)?, &cluster)?;
            Ok(Observation {
                role: Role::Primary,
                read_only: closed || of_server(|server| server.read_only),
                endpoint: cluster.endpoint(config.endpoint),
                tls,
                position,
                replication: None,
            })
        }
        Found::Replica { of, replica } if has_schema => Ok(Observation {
            role: Role::Replica,
            read_only: true,
            endpoint: replica.endpoint(config.endpoint),
            tls,
            position,
            replication: Some(replication(&of.name, &replica, server)),
        }),
        _ => Ok(Observation {
            role: Role::Absent,
            read_only: true,
            endpoint: String::new(),
            tls,
            position,
            replication: None,
        }),
    }
}

/// How a replica stands: by SQL, and by its status where that is not a good one.
fn replication(of: &str, replica: &Replica, server: Option<Server>) -> Replication {
    let seen = server.and_then(|server| server.replication);
    let status = if replica.is_online() {
        String::new()
    } else {
        format!("the replica is {}", replica.status)
    };
    match seen {
        Some(seen) => Replication {
            source: seen.source,
            running: replica.is_online() && seen.receiving && seen.applying,
            lag_ms: seen
                .seconds_behind
                .map(|seconds| seconds.saturating_mul(1000)),
            last_applied_at_ms: None,
            received: seen.received,
            problem: [status, seen.problem]
                .into_iter()
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>()
                .join("; "),
        },
        None => Replication {
            source: of.to_owned(),
            running: replica.is_online(),
            lag_ms: None,
            last_applied_at_ms: None,
            received: String::new(),
            problem: status,
        },
    }
}

/// Where TLS did not verify, says where the right CA is: a restored cluster can have another one.
fn with_ca(found: &Found, error: Error) -> Error {
    let cluster = match found {
        Found::Cluster(cluster) => cluster,
        Found::Replica { of, .. } => of,
        Found::Absent => return error,
    };
    match error {
        Error::Unavailable(hint) if hint.reason.contains("did not verify") => {
            Error::Unavailable(RetryHint {
                reason: format!(
                    "{} (the CA of {} is at GET /v2{}/ca)",
                    hint.reason,
                    cluster.name,
                    cluster.path()
                ),
                ..hint
            })
        }
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::Api;
    use crate::api::tests::Script;
    use crate::cluster::tests::{PZ, cluster, listed};
    use crate::config::example;
    use crate::server::tests::Mysql;

    fn script(clusters: &[Value], rules: &Value, status: &str) -> Script {
        Script::default()
            .with("GET", "/databases", 200, listed(clusters))
            .with(
                "GET",
                &format!("/databases/{PZ}/firewall"),
                200,
                json!({ "rules": rules }),
            )
            .with(
                "GET",
                &format!("/databases/{PZ}/replicas"),
                200,
                json!({ "replicas": [
                { "name": "wordpress-bz", "status": status,
                  "private_connection": { "host": "private-bz.test", "port": 25060 } }] }),
            )
    }

    fn seen(script: &Script, mysql: &Mysql, site: &str) -> Result<Observation, Error> {
        let config = example();
        let cloud = Cloud {
            api: Api::new(script, &config),
            config: &config,
        };
        observe(&cloud, mysql, site, "wordpress")
    }

    #[test]
    fn a_primary_is_read_only_where_either_fence_holds() {
        let open = json!([{ "type": "tag", "value": "open" }]);
        let closed = json!(example().spec("pz").unwrap().fence_sources);
        for (rules, read_only, expected) in [
            (&open, false, false),
            (&open, true, true),
            (&closed, false, true),
        ] {
            let mysql = Mysql::default();
            mysql.read_only.replace(read_only);
            let found = seen(
                &script(&[cluster("pz", "online")], rules, "online"),
                &mysql,
                "pz",
            )
            .unwrap();
            assert_eq!((found.role, found.read_only), (Role::Primary, expected));
            assert!(found.tls && found.position.starts_with("a:1"));
        }
    }

    #[test]
    fn a_cluster_that_is_being_made_is_unavailable() {
        let script = script(&[cluster("pz", "forking")], &json!([]), "online");
        assert!(
            matches!(seen(&script, &Mysql::default(), "pz"), Err(Error::Unavailable(hint))
            if hint.reason.contains("is forking"))
        );
    }

    #[test]
    fn a_replica_runs_where_the_vendor_and_the_server_say_so() {
        let look = |status: &str, replication| {
            let mysql = Mysql {
                replication,
                ..Mysql::default()
            };
            let script = script(&[cluster("pz", "online")], &json!([]), status);
            let found = seen(&script, &mysql, "bz").unwrap();
            assert_eq!(
                (found.role, found.endpoint.as_str()),
                (Role::Replica, "private-bz.test:25060")
            );
            found.replication.unwrap()
        };
        let well = look("online", Some((true, Some(2))));
        assert!(well.running && well.lag_ms == Some(2000) && well.problem.is_empty());
        let resizing = look("resizing", Some((true, Some(2))));
        assert!(!resizing.running && resizing.problem.contains("resizing"));
        assert!(!look("online", Some((false, None))).running);
        let blind = look("online", None);
        assert_eq!(
            (blind.source.as_str(), blind.lag_ms),
            ("wordpress-pz", None)
        );
    }

    #[test]
    fn nothing_is_absent_and_a_dead_server_unavailable() {
        let none = script(&[], &json!([]), "online");
        assert_eq!(
            seen(&none, &Mysql::default(), "bz").unwrap().role,
            Role::Absent
        );
        let dead = Mysql {
            unreachable: true,
            ..Mysql::default()
        };
        let pz = script(&[cluster("pz", "online")], &json!([]), "online");
        assert!(matches!(seen(&pz, &dead, "pz"), Err(Error::Unavailable(_))));
    }
}
