//! An order, from its beginning to a certificate that is kept. What is begun is in the folder before the next step is taken,
//! so that a host that comes back finds the same order with the same key.

use instant_acme::{
    Account, AuthorizationStatus, ChallengeStatus, ChallengeType, Error, Identifier, NewOrder,
    Order, OrderStatus,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use serde::{Deserialize, Serialize};

use super::super::Fault;
use super::Desk;
use super::store::Kept;

/// How an order stands.
pub(super) enum Stage {
    /// Records that have to be in DNS.
    ToProve(Vec<Proof>),
    /// The authority is at it.
    Pending,
    /// Issued and kept, with the records that are not needed any more.
    Done(Kept, Vec<Proof>),
}

/// `acme.proof`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Proof {
    record_name: String,
    value: String,
}

/// An order that was begun, as it is kept.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Begun {
    url: String,
    dns_names: Vec<String>,
    tag: String,
    /// The certificate's key, PEM.
    key: String,
    /// The records that were asked for.
    proofs: Vec<Proof>,
}

impl Desk {
    /// Takes the order under `name` as far as it goes now.
    pub(super) async fn advance(
        &mut self,
        name: &str,
        dns_names: &[String],
        tag: &str,
    ) -> Result<Stage, Fault> {
        let account = self.authority.account().await?;
        let (mut begun, mut order) = match self.found(&account, name, dns_names, tag).await? {
            Some(found) => found,
            None => self.begin(&account, name, dns_names, tag).await?,
        };
        if order.state().status == OrderStatus::Pending {
            let proofs = self.proofs(&mut order).await?;
            if proofs.is_empty() {
                return Ok(Stage::Pending);
            }
            begun.proofs.clone_from(&proofs);
            self.store.begin(name, &begun).await?;
            return Ok(Stage::ToProve(proofs));
        }
        if order.state().status == OrderStatus::Ready {
            let request = request(&begun)?;
            let finalized = order.finalize_csr(&request).await;
            finalized.map_err(|error| self.authority.told(error))?;
        }
        match order.state().status {
            OrderStatus::Pending | OrderStatus::Ready | OrderStatus::Processing => {
                Ok(Stage::Pending)
            }
            OrderStatus::Valid => {
                let chain = order.certificate().await;
                let chain = chain.map_err(|error| self.authority.told(error))?;
                let Some(chain) = chain else {
                    return Ok(Stage::Pending);
                };
                let kept = self.store.keep(name, chain, begun.key, tag).await?;
                self.store.forget(name).await?;
                Ok(Stage::Done(kept, begun.proofs))
            }
            OrderStatus::Invalid => {
                let why = self.failure(&mut order).await;
                self.store.forget(name).await?;
                Err(why)
            }
        }
    }

    /// Tells the authority that the records are there: how many challenges were open.
    pub(super) async fn answer(&mut self, issuer: &str, name: &str) -> Result<usize, Fault> {
        let account = self.authority.account().await?;
        let begun = self.store.begun(name).await?.ok_or_else(|| {
            let text = format!("there is no order `{name}` of issuer `{issuer}`");
            Fault::not_found("CP0065", text)
        })?;
        let order = account.order(begun.url).await;
        let mut order = order.map_err(|error| self.authority.told(error))?;
        let mut answered = 0;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(|error| self.authority.told(error))?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let challenge = authorization.challenge(ChallengeType::Dns01);
            let Some(mut challenge) = challenge else {
                continue;
            };
            if challenge.status == ChallengeStatus::Pending {
                let ready = challenge.set_ready().await;
                ready.map_err(|error| self.authority.told(error))?;
                answered += 1;
            }
        }
        Ok(answered)
    }

    /// The order that was begun for the same, if the authority still has it.
    async fn found(
        &self,
        account: &Account,
        name: &str,
        dns_names: &[String],
        tag: &str,
    ) -> Result<Option<(Begun, Order)>, Fault> {
        let begun = self.store.begun(name).await?;
        let Some(begun) = begun.filter(|begun| begun.dns_names == dns_names && begun.tag == tag)
        else {
            return Ok(None);
        };
        match account.order(begun.url.clone()).await {
            Ok(order) => Ok(Some((begun, order))),
            // Forgotten there: authorities keep orders for some days.
            Err(Error::Api(problem)) if matches!(problem.status, Some(403 | 404)) => Ok(None),
            Err(error) => Err(self.authority.told(error)),
        }
    }

    async fn begin(
        &self,
        account: &Account,
        name: &str,
        dns_names: &[String],
        tag: &str,
    ) -> Result<(Begun, Order), Fault> {
        let identifiers = dns_names.iter().cloned().map(Identifier::Dns);
        let identifiers: Vec<Identifier> = identifiers.collect();
        let order = account.new_order(&NewOrder::new(&identifiers)).await;
        let order = order.map_err(|error| self.authority.told(error))?;
        let key = KeyPair::generate().map_err(unmade)?;
        let begun = Begun {
            url: order.url().to_owned(),
            dns_names: dns_names.to_vec(),
            tag: tag.to_owned(),
            key: key.serialize_pem(),
            proofs: Vec::new(),
        };
        self.store.begin(name, &begun).await?;
        Ok((begun, order))
    }

    /// The records of the challenges that nobody has answered yet.
    async fn proofs(&self, order: &mut Order) -> Result<Vec<Proof>, Fault> {
        let mut proofs = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(|error| self.authority.told(error))?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let named = authorization.identifier().to_string();
            let Some(challenge) = authorization.challenge(ChallengeType::Dns01) else {
                let text = format!("the authority does not prove {named} by DNS-01");
                return Err(Fault::conflicting("CP0061", text));
            };
            if challenge.status == ChallengeStatus::Pending {
                let name = named.strip_prefix("*.").unwrap_or(&named);
                proofs.push(Proof {
                    record_name: format!("_acme-challenge.{name}"),
                    value: challenge.key_authorization().dns_value(),
                });
            }
        }
        Ok(proofs)
    }

    /// Why an order is invalid: what the authority says of each name that was not proved, else of the order.
    async fn failure(&self, order: &mut Order) -> Fault {
        let mut said = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(Ok(authorization)) = authorizations.next().await {
            let named = authorization.identifier().to_string();
            let problems = authorization.challenges.iter();
            said.extend(
                problems
                    .filter_map(|challenge| challenge.error.as_ref())
                    .map(|problem| format!("{named} was not proved: {problem}")),
            );
        }
        if let Some(problem) = order.state().error.as_ref().filter(|_| said.is_empty()) {
            return self.authority.refused(problem);
        }
        if said.is_empty() {
            said.push("the order is invalid, and the authority does not say why".to_owned());
        }
        Fault::conflicting("CP0061", said.join("; "))
    }
}

/// The request for a certificate (PKCS #10), DER.
fn request(begun: &Begun) -> Result<Vec<u8>, Fault> {
    let key = KeyPair::from_pem(&begun.key).map_err(unmade)?;
    let mut params = CertificateParams::new(begun.dns_names.clone()).map_err(unmade)?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key).map_err(unmade)?;
    Ok(request.der().to_vec())
}

fn unmade(error: rcgen::Error) -> Fault {
    Fault::invalid(
        "CP0009",
        format!("this makes no request for a certificate: {error}"),
    )
}
