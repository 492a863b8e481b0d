//! DNS by dynamic updates (RFC 2136) of one zone, signed by TSIG: BIND, Knot, PowerDNS, and whatever else speaks it.
//!
//! # What it needs on the server
//! A key (`tsig-keygen`, `keymgr -t`, `pdnsutil generate-tsig-key`) that may ask for and update the records in question, and
//! no others where the server can say so: `update-policy { grant KEY name wp-active.example.test. CNAME; };` in BIND, an ACL
//! with `update-owner-name` in Knot. In PowerDNS (`dnsupdate=yes`, metadata `TSIG-ALLOW-DNSUPDATE`) a key may change its
//! whole zone. Questions are signed with the same key, so the server has to know it for them too, which is the default.
//!
//! In the binding: the server in `name-servers`, and grants in `dns-update` for the records that shall change.
//!
//! # What each function does there
//! * `get-record`: asks the server itself for the record set, by TCP, not recursively.
//! * `get-zone-limits`: the zone of the binding's name server, and the configuration; sends nothing.
//! * `ensure-record`: asks; where the set is not as wanted and holds what was expected, **one** message with what the set
//!   holds as its prerequisite and the whole new set. The server compares and changes in one step, so of two that change
//!   the same record one is told that it lost. Then the server, and the secondaries that the configuration names, are asked:
//!   `changed` is answered once all of them answer with the new set; until then `in-progress`.
//!
//! # Limits
//! * Where nothing is `expected`, the update has no prerequisite on the set's contents: it is replaced whatever it holds.
//! * An alias beside other records would be dropped in silence (RFC 2136, 3.4.2.2), so both ways it is a prerequisite that
//!   nothing is in the way: a `conflict`.
//! * A set that only a wildcard answers for cannot be compared and set: the server has no such set. `conflict`.
//! * Types A, AAAA, CNAME, MX, NS, PTR, SRV, TXT.
//!
//! Start at [`Rfc2136::ensure_record`](dns::Guest::ensure_record); what has to be sent is decided in `update`, notation in
//! the sdk's `records`.

use understudy_sdk::host::understudy::dns_update::dns_update::{self, RecordSet, SetName};
use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::provider::{Configured, in_progress};
use understudy_sdk::records::{Wanted, known_kind, name_in_zone};

mod config;
mod update;

understudy_sdk::provider_bindings!("understudy:plugin/provider-dns");

use config::Config;
use exports::understudy::{dns::dns, plugin::provider};

/// Wait in milliseconds before servers that do not answer with a change yet are asked again: a zone transfer after a
/// NOTIFY takes about as long.
const POLL_AFTER_MS: u64 = 1000;

static CONFIG: Configured<Config> = Configured::new();

/// The provider.
struct Rfc2136;

impl provider::Guest for Rfc2136 {
    fn describe() -> provider::Description {
        provider::Description {
            name: "rfc2136".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "DNS records of one zone by dynamic updates (RFC 2136) with TSIG".to_owned(),
            config_schema: config::SCHEMA.to_owned(),
        }
    }

    fn configure(config: String) -> Result<(), String> {
        CONFIG.set(Config::parse(&config)?)
    }
}

impl dns::Guest for Rfc2136 {
    fn get_record(name: String, kind: String) -> Result<dns::RecordSet, Error> {
        let server = &CONFIG.get()?.server;
        let zone = dns_update::get_zone(server)?;
        let name = name_in_zone(&zone, &name)?;
        known_kind(&kind)?;
        let set = look(server, &name, &kind)?
            .ok_or_else(|| Error::NotFound(format!("{name} {kind} in zone {zone}")))?;
        Ok(dns::RecordSet {
            values: update::values(&set),
            ttl_seconds: set.ttl_seconds,
            name,
            kind,
        })
    }

    fn get_zone_limits(name: String) -> Result<dns::ZoneLimits, Error> {
        let config = CONFIG.get()?;
        let zone = dns_update::get_zone(&config.server)?;
        name_in_zone(&zone, &name)?;
        Ok(dns::ZoneLimits {
            zone,
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
        let zone = dns_update::get_zone(&config.server)?;
        known_kind(&kind)?;
        let wanted = Wanted::parse(
            &zone,
            config.min_ttl_seconds,
            &name,
            kind,
            expected.as_deref(),
            &values,
            ttl_seconds,
        )?;
        let now = look(&config.server, &wanted.name, &wanted.kind)?;
        let update = update::update(&wanted, now.as_ref())?;
        if let Some(update) = &update {
            let changes = std::slice::from_ref(&update.change);
            let sent = dns_update::update(&config.server, &update.prerequisites, changes);
            if let Err(Error::Conflict(said)) = sent {
                return lost(config, &wanted, &said);
            }
            sent?;
        }
        // Where nothing was sent, the primary has just been asked.
        let primary = update.as_ref().map(|_| &config.server);
        match not_answering_yet(primary.into_iter().chain(&config.secondaries), &wanted)? {
            Some(server) => Ok(in_progress(
                format!("{} {}", wanted.name, wanted.kind),
                format!("waiting for {server} to answer with the new record set"),
                POLL_AFTER_MS,
            )),
            None if update.is_some() => Ok(dns::Outcome::Changed),
            None => Ok(dns::Outcome::Unchanged),
        }
    }
}

/// The record set as a server answers it; none where its zone has no such set.
fn look(server: &str, name: &str, kind: &str) -> Result<Option<RecordSet>, Error> {
    let set = SetName {
        name: name.to_owned(),
        kind: kind.to_owned(),
    };
    match dns_update::get_record_set(server, &set) {
        Err(Error::NotFound(_)) => Ok(None),
        answer => answer.map(Some),
    }
}

/// Somebody was faster, or something else is in the way: what the set holds now says which.
fn lost(config: &Config, wanted: &Wanted, said: &str) -> Result<dns::Outcome, Error> {
    let now = look(&config.server, &wanted.name, &wanted.kind)?;
    if update::is_met(wanted, now.as_ref()) {
        return Ok(dns::Outcome::Unchanged);
    }
    wanted.check(&now.as_ref().map(update::values).unwrap_or_default())?;
    Err(Error::Conflict(said.to_owned()))
}

/// The first of these servers that does not answer with what is wanted.
fn not_answering_yet<'a>(
    servers: impl Iterator<Item = &'a String>,
    wanted: &Wanted,
) -> Result<Option<&'a str>, Error> {
    for server in servers {
        let now = look(server, &wanted.name, &wanted.kind)?;
        if !update::is_met(wanted, now.as_ref()) {
            return Ok(Some(server));
        }
    }
    Ok(None)
}

export!(Rfc2136);
