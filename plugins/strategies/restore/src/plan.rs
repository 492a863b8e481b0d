//! The steps, in an order a person would read them.
//!
//! As in the strategy `replica`, `declare` needs everything that can be prepared where the old site answers, and
//! nothing where it may be dead.

use understudy_recovery::plan::{Row, after, graceful, only_if};
use understudy_recovery::{
    activate, announce, certify, check, declare, diagnose, dns, edge, expose, fence, promote,
    protect, slo, validate,
};

use crate::steps::{backup, contents, damage, point, restore};

/// The plan as a table; each row only needs rows above it.
pub(crate) const STEPS: &[Row] = &[
    // Prepare: nothing here is felt by users, and all of it can be taken back.
    Row::new("lower-ttl", dns::LOWER_TTL).covers(&["S0-B5.2", "S0-X1", "S0-X2"]),
    Row::new("await-old-ttl", dns::AWAIT_OLD_TTL)
        .needs(&[after("lower-ttl")])
        .when(check::is_graceful)
        .covers(&["S0-X1"]),
    Row::new("date-outage", slo::DATE_OUTAGE)
        .when(slo::dates_outages)
        .covers(&["S0-X10"]),
    Row::new("check-sites", check::CHECK_RECOVERY_POINT)
        .when(check::is_graceful)
        .covers(&["S0-P1", "S0-P2", "S0-P3", "S0-P4", "S0-P5", "S0-P7"]),
    Row::new("check-issuing", check::CHECK_ISSUING)
        .when(check::tests_issuing)
        .covers(&["S0-I2"]),
    Row::new("check-media", check::CHECK_MEDIA)
        .when(check::has_media)
        .covers(&["S0-I3", "S0-X14"]),
    Row::new("certify", certify::CERTIFY)
        .needs(&[graceful("check-sites")])
        .covers(&["S0-B4.1", "S0-X3", "S1-H10", "S1-X4"]),
    Row::new("expose", expose::EXPOSE)
        .needs(&[graceful("check-sites")])
        .when(expose::exposes)
        .covers(&["S0-B3.5", "S1-H10", "S1-X4"]),
    Row::new("check-target", expose::CHECK_TARGET)
        .needs(&[after("expose")])
        .when(expose::exposes)
        .covers(&["S0-X12", "S1-X5"]),
    // Decide.
    Row::new("declare", declare::DECLARE)
        .needs(&[
            graceful("await-old-ttl"),
            graceful("check-sites"),
            graceful("check-issuing"),
            graceful("check-media"),
            graceful("certify"),
            graceful("check-target"),
        ])
        .covers(&["S0-B1.1", "S0-P8", "S0-X10", "S1-H7"]),
    // One writer: stop the old one, restore, promote.
    Row::new("freeze", fence::FREEZE)
        .needs(&[after("declare")])
        .covers(&["S0-B1.2"]),
    Row::new("fence", fence::FENCE)
        .needs(&[after("declare"), graceful("freeze")])
        .covers(&["S0-B1.2", "S0-X4"]),
    Row::new("take-backup", backup::TAKE_BACKUP)
        .needs(&[after("fence")])
        .when(check::is_graceful)
        .covers(&["S0-B1.2"]),
    Row::new("agree-on-instant", damage::AGREE_ON_INSTANT)
        .needs(&[after("date-outage")])
        .when(damage::is_damage),
    Row::new("choose-point", point::CHOOSE_POINT)
        .needs(&[
            after("fence"),
            graceful("take-backup"),
            only_if(damage::is_damage, "agree-on-instant"),
        ])
        .covers(&["S0-B2.1", "S0-B2.6", "S0-M2"]),
    Row::new("restore", restore::RESTORE)
        .needs(&[after("choose-point")])
        .covers(&["S0-B2.2", "S1-H8"]),
    Row::new("check-contents", contents::CHECK_CONTENTS)
        .needs(&[after("restore")])
        .covers(&["S0-B2.4"]),
    Row::new("promote", promote::PROMOTE).needs(&[after("fence"), after("check-contents")]),
    Row::new("verify-writer", promote::VERIFY_WRITER)
        .needs(&[after("promote")])
        .covers(&["S0-B2.3", "S0-B2.5"]),
    Row::new("migrate", restore::MIGRATE)
        .needs(&[after("promote")])
        .when(restore::migrates)
        .covers(&["S1-H8"]),
    // The application.
    Row::new("activate", activate::ACTIVATE_ONE)
        .needs(&[after("verify-writer"), after("migrate")])
        .covers(&["S0-B3.1", "S0-B3.3", "S0-B3.4", "S1-H9", "S1-X7"]),
    Row::new("scale-up", activate::SCALE_UP)
        .needs(&[after("activate")])
        .covers(&["S0-B3.2", "S1-H9"]),
    Row::new("check-certificate", certify::CHECK_SERVED)
        .needs(&[after("certify"), after("expose"), after("activate")])
        .covers(&["S0-X3"]),
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
            after("scale-up"),
            after("validate-direct"),
        ])
        .covers(&["S0-B5.1", "S0-I1", "S1-H11", "S1-I1"]),
    Row::new("check-records", dns::CHECK_RECORDS)
        .needs(&[after("flip")])
        .covers(&["S0-I1", "S1-I1"]),
    Row::new("validate-public", validate::VALIDATE_PUBLIC)
        .needs(&[after("flip")])
        .calls(&[("kubernetes", diagnose::looks_at_cluster)])
        .covers(&["S0-B6", "S0-M1", "S0-X8", "S0-X11", "S1-H12"]),
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
        .covers(&["S0-B6", "S0-M4", "S0-M5", "S0-M6", "S0-M7", "S0-M8"]),
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
        .covers(&["S0-B6"]),
];

#[cfg(test)]
mod tests;
