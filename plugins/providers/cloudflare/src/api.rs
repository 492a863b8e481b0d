//! Requests to the API: its envelope, its pages, its errors in its own words.

use std::fmt::Write as _;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use understudy_sdk::host::understudy::http::http::{self, Response};
use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::provider::{is_success, json_request, quote, read_json, status_error};

use crate::config::Config;

/// Pages read of one list. A list that is longer is an error, not cut off.
const MAX_PAGES: u32 = 100;

/// What every answer is wrapped in.
#[derive(Debug, Deserialize)]
struct Envelope<T> {
    success: bool,
    result: Option<T>,
    #[serde(default)]
    result_info: Option<PageInfo>,
}

/// Where in a list a page is. `total_count` is left out: it does not count what the query narrowed down to.
#[derive(Debug, Deserialize)]
struct PageInfo {
    #[serde(default)]
    per_page: Option<u64>,
    #[serde(default)]
    total_pages: Option<u32>,
}

/// The part of an answer that says what went wrong.
#[derive(Debug, Deserialize)]
struct Failure {
    #[serde(default)]
    errors: Vec<Said>,
}

/// One error.
#[derive(Debug, Deserialize)]
struct Said {
    code: u64,
    message: String,
    #[serde(default)]
    error_chain: Vec<Said>,
}

/// Codes of a token that is malformed, unknown or may not do this; some come with status 400.
const TOKEN_CODES: [u64; 7] = [6003, 6103, 6111, 9106, 9109, 10000, 10001];

/// Codes of a record that another record is in the way of; they come with status 400.
const IN_THE_WAY_CODES: [u64; 4] = [81053, 81054, 81057, 81058];

