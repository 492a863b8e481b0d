//! What must be true of a site that waits, by reads alone.

use understudy_recovery::check::{self, Source, judged};
use understudy_recovery::expose::exposes;
use understudy_recovery::recovery::Recovery;
use understudy_recovery::{Error, Finding, words};
use understudy_sdk::strategy::understudy::control::control;
use understudy_sdk::strategy::understudy::database::database::{self, Role};
use understudy_sdk::strategy::understudy::ingress::ingress;
use understudy_sdk::strategy::understudy::probe::probe::{self, Entry};
use understudy_sdk::strategy::understudy::workload::workload;

use crate::parameters::{Data, Standby, has_cluster};
use crate::{cluster, mirror, monitoring, stacks};

/// Everything that is to hold: the site that serves does, the names lead where they should, and the other waits as decided.
///
/// # Errors
/// `invalid`: parameters that cannot be read.
pub(crate) fn findings(recovery: &Recovery) -> Result<Vec<Finding>, Error> {
    let own = Standby::of(recovery)?;
    let mut found = check::site_left(recovery);
    found.extend(served_directly(recovery));
    found.extend(check::records(recovery));
    found.extend(check::site_gone_to(recovery));
    found.extend(match own.data {
        Data::Replica => vec![
            check::source_finding(recovery, Source::Replica),
            refuses_writes(recovery),
        ],
        Data::RecoveryPoints => vec![recovery_point(recovery, &own)],
    });
    found.extend(stacks::findings(recovery.to(), &own.stacks));
    if has_cluster(recovery) {
        found.extend(cluster::findings(recovery, &own.cluster));
    }
    found.extend(mirror::findings(recovery, &own.mirrored));
    found.extend(monitoring::findings(&own.monitoring));
    found.extend(application(recovery, &own));
    if exposes(recovery) {
        found.push(entry_closed(recovery));
    }
    Ok(found)
}

/// The site that serves does so at its own address too.
fn served_directly(recovery: &Recovery) -> Option<Finding> {
    let from = recovery.from();
    let journey = recovery.parameters.journeys.first()?;
    let walked = probe::observe_journey(from, journey, Entry::Direct);
    Some(judged("site-left-serves-directly", walked, |report| {
        (
            report.passed,
            format!("journey `{journey}` at {from} itself"),
        )
    }))
}

/// A second writer would be worse than none.
fn refuses_writes(recovery: &Recovery) -> Finding {
    let (to, database) = (recovery.to(), &recovery.parameters.database);
    judged(
        "replica-refuses-writes",
        database::observe(to, database),
        |seen| {
            let waits = seen.role == Role::Replica && seen.read_only;
            let does = if waits { "refuses" } else { "may take" };
            (waits, format!("{} {does} writes", seen.endpoint))
        },
    )
}

/// The newest complete recovery point is young enough.
fn recovery_point(recovery: &Recovery, own: &Standby) -> Finding {
    let (to, database) = (recovery.to(), &recovery.parameters.database);
    let limit_ms = own.max_backup_age_ms(recovery);
    let read = control::now().and_then(|now_ms| {
        let points = database::list_recovery_points(to, database)?;
        let complete = points.iter().filter(|point| point.complete);
        let newest = complete.map(|point| point.taken_at_ms).max();
        Ok(newest.map(|taken_at_ms| now_ms.saturating_sub(taken_at_ms)))
    });
    judged("recovery-point-young-enough", read, |age_ms| match age_ms {
        Some(age_ms) => (
            age_ms <= limit_ms,
            format!(
                "the newest is {} old, at most {} are allowed",
                words::duration(age_ms),
                words::duration(limit_ms)
            ),
        ),
        None => (false, format!("no complete recovery point of {database}")),
    })
}

/// As many replicas as were decided, on the site's own database, and none that takes users' writes.
fn application(recovery: &Recovery, own: &Standby) -> Vec<Finding> {
    let (to, parameters) = (recovery.to(), &recovery.parameters);
    let wanted = own.standby_replicas;
    let seen = workload::observe(to, &parameters.app);
    let mut found = vec![judged("app-waits", seen.clone(), |seen| {
        (
            seen.desired == wanted && seen.ready >= wanted,
            format!(
                "{} of {} replicas at {to} are ready, {wanted} are to wait",
                seen.ready, seen.desired
            ),
        )
    })];
    if wanted > 0 {
        found.push(judged("app-in-maintenance", seen.clone(), |seen| {
            let does = if seen.maintenance { "refuses" } else { "takes" };
            (
                seen.maintenance,
                format!("{} at {to} {does} its users' writes", parameters.app),
            )
        }));
    }
    if own.data == Data::Replica {
        let both = seen.and_then(|seen| {
            let own = database::observe(to, &parameters.database)?.endpoint;
            Ok((seen.database_endpoint, own))
        });
        found.push(judged("app-on-its-own-database", both, |(named, own)| {
            (
                named == own,
                format!("its configuration names {named}, its site's is {own}"),
            )
        }));
    }
    found
}

/// Nothing leads in from outside.
fn entry_closed(recovery: &Recovery) -> Finding {
    let (to, app) = (recovery.to(), &recovery.parameters.app);
    let seen = match ingress::observe(to, app) {
        Err(Error::NotFound(_)) => Ok(Vec::new()),
        answer => answer.map(|seen| [seen.addresses, seen.hosts].concat()),
    };
    judged("entry-closed", seen, |open| {
        let detail = if open.is_empty() {
            format!("{app} at {to} is not reachable from outside")
        } else {
            format!(
                "{app} at {to} is reachable from outside: {}",
                open.join(", ")
            )
        };
        (open.is_empty(), detail)
    })
}
