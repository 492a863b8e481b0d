//! A Certificate: what is asked for, and how far it is. Pure.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use understudy_sdk::host::understudy::types::types::{Error, RetryHint};
use understudy_sdk::kubernetes::{Progress, condition, list, number, text};
use understudy_sdk::time::{parse_rfc3339, rfc3339};

use crate::config::Config;

/// What a Certificate should say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order<'a> {
    /// Name of the Certificate and of its Secret.
    pub(crate) name: &'a str,
    pub(crate) dns_names: &'a [String],
    pub(crate) issuer: &'a str,
}

impl Order<'_> {
    /// The manifest, with these annotations.
    pub(crate) fn manifest(&self, config: &Config, annotations: &Value) -> Value {
        let object = config.certificate(self.name);
        json!({
            "apiVersion": object.api_version,
            "kind": object.kind,
            "metadata": { "namespace": object.namespace, "name": object.name, "annotations": annotations },
            "spec": {
                "secretName": self.name,
                "dnsNames": self.dns_names.iter().collect::<BTreeSet<_>>(),
                "issuerRef": { "group": "cert-manager.io", "kind": config.issuer_kind.name(), "name": self.issuer }
            }
        })
    }

    /// True where a Certificate asks for the same names of the same issuer, into the same Secret.
    pub(crate) fn is_placed(&self, found: &Value, config: &Config) -> bool {
        let names: BTreeSet<&str> = list(found, "/spec/dnsNames")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let kind = match text(found, "/spec/issuerRef/kind") {
            "" => "Issuer",
            kind => kind,
        };
        names == self.dns_names.iter().map(String::as_str).collect()
            && text(found, "/spec/secretName") == self.name
            && text(found, "/spec/issuerRef/name") == self.issuer
            && kind == config.issuer_kind.name()
    }
}

/// The condition that has cert-manager issue anew, as `cmctl renew` sets it.
pub(crate) fn renewal(found: &Value, now_ms: u64) -> Value {
    json!({
        "type": "Issuing",
        "status": "True",
        "reason": "ManuallyTriggered",
        "message": "Certificate re-issuance manually triggered",
        "observedGeneration": number(found, "/metadata/generation"),
        "lastTransitionTime": rfc3339(now_ms),
    })
}

/// How far a Certificate is with being valid for `min_valid_ms` more than `now_ms`.
///
/// # Errors
/// `unavailable`: the issuer limits the rate.
pub(crate) fn progress(found: &Value, now_ms: u64, min_valid_ms: u64) -> Result<Progress, Error> {
    if let Some(failed) = failure(found)? {
        return Ok(failed);
    }
    let ready = condition(found, "Ready").filter(|ready| ready.current);
    let Some(ready) = ready else {
        return Ok(Progress::Going(
            "cert-manager has not looked at it yet".to_owned(),
        ));
    };
    if !ready.holds {
        return Ok(Progress::Going(format!(
            "{}: {}",
            ready.reason, ready.message
        )));
    }
    Ok(match remaining_ms(found, now_ms) {
        Some(left) if left >= min_valid_ms => Progress::Done,
        left => Progress::Going(format!(
            "valid for another {} h, asked for are {} h",
            left.unwrap_or(0) / 3_600_000,
            min_valid_ms.div_ceil(3_600_000)
        )),
    })
}

/// How much longer a certificate is valid; none where the Certificate does not say.
pub(crate) fn remaining_ms(found: &Value, now_ms: u64) -> Option<u64> {
    let end = parse_rfc3339(text(found, "/status/notAfter"))?;
    Some(end.saturating_sub(now_ms))
}

/// True while cert-manager is issuing for it.
pub(crate) fn is_issuing(found: &Value) -> bool {
    condition(found, "Issuing").is_some_and(|issuing| issuing.holds)
}

