//! Object storage for media through the API of Amazon S3, as servers of many makers speak it.
//!
//! # What it needs there
//! A bucket per site, reached by path (`https://SERVER/BUCKET/KEY`), and an access key that may list it, and read and write
//! the marker `PREFIX.understudy/marker`. The binding's credential slot (`s3` unless configured otherwise) signs requests: scheme
//! `aws-sigv4`, service `s3`. Grants of the host for `http`: `GET` and `PUT` on the bucket's address. Copying one bucket to the
//! other is the storage's own, or a program's: this provider only looks at what has arrived.
//!
//! # What each function does there
//! * `observe`: `PUT` and `GET` of the marker; where another site's bucket is copied here, `ListObjectsV2` of both. The lag is
//!   the age of the oldest object that has not arrived, zero where all have, by the clock of the source's server. Where the
//!   source does not answer, there is no lag to tell.
//! * `ensure-synced`: `ListObjectsV2` of both, until nothing is missing. Something has arrived where there is an object of its
//!   key and size, unless both have a digest as their tag, these differ, and the one here is the older one: large uploads
//!   have tags that differ between servers. While somebody keeps writing to the source it goes on waiting; freeze first.
//!
//! # Limits
//! * 200000 objects under the prefix. Times are whole seconds.
//! * What was deleted at the source and is still here is not looked for.
//!
//! Start at [`S3::observe`](storage::Guest::observe); lists and their comparison are in `listing`.

use understudy_sdk::host::understudy::http::http::{self, Request, Response};
use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::provider::{
    Configured, header_value, in_progress, is_success, percent_encoded, response_error,
};
use understudy_sdk::time::parse_http_date;

mod config;
mod listing;

understudy_sdk::provider_bindings!("understudy:plugin/provider-storage");

use config::{Config, Place};
use exports::understudy::{plugin::provider, storage::storage};
use listing::{Missing, Objects, Page, missing};

/// Key of the marker, after the prefix.
const MARKER: &str = ".understudy/marker";

/// Most pages of a list, of 1000 objects each.
const MAX_PAGES: usize = 200;

/// Wait in milliseconds before the buckets are compared again.
const POLL_AFTER_MS: u64 = 1_000;

static CONFIG: Configured<Config> = Configured::new();

/// The provider.
struct S3;

impl provider::Guest for S3 {
    fn describe() -> provider::Description {
        provider::Description {
            name: "s3".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Buckets at servers that speak the API of Amazon S3".to_owned(),
            config_schema: config::SCHEMA.to_owned(),
        }
    }

    fn configure(config: String) -> Result<(), String> {
        CONFIG.set(Config::parse(&config)?)
    }
}

impl storage::Guest for S3 {
    fn observe(site: String, bucket: String) -> Result<storage::Observation, Error> {
        let (place, source) = CONFIG.get()?.place(&site, &bucket)?;
        let writable = is_allowed(
            &format!("PUT {MARKER} at {site}"),
            &place.send("PUT", &place.marker())?,
        )?;
        let found = place.send("GET", &place.marker())?;
        // Who may not write may look for a marker that nobody has written.
        let readable =
            is_missing_object(&found) || is_allowed(&format!("GET {MARKER} at {site}"), &found)?;
        let lag = match source.filter(|_| readable) {
            Some(source) => lag_ms(source, place)?,
            None => None,
        };
        Ok(storage::Observation {
            readable,
            writable,
            replication_lag_ms: lag,
        })
    }

    fn ensure_synced(site: String, bucket: String) -> Result<storage::Outcome, Error> {
        let (place, source) = CONFIG.get()?.place(&site, &bucket)?;
        let Some(source) = source else {
            return Ok(storage::Outcome::Unchanged);
        };
        let (Missing { count, oldest }, _) = compared(source, place)?;
        Ok(match oldest {
            None => storage::Outcome::Unchanged,
            Some(oldest) => in_progress(
                format!("sync {bucket} to {site}"),
                format!(
                    "{count} objects are on their way, among them {}",
                    oldest.key
                ),
                POLL_AFTER_MS,
            ),
        })
    }
}

impl Place {
    fn marker(&self) -> String {
        format!("{}/{}/{}{MARKER}", self.endpoint, self.bucket, self.prefix)
    }

