//! Certificates that cert-manager issues in a cluster per site (`cert-manager.io/v1`), and what sites really serve.
//!
//! # What it needs in the clusters
//! cert-manager with an issuer that answers its challenges by DNS (a site that does not serve yet cannot answer over HTTP),
//! and a user per cluster, in the kubeconfig of the binding, with roles
//!
//! | resource | verbs | for |
//! |---|---|---|
//! | `certificates` | get, watch, create, patch | issuing |
//! | `certificates/status` | patch | renewing |
//! | `certificates` (the test's) | delete | the throw-away one |
//! | `clusterissuers` or `issuers` | get | whether an issuer is ready |
//! | `secrets` (the test's) | get, watch, delete | the throw-away one; no key of any Secret is read |
//! | `configmaps` (the test's) | get, create, patch | remembering the newest proof |
//!
//! The binding grants the same as `get`, `watch`, `apply`, `patch-status` and `delete`, and `tls` to the address of each site.
//!
//! # What each function does there
//! * `observe-issuer`: its `Ready` condition.
//! * `observe-served`: one handshake at the site's own address, asking for the name.
//! * `ensure-certificate`: applies a Certificate where the one that is there asks for something else, and waits until it is
//!   `Ready` for as it is now. One that ends too soon is renewed as `cmctl renew` does it, by its condition `Issuing`.
//!   Failed issuance is a `conflict` in the issuer's words, a rate limit `unavailable`.
//! * `ensure-test-issued`: a Certificate of the test's name, waited for, then deleted with its Secret. The proof is kept in a
//!   ConfigMap by what was asked, so that the same token does not cost another issuance.
//!
//! # Limits
//! The time is the API server's, to the second. More validity than the issuer gives is asked for in vain: it is issued anew
//! until the step's budget is over.
//!
//! Start at [`CertManager::ensure_certificate`](certificates::Guest::ensure_certificate); judgement is in `order`.

use serde_json::{Value, json};
use understudy_sdk::host::understudy::kubernetes::api;
use understudy_sdk::host::understudy::tls::tls;
use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::kubernetes::{Cluster, condition};
use understudy_sdk::provider::Configured;

mod config;
mod order;

understudy_sdk::provider_bindings!("understudy:plugin/provider-certificates");

use certificates::Outcome;
use config::Config;
use exports::understudy::{certificates::certificates, plugin::provider};
use order::{Order, is_issuing, progress, remaining_ms, renewal};

/// Names of one certificate: what public authorities take.
const MAX_NAMES: usize = 100;

/// Annotation of the throw-away Certificate, and key of the ConfigMap: which proof it is.
const PROOF: &str = "understudy-proof";

static CONFIG: Configured<Config> = Configured::new();

/// The provider.
struct CertManager;

impl provider::Guest for CertManager {
    fn describe() -> provider::Description {
        provider::Description {
            name: "cert-manager".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "certificates that cert-manager issues, and what sites really serve"
                .to_owned(),
            config_schema: config::SCHEMA.to_owned(),
        }
    }

    fn configure(config: String) -> Result<(), String> {
        CONFIG.set(Config::parse(&config)?)
    }
}

impl certificates::Guest for CertManager {
    fn observe_issuer(site: String, issuer: String) -> Result<certificates::IssuerStatus, Error> {
        let config = CONFIG.get()?;
        let found = config.cluster(&site).get(&config.issuer(&issuer))?;
        Ok(issuer_status(&found))
    }

    fn observe_served(
        site: String,
        server_name: String,
    ) -> Result<certificates::ServedCertificate, Error> {
        let served = tls::inspect(CONFIG.get()?.authority(&site)?, &server_name)?;
        Ok(understudy_sdk::served_certificate!(
            certificates::ServedCertificate,
            served
        ))
    }

    fn ensure_certificate(
        site: String,
        name: String,
        dns_names: Vec<String>,
        issuer: String,
        min_valid_ms: u64,
    ) -> Result<Outcome, Error> {
        let config = CONFIG.get()?;
        if dns_names.is_empty() || dns_names.len() > MAX_NAMES {
            return Err(Error::Invalid(format!(
                "a certificate has 1 to {MAX_NAMES} names, asked for are {}",
                dns_names.len()
            )));
        }
        let order = Order {
            name: &name,
            dns_names: &dns_names,
            issuer: &issuer,
        };
        certify(config, config.cluster(&site), &order, min_valid_ms)
    }

    fn ensure_test_issued(
        site: String,
        issuer: String,
        dns_name: String,
        token: String,
    ) -> Result<Outcome, Error> {
        let config = CONFIG.get()?;
        let proof = proof(&issuer, &dns_name, &token);
        test_issue(config, config.cluster(&site), &issuer, dns_name, &proof)
    }
}

fn issuer_status(issuer: &Value) -> certificates::IssuerStatus {
    let ready = condition(issuer, "Ready");
    let holds = ready
        .as_ref()
        .is_some_and(|ready| ready.holds && ready.current);
    let problem = match ready {
        _ if holds => String::new(),
        Some(ready) => format!("{}: {}", ready.reason, ready.message),
        None => "cert-manager has not looked at it yet".to_owned(),
    };
    certificates::IssuerStatus {
        ready: holds,
        problem,
    }
}

