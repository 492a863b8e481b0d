//! Nothing is done to a site that serves.

use understudy_recovery::recovery::Recovery;
use understudy_recovery::{Error, fault};
use understudy_sdk::strategy::understudy::database::database::{self, Role};
use understudy_sdk::strategy::understudy::dns::dns;
use understudy_sdk::strategy::understudy::probe::probe::{self, Entry};

/// Insists that `to` does not serve: the active name leads elsewhere, and its database takes no writes. Asked right before
/// each change, as somebody may have recovered meanwhile.
///
/// # Errors
/// `conflict`: it serves, or may. What the contracts answer.
pub(crate) fn insist(recovery: &Recovery) -> Result<(), Error> {
    is_not_led_to(recovery)?;
    takes_no_writes(recovery)
}

/// The same before infrastructure is changed: users are served meanwhile, and the site may not be there yet; then no
/// database of it answers.
///
/// # Errors
/// As [`insist`]; `conflict`: users are not served.
pub(crate) fn insist_for_infrastructure(recovery: &Recovery) -> Result<(), Error> {
    users_are_served(recovery)?;
    is_not_led_to(recovery)?;
    match takes_no_writes(recovery) {
        Err(Error::NotFound(_)) => Ok(()),
        Err(error) if fault::is_out_of_reach(&error) => Ok(()),
        answer => answer,
    }
}

fn users_are_served(recovery: &Recovery) -> Result<(), Error> {
    let from = recovery.from();
    let Some(journey) = recovery.parameters.journeys.first() else {
        return Ok(());
    };
    if probe::observe_journey(from, journey, Entry::Public)?.passed {
        return Ok(());
    }
    Err(Error::Conflict(format!(
        "journey `{journey}` does not reach {from} by the public name: no infrastructure is changed while users are not served"
    )))
}

fn is_not_led_to(recovery: &Recovery) -> Result<(), Error> {
    let (to, parameters) = (recovery.to(), &recovery.parameters);
    let active = dns::get_record(&parameters.records.active, "CNAME")?;
    if active
        .values
        .iter()
        .any(|value| value == parameters.target(to))
    {
        return Err(Error::Conflict(format!(
            "{} leads to {to}: it serves, and nothing may be changed there",
            active.name
        )));
    }
    Ok(())
}

fn takes_no_writes(recovery: &Recovery) -> Result<(), Error> {
    let to = recovery.to();
    let seen = database::observe(to, &recovery.parameters.database)?;
    if seen.role == Role::Primary && !seen.read_only {
        return Err(Error::Conflict(format!(
            "the database at {to} takes writes: {} does not wait, and nothing may be changed there",
            seen.endpoint
        )));
    }
    Ok(())
}
