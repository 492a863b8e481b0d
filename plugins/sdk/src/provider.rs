//! What every provider needs besides the contracts: building answers, and reading an HTTP response as the contracts'
//! `error`. Pure functions of their inputs, so that a provider's logic is tested without a host.
//!
//! Not here: sending anything. A provider calls `host::understudy::http` and its siblings itself.

use std::sync::OnceLock;

use crate::host::understudy::http::http::{Header, Request, Response};
use crate::host::understudy::types::types::{Error, Operation, Outcome, RetryHint};

/// The configuration of the one call that an instance serves: set by `configure`, read by the contract's functions.
///
/// ```text
/// static CONFIG: Configured<Config> = Configured::new();
/// ```
#[derive(Debug)]
pub struct Configured<T>(OnceLock<T>);

impl<T> Configured<T> {
    /// Not configured yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Takes the configuration.
    ///
    /// # Errors
    /// It was set before: the host configures an instance once.
    pub fn set(&self, config: T) -> Result<(), String> {
        self.0
            .set(config)
            .map_err(|_| "configured twice".to_owned())
    }

    /// The configuration.
    ///
    /// # Errors
    /// `invalid`: it was never set.
    pub fn get(&self) -> Result<&T, Error> {
        self.0
            .get()
            .ok_or_else(|| Error::Invalid("the provider was called before `configure`".to_owned()))
    }
}

impl<T> Default for Configured<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// The address of a server as paths are put after it: without slashes at its end.
#[must_use]
pub fn base_address(mut address: String) -> String {
    address.truncate(address.trim_end_matches('/').len());
    address
}

/// How many characters of a response's body an error quotes: enough for a vendor's message, too few for a page.
pub const QUOTE_CHARS: usize = 200;

/// Longest wait in seconds that is believed of a `Retry-After` header: one day.
pub const RETRY_AFTER_MAX_SECONDS: u64 = 86_400;

/// An `unavailable` without a wish for when to come back.
#[must_use]
pub fn unavailable(reason: impl Into<String>) -> Error {
    Error::Unavailable(RetryHint {
        reason: reason.into(),
        after_ms: None,
    })
}

/// An `in-progress`: the host waits `poll_after_ms` and calls the same function again.
#[must_use]
pub fn in_progress(
    id: impl Into<String>,
    description: impl Into<String>,
    poll_after_ms: u64,
) -> Outcome {
    Outcome::InProgress(Operation {
        id: id.into(),
        description: description.into(),
        poll_after_ms,
    })
}

/// A request with a JSON body (none for `GET`), asking for JSON.
#[must_use]
pub fn json_request(
    method: &str,
    url: String,
    body: Option<&serde_json::Value>,
    credential: Option<&str>,
) -> Request {
    let mut headers = vec![header("accept", "application/json")];
    if body.is_some() {
        headers.push(header("content-type", "application/json"));
    }
    Request {
        method: method.to_owned(),
        url,
        headers,
        body: body
            .map(|value| value.to_string().into_bytes())
            .unwrap_or_default(),
        credential: credential.map(str::to_owned),
    }
}

/// Text as one value of a query (RFC 3986, 2.1: everything but unreserved characters).
#[must_use]
pub fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            for nibble in [byte >> 4, byte & 15] {
                let digit = char::from_digit(u32::from(nibble), 16).unwrap_or('0');
                encoded.push(digit.to_ascii_uppercase());
            }
        }
    }
    encoded
}

/// A header.
#[must_use]
pub fn header(name: &str, value: &str) -> Header {
    Header {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

/// The first value of a response's header, by lower-case name.
#[must_use]
pub fn header_value<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case(name))
        .map(|header| header.value.as_str())
}

/// True for 200 to 299.
#[must_use]
pub fn is_success(response: &Response) -> bool {
    (200..300).contains(&response.status)
}

/// A response that is not a success, as an error. `asked` says what was asked, for example `PATCH zone example.test`.
///
/// 408, 429 and every 5xx but 501 and 505 are `unavailable` (with `Retry-After` where it is given in seconds); 401 and
/// 403 are `invalid`, because the credential has to change before asking again can help; 404 and 410 are `not-found`;
/// 409, 412 and 423 are `conflict`; other 4xx are `invalid`; a redirect that the host did not follow is `invalid`.
#[must_use]
pub fn response_error(asked: &str, response: &Response) -> Error {
    status_error(asked, response, &quote(&response.body))
}

