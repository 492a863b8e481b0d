//! Certificates can be issued at the site that waits.

use understudy_recovery::plan::Move;
use understudy_recovery::recovery::Recovery;
use understudy_recovery::{Error, check, plan};
use understudy_sdk::strategy::understudy::certificates::certificates;

/// Issues and deletes a throw-away certificate there, and there alone: the site that serves is not touched.
pub(crate) const CHECK_ISSUING: Move = Move {
    title: "Issue and delete a throw-away certificate at {to}",
    acts: &[("check", plan::At::To)],
    perform: check_issuing,
    ..check::CHECK_ISSUING
};

fn check_issuing(recovery: &Recovery) -> Result<String, Error> {
    let (to, parameters) = (recovery.to(), &recovery.parameters);
    let issuer = &parameters.certificate.issuer;
    certificates::ensure_test_issued(to, issuer, parameters.target(to), &recovery.token())?;
    Ok(format!("`{issuer}` issues at {to}"))
}
