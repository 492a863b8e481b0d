//! Journeys: at the site itself before the flip, as users come after it; and how far resolvers have followed.

use serde_json::json;
use understudy_sdk::strategy::understudy::control::control;
use understudy_sdk::strategy::understudy::probe::probe::{self, Entry, JourneyReport};
use understudy_sdk::strategy::understudy::storage::storage;

use crate::diagnose::diagnose;
use crate::plan::{At, Budget, DNS_LEAD, KUBERNETES_LEAD, Move, Reversal};
use crate::recovery::{Recovery, attach, measure_duration, settled, warn};
use crate::{Error, certify, words};

/// Walks every journey at the site's own address: what users would get after the flip.
pub const VALIDATE_DIRECT: Move = Move {
    title: "Walk every journey at {to} before the flip",
    role: KUBERNETES_LEAD,
    budget: Budget::Minutes(10),
    reversal: Reversal::Nothing,
    acts: &[("validate", At::To)],
    uses: &["control", "probe"],
    perform: validate_direct,
};

/// Waits until the first journey passes from more than half of the vantage points and sets `served` then; then walks every
/// journey by the public name. Every answer must come from the site. Where the site itself does not serve for a while, warns of
/// what is found behind it, and waits on.
pub const VALIDATE_PUBLIC: Move = Move {
    title: "Walk every journey as users come, served by {to}",
    role: KUBERNETES_LEAD,
    budget: Budget::Minutes(15),
    reversal: Reversal::Nothing,
    acts: &[("validate", At::To)],
    uses: &[
        "control",
        "certificates",
        "database",
        "ingress",
        "probe",
        "storage",
        "workload",
    ],
    perform: validate_public,
};

/// Waits until a majority of the resolvers, as the parameters define it, leads to the site; sets `converged`.
pub const CONVERGE: Move = Move {
    title: "Wait until resolvers lead to {to}",
    role: DNS_LEAD,
    budget: Budget::Minutes(15),
    reversal: Reversal::Nothing,
    acts: &[("check", At::To)],
    uses: &["control", "probe"],
    perform: converge,
};

/// Walks a journey until it passes; where it does not, says which request missed what.
///
/// # Errors
/// `conflict`: it did not pass in time.
pub fn walk(site: &str, journey: &str, entry: Entry, consecutive: u32) -> Result<(), Error> {
    let error = match probe::ensure_journey(site, journey, entry, consecutive) {
        Ok(_) => return Ok(()),
        Err(error @ (Error::Denied(_) | Error::NotFound(_) | Error::Invalid(_))) => {
            return Err(error);
        }
        Err(error) => error,
    };
    let Ok(report) = probe::observe_journey(site, journey, entry) else {
        return Err(error);
    };
    let requests: Vec<_> = report
        .steps
        .iter()
        .map(|step| json!({"name": step.name, "status": step.status, "zone": step.zone, "problem": step.problem}))
        .collect();
    attach(
        &format!("journey-{journey}"),
        &json!({"passed": report.passed, "steps": requests}),
    )?;
    match missed(&report) {
        Some(missed) => Err(Error::Conflict(not_passed(site, journey, &missed))),
        None => Err(error),
    }
}

/// The first request that missed what it expects.
fn missed(report: &JourneyReport) -> Option<String> {
    report.steps.iter().find_map(|step| {
        let problem = step.problem.as_ref()?;
        Some(format!("{} (HTTP {}): {problem}", step.name, step.status))
    })
}

fn not_passed(site: &str, journey: &str, missed: &str) -> String {
    format!("journey `{journey}` does not pass at {site}: {missed}")
}

/// Where the site itself does not serve for a while, warns of what is found behind it: whoever mends it should not wait until
/// the step gives up. Resolvers that still lead elsewhere are no such case.
fn explain(recovery: &Recovery, journey: &str) -> Result<(), Error> {
    let to = recovery.to();
    let look = || probe::observe_journey(to, journey, Entry::Direct);
    // What cannot be looked at is no finding: the wait that follows says what came of it.
    let Ok(report) = settled(look, |report| report.passed) else {
        return Ok(());
    };
    match missed(&report) {
        Some(missed) => warn(&diagnose(recovery, &not_passed(to, journey, &missed))?),
        None => Ok(()),
    }
}

