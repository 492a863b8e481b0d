//! Rules on the moment the active name is pointed at a site, and on what follows.

use super::Finding;
use super::deeds::{Deed, Deeds};

/// Answers every flip for which `is_kept` does not hold.
fn flips<'p>(
    deeds: &Deeds<'p>,
    is_kept: impl Fn(Deed<'p>) -> bool,
    message: impl Fn(Deed<'p>) -> String,
) -> Vec<Finding<'p>> {
    deeds
        .of_verb("flip")
        .filter(|flip| !is_kept(*flip))
        .map(|flip| Finding {
            step: flip.step,
            message: message(flip),
        })
        .collect()
}

/// The time to live is low, since an earlier step.
pub(super) fn lower_ttl_before_flip<'p>(deeds: &Deeds<'p>) -> Vec<Finding<'p>> {
    let lowered = |flip| {
        deeds.of_verb("lower-ttl").any(|lower| {
            deeds.is_in_earlier_step(lower, flip)
                && deeds.holds(lower, flip, deeds.of_verb("restore-ttl"))
        })
    };
    flips(deeds, lowered, |flip| {
        format!(
            "the name is flipped to site `{}` without its time to live lowered in an earlier step: resolvers would \
             keep the old answer for the whole old time to live",
            flip.site
        )
    })
}

/// The site serves the certificate of the active name.
pub(super) fn certify_before_flip<'p>(deeds: &Deeds<'p>) -> Vec<Finding<'p>> {
    let certified = |flip: Deed<'p>| {
        deeds
            .of_verb("certify")
            .any(|certify| certify.site == flip.site && deeds.is_before(certify, flip))
    };
    flips(deeds, certified, |flip| {
        format!(
            "the name is flipped to site `{}` before its certificate was seen to be served there",
            flip.site
        )
    })
}

/// The application runs at the site, and was not stood down since.
pub(super) fn serve_before_flip<'p>(deeds: &Deeds<'p>) -> Vec<Finding<'p>> {
    let serves = |flip: Deed<'p>| {
        let stood_down = || {
            deeds
                .of_verb("stand-down")
                .filter(move |down| down.site == flip.site)
        };
        deeds
            .of_verb("activate")
            .chain(deeds.of_verb("expose"))
            .any(|serve| serve.site == flip.site && deeds.holds(serve, flip, stood_down()))
    };
    flips(deeds, serves, |flip| {
        format!(
            "the name is flipped to site `{}` before the service was activated or exposed there",
            flip.site
        )
    })
}

/// The site takes writes, and was not fenced since.
pub(super) fn writer_before_flip<'p>(deeds: &Deeds<'p>) -> Vec<Finding<'p>> {
    let writes = |flip: Deed<'p>| {
        let fenced = || {
            deeds
                .of_verb("fence")
                .filter(move |fence| fence.site == flip.site)
        };
        deeds
            .takeovers()
            .any(|takeover| takeover.site == flip.site && deeds.holds(takeover, flip, fenced()))
    };
    flips(deeds, writes, |flip| {
        format!(
            "the name is flipped to site `{}` before that site takes writes",
            flip.site
        )
    })
}

/// Somebody looks at what users get, before the next flip.
pub(super) fn validate_after_flip<'p>(deeds: &Deeds<'p>) -> Vec<Finding<'p>> {
    let validated = |flip: Deed<'p>| {
        let between = |validate: Deed<'p>| {
            deeds
                .of_verb("flip")
                .any(|next| deeds.is_before(flip, next) && deeds.is_before(next, validate))
        };
        deeds.of_verb("validate").any(|validate| {
            deeds.is_before(flip, validate)
                && (validate.site == flip.site || validate.site.is_empty())
                && !between(validate)
        })
    };
    flips(deeds, validated, |flip| {
        format!(
            "nothing validates the service after the name is flipped to site `{}`",
            flip.site
        )
    })
}

/// A strategy that flips leaves the service protected.
pub(super) fn protect_after_flip<'p>(deeds: &Deeds<'p>) -> Vec<Finding<'p>> {
    let protected = |flip: Deed<'p>| {
        let new_writer = |protect| {
            deeds
                .takeovers()
                .any(|takeover| takeover.site == flip.site && deeds.is_before(takeover, protect))
        };
        deeds.of_verb("protect").any(|protect| {
            protect.step.id.strategy() == flip.step.id.strategy()
                && protect.site != flip.site
                && (deeds.is_before(flip, protect) || new_writer(protect))
        })
    };
    flips(deeds, protected, |flip| {
        format!(
            "strategy `{}` ends at site `{}` without a replica or a fresh backup anywhere else",
            flip.step.id.strategy(),
            flip.site
        )
    })
}

/// No two flips at once.
pub(super) fn one_flip_at_a_time<'p>(deeds: &Deeds<'p>) -> Vec<Finding<'p>> {
    let all: Vec<Deed<'p>> = deeds.of_verb("flip").collect();
    let mut findings = Vec::new();
    for (index, flip) in all.iter().enumerate() {
        for earlier in all.iter().take(index) {
            if !deeds.is_before(*earlier, *flip) && !deeds.is_before(*flip, *earlier) {
                let message = format!(
                    "this flip to site `{}` and the one in step `{}` could happen at once",
                    flip.site, earlier.step.id
                );
                findings.push(Finding {
                    step: flip.step,
                    message,
                });
            }
        }
    }
    findings
}

/// The time to live goes back up.
pub(super) fn restore_ttl_after_flip<'p>(deeds: &Deeds<'p>) -> Vec<Finding<'p>> {
    let restored = |flip| {
        deeds
            .of_verb("restore-ttl")
            .any(|restore| deeds.is_before(flip, restore))
    };
    flips(deeds, restored, |flip| {
        format!(
            "the time to live stays low after the name is flipped to site `{}`",
            flip.site
        )
    })
}

/// The contract of object storage, as steps name what they use.
const STORAGE: &str = "storage";

/// Object storage that is relied on after a flip is tried before it.
pub(super) fn media_before_flip<'p>(deeds: &Deeds<'p>) -> Vec<Finding<'p>> {
    let uses = |deed: Deed<'p>| deed.step.uses.iter().any(|used| used == STORAGE);
    let own = |flip: Deed<'p>| {
        deeds
            .all()
            .filter(move |deed| uses(*deed) && deed.step.id.strategy() == flip.step.id.strategy())
    };
    let tried = |flip: Deed<'p>| {
        let relied_on = own(flip).any(|deed| deeds.is_before(flip, deed));
        !relied_on || own(flip).any(|deed| deeds.is_before(deed, flip))
    };
    flips(deeds, tried, |flip| {
        format!(
            "the name is flipped to site `{}` before its object storage was tried from there",
            flip.site
        )
    })
}
