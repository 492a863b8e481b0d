//! The name of the site that waits is there, and nothing leads to it.

use understudy_recovery::Error;
use understudy_recovery::plan::{At, Budget, DNS_LEAD, Move, Reversal};
use understudy_recovery::recovery::{Recovery, settled};
use understudy_sdk::strategy::understudy::dns::dns::{self, RecordSet};

use crate::parameters::Standby;

/// Kinds of records by which a site's name may lead to it.
const KINDS: [&str; 3] = ["A", "AAAA", "CNAME"];

/// Has the name of the site that waits exist. One that exists is left as it is.
pub(crate) const RESERVE_NAME: Move = Move {
    title: "Reserve the name of {to}",
    role: DNS_LEAD,
    budget: Budget::Minutes(5),
    reversal: Reversal::Nothing,
    acts: &[("check", At::To)],
    uses: &["control", "dns"],
    perform: reserve_name,
};

fn reserve_name(recovery: &Recovery) -> Result<String, Error> {
    let parameters = &recovery.parameters;
    let name = parameters.target(recovery.to());
    if let Some(record) = find(name)? {
        return Ok(format!(
            "{name} is there: {} {:?}",
            record.kind, record.values
        ));
    }
    let Some(address) = Standby::of(recovery)?.reserved_address else {
        return Err(Error::Conflict(format!(
            "there is no record `{name}`: add it, or name a `reserved-address` that it is to hold until the site has one"
        )));
    };
    let kind = if address.is_ipv4() { "A" } else { "AAAA" };
    let values = [address.to_string()];
    let ttl_seconds = parameters.records.ttl_normal_seconds;
    dns::ensure_record(name, kind, Some(&[]), &values, ttl_seconds)?;
    let there = settled(|| find(name), Option::is_some)?;
    if there.is_none() {
        return Err(Error::Conflict(format!(
            "`{name}` was set to {values:?}, and its zone does not show it"
        )));
    }
    Ok(format!("{name} is reserved: {kind} {address}"))
}

fn find(name: &str) -> Result<Option<RecordSet>, Error> {
    for kind in KINDS {
        match dns::get_record(name, kind) {
            Err(Error::NotFound(_)) => {}
            answer => return answer.map(Some),
        }
    }
    Ok(None)
}
