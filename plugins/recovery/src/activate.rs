//! The application: warm it up beside a database that does not take writes yet, activate it on the one that does.
//!
//! Replicas take minutes to start, so they start before the promotion, in maintenance: on a read-only database writes
//! would fail, and scheduled work would run at two sites. Replicas that ran before are restarted, as they may hold
//! another database's address.

use understudy_sdk::strategy::understudy::control::control::{self, Quantity};
use understudy_sdk::strategy::understudy::database::database;
use understudy_sdk::strategy::understudy::workload::workload;

use crate::Error;
use crate::plan::{At, Budget, KUBERNETES_LEAD, Move, Reversal};
use crate::recovery::{Recovery, measure_text, recall_count, recall_text, settled};

/// True where replicas may start before the database takes writes.
#[must_use]
pub fn warms_up(recovery: &Recovery) -> bool {
    recovery.parameters.warm_up
}

/// Runs the agreed number of replicas on the site's own database, in maintenance.
pub const WARM_UP: Move = Move {
    title: "Run the application at {to} in maintenance, on its own database",
    role: KUBERNETES_LEAD,
    budget: Budget::Minutes(10),
    reversal: Reversal::Undo(deactivate),
    acts: &[("point-app", At::To)],
    uses: &["control", "database", "workload"],
    perform: warm_up,
};

/// Runs the agreed number of replicas on the site's own database and takes them out of maintenance.
pub const ACTIVATE: Move = Move {
    title: "Activate the application at {to}",
    role: KUBERNETES_LEAD,
    budget: Budget::Minutes(10),
    reversal: Reversal::Undo(deactivate),
    acts: &[("point-app", At::To), ("activate", At::To)],
    uses: &["control", "database", "workload"],
    perform: activate,
};

/// The same with a single replica: what a restored database gets first.
pub const ACTIVATE_ONE: Move = Move {
    title: "Activate one replica of the application at {to}",
    perform: activate_one,
    ..ACTIVATE
};

/// From one replica to the agreed number.
pub const SCALE_UP: Move = Move {
    title: "Scale the application at {to} to the agreed number of replicas",
    role: KUBERNETES_LEAD,
    budget: Budget::Minutes(10),
    reversal: Reversal::Nothing,
    acts: &[("activate", At::To)],
    uses: &["control", "workload"],
    perform: scale_up,
};

fn warm_up(recovery: &Recovery) -> Result<String, Error> {
    in_maintenance(recovery, recovery.parameters.replicas)
}

/// Runs so many replicas on the site's own database, in maintenance.
///
/// # Errors
/// Whatever the contracts answer.
pub fn in_maintenance(recovery: &Recovery, replicas: u32) -> Result<String, Error> {
    let (to, app) = (recovery.to(), &recovery.parameters.app);
    remember(recovery)?;
    workload::ensure_maintenance(to, app, true)?;
    let how = run(recovery, replicas)?;
    Ok(format!(
        "{replicas} replicas of {app} at {to} are ready in maintenance, {how}"
    ))
}

fn activate(recovery: &Recovery) -> Result<String, Error> {
    open(recovery, recovery.parameters.replicas)
}

fn activate_one(recovery: &Recovery) -> Result<String, Error> {
    open(recovery, 1)
}

fn open(recovery: &Recovery, replicas: u32) -> Result<String, Error> {
    let (to, app) = (recovery.to(), &recovery.parameters.app);
    remember(recovery)?;
    let how = run(recovery, replicas)?;
    workload::ensure_maintenance(to, app, false)?;
    let ready = ready(recovery, replicas)?;
    Ok(format!(
        "{ready} replicas of {app} at {to} are ready, {how}"
    ))
}

/// How many replicas are ready, where that is enough: an API may say yes and do nothing.
fn ready(recovery: &Recovery, replicas: u32) -> Result<u32, Error> {
    let (to, app) = (recovery.to(), &recovery.parameters.app);
    let enough = |seen: &workload::Observation| seen.ready >= replicas;
    let seen = settled(|| workload::observe(to, app), enough)?;
    if enough(&seen) {
        return Ok(seen.ready);
    }
    Err(Error::Conflict(format!(
        "{} of {replicas} replicas of {app} at {to} are ready",
        seen.ready
    )))
}

/// Has replicas run on the site's own database; ones that ran before and may hold another are restarted.
fn run(recovery: &Recovery, replicas: u32) -> Result<String, Error> {
    let (to, app) = (recovery.to(), &recovery.parameters.app);
    let endpoint = database::observe(to, &recovery.parameters.database)?.endpoint;
    let ran = workload::observe(to, app)?.desired > 0;
    workload::ensure_database_endpoint(to, app, &endpoint)?;
    let held = recovery.own("endpoint-held");
    let stale = ran && recall_text(&held)?.as_deref() != Some(&endpoint);
    if stale {
        workload::ensure_restarted(to, app, &recovery.token())?;
    }
    workload::ensure_scaled(to, app, replicas)?;
    measure_text(&held, endpoint.clone())?;
    let restarted = if stale { ", restarted" } else { "" };
    Ok(format!("on {endpoint}{restarted}"))
}

/// Leaves word of how the application stood, for taking it back: the first look counts.
///
/// # Errors
/// Whatever the contracts answer.
pub fn remember(recovery: &Recovery) -> Result<(), Error> {
    let word = recovery.own("replicas-before");
    if recall_count(&word)?.is_some() {
        return Ok(());
    }
    let before = workload::observe(recovery.to(), &recovery.parameters.app)?;
    measure_text(&recovery.own("endpoint-before"), before.database_endpoint)?;
    control::measure(
        &recovery.own("maintenance-before"),
        &Quantity::Count(u64::from(before.maintenance)),
    )?;
    control::measure(&word, &Quantity::Count(u64::from(before.desired)))
}

fn deactivate(recovery: &Recovery) -> Result<String, Error> {
    let (to, app) = (recovery.to(), &recovery.parameters.app);
    let Some(before) = recall_count(&recovery.own("replicas-before"))? else {
        return Ok(format!("{app} at {to} was not touched"));
    };
    if let Some(endpoint) =
        recall_text(&recovery.own("endpoint-before"))?.filter(|endpoint| !endpoint.is_empty())
    {
        workload::ensure_database_endpoint(to, app, &endpoint)?;
    }
    let replicas = u32::try_from(before).unwrap_or(u32::MAX);
    workload::ensure_scaled(to, app, replicas)?;
    let maintenance = recall_count(&recovery.own("maintenance-before"))? == Some(1);
    workload::ensure_maintenance(to, app, maintenance)?;
    Ok(format!("{replicas} replicas of {app} at {to}, as before"))
}

fn scale_up(recovery: &Recovery) -> Result<String, Error> {
    let (to, app, replicas) = (
        recovery.to(),
        &recovery.parameters.app,
        recovery.parameters.replicas,
    );
    workload::ensure_scaled(to, app, replicas)?;
    let ready = ready(recovery, replicas)?;
    Ok(format!("{ready} replicas of {app} at {to} are ready"))
}
