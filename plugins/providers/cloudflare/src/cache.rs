//! Caches of the vendor's network: whether a name passes through them, and that they drop what they hold of it.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use understudy_sdk::host::understudy::types::types::{Error, Outcome};
use understudy_sdk::records::name_in_zone;

use crate::config::Config;
use crate::record::Record;
use crate::{PER_PAGE, Zone, api, find_zone};

/// Types of records that lead users somewhere.
const LEADING: [&str; 3] = ["A", "AAAA", "CNAME"];

/// Aliases of a name that are followed in the zone. A longer chain is taken for one that leaves it.
const MAX_ALIASES: usize = 4;

/// Names purged by one request: what the document of the API allows. Where the vendor's pages allow more it is no harm.
const HOSTS_AT_ONCE: usize = 30;

/// True where a name is proxied, or is an alias of one that is.
///
/// # Errors
/// `not-found`: the zone leads the name nowhere. As [`api::all`].
pub(crate) fn is_cached(config: &Config, host: &str) -> Result<bool, Error> {
    let zone = find_zone(config)?;
    let mut name = name_in_zone(&config.zone, host)?;
    let mut records = known(config, &zone, &name)?;
    for _ in 0..MAX_ALIASES {
        if records.iter().any(|record| record.proxied) {
            return Ok(true);
        }
        let alias = records.iter().find(|record| record.kind == "CNAME");
        let target = alias.map(|record| name_in_zone(&config.zone, &record.value()));
        let Some(Ok(target)) = target else {
            break;
        };
        name = target;
        records = leading(config, &zone, &name)?;
    }
    Ok(false)
}

/// Purges what is held of these names, or of the whole zone where the configuration says so.
///
/// # Errors
/// `invalid`: no name. `not-found`: one that the zone leads nowhere; nothing was purged. As [`api::one`].
pub(crate) fn purge(config: &Config, hosts: &[String]) -> Result<Outcome, Error> {
    if hosts.is_empty() {
        return Err(Error::Invalid("no name to purge".to_owned()));
    }
    let zone = find_zone(config)?;
    let mut names = BTreeSet::new();
    for host in hosts {
        let name = name_in_zone(&config.zone, host)?;
        known(config, &zone, &name)?;
        names.insert(name);
    }
    let path = format!("/zones/{}/purge_cache", zone.id);
    for body in bodies(&names, config.purge_everything) {
        api::one::<Value>(config, "POST", &path, Some(&body))?;
    }
    Ok(Outcome::Changed)
}

/// What is sent, one body per request.
fn bodies(names: &BTreeSet<String>, everything: bool) -> Vec<Value> {
    if everything {
        return vec![json!({ "purge_everything": true })];
    }
    let names: Vec<&String> = names.iter().collect();
    let requests = names.chunks(HOSTS_AT_ONCE);
    requests.map(|hosts| json!({ "hosts": hosts })).collect()
}

/// The records that lead a name somewhere.
fn leading(config: &Config, zone: &Zone, name: &str) -> Result<Vec<Record>, Error> {
    let path = format!("/zones/{}/dns_records", zone.id);
    let mut records: Vec<Record> = api::all(config, &path, &format!("name={name}"), PER_PAGE)?;
    records.retain(|record| LEADING.contains(&record.kind.as_str()));
    Ok(records)
}

/// The same, of which there must be one.
fn known(config: &Config, zone: &Zone, name: &str) -> Result<Vec<Record>, Error> {
    let records = leading(config, zone, name)?;
    if records.is_empty() {
        let text = format!("zone {} leads {name} nowhere", config.zone);
        return Err(Error::NotFound(text));
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_purged_so_many_at_once_or_everything_is() {
        let names: BTreeSet<String> = (10..41).map(|n| format!("{n}.example.test")).collect();
        let sent = bodies(&names, false);
        let counts: Vec<usize> = sent
            .iter()
            .map(|b| b["hosts"].as_array().unwrap().len())
            .collect();
        assert_eq!(counts, [30, 1]);
        assert_eq!(sent[1], json!({ "hosts": ["40.example.test"] }));
        assert_eq!(bodies(&names, true), [json!({ "purge_everything": true })]);
    }
}
