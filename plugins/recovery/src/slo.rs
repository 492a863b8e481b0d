//! Service levels: since when they are missed, and that they hold for an unbroken time afterwards.

use serde_json::json;
use understudy_sdk::strategy::understudy::control::control::{self, Quantity};
use understudy_sdk::strategy::understudy::metrics::metrics;
use understudy_sdk::strategy::understudy::probe::probe::Entry;
use understudy_sdk::strategy::understudy::workload::workload;

use crate::Error;
use crate::diagnose::diagnose;
use crate::plan::{At, Budget, Move, OBSERVER, Reversal};
use crate::recovery::{Recovery, attach, warn};
use crate::validate::walk;
use crate::{fault, loss, words};

/// How often it is asked since when users fail, where they do not yet: a run may be begun the moment a site dies, and
/// monitoring may take a while to notice.
const MAX_LOOKS: u32 = 10;

/// How long, in milliseconds, to wait between two such looks.
const LOOK_EVERY_MS: u64 = 10_000;

/// How often in a row the first journey must pass after the window, where nothing measures service levels.
const CONSECUTIVE: u32 = 3;

/// True where something measures service levels.
#[must_use]
pub fn measured(recovery: &Recovery) -> bool {
    !recovery.parameters.objectives.is_empty()
}

/// Records every objective, and waits until all have held for the stability window; where one is missed, scales out once, if
/// the parameters say to how many replicas. Where nothing measures them: waits for the window, then walks the first journey
/// several times in a row.
pub const HOLD: Move = Move {
    title: "Watch the service levels at {to} for the stability window",
    role: OBSERVER,
    budget: Budget::StabilityWindow,
    reversal: Reversal::Nothing,
    acts: &[("observe-slo", At::To)],
    uses: &[
        "control",
        "certificates",
        "database",
        "ingress",
        "metrics",
        "probe",
        "workload",
    ],
    perform: hold,
};

/// Finds out since when users fail, and keeps it as `outage-began`: what the recovery time and the loss are counted from.
/// No other step waits for it. Where no monitoring can tell, both are counted from what is known, and the report says so.
pub const DATE_OUTAGE: Move = Move {
    title: "Find out since when users of {from} fail",
    role: OBSERVER,
    budget: Budget::Minutes(15),
    reversal: Reversal::Nothing,
    acts: &[],
    uses: &["control", "metrics"],
    perform: date_outage,
};

/// True where the site that is left may be dead, and something measures since when.
#[must_use]
pub fn dates_outages(recovery: &Recovery) -> bool {
    recovery.ungraceful() && measured(recovery)
}

/// Where the beginning of the outage is kept, for reports too; the sites are in the name, as a run may leave both.
fn word(recovery: &Recovery) -> String {
    recovery.own("outage-began")
}

/// Since when users fail, in milliseconds since the epoch; none where no step of the run could tell.
///
/// # Errors
/// Whatever `control.recall` answers.
pub fn outage_began(recovery: &Recovery) -> Result<Option<u64>, Error> {
    Ok(match control::recall(&word(recovery))? {
        Some(Quantity::InstantMs(began)) => Some(began),
        _ => None,
    })
}

fn date_outage(recovery: &Recovery) -> Result<String, Error> {
    let Some(objective) = recovery.parameters.objectives.first() else {
        return Ok("nothing measures service levels".to_owned());
    };
    let unknown = "since when users fail is not known";
    let mut outage = None;
    for look in 0..MAX_LOOKS {
        if look > 0 {
            control::sleep(LOOK_EVERY_MS)?;
        }
        outage = match metrics::observe_outage(recovery.to(), objective) {
            Ok(outage) => outage,
            // A figure is not worth a recovery: without it the others say less, and nothing stops.
            Err(error) => {
                let said = fault::say(&error);
                warn(&format!("{unknown}: {said}"))?;
                return Ok(format!("{unknown}: {said}"));
            }
        };
        if outage.is_some() {
            break;
        }
    }
    let Some(outage) = outage else {
        warn(&format!("{unknown}: `{objective}` is met"))?;
        return Ok(format!("{unknown}: `{objective}` is met"));
    };
    attach(
        "outage",
        &json!({"objective": objective, "since-ms": outage.since, "met-until-ms": outage.met_until}),
    )?;
    control::measure(&word(recovery), &Quantity::InstantMs(outage.since))?;
    loss::count_again(recovery)?;
    Ok(format!(
        "`{objective}` has been missed for {}, known to within {}",
        words::duration(control::now()?.saturating_sub(outage.since)),
        words::duration(outage.since.saturating_sub(outage.met_until))
    ))
}

fn hold(recovery: &Recovery) -> Result<String, Error> {
    let (to, parameters) = (recovery.to(), &recovery.parameters);
    let window_ms = recovery.stability_window_ms();
    if parameters.objectives.is_empty() {
        control::sleep(window_ms)?;
        if let Some(journey) = parameters.journeys.first() {
            walk(to, journey, Entry::Public, CONSECUTIVE)?;
        }
        return Ok(format!(
            "{to} still serves after {}; nothing measures its service levels",
            words::duration(window_ms)
        ));
    }
    let scaled = match watch(recovery) {
        Err(Error::Conflict(missed)) => scale_out(recovery, &missed)?,
        seen => seen.map(|()| String::new())?,
    };
    Ok(format!(
        "{} held for {} at {to}{scaled}",
        parameters.objectives.join(", "),
        words::duration(window_ms)
    ))
}

/// Waits until every objective has held for the stability window from now on, and records each.
fn watch(recovery: &Recovery) -> Result<(), Error> {
    let (to, parameters) = (recovery.to(), &recovery.parameters);
    let window_ms = recovery.stability_window_ms();
    let held = metrics::ensure_held(to, &parameters.objectives, window_ms, control::now()?);
    let mut levels = Vec::new();
    for objective in &parameters.objectives {
        let level = metrics::observe_objective(to, objective)?;
        control::measure(
            &format!("{objective}-{to}"),
            &Quantity::Text(format!("{} {}", level.value, level.unit)),
        )?;
        levels.push(json!({"objective": objective, "value": level.value, "threshold": level.threshold, "unit": level.unit, "met": level.met}));
    }
    attach("service-levels", &json!(levels))?;
    held.map(drop)
}

/// What a missed objective asks for: a look at what commonly is behind it and, where the parameters name a number, more
/// replicas and another window.
fn scale_out(recovery: &Recovery, missed: &str) -> Result<String, Error> {
    let said = diagnose(recovery, missed)?;
    let (to, app) = (recovery.to(), &recovery.parameters.app);
    let Some(replicas) = recovery.parameters.scale_out else {
        return Err(Error::Conflict(said));
    };
    // It had as many already: another window would be no other.
    if matches!(
        workload::ensure_scaled(to, app, replicas)?,
        workload::Outcome::Unchanged
    ) {
        return Err(Error::Conflict(said));
    }
    warn(&format!(
        "{app} at {to} has {replicas} replicas now: {said}"
    ))?;
    control::measure(
        &format!("scaled-out-{to}"),
        &Quantity::Count(u64::from(replicas)),
    )?;
    match watch(recovery) {
        Ok(()) => Ok(format!(" with {replicas} replicas, as {said}")),
        Err(Error::Conflict(missed)) => Err(Error::Conflict(diagnose(recovery, &missed)?)),
        Err(error) => Err(error),
    }
}
