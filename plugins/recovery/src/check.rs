//! Preconditions: what must be true before anything is touched. Only reads, so that `assess` may ask the same.

use serde_json::json;
use understudy_sdk::strategy::understudy::certificates::certificates;
use understudy_sdk::strategy::understudy::database::database::{self, Role};
use understudy_sdk::strategy::understudy::dns::dns;
use understudy_sdk::strategy::understudy::ingress::ingress;
use understudy_sdk::strategy::understudy::metrics::metrics;
use understudy_sdk::strategy::understudy::probe::probe::{self, Entry};
use understudy_sdk::strategy::understudy::storage::storage;
use understudy_sdk::strategy::understudy::workload::workload;

use crate::plan::{At, Budget, KUBERNETES_LEAD, Move, OBSERVER, Reversal};
use crate::recovery::{Recovery, attach, warn};
use crate::{Error, Finding, Mode, edge, fault, words};

/// True where the site that is left still answers.
#[must_use]
pub fn is_graceful(recovery: &Recovery) -> bool {
    recovery.mode == Mode::Graceful
}

/// True where a throw-away certificate is issued first.
#[must_use]
pub fn tests_issuing(recovery: &Recovery) -> bool {
    let certificate = &recovery.parameters.certificate;
    is_graceful(recovery) && certificate.test_issue && !certificate.issued_elsewhere
}

/// True where uploads are kept in a bucket.
#[must_use]
pub fn has_media(recovery: &Recovery) -> bool {
    recovery.parameters.media_bucket.is_some()
}

/// Fails where a precondition does not hold, naming every one that does not; the site gone to has a replica.
pub const CHECK_REPLICA: Move = Move {
    title: "Check that {from} is live and {to} is ready",
    role: OBSERVER,
    budget: Budget::Minutes(5),
    reversal: Reversal::Nothing,
    acts: &[("check", At::From), ("check", At::To)],
    uses: &[
        "control",
        "database",
        "workload",
        "dns",
        "certificates",
        "ingress",
        "metrics",
        "probe",
        "storage",
    ],
    perform: check_replica,
};

/// The same, where the site gone to has recovery points.
pub const CHECK_RECOVERY_POINT: Move = Move {
    perform: check_recovery_point,
    ..CHECK_REPLICA
};

/// The same, where the site gone to is re-seeded and only has to answer.
pub const CHECK_REACHABLE: Move = Move {
    perform: check_reachable,
    ..CHECK_REPLICA
};

/// Issues and deletes a throw-away certificate at both sites.
pub const CHECK_ISSUING: Move = Move {
    title: "Issue and delete a throw-away certificate at both sites",
    role: KUBERNETES_LEAD,
    budget: Budget::Minutes(10),
    reversal: Reversal::Nothing,
    acts: &[("check", At::From), ("check", At::To)],
    uses: &["certificates"],
    perform: check_issuing,
};

/// Reads and writes the media bucket from the site gone to, and from the site left where it answers.
pub const CHECK_MEDIA: Move = Move {
    title: "Read and write the media bucket from both sites",
    role: KUBERNETES_LEAD,
    budget: Budget::Minutes(5),
    reversal: Reversal::Nothing,
    acts: &[("check", At::To)],
    uses: &["control", "storage"],
    perform: check_media,
};

/// What the site gone to must have for the strategy that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A running replica within the recovery point objective.
    Replica,
    /// A complete recovery point.
    RecoveryPoint,
    /// Nothing in particular: it is re-seeded.
    Nothing,
}

fn finding(id: &str, ok: bool, detail: String) -> Finding {
    Finding {
        id: id.to_owned(),
        ok,
        detail,
    }
}

/// What a read says; one that failed is a finding, not the end of the assessment.
pub fn judged<T>(
    id: &str,
    read: Result<T, Error>,
    judge: impl FnOnce(T) -> (bool, String),
) -> Finding {
    match read {
        Ok(value) => {
            let (ok, detail) = judge(value);
            finding(id, ok, detail)
        }
        Err(error) => finding(id, false, fault::say(&error)),
    }
}

/// Everything that can be seen without changing anything.
#[must_use]
pub fn findings(recovery: &Recovery, source: Source) -> Vec<Finding> {
    let mut found = preconditions(recovery, source);
    // No recovery waits for caches: this is for any day before one.
    found.extend(edge::findings(recovery));
    found
}

/// What must hold before a recovery begins.
fn preconditions(recovery: &Recovery, source: Source) -> Vec<Finding> {
    let mut found = Vec::new();
    if is_graceful(recovery) {
        found.extend(site_left(recovery));
    }
    found.push(source_finding(recovery, source));
    found.extend(site_gone_to(recovery));
    found.extend(records(recovery));
    found.extend(watched(recovery));
    found
}

