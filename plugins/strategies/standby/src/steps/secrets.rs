//! Secrets and configuration of the site that waits are those of the site that serves.

use understudy_recovery::Error;
use understudy_recovery::check::hold;
use understudy_recovery::plan::{At, Budget, KUBERNETES_LEAD, Move, Reversal};
use understudy_recovery::recovery::Recovery;

use crate::mirror;
use crate::parameters::Standby;

/// Compares them before the application stands on them. Sees no value and changes nothing.
pub(crate) const CHECK_SECRETS: Move = Move {
    title: "Check that secrets and configuration at {to} are those of {from}",
    role: KUBERNETES_LEAD,
    budget: Budget::Minutes(5),
    reversal: Reversal::Nothing,
    acts: &[("check", At::From), ("check", At::To)],
    uses: &["control", "kubernetes"],
    perform: check_secrets,
};

fn check_secrets(recovery: &Recovery) -> Result<String, Error> {
    let own = Standby::of(recovery)?;
    hold(&mirror::findings(recovery, &own.mirrored), "conditions")
}
