//! The steps, in an order a person would read them.
//!
//! What the code makes is there first, then the way in is closed: whatever is built at the site after that is built where
//! nobody comes.

use understudy_recovery::plan::{Row, after};
use understudy_recovery::{check, loss};

use crate::parameters::{
    follows, has_cluster, has_stacks, is_monitored, looks_at_clusters, mirrors, restores,
};
use crate::steps::{
    application, cluster, data, entry, infrastructure, issuing, monitoring, name, ready, secrets,
};

/// The plan as a table; each row only needs rows above it.
pub(crate) const STEPS: &[Row] = &[
    Row::new("check-serving", ready::CHECK_SERVING).covers(&["S1-M2", "S1-O21", "S1-Z1"]),
    Row::new("build-infrastructure", infrastructure::BUILD)
        .needs(&[after("check-serving")])
        .when(has_stacks)
        .covers(&[
            "S1-O1", "S1-O2", "S1-O4", "S1-O5", "S1-O6", "S1-O7", "S1-O8", "S1-O15", "S1-P5",
        ]),
    Row::new("close-entry", entry::CLOSE_ENTRY)
        .needs(&[after("build-infrastructure")])
        .when(understudy_recovery::expose::exposes)
        .covers(&["S1-O18", "S1-V3", "S1-V10"]),
    Row::new("reserve-name", name::RESERVE_NAME)
        .needs(&[after("check-serving")])
        .covers(&["S1-M4", "S1-O20", "S1-X5"]),
    Row::new("check-cluster", cluster::CHECK_CLUSTER)
        .needs(&[after("build-infrastructure")])
        .when(has_cluster)
        .covers(&[
            "S1-C1", "S1-C4", "S1-O2b", "S1-O3", "S1-P2", "S1-V1", "S1-V4",
        ]),
    Row::new("check-monitoring", monitoring::CHECK_MONITORING)
        .needs(&[after("build-infrastructure")])
        .when(is_monitored)
        .calls(&[("metrics", is_monitored)])
        .covers(&["S1-A1", "S1-A2", "S1-A3", "S1-V2", "S1-V6", "S1-V9"]),
    Row::new("check-secrets", secrets::CHECK_SECRETS)
        .needs(&[after("build-infrastructure")])
        .when(mirrors)
        .covers(&["S1-E2", "S1-O11", "S1-O17"]),
    Row::new("follow", data::FOLLOW)
        .needs(&[after("close-entry")])
        .when(follows)
        .covers(&["S1-O9", "S1-V8", "S1-X3"]),
    Row::new("measure-lag", loss::MEASURE_LAG)
        .needs(&[after("follow")])
        .when(follows)
        .covers(&["S1-M5", "S1-O10"]),
    Row::new("check-recovery-points", data::CHECK_RECOVERY_POINTS)
        .needs(&[after("check-serving")])
        .when(restores)
        .covers(&["S1-O12"]),
    Row::new("stand-application-by", application::STAND_BY)
        .needs(&[
            after("close-entry"),
            after("check-cluster"),
            after("check-secrets"),
            after("follow"),
        ])
        .covers(&["S1-C2", "S1-O16", "S1-V7", "S1-X1", "S1-X7"]),
    Row::new("check-issuing", issuing::CHECK_ISSUING)
        .needs(&[after("check-serving"), after("check-cluster")])
        .when(check::tests_issuing)
        .covers(&["S1-P3", "S1-V5"]),
    Row::new("check-media", check::CHECK_MEDIA)
        .needs(&[after("check-serving")])
        .when(check::has_media)
        .covers(&["S1-D3"]),
    Row::new("check-posture", ready::CHECK_POSTURE)
        .needs(&[
            after("close-entry"),
            after("reserve-name"),
            after("check-cluster"),
            after("check-monitoring"),
            after("check-secrets"),
            after("follow"),
            after("measure-lag"),
            after("check-recovery-points"),
            after("stand-application-by"),
            after("check-issuing"),
            after("check-media"),
        ])
        .calls(&[
            ("infrastructure", has_stacks),
            ("kubernetes", looks_at_clusters),
            ("metrics", is_monitored),
        ])
        .covers(&[
            "S1-E1", "S1-I1", "S1-M3", "S1-P1", "S1-V7", "S1-V8", "S1-V10", "S1-X6",
        ]),
];

#[cfg(test)]
mod tests;
