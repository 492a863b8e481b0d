//! What runs the application, by the protocol of the `webhook` provider.
//!
//! `GET /apps/{app}` answers the settings and how many replicas are ready; `PUT /apps/{app}` takes any subset of the
//! settings and answers the same at once, while the change is carried out. Both need the bearer token.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, watch};

use super::config::{Config, Settings};
use super::instance::Instance;

/// Keeps the running application as its settings want it.
#[derive(Clone)]
pub struct Controller {
    config: Arc<Config>,
    maintenance: Arc<AtomicBool>,
    settings: watch::Sender<Settings>,
    running: Arc<Mutex<Option<Running>>>,
}

/// An instance and the restart it was started for.
struct Running {
    instance: Instance,
    restart_token: String,
    database_endpoint: String,
}

/// What a `PUT` may hold.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Change {
    desired: Option<u32>,
    database_endpoint: Option<String>,
    maintenance: Option<bool>,
    restart_token: Option<String>,
}

type Reply = Result<Json<Value>, (StatusCode, String)>;

impl Controller {
    /// Starts the application as its kept settings say, and goes on following them.
    ///
    /// # Errors
    /// Where the settings cannot be read or the public address is taken.
    pub async fn start(config: Arc<Config>) -> Result<Self> {
        let settings = Settings::load(&config)?;
        let controller = Self {
            maintenance: Arc::new(AtomicBool::new(settings.maintenance)),
            settings: watch::Sender::new(settings),
            running: Arc::new(Mutex::new(None)),
            config,
        };
        controller.converge().await?;
        let following = controller.clone();
        let mut changes = controller.settings.subscribe();
        tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                // A start that fails shows as an application that is not ready; the next change tries again.
                drop(following.converge().await);
            }
        });
        Ok(controller)
    }

    /// The protocol's routes.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/apps/{app}", get(show).put(change))
            .with_state(self.clone())
    }

    /// Starts, restarts or ends the application, so that it is as the settings want it.
    async fn converge(&self) -> Result<()> {
        let settings = self.settings.borrow().clone();
        self.maintenance
            .store(settings.maintenance, Ordering::SeqCst);
        let mut running = self.running.lock().await;
        let keep = running.as_ref().is_some_and(|running| {
            settings.desired > 0 && running.restart_token == settings.restart_token
        });
        if keep {
            return Ok(());
        }
        if let Some(old) = running.take() {
            tokio::task::spawn_blocking(move || old.instance.end()).await?;
        }
        if settings.desired > 0 {
            *running = Some(Running {
                instance: Instance::start(
                    &self.config,
                    &settings.database_endpoint,
                    Arc::clone(&self.maintenance),
                )?,
                restart_token: settings.restart_token,
                database_endpoint: settings.database_endpoint,
            });
        }
        Ok(())
    }

    /// Settings, readiness and, while it runs, what the running application really uses. An application that has yet
    /// to be restarted is not ready.
    async fn observation(&self) -> Value {
        let settings = self.settings.borrow().clone();
        let running = self.running.lock().await;
        let ready = match &*running {
            Some(running) if running.restart_token == settings.restart_token => {
                running.instance.is_ready().await
            }
            _ => false,
        };
        let mut seen = json!({
            "desired": settings.desired,
            "ready": if ready { settings.desired } else { 0 },
            "database-endpoint": settings.database_endpoint,
            "maintenance": settings.maintenance,
            "restart-token": settings.restart_token,
        });
        if let (Some(running), Some(fields)) = (&*running, seen.as_object_mut()) {
            let (token, endpoint) = (&running.restart_token, &running.database_endpoint);
            fields.insert("running-restart-token".to_owned(), token.as_str().into());
            fields.insert(
                "running-database-endpoint".to_owned(),
                endpoint.as_str().into(),
            );
        }
        seen
    }

    fn admit(&self, app: &str, headers: &HeaderMap) -> Result<(), (StatusCode, String)> {
        let wanted = format!("Bearer {}", self.config.admin_token);
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        if given != Some(wanted.as_str()) {
            return Err((StatusCode::UNAUTHORIZED, "wrong bearer token\n".to_owned()));
        }
        if app != self.config.name {
            return Err((StatusCode::NOT_FOUND, format!("no application {app:?}\n")));
        }
        Ok(())
    }
}

async fn show(
    State(controller): State<Controller>,
    Path(app): Path<String>,
    headers: HeaderMap,
) -> Reply {
    controller.admit(&app, &headers)?;
    Ok(Json(controller.observation().await))
}

async fn change(
    State(controller): State<Controller>,
    Path(app): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Reply {
    controller.admit(&app, &headers)?;
    let change: Change = serde_json::from_slice(&body)
        .map_err(|error| (StatusCode::UNPROCESSABLE_ENTITY, format!("{error}\n")))?;
    let old = controller.settings.borrow().clone();
    let new = Settings {
        desired: change.desired.unwrap_or(old.desired),
        database_endpoint: change.database_endpoint.unwrap_or(old.database_endpoint),
        maintenance: change.maintenance.unwrap_or(old.maintenance),
        restart_token: change.restart_token.unwrap_or(old.restart_token),
    };
    new.store(&controller.config)
        .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")))?;
    controller
        .maintenance
        .store(new.maintenance, Ordering::SeqCst);
    controller.settings.send_replace(new);
    Ok(Json(controller.observation().await))
}
