//! Stand-ins for vendors' APIs that no software offers to run: stateful, over TLS, and held to the vendor's published
//! document in both directions. What they know of a vendor is in a module each; here is what all have in common.
//!
//! Every request and every answer of a stand-in is checked against the document ([`crate::openapi`]). What does not keep
//! to it is remembered ([`Standin::violations`]), so a test that ends without looking there has looked at nothing.
//!
//! Start at [`Standin::start`]; [`Trouble`] is what can go wrong on request.

use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::authority::Authority;
use crate::openapi::{Document, JSON, Matched};
use crate::ports::free_port;
use crate::{secret, tls};

pub mod cloudflare;
pub mod digitalocean;

/// A request as a vendor sees it: known to the document and authorised.
#[derive(Debug)]
pub struct Call<'a> {
    /// The document's name of the operation.
    pub operation: &'a str,
    /// The path's parameters.
    pub path: &'a std::collections::HashMap<String, String>,
    /// The query.
    pub query: &'a [(String, String)],
    /// The body; null where there is none.
    pub body: &'a Value,
}

impl Call<'_> {
    /// A parameter of the path; empty where there is no such.
    #[must_use]
    pub fn path(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }

    /// A parameter of the query.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<&str> {
        let mut found = self.query.iter().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| value.as_str())
    }
}

/// What a body is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Media {
    /// `application/json`.
    #[default]
    Json,
    /// `application/yaml`.
    Yaml,
}

impl Media {
    /// Its name (RFC 9512 for YAML).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => JSON,
            Self::Yaml => "application/yaml",
        }
    }
}

/// A status with its body.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// None for a status without a body.
    pub body: Option<Value>,
    /// What the body is written in: JSON is YAML too.
    pub media: Media,
    /// What `retry-after` says, in seconds.
    pub retry_after: Option<u32>,
}

impl Answer {
    /// A body under a status.
    #[must_use]
    pub fn new(status: u16, body: Value) -> Self {
        Self {
            status,
            body: Some(body),
            media: Media::Json,
            retry_after: None,
        }
    }

    /// Done, and nothing to say.
    #[must_use]
    pub fn done() -> Self {
        Self {
            status: 204,
            body: None,
            media: Media::Json,
            retry_after: None,
        }
    }
}

/// What a vendor is: a document, and a state that answers.
pub trait Vendor: Send + 'static {
    /// The document, corrected where it is wrong.
    ///
    /// # Errors
    /// Where it is missing.
    fn document() -> Result<Document>;

    /// Answers, and changes the state as asked.
    fn answer(&mut self, call: &Call<'_>) -> Answer;

    /// A refusal in the vendor's form.
    fn refusal(status: u16, text: &str) -> Answer;
}

/// What goes wrong with the requests of one operation, once for each entry.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// 429, nothing is done; come back after so many seconds.
    Throttled {
        /// What `retry-after` says.
        after_seconds: u32,
    },
    /// A refusal by the vendor, nothing is done.
    Refused(Answer),
    /// It is done, and the connection breaks before the answer.
    AnswerLost,
}

/// A running stand-in.
#[derive(Debug)]
pub struct Standin<V> {
    address: SocketAddr,
    root: PathBuf,
    token: String,
    shared: Arc<Shared<V>>,
    _serving: JoinSet<()>,
}

#[derive(Debug)]
struct Shared<V> {
    document: Document,
    token: String,
    inner: Mutex<Inner<V>>,
}

#[derive(Debug)]
struct Inner<V> {
    vendor: V,
    troubles: Vec<(String, Trouble)>,
    violations: Vec<String>,
    served: Vec<String>,
}

impl<V: Vendor> Standin<V> {
    /// Starts it on loopback, with its certificate and a token of its own in `folder`.
    ///
    /// # Errors
    /// Where the document is missing or nothing can be listened on.
    pub async fn start(folder: &Path, vendor: V) -> Result<Self> {
        let authority = Authority::create(folder)?;
        let host = std::net::IpAddr::from([127, 0, 0, 1]);
        let certificate = authority.issue("vendor", &[&host.to_string()])?;
        let address = SocketAddr::new(host, free_port(&[host])?);
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen at {address}"))?;
        let token = secret::fresh()?;
        let shared = Arc::new(Shared {
            document: V::document()?,
            token: token.clone(),
            inner: Mutex::new(Inner {
                vendor,
                troubles: Vec::new(),
                violations: Vec::new(),
                served: Vec::new(),
            }),
        });
        let router = Router::new()
            .fallback(serve::<V>)
            .with_state(Arc::clone(&shared));
        let mut serving = JoinSet::new();
        serving.spawn(async move { drop(tls::serve(listener, &certificate, router).await) });
        Ok(Self {
            address,
            root: authority.root().to_owned(),
            token,
            shared,
            _serving: serving,
        })
    }

