//! Certificates and who issues them: what cert-manager does with `ClusterIssuer` and `Certificate`.
//!
//! A certificate is issued where its Secret is missing, does not hold the names that are asked for, or is about to
//! expire, and where the condition `Issuing` asks for it, as `cmctl renew` does. Its Secret and its `Ready` condition
//! say what came of it; an issuer's words are the condition's message.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;

use super::issuer::Issuer;
use super::{Config, timestamp};
use crate::clock::now_ms;
use crate::kubernetes::cluster::{Cluster, Kind, is_condition_true, list, text};

/// Pause before something that failed is tried again, in milliseconds. cert-manager waits an hour.
const RETRY_MS: u64 = 2_000;
/// A certificate is renewed when a third of its time is left, as cert-manager does by itself.
const RENEW_AT_REMAINING_SHARE: u64 = 3;

/// Issuers and certificates of a cluster.
pub(super) struct Certificates<'a> {
    config: &'a Config,
    cluster: &'a Cluster,
    /// Accounts by the issuer's name, each with the specification it was registered for.
    issuers: BTreeMap<String, (Value, Issuer)>,
    /// When something that failed may be tried again, by its kind and name.
    not_before: BTreeMap<String, u64>,
}

/// Of a certificate: its names and times, in milliseconds since the epoch.
struct Held {
    names: Vec<String>,
    not_before: u64,
    not_after: u64,
}

impl<'a> Certificates<'a> {
    pub(super) fn new(config: &'a Config, cluster: &'a Cluster) -> Self {
        Self {
            config,
            cluster,
            issuers: BTreeMap::new(),
            not_before: BTreeMap::new(),
        }
    }

    pub(super) async fn reconcile(&mut self) -> Result<()> {
        for issuer in self.cluster.list(Kind::CLUSTER_ISSUER, "").await? {
            self.register(&issuer).await?;
        }
        for certificate in self.cluster.list(Kind::CERTIFICATE, "").await? {
            self.certify(&certificate).await?;
        }
        Ok(())
    }

    /// Registers an issuer's account where that has not been done for what it says now.
    async fn register(&mut self, issuer: &Value) -> Result<()> {
        let name = text(issuer, "/metadata/name");
        let spec = issuer.get("spec").cloned().unwrap_or_default();
        if self
            .issuers
            .get(name)
            .is_some_and(|(known, _)| *known == spec)
            && is_condition_true(issuer, "Ready")
        {
            return Ok(());
        }
        if !self.is_due(&format!("issuer {name}")) {
            return Ok(());
        }
        let (status, reason, message) =
            match Issuer::register(self.config, self.cluster, issuer).await {
                Ok(registered) => {
                    self.issuers.insert(name.to_owned(), (spec, registered));
                    (
                        "True",
                        "ACMEAccountRegistered",
                        "The ACME account was registered with the ACME server".to_owned(),
                    )
                }
                Err(error) => {
                    self.issuers.remove(name);
                    ("False", "ErrRegisterACMEAccount", format!("{error:#}"))
                }
            };
        let ready = condition("Ready", status, reason, &message, issuer);
        let status = json!({ "conditions": [ready] });
        self.cluster
            .patch_status(Kind::CLUSTER_ISSUER, "", name, &status)
            .await
    }

    /// Has one certificate issued where it has to be.
    async fn certify(&mut self, certificate: &Value) -> Result<()> {
        let (namespace, name) = (
            text(certificate, "/metadata/namespace"),
            text(certificate, "/metadata/name"),
        );
        if !text(certificate, "/metadata/deletionTimestamp").is_empty() {
            return Ok(());
        }
        let secret = self
            .cluster
            .get(
                Kind::SECRET,
                namespace,
                text(certificate, "/spec/secretName"),
            )
            .await?;
        let held = secret.as_ref().and_then(|secret| held(secret).ok());
        let Some(reason) = reason_to_issue(certificate, held.as_ref()) else {
            // The Secret outlived a status that was not written, or was brought from elsewhere.
            if let Some(held) = held.filter(|_| !is_current(certificate)) {
                self.report_ready(certificate, &held).await?;
            }
            return Ok(());
        };
        if !self.is_due(&format!("certificate {namespace}/{name}")) {
            return Ok(());
        }
        match self.issue(certificate).await {
            Ok(held) => self.report_ready(certificate, &held).await,
            Err(error) => {
                let message = format!("{reason}; {error:#}");
                let ready = condition("Ready", "False", "Failed", &message, certificate);
                let issuing = condition("Issuing", "True", "Failed", &message, certificate);
                let status = json!({ "conditions": [ready, issuing] });
                self.cluster
                    .patch_status(Kind::CERTIFICATE, namespace, name, &status)
                    .await
            }
        }
    }

