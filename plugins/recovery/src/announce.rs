//! Announce, and close the recovery.

use understudy_sdk::strategy::understudy::control::control;
use understudy_sdk::strategy::understudy::notify::notify::{self, Announcement, Severity};

use crate::plan::{At, Budget, INCIDENT_COMMANDER, Move, Reversal};
use crate::recovery::{Recovery, recall_duration, recall_text, warn};
use crate::{Error, fault, protect, words};

/// Sets `recovered` and tells people: when, observed RTO and RPO, what is still degraded. People who cannot be told do
/// not fail a recovery.
pub const ANNOUNCE: Move = Move {
    title: "Announce that {to} serves",
    role: INCIDENT_COMMANDER,
    budget: Budget::Minutes(5),
    reversal: Reversal::Nothing,
    acts: &[("announce", At::Nowhere)],
    uses: &["control", "notify"],
    perform: announce,
};

fn announce(recovery: &Recovery) -> Result<String, Error> {
    let (from, to, parameters) = (recovery.from(), recovery.to(), &recovery.parameters);
    recovery.mark_to("recovered")?;
    let declared = control::recall_mark("declared", Some(to))?;
    let served = control::recall_mark("served", Some(to))?;
    let rto = declared
        .zip(served)
        .map(|(declared, served)| served.saturating_sub(declared));
    let rpo = recall_duration("rpo")?;
    let protection = recall_text(&protect::word(recovery))?.unwrap_or_else(|| "unknown".to_owned());
    let figures = format!(
        "Served by {to}; RTO {} (declared to first page), RPO {}.",
        words::duration_or_unknown(rto),
        words::duration_or_unknown(rpo)
    );
    let Some(channel) = &parameters.channel else {
        return Ok(format!("{figures} No channel to announce in"));
    };
    let told = notify::ensure_announced(
        channel,
        &Announcement {
            key: recovery.token(),
            title: format!("{} is served by {to}", parameters.app),
            body: format!(
                "{figures} It was served by {from} before. Protected by {protection}. The run's report has the timeline."
            ),
            severity: if recovery.ungraceful() {
                Severity::Warning
            } else {
                Severity::Info
            },
        },
    );
    match told {
        Ok(_) => Ok(figures),
        Err(error @ Error::Denied(_)) => Err(error),
        Err(error) => {
            let said = fault::say(&error);
            warn(&format!("channel `{channel}` could not be told: {said}"))?;
            Ok(format!(
                "{figures} Channel `{channel}` could not be told: {said}"
            ))
        }
    }
}
