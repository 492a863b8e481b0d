//! Infrastructure as code, once the recovery is over: what of it differs from its code now, and the site left destroyed where
//! that was decided.

use understudy_recovery::infrastructure::as_json;
use understudy_recovery::plan::{At, Budget, KUBERNETES_LEAD, Move, Reversal};
use understudy_recovery::recovery::{Recovery, attach, warn};
use understudy_recovery::{Error, fault};
use understudy_sdk::strategy::understudy::control::control::{self, Quantity};
use understudy_sdk::strategy::understudy::infrastructure::infrastructure::{self, Difference};

use crate::parameters::{Failback, StandDown};

/// Destroys what the stack made at the site left. Nobody is led there any more, and its data is protected elsewhere: the plan
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

/// Compares the code of both sites with what is there. A recovery promotes, restores and scales outside the code: whoever
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

/// True where the parameters name a stack.
pub(crate) fn has_stack(recovery: &Recovery) -> bool {
    Failback::of(recovery).is_ok_and(|own| own.stack.is_some())
}

/// True where the site left is destroyed.
pub(crate) fn destroys(recovery: &Recovery) -> bool {
    Failback::of(recovery).is_ok_and(|own| own.stand_down == StandDown::Destroy)
}

fn stack(recovery: &Recovery) -> Result<String, Error> {
    let named = Failback::of(recovery)?.stack;
    named.ok_or_else(|| Error::Invalid("the parameters name no `stack`".to_owned()))
}

fn destroy(recovery: &Recovery) -> Result<String, Error> {
    let (from, stack) = (recovery.from(), stack(recovery)?);
    infrastructure::ensure_destroyed(from, &stack)?;
    Ok(format!("nothing of {stack} is left at {from}"))
}

fn check_drift(recovery: &Recovery) -> Result<String, Error> {
    let stack = stack(recovery)?;
    let mut said = Vec::new();
    for site in [recovery.to(), recovery.from()] {
        match infrastructure::observe_difference(site, &stack) {
            Ok(found) => {
                let changes = u64::try_from(found.changes.len()).unwrap_or(u64::MAX);
                control::measure(&format!("drift-{site}"), &Quantity::Count(changes))?;
                attach(&format!("drift-{site}"), &as_json(&found))?;
                if !found.changes.is_empty() {
                    warn(&format!(
                        "applying the code of {stack} at {site} would change {changes} resources, {} first: reconcile the code before",
                        address(&found)
                    ))?;
                }
                said.push(format!("{changes} at {site}"));
            }
            Err(error @ Error::Denied(_)) => return Err(error),
            // The recovery is over, whatever the tool has to say.
            Err(error) => {
                let words = fault::say(&error);
                warn(&format!(
                    "{stack} at {site} could not be compared with its code: {words}"
                ))?;
                said.push(format!("unknown at {site}"));
            }
        }
    }
    Ok(format!(
        "resources that differ from the code of {stack}: {}",
        said.join(", ")
    ))
}

fn address(found: &Difference) -> &str {
    found
        .changes
        .first()
        .map_or("", |change| change.address.as_str())
}
