//! The application document of the protocol, and what to change in it. Pure.

use serde::Deserialize;
use serde_json::{Map, Value};

/// What `GET /apps/{app}` answers. Fields this provider does not know are kept in `PUT`s.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct App {
    /// Replicas asked for.
    pub(crate) desired: u32,
    /// Replicas that answer their readiness check.
    pub(crate) ready: u32,
    /// `host:port` of the database in the configuration.
    pub(crate) database_endpoint: String,
    /// Endpoint every running replica uses; absent where the endpoint cannot tell.
    #[serde(default)]
    pub(crate) running_database_endpoint: Option<String>,
    /// Users' writes are refused.
    pub(crate) maintenance: bool,
    /// Token of the newest restart that was asked for; empty where none was.
    #[serde(default)]
    pub(crate) restart_token: String,
    /// Token of the newest restart that every running replica has been through; absent where the endpoint cannot tell.
    #[serde(default)]
    pub(crate) running_restart_token: Option<String>,
}

/// What a call wants of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Exactly that many replicas, ready.
    Scaled(u32),
    /// The configuration names this database.
    DatabaseEndpoint(String),
    /// Restarted once for this token, ready again, on the configured database.
    Restarted(String),
    /// Users' writes are refused, or not.
    Maintenance(bool),
}

/// How far an application is from a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Distance {
    /// The document does not ask for it: this field has to be put.
    Ask(&'static str, Value),
    /// Asked for and not there yet; in a few words, what is missing.
    Wait(String),
    /// There.
    None,
}

impl Wish {
    /// Compares, so that nothing is put that is there already.
    pub(crate) fn distance(&self, app: &App) -> Distance {
        match self {
            Self::Scaled(replicas) if app.desired != *replicas => {
                Distance::Ask("desired", (*replicas).into())
            }
            Self::Scaled(_) => readiness(app),
            Self::DatabaseEndpoint(endpoint) if app.database_endpoint != *endpoint => {
                Distance::Ask("database-endpoint", endpoint.as_str().into())
            }
            Self::Restarted(token) if app.restart_token != *token => {
                Distance::Ask("restart-token", token.as_str().into())
            }
            Self::Restarted(token) => restart(app, token),
            Self::Maintenance(enabled) if app.maintenance != *enabled => {
                Distance::Ask("maintenance", (*enabled).into())
            }
            Self::DatabaseEndpoint(_) | Self::Maintenance(_) => Distance::None,
        }
    }
}

/// Whether the replicas that are asked for are ready.
fn readiness(app: &App) -> Distance {
    if app.ready == app.desired {
        Distance::None
    } else {
        Distance::Wait(format!("{} of {} replicas ready", app.ready, app.desired))
    }
}

/// Whether every replica has been through the restart and uses the configured database.
fn restart(app: &App, token: &str) -> Distance {
    match (&app.running_restart_token, &app.running_database_endpoint) {
        (Some(running), _) if app.ready > 0 && running != token => {
            Distance::Wait("replicas from before the restart are still running".to_owned())
        }
        (_, Some(running)) if app.ready > 0 && *running != app.database_endpoint => {
            Distance::Wait(format!(
                "replicas still use {running}, configured is {}",
                app.database_endpoint
            ))
        }
        _ => readiness(app),
    }
}

/// The whole document with one field changed, as `PUT` wants it. What only the endpoint can know is left out.
pub(crate) fn with_field(mut document: Map<String, Value>, field: &str, value: Value) -> Value {
    for observed in [
        "ready",
        "running-database-endpoint",
        "running-restart-token",
    ] {
        document.remove(observed);
    }
    document.insert(field.to_owned(), value);
    Value::Object(document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn app() -> App {
        serde_json::from_value(json!({
            "desired": 2, "ready": 2, "database-endpoint": "db.bz:3306", "maintenance": false,
            "running-database-endpoint": "db.bz:3306", "restart-token": "t1", "running-restart-token": "t1"
        }))
        .unwrap()
    }

    #[test]
    fn what_is_there_is_not_asked_for() {
        for wish in [
            Wish::Scaled(2),
            Wish::DatabaseEndpoint("db.bz:3306".to_owned()),
            Wish::Restarted("t1".to_owned()),
            Wish::Maintenance(false),
        ] {
            assert_eq!(wish.distance(&app()), Distance::None, "{wish:?}");
        }
    }

    #[test]
    fn what_differs_is_asked_for_by_one_field() {
        for (wish, field) in [
            (Wish::Scaled(0), "desired"),
            (
                Wish::DatabaseEndpoint("db.pz:3306".to_owned()),
                "database-endpoint",
            ),
            (Wish::Restarted("t2".to_owned()), "restart-token"),
            (Wish::Maintenance(true), "maintenance"),
        ] {
            assert!(
                matches!(wish.distance(&app()), Distance::Ask(name, _) if name == field),
                "{wish:?}"
            );
        }
    }

    #[test]
    fn scaling_waits_for_readiness_and_for_the_last_replica_to_go() {
        let waits = |desired, ready| {
            let app = App {
                desired,
                ready,
                ..app()
            };
            matches!(Wish::Scaled(desired).distance(&app), Distance::Wait(_))
        };
        assert!(waits(3, 1));
        assert!(waits(0, 1));
        assert!(!waits(0, 0));
    }

    #[test]
    fn a_restart_waits_for_old_replicas_and_for_the_configured_database() {
        let wish = Wish::Restarted("t1".to_owned());
        let old = App {
            running_restart_token: Some("t0".to_owned()),
            ..app()
        };
        assert!(matches!(wish.distance(&old), Distance::Wait(_)));
        let elsewhere = App {
            running_database_endpoint: Some("db.pz:3306".to_owned()),
            ..app()
        };
        assert!(
            matches!(wish.distance(&elsewhere), Distance::Wait(text) if text.contains("db.pz:3306"))
        );
        let starting = App { ready: 1, ..app() };
        assert!(matches!(wish.distance(&starting), Distance::Wait(_)));
        let cannot_tell = App {
            running_restart_token: None,
            running_database_endpoint: None,
            ..app()
        };
        assert_eq!(wish.distance(&cannot_tell), Distance::None);
    }

    #[test]
    fn a_put_keeps_unknown_fields_and_drops_observed_ones() {
        let document = json!({"desired": 1, "ready": 1, "restart-token": "", "image": "wp:6"});
        let Value::Object(document) = document else {
            panic!()
        };
        assert_eq!(
            with_field(document, "desired", 2.into()),
            json!({"desired": 2, "restart-token": "", "image": "wp:6"})
        );
    }
}
