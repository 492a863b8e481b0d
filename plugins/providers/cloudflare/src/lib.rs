//! DNS, and the caches in front of proxied names, through Cloudflare's API v4.
//!
//! # What it needs there
//! An API token with *Zone Read* and *DNS Edit* on this zone alone, in the binding's credential slot (`api` unless
//! configured otherwise) as `bearer`. A token has no rights per record: **whoever holds it may change the whole zone**,
//! so which records a run may change is enforced by the host's grants on `dns/ensure-record`. Grants of the host for
//! `http`: `GET` on `/client/v4/zones`; `GET`, `POST`, `PATCH`, `DELETE` on `/client/v4/zones/ID/dns_records`. With
//! `zone-id` and `plan` configured nothing else is asked for.
//!
//! To purge caches: *Zone Read*, *DNS Read* and *Cache Purge* on this zone, best in a token of its own; grants for `GET` on
//! `/client/v4/zones/ID/dns_records` and `POST` on `/client/v4/zones/ID/purge_cache`.
//!
//! # What each function does there
//! * `get-record`: `GET` of the records of this name and type.
//! * `get-zone-limits`: the plan of the configuration, else that of the zone: 30 s on Enterprise, else 60 s.
//! * `ensure-record`: `GET`; where the set is not as wanted and holds what was expected, `PATCH` of the one record by
//!   its id (`POST` for a first or further value, `DELETE` for one less); `GET` again. `changed` is answered only when
//!   that last read shows the new set. Ids, comments, tags and the proxied flag stay as they are.
//! * `edge-cache/observe`: whether the name, or one of the zone that it is an alias of, is proxied.
//! * `edge-cache/ensure-purged`: `GET` of each name's records, so that a name that is none is told; then `POST
//!   purge_cache` with the names, at most 30 in one request, or with `purge_everything` where `purge-everything` is
//!   configured: for a plan that refuses names. The vendor keeps no record of a purge and does not tell when it is
//!   everywhere, so it is always `changed`, and the token is not used.
//!
//! # Limits
//! * The API has no conditional update: between the read and the `PATCH` somebody else could still change the record.
//!   The window is one round trip. A record that was replaced in between has another id, which is a `conflict`; so is a
//!   set that the last read shows as somebody else's.
//! * One value per call: see `change`.
//! * A TTL of 1 is "automatic" there. It is read as the 300 s that resolvers are told, and never written but for
//!   proxied records, which have no other.
//! * A proxied record answers with Cloudflare's addresses, not with what it holds: `understudy:probe` cannot see by
//!   names where it leads.
//! * Types A, AAAA, CNAME, MX, NS, PTR, SRV, TXT.
//! * A name that only a wildcard record leads somewhere is not found to have a cache, nor purged.
//! * Purges are limited per account (5 a minute on the smallest plan), and a throttled one comes back as `unavailable`.
//!   What browsers keep is not purged.
//!
//! Start at [`Cloudflare::ensure_record`](dns::Guest::ensure_record); decisions are in `change`, requests in `api`,
//! caches in `cache`.

use serde::Deserialize;
use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::provider::{Configured, in_progress};
use understudy_sdk::records::{Wanted, known_kind, name_in_zone, shown};

mod api;
mod cache;
mod change;
mod config;
mod record;

understudy_sdk::provider_bindings!(
    "understudy:cloudflare/cloudflare",
    inline: "package understudy:cloudflare; world cloudflare {
        include understudy:plugin/provider-base@0.1.0;
        export understudy:dns/dns@0.1.0;
        export understudy:edge-cache/edge-cache@0.1.0;
    }"
);

use change::Change;
use config::Config;
use exports::understudy::{dns::dns, edge_cache::edge_cache, plugin::provider};
use record::{Record, values};

/// Wait in milliseconds before a change that the API does not show yet is looked at again.
const POLL_AFTER_MS: u64 = 1000;

/// Shortest TTL in seconds, on Enterprise and on other plans.
/// Source: <https://developers.cloudflare.com/dns/manage-dns-records/reference/ttl/>.
const MIN_TTL_SECONDS: (u32, u32) = (30, 60);

/// Records and zones asked for at once.
const PER_PAGE: u32 = 50;

static CONFIG: Configured<Config> = Configured::new();

/// The provider.
struct Cloudflare;

/// The zone.
#[derive(Debug)]
struct Zone {
    id: String,
    min_ttl_seconds: u32,
}

/// A zone as the API has it.
#[derive(Debug, Deserialize)]
struct Listed {
    id: String,
    name: String,
    #[serde(default)]
    plan: Option<Plan>,
}

#[derive(Debug, Deserialize)]
struct Plan {
    #[serde(default)]
    legacy_id: String,
}

impl provider::Guest for Cloudflare {
    fn describe() -> provider::Description {
        provider::Description {
            name: "cloudflare".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "DNS records and caches of one zone through Cloudflare's API v4".to_owned(),
            config_schema: config::SCHEMA.to_owned(),
        }
    }

    fn configure(config: String) -> Result<(), String> {
        CONFIG.set(Config::parse(&config)?)
    }
}

impl dns::Guest for Cloudflare {
    fn get_record(name: String, kind: String) -> Result<dns::RecordSet, Error> {
        let config = CONFIG.get()?;
        let name = name_in_zone(&config.zone, &name)?;
        known_kind(&kind)?;
        let records = list(config, &find_zone(config)?, &name, &kind)?;
        // Of several times to live the longest is what a resolver may keep.
        let ttl_seconds = records.iter().map(Record::ttl_seconds).max();
        Ok(dns::RecordSet {
            ttl_seconds: ttl_seconds
                .ok_or_else(|| Error::NotFound(format!("{name} {kind} in zone {}", config.zone)))?,
            values: values(&records),
            name,
            kind,
        })
    }

