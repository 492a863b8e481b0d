//! The application stands by: the decided number of replicas, in maintenance, on the site's own database.

use understudy_recovery::plan::Move;
use understudy_recovery::recovery::Recovery;
use understudy_recovery::{Error, activate};
use understudy_sdk::strategy::understudy::workload::workload;

use crate::guard;
use crate::parameters::{Data, Standby};

/// Has the decided number of replicas stand by.
pub(crate) const STAND_BY: Move = Move {
    title: "Have the application at {to} stand by",
    uses: &["control", "database", "dns", "workload"],
    perform: stand_by,
    ..activate::WARM_UP
};

fn stand_by(recovery: &Recovery) -> Result<String, Error> {
    guard::insist(recovery)?;
    let own = Standby::of(recovery)?;
    if own.data == Data::Replica {
        return activate::in_maintenance(recovery, own.standby_replicas);
    }
    // There is no database yet that its configuration could name.
    let (to, app) = (recovery.to(), &recovery.parameters.app);
    activate::remember(recovery)?;
    workload::ensure_maintenance(to, app, true)?;
    workload::ensure_scaled(to, app, own.standby_replicas)?;
    Ok(format!(
        "{} replicas of {app} at {to} stand by",
        own.standby_replicas
    ))
}