/// What must hold of the site that serves.
#[must_use]
pub fn site_left(recovery: &Recovery) -> Vec<Finding> {
    let (from, parameters) = (recovery.from(), &recovery.parameters);
    let mut found = vec![
        judged(
            "database-left-writes",
            database::observe(from, &parameters.database),
            |seen| {
                let writes = seen.role == Role::Primary && !seen.read_only;
                (
                    writes,
                    format!(
                        "{} {} writes",
                        seen.endpoint,
                        if writes { "accepts" } else { "refuses" }
                    ),
                )
            },
        ),
        judged(
            "app-left-runs",
            workload::observe(from, &parameters.app),
            |seen| {
                (
                    seen.ready > 0,
                    format!(
                        "{} of {} replicas at {from} are ready",
                        seen.ready, seen.desired
                    ),
                )
            },
        ),
    ];
    found.extend(issuer(recovery, "issuer-left-ready", from));
    if let Some(journey) = parameters.journeys.first() {
        found.push(judged(
            "served-by-site-left",
            probe::observe_journey(from, journey, Entry::Public),
            |report| {
                (
                    report.passed,
                    format!("journey `{journey}` by the public name, expected from {from}"),
                )
            },
        ));
    }
    if parameters.expose {
        found.push(judged(
            "entry-left-ready",
            ingress::observe(from, &parameters.app),
            |seen| {
                (
                    seen.controller_ready && seen.healthy,
                    format!("{from} is reached at {}", seen.addresses.join(", ")),
                )
            },
        ));
    }
    found
}

/// The issuer at a site; nothing where certificates come from elsewhere: what is served is looked at before the flip.
fn issuer(recovery: &Recovery, id: &str, site: &str) -> Option<Finding> {
    let certificate = &recovery.parameters.certificate;
    if certificate.issued_elsewhere {
        return None;
    }
    let name = &certificate.issuer;
    let read = certificates::observe_issuer(site, name);
    Some(judged(id, read, |status| {
        let state = if status.ready {
            "is ready"
        } else {
            status.problem.as_str()
        };
        (status.ready, format!("issuer `{name}` at {site} {state}"))
    }))
}

/// What must hold of the data at the site gone to.
#[must_use]
pub fn source_finding(recovery: &Recovery, source: Source) -> Finding {
    let (to, database) = (recovery.to(), &recovery.parameters.database);
    match source {
        Source::Replica => judged(
            "replica-within-objective",
            database::observe(to, database),
            |seen| {
                let Some(link) = seen.replication else {
                    return (false, format!("{database} at {to} is no replica"));
                };
                let within = link
                    .lag_ms
                    .is_some_and(|lag_ms| lag_ms <= recovery.rpo_target_ms);
                let ok = within || recovery.ungraceful();
                (
                    ok,
                    format!(
                        "behind by {} {}",
                        words::duration_or_unknown(link.lag_ms),
                        link.problem
                    ),
                )
            },
        ),
        Source::RecoveryPoint => judged(
            "recovery-point-exists",
            database::list_recovery_points(to, database),
            |points| {
                let complete = points.iter().filter(|point| point.complete).count();
                (
                    complete > 0,
                    format!("{complete} complete recovery points of {}", points.len()),
                )
            },
        ),
        Source::Nothing => judged(
            "database-gone-to-answers",
            database::observe(to, database),
            |seen| {
                (
                    true,
                    format!("{} answers at position {}", seen.endpoint, seen.position),
                )
            },
        ),
    }
}

/// What must hold of everything else there.
#[must_use]
pub fn site_gone_to(recovery: &Recovery) -> Vec<Finding> {
    let (to, parameters) = (recovery.to(), &recovery.parameters);
    let mut found = vec![judged(
        "app-gone-to-exists",
        workload::observe(to, &parameters.app),
        |seen| (true, format!("{} replicas asked for at {to}", seen.desired)),
    )];
    found.extend(issuer(recovery, "issuer-gone-to-ready", to));
    if let Some(bucket) = &parameters.media_bucket {
        found.push(judged(
            "media-reachable",
            storage::observe(to, bucket),
            |seen| {
                (
                    seen.readable && seen.writable,
                    format!("bucket `{bucket}` from {to}"),
                )
            },
        ));
    }
    found
}

/// The active name leads to the site that is left.
#[must_use]
pub fn active_record(recovery: &Recovery) -> Finding {
    let parameters = &recovery.parameters;
    let left = parameters.target(recovery.from());
    judged(
        "active-points-at-site-left",
        dns::get_record(&parameters.records.active, "CNAME"),
        |record| {
            (
                record.values == [left],
                format!(
                    "{} holds {:?} with TTL {} s",
                    record.name, record.values, record.ttl_seconds
                ),
            )
        },
    )
}

