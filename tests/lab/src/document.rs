//! A zone kept as one JSON document behind HTTPS, by the protocol of the `json-zone` provider, and the generator behind
//! it that publishes the document into the authoritative name server, as an organisation's pipeline would.
//!
//! `GET /zones/example.test.json` answers the document with a strong `etag`; `PUT` with `if-match` takes a new one, or
//! answers 412 where it has changed since. From a `PUT` until the name server answers with it, the document says
//! `"pending": true`. Both need the bearer token.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::authority::Certificate;
use crate::powerdns::{Editor, ZONE};
use crate::tls;

/// Time between two looks of the generator at the document.
const PUBLISH_EVERY: Duration = Duration::from_millis(200);

/// A running server of the document, with its generator.
#[derive(Debug)]
pub struct ZoneDocument {
    address: SocketAddr,
    shared: Arc<Shared>,
    _working: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    token: String,
    stored: Mutex<Stored>,
}

/// The document and what became of it.
#[derive(Debug, Clone)]
struct Stored {
    document: Value,
    version: u64,
    published: u64,
    pending_answers: u64,
    conflicts: u64,
}

/// How the document was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Documents taken.
    pub puts: u64,
    /// Documents refused because there was a newer one.
    pub conflicts: u64,
    /// Answers that said `pending`.
    pub pending_answers: u64,
}

impl ZoneDocument {
    /// Starts both inside this process, with the zone as it is now.
    ///
    /// # Errors
    /// Where the address is taken or the zone cannot be read.
    pub async fn start(
        address: SocketAddr,
        certificate: &Certificate,
        token: &str,
        editor: Editor,
    ) -> Result<Self> {
        let mut records = editor.record_sets().await?;
        for fields in records.iter_mut().filter_map(Value::as_object_mut) {
            fields.insert("comment".to_owned(), "asked for by the web team".into());
        }
        let document = json!({ "zone": ZONE, "owner": "the network team", "records": records });
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen at {address}"))?;
        let shared = Arc::new(Shared {
            token: token.to_owned(),
            stored: Mutex::new(Stored {
                document,
                version: 0,
                published: 0,
                pending_answers: 0,
                conflicts: 0,
            }),
        });
        let router = Router::new()
            .route(&path(), get(show).put(store))
            .with_state(Arc::clone(&shared));
        let certificate = certificate.clone();
        let mut working = JoinSet::new();
        working.spawn(async move { drop(tls::serve(listener, &certificate, router).await) });
        working.spawn(generate(Arc::clone(&shared), editor));
        Ok(Self {
            address,
            shared,
            _working: working,
        })
    }

    /// Where the document is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}{}", self.address, path())
    }

    /// The document as it is stored, without `pending`.
    #[must_use]
    pub fn document(&self) -> Value {
        self.shared.stored().document.clone()
    }

    /// How it was used up to now.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let stored = self.shared.stored();
        Usage {
            puts: stored.version,
            conflicts: stored.conflicts,
            pending_answers: stored.pending_answers,
        }
    }
}

impl Shared {
    fn stored(&self) -> std::sync::MutexGuard<'_, Stored> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(header::AUTHORIZATION);
        let given = given.and_then(|value| value.to_str().ok());
        given == Some(format!("Bearer {}", self.token).as_str())
    }
}

impl Stored {
    fn is_pending(&self) -> bool {
        self.published < self.version
    }

    /// Of the answer's bytes, so that it changes with `pending` too.
    fn tag(&self) -> String {
        let state = if self.is_pending() { "-pending" } else { "" };
        format!("\"{}{state}\"", self.version)
    }

    fn answer(&mut self) -> Response {
        let mut body = self.document.clone();
        if self.is_pending() {
            self.pending_answers += 1;
            if let Some(fields) = body.as_object_mut() {
                fields.insert("pending".to_owned(), true.into());
            }
        }
        let mut response = body.to_string().into_response();
        if let Ok(tag) = HeaderValue::from_str(&self.tag()) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }
}

async fn show(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if !shared.admits(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    shared.stored().answer()
}

async fn store(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if !shared.admits(&headers) {
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(document) = serde_json::from_slice::<Value>(&body) else {
        return StatusCode::UNPROCESSABLE_ENTITY;
    };
    let Some(condition) = headers.get(header::IF_MATCH) else {
        return StatusCode::PRECONDITION_REQUIRED;
    };
    let mut stored = shared.stored();
    if condition.as_bytes() != stored.tag().as_bytes() {
        stored.conflicts += 1;
        return StatusCode::PRECONDITION_FAILED;
    }
    stored.document = document;
    stored.version += 1;
    StatusCode::NO_CONTENT
}

/// Publishes what is stored, and marks it published when the name server answers with it.
async fn generate(shared: Arc<Shared>, editor: Editor) {
    let mut looks = interval(PUBLISH_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let (document, version) = {
            let stored = shared.stored();
            if !stored.is_pending() {
                continue;
            }
            (stored.document.clone(), stored.version)
        };
        // One that cannot be published stays pending, and is tried again.
        if publish(&document, &editor).await.is_ok() {
            shared.stored().published = version;
        }
    }
}

async fn publish(document: &Value, editor: &Editor) -> Result<()> {
    let records = document.get("records").and_then(Value::as_array);
    let records = records.context("the document has no records")?;
    let wanted: Vec<Value> = records.iter().map(published_part).collect();
    let now = editor.record_sets().await?;
    let changed: Vec<Value> = wanted
        .iter()
        .filter(|set| !now.contains(set))
        .cloned()
        .collect();
    if !changed.is_empty() {
        editor.replace(&changed).await?;
    }
    for set in &wanted {
        ensure!(editor.is_answered(set).await?, "{set} is not answered yet");
    }
    Ok(())
}

/// A record set without what only people read.
fn published_part(set: &Value) -> Value {
    let mut part = set.clone();
    if let Some(fields) = part.as_object_mut() {
        fields.retain(|name, _| name != "comment");
    }
    part
}

fn path() -> String {
    format!("/zones/{ZONE}.json")
}
