//! A provider's request, parsed at the door: after it, everything in a [`Parsed`] can be sent.

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::grant::{BadTarget, Target};

/// Largest request body, in bytes: as `wit/http` says.
pub const MAX_REQUEST_BYTES: usize = 1024 * 1024;

/// Most request headers, and response headers accepted: what common servers take.
pub const MAX_HEADERS: usize = 100;

/// Bytes of all request headers together: what common servers take.
pub const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Methods that are served. `CONNECT` and `TRACE` are not requests for a resource (RFC 9110 section 9.3).
const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::OPTIONS,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
];

/// Headers of the connection or the message, which only the host can set rightly: RFC 9110 sections 7.6.1, 7.2 and
/// 8.6, and RFC 9112 section 6.1; `accept-encoding` so that what comes back can be searched for secrets.
const MESSAGE_HEADERS: [&str; 13] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers that carry credentials, which only the host attaches.
const CREDENTIAL_HEADERS: [&str; 2] = ["authorization", "cookie"];

/// True for headers that neither a provider nor a credential may set.
pub(crate) fn is_reserved_for_the_message(name: &str) -> bool {
    MESSAGE_HEADERS.contains(&name)
}

/// A request that cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// Not the shape of `http.request`.
    #[error("the argument is not a request: {0}")]
    Shape(String),
    /// Not a method that is served.
    #[error(
        "the method `{0}` is not served; use GET, HEAD, OPTIONS, POST, PUT, PATCH or DELETE in upper case"
    )]
    Method(String),
    /// Not an address to send to.
    #[error("{0}")]
    Target(#[from] BadTarget),
    /// A header that only the host sets.
    #[error(
        "the header `{0}` is the host's to set; leave it out, and name a credential slot where one is needed"
    )]
    Reserved(String),
    /// Not a header at all.
    #[error("the header `{0}` is not valid")]
    Header(String),
    /// Too many or too long headers.
    #[error("more than {MAX_HEADERS} headers or {MAX_HEADER_BYTES} bytes of them")]
    Headers,
    /// Too long a body.
    #[error("the body has {0} bytes; at most {MAX_REQUEST_BYTES} are sent")]
    Body(usize),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Wire {
    method: String,
    url: String,
    headers: Vec<WireHeader>,
    #[serde(with = "crate::bytes")]
    body: Vec<u8>,
    credential: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireHeader {
    name: String,
    value: String,
}

/// A request that can be sent.
#[derive(Debug, Clone)]
pub(crate) struct Parsed {
    pub(crate) method: Method,
    pub(crate) target: Target,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Slot of the binding.
    pub(crate) credential: Option<String>,
}

impl Parsed {
    /// Reads the arguments of `http.send`.
    pub(crate) fn from_args(mut args: Map<String, Value>) -> Result<Self, Unsendable> {
        let request = args.remove("request").unwrap_or(Value::Null);
        let wire: Wire = serde_json::from_value(request)
            .map_err(|error| Unsendable::Shape(error.to_string()))?;
        if wire.body.len() > MAX_REQUEST_BYTES {
            return Err(Unsendable::Body(wire.body.len()));
        }
        let method = METHODS
            .into_iter()
            .find(|method| method.as_str() == wire.method)
            .ok_or(Unsendable::Method(wire.method))?;
        Ok(Self {
            method,
            target: Target::parse(&wire.url)?,
            headers: headers(wire.headers)?,
            body: wire.body,
            credential: wire.credential,
        })
    }

    /// True for methods that change nothing (RFC 9110 section 9.2.1).
    pub(crate) fn is_safe(&self) -> bool {
        self.method.is_safe()
    }
}

fn headers(wire: Vec<WireHeader>) -> Result<HeaderMap, Unsendable> {
    let bytes: usize = wire
        .iter()
        .map(|header| header.name.len() + header.value.len())
        .sum();
    if wire.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
        return Err(Unsendable::Headers);
    }
    let mut headers = HeaderMap::new();
    for header in wire {
        let name = HeaderName::from_bytes(header.name.as_bytes())
            .map_err(|_| Unsendable::Header(header.name.clone()))?;
        if is_reserved_for_the_message(name.as_str()) || CREDENTIAL_HEADERS.contains(&name.as_str())
        {
            return Err(Unsendable::Reserved(name.as_str().to_owned()));
        }
        let value = HeaderValue::from_str(&header.value)
            .map_err(|_| Unsendable::Header(header.name.clone()))?;
        headers.append(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(request: Value) -> Result<Parsed, Unsendable> {
        Parsed::from_args(Map::from_iter([("request".to_owned(), request)]))
    }

    fn with_header(name: &str, value: &str) -> Result<Parsed, Unsendable> {
        parse(
            json!({ "method": "GET", "url": "https://a.test/", "body": [], "credential": null,
            "headers": [{ "name": name, "value": value }] }),
        )
    }

    #[test]
    fn headers_of_the_connection_and_of_credentials_are_the_hosts() {
        for name in MESSAGE_HEADERS.into_iter().chain(CREDENTIAL_HEADERS) {
            assert_eq!(
                with_header(&name.to_uppercase(), "x").unwrap_err(),
                Unsendable::Reserved(name.to_owned())
            );
        }
        assert!(with_header("x-a", "b\r\nauthorization: c").is_err());
        assert!(with_header("x a", "b").is_err());
        assert!(with_header("accept", "text/plain").is_ok());
    }

    #[test]
    fn method_and_body_are_checked() {
        let request = |method: &str, bytes: usize| {
            parse(
                json!({ "method": method, "url": "https://a.test/", "headers": [],
                "body": vec![0; bytes], "credential": null }),
            )
        };
        assert!(request("PATCH", MAX_REQUEST_BYTES).is_ok());
        assert_eq!(
            request("PATCH", MAX_REQUEST_BYTES + 1).unwrap_err(),
            Unsendable::Body(MAX_REQUEST_BYTES + 1)
        );
        for method in ["CONNECT", "TRACE", "get", "G ET", ""] {
            assert!(request(method, 0).is_err(), "{method} must not pass");
        }
        assert!(matches!(parse(json!({})), Err(Unsendable::Shape(_))));
    }
}
