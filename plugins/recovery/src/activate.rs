//! The application: point it at its database, run it, scale it, stand it down.

use understudy_sdk::strategy::understudy::control::control::{self, Quantity};
use understudy_sdk::strategy::understudy::database::database;
use understudy_sdk::strategy::understudy::workload::workload;

use crate::Error;
use crate::plan::{At, Budget, KUBERNETES_LEAD, Move, Reversal};
use crate::recovery::{Recovery, measure_text, recall_count, recall_text};

/// Points the application at the database of its own site.
pub const POINT_APP: Move = Move {
    title: "Point the application at {to} at its database",
    role: KUBERNETES_LEAD,
    budget: Budget::Minutes(3),
    reversal: Reversal::Undo(point_back),
    acts: &[("point-app", At::To)],
    uses: &["control", "database", "workload"],
    perform: point_app,
};

/// Runs the agreed number of replicas, restarted where they ran before, and takes them out of maintenance.
pub const ACTIVATE: Move = Move {
    title: "Run the application at {to}",
    role: KUBERNETES_LEAD,
    budget: Budget::Minutes(10),
    reversal: Reversal::Undo(deactivate),
    acts: &[("activate", At::To)],
    uses: &["control", "workload"],
    perform: activate,
};

/// The same with a single replica: what a restored database gets first.
pub const ACTIVATE_ONE: Move = Move {
    title: "Run one replica of the application at {to}",
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
    uses: &["workload"],
    perform: scale_up,
};

fn point_app(recovery: &Recovery) -> Result<String, Error> {
    let (to, app) = (recovery.to(), &recovery.parameters.app);
    let endpoint = database::observe(to, &recovery.parameters.database)?.endpoint;
    let before = recovery.own("endpoint-before");
    if recall_text(&before)?.is_none() {
        measure_text(&before, workload::observe(to, app)?.database_endpoint)?;
    }
    workload::ensure_database_endpoint(to, app, &endpoint)?;
    Ok(format!("{app} at {to} uses {endpoint}"))
}

fn point_back(recovery: &Recovery) -> Result<String, Error> {
    let (to, app) = (recovery.to(), &recovery.parameters.app);
    match recall_text(&recovery.own("endpoint-before"))? {
        Some(endpoint) if !endpoint.is_empty() => {
            workload::ensure_database_endpoint(to, app, &endpoint)?;
            Ok(format!("{app} at {to} uses {endpoint} again"))
        }
        _ => Ok(format!("{app} at {to} used no database before")),
    }
}

fn activate(recovery: &Recovery) -> Result<String, Error> {
    run(recovery, recovery.parameters.replicas)
}

fn activate_one(recovery: &Recovery) -> Result<String, Error> {
    run(recovery, 1)
}

fn run(recovery: &Recovery, replicas: u32) -> Result<String, Error> {
    let (to, app) = (recovery.to(), &recovery.parameters.app);
    let before = workload::observe(to, app)?;
    let word = recovery.own("replicas-before");
    if recall_count(&word)?.is_none() {
        control::measure(&word, &Quantity::Count(u64::from(before.desired)))?;
    }
    workload::ensure_maintenance(to, app, false)?;
    workload::ensure_scaled(to, app, replicas)?;
    // Replicas that ran before still hold the old endpoint; ones that were just begun do not.
    let restarted = before.desired > 0;
    if restarted {
        workload::ensure_restarted(to, app, &recovery.token())?;
    }
    let seen = workload::observe(to, app)?;
    if seen.ready < replicas {
        return Err(Error::Conflict(format!(
            "{} of {replicas} replicas of {app} at {to} are ready",
            seen.ready
        )));
    }
    let how = if restarted { ", restarted" } else { "" };
    Ok(format!(
        "{} replicas of {app} at {to} are ready{how}",
        seen.ready
    ))
}

fn deactivate(recovery: &Recovery) -> Result<String, Error> {
    let (to, app) = (recovery.to(), &recovery.parameters.app);
    let Some(before) = recall_count(&recovery.own("replicas-before"))? else {
        return Ok(format!("{app} at {to} was not touched"));
    };
    let replicas = u32::try_from(before).unwrap_or(u32::MAX);
    workload::ensure_scaled(to, app, replicas)?;
    Ok(format!("{replicas} replicas of {app} at {to}, as before"))
}

fn scale_up(recovery: &Recovery) -> Result<String, Error> {
    let (to, app, replicas) = (
        recovery.to(),
        &recovery.parameters.app,
        recovery.parameters.replicas,
    );
    workload::ensure_scaled(to, app, replicas)?;
    Ok(format!("{replicas} replicas of {app} at {to} are ready"))
}