/// Has a Certificate ask for this, and waits until it is issued and lasts.
fn certify(
    config: &Config,
    cluster: Cluster<'_>,
    order: &Order<'_>,
    min_valid_ms: u64,
) -> Result<Outcome, Error> {
    let object = config.certificate(order.name);
    let now_ms = api::get_time(cluster.0)?;
    let found = cluster.find(&object)?;
    let placed = found.filter(|found| order.is_placed(found, config));
    let done = match placed {
        None => {
            cluster.apply(&order.manifest(config, &json!({})), false)?;
            Outcome::Changed
        }
        // Short-lived is what a certificate is that was issued, not one that is being issued.
        Some(found) if !is_issuing(&found) && is_short(&found, now_ms, min_valid_ms) => {
            cluster.set_condition(&object, renewal(&found, now_ms), &found)?;
            Outcome::Changed
        }
        Some(_) => Outcome::Unchanged,
    };
    cluster.settle(&object, done, || {
        let seen = cluster.get(&object)?;
        Ok((progress(&seen, now_ms, min_valid_ms)?, Some(seen)))
    })
}

fn is_short(found: &Value, now_ms: u64, min_valid_ms: u64) -> bool {
    remaining_ms(found, now_ms).is_some_and(|left| left < min_valid_ms)
}

/// Issues and deletes a certificate, once for a proof.
fn test_issue(
    config: &Config,
    cluster: Cluster<'_>,
    issuer: &str,
    dns_name: String,
    proof: &str,
) -> Result<Outcome, Error> {
    let object = config.certificate(&config.test_name);
    let proofs = config.proofs();
    let proved = cluster.find(&proofs)?;
    if proved.is_some_and(|proofs| proofs["data"][PROOF] == proof) {
        return tidy_up(config, cluster, Outcome::Unchanged);
    }
    let order = Order {
        name: &config.test_name,
        dns_names: &[dns_name],
        issuer,
    };
    let found = cluster.find(&object)?;
    match found {
        Some(found) if found["metadata"]["annotations"][PROOF] == proof => {}
        // Left over from another proof, or from nobody knows what.
        Some(_) => {
            let gone = tidy_up(config, cluster, Outcome::Changed)?;
            if matches!(gone, Outcome::InProgress(_)) {
                return Ok(gone);
            }
            cluster.apply(&order.manifest(config, &json!({ (PROOF): proof })), false)?;
        }
        None => {
            cluster.apply(&order.manifest(config, &json!({ (PROOF): proof })), false)?;
        }
    }
    let issued = cluster.settle(&object, Outcome::Changed, || {
        let seen = cluster.get(&object)?;
        Ok((progress(&seen, 0, 0)?, Some(seen)))
    })?;
    if matches!(issued, Outcome::InProgress(_)) {
        return Ok(issued);
    }
    let manifest = json!({
        "apiVersion": proofs.api_version,
        "kind": proofs.kind,
        "metadata": { "namespace": proofs.namespace, "name": proofs.name },
        "data": { (PROOF): proof }
    });
    cluster.apply(&manifest, false)?;
    tidy_up(config, cluster, Outcome::Changed)
}

/// Deletes the throw-away Certificate, then its Secret, which cert-manager would only make again before that.
fn tidy_up(config: &Config, cluster: Cluster<'_>, done: Outcome) -> Result<Outcome, Error> {
    let name = &config.test_name;
    for object in [config.certificate(name), config.secret(name)] {
        if let Outcome::InProgress(operation) = cluster.remove(&object)? {
            return Ok(Outcome::InProgress(operation));
        }
    }
    Ok(done)
}

/// Which proof this is: FNV-1a over what was asked, as a label may hold it.
fn proof(issuer: &str, dns_name: &str, token: &str) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in [issuer, dns_name, token] {
        // A byte that no text has keeps the parts apart.
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}

export!(CertManager);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_ready_when_it_says_so_of_itself_as_it_is() {
        let status = |condition: Value| {
            issuer_status(
                &json!({ "metadata": { "generation": 2 }, "status": { "conditions": [condition] } }),
            )
        };
        let ready = json!({ "type": "Ready", "status": "True", "observedGeneration": 2 });
        assert!(status(ready).ready);
        let older = json!({ "type": "Ready", "status": "True", "observedGeneration": 1 });
        assert!(!status(older).ready);
        let broken = status(
            json!({ "type": "Ready", "status": "False", "reason": "ErrRegisterACMEAccount", "message": "no such host" }),
        );
        assert!(!broken.ready && broken.problem.contains("no such host"));
        assert!(!issuer_status(&json!({})).problem.is_empty());
    }

    #[test]
    fn a_proof_is_for_one_question() {
        let first = proof("production", "wp.example.test", "run-1");
        assert_eq!(first, proof("production", "wp.example.test", "run-1"));
        assert_ne!(first, proof("production", "wp.example.test", "run-2"));
        assert_ne!(proof("a", "bc", "d"), proof("ab", "c", "d"));
    }
}
