//! Rules on the moment a site becomes the one that takes writes.

use super::Finding;
use super::deeds::{Deed, Deeds};

/// Another site is fenced, and has not taken over again since.
pub(super) fn fence_before_promote<'p>(deeds: &Deeds<'p>) -> Vec<Finding<'p>> {
    let fenced = |takeover: Deed<'p>| {
        deeds.of_verb("fence").any(|fence| {
            fence.site != takeover.site
                && deeds.holds(
                    fence,
                    takeover,
                    deeds.takeovers().filter(|other| other.site == fence.site),
                )
        })
    };
    deeds
        .takeovers()
        .filter(|takeover| !fenced(*takeover))
        .map(|takeover| {
            let message = format!(
                "site `{}` takes over while no other site is certain to be fenced: two sites could take writes",
                takeover.site
            );
            Finding { step: takeover.step, message }
        })
        .collect()
}

/// The last catch-up before a takeover comes after writes were stopped.
pub(super) fn freeze_before_catch_up<'p>(deeds: &Deeds<'p>) -> Vec<Finding<'p>> {
    let mut findings = Vec::new();
    for takeover in deeds.takeovers() {
        let stops: Vec<Deed<'p>> = deeds
            .of_verb("freeze")
            .chain(deeds.of_verb("fence"))
            .filter(|stop| stop.site != takeover.site && deeds.leads_to(*stop, takeover))
            .collect();
        let catch_ups: Vec<Deed<'p>> = deeds
            .of_verb("catch-up")
            .filter(|catch_up| deeds.leads_to(*catch_up, takeover))
            .collect();
        let last = catch_ups.iter().filter(|catch_up| {
            !catch_ups
                .iter()
                .any(|later| deeds.is_before(**catch_up, *later))
        });
        for catch_up in last {
            if !stops.iter().any(|stop| deeds.is_before(*stop, *catch_up)) {
                let message = format!(
                    "the last catch-up before site `{}` takes over is not after writes were stopped: what is written \
                     meanwhile is lost",
                    takeover.site
                );
                findings.push(Finding {
                    step: catch_up.step,
                    message,
                });
            }
        }
    }
    findings
}

/// What will be lost is known before it is.
pub(super) fn measure_before_takeover<'p>(deeds: &Deeds<'p>) -> Vec<Finding<'p>> {
    let mut findings = Vec::new();
    for takeover in deeds.takeovers() {
        let restores: Vec<Deed<'p>> = deeds
            .of_verb("restore")
            .filter(|restore| restore.site == takeover.site)
            .filter(|restore| restore.is(takeover) || deeds.leads_to(*restore, takeover))
            .collect();
        let missing = if restores.is_empty() {
            let measured = deeds
                .of_verb("measure-lag")
                .any(|measure| deeds.leads_to(measure, takeover));
            (!measured).then_some("without its lag measured before")
        } else {
            let chosen = restores.iter().all(|restore| {
                deeds
                    .of_verb("choose-recovery-point")
                    .any(|choice| deeds.is_before(choice, *restore))
            });
            (!chosen).then_some("from a restore whose recovery point was not chosen before")
        };
        if let Some(missing) = missing {
            let message = format!(
                "site `{}` takes over {missing}: nobody could say what is lost before it is lost",
                takeover.site
            );
            findings.push(Finding {
                step: takeover.step,
                message,
            });
        }
    }
    findings
}

/// A person decides before the point from which the way is forward.
pub(super) fn declare_before_takeover<'p>(deeds: &Deeds<'p>) -> Vec<Finding<'p>> {
    let declared = |takeover: &Deed<'p>| {
        deeds
            .of_verb("declare")
            .any(|declare| deeds.leads_to(declare, *takeover))
    };
    deeds
        .takeovers()
        .filter(|takeover| !declared(takeover))
        .map(|takeover| {
            let message = format!(
                "site `{}` takes over before the recovery is declared: nobody decided it, and its time is not counted",
                takeover.site
            );
            Finding { step: takeover.step, message }
        })
        .collect()
}

/// An application is opened to users on a database that takes writes.
pub(super) fn writer_before_application<'p>(deeds: &Deeds<'p>) -> Vec<Finding<'p>> {
    let writes = |activate: &Deed<'p>| {
        deeds
            .takeovers()
            .any(|takeover| takeover.site == activate.site && deeds.is_before(takeover, *activate))
    };
    deeds
        .of_verb("activate")
        .filter(|activate| !writes(activate))
        .map(|activate| {
            let message = format!(
                "the application is activated at site `{}` before that site takes writes",
                activate.site
            );
            Finding {
                step: activate.step,
                message,
            }
        })
        .collect()
}
