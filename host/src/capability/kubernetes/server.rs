//! One request to an API server and what it answers, in the words of `kube`: its requests go out by the host's own HTTP
//! client, as everything does that the host sends.
//!
//! `kube` has a client too. It reads the proxy from the environment, looks names up by itself, collects answers of any
//! length, tries again by itself, and does not show the headers of a refusal; so its requests, parameters and types are
//! used, not its connections.

use std::net::SocketAddr;
use std::sync::Arc;

use kube::core::Status;
use kube::core::request::Error as RequestError;
use reqwest::header::HOST;
use reqwest::{Response, StatusCode};
use serde_json::Value;

use super::super::{Facilities, Fault, http, network};
use super::kubeconfig::Access;
use super::object::text_at;

/// Most bytes of one answer: more than the 1.5 MiB that etcd takes as one object, with room for a page of a list.
pub const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// How much of an answer is quoted that is no `Status`, in bytes.
const QUOTE_BYTES: usize = 300;

/// An answer that is a success.
pub(super) struct Answer {
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// `other`, without the body: it may hold anything.
    pub(super) fn json<T: serde::de::DeserializeOwned>(&self, asked: &str) -> Result<T, Fault> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let text = format!("{asked}: the answer is not what an API server answers: {error}");
            Fault::other("CP0031", text)
        })
    }
}

/// An API server, for the time of one call.
pub(super) struct Server<'a> {
    pub(super) access: Arc<Access>,
    pub(super) facilities: &'a Facilities,
}

impl Server<'_> {
    /// The beginning of every path.
    pub(super) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.access.server)
    }

    /// Sends a request and reads the whole answer. `asked` says what was asked, for people.
    pub(super) async fn ask<R>(
        &self,
        asked: &str,
        request: Result<R, RequestError>,
    ) -> Result<Answer, Fault>
    where
        reqwest::Request: TryFrom<R, Error = reqwest::Error>,
    {
        let (response, safe) = self.open(asked, request).await?;
        let body = self.read(asked, safe, response).await?;
        Ok(Answer { body })
    }

    /// Sends a request; the answer is a success and not read yet. Also: whether the request changes nothing.
    pub(super) async fn open<R>(
        &self,
        asked: &str,
        request: Result<R, RequestError>,
    ) -> Result<(Response, bool), Fault>
    where
        reqwest::Request: TryFrom<R, Error = reqwest::Error>,
    {
        let (response, safe) = self.send(asked, request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok((response, safe));
        }
        let after_ms = http::retry_after_ms(response.headers());
        // What a refusal says is a help, not an answer: where it cannot be read, its status is enough.
        let body = self.read(asked, safe, response).await.unwrap_or_default();
        Err(refusal(asked, safe, status, after_ms, &body))
    }

    /// Sends a request, whatever comes back.
    pub(super) async fn send<R>(
        &self,
        asked: &str,
        request: Result<R, RequestError>,
    ) -> Result<(Response, bool), Fault>
    where
        reqwest::Request: TryFrom<R, Error = reqwest::Error>,
    {
        let unsendable = |reason: String| Fault::invalid("CP0009", format!("{asked}: {reason}"));
        let request = request.map_err(|error| unsendable(error.to_string()))?;
        let mut request = reqwest::Request::try_from(request)
            .map_err(|error| unsendable(error.without_url().to_string()))?;
        request.headers_mut().extend(self.access.headers.clone());
        if let Some(authority) = &self.access.authority {
            request.headers_mut().insert(HOST, authority.clone());
        }
        let safe = request.method().is_safe();
        let addresses = self.addresses().await?;
        let host = request.url().host_str().unwrap_or("").to_owned();
        let client = http::client(&self.access.tls, host.trim_matches(['[', ']']), &addresses)
            .map_err(|reason| Fault::other("CP0009", reason))?;
        let sent = client.execute(request).await;
        Ok((sent.map_err(|error| self.unanswered(safe, error))?, safe))
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, Fault> {
        let resolver = self.facilities.resolver.as_ref();
        let Access { host, judged, .. } = self.access.as_ref();
        let Some(private) = *judged else {
            let found = network::addresses(resolver, host, 0).await;
            return found.map_err(|problem| Fault::unreached(&problem, String::new()));
        };
        let grant = "private = true, beside the kubeconfig's `url`".to_owned();
        let found = network::reach(resolver, host, 0, private).await;
        found.map_err(|problem| Fault::unreached(&problem, grant))
    }

    pub(super) fn unanswered(&self, safe: bool, error: reqwest::Error) -> Fault {
        let roots = "the kubeconfig's `certificate-authority-data`";
        http::unanswered(safe, &self.access.host, roots, error)
    }

    async fn read(
        &self,
        asked: &str,
        safe: bool,
        mut response: Response,
    ) -> Result<Vec<u8>, Fault> {
        let body = http::body(&mut response, MAX_ANSWER_BYTES).await;
        let body = body.map_err(|error| self.unanswered(safe, error))?;
        body.ok_or_else(|| too_long(asked, safe))
    }
}

/// An answer over its limit.
pub(super) fn too_long(asked: &str, safe: bool) -> Fault {
    let text = format!("{asked}: the answer has more than {MAX_ANSWER_BYTES} bytes; ask for less");
    if safe {
        Fault::other("CP0010", text)
    } else {
        Fault::in_doubt("CP0010", text)
    }
}

/// A status that is not a success, with the API server's own words: those of its `Status`, or the beginning of
/// whatever else stood there (a proxy's page).
fn refusal(
    asked: &str,
    safe: bool,
    status: StatusCode,
    after_ms: Option<u64>,
    body: &[u8],
) -> Fault {
    let told: Option<Status> = serde_json::from_slice::<Value>(body)
        .ok()
        .filter(|body| text_at(body, "/kind") == "Status")
        .and_then(|body| serde_json::from_value(body).ok());
    let words = match &told {
        Some(status) => status.message.clone(),
        None => {
            let start = body.get(..QUOTE_BYTES).unwrap_or(body);
            String::from_utf8_lossy(start).trim().to_owned()
        }
    };
    let told_seconds = told
        .and_then(|status| status.details)
        .map(|details| u64::from(details.retry_after_seconds))
        .filter(|seconds| *seconds > 0);
    let after_ms = after_ms.or(told_seconds.map(|seconds| seconds * 1000));
    let text = format!("{asked}: HTTP {}: {words}", status.as_u16());
    match status.as_u16() {
        401 => Fault::invalid("CP0025", text),
        403 => Fault::conflicting("CP0026", text),
        404 => Fault::not_found("CP0028", text),
        409 | 410 | 412 => Fault::conflicting("CP0027", text),
        408 | 429 | 502 | 503 => Fault::busy("CP0030", text, after_ms),
        // The API server gave up on it or fell over it; whether it is in etcd, it does not say.
        500 | 504 if !safe => Fault::in_doubt("CP0030", text),
        500 | 504 => Fault::busy("CP0030", text, after_ms),
        400..=499 => Fault::invalid("CP0029", text),
        // Not what an API server answers: a redirect, something in between.
        _ => Fault::other("CP0031", text),
    }
}
