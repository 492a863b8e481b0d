//! DNS for organisations whose zone is generated from one JSON document behind HTTP: a file in an object store, a small
//! service, a repository's raw endpoint.
//!
//! # The document
//! ```json
//! { "zone": "example.test", "pending": false, "records": [
//!   { "name": "wp-active.example.test", "type": "CNAME", "ttl-seconds": 60, "values": ["wp-pz.example.test"] } ] }
//! ```
//! One entry per name and type. Names are fully qualified; a last dot is ignored. Fields this provider does not know
//! are carried along. `pending` is optional: where the publishing side sets it to `true` while the name servers do not
//! answer with the newest contents, `ensure-record` waits for it.
//!
//! # What it needs on the server
//! `GET` answers the document with a strong `etag`; `PUT` with `if-match` stores it and answers 2xx, or 412 where the
//! document has changed since. Without that comparison two writers would undo each other, so a document without a
//! strong `etag` is refused. A credential, if any, in the binding's slot, and grants of the host for `GET` and `PUT` on
//! this one address.
//!
//! # What each function does there
//! * `get-record`: `GET`.
//! * `get-zone-limits`: answers the configuration; sends nothing.
//! * `ensure-record`: `GET`, change one entry, `PUT` with `if-match`, `GET` again. A lost race is looked at anew, so that
//!   compare-and-set holds over the whole exchange.
//!
//! # Limits
//! Contents of values are not checked: the document's publisher does that. Without `pending`, what the document says is
//! taken for what the name servers answer; `understudy:probe` sees what resolvers see. Documents of at most 1 MiB (a
//! request's limit).
//!
//! Start at [`JsonZone::ensure_record`](dns::Guest::ensure_record); decisions are in `document`.

use serde::Deserialize;
use understudy_sdk::host::understudy::{http::http, types::types::Error};
use understudy_sdk::provider::{
    Configured, header, header_value, in_progress, is_success, json_request, response_error,
};

mod document;

understudy_sdk::provider_bindings!("understudy:plugin/provider-dns");

use document::{Change, Document, Wanted, is_in_zone, normal_name, normal_values};
use exports::understudy::{dns::dns, plugin::provider};

/// JSON Schema of [`Config`], as `describe` answers it.
const SCHEMA: &str = include_str!("config.schema.json");

/// Wait in milliseconds before a document that is being published, or was changed by somebody else, is looked at again.
const POLL_AFTER_MS: u64 = 500;

static CONFIG: Configured<Config> = Configured::new();

/// See `config.schema.json` for what each field means.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Config {
    url: String,
    zone: String,
    #[serde(default = "one")]
    min_ttl_seconds: u32,
    #[serde(default)]
    credential: Option<String>,
}

fn one() -> u32 {
    1
}

/// The provider.
struct JsonZone;

impl provider::Guest for JsonZone {
    fn describe() -> provider::Description {
        provider::Description {
            name: "json-zone".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "DNS records of a zone kept as one JSON document behind HTTP".to_owned(),
            config_schema: SCHEMA.to_owned(),
        }
    }

    fn configure(config: String) -> Result<(), String> {
        let mut config: Config =
            serde_json::from_str(&config).map_err(|error| error.to_string())?;
        config.zone = normal_name(&config.zone);
        CONFIG.set(config)
    }
}

impl dns::Guest for JsonZone {
    fn get_record(name: String, kind: String) -> Result<dns::RecordSet, Error> {
        let config = CONFIG.get()?;
        let name = name_in_zone(config, &name)?;
        let set = get_document(config)?
            .0
            .find(&name, &kind)?
            .filter(|set| !set.values.is_empty())
            .ok_or_else(|| {
                Error::NotFound(format!(
                    "{name} {kind} in the document of zone {}",
                    config.zone
                ))
            })?;
        Ok(dns::RecordSet {
            name: set.name,
            kind: set.kind,
            values: set.values,
            ttl_seconds: set.ttl_seconds,
        })
    }

    fn get_zone_limits(name: String) -> Result<dns::ZoneLimits, Error> {
        let config = CONFIG.get()?;
        name_in_zone(config, &name)?;
        Ok(dns::ZoneLimits {
            zone: config.zone.clone(),
            min_ttl_seconds: config.min_ttl_seconds,
        })
    }

