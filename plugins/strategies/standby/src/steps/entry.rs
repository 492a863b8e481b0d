//! The public way in of the site that waits is closed.

use understudy_recovery::Error;
use understudy_recovery::plan::{At, Budget, KUBERNETES_LEAD, Move, Reversal};
use understudy_recovery::recovery::{Recovery, settled};
use understudy_sdk::strategy::understudy::ingress::ingress;

use crate::guard;

/// Has nothing lead in to the application from outside.
///
/// It is not opened again when the run is taken back: a way in that nobody is led by serves nobody.
pub(crate) const CLOSE_ENTRY: Move = Move {
    title: "Close the public way in to {to}",
    role: KUBERNETES_LEAD,
    budget: Budget::Minutes(10),
    reversal: Reversal::Nothing,
    acts: &[("stand-down", At::To)],
    uses: &["control", "database", "dns", "ingress"],
    perform: close_entry,
};

fn close_entry(recovery: &Recovery) -> Result<String, Error> {
    guard::insist(recovery)?;
    let (to, app) = (recovery.to(), &recovery.parameters.app);
    ingress::ensure_unexposed(to, app)?;
    let open = || match ingress::observe(to, app) {
        Err(Error::NotFound(_)) => Ok(Vec::new()),
        answer => answer.map(|seen| [seen.addresses, seen.hosts].concat()),
    };
    let left = settled(open, Vec::is_empty)?;
    if left.is_empty() {
        return Ok(format!("{app} at {to} is not reachable from outside"));
    }
    Err(Error::Conflict(format!(
        "{app} at {to} was closed, and is still reachable from outside: {}",
        left.join(", ")
    )))
}
