//! Certificates: have one for the active name at the site gone to, and see it served there before the flip.

use serde_json::json;
use understudy_sdk::strategy::understudy::certificates::certificates::{self, ServedCertificate};
use understudy_sdk::strategy::understudy::control::control;

use crate::Error;
use crate::parameters::covers;
use crate::plan::{At, Budget, KUBERNETES_LEAD, Move, Reversal};
use crate::recovery::{Recovery, attach, warn};
use crate::words;

/// Requests the certificate if it is missing, and waits until it is ready.
pub const CERTIFY: Move = Move {
    title: "Have a certificate for the active name at {to}",
    role: KUBERNETES_LEAD,
    budget: Budget::Minutes(10),
    reversal: Reversal::Nothing,
    acts: &[("certify", At::To)],
    uses: &["control", "certificates"],
    perform: certify,
};

/// Looks at what the site really serves for the active name.
pub const CHECK_SERVED: Move = Move {
    title: "Check the certificate that {to} serves for the active name",
    role: KUBERNETES_LEAD,
    budget: Budget::Minutes(5),
    reversal: Reversal::Nothing,
    acts: &[("certify", At::To)],
    uses: &["control", "certificates"],
    perform: check_served,
};

/// Why a served certificate will not do for `name` at this time; `None` where it will.
#[must_use]
pub fn problem_with(
    served: &ServedCertificate,
    name: &str,
    now_ms: u64,
    min_valid_ms: u64,
) -> Option<String> {
    if !covers(&served.dns_names, name) {
        return Some(format!(
            "it is for {}, not for {name}",
            served.dns_names.join(", ")
        ));
    }
    if !served.verified {
        return Some(format!("it does not verify: {}", served.problem));
    }
    if served.not_before_ms > now_ms {
        return Some("it is not valid yet".to_owned());
    }
    let left = served.not_after_ms.saturating_sub(now_ms);
    (left < min_valid_ms).then(|| {
        format!(
            "it is valid for {} more, expected at least {}",
            words::duration(left),
            words::duration(min_valid_ms)
        )
    })
}

fn certify(recovery: &Recovery) -> Result<String, Error> {
    let (to, wanted) = (recovery.to(), &recovery.parameters.certificate);
    if !wanted.issued_elsewhere {
        look_at_issuer(recovery)?;
    }
    let how = match order(recovery, recovery.parameters.min_valid_ms()) {
        // A provider that cannot tell the time; `check-certificate` measures the validity of what is served.
        Err(Error::Invalid(text)) => {
            warn(&text)?;
            order(recovery, 0)?
        }
        ordered => ordered?,
    };
    Ok(format!(
        "certificate `{}` for {} at {to} {how}",
        wanted.name,
        wanted.dns_names.join(", ")
    ))
}

/// Warns where the issuer is not ready, or nothing can be said of it: a certificate that is there needs none, and a limit of
/// rates passes. Ordering says which it is.
fn look_at_issuer(recovery: &Recovery) -> Result<(), Error> {
    let (to, issuer) = (recovery.to(), &recovery.parameters.certificate.issuer);
    match certificates::observe_issuer(to, issuer) {
        Ok(status) if status.ready => Ok(()),
        Ok(status) => warn(&format!(
            "issuer `{issuer}` at {to} is not ready: {}",
            status.problem
        )),
        Err(Error::Invalid(text)) => warn(&text),
        Err(error) => Err(error),
    }
}

fn order(recovery: &Recovery, min_valid_ms: u64) -> Result<&'static str, Error> {
    let (to, wanted) = (recovery.to(), &recovery.parameters.certificate);
    let order = || {
        certificates::ensure_certificate(
            to,
            &wanted.name,
            &wanted.dns_names,
            &wanted.issuer,
            min_valid_ms,
        )
    };
    if matches!(order()?, certificates::Outcome::Unchanged) {
        return Ok("was there and is valid");
    }
    // Asked again, who has issued it finds it there; who said so and did nothing does it now.
    order()?;
    Ok("was issued")
}

fn check_served(recovery: &Recovery) -> Result<String, Error> {
    look(recovery, "served-certificate")
}

/// Looks at what the site serves for the active name, attaches it as evidence, and says what is wrong with it.
///
/// # Errors
/// `conflict`: the certificate will not do.
pub fn look(recovery: &Recovery, evidence: &str) -> Result<String, Error> {
    let parameters = &recovery.parameters;
    let (to, name) = (recovery.to(), &parameters.records.active);
    let served = certificates::observe_served(to, name)?;
    attach(
        evidence,
        &json!({"dns-names": served.dns_names, "issuer": served.issuer, "not-before-ms": served.not_before_ms,
            "not-after-ms": served.not_after_ms, "verified": served.verified, "problem": served.problem,
            "fingerprint": served.fingerprint}),
    )?;
    let now = control::now()?;
    match problem_with(&served, name, now, parameters.min_valid_ms()) {
        Some(problem) => Err(Error::Conflict(format!(
            "the certificate that {to} serves for {name} will not do: {problem}"
        ))),
        None => Ok(format!(
            "{to} serves a valid certificate for {name}, good for {} more",
            words::duration(served.not_after_ms.saturating_sub(now))
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served() -> ServedCertificate {
        ServedCertificate {
            dns_names: vec!["wp-active.example.test".to_owned()],
            issuer: "CN=test".to_owned(),
            not_before_ms: 1_000,
            not_after_ms: 10_000,
            verified: true,
            problem: String::new(),
            fingerprint: "00".to_owned(),
        }
    }

    #[test]
    fn a_certificate_must_be_for_the_name_verified_and_valid_for_long_enough() {
        let problem = |served: &ServedCertificate, now| {
            problem_with(served, "wp-active.example.test", now, 3_000)
        };
        assert_eq!(problem(&served(), 2_000), None);
        assert!(problem(&served(), 500).unwrap().contains("not valid yet"));
        assert!(problem(&served(), 8_000).unwrap().contains("2 s more"));
        let other = ServedCertificate {
            dns_names: vec!["wp-pz.example.test".to_owned()],
            ..served()
        };
        assert!(
            problem(&other, 2_000)
                .unwrap()
                .contains("not for wp-active")
        );
        let self_signed = ServedCertificate {
            verified: false,
            problem: "self-signed".to_owned(),
            ..served()
        };
        assert!(
            problem(&self_signed, 2_000)
                .unwrap()
                .contains("self-signed")
        );
    }
}