    fn send(&self, method: &str, url: &str) -> Result<Response, Error> {
        http::send(&Request {
            method: method.to_owned(),
            url: url.to_owned(),
            headers: Vec::new(),
            body: match method {
                "PUT" => b"Written by a recovery run, to see whether it can be.\n".to_vec(),
                _ => Vec::new(),
            },
            credential: Some(self.credential.clone()),
        })
    }

    fn objects(&self) -> Objects<impl FnMut(Option<&str>) -> Result<Page, Error> + '_> {
        Objects::new(|from| self.page(from), MAX_PAGES)
    }

    fn page(&self, from: Option<&str>) -> Result<Page, Error> {
        let mut url = format!("{}/{}?list-type=2", self.endpoint, self.bucket);
        for (name, value) in [
            ("continuation-token", from.unwrap_or_default()),
            ("prefix", &self.prefix),
        ] {
            if !value.is_empty() {
                url.push_str(&format!("&{name}={}", percent_encoded(value)));
            }
        }
        let asked = format!("the list of {}", self.bucket);
        let response = self.send("GET", &url)?;
        if !is_success(&response) {
            return Err(response_error(&asked, &response));
        }
        let at = header_value(&response, "date").and_then(parse_http_date);
        let text = String::from_utf8_lossy(&response.body);
        Page::read(&text, at.unwrap_or_default())
            .map_err(|problem| Error::Other(format!("{asked}: {problem}")))
    }
}

/// Whether a request was allowed; an error where that is not what the answer is about. A key that is unknown, or that
/// signs wrongly, is refused with the same status and is no answer.
fn is_allowed(asked: &str, response: &Response) -> Result<bool, Error> {
    match (response.status, code(response).as_str()) {
        (200..=299, _) => Ok(true),
        (403, "AccessDenied" | "AllAccessDisabled") | (405, _) => Ok(false),
        _ => Err(response_error(asked, response)),
    }
}

fn is_missing_object(response: &Response) -> bool {
    response.status == 404 && code(response) == "NoSuchKey"
}

/// What the server calls its refusal; empty where it does not say.
fn code(response: &Response) -> String {
    let text = String::from_utf8_lossy(&response.body);
    let code = text.split_once("<Code>");
    let code = code.and_then(|(_, rest)| rest.split_once("</Code>"));
    code.map_or_else(String::new, |(code, _)| code.to_owned())
}

/// By how much a place is behind its source; none where the source does not answer.
fn lag_ms(source: &Place, place: &Place) -> Result<Option<u64>, Error> {
    match compared(source, place) {
        Ok((missing, at_ms)) => {
            Ok(Some(missing.oldest.map_or(0, |oldest| {
                at_ms.saturating_sub(oldest.written_at_ms)
            })))
        }
        Err(Error::Unavailable(_) | Error::TimedOut(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a place does not have of its source, and the time at the source then, in milliseconds since the epoch.
fn compared(source: &Place, place: &Place) -> Result<(Missing, u64), Error> {
    let mut from = source.objects();
    let found = missing(
        &mut from,
        &mut place.objects(),
        &format!("{}{MARKER}", source.prefix),
    )?;
    Ok((found, from.at_ms))
}

export!(S3);

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, code: &str) -> Response {
        Response {
            status,
            headers: Vec::new(),
            body: format!("<Error><Code>{code}</Code><Message>m</Message></Error>").into_bytes(),
        }
    }

    #[test]
    fn a_refusal_is_an_answer_and_a_wrong_key_is_none() {
        assert!(matches!(is_allowed("x", &response(200, "")), Ok(true)));
        assert!(matches!(
            is_allowed("x", &response(403, "AccessDenied")),
            Ok(false)
        ));
        for code in [
            "SignatureDoesNotMatch",
            "InvalidAccessKeyId",
            "RequestTimeTooSkewed",
        ] {
            let Err(Error::Invalid(text)) = is_allowed("x", &response(403, code)) else {
                panic!("{code}")
            };
            assert!(text.contains(code), "{text}");
        }
        let missing = is_allowed("x", &response(404, "NoSuchBucket"));
        assert!(matches!(missing, Err(Error::NotFound(_))));
        assert!(is_missing_object(&response(404, "NoSuchKey")));
    }
}
