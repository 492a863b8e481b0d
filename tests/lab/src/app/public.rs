//! What users reach: read the front page, log in, write a post, upload a file.
//!
//! Every response says which site it comes from in `x-zone`. Writing needs HTTP basic authentication as `editor`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use tokio::time::timeout;

use super::database::{Database, Refusal};
use super::link;

/// How long the database may take for a request.
const QUERY_LIMIT: Duration = Duration::from_secs(3);
/// Largest body of a request: what the `BLOB` of an upload holds, in bytes.
const BODY_BYTES: usize = 65_535;

/// What the handlers share.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) site: String,
    pub(super) editor_password: String,
    pub(super) maintenance: Arc<AtomicBool>,
    pub(super) database: Arc<Database>,
}

/// Status and a line of text.
type Reply = (StatusCode, String);

/// A post as it is sent; anything that is not one is a post without number.
#[derive(Default, Deserialize)]
struct Post {
    number: Option<u64>,
    #[serde(default)]
    title: String,
}

pub(super) fn router(service: Service) -> Router {
    let zone = HeaderValue::from_str(&service.site)
        .unwrap_or_else(|_| HeaderValue::from_static("unnamed"));
    let name_site = move |request: Request, next: Next| {
        let zone = zone.clone();
        async move {
            let mut response: Response = next.run(request).await;
            response.headers_mut().insert("x-zone", zone);
            response
        }
    };
    Router::new()
        .route("/", get(front_page))
        .route("/login", post(log_in))
        .route("/posts", post(write_post))
        .route("/media", post(upload))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(middleware::from_fn(name_site))
        .with_state(service)
}

async fn front_page(State(service): State<Service>) -> Reply {
    match bounded(service.database.posts()).await {
        Ok(posts) => (
            StatusCode::OK,
            format!("site {}, posts {posts}\n", service.site),
        ),
        Err(reply) => reply,
    }
}

async fn log_in(State(service): State<Service>, headers: HeaderMap) -> Reply {
    match service.editor(&headers) {
        Ok(()) => (StatusCode::OK, "welcome, editor\n".to_owned()),
        Err(reply) => reply,
    }
}

async fn write_post(State(service): State<Service>, headers: HeaderMap, body: Bytes) -> Reply {
    if let Err(reply) = service.writer(&headers) {
        return reply;
    }
    let post: Post = serde_json::from_slice(&body).unwrap_or_default();
    let insert = service.database.insert_post(link::Post {
        number: post.number,
        title: &post.title,
        site: &service.site,
    });
    match bounded(insert).await {
        Ok(row) => (StatusCode::CREATED, format!("post {row}\n")),
        Err(reply) => reply,
    }
}

async fn upload(State(service): State<Service>, headers: HeaderMap, body: Bytes) -> Reply {
    if let Err(reply) = service.writer(&headers) {
        return reply;
    }
    match bounded(service.database.insert_media(&body)).await {
        Ok(row) => (StatusCode::CREATED, format!("media {row}\n")),
        Err(reply) => reply,
    }
}

impl Service {
    /// Lets the editor pass.
    fn editor(&self, headers: &HeaderMap) -> Result<(), Reply> {
        let wanted = format!(
            "Basic {}",
            BASE64.encode(format!("editor:{}", self.editor_password))
        );
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        if given == Some(wanted.as_str()) {
            return Ok(());
        }
        Err((StatusCode::UNAUTHORIZED, "log in as editor\n".to_owned()))
    }

    /// Lets the editor pass where writes are accepted.
    fn writer(&self, headers: &HeaderMap) -> Result<(), Reply> {
        self.editor(headers)?;
        if self.maintenance.load(Ordering::SeqCst) {
            return Err((
                StatusCode::SERVICE_UNAVAILABLE,
                "in maintenance\n".to_owned(),
            ));
        }
        Ok(())
    }
}

/// The query's answer, or what the user is told instead.
async fn bounded<T>(query: impl Future<Output = Result<T, Refusal>>) -> Result<T, Reply> {
    match timeout(QUERY_LIMIT, query).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(Refusal::Duplicate(error))) => Err((StatusCode::CONFLICT, format!("{error}\n"))),
        Ok(Err(Refusal::Failed(error))) => {
            Err((StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")))
        }
        Err(_) => Err((
            StatusCode::GATEWAY_TIMEOUT,
            "the database does not answer\n".to_owned(),
        )),
    }
}