/// The active name leads to the site that is left, and both sites have a name of their own.
#[must_use]
pub fn records(recovery: &Recovery) -> Vec<Finding> {
    let parameters = &recovery.parameters;
    let mut found = vec![active_record(recovery)];
    for site in [recovery.from(), recovery.to()] {
        let name = parameters.target(site);
        let read =
            ["A", "AAAA", "CNAME"]
                .into_iter()
                .find_map(|kind| match dns::get_record(name, kind) {
                    Err(Error::NotFound(_)) => None,
                    answer => Some(answer),
                });
        let read = read.unwrap_or_else(|| {
            Err(Error::NotFound(format!(
                "no address or alias record `{name}`"
            )))
        });
        found.push(judged(
            &format!("record-of-{site}-exists"),
            read,
            |record| {
                (
                    true,
                    format!("{} {} {:?}", record.name, record.kind, record.values),
                )
            },
        ));
    }
    found
}

fn watched(recovery: &Recovery) -> Vec<Finding> {
    let site = recovery.from();
    let objectives = recovery
        .parameters
        .objectives
        .iter()
        .filter(|_| is_graceful(recovery));
    objectives
        .map(|objective| {
            judged(
                &format!("measured-{objective}"),
                metrics::observe_objective(site, objective),
                |level| {
                    (
                        true,
                        format!(
                            "{} {} at {site}, threshold {}",
                            level.value, level.unit, level.threshold
                        ),
                    )
                },
            )
        })
        .collect()
}

/// Fails with every finding that is not ok; attaches all.
///
/// # Errors
/// `conflict`: a precondition does not hold.
pub fn insist(recovery: &Recovery, source: Source) -> Result<String, Error> {
    hold(&preconditions(recovery, source), "preconditions")
}

/// Fails with every finding that is not ok; attaches all under this name.
///
/// # Errors
/// `conflict`: one does not hold.
pub fn hold(found: &[Finding], name: &str) -> Result<String, Error> {
    attach_findings(found, name)?;
    let missed: Vec<_> = found
        .iter()
        .filter(|one| !one.ok)
        .map(|one| format!("{} ({})", one.id, one.detail))
        .collect();
    if missed.is_empty() {
        return Ok(format!("{} {name} hold", found.len()));
    }
    Err(Error::Conflict(format!(
        "{name} do not hold: {}",
        missed.join("; ")
    )))
}

/// Attaches findings under this name.
///
/// # Errors
/// Whatever `control.attach` answers.
pub fn attach_findings(found: &[Finding], name: &str) -> Result<(), Error> {
    let all: Vec<_> = found
        .iter()
        .map(|one| json!({"id": one.id, "ok": one.ok, "detail": one.detail}))
        .collect();
    attach(name, &json!(all))
}

fn check_replica(recovery: &Recovery) -> Result<String, Error> {
    insist(recovery, Source::Replica)
}

fn check_recovery_point(recovery: &Recovery) -> Result<String, Error> {
    insist(recovery, Source::RecoveryPoint)
}

fn check_reachable(recovery: &Recovery) -> Result<String, Error> {
    insist(recovery, Source::Nothing)
}

fn check_issuing(recovery: &Recovery) -> Result<String, Error> {
    let parameters = &recovery.parameters;
    let issuer = &parameters.certificate.issuer;
    for site in [recovery.from(), recovery.to()] {
        let token = format!("{}-{site}", recovery.token());
        certificates::ensure_test_issued(site, issuer, parameters.target(site), &token)?;
    }
    Ok(format!(
        "`{issuer}` issues at {} and {}",
        recovery.from(),
        recovery.to()
    ))
}

fn check_media(recovery: &Recovery) -> Result<String, Error> {
    let Some(bucket) = &recovery.parameters.media_bucket else {
        return Ok("no media bucket".to_owned());
    };
    let mut sites = vec![recovery.to()];
    if is_graceful(recovery) {
        sites.push(recovery.from());
    }
    for site in sites {
        let seen = storage::observe(site, bucket)?;
        attach(
            &format!("bucket-from-{site}"),
            &json!({"readable": seen.readable, "writable": seen.writable, "replication-lag-ms": seen.replication_lag_ms}),
        )?;
        if !seen.readable || !seen.writable {
            return Err(Error::Conflict(format!(
                "bucket `{bucket}` is not readable and writable from {site}"
            )));
        }
        if let Some(lag_ms) = seen
            .replication_lag_ms
            .filter(|lag_ms| *lag_ms > recovery.rpo_target_ms)
        {
            warn(&format!(
                "bucket `{bucket}` at {site} is behind by {}",
                words::duration(lag_ms)
            ))?;
        }
    }
    Ok(format!("bucket `{bucket}` can be read and written"))
}