    fn get_zone_limits(name: String) -> Result<dns::ZoneLimits, Error> {
        let config = CONFIG.get()?;
        name_in_zone(&config.zone, &name)?;
        Ok(dns::ZoneLimits {
            zone: config.zone.clone(),
            min_ttl_seconds: find_zone(config)?.min_ttl_seconds,
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
        let zone = find_zone(config)?;
        let wanted = Wanted::parse(
            &config.zone,
            zone.min_ttl_seconds,
            &name,
            kind,
            expected.as_deref(),
            &values,
            ttl_seconds,
        )?;
        let before = list(config, &zone, &wanted.name, &wanted.kind)?;
        let changes = change::changes(&wanted, &before)?;
        if changes.is_empty() {
            return Ok(dns::Outcome::Unchanged);
        }
        for change in &changes {
            send(config, &zone, &wanted, &before, change)?;
        }
        settle(
            &wanted,
            &before,
            &list(config, &zone, &wanted.name, &wanted.kind)?,
        )
    }
}

impl edge_cache::Guest for Cloudflare {
    fn observe(host: String) -> Result<edge_cache::Observation, Error> {
        let cached = cache::is_cached(CONFIG.get()?, &host)?;
        Ok(edge_cache::Observation { cached })
    }

    fn ensure_purged(hosts: Vec<String>, _: String) -> Result<edge_cache::Outcome, Error> {
        cache::purge(CONFIG.get()?, &hosts)
    }
}

/// Judges what is there after the change.
fn settle(wanted: &Wanted, before: &[Record], after: &[Record]) -> Result<dns::Outcome, Error> {
    if change::is_met(wanted, after) {
        return Ok(dns::Outcome::Changed);
    }
    let (old, now) = (values(before), values(after));
    if now == wanted.values || now == old {
        return Ok(in_progress(
            format!("{} {}", wanted.name, wanted.kind),
            "waiting for the API to show the new record set",
            POLL_AFTER_MS,
        ));
    }
    Err(Error::Conflict(format!(
        "{} {} was set to {} and holds {} right after: somebody else changed it at the same moment",
        wanted.name,
        wanted.kind,
        shown(&wanted.values),
        shown(&now)
    )))
}

/// The zone: what the configuration says of it, and for the rest the API.
fn find_zone(config: &Config) -> Result<Zone, Error> {
    let (id, plan) = match (&config.zone_id, &config.plan) {
        (Some(id), Some(plan)) => (id.clone(), plan.clone()),
        (id, plan) => {
            let listed = match id {
                Some(id) => api::one(config, "GET", &format!("/zones/{id}"), None)?,
                None => search_zone(config)?,
            };
            if listed.name != config.zone {
                return Err(Error::Invalid(format!(
                    "zone {} is {}, not {}: correct `zone-id`",
                    listed.id, listed.name, config.zone
                )));
            }
            let asked = listed.plan.map(|plan| plan.legacy_id).unwrap_or_default();
            (listed.id, plan.clone().unwrap_or(asked))
        }
    };
    let (enterprise, other) = MIN_TTL_SECONDS;
    Ok(Zone {
        id,
        min_ttl_seconds: if plan == "enterprise" {
            enterprise
        } else {
            other
        },
    })
}

/// The one zone of this name that the token sees.
fn search_zone(config: &Config) -> Result<Listed, Error> {
    let query = format!("name={}", config.zone);
    let mut found: Vec<Listed> = api::all(config, "/zones", &query, PER_PAGE)?;
    found.retain(|zone| zone.name == config.zone);
    match (found.pop(), found.len()) {
        (Some(zone), 0) => Ok(zone),
        (Some(_), more) => Err(Error::Conflict(format!(
            "the token sees {} zones called {}: name one by `zone-id`",
            more + 1,
            config.zone
        ))),
        (None, _) => Err(Error::NotFound(format!(
            "the API token in slot `{}` sees no zone {}; check its zone resources",
            config.credential, config.zone
        ))),
    }
}

/// The records of this name and type.
fn list(config: &Config, zone: &Zone, name: &str, kind: &str) -> Result<Vec<Record>, Error> {
    let path = format!("/zones/{}/dns_records", zone.id);
    api::all(config, &path, &format!("name={name}&type={kind}"), PER_PAGE)
}

fn send(
    config: &Config,
    zone: &Zone,
    wanted: &Wanted,
    before: &[Record],
    change: &Change,
) -> Result<(), Error> {
    let records = format!("/zones/{}/dns_records", zone.id);
    let (method, path, body) = match change {
        Change::Create(body) => ("POST", records, Some(body)),
        Change::Patch { id, body } => ("PATCH", format!("{records}/{id}"), Some(body)),
        Change::Delete { id } => ("DELETE", format!("{records}/{id}"), None),
    };
    match (
        change,
        api::one::<serde_json::Value>(config, method, &path, body),
    ) {
        (Change::Patch { .. } | Change::Delete { .. }, Err(Error::NotFound(text))) => {
            Err(Error::Conflict(format!(
                "{} {} held {} a moment ago, and its record is gone before it could be made {}: somebody else changed it ({text})",
                wanted.name,
                wanted.kind,
                shown(&values(before)),
                shown(&wanted.values)
            )))
        }
        (_, answer) => answer.map(drop),
    }
}

export!(Cloudflare);
