//! HTTP for providers: `understudy:http/http`.
//!
//! Every request, and every redirect again, takes the same way: granted? → name resolved once and its addresses
//! checked → sent to exactly those, TLS verified → answer read within its limit and freed of secrets. No proxy, no
//! cookies, no automatic redirects, no connection kept. Start at [`Http`]; `http/grant.rs` is what may be sent.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, Method, Response, StatusCode};
use rustls::ClientConfig;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::bytes;
use crate::call::{IdempotencyKey, Reply, hex};
use crate::clock::{BoxFuture, timeout_at};
use crate::runbook::types::HttpGrant;

use super::credential::{Attachment, Redactor};
use super::network;
use super::trust::{Trust, UNBELIEVED};
use super::{Asked, Capability, Facilities, Fault, Used};

pub mod grant;
pub mod request;

use grant::Target;
pub(crate) use request::is_reserved_for_the_message;
use request::{MAX_HEADERS, Parsed};

/// Largest response body, in bytes: as `wit/http` says.
pub const MAX_RESPONSE_BYTES: usize = 4 * 1024 * 1024;

/// Redirects followed for one request: five is what RFC 9110 section 15.4 recalls as the old advice, and an API that
/// needs more is going in circles.
pub const MAX_REDIRECTS: usize = 5;

/// Longest time to a connection with its TLS handshake.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest wait in seconds that is believed of a `Retry-After` header: one hour.
const MAX_RETRY_AFTER_SECONDS: u64 = 3600;

/// Headers of a response that are not the provider's to see: cookies are credentials, the others speak of the
/// connection or of a length that redaction may change.
const WITHHELD: [&str; 9] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "set-cookie",
    "set-cookie2",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The capability.
pub struct Http {
    grants: Vec<HttpGrant>,
    attachments: Arc<BTreeMap<String, Attachment>>,
    trust: Trust,
    redactor: Redactor,
    facilities: Facilities,
}

impl Http {
    pub(crate) fn new(
        grants: Vec<HttpGrant>,
        attachments: Arc<BTreeMap<String, Attachment>>,
        trust: Trust,
        redactor: Redactor,
        facilities: Facilities,
    ) -> Self {
        Self {
            grants,
            attachments,
            trust,
            redactor,
            facilities,
        }
    }

    async fn serve(&self, asked: Asked<'_>) -> Used {
        if asked.function != "send" {
            let fault = Fault::no_function(self.interface(), asked.function);
            let action = format!("http {}", asked.function);
            return Used::of(&action, Err(fault), &self.redactor);
        }
        let parsed = match Parsed::from_args(asked.args) {
            Ok(parsed) => parsed,
            Err(problem) => {
                let fault = Fault::invalid("CP0009", problem.to_string());
                return Used::of("http request", Err(fault), &self.redactor);
            }
        };
        let action = format!("http {} {}", parsed.method, parsed.target.without_query());
        let sending = self.send(&parsed, asked.key);
        let done = timeout_at(self.facilities.clock.as_ref(), asked.deadline, sending)
            .await
            .unwrap_or_else(|| Err(Fault::timed_out(&action)));
        Used::of(&action, done, &self.redactor)
    }

    async fn send(&self, parsed: &Parsed, key: &IdempotencyKey) -> Result<(Value, String), Fault> {
        let mut credential = self.credential(parsed)?;
        let mut target = parsed.target.clone();
        for hop in 0..=MAX_REDIRECTS {
            let private = self.granted(parsed, &target, hop)?;
            let client = self.client(parsed, &target, private).await?;
            let response = self
                .exchange(&client, parsed, &target, credential, key)
                .await?;
            let Some(location) = followed(parsed, &response) else {
                return self.answer(parsed, response, hop).await;
            };
            let next = target.join(&location).map_err(|problem| {
                Fault::other(
                    "CP0009",
                    format!(
                        "a redirect from {} leads nowhere: {problem}",
                        target.without_query()
                    ),
                )
            })?;
            if !next.same_origin(&target) {
                credential = None;
            }
            target = next;
        }
        let text = format!(
            "more than {MAX_REDIRECTS} redirects, the last to {}",
            target.without_query()
        );
        Err(Fault::other("CP0012", text))
    }

    fn credential(&self, parsed: &Parsed) -> Result<Option<&Attachment>, Fault> {
        let Some(slot) = &parsed.credential else {
            return Ok(None);
        };
        self.attachments.get(slot).map(Some).ok_or_else(|| {
            let grant = format!(
                r#"credentials = {{ {slot} = {{ env = "VARIABLE", scheme = "bearer" }} }}"#
            );
            Fault::denied(
                "CP0004",
                format!("the binding has no credential `{slot}`"),
                grant,
            )
        })
    }

