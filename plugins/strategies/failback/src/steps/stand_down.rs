//! Stand down: the site that is left goes back to what it is when it only waits.

use understudy_recovery::Error;
use understudy_recovery::expose::exposes;
use understudy_recovery::plan::{At, Budget, KUBERNETES_LEAD, Move, Reversal};
use understudy_recovery::recovery::{Recovery, recall_count};
use understudy_sdk::strategy::understudy::control::control::{self, Quantity};
use understudy_sdk::strategy::understudy::ingress::ingress;
use understudy_sdk::strategy::understudy::workload::workload;

use crate::parameters::{Failback, StandDown};

/// Scales the application at the site left to the decided number and closes its public way in.
pub(crate) const STAND_DOWN: Move = Move {
    title: "Stand the application at {from} down",
    role: KUBERNETES_LEAD,
    budget: Budget::Minutes(10),
    reversal: Reversal::Undo(stand_up_again),
    acts: &[("stand-down", At::From)],
    uses: &["control", "ingress", "workload"],
    perform: stand_down,
};

fn word(recovery: &Recovery) -> String {
    recovery.own("replicas-before-stand-down")
}

fn stand_down(recovery: &Recovery) -> Result<String, Error> {
    let (from, app) = (recovery.from(), &recovery.parameters.app);
    let own = Failback::of(recovery)?;
    if own.stand_down == StandDown::Keep {
        return Ok(format!("{app} at {from} is kept as it is, in maintenance"));
    }
    if recall_count(&word(recovery))?.is_none() {
        let before = workload::observe(from, app)?.desired;
        control::measure(&word(recovery), &Quantity::Count(u64::from(before)))?;
    }
    if exposes(recovery) {
        ingress::ensure_unexposed(from, app)?;
    }
    workload::ensure_scaled(from, app, own.standby_replicas)?;
    Ok(format!(
        "{} replicas of {app} at {from}",
        own.standby_replicas
    ))
}

fn stand_up_again(recovery: &Recovery) -> Result<String, Error> {
    let (from, parameters) = (recovery.from(), &recovery.parameters);
    let Some(before) = recall_count(&word(recovery))? else {
        return Ok(format!("{} at {from} was not touched", parameters.app));
    };
    let replicas = u32::try_from(before).unwrap_or(u32::MAX);
    workload::ensure_scaled(from, &parameters.app, replicas)?;
    if exposes(recovery) {
        let hosts = [
            parameters.records.active.clone(),
            parameters.target(from).to_owned(),
        ];
        ingress::ensure_exposed(from, &parameters.app, &hosts)?;
    }
    Ok(format!(
        "{replicas} replicas of {} at {from} again",
        parameters.app
    ))
}
