//! The steps, in an order a person would read them.
//!
//! Two graphs in one table. Graceful, `declare` needs everything that takes time and can be prepared, so that the clock
//! of the recovery time and the write outage are short. Ungraceful, `declare` needs nothing, preparation runs beside
//! it, and only the flip waits for all of it; it does not wait for the old TTL ([`dns::AWAIT_OLD_TTL`]).

use understudy_recovery::plan::{Row, after, graceful};
use understudy_recovery::{
    activate, announce, certify, check, declare, diagnose, dns, edge, expose, fence, loss, promote,
    protect, slo, validate,
};

/// The plan as a table; each row only needs rows above it.
pub(crate) const STEPS: &[Row] = &[
    // Prepare: nothing here is felt by users, and all of it can be taken back.
    Row::new("lower-ttl", dns::LOWER_TTL).covers(&["S0-A5.2", "S0-X1", "S0-X2"]),
    Row::new("await-old-ttl", dns::AWAIT_OLD_TTL)
        .needs(&[after("lower-ttl")])
        .when(check::is_graceful)
        .covers(&["S0-X1"]),
    Row::new("date-outage", slo::DATE_OUTAGE)
        .when(slo::dates_outages)
        .covers(&["S0-X10"]),
    Row::new("check-sites", check::CHECK_REPLICA)
        .when(check::is_graceful)
        .covers(&["S0-P1", "S0-P2", "S0-P3", "S0-P4", "S0-P5", "S0-P7"]),
    Row::new("check-issuing", check::CHECK_ISSUING)
        .when(check::tests_issuing)
        .covers(&["S0-I2"]),
    Row::new("check-media", check::CHECK_MEDIA)
        .when(check::has_media)
        .covers(&["S0-I3", "S0-X14"]),
    Row::new("measure-lag", loss::MEASURE_LAG).covers(&["S0-A2.4", "S0-X9", "S1-M5"]),
    Row::new("certify", certify::CERTIFY)
        .needs(&[graceful("check-sites")])
        .covers(&["S0-A4.1", "S0-A4.2", "S0-X3", "S1-H4", "S1-X4"]),
    Row::new("expose", expose::EXPOSE)
        .needs(&[graceful("check-sites")])
        .when(expose::exposes)
        .covers(&["S0-A3.5", "S0-A3.6", "S1-H4", "S1-X4"]),
    Row::new("check-target", expose::CHECK_TARGET)
        .needs(&[after("expose")])
        .when(expose::exposes)
        .covers(&["S0-X12", "S1-X5"]),
    Row::new("warm-up", activate::WARM_UP)
        .needs(&[graceful("check-sites")])
        .when(activate::warms_up)
        .covers(&["S0-A3.1", "S0-A3.2", "S0-A3.3", "S0-A3.4", "S1-H3", "S1-X1"]),
    // Decide.
    Row::new("declare", declare::DECLARE)
        .needs(&[
            graceful("await-old-ttl"),
            graceful("check-sites"),
            graceful("check-issuing"),
            graceful("check-media"),
            graceful("measure-lag"),
            graceful("certify"),
            graceful("check-target"),
            graceful("warm-up"),
        ])
        .covers(&["S0-A1.1", "S0-P8", "S0-X10", "S1-H1"]),
    // One writer: stop the old one, apply what there is, promote the new one.
    Row::new("freeze", fence::FREEZE)
        .needs(&[after("declare")])
        .covers(&["S0-A1.2"]),
    Row::new("fence", fence::FENCE)
        .needs(&[after("declare"), graceful("freeze")])
        .covers(&["S0-A1.2", "S0-X4"]),
    Row::new("catch-up", loss::CATCH_UP).needs(&[after("measure-lag"), after("fence")]),
    Row::new("weigh-loss", loss::WEIGH_LOSS)
        .needs(&[after("catch-up")])
        .covers(&["S0-M2"]),
    Row::new("promote", promote::PROMOTE)
        .needs(&[after("weigh-loss")])
        .covers(&["S0-A2.1", "S1-H2"]),
    Row::new("verify-writer", promote::VERIFY_WRITER)
        .needs(&[after("promote")])
        .covers(&["S0-A2.2", "S0-A2.3"]),
    // The application.
    Row::new("activate", activate::ACTIVATE)
        .needs(&[after("warm-up"), after("verify-writer")])
        .covers(&["S0-A3.1", "S0-A3.2", "S0-A3.3", "S0-A3.4", "S1-H3"]),
    Row::new("check-certificate", certify::CHECK_SERVED)
        .needs(&[after("certify"), after("expose"), after("activate")])
        .covers(&["S0-A4.3", "S0-X3"]),
    Row::new("validate-direct", validate::VALIDATE_DIRECT)
        .needs(&[after("verify-writer"), after("check-certificate")])
        .covers(&["S0-X11"]),
    // The name.
    Row::new("flip", dns::FLIP)
        .needs(&[
            after("await-old-ttl"),
            after("check-media"),
            after("check-target"),
            after("freeze"),
            after("validate-direct"),
        ])
        .covers(&["S0-A5.1", "S0-I1", "S1-H5", "S1-I1"]),
    Row::new("check-records", dns::CHECK_RECORDS)
        .needs(&[after("flip")])
        .covers(&["S0-I1", "S1-I1"]),
    Row::new("validate-public", validate::VALIDATE_PUBLIC)
        .needs(&[after("flip")])
        .calls(&[("kubernetes", diagnose::looks_at_cluster)])
        .covers(&[
            "S0-A6.1", "S0-A6.2", "S0-A6.3", "S0-A6.4", "S0-A6.5", "S0-M1", "S0-X8", "S0-X11",
            "S1-H6",
        ]),
    Row::new("converge", validate::CONVERGE)
        .needs(&[after("flip")])
        .covers(&["S0-M3", "S0-T1", "S0-X8"]),
    Row::new("purge-edge", edge::PURGE)
        .needs(&[after("converge")])
        .when(edge::is_cached)
        .covers(&["S0-T1b"]),
    Row::new("observe-slo", slo::HOLD)
        .needs(&[after("validate-public")])
        .when(slo::measured)
        .calls(&[("kubernetes", diagnose::looks_at_cluster)])
        .covers(&[
            "S0-A6.6", "S0-A6.7", "S0-A6.8", "S0-M4", "S0-M5", "S0-M6", "S0-M7", "S0-M8",
        ]),
    Row::new("fence-returned", fence::FENCE_RETURNED)
        .needs(&[after("promote")])
        .when(fence::may_be_answered)
        .covers(&["S0-X4"]),
    // Be able to survive the next one.
    Row::new("protect", protect::PROTECT).needs(&[after("converge"), after("validate-public")]),
    Row::new("restore-ttl", dns::RESTORE_TTL).needs(&[
        after("check-records"),
        after("converge"),
        after("purge-edge"),
        after("observe-slo"),
    ]),
    Row::new("announce", announce::ANNOUNCE)
        .needs(&[after("restore-ttl"), after("protect")])
        .covers(&["S0-A7"]),
];

#[cfg(test)]
mod tests;
