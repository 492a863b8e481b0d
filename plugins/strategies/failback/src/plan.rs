//! The steps, in an order a person would read them.
//!
//! Users feel nothing until `freeze`; re-seeding, catching up, the certificate and the TTL are done before it.

use understudy_recovery::plan::{Row, after};
use understudy_recovery::{
    activate, announce, certify, check, declare, diagnose, dns, edge, expose, fence, loss, promote,
    protect, slo, validate,
};

use crate::steps::{infrastructure, primary, reseed, stand_down};

/// The plan as a table; each row only needs rows above it.
pub(crate) const STEPS: &[Row] = &[
    // Prepare, while the site that is left serves.
    Row::new("await-primary", primary::AWAIT_PRIMARY).covers(&["S0-F1.0"]),
    Row::new("check-primary", check::CHECK_REACHABLE)
        .needs(&[after("await-primary")])
        .titled("Check that {to} is healthy again and {from} serves")
        .covers(&["S0-F1.0"]),
    Row::new("check-issuing", check::CHECK_ISSUING)
        .needs(&[after("check-primary")])
        .when(check::tests_issuing)
        .covers(&["S0-I2"]),
    Row::new("check-media", check::CHECK_MEDIA)
        .needs(&[after("check-primary")])
        .when(check::has_media)
        .covers(&["S0-I3", "S0-X14"]),
    Row::new("lower-ttl", dns::LOWER_TTL)
        .needs(&[after("check-primary")])
        .covers(&["S0-F3.2", "S0-X1", "S0-X2"]),
    Row::new("await-old-ttl", dns::AWAIT_OLD_TTL)
        .needs(&[after("lower-ttl")])
        .covers(&["S0-X1"]),
    Row::new("reseed", reseed::RESEED)
        .needs(&[after("check-primary")])
        .covers(&["S0-F1.A1", "S0-F1.B1", "S1-H13"]),
    Row::new("catch-up-live", loss::CATCH_UP_LIVE)
        .needs(&[after("reseed")])
        .covers(&["S0-F1.A2", "S0-F1.B2"]),
    Row::new("measure-lag", loss::MEASURE_LAG)
        .needs(&[after("catch-up-live")])
        .covers(&["S0-X9"]),
    Row::new("certify", certify::CERTIFY)
        .needs(&[after("check-primary")])
        .covers(&["S0-F2.3", "S0-X6"]),
    Row::new("expose", expose::EXPOSE)
        .needs(&[after("check-primary")])
        .when(expose::exposes),
    Row::new("check-target", expose::CHECK_TARGET)
        .needs(&[after("expose")])
        .when(expose::exposes)
        .covers(&["S0-X12"]),
    Row::new("warm-up", activate::WARM_UP)
        .needs(&[after("catch-up-live")])
        .when(activate::warms_up)
        .covers(&["S0-F2.1", "S1-X1"]),
    // Decide.
    Row::new("declare", declare::DECLARE_PLANNED).needs(&[
        after("check-issuing"),
        after("check-media"),
        after("await-old-ttl"),
        after("measure-lag"),
        after("certify"),
        after("check-target"),
        after("warm-up"),
    ]),
    // One writer: stop the site that serves, apply its last writes, promote.
    Row::new("freeze", fence::FREEZE)
        .needs(&[after("declare")])
        .covers(&["S0-X5"]),
    Row::new("fence", fence::FENCE)
        .titled("Stop writes at {from}")
        .needs(&[after("freeze")])
        .covers(&["S0-X5"]),
    Row::new("catch-up", loss::CATCH_UP)
        .needs(&[after("fence")])
        .covers(&["S0-F1.A2", "S0-F1.B2"]),
    Row::new("weigh-loss", loss::WEIGH_LOSS)
        .needs(&[after("catch-up")])
        .covers(&["S0-M2"]),
    Row::new("promote", promote::PROMOTE)
        .needs(&[after("weigh-loss")])
        .covers(&["S0-F1.A3"]),
    Row::new("verify-writer", promote::VERIFY_WRITER).needs(&[after("promote")]),
    // The application.
    Row::new("activate", activate::ACTIVATE)
        .needs(&[after("warm-up"), after("verify-writer")])
        .covers(&["S0-F2.1"]),
    Row::new("check-entry", expose::CHECK_ENTRY)
        .needs(&[after("activate")])
        .when(expose::exposes)
        .covers(&["S0-F2.2"]),
    Row::new("check-certificate", certify::CHECK_SERVED)
        .needs(&[after("activate")])
        .covers(&["S0-F2.3", "S0-X6"]),
    Row::new("validate-direct", validate::VALIDATE_DIRECT)
        .needs(&[
            after("verify-writer"),
            after("check-entry"),
            after("check-certificate"),
        ])
        .covers(&["S0-F2.2", "S0-X11"]),
    // The name.
    Row::new("flip", dns::FLIP)
        .needs(&[after("await-old-ttl"), after("validate-direct")])
        .covers(&["S0-F3.1", "S0-I1", "S1-H14", "S1-I1"]),
    Row::new("check-records", dns::CHECK_RECORDS)
        .needs(&[after("flip")])
        .covers(&["S0-I1", "S1-I1"]),
    Row::new("validate-public", validate::VALIDATE_PUBLIC)
        .needs(&[after("flip")])
        .calls(&[("kubernetes", diagnose::looks_at_cluster)])
        .covers(&["S0-F4.1", "S0-M1", "S0-X8", "S0-X11", "S1-H15"]),
    Row::new("converge", validate::CONVERGE)
        .needs(&[after("flip")])
        .covers(&["S0-M3", "S0-T1", "S0-X8"]),
    Row::new("purge-edge", edge::PURGE)
        .needs(&[after("converge")])
        .when(edge::is_cached)
        .covers(&["S0-T1b"]),
    // Be able to survive the next one, and prove that this one holds.
    Row::new("protect", protect::PROTECT_BY_REPLICA)
        .needs(&[after("converge"), after("validate-public")])
        .covers(&["S0-X7"]),
    Row::new("hold", slo::HOLD)
        .needs(&[
            after("validate-public"),
            after("converge"),
            after("purge-edge"),
        ])
        .calls(&[("kubernetes", diagnose::looks_at_cluster)])
        .covers(&[
            "S0-F4.1", "S0-F4.2", "S0-M4", "S0-M5", "S0-M6", "S0-M7", "S0-M8",
        ]),
    Row::new("stand-down", stand_down::STAND_DOWN)
        .needs(&[after("hold"), after("protect")])
        .covers(&["S0-F5.0", "S0-F5.1"]),
    Row::new("destroy", infrastructure::DESTROY)
        .needs(&[after("stand-down")])
        .when(infrastructure::destroys)
        .covers(&["S0-F5.2", "S1-C3"]),
    Row::new("check-drift", infrastructure::CHECK_DRIFT)
        .needs(&[after("stand-down"), after("destroy")])
        .when(infrastructure::has_stacks)
        .covers(&["S0-X13"]),
    Row::new("restore-ttl", dns::RESTORE_TTL)
        .needs(&[after("check-records"), after("hold")])
        .covers(&["S0-F3.2", "S0-F5.3"]),
    Row::new("announce", announce::ANNOUNCE).needs(&[
        after("stand-down"),
        after("destroy"),
        after("check-drift"),
        after("restore-ttl"),
    ]),
];

#[cfg(test)]
mod tests;