    async fn issue(&self, certificate: &Value) -> Result<Held> {
        let namespace = text(certificate, "/metadata/namespace");
        let issuer = text(certificate, "/spec/issuerRef/name");
        let found = self.issuers.get(issuer);
        let (_, issuer) = found.with_context(|| format!("the issuer {issuer:?} is not ready"))?;
        let issued = issuer.issue(&names(certificate)).await?;
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": text(certificate, "/spec/secretName"),
                "namespace": namespace,
                "annotations": { "cert-manager.io/certificate-name": text(certificate, "/metadata/name") },
            },
            "type": "kubernetes.io/tls",
            "data": { "tls.crt": BASE64.encode(issued.chain), "tls.key": BASE64.encode(issued.key) },
        });
        let issued = held(&secret)?;
        self.cluster.apply(secret).await?;
        Ok(issued)
    }

    async fn report_ready(&mut self, certificate: &Value, held: &Held) -> Result<()> {
        let (namespace, name) = (
            text(certificate, "/metadata/namespace"),
            text(certificate, "/metadata/name"),
        );
        self.not_before
            .remove(&format!("certificate {namespace}/{name}"));
        let message = "Certificate is up to date and has not expired";
        let revision = certificate
            .pointer("/status/revision")
            .and_then(Value::as_u64)
            .unwrap_or(0);
        // No condition `Issuing`: whoever asked sees that it is done.
        let status = json!({
            "conditions": [condition("Ready", "True", "Ready", message, certificate)],
            "notBefore": timestamp(held.not_before),
            "notAfter": timestamp(held.not_after),
            "renewalTime": timestamp(held.renewal()),
            "revision": revision + 1,
        });
        self.cluster
            .patch_status(Kind::CERTIFICATE, namespace, name, &status)
            .await
    }

    /// Whether something may be tried, which counts as trying it.
    fn is_due(&mut self, what: &str) -> bool {
        let now = now_ms();
        let due = self.not_before.get(what).is_none_or(|at| now >= *at);
        if due {
            self.not_before.insert(what.to_owned(), now + RETRY_MS);
        }
        due
    }
}

impl Held {
    fn renewal(&self) -> u64 {
        self.not_after - self.not_after.saturating_sub(self.not_before) / RENEW_AT_REMAINING_SHARE
    }
}

/// Why a certificate has to be issued; none where it has not.
fn reason_to_issue(certificate: &Value, held: Option<&Held>) -> Option<&'static str> {
    let Some(held) = held else {
        return Some("Issuing certificate as Secret does not exist or holds none");
    };
    if held.names != names(certificate) {
        return Some("Issuing certificate as Secret does not match the specification");
    }
    if now_ms() >= held.renewal() {
        return Some("Renewing certificate as renewal was scheduled");
    }
    is_condition_true(certificate, "Issuing").then_some("Renewing certificate as it was asked for")
}

/// Whether its status speaks of its newest specification and says that it is ready.
fn is_current(certificate: &Value) -> bool {
    let generation = certificate.pointer("/metadata/generation");
    list(certificate, "/status/conditions")
        .iter()
        .any(|condition| {
            text(condition, "/type") == "Ready"
                && text(condition, "/status") == "True"
                && condition.get("observedGeneration") == generation
        })
}

/// The names that are asked for, sorted.
fn names(certificate: &Value) -> Vec<String> {
    let names = list(certificate, "/spec/dnsNames")
        .iter()
        .filter_map(Value::as_str);
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    let common = text(certificate, "/spec/commonName");
    if !common.is_empty() {
        names.push(common.to_owned());
    }
    names.sort();
    names.dedup();
    names
}

/// The first certificate of a Secret.
fn held(secret: &Value) -> Result<Held> {
    let chain = secret
        .pointer("/data/tls.crt")
        .and_then(Value::as_str)
        .context("no tls.crt")?;
    let chain = BASE64.decode(chain)?;
    let (_, pem) = parse_x509_pem(&chain).map_err(|error| anyhow::anyhow!("{error}"))?;
    let certificate = pem
        .parse_x509()
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let alternatives = certificate.subject_alternative_name()?;
    let mut names: Vec<String> = alternatives
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect();
    names.sort();
    let milliseconds = |seconds: i64| {
        u64::try_from(seconds)
            .unwrap_or_default()
            .saturating_mul(1000)
    };
    let validity = certificate.validity();
    Ok(Held {
        names,
        not_before: milliseconds(validity.not_before.timestamp()),
        not_after: milliseconds(validity.not_after.timestamp()),
    })
}

fn condition(kind: &str, status: &str, reason: &str, message: &str, of: &Value) -> Value {
    json!({
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": of.pointer("/metadata/generation"),
        "lastTransitionTime": timestamp(now_ms()),
    })
}
