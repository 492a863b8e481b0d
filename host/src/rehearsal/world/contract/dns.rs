//! `understudy:dns/dns`.

use serde::{Deserialize, Serialize};

use super::super::World;
use super::super::resolver::Zone;
use super::{args, no_such_function, ok, outcome};
use crate::call::{CallError, Outcome, Reply, Request};

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct RecordSet<'a> {
    name: &'a str,
    kind: &'a str,
    values: &'a [String],
    ttl_seconds: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ZoneLimits<'a> {
    zone: &'a str,
    min_ttl_seconds: u32,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

#[derive(Deserialize)]
struct Record {
    name: String,
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct EnsureRecord {
    name: String,
    kind: String,
    expected: Option<Vec<String>>,
    values: Vec<String>,
    ttl_seconds: u32,
}

impl World {
    pub(crate) fn dns(&mut self, request: &Request) -> Reply {
        let Name { name } = args(request)?;
        let zone = &self.zone.name;
        if name != *zone && !name.ends_with(&format!(".{zone}")) {
            return Err(CallError::NotFound(format!("no zone holds `{name}`")));
        }
        match request.function.function.as_str() {
            "get-record" => self.get_record(&args(request)?),
            "get-zone-limits" => ok(&ZoneLimits {
                zone,
                min_ttl_seconds: self.zone.min_ttl_seconds,
            }),
            "ensure-record" => self.ensure_record(args(request)?),
            _ => no_such_function(request),
        }
    }

    fn get_record(&self, Record { name, kind }: &Record) -> Reply {
        match self.zone.get(name, kind) {
            Some(record) => ok(&RecordSet {
                name,
                kind,
                values: &record.values,
                ttl_seconds: record.ttl_seconds,
            }),
            None => Err(CallError::NotFound(format!(
                "no {kind} record set `{name}`"
            ))),
        }
    }

    fn ensure_record(&mut self, mut wanted: EnsureRecord) -> Reply {
        wanted.values.sort();
        let least = self.zone.min_ttl_seconds;
        if wanted.ttl_seconds < least {
            return Err(CallError::Invalid(format!(
                "a TTL of {} s is refused; the least is {least} s",
                wanted.ttl_seconds
            )));
        }
        let now = self.zone.get(&wanted.name, &wanted.kind);
        let values = now.map_or(&[][..], |record| record.values.as_slice());
        let same = values == wanted.values.as_slice();
        if same && now.is_none_or(|record| record.ttl_seconds == wanted.ttl_seconds) {
            return outcome(Outcome::Unchanged);
        }
        if let Some(mut expected) = wanted.expected.filter(|_| !same) {
            expected.sort();
            if values != expected.as_slice() {
                return Err(CallError::Conflict(format!(
                    "expected `{}` to hold {expected:?}, found {values:?}",
                    wanted.name
                )));
            }
        }
        let ttl = now.map(|record| record.ttl_seconds);
        self.note_change(&wanted.name, ttl, wanted.ttl_seconds, !same);
        self.set_record(
            &wanted.name,
            &wanted.kind,
            wanted.values,
            wanted.ttl_seconds,
        );
        outcome(Outcome::Changed)
    }

    /// Puts a record into the zone, whoever wants it.
    pub(crate) fn set_record(
        &mut self,
        name: &str,
        kind: &str,
        mut values: Vec<String>,
        ttl_seconds: u32,
    ) {
        values.sort();
        let before = self.current_address();
        self.population.renew(&self.zone, self.now);
        self.zone.set(name, kind, values, ttl_seconds);
        self.population.settle(&self.zone, self.now);
        if self.current_address() != before {
            self.note_flip();
        }
    }

    /// The address that the service's name leads to, as authoritative servers have it.
    pub(crate) fn current_address(&self) -> Option<String> {
        self.address_in(&self.zone)
    }

    /// The same, if the zone were this one.
    pub(crate) fn address_in(&self, zone: &Zone) -> Option<String> {
        let alias = zone
            .get(&self.clients.name, "CNAME")
            .and_then(|record| record.values.first());
        let name = alias.unwrap_or(&self.clients.name);
        zone.get(name, "A")?.values.first().cloned()
    }
}
