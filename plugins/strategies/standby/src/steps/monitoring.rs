//! Monitoring itself works.

use understudy_recovery::Error;
use understudy_recovery::check::hold;
use understudy_recovery::plan::{At, Budget, Move, OBSERVER, Reversal};
use understudy_recovery::recovery::Recovery;

use crate::monitoring;
use crate::parameters::Standby;

/// Looks at what it measures and at the rules that would tell people. Changes nothing.
pub(crate) const CHECK_MONITORING: Move = Move {
    title: "Check that monitoring measures, and would tell people",
    role: OBSERVER,
    budget: Budget::Minutes(5),
    reversal: Reversal::Nothing,
    acts: &[("check", At::Nowhere)],
    uses: &["control"],
    perform: check_monitoring,
};

fn check_monitoring(recovery: &Recovery) -> Result<String, Error> {
    let own = Standby::of(recovery)?;
    hold(&monitoring::findings(&own.monitoring), "conditions")
}