    /// Whether the grant that allows the request allows private addresses.
    fn granted(&self, parsed: &Parsed, target: &Target, hop: usize) -> Result<bool, Fault> {
        let method = parsed.method.as_str();
        if let Some(grant) = grant::find(&self.grants, method, target) {
            return Ok(grant.private);
        }
        let (code, what) = match hop {
            0 => ("CP0001", "no grant for"),
            _ => ("CP0002", "no grant for the redirect to"),
        };
        let text = format!("{what} {method} {}", target.without_query());
        Err(Fault::denied(
            code,
            text,
            grant::line(method, target, false),
        ))
    }

    /// A client that can reach nothing but the checked addresses of this target.
    async fn client(
        &self,
        parsed: &Parsed,
        target: &Target,
        private: bool,
    ) -> Result<Client, Fault> {
        let host = target.host();
        let resolver = self.facilities.resolver.as_ref();
        let addresses = network::reach(resolver, &host, target.port(), private)
            .await
            .map_err(|problem| {
                let grant = grant::line(parsed.method.as_str(), target, true);
                Fault::unreached(&problem, grant)
            })?;
        client(self.trust.config(), &host, &addresses)
            .map_err(|reason| Fault::other("CP0009", reason))
    }

    async fn exchange(
        &self,
        client: &Client,
        parsed: &Parsed,
        target: &Target,
        credential: Option<&Attachment>,
        key: &IdempotencyKey,
    ) -> Result<Response, Fault> {
        let mut headers = parsed.headers.clone();
        headers.insert("accept-encoding", HeaderValue::from_static("identity"));
        if !parsed.is_safe()
            && !headers.contains_key(IDEMPOTENCY_KEY)
            && let Ok(value) = HeaderValue::from_str(&request_key(key, parsed))
        {
            headers.insert(IDEMPOTENCY_KEY, value);
        }
        let request = client
            .request(parsed.method.clone(), target.url().clone())
            .headers(headers)
            .body(parsed.body.clone());
        let unanswered = |error| classify(parsed, target, error);
        let mut request = request.build().map_err(unanswered)?;
        if let Some(attachment) = credential {
            attachment
                .attach(&mut request, self.facilities.clock.now())
                .map_err(|problem| Fault::invalid("CP0009", problem))?;
        }
        client.execute(request).await.map_err(unanswered)
    }

    async fn answer(
        &self,
        parsed: &Parsed,
        mut response: Response,
        hops: usize,
    ) -> Result<(Value, String), Fault> {
        let status = response.status();
        let headers = self.headers(response.headers());
        let announced = response.content_length().unwrap_or(0);
        let limit = u64::try_from(MAX_RESPONSE_BYTES).unwrap_or(u64::MAX);
        let head = parsed.method == Method::HEAD;
        if announced > limit && !head {
            return Err(too_long(parsed, status));
        }
        let body = body(&mut response, MAX_RESPONSE_BYTES)
            .await
            .map_err(|error| classify(parsed, &parsed.target, error))?
            .ok_or_else(|| too_long(parsed, status))?;
        let body = self.redactor.bytes(body);
        let line = match hops {
            0 => status.as_u16().to_string(),
            hops => format!("{} after {hops} redirects", status.as_u16()),
        };
        let value = json!({ "status": status.as_u16(), "headers": headers, "body": bytes::to_value(&body) });
        Ok((value, line))
    }

    fn headers(&self, headers: &HeaderMap) -> Vec<Value> {
        headers
            .iter()
            .filter(|(name, _)| !WITHHELD.contains(&name.as_str()))
            .map(|(name, value)| {
                let value = self
                    .redactor
                    .text(&String::from_utf8_lossy(value.as_bytes()));
                json!({ "name": self.redactor.text(name.as_str()), "value": value })
            })
            .collect()
    }
}

impl Capability for Http {
    fn interface(&self) -> &'static str {
        "understudy:http/http"
    }

    fn call<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Used> {
        Box::pin(self.serve(asked))
    }

    fn changes(&self, _: &str, args: &Map<String, Value>) -> bool {
        let method = args
            .get("request")
            .and_then(|request| request.get("method"));
        // RFC 9110 section 9.2.1.
        !matches!(
            method.and_then(Value::as_str),
            Some("GET" | "HEAD" | "OPTIONS")
        )
    }

    fn busy(&self, after: Duration) -> Reply {
        let after = after.as_secs().to_string();
        Ok(json!({
            "status": StatusCode::TOO_MANY_REQUESTS.as_u16(),
            "headers": [{ "name": "retry-after", "value": after }],
            "body": bytes::to_value(b""),
        }))
    }

    fn stranger(&self) -> Option<Reply> {
        Some(Ok(json!({
            "status": StatusCode::OK.as_u16(),
            "headers": [{ "name": "content-type", "value": "text/html" }],
            "body": bytes::to_value(b"<!doctype html><title>Welcome to this network</title>"),
        })))
    }
}

