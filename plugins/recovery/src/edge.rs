//! Caches in front of the service: that they drop what they hold of the site that was left.
//!
//! A cache goes on answering with what it fetched before the flip for as long as it keeps it, and it is filled again
//! from wherever its network is led. So it is purged once the name has converged and no resolver that honours the TTL
//! leads to the site left any more. Before that it would fetch pages of that site again; and where that site is dead,
//! it would lose pages that users can still read and find none in their place. Nothing that users need waits for it: a
//! recovery whose purge fails goes on, and says who still gets what.

use serde_json::json;
use understudy_sdk::strategy::understudy::control::control;
use understudy_sdk::strategy::understudy::edge_cache::edge_cache;
use understudy_sdk::strategy::understudy::probe::probe::{self, Vantage};

use crate::plan::{At, Budget, DNS_LEAD, Move, Reversal};
use crate::recovery::{Recovery, attach, settled, warn};
use crate::{Error, Finding, check, dns, fault};

/// True where there are caches in front of the service.
#[must_use]
pub fn is_cached(recovery: &Recovery) -> bool {
    !recovery.parameters.cached_hosts.is_empty()
}

/// Waits until resolvers have forgotten the site left, purges the caches in front of the service, and looks whether
/// users still get pages of that site. Warns, and never fails, where they cannot be purged or somebody does.
pub const PURGE: Move = Move {
    title: "Purge what caches hold of {from}",
    role: DNS_LEAD,
    budget: Budget::Minutes(10),
    reversal: Reversal::Nothing,
    acts: &[("check", At::To)],
    uses: &["control", "dns", "edge-cache", "probe"],
    perform: purge,
};

/// Whether there is a cache in front of each name that is said to have one.
#[must_use]
pub fn findings(recovery: &Recovery) -> Vec<Finding> {
    let hosts = recovery.parameters.cached_hosts.iter();
    let finding = |host: &String| {
        let seen = edge_cache::observe(host);
        check::judged(&format!("cache-of-{host}"), seen, |seen| {
            let is = if seen.cached { "is a" } else { "is no" };
            (seen.cached, format!("there {is} cache in front of {host}"))
        })
    };
    hosts.map(finding).collect()
}

fn purge(recovery: &Recovery) -> Result<String, Error> {
    let hosts = &recovery.parameters.cached_hosts;
    let names = hosts.join(", ");
    // A zone that cannot be asked now is no reason to leave users with old pages.
    let left_ms = dns::until_forgotten_ms(recovery).unwrap_or(0);
    if left_ms > 0 {
        control::sleep(left_ms)?;
    }
    let purged = edge_cache::ensure_purged(hosts, &recovery.token());
    let left = left_behind(recovery);
    let mut said = vec![match purged {
        Ok(_) => format!("the caches in front of {names} are purged"),
        Err(error) => {
            let why = fault::say(&error);
            let text = format!(
                "the caches in front of {names} could not be purged: {why}; have their vendor purge these names, until then \
                 users may get pages of {}",
                recovery.from()
            );
            warn(&text)?;
            text
        }
    }];
    said.push(match left {
        Ok((0, of)) => format!("none of {of} vantage points gets pages of {}", recovery.from()),
        Ok((left, of)) => {
            let text = format!(
                "{left} of {of} vantage points still get pages of {}: where their resolvers follow, purge {names} once more, or \
                 wait until the caches let go of them",
                recovery.from()
            );
            warn(&text)?;
            text
        }
        Err(error) => format!("what users get was not seen: {}", fault::say(&error)),
    });
    Ok(said.join("; "))
}

/// Vantage points that get pages of the site left, of how many, once they had time to get others.
fn left_behind(recovery: &Recovery) -> Result<(usize, usize), Error> {
    let Some(journey) = recovery.parameters.journeys.first() else {
        return Ok((0, 0));
    };
    let is_left = |vantage: &&Vantage| vantage.zone.as_deref() == Some(recovery.from());
    let seen = settled(
        || probe::observe_vantages(recovery.to(), journey),
        |seen| !seen.iter().any(|vantage| is_left(&vantage)),
    )?;
    let all: Vec<_> = seen
        .iter()
        .map(|vantage| json!({"resolver": vantage.resolver, "status": vantage.status, "zone": vantage.zone}))
        .collect();
    attach("vantage-points", &json!(all))?;
    Ok((seen.iter().filter(is_left).count(), seen.len()))
}