    /// Address of the API, with the vendor's base path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}{}", self.address, self.shared.document.base())
    }

    /// Root to trust, a PEM file.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What it wants as bearer.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Has the next request of this operation meet a trouble; several are met one after another.
    pub fn will(&self, operation: &str, trouble: Trouble) {
        let mut inner = self.shared.inner();
        inner.troubles.push((operation.to_owned(), trouble));
    }

    /// Looks at the state, or changes it as somebody else would.
    pub fn state<T>(&self, change: impl FnOnce(&mut V) -> T) -> T {
        change(&mut self.shared.inner().vendor)
    }

    /// How often an operation was asked for, troubles included.
    #[must_use]
    pub fn served(&self, operation: &str) -> usize {
        let inner = self.shared.inner();
        inner.served.iter().filter(|id| *id == operation).count()
    }

    /// What did not keep to the document, of requests and of answers.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.shared.inner().violations.clone()
    }

    /// Troubles that nothing met.
    #[must_use]
    pub fn unmet(&self) -> usize {
        self.shared.inner().troubles.len()
    }
}

impl<V: Vendor> Shared<V> {
    fn inner(&self) -> MutexGuard<'_, Inner<V>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves a request; none where the answer is lost.
    fn serve(
        &self,
        method: &Method,
        path: &str,
        query: &[(String, String)],
        body: &[u8],
        headers: &HeaderMap,
    ) -> Result<Option<Answer>> {
        let mut inner = self.inner();
        let found = match self.document.find(method.as_str(), path) {
            Ok(found) => found,
            Err(error) => {
                inner.violations.push(error.to_string());
                return Ok(Some(V::refusal(404, &error.to_string())));
            }
        };
        inner.served.push(found.operation.id.clone());
        let answer = if self.admits(headers) {
            self.answer(&mut inner, &found, query, body)?
        } else {
            Some(V::refusal(401, "unable to authenticate you"))
        };
        let Some(answer) = answer else {
            return Ok(None);
        };
        let problems = self.document.check_answer(
            found.operation,
            answer.status,
            answer.media.name(),
            answer.body.as_ref(),
        )?;
        for problem in problems {
            let text = format!("own answer to {}: {problem}", found.operation.id);
            inner.violations.push(text);
        }
        Ok(Some(answer))
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(header::AUTHORIZATION);
        let given = given.and_then(|value| value.to_str().ok());
        given == Some(format!("Bearer {}", self.token).as_str())
    }

    /// Holds the request to the document, and has the vendor answer it, or the trouble that it meets.
    fn answer(
        &self,
        inner: &mut Inner<V>,
        found: &Matched<'_>,
        query: &[(String, String)],
        body: &[u8],
    ) -> Result<Option<Answer>> {
        let body: Option<Value> = match body {
            [] => None,
            text => Some(serde_json::from_slice(text).unwrap_or_else(|_| "not JSON".into())),
        };
        let operation = found.operation.id.as_str();
        let problems = self.document.check_request(found, query, body.as_ref())?;
        if !problems.is_empty() {
            let text = problems.join("; ");
            inner.violations.push(format!("{operation}: {text}"));
            return Ok(Some(V::refusal(422, &text)));
        }
        let call = Call {
            operation,
            path: &found.path,
            query,
            body: body.as_ref().unwrap_or(&Value::Null),
        };
        let met = inner.troubles.iter().position(|(of, _)| of == operation);
        let trouble = met.map(|at| inner.troubles.remove(at).1);
        Ok(match trouble {
            Some(Trouble::Throttled { after_seconds }) => Some(Answer {
                retry_after: Some(after_seconds),
                ..V::refusal(429, "too many requests")
            }),
            Some(Trouble::Refused(answer)) => Some(answer),
            Some(Trouble::AnswerLost) => {
                inner.vendor.answer(&call);
                None
            }
            None => Some(inner.vendor.answer(&call)),
        })
    }
}

async fn serve<V: Vendor>(
    State(shared): State<Arc<Shared<V>>>,
    method: Method,
    uri: Uri,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let served = shared.serve(&method, uri.path(), &query, &body, &headers);
    let answer = match served {
        Ok(Some(answer)) => answer,
        // Ends the connection's task: the client sees the connection close without an answer. Nobody is told of a panic.
        Ok(None) => resume_unwind(Box::new("the answer is lost")),
        Err(error) => {
            shared.inner().violations.push(format!("{error:#}"));
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = answer.body.map(|body| body.to_string()).unwrap_or_default();
    let media = [(header::CONTENT_TYPE, answer.media.name())];
    let mut response = (status, media, body).into_response();
    if let Some(seconds) = answer.retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    response
}
