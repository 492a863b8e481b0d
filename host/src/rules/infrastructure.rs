//! Rules on infrastructure: none of it is changed while a recovery is under way. What a person or a tool finds half applied
//! is one more incident, and what the code would bring back may be just what the recovery had to change.

use super::Finding;
use super::deeds::{Deed, Deeds};
use super::standing::Standing;
use crate::journal::record::Record;
use crate::plan::Step;

/// Acts that change infrastructure.
pub(super) const CHANGING: [&str; 2] = ["provision", "destroy"];

/// Infrastructure is changed only after every takeover and flip of the plan, once what was flipped is validated and
/// protected.
pub(super) fn no_change_mid_incident<'p>(deeds: &Deeds<'p>) -> Vec<Finding<'p>> {
    let changes = deeds.all().filter(|deed| CHANGING.contains(&deed.verb));
    let too_early = |change: Deed<'p>| {
        let unsettled = |flip: &Deed<'p>| {
            let validated = deeds.of_verb("validate").any(|validate| {
                (validate.site.is_empty() || validate.site == flip.site)
                    && deeds.is_before(*flip, validate)
                    && deeds.is_before(validate, change)
            });
            let protected = deeds
                .of_verb("protect")
                .any(|protect| deeds.is_before(*flip, protect) && deeds.is_before(protect, change));
            !(validated && protected)
        };
        let flip = deeds.of_verb("flip").find(unsettled);
        let takeover = || {
            deeds
                .takeovers()
                .find(|takeover| !deeds.is_before(*takeover, change))
        };
        flip.or_else(takeover)
    };
    let found = changes.filter_map(|change| {
        let open = too_early(change)?;
        Some(Finding {
            step: change.step,
            message: format!(
                "infrastructure at site `{}` is changed before the recovery by `{}` is over",
                change.site, open.step.id
            ),
        })
    });
    found.collect()
}

/// Nobody waits for the service, and what was flipped is seen to have converged and is protected.
pub(super) fn no_change_before_settled(step: &Step, standing: &Standing<'_>) -> Option<String> {
    let changing = |act: &crate::plan::Act| CHANGING.contains(&act.verb.as_str());
    step.acts.iter().find(|act| changing(act))?;
    if standing.is_out() {
        return Some("users are not served: the incident is not over".to_owned());
    }
    let newest = |wanted: &[&str]| {
        standing.entries.iter().rposition(|entry| {
            matches!(&entry.record, Record::Marked { name, .. } if wanted.contains(&name.as_str()))
        })
    };
    let begun = newest(&["declared", "outage-detected"])?;
    for (milestone, words) in [
        ("flipped", "the name was not moved"),
        ("converged", "nobody saw the resolvers follow"),
        ("protected", "its data is not protected again"),
    ] {
        if newest(&[milestone]).is_none_or(|place| place < begun) {
            return Some(format!("since the recovery was declared, {words}"));
        }
    }
    None
}