    fn ensure_record(
        name: String,
        kind: String,
        expected: Option<Vec<String>>,
        values: Vec<String>,
        ttl_seconds: u32,
    ) -> Result<dns::Outcome, Error> {
        let config = CONFIG.get()?;
        if ttl_seconds < config.min_ttl_seconds {
            return Err(Error::Invalid(format!(
                "a TTL of {ttl_seconds} s is below the {} s that zone {} accepts",
                config.min_ttl_seconds, config.zone
            )));
        }
        let wanted = Wanted {
            name: name_in_zone(config, &name)?,
            expected: expected.map(|values| normal_values(&kind, &values)),
            values: normal_values(&kind, &values),
            kind,
            ttl_seconds,
        };
        let (document, etag) = get_document(config)?;
        let Change::Put(changed) = document.change(&wanted)? else {
            return Ok(if document.is_pending() {
                waiting(&wanted, "waiting for the name servers")
            } else {
                dns::Outcome::Unchanged
            });
        };
        if !put_document(config, &changed, &strong(config, etag)?)? {
            return Ok(waiting(
                &wanted,
                "somebody else changed the document at the same moment",
            ));
        }
        let (after, _) = get_document(config)?;
        match after.change(&wanted)? {
            Change::None if !after.is_pending() => Ok(dns::Outcome::Changed),
            _ => Ok(waiting(&wanted, "waiting for the name servers")),
        }
    }
}

fn waiting(wanted: &Wanted, description: &str) -> dns::Outcome {
    in_progress(
        format!("{} {}", wanted.name, wanted.kind),
        description,
        POLL_AFTER_MS,
    )
}

/// The name, normalised; `invalid` where the zone does not hold it.
fn name_in_zone(config: &Config, name: &str) -> Result<String, Error> {
    let normal = normal_name(name);
    if is_in_zone(&normal, &config.zone) {
        return Ok(normal);
    }
    Err(Error::Invalid(format!(
        "`{name}` is not a name in zone {}; bind the provider of the zone that holds it",
        config.zone
    )))
}

/// The tag, if it can be compared byte by byte (RFC 9110, 8.8.3).
fn strong(config: &Config, etag: Option<String>) -> Result<String, Error> {
    etag.filter(|etag| !etag.starts_with("W/")).ok_or_else(|| {
        Error::Conflict(format!(
            "{} answers no strong etag, so a change could undo somebody else's; have the server send one",
            config.url
        ))
    })
}

/// Reads the document and its tag.
fn get_document(config: &Config) -> Result<(Document, Option<String>), Error> {
    let response = http::send(&json_request(
        "GET",
        config.url.clone(),
        None,
        config.credential.as_deref(),
    ))?;
    if !is_success(&response) {
        return Err(response_error(&format!("GET {}", config.url), &response));
    }
    let etag = header_value(&response, "etag").map(str::to_owned);
    Ok((Document::parse(&response.body, &config.zone)?, etag))
}

/// Stores the document; false where it has changed since it was read.
fn put_document(config: &Config, document: &serde_json::Value, etag: &str) -> Result<bool, Error> {
    let mut request = json_request(
        "PUT",
        config.url.clone(),
        Some(document),
        config.credential.as_deref(),
    );
    request.headers.push(header("if-match", etag));
    let response = http::send(&request)?;
    match response.status {
        412 => Ok(false),
        _ if is_success(&response) => Ok(true),
        _ => Err(response_error(&format!("PUT {}", config.url), &response)),
    }
}

export!(JsonZone);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_strong_tags_are_compared_with() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let config: Config = serde_json::from_value(schema["examples"][0].clone()).unwrap();
        assert_eq!(strong(&config, Some("\"7\"".to_owned())).unwrap(), "\"7\"");
        assert!(matches!(
            strong(&config, Some("W/\"7\"".to_owned())),
            Err(Error::Conflict(_))
        ));
        assert!(matches!(strong(&config, None), Err(Error::Conflict(_))));
    }
}
