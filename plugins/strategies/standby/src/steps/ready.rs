//! The beginning and the end: the site that serves does, and the other waits as it should.

use understudy_recovery::plan::{At, Budget, Move, OBSERVER, Reversal};
use understudy_recovery::recovery::{Recovery, measure_duration, warn};
use understudy_recovery::{Error, check, words};
use understudy_sdk::strategy::understudy::control::control::{self, Quantity};

use crate::posture;

/// When the run began, for the last step.
const BEGUN: &str = "standby-begun";

/// How long it took from nothing to waiting.
const TOOK: &str = "time-to-standby";

/// The milestone of a site that waits as it should.
const MILESTONE: &str = "standby";

/// Fails where the site that serves does not, or the name does not lead there.
pub(crate) const CHECK_SERVING: Move = Move {
    title: "Check that {from} serves and the active name leads there",
    role: OBSERVER,
    budget: Budget::Minutes(5),
    reversal: Reversal::Nothing,
    acts: &[("check", At::From)],
    uses: &[
        "control",
        "certificates",
        "database",
        "dns",
        "ingress",
        "probe",
        "workload",
    ],
    perform: check_serving,
};

/// Looks at everything once more, changes nothing, and fails with what does not hold.
pub(crate) const CHECK_POSTURE: Move = Move {
    title: "Check that {to} is ready and not exposed",
    role: OBSERVER,
    budget: Budget::Minutes(5),
    reversal: Reversal::Nothing,
    acts: &[("check", At::From), ("check", At::To)],
    uses: &[
        "control",
        "certificates",
        "database",
        "dns",
        "ingress",
        "probe",
        "storage",
        "workload",
    ],
    perform: check_posture,
};

fn check_serving(recovery: &Recovery) -> Result<String, Error> {
    if control::recall(BEGUN)?.is_none() {
        control::measure(BEGUN, &Quantity::InstantMs(control::now()?))?;
    }
    let mut found = check::site_left(recovery);
    found.push(check::active_record(recovery));
    check::hold(&found, "conditions")
}

fn check_posture(recovery: &Recovery) -> Result<String, Error> {
    let line = check::hold(&posture::findings(recovery)?, "conditions")?;
    control::mark(MILESTONE, Some(recovery.to()))?;
    let Some(Quantity::InstantMs(begun_ms)) = control::recall(BEGUN)? else {
        return Ok(line);
    };
    let took_ms = control::now()?.saturating_sub(begun_ms);
    measure_duration(TOOK, took_ms)?;
    let took = words::duration(took_ms);
    if took_ms > recovery.rto_target_ms {
        let objective = words::duration(recovery.rto_target_ms);
        warn(&format!(
            "{} waits after {took}: longer than the recovery time objective of {objective}, which leaves out promotion and \
             restore",
            recovery.to()
        ))?;
    }
    Ok(format!("{line}; {} waits after {took}", recovery.to()))
}