/// A failed issuance for the Certificate as it is now: cert-manager tries again, an hour later.
fn failure(found: &Value) -> Result<Option<Progress>, Error> {
    let failed =
        condition(found, "Issuing").filter(|issuing| issuing.current && issuing.reason == "Failed");
    let Some(failed) = failed else {
        return Ok(None);
    };
    // RFC 8555, 6.6: `urn:ietf:params:acme:error:rateLimited`.
    if failed.message.contains("rateLimited") {
        return Err(Error::Unavailable(RetryHint {
            reason: failed.message,
            after_ms: None,
        }));
    }
    Ok(Some(Progress::Stuck(format!(
        "issuing failed: {}",
        failed.message
    ))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::example;

    const DAY_MS: u64 = 86_400_000;
    /// 2024-02-29T12:00:00Z.
    const NOW_MS: u64 = 1_709_208_000_000;

    fn names() -> Vec<String> {
        ["wp-bz.example.test", "wp-active.example.test"]
            .map(str::to_owned)
            .into()
    }

    fn order(names: &[String]) -> Order<'_> {
        Order {
            name: "wordpress-tls",
            dns_names: names,
            issuer: "production",
        }
    }

    fn ready(status: &str, not_after: &str) -> Value {
        json!({
            "metadata": { "generation": 2 },
            "status": { "notAfter": not_after, "conditions": [
                { "type": "Ready", "status": status, "reason": "DoesNotExist", "message": "issuing", "observedGeneration": 2 }
            ] }
        })
    }

    #[test]
    fn an_order_that_is_placed_is_known_again() {
        let (config, names) = (example(), names());
        let order = order(&names);
        let manifest = order.manifest(&config, &json!({}));
        assert!(order.is_placed(&manifest, &config));
        for (pointer, value) in [
            ("/spec/secretName", json!("other")),
            ("/spec/issuerRef/name", json!("staging")),
            ("/spec/issuerRef/kind", json!("Issuer")),
            ("/spec/dnsNames", json!(["wp-bz.example.test"])),
        ] {
            let mut other = manifest.clone();
            *other.pointer_mut(pointer).unwrap() = value;
            assert!(!order.is_placed(&other, &config), "{pointer}");
        }
    }

    #[test]
    fn a_renewal_is_asked_for_as_cmctl_does() {
        let found = ready("True", "2024-03-10T12:00:00Z");
        let renewal = renewal(&found, NOW_MS);
        assert_eq!(renewal["lastTransitionTime"], "2024-02-29T12:00:00Z");
        assert_eq!(renewal["observedGeneration"], 2);
        let mut asked = found.clone();
        let conditions = asked["status"]["conditions"].as_array_mut();
        conditions.unwrap().push(renewal);
        assert!(is_issuing(&asked) && !is_issuing(&found));
    }

    #[test]
    fn ready_is_not_enough_where_it_ends_too_soon() {
        let judge = |found: Value| progress(&found, NOW_MS, 30 * DAY_MS).unwrap();
        assert_eq!(judge(ready("True", "2024-04-29T12:00:00Z")), Progress::Done);
        assert!(
            matches!(judge(ready("True", "2024-03-10T12:00:00Z")), Progress::Going(text) if text.contains("240 h"))
        );
        assert!(
            matches!(judge(ready("False", "")), Progress::Going(text) if text.contains("issuing"))
        );
        let mut older = ready("True", "2024-04-29T12:00:00Z");
        older["metadata"]["generation"] = json!(3);
        assert!(matches!(judge(older), Progress::Going(text) if text.contains("not looked")));
        assert!(matches!(judge(json!({})), Progress::Going(_)));
    }

    #[test]
    fn a_failed_issuance_is_told_in_the_issuers_words() {
        let failed = |message: &str| {
            json!({ "status": { "conditions": [
                { "type": "Issuing", "status": "False", "reason": "Failed", "message": message },
                { "type": "Ready", "status": "False", "reason": "DoesNotExist" }
            ] } })
        };
        let told = progress(&failed("the challenge was not answered"), NOW_MS, 0).unwrap();
        assert!(matches!(told, Progress::Stuck(text) if text.contains("challenge")));
        let limited = progress(
            &failed("429 urn:ietf:params:acme:error:rateLimited: too many"),
            NOW_MS,
            0,
        );
        assert!(matches!(limited, Err(Error::Unavailable(_))));
    }
}