/// Waits until most users are served by the site, as far as the vantage points tell, and sets `served`.
fn await_most(recovery: &Recovery, journey: &str) -> Result<(), Error> {
    let to = recovery.to();
    let waited = probe::ensure_served(to, journey);
    if waited.is_ok() {
        recovery.mark_to("served")?;
    }
    if let Ok(seen) = probe::observe_vantages(to, journey) {
        let seen: Vec<_> = seen
            .into_iter()
            .map(|vantage| json!({"resolver": vantage.resolver, "passed": vantage.passed, "status": vantage.status, "zone": vantage.zone, "problem": vantage.problem}))
            .collect();
        attach("vantage-points", &json!(seen))?;
    }
    waited.map(drop)
}

/// Walks every journey at the site's own address, once each.
///
/// # Errors
/// `conflict`: one did not pass in time.
pub fn walk_all_direct(recovery: &Recovery) -> Result<(), Error> {
    for journey in &recovery.parameters.journeys {
        walk(recovery.to(), journey, Entry::Direct, 1)?;
    }
    Ok(())
}

fn validate_direct(recovery: &Recovery) -> Result<String, Error> {
    walk_all_direct(recovery)?;
    Ok(format!(
        "{} pass at {} itself",
        recovery.parameters.journeys.join(", "),
        recovery.to()
    ))
}

fn validate_public(recovery: &Recovery) -> Result<String, Error> {
    match serves_users(recovery) {
        Err(Error::Conflict(missed)) => Err(Error::Conflict(diagnose(recovery, &missed)?)),
        walked => walked,
    }
}

fn serves_users(recovery: &Recovery) -> Result<String, Error> {
    let (to, parameters) = (recovery.to(), &recovery.parameters);
    for (place, journey) in parameters.journeys.iter().enumerate() {
        explain(recovery, journey)?;
        if place == 0 {
            await_most(recovery, journey)?;
        }
        walk(to, journey, Entry::Public, 1)?;
    }
    certify::look(recovery, "certificate-after-flip")?;
    if let Some(bucket) = &parameters.media_bucket {
        let seen = storage::observe(to, bucket)?;
        if !seen.readable || !seen.writable {
            return Err(Error::Conflict(format!(
                "bucket `{bucket}` is not readable and writable from {to}"
            )));
        }
    }
    Ok(format!(
        "{} pass by the public name, served by {to}",
        parameters.journeys.join(", ")
    ))
}

fn converge(recovery: &Recovery) -> Result<String, Error> {
    let parameters = &recovery.parameters;
    let (name, percent) = (&parameters.records.active, parameters.converged_percent);
    let target = [parameters.target(recovery.to()).to_owned()];
    let waited = probe::ensure_converged(name, "CNAME", &target, percent);
    let answers: Vec<_> = probe::observe_names(name, "CNAME")?
        .into_iter()
        .map(|answer| json!({"resolver": answer.resolver, "values": answer.values, "ttl-seconds": answer.ttl_seconds, "problem": answer.problem}))
        .collect();
    attach("resolvers", &json!(answers))?;
    waited?;
    recovery.mark_to("converged")?;
    let flipped = control::recall_mark("flipped", Some(recovery.to()))?;
    let converged = control::recall_mark("converged", Some(recovery.to()))?;
    let (Some(flipped), Some(converged)) = (flipped, converged) else {
        return Ok(format!(
            "at least {percent} % of the resolvers lead to {}",
            recovery.to()
        ));
    };
    let took = converged.saturating_sub(flipped);
    measure_duration("dns-convergence", took)?;
    Ok(format!(
        "at least {percent} % of the resolvers lead to {} after {}",
        recovery.to(),
        words::duration(took)
    ))
}
