//! Infrastructure as code, once the recovery is over: what of it differs from its code now, and the site left destroyed where
//! that was decided.

use understudy_recovery::infrastructure::as_json;
use understudy_recovery::plan::{At, Budget, KUBERNETES_LEAD, Move, Reversal};
use understudy_recovery::recovery::{Recovery, attach, warn};
use understudy_recovery::{Error, fault};
use understudy_sdk::strategy::understudy::control::control::{self, Quantity};
use understudy_sdk::strategy::understudy::infrastructure::infrastructure::{self, Difference};

use crate::parameters::{Failback, StandDown};

/// Destroys what the stacks made at the site left, from the last that was applied to the first. Nobody is led there any more, and its data is protected elsewhere: the plan
/// is held to that.
pub(crate) const DESTROY: Move = Move {
    title: "Destroy the infrastructure of {from}",
    role: KUBERNETES_LEAD,
    budget: Budget::Minutes(30),
    reversal: Reversal::PointOfNoReturn,
    acts: &[("destroy", At::From)],
    uses: &["infrastructure"],
    perform: destroy,
};

/// Compares the code of both sites with what is there, but for what was destroyed just now. A recovery promotes, restores and scales outside the code: whoever
/// applies it next should know what it would take back.
pub(crate) const CHECK_DRIFT: Move = Move {
    title: "Compare the infrastructure of both sites with its code",
    role: KUBERNETES_LEAD,
    budget: Budget::Minutes(10),
    reversal: Reversal::Nothing,
    acts: &[("check", At::Nowhere)],
    uses: &["control", "infrastructure"],
    perform: check_drift,
};

/// True where the parameters name stacks.
pub(crate) fn has_stacks(recovery: &Recovery) -> bool {
    Failback::of(recovery).is_ok_and(|own| !own.stacks.is_empty())
}

/// True where the site left is destroyed.
pub(crate) fn destroys(recovery: &Recovery) -> bool {
    Failback::of(recovery).is_ok_and(|own| own.stand_down == StandDown::Destroy)
}

fn destroy(recovery: &Recovery) -> Result<String, Error> {
    let (from, stacks) = (recovery.from(), Failback::of(recovery)?.stacks);
    for stack in stacks.iter().rev() {
        infrastructure::ensure_destroyed(from, stack)?;
    }
    Ok(format!(
        "nothing of {} is left at {from}",
        stacks.join(", ")
    ))
}

fn check_drift(recovery: &Recovery) -> Result<String, Error> {
    let own = Failback::of(recovery)?;
    let mut said = Vec::new();
    for stack in &own.stacks {
        for site in [recovery.to(), recovery.from()] {
            let is_gone = own.stand_down == StandDown::Destroy && site == recovery.from();
            if !is_gone {
                said.push(drift_of(stack, site)?);
            }
        }
    }
    Ok(format!(
        "resources that differ from their code: {}",
        said.join(", ")
    ))
}

/// What differs from the code of a stack at a site, measured, attached and in words.
fn drift_of(stack: &str, site: &str) -> Result<String, Error> {
    match infrastructure::observe_difference(site, stack) {
        Ok(found) => {
            let changes = u64::try_from(found.changes.len()).unwrap_or(u64::MAX);
            let name = format!("drift-of-{stack}-{site}");
            control::measure(&name, &Quantity::Count(changes))?;
            attach(&name, &as_json(&found))?;
            if !found.changes.is_empty() {
                warn(&format!(
                    "applying the code of {stack} at {site} would change {changes} resources, {} first: reconcile the code before",
                    address(&found)
                ))?;
            }
            Ok(format!("{changes} of {stack} at {site}"))
        }
        Err(error @ Error::Denied(_)) => Err(error),
        // The recovery is over, whatever the tool has to say.
        Err(error) => {
            let words = fault::say(&error);
            warn(&format!(
                "{stack} at {site} could not be compared with its code: {words}"
            ))?;
            Ok(format!("unknown of {stack} at {site}"))
        }
    }
}

fn address(found: &Difference) -> &str {
    found
        .changes
        .first()
        .map_or("", |change| change.address.as_str())
}
