//! Service levels: what is measured must hold for an unbroken time.

use serde_json::json;
use understudy_sdk::strategy::understudy::control::control::{self, Quantity};
use understudy_sdk::strategy::understudy::metrics::metrics;
use understudy_sdk::strategy::understudy::probe::probe::Entry;

use crate::Error;
use crate::plan::{At, Budget, Move, OBSERVER, Reversal};
use crate::recovery::{Recovery, attach};
use crate::validate::walk;
use crate::words;

/// How often in a row the first journey must pass after the window, where nothing measures service levels.
const CONSECUTIVE: u32 = 3;

/// True where something measures service levels.
#[must_use]
pub fn measured(recovery: &Recovery) -> bool {
    !recovery.parameters.objectives.is_empty()
}

/// Records every objective, and waits until all have held for the stability window. Where nothing measures them: waits
/// for the window, then walks the first journey several times in a row.
pub const HOLD: Move = Move {
    title: "Watch the service levels at {to} for the stability window",
    role: OBSERVER,
    budget: Budget::StabilityWindow,
    reversal: Reversal::Nothing,
    acts: &[("observe-slo", At::To)],
    uses: &["control", "metrics", "probe"],
    perform: hold,
};

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
    held?;
    Ok(format!(
        "{} held for {} at {to}",
        parameters.objectives.join(", "),
        words::duration(window_ms)
    ))
}
