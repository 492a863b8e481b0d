//! The site that waits is made of its code: what differs is looked at, a person is asked where something would be lost, and
//! it is applied.

use serde_json::json;
use understudy_recovery::Error;
use understudy_recovery::infrastructure::{as_json, losses};
use understudy_recovery::plan::{At, Budget, INCIDENT_COMMANDER, KUBERNETES_LEAD, Move, Reversal};
use understudy_recovery::recovery::{Recovery, attach};
use understudy_sdk::strategy::understudy::infrastructure::infrastructure::{self, Difference};

use crate::parameters::Standby;
use crate::{guard, stacks};

/// Applies the code of each stack, one after the other, and reads what it gives out.
///
/// It is not taken back: what is there then is what the code says.
pub(crate) const BUILD: Move = Move {
    title: "Have the infrastructure of {to} as its code says",
    role: KUBERNETES_LEAD,
    budget: Budget::Minutes(60),
    reversal: Reversal::Nothing,
    acts: &[("provision", At::To)],
    uses: &["control", "database", "dns", "infrastructure", "probe"],
    perform: build,
};

fn build(recovery: &Recovery) -> Result<String, Error> {
    let own = Standby::of(recovery)?;
    let mut said = Vec::new();
    for stack in &own.stacks {
        said.push(build_one(recovery, stack)?);
    }
    Ok(said.join("; "))
}

fn build_one(recovery: &Recovery, stack: &str) -> Result<String, Error> {
    let to = recovery.to();
    let found = infrastructure::observe_difference(to, stack)?;
    attach(&format!("difference-of-{stack}"), &as_json(&found))?;
    if !found.changes.is_empty() {
        ask_before_loss(recovery, stack, &found)?;
        guard::insist_for_infrastructure(recovery)?;
        infrastructure::ensure_applied(to, stack)?;
        let left = infrastructure::observe_difference(to, stack)?;
        if !left.changes.is_empty() {
            return Err(Error::Conflict(format!(
                "{stack} at {to} was applied, and applying it again would {}",
                stacks::named(&left)
            )));
        }
    }
    let outputs = infrastructure::get_outputs(to, stack)?;
    let told: Vec<_> = outputs
        .iter()
        .map(|output| json!({"name": output.name, "value": output.value}))
        .collect();
    attach(&format!("outputs-of-{stack}"), &json!(told))?;
    Ok(format!(
        "{stack}: {} changes, {} outputs",
        found.changes.len(),
        outputs.len()
    ))
}

/// What is replaced or destroyed is lost with what it holds: a person answers for it.
fn ask_before_loss(recovery: &Recovery, stack: &str, found: &Difference) -> Result<(), Error> {
    let lost = losses(found);
    if lost.is_empty() {
        return Ok(());
    }
    let to = recovery.to();
    recovery.ask(
        INCIDENT_COMMANDER,
        format!("Apply {stack} at {to}, which loses {} resources?", lost.len()),
        format!(
            "Applying it would {}. Whatever is replaced or destroyed is lost with what it holds; {to} waits and does not \
             serve. No-go leaves it as it is.",
            stacks::named(found)
        ),
    )?;
    Ok(())
}
