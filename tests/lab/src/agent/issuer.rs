//! An ACME issuer: an account at the authority that a ClusterIssuer names, and orders that are proved by a record
//! which the solver it names puts into DNS (RFC 8555, section 8.4).

use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder, OrderStatus,
    RetryPolicy,
};
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;

use super::Config;
use crate::kubernetes::cluster::{Cluster, Kind, text};
use crate::kubernetes::objects::PLATFORM;
use crate::powerdns::Editor;
use crate::powerdns::editor::set;

/// TTL of the records that prove a name, in seconds; the least there is.
const PROOF_TTL_SECONDS: u32 = 1;
/// Where a ClusterIssuer says how names are proved.
const SOLVER: &str = "/spec/acme/solvers/0/dns01/webhook";

/// A registered account and its solver.
pub(super) struct Issuer {
    account: Account,
    names: Editor,
    proof_lock: PathBuf,
}

/// A certificate with the chain that leads to its root, and its key; PEM.
pub(super) struct Issued {
    pub(super) chain: String,
    pub(super) key: String,
}

impl Issuer {
    /// Registers an account as `issuer`, a ClusterIssuer, says.
    pub(super) async fn register(
        config: &Config,
        cluster: &Cluster,
        issuer: &Value,
    ) -> Result<Self> {
        let directory = text(issuer, "/spec/acme/server");
        ensure!(!directory.is_empty(), "it has no ACME server");
        let root = config
            .folder
            .join(format!("issuer-{}.pem", text(issuer, "/metadata/name")));
        std::fs::write(&root, BASE64.decode(text(issuer, "/spec/acme/caBundle"))?)?;
        let contact = format!("mailto:{}", text(issuer, "/spec/acme/email"));
        let account = NewAccount {
            contact: &[&contact],
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let registered = Account::builder_with_root(&root)?
            .create(&account, directory.to_owned(), None)
            .await;
        let (account, _) =
            registered.with_context(|| format!("{directory} registers no account"))?;
        Ok(Self {
            account,
            names: solver(config, cluster, issuer).await?,
            proof_lock: config.proof_lock.clone(),
        })
    }

    /// Has a certificate for these names issued.
    pub(super) async fn issue(&self, names: &[String]) -> Result<Issued> {
        // Both zones prove the same name, and a record that proves it holds one proof.
        let lock = File::create(&self.proof_lock)?;
        let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await??;
        let issued = self.order(names).await;
        for name in names {
            self.names.remove(&proof_name(name), "TXT").await?;
        }
        drop(lock);
        issued
    }

    async fn order(&self, names: &[String]) -> Result<Issued> {
        let identifiers: Vec<Identifier> = names
            .iter()
            .map(|name| Identifier::Dns(name.clone()))
            .collect();
        let mut order = self.account.new_order(&NewOrder::new(&identifiers)).await?;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            match authorization.status {
                AuthorizationStatus::Pending => {}
                AuthorizationStatus::Valid => continue,
                status => bail!("an authorization is {status:?}"),
            }
            let challenge = authorization.challenge(ChallengeType::Dns01);
            let mut challenge = challenge.context("the authority offers no proof by DNS")?;
            let name = proof_name(&challenge.identifier().to_string());
            let proof = format!("\"{}\"", challenge.key_authorization().dns_value());
            self.names
                .replace(&[set(&name, "TXT", &proof, PROOF_TTL_SECONDS)])
                .await?;
            challenge.set_ready().await?;
        }
        let retries = RetryPolicy::default();
        let status = order.poll_ready(&retries).await?;
        ensure!(
            status == OrderStatus::Ready,
            "the authority does not accept the proofs: the order is {status:?}"
        );
        let key = KeyPair::generate()?;
        let request = CertificateParams::new(names)?.serialize_request(&key)?;
        order.finalize_csr(request.der()).await?;
        let chain = order.poll_certificate(&retries).await?;
        Ok(Issued {
            chain,
            key: key.serialize_pem(),
        })
    }
}

/// The name server that a ClusterIssuer's solver is told of.
async fn solver(config: &Config, cluster: &Cluster, issuer: &Value) -> Result<Editor> {
    let told = |pointer: &str| text(issuer, &format!("{SOLVER}{pointer}"));
    ensure!(
        told("/solverName") == "powerdns",
        "no solver is called {:?}",
        told("/solverName")
    );
    let host = told("/config/host");
    let api = host
        .strip_prefix("http://")
        .and_then(|address| address.parse().ok());
    let api = api.with_context(|| format!("{host:?} is not the address of a name server's API"))?;
    let (name, key) = (
        told("/config/apiKeySecretRef/name"),
        told("/config/apiKeySecretRef/key"),
    );
    let secret = cluster.get(Kind::SECRET, PLATFORM, name).await?;
    let secret = secret.with_context(|| format!("secret \"{name}\" not found"))?;
    let value = secret
        .get("data")
        .and_then(|data| data.get(key))
        .and_then(Value::as_str);
    let value =
        value.with_context(|| format!("couldn't find key {key} in Secret {PLATFORM}/{name}"))?;
    Editor::new(config.dns, api, String::from_utf8(BASE64.decode(value)?)?)
}

/// Where the proof of a name is looked for.
fn proof_name(name: &str) -> String {
    format!("_acme-challenge.{}", name.trim_start_matches("*."))
}
