//! A notice board: collects the announcements of runs, each key once, as a chat or a status page would.
//!
//! `POST /announcements` with `idempotency-key`, `GET /announcements` for what is shown. It belongs to no site and
//! survives each of them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::authority::Certificate;
use crate::tls;

/// Announcements kept; a run makes a few dozen.
const SHOWN: usize = 10_000;

/// An announcement and the key it came under.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Announcement {
    /// The key.
    pub key: String,
    /// What was sent.
    pub body: Value,
    /// How often it was sent.
    pub sent: u32,
}

/// A running notice board.
#[derive(Debug)]
pub struct Board {
    address: SocketAddr,
    shown: Arc<Mutex<Vec<Announcement>>>,
    _serving: JoinSet<Result<()>>,
}

#[derive(Clone)]
struct Shared {
    token: String,
    shown: Arc<Mutex<Vec<Announcement>>>,
}

impl Board {
    /// Starts it inside this process.
    ///
    /// # Errors
    /// Where the address is taken.
    pub async fn start(
        address: SocketAddr,
        certificate: &Certificate,
        token: &str,
    ) -> Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen at {address}"))?;
        let shown = Arc::new(Mutex::new(Vec::new()));
        let router = Router::new()
            .route("/announcements", post(announce).get(list))
            .with_state(Shared {
                token: token.to_owned(),
                shown: Arc::clone(&shown),
            });
        let certificate = certificate.clone();
        let mut serving = JoinSet::new();
        serving.spawn(async move { tls::serve(listener, &certificate, router).await });
        Ok(Self {
            address,
            shown,
            _serving: serving,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it shows, oldest first.
    #[must_use]
    pub fn announcements(&self) -> Vec<Announcement> {
        self.shown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn announce(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if !shared.admits(&headers) {
        return StatusCode::UNAUTHORIZED;
    }
    let key = headers
        .get("idempotency-key")
        .and_then(|value| value.to_str().ok());
    let (Some(key), Ok(body)) = (key, serde_json::from_slice::<Value>(&body)) else {
        return StatusCode::UNPROCESSABLE_ENTITY;
    };
    let mut shown = shared.shown.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = shown.iter_mut().find(|known| known.key == key) {
        known.sent += 1;
        return StatusCode::OK;
    }
    if shown.len() >= SHOWN {
        return StatusCode::INSUFFICIENT_STORAGE;
    }
    shown.push(Announcement {
        key: key.to_owned(),
        body,
        sent: 1,
    });
    StatusCode::CREATED
}

async fn list(
    State(shared): State<Shared>,
    headers: HeaderMap,
) -> Result<Json<Vec<Announcement>>, StatusCode> {
    if !shared.admits(&headers) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let shown = shared
        .shown
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    Ok(Json(shown))
}

impl Shared {
    fn admits(&self, headers: &HeaderMap) -> bool {
        let wanted = format!("Bearer {}", self.token);
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        given == Some(wanted.as_str())
    }
}