/// `Retry-After` in seconds, which is how APIs give it; at most an hour is believed.
pub(crate) fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?;
    let seconds: u64 = seconds.trim().parse().ok()?;
    Some(seconds.min(MAX_RETRY_AFTER_SECONDS) * 1000)
}

/// The body of an answer; `None` where it has more bytes than `limit`.
pub(crate) async fn body(
    response: &mut Response,
    limit: usize,
) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// A client with this TLS configuration, and that reaches `host` at these addresses and nowhere else. It knows no proxy,
/// follows no redirect, sends nothing twice and keeps no connection.
pub(crate) fn client(
    tls: &ClientConfig,
    host: &str,
    addresses: &[SocketAddr],
) -> Result<Client, String> {
    Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .resolve_to_addrs(host, addresses)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .http1_only()
        .http1_max_headers(MAX_HEADERS)
        .pool_max_idle_per_host(0)
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("understudy/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| format!("no client can be made: {}", chain(&error)))
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The key of one request. One call of a provider may send several, and vendors refuse one key for two different
/// requests; so what is sent goes in as well. The same at every attempt.
fn request_key(key: &IdempotencyKey, parsed: &Parsed) -> String {
    let mut hasher = Sha256::new();
    for part in [
        parsed.method.as_str().as_bytes(),
        parsed.target.url().as_str().as_bytes(),
        &parsed.body,
    ] {
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part);
    }
    let digest = hex(&hasher.finalize());
    format!("{}-{}", key.0, digest.get(..16).unwrap_or(&digest))
}

/// Where to go next. Requests that change something are followed only where the method and body stay (307 and 308,
/// RFC 9110 section 15.4): any other redirect of theirs is an answer, and turning it into a `GET` would hide it.
fn followed(parsed: &Parsed, response: &Response) -> Option<String> {
    let followed = match response.status().as_u16() {
        301..=303 => parsed.is_safe(),
        307 | 308 => true,
        _ => false,
    };
    let location = response.headers().get(LOCATION).filter(|_| followed)?;
    location.to_str().ok().map(str::to_owned)
}

fn too_long(parsed: &Parsed, status: StatusCode) -> Fault {
    let text = format!(
        "the response ({}) has more than {MAX_RESPONSE_BYTES} bytes; ask for less",
        status.as_u16()
    );
    if parsed.is_safe() {
        Fault::other("CP0010", text)
    } else {
        Fault::in_doubt("CP0010", text)
    }
}

fn classify(parsed: &Parsed, target: &Target, error: reqwest::Error) -> Fault {
    let authority = format!("{}:{}", target.host(), target.port());
    unanswered(parsed.is_safe(), &authority, "the binding's `trust`", error)
}

/// What came of a request that was not answered, or not to the end. `safe`: it changes nothing; `roots` is where an
/// issuer is named that is believed.
pub(crate) fn unanswered(safe: bool, authority: &str, roots: &str, error: reqwest::Error) -> Fault {
    let error = error.without_url();
    if let Some(tls) = tls_error(&error) {
        let text = format!(
            "TLS with {authority} did not verify: {tls}; if the server is right, add its issuer to {roots}"
        );
        return Fault::unavailable(UNBELIEVED, text);
    }
    let reason = chain(&error);
    if error.is_connect() {
        return Fault::unavailable("CP0013", format!("{authority} is not reached: {reason}"));
    }
    let text = format!("the connection to {authority} broke after the request was sent: {reason}");
    if safe {
        Fault::unavailable("CP0014", text)
    } else {
        Fault::in_doubt("CP0014", text)
    }
}

/// The TLS library's own error, where the handshake failed.
fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    if !error.is_connect() {
        return None;
    }
    find_tls(error)
}

/// The first TLS error in a chain of causes. An I/O error hides what it wraps from `source`, so it is opened.
pub(crate) fn find_tls<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        let wrapped = error.downcast_ref::<std::io::Error>();
        next = match wrapped.and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// The deepest cause, which is the one that says something.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests;
