//! Stopping writes at a site, and letting them in again.
//!
//! Two things make a fence. The trusted sources are closed but for the fence's own: nobody can connect any more, and
//! sessions that are open may go on. Never are they emptied, since without any trusted source the vendor lets everybody
//! in. Over SQL, `super_read_only` refuses every write, and is what can be proved. `super_read_only` does not survive
//! the server's restart, trusted sources do.

use understudy_sdk::host::understudy::types::types::{Error, Outcome};
use understudy_sdk::mysql::Sql;
use understudy_sdk::mysql::fence::{end_writers, prove_refused, switch_on};

use crate::cluster::{Cloud, Cluster, Found};
use crate::server::look;

/// See `ensure-fenced`. Closes the trusted sources whatever SQL says; then SQL has the word, since only it can prove.
pub(crate) fn ensure_fenced(
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
        // The vendor keeps it read-only, and gives nobody a switch for that.
        Found::Replica { replica, .. } => match cloud.config.client_connection(site) {
            Some(client) => prove_refused(sql, client, schema).map(|()| Outcome::Unchanged),
            None if replica.is_online() => Ok(Outcome::Unchanged),
            None => Err(Error::Conflict(format!(
                "replica {} is {}",
                spec.name, replica.status
            ))),
        },
        Found::Cluster(cluster) => {
            // Writes are stopped first, so that a session without an open write loses nothing; a dead server must not
            // keep the door open.
            let stopped = stop_writes(cloud, sql, site, schema);
            let closed = cloud.let_in(&cluster, &spec.fence_sources)?;
            match stopped? {
                Some(Outcome::Unchanged) if closed => Ok(Outcome::Changed),
                Some(outcome) => Ok(outcome),
                None => Err(Error::Conflict(format!(
                    "the trusted sources of {} are closed: nobody new can connect. Sessions that are open may still write, \
                     which cannot be seen without SQL: bind `connections` and `client-connections` for {site}, or have a \
                     person answer for it",
                    cluster.name
                ))),
            }
        }
    }
}

/// Switches writes off over SQL and proves it; none where no connection is bound.
fn stop_writes(
    cloud: &Cloud<'_>,
    sql: &impl Sql,
    site: &str,
    schema: &str,
) -> Result<Option<Outcome>, Error> {
    let (Some(connection), Some(client)) = (
        cloud.config.connection(site),
        cloud.config.client_connection(site),
    ) else {
        return Ok(None);
    };
    let before = look(sql, connection, schema)?;
    let waiting = |status: String| Ok(Some(cloud.waiting("fence", site, &status)));
    if !before.super_read_only && !switch_on(sql, connection, "super_read_only")? {
        let ended = end_writers(sql, connection, &[])?;
        return waiting(format!(
            "still writing: {ended} sessions with open writes were ended"
        ));
    }
    let ended = end_writers(sql, connection, &[])?;
    if ended > 0 {
        return waiting(format!(
            "still writing: {ended} sessions with open writes were ended"
        ));
    }
    prove_refused(sql, client, schema)?;
    if !look(sql, connection, schema)?.super_read_only {
        return Err(Error::Conflict(format!(
            "super_read_only at {site} was switched off again by somebody else"
        )));
    }
    Ok(Some(if before.super_read_only {
        Outcome::Unchanged
    } else {
        Outcome::Changed
    }))
}

/// True where a cluster is known to accept writes. One that cannot be reached is not known to.
pub(crate) fn accepts_writes(
    cloud: &Cloud<'_>,
    sql: &impl Sql,
    site: &str,
    cluster: &Cluster,
    schema: &str,
) -> Result<bool, Error> {
    if cloud.is_closed(cloud.config.spec(site)?, cluster)? {
        return Ok(false);
    }
    let Some(connection) = cloud.config.connection(site) else {
        return Ok(cluster.is_online());
    };
    match look(sql, connection, schema) {
        Ok(server) => Ok(!server.read_only),
        Err(Error::Denied(denial)) => Err(Error::Denied(denial)),
        Err(_) => Ok(false),
    }
}