/// As [`response_error`], where the vendor's own words were found in the body.
#[must_use]
pub fn status_error(asked: &str, response: &Response, said: &str) -> Error {
    let status = response.status;
    let text = if said.is_empty() {
        format!("{asked}: HTTP {status}")
    } else {
        format!("{asked}: HTTP {status}: {said}")
    };
    match status {
        401 | 403 => Error::Invalid(format!(
            "{text}; check the credential in the binding's slot and what it may do there"
        )),
        404 | 410 => Error::NotFound(text),
        409 | 412 | 423 => Error::Conflict(text),
        408 | 429 | 500 | 502..=504 | 506..=599 => Error::Unavailable(RetryHint {
            reason: text,
            after_ms: retry_after_ms(response),
        }),
        300..=399 => Error::Invalid(format!(
            "{text}; configure the address it redirects to ({})",
            header_value(response, "location").unwrap_or("not named")
        )),
        400..=499 => Error::Invalid(text),
        _ => Error::Other(text),
    }
}

/// The body as JSON of the expected shape; `other` where it is not.
///
/// # Errors
/// `other`: it is not JSON, or lacks a field.
pub fn read_json<T: serde::de::DeserializeOwned>(
    asked: &str,
    response: &Response,
) -> Result<T, Error> {
    serde_json::from_slice(&response.body).map_err(|error| {
        Error::Other(format!(
            "{asked}: HTTP {} with a body that cannot be read ({error}): {}",
            response.status,
            quote(&response.body)
        ))
    })
}

/// `Retry-After` in seconds (RFC 9110, 10.2.3) as milliseconds. A date is not read: a provider has no clock.
fn retry_after_ms(response: &Response) -> Option<u64> {
    let seconds: u64 = header_value(response, "retry-after")?.trim().parse().ok()?;
    (seconds <= RETRY_AFTER_MAX_SECONDS).then_some(seconds * 1000)
}

/// The first [`QUOTE_CHARS`] characters of a body on one line.
#[must_use]
pub fn quote(body: &[u8]) -> String {
    // Four bytes hold any character, so no more of the body can be part of the quotation.
    let start = body.get(..QUOTE_CHARS * 4).unwrap_or(body);
    let text = String::from_utf8_lossy(start);
    let mut words = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(word);
    }
    if words.chars().count() > QUOTE_CHARS {
        let mut cut: String = words.chars().take(QUOTE_CHARS).collect();
        cut.push('…');
        return cut;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
        Response {
            status,
            headers: headers.iter().map(|(n, v)| header(n, v)).collect(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn every_status_becomes_the_error_the_contracts_name() {
        let kind = |status| match response_error("GET x", &response(status, &[], "")) {
            Error::Unavailable(_) => "unavailable",
            Error::Invalid(_) => "invalid",
            Error::NotFound(_) => "not-found",
            Error::Conflict(_) => "conflict",
            _ => "other",
        };
        for (status, expected) in [
            (301, "invalid"),
            (400, "invalid"),
            (401, "invalid"),
            (403, "invalid"),
            (404, "not-found"),
            (409, "conflict"),
            (412, "conflict"),
            (422, "invalid"),
            (429, "unavailable"),
            (500, "unavailable"),
            (501, "other"),
            (503, "unavailable"),
        ] {
            assert_eq!(kind(status), expected, "HTTP {status}");
        }
    }

    #[test]
    fn a_value_of_a_query_means_itself() {
        assert_eq!(
            percent_encoded("rate(a{b=~\"5..\"}[1m]) + é~"),
            "rate%28a%7Bb%3D~%225..%22%7D%5B1m%5D%29%20%2B%20%C3%A9~"
        );
    }

    #[test]
    fn retry_after_is_read_in_seconds_only() {
        let hint =
            |value| match response_error("GET x", &response(503, &[("Retry-After", value)], "")) {
                Error::Unavailable(hint) => hint.after_ms,
                other => panic!("{other:?}"),
            };
        assert_eq!(hint("7"), Some(7000));
        assert_eq!(hint("Wed, 21 Oct 2026 07:28:00 GMT"), None);
        assert_eq!(hint("99999999"), None);
    }

    #[test]
    fn a_body_is_quoted_shortly_and_on_one_line() {
        assert_eq!(quote(b"  bad\n\tzone \x07 name "), "bad zone name");
        assert_eq!(
            quote("é".repeat(500).as_bytes()).chars().count(),
            QUOTE_CHARS + 1
        );
    }
}