/// One answer's `result`.
///
/// # Errors
/// As [`failed`].
pub(crate) fn one<T: DeserializeOwned>(
    config: &Config,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<T, Error> {
    let (envelope, asked) = send::<T>(config, method, path, body)?;
    envelope
        .result
        .ok_or_else(|| Error::Other(format!("{asked}: a success without a result")))
}

/// Every entry of a list. `query` begins without `?`.
///
/// # Errors
/// As [`failed`]; `other` for a list without an end.
pub(crate) fn all<T: DeserializeOwned>(
    config: &Config,
    path: &str,
    query: &str,
    per_page: u32,
) -> Result<Vec<T>, Error> {
    let mut entries = Vec::new();
    for page in 1..=MAX_PAGES {
        let path = format!("{path}?{query}&page={page}&per_page={per_page}");
        let (envelope, _) = send::<Vec<T>>(config, "GET", &path, None)?;
        let found = envelope.result.unwrap_or_default();
        let is_last = is_last(page, found.len(), envelope.result_info.as_ref());
        entries.extend(found);
        if is_last {
            return Ok(entries);
        }
    }
    Err(Error::Other(format!(
        "GET {path}: more than {MAX_PAGES} pages of {per_page}"
    )))
}

/// Whether a page with this many entries is the last one.
fn is_last(page: u32, entries: usize, info: Option<&PageInfo>) -> bool {
    let Some(info) = info else { return true };
    match (info.total_pages, info.per_page) {
        _ if entries == 0 => true,
        (Some(total), _) => page >= total,
        // The page may be smaller than was asked for; the answer says how large pages are.
        (None, Some(per_page)) => u64::try_from(entries).unwrap_or(u64::MAX) < per_page,
        (None, None) => true,
    }
}

fn send<T: DeserializeOwned>(
    config: &Config,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<(Envelope<T>, String), Error> {
    let asked = format!("{method} {}", path.split('?').next().unwrap_or(path));
    let response = http::send(&json_request(
        method,
        format!("{}{path}", config.server),
        body,
        Some(&config.credential),
    ))?;
    if !is_success(&response) {
        return Err(failed(&asked, &response));
    }
    let envelope: Envelope<T> = read_json(&asked, &response)?;
    if envelope.success {
        Ok((envelope, asked))
    } else {
        Err(failed(&asked, &response))
    }
}

/// A refusal in the vendor's words: its codes and messages where the body holds them.
///
/// `invalid` for a token that is wrong or may not do this, `conflict` for a record that is in the way, else by status
/// (`status_error`); `other` for a success that says that it is none.
fn failed(asked: &str, response: &Response) -> Error {
    let errors = serde_json::from_slice::<Failure>(&response.body)
        .map(|failure| failure.errors)
        .unwrap_or_default();
    let said = words(&errors).unwrap_or_else(|| quote(&response.body));
    let any = |codes: &[u64]| errors.iter().any(|error| codes.contains(&error.code));
    let text = || format!("{asked}: HTTP {}: {said}", response.status);
    if (400..500).contains(&response.status) && response.status != 429 {
        if any(&TOKEN_CODES) {
            return Error::Invalid(format!(
                "{}; check the API token in the binding's slot: it needs Zone Read and DNS Edit on this zone, and Cache Purge to purge caches",
                text()
            ));
        }
        if any(&IN_THE_WAY_CODES) {
            return Error::Conflict(text());
        }
    }
    status_error(asked, response, &said)
}

/// `1004 DNS Validation Error (9005 Content for A record is invalid)`.
fn words(errors: &[Said]) -> Option<String> {
    let mut text = String::new();
    for error in errors {
        let separator = if text.is_empty() { "" } else { "; " };
        let message = quote(error.message.as_bytes());
        write!(text, "{separator}{} {message}", error.code).ok()?;
        if let Some(chain) = words(&error.error_chain) {
            write!(text, " ({chain})").ok()?;
        }
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use understudy_sdk::provider::header;

    use super::*;

    fn refused(status: u16, code: u64, message: &str) -> Error {
        let body = json!({ "success": false, "result": null, "messages": [], "errors": [
            { "code": code, "message": message, "error_chain": [{ "code": 9005, "message": "not an address" }] }] });
        let response = Response {
            status,
            headers: vec![header("retry-after", "7")],
            body: body.to_string().into_bytes(),
        };
        failed("PATCH /x", &response)
    }

    #[test]
    fn a_refusal_is_told_in_the_vendors_words() {
        let error = refused(400, 1004, "DNS Validation Error");
        assert!(
            matches!(&error, Error::Invalid(text)
                if text == "PATCH /x: HTTP 400: 1004 DNS Validation Error (9005 not an address)"),
            "{error:?}"
        );
        let bare = Response {
            status: 520,
            headers: Vec::new(),
            body: b"<h1>error</h1>".to_vec(),
        };
        assert!(matches!(failed("GET /x", &bare), Error::Unavailable(hint)
            if hint.reason.contains("<h1>error</h1>")));
    }

    #[test]
    fn a_wrong_token_a_record_in_the_way_and_a_throttle_are_told_apart() {
        for (status, code) in [(400, 6003), (403, 9109), (403, 10000)] {
            assert!(matches!(refused(status, code, "no"), Error::Invalid(text)
                if text.contains("check the API token")));
        }
        assert!(matches!(refused(400, 81053, "exists"), Error::Conflict(_)));
        assert!(matches!(refused(429, 971, "wait"), Error::Unavailable(hint)
            if hint.after_ms == Some(7000) && hint.reason.contains("971 wait")));
        assert!(matches!(refused(404, 81044, "gone"), Error::NotFound(_)));
    }

    #[test]
    fn the_last_page_is_known_by_its_number_or_by_its_length() {
        let info = |per_page, total_pages| PageInfo {
            per_page,
            total_pages,
        };
        for (page, entries, info, expected) in [
            (1, 5, None, true),
            (1, 5, Some(info(Some(5), Some(2))), false),
            (2, 5, Some(info(Some(5), Some(2))), true),
            (1, 5, Some(info(Some(5), None)), false),
            (2, 4, Some(info(Some(5), None)), true),
            (2, 0, Some(info(Some(5), Some(9))), true),
            (1, 5, Some(info(None, None)), true),
        ] {
            assert_eq!(
                is_last(page, entries, info.as_ref()),
                expected,
                "{page} {info:?}"
            );
        }
    }
}
