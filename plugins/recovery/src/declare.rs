//! Declare: a person decides that the service moves.

use understudy_sdk::strategy::understudy::control::control;

use crate::Error;
use crate::plan::{At, Budget, INCIDENT_COMMANDER, Move, Reversal};
use crate::recovery::Recovery;
use crate::words;

/// Asks the incident commander, and sets `declared`. In an outage `outage-detected` is set before the question, so that
/// the time the decision takes is on record.
pub const DECLARE: Move = Move {
    title: "Decide to move the service from {from} to {to}",
    role: INCIDENT_COMMANDER,
    budget: Budget::Minutes(15),
    reversal: Reversal::Nothing,
    acts: &[("declare", At::Nowhere)],
    uses: &["control"],
    perform: |recovery| declare(recovery, recovery.ungraceful()),
};

/// The same for a move away from a site that serves, whatever the run began with: the way back.
pub const DECLARE_PLANNED: Move = Move {
    perform: |recovery| declare(recovery, false),
    ..DECLARE
};

fn declare(recovery: &Recovery, outage: bool) -> Result<String, Error> {
    let parameters = &recovery.parameters;
    let (from, to, app) = (recovery.from(), recovery.to(), &parameters.app);
    if outage {
        recovery.mark_from("outage-detected")?;
    }
    let promise = if outage {
        format!(
            "{from} is taken for dead: what its database had not replicated may be lost, and a person answers for the fence where {from} does not."
        )
    } else {
        "Everything that could be prepared is ready. Go also says that the bridge is open and the change window approved; writes stop from here until the new writer is ready.".to_owned()
    };
    let decision = recovery.ask(
        INCIDENT_COMMANDER,
        format!("Move {app} from {from} to {to}?"),
        format!(
            "{promise} Recovery point objective: {}. No-go takes back what was prepared and changes nothing else.",
            words::duration(recovery.rpo_target_ms)
        ),
    )?;
    recovery.mark_to("declared")?;
    let asked_for = match control::recall_mark("outage-detected", Some(from))? {
        Some(detected) => format!(
            ", {} after detection",
            words::duration(control::now()?.saturating_sub(detected))
        ),
        None => String::new(),
    };
    Ok(format!(
        "{} decided to move {app} to {to}{asked_for}",
        decision.by
    ))
}
