//! The cluster of the site that waits has what an application can stand on.

use understudy_recovery::Error;
use understudy_recovery::check::hold;
use understudy_recovery::plan::{At, Budget, KUBERNETES_LEAD, Move, Reversal};
use understudy_recovery::recovery::Recovery;

use crate::cluster;
use crate::parameters::Standby;

/// Looks at nodes, namespaces, the platform's pods and ranges of addresses before anything is built on them. Changes nothing.
pub(crate) const CHECK_CLUSTER: Move = Move {
    title: "Check that the cluster at {to} is whole",
    role: KUBERNETES_LEAD,
    budget: Budget::Minutes(5),
    reversal: Reversal::Nothing,
    acts: &[("check", At::To)],
    uses: &["control", "kubernetes"],
    perform: check_cluster,
};

fn check_cluster(recovery: &Recovery) -> Result<String, Error> {
    let own = Standby::of(recovery)?;
    hold(&cluster::findings(recovery, &own.cluster), "conditions")
}
