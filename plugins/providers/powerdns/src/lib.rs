//! DNS through the HTTP API of a PowerDNS authoritative server (API v1, server 4.x and 5.x).
//!
//! # What it needs on the server
//! `api=yes`, `api-key=…`, `webserver=yes` behind TLS, `webserver-allow-from` naming the host's address, and the zone.
//! The binding's credential slot (`api` unless configured otherwise) is declared as the header `x-api-key`. The API
//! has no rights per record: **whoever holds the key may change every zone**. Which records a run may change is
//! therefore enforced by the host's grants on `dns/ensure-record`, and by giving the key to this binding alone. Grants
//! of the host for `http`: `GET` and `PATCH` on `/api/v1/servers/localhost/zones/ZONE.`.
//!
//! # What each function does there
//! * `get-record`: `GET` of the zone, narrowed to one record set.
//! * `get-zone-limits`: answers the configuration; sends nothing.
//! * `ensure-record`: `GET`; where the set is not as wanted and holds what was expected, one `PATCH` that replaces
//!   (or, for no values, deletes) exactly this set; `GET` again. `changed` is answered only when that last read shows
//!   the new set; until then `in-progress`.
//!
//! # Limits
//! * The API has no conditional update: between the read and the `PATCH` somebody else could still change the set. The
//!   window is one round trip; the last read shows the outcome.
//! * What the API shows is what this server answers once its own packet and query caches have expired (`cache-ttl`,
//!   `query-cache-ttl`: 20 s unless configured; set them to 0 or low for records that flip). Secondary servers are not
//!   looked at: `understudy:probe` sees what resolvers see.
//! * Types A, AAAA, CNAME, MX, NS, PTR, SRV, TXT. Contents that PowerDNS keeps switched off are left switched off.
//!
//! Start at [`Powerdns::ensure_record`](dns::Guest::ensure_record); decisions are in `rrset`, notation in the sdk's
//! `records`.

use understudy_sdk::host::understudy::{http::http, types::types::Error};
use understudy_sdk::provider::{
    Configured, in_progress, is_success, json_request, quote, read_json, response_error,
};
use understudy_sdk::records::{Wanted, known_kind, name_in_zone};

mod config;
mod rrset;

understudy_sdk::provider_bindings!("understudy:plugin/provider-dns");

use config::Config;
use exports::understudy::{dns::dns, plugin::provider};
use rrset::Zone;

/// Wait in milliseconds before a change that the API does not show yet is looked at again.
const POLL_AFTER_MS: u64 = 1000;

static CONFIG: Configured<Config> = Configured::new();

/// The provider.
struct Powerdns;

impl provider::Guest for Powerdns {
    fn describe() -> provider::Description {
        provider::Description {
            name: "powerdns".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "DNS records of one zone through PowerDNS' HTTP API".to_owned(),
            config_schema: config::SCHEMA.to_owned(),
        }
    }

    fn configure(config: String) -> Result<(), String> {
        CONFIG.set(Config::parse(&config)?)
    }
}

impl dns::Guest for Powerdns {
    fn get_record(name: String, kind: String) -> Result<dns::RecordSet, Error> {
        let config = CONFIG.get()?;
        let name = name_in_zone(&config.zone, &name)?;
        let zone = get_zone(config, &name, &kind)?;
        let set = zone
            .find(&name, &kind)
            .filter(|set| !set.values().is_empty())
            .ok_or_else(|| Error::NotFound(format!("{name} {kind} in zone {}", config.zone)))?;
        Ok(dns::RecordSet {
            values: set.values(),
            ttl_seconds: set.ttl_seconds(),
            name,
            kind,
        })
    }

    fn get_zone_limits(name: String) -> Result<dns::ZoneLimits, Error> {
        let config = CONFIG.get()?;
        name_in_zone(&config.zone, &name)?;
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
        let wanted = Wanted::parse(
            &config.zone,
            config.min_ttl_seconds,
            &name,
            kind,
            expected.as_deref(),
            &values,
            ttl_seconds,
        )?;
        let before = get_zone(config, &wanted.name, &wanted.kind)?;
        let Some(change) = rrset::change(&wanted, before.find(&wanted.name, &wanted.kind))? else {
            return Ok(dns::Outcome::Unchanged);
        };
        patch_zone(config, &change)?;
        let after = get_zone(config, &wanted.name, &wanted.kind)?;
        if rrset::is_met(&wanted, after.find(&wanted.name, &wanted.kind)) {
            Ok(dns::Outcome::Changed)
        } else {
            Ok(in_progress(
                format!("{} {}", wanted.name, wanted.kind),
                "waiting for the API to show the new record set",
                POLL_AFTER_MS,
            ))
        }
    }
}

/// Path of the zone. A zone's id in the API is its name with the last dot; its characters need no escaping.
fn zone_url(config: &Config) -> String {
    format!(
        "{}/api/v1/servers/{}/zones/{}.",
        config.server, config.server_id, config.zone
    )
}

/// Reads the zone, narrowed to one record set where the server can (4.6 and later; older ones send the whole zone).
fn get_zone(config: &Config, name: &str, kind: &str) -> Result<Zone, Error> {
    known_kind(kind)?;
    let url = format!("{}?rrset_name={name}.&rrset_type={kind}", zone_url(config));
    let response = http::send(&json_request("GET", url, None, Some(&config.credential)))?;
    let asked = format!("GET zone {}", config.zone);
    if !is_success(&response) {
        return Err(response_error(&asked, &response));
    }
    read_json(&asked, &response)
}

/// Sends the change.
fn patch_zone(config: &Config, change: &serde_json::Value) -> Result<(), Error> {
    let request = json_request(
        "PATCH",
        zone_url(config),
        Some(change),
        Some(&config.credential),
    );
    let response = http::send(&request)?;
    if is_success(&response) {
        return Ok(());
    }
    // 422 is both "the content is wrong" and "another record is in the way"; only the text tells them apart.
    if response.status == 422 && quote(&response.body).contains("Conflicts with") {
        return Err(Error::Conflict(format!(
            "PATCH zone {}: {}",
            config.zone,
            quote(&response.body)
        )));
    }
    Err(response_error(
        &format!("PATCH zone {}", config.zone),
        &response,
    ))
}

export!(Powerdns);