/// Lets writes in: the trusted sources of the configuration, and `read_only` off where SQL is bound.
pub(crate) fn open(
    cloud: &Cloud<'_>,
    sql: &impl Sql,
    site: &str,
    cluster: &Cluster,
    schema: &str,
) -> Result<Outcome, Error> {
    let let_in = cloud.let_in(cluster, &cloud.config.spec(site)?.trusted_sources)?;
    let Some(connection) = cloud.config.connection(site) else {
        return Ok(if let_in {
            Outcome::Changed
        } else {
            Outcome::Unchanged
        });
    };
    let before = look(sql, connection, schema)?;
    if !before.read_only {
        return Ok(if let_in {
            Outcome::Changed
        } else {
            Outcome::Unchanged
        });
    }
    // It takes `super_read_only` with it.
    sql.run(connection, &["SET GLOBAL read_only = 0".to_owned()])?;
    if look(sql, connection, schema)?.read_only {
        return Err(Error::Conflict(format!(
            "{site} was opened and is read-only again: somebody else changes it"
        )));
    }
    Ok(Outcome::Changed)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::Api;
    use crate::api::tests::Script;
    use crate::cluster::tests::{PZ, cluster, listed};
    use crate::config::{Config, example};
    use crate::server::tests::Mysql;

    fn script(rules: &Value) -> Script {
        let firewall = format!("/databases/{PZ}/firewall");
        Script::default()
            .with("GET", "/databases", 200, listed(&[cluster("pz", "online")]))
            .with("GET", &firewall, 200, json!({ "rules": rules }))
    }

    fn without_sql() -> Config {
        let schema: Value = serde_json::from_str(crate::config::SCHEMA).unwrap();
        let mut config = schema["examples"][0].clone();
        config
            .as_object_mut()
            .unwrap()
            .retain(|name, _| !name.ends_with("connections"));
        Config::parse(&config.to_string()).unwrap()
    }

    fn fence(config: &Config, script: &Script, mysql: &Mysql) -> Result<Outcome, Error> {
        let api = Api::new(script, config);
        ensure_fenced(&Cloud { api, config }, mysql, "pz", "wordpress")
    }

    fn fenced() -> Value {
        json!(example().spec("pz").unwrap().fence_sources)
    }

    #[test]
    fn writes_are_switched_off_proved_off_and_a_second_time_nothing_is_sent() {
        let (config, script, mysql) = (example(), script(&fenced()), Mysql::default());
        assert!(matches!(
            fence(&config, &script, &mysql),
            Ok(Outcome::Changed)
        ));
        let told = mysql.told.borrow().clone();
        let switched = told
            .iter()
            .position(|text| text == "SET GLOBAL super_read_only = 1");
        let proved = told
            .iter()
            .position(|text| text.starts_with("DELETE FROM `wordpress`"));
        assert!(switched.unwrap() < proved.unwrap(), "{told:?}");
        assert!(matches!(
            fence(&config, &script, &mysql),
            Ok(Outcome::Unchanged)
        ));
        assert_eq!(script.changes(), Vec::<String>::new());
    }

    #[test]
    fn the_door_is_closed_even_where_the_server_is_dead() {
        let config = example();
        let firewall = format!("/databases/{PZ}/firewall");
        let script = script(&json!([{ "type": "tag", "value": "open" }])).with(
            "PUT",
            &firewall,
            204,
            Value::Null,
        );
        let mysql = Mysql {
            unreachable: true,
            ..Mysql::default()
        };
        // The script's firewall never changes, which is seen.
        assert!(matches!(
            fence(&config, &script, &mysql),
            Err(Error::Conflict(_))
        ));
        assert_eq!(script.changes(), [format!("PUT {firewall}")]);
        assert_eq!(
            script
                .sent
                .borrow()
                .iter()
                .find(|(method, ..)| method == "PUT")
                .unwrap()
                .2["rules"],
            fenced()
        );
        let closed = self::script(&fenced());
        assert!(matches!(
            fence(&config, &closed, &mysql),
            Err(Error::Unavailable(_))
        ));
    }

    #[test]
    fn without_sql_a_closed_door_is_not_called_a_fence() {
        let (config, script) = (without_sql(), script(&fenced()));
        let refused = fence(&config, &script, &Mysql::default());
        assert!(
            matches!(&refused, Err(Error::Conflict(text)) if text.contains("may still write")),
            "{refused:?}"
        );
    }

    #[test]
    fn who_is_closed_unreachable_or_read_only_is_not_known_to_write() {
        let config = example();
        let known = |config: &Config, rules: &Value, mysql: &Mysql| {
            let script = script(rules);
            let cloud = Cloud {
                api: Api::new(&script, config),
                config,
            };
            let cluster = serde_json::from_value(cluster("pz", "online")).unwrap();
            accepts_writes(&cloud, mysql, "pz", &cluster, "wordpress").unwrap()
        };
        let open = json!([{ "type": "tag", "value": "open" }]);
        assert!(known(&config, &open, &Mysql::default()));
        assert!(known(&without_sql(), &open, &Mysql::default()));
        assert!(!known(&config, &fenced(), &Mysql::default()));
        assert!(!known(
            &config,
            &open,
            &Mysql {
                unreachable: true,
                ..Mysql::default()
            }
        ));
        let read_only = Mysql::default();
        read_only.read_only.replace(true);
        assert!(!known(&config, &open, &read_only));
    }
}
