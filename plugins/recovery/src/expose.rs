//! The public way in: a controller, an address, and a record of the site that holds this address.
//!
//! A load balancer that is made now has an address that nobody knew before, and a flip may not touch the sites' own
//! records: so the record of the site gone to is checked, or written where the parameters say so, before the flip.

use serde_json::json;
use understudy_sdk::strategy::understudy::control::control::{self, Quantity};
use understudy_sdk::strategy::understudy::dns::dns;
use understudy_sdk::strategy::understudy::ingress::ingress;

use crate::Error;
use crate::plan::{At, Budget, DNS_LEAD, KUBERNETES_LEAD, Move, Reversal};
use crate::recovery::{Recovery, attach, recall_count, settled};

/// True where the strategy opens and closes the public way in.
#[must_use]
pub fn exposes(recovery: &Recovery) -> bool {
    recovery.parameters.expose
}

/// Has the application answer for the active name and the site's own on a public address.
pub const EXPOSE: Move = Move {
    title: "Open the public way in to {to}",
    role: KUBERNETES_LEAD,
    budget: Budget::Minutes(10),
    reversal: Reversal::Undo(close),
    acts: &[("expose", At::To)],
    uses: &["control", "ingress"],
    perform: expose,
};

/// Checks that the site's own record holds the address, or writes it there.
pub const CHECK_TARGET: Move = Move {
    title: "Check that the name of {to} leads to its public address",
    role: DNS_LEAD,
    budget: Budget::Minutes(5),
    reversal: Reversal::Nothing,
    acts: &[("check", At::To)],
    uses: &["control", "dns", "ingress"],
    perform: check_target,
};

/// Checks that the public way in is there and healthy, without changing it.
pub const CHECK_ENTRY: Move = Move {
    title: "Check the public way in to {to}",
    role: KUBERNETES_LEAD,
    budget: Budget::Minutes(5),
    reversal: Reversal::Nothing,
    acts: &[("check", At::To)],
    uses: &["control", "ingress"],
    perform: check_entry,
};

fn expose(recovery: &Recovery) -> Result<String, Error> {
    let parameters = &recovery.parameters;
    let (to, app) = (recovery.to(), &parameters.app);
    // A second attempt would see what the first one opened: the first look counts.
    let word = recovery.own("entry-before");
    if recall_count(&word)?.is_none() {
        let open = match ingress::observe(to, app) {
            Ok(seen) => !seen.addresses.is_empty(),
            Err(Error::NotFound(_)) => false,
            Err(error) => return Err(error),
        };
        control::measure(&word, &Quantity::Count(u64::from(open)))?;
    }
    ingress::ensure_controller(to)?;
    let hosts = [
        parameters.records.active.clone(),
        parameters.target(to).to_owned(),
    ];
    ingress::ensure_exposed(to, app, &hosts)?;
    let reached = |seen: &ingress::Observation| !seen.addresses.is_empty();
    let seen = settled(|| ingress::observe(to, app), reached)?;
    attach(
        "entry",
        &json!({"addresses": seen.addresses, "hosts": seen.hosts}),
    )?;
    if seen.addresses.is_empty() {
        return Err(Error::Conflict(format!(
            "{app} at {to} is exposed and has no public address"
        )));
    }
    Ok(format!(
        "{app} at {to} is reached at {}",
        seen.addresses.join(", ")
    ))
}

fn close(recovery: &Recovery) -> Result<String, Error> {
    let (to, app) = (recovery.to(), &recovery.parameters.app);
    if recall_count(&recovery.own("entry-before"))? != Some(0) {
        return Ok(format!("{app} at {to} was reachable from outside before"));
    }
    ingress::ensure_unexposed(to, app)?;
    Ok(format!("{app} at {to} is not reachable from outside"))
}

fn check_target(recovery: &Recovery) -> Result<String, Error> {
    let parameters = &recovery.parameters;
    let to = recovery.to();
    let name = parameters.target(to);
    let mut addresses = ingress::observe(to, &parameters.app)?.addresses;
    addresses.sort();
    let read = || match dns::get_record(name, "A") {
        Ok(record) => Ok(record.values),
        Err(Error::NotFound(_)) => Ok(Vec::new()),
        Err(error) => Err(error),
    };
    let leads = |found: &Vec<String>| addresses.iter().all(|address| found.contains(address));
    let found = read()?;
    if leads(&found) {
        return Ok(format!("{name} leads to {}", addresses.join(", ")));
    }
    if parameters.records.publish_target {
        dns::ensure_record(
            name,
            "A",
            Some(&found),
            &addresses,
            parameters.records.ttl_flip_seconds,
        )?;
        let shown = settled(read, leads)?;
        if !leads(&shown) {
            return Err(Error::Conflict(format!(
                "`{name}` was set to {addresses:?}, and its zone shows {shown:?}"
            )));
        }
        return Ok(format!("{name} leads to {} now", addresses.join(", ")));
    }
    Err(Error::Conflict(format!(
        "`{name}` holds {found:?}, and {to} is reached at {addresses:?}: write them into the record before the flip, or set \
         `records.publish-target` and grant `dns/ensure-record` on it"
    )))
}

fn check_entry(recovery: &Recovery) -> Result<String, Error> {
    let parameters = &recovery.parameters;
    let (to, app) = (recovery.to(), &parameters.app);
    let seen = ingress::observe(to, app)?;
    attach(
        "entry",
        &json!({"addresses": seen.addresses, "hosts": seen.hosts, "healthy": seen.healthy}),
    )?;
    let problem = if !seen.controller_ready {
        "its controller is not ready".to_owned()
    } else if seen.addresses.is_empty() {
        "it has no public address".to_owned()
    } else if !seen.hosts.contains(&parameters.records.active) {
        format!("it does not answer for {}", parameters.records.active)
    } else if !seen.healthy {
        "its health check fails".to_owned()
    } else {
        return Ok(format!(
            "{app} at {to} is reached at {} and healthy",
            seen.addresses.join(", ")
        ));
    };
    Err(Error::Conflict(format!(
        "the public way in to {to} is not ready: {problem}"
    )))
}
