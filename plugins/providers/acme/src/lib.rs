//! Certificates by ACME (RFC 8555) for sites without Kubernetes: Let's Encrypt, step-ca, whatever speaks it. Names are proved
//! by DNS-01 through dynamic updates, so a site that serves nobody yet gets its certificate all the same.
//!
//! # What it needs
//! In the binding: the issuer in `issuers` with its directory, a file for the account and a folder for certificates; the name
//! server in `name-servers` and a grant `dns-update` for `TXT` at `_acme-challenge.*`; `tls` to the address of each site. The
//! key that signs the updates should be good for nothing else: `update-policy { grant KEY name _acme-challenge.wp.example.test.
//! TXT; };` in BIND. Where a certificate has to be brought to the site, a program in `programs`.
//!
//! Keys never come here: the host makes and keeps them. A certificate `NAME` of a site is `FOLDER/SITE.NAME/fullchain.pem`
//! with `privkey.pem` beside it, both replaced at once.
//!
//! # What each function does
//! * `observe-issuer`: whether the authority answers with a directory.
//! * `observe-served`: one handshake at the site's own address, asking for the name.
//! * `ensure-certificate`: one that is kept for exactly these names and lasts is not ordered again. Else the order goes on
//!   where it stands, also after the host died: records into DNS, the challenges answered, asked after until it is issued,
//!   records away. With `deploy`, the program is run while the site serves another certificate for the first name.
//! * `ensure-test-issued`: the same for the throw-away certificate; then its key is deleted. What is left of it says which
//!   proof it was, so the same token does not cost another issuance.
//!
//! # Limits
//! No external account binding, no delegation of `_acme-challenge` by an alias, names only. Secondary name servers are not
//! waited for: an authority that asks one too early fails the challenge (`conflict`), and the next attempt orders anew.
//!
//! Start at [`AcmeProvider::ensure_certificate`](certificates::Guest::ensure_certificate).

use understudy_sdk::certificate::server_name;
use understudy_sdk::exec::{Command, Host, Input, Output, Programs as _, last_words};
use understudy_sdk::host::understudy::acme::acme::{self, Kept, Proof, Stage};
use understudy_sdk::host::understudy::dns_update::dns_update::{self, RecordSet, SetName};
use understudy_sdk::host::understudy::tls::tls;
use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::provider::{Configured, in_progress};
use understudy_sdk::records::is_in_zone;

mod config;
mod proof;

understudy_sdk::provider_bindings!("understudy:plugin/provider-certificates");

use certificates::Outcome;
use config::{Config, Deploy};
use exports::understudy::{certificates::certificates, plugin::provider};

/// Wait in milliseconds before the authority is asked again: it looks up a record in the meantime.
const POLL_AFTER_MS: u64 = 1000;

/// Rule of the host's refusal for an issuer that the binding does not have.
const NO_ISSUER: &str = "CP0060";

static CONFIG: Configured<Config> = Configured::new();

/// The provider.
struct AcmeProvider;

impl provider::Guest for AcmeProvider {
    fn describe() -> provider::Description {
        provider::Description {
            name: "acme".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "certificates by ACME, proved by DNS-01, and what sites really serve"
                .to_owned(),
            config_schema: config::SCHEMA.to_owned(),
        }
    }

    fn configure(config: String) -> Result<(), String> {
        CONFIG.set(Config::parse(&config)?)
    }
}

impl certificates::Guest for AcmeProvider {
    fn observe_issuer(_: String, issuer: String) -> Result<certificates::IssuerStatus, Error> {
        let status = |problem: String| certificates::IssuerStatus {
            ready: problem.is_empty(),
            problem,
        };
        match acme::observe_authority(&issuer) {
            // It answers, and is not what it should be.
            Err(Error::Invalid(text)) => Ok(status(text)),
            answer => known(&issuer, answer).map(|_| status(String::new())),
        }
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
        let mut dns_names: Vec<String> = dns_names.iter().map(|n| n.to_ascii_lowercase()).collect();
        dns_names.sort();
        dns_names.dedup();
        let order = Order {
            config,
            issuer: &issuer,
            name: &format!("{site}.{name}"),
            dns_names: &dns_names,
            tag: "",
        };
        let lasts = |kept: &Kept| {
            kept.usable && kept.dns_names == dns_names && kept.remaining_ms >= min_valid_ms
        };
        let (kept, outcome) = match order.kept()?.filter(lasts) {
            Some(kept) => (kept, Outcome::Unchanged),
            None => match order.advance()? {
                Ok(kept) => (kept, Outcome::Changed),
                Err(waiting) => return Ok(waiting),
            },
        };
        if kept.remaining_ms < min_valid_ms {
            return Err(Error::Conflict(format!(
                "issuer {issuer} gives certificates for {} h, asked for are {} h",
                kept.remaining_ms / 3_600_000,
                min_valid_ms.div_ceil(3_600_000)
            )));
        }
        match &config.deploy {
            Some(deploy) => deployed(config, deploy, &site, &name, &kept, outcome),
            None => Ok(outcome),
        }
    }

    fn ensure_test_issued(
        site: String,
        issuer: String,
        dns_name: String,
        token: String,
    ) -> Result<Outcome, Error> {
        let config = CONFIG.get()?;
        let order = Order {
            config,
            issuer: &issuer,
            name: &format!("{site}.{}", config.test_name),
            dns_names: &[dns_name.to_ascii_lowercase()],
            tag: &token,
        };
        let proved = order.kept()?.filter(|kept| kept.tag == token);
        match proved {
            Some(kept) if !kept.usable => return Ok(Outcome::Unchanged),
            Some(_) => {}
            None => {
                if let Err(waiting) = order.advance()? {
                    return Ok(waiting);
                }
            }
        }
        acme::ensure_discarded(&issuer, order.name)?;
        Ok(Outcome::Changed)
    }
}

/// What is ordered.
struct Order<'a> {
    config: &'a Config,
    issuer: &'a str,
    /// Under which it is kept.
    name: &'a str,
    dns_names: &'a [String],
    tag: &'a str,
}

impl Order<'_> {
    fn kept(&self) -> Result<Option<Kept>, Error> {
        match known(self.issuer, acme::get_kept(self.issuer, self.name)) {
            Err(Error::NotFound(_)) => Ok(None),
            kept => kept.map(Some),
        }
    }

    /// Takes the order one step further: what was issued, or what is waited for.
    fn advance(&self) -> Result<Result<Kept, Outcome>, Error> {
        let waiting = |doing: &str| in_progress(self.name, doing, POLL_AFTER_MS);
        let stage = acme::ensure_order(self.issuer, self.name, self.dns_names, self.tag);
        match known(self.issuer, stage)? {
            Stage::ToProve(proofs) => {
                if !self.publish(&proofs)? {
                    return Ok(Err(waiting("putting the proofs into DNS")));
                }
                acme::ensure_answered(self.issuer, self.name)?;
                Ok(Err(waiting(
                    "waiting for the authority to look at the proofs",
                )))
            }
            Stage::Pending => Ok(Err(waiting("waiting for the authority to issue"))),
            Stage::Done(issued) => {
                self.tidy(&issued.proofs);
                Ok(Ok(issued.certificate))
            }
        }
    }

    /// Puts the records there; false where somebody else changed one meanwhile.
    fn publish(&self, proofs: &[Proof]) -> Result<bool, Error> {
        for (name, values) in proof::by_record(proofs) {
            let server = self.server_of(name)?;
            let now = look(server, name)?;
            let ttl = self.config.proof_ttl_seconds;
            let update = proof::added(name, &values, ttl, now.as_ref());
            if let Some(update) = update.map_err(Error::Invalid)? {
                match send(server, &update) {
                    // Another proof came in between: the next look sees it.
                    Err(Error::Conflict(_)) => return Ok(false),
                    sent => sent?,
                }
            }
        }
        Ok(true)
    }

    /// Takes the records away. The certificate is there, so what stays behind is no reason to fail.
    fn tidy(&self, proofs: &[Proof]) {
        for (name, values) in proof::by_record(proofs) {
            let Ok(server) = self.server_of(name) else {
                continue;
            };
            if let Ok(Some(now)) = look(server, name)
                && let Some(update) = proof::removed(name, &values, &now)
            {
                send(server, &update).ok();
            }
        }
    }

    /// The name server whose zone holds a name; of several the one with the longest zone.
    fn server_of(&self, name: &str) -> Result<&str, Error> {
        let mut best: Option<(usize, &str)> = None;
        for server in &self.config.name_servers {
            let zone = dns_update::get_zone(server)?;
            if is_in_zone(name, &zone) && best.is_none_or(|(length, _)| zone.len() > length) {
                best = Some((zone.len(), server));
            }
        }
        best.map(|(_, server)| server).ok_or_else(|| {
            Error::Invalid(format!(
                "none of the zones of {} holds {name}; add the name server of its zone to the acme binding",
                self.config.name_servers.join(", ")
            ))
        })
    }
}

/// An issuer that there is not is a wrong argument of the contract.
fn known<T>(issuer: &str, answer: Result<T, Error>) -> Result<T, Error> {
    match answer {
        Err(Error::Denied(denial)) if denial.rule == NO_ISSUER => Err(Error::Invalid(format!(
            "the acme binding has no issuer `{issuer}`; add it: {}",
            denial.grant
        ))),
        answer => answer,
    }
}

/// The record set as its server answers it.
fn look(server: &str, name: &str) -> Result<Option<RecordSet>, Error> {
    let set = SetName {
        name: name.to_owned(),
        kind: proof::KIND.to_owned(),
    };
    match dns_update::get_record_set(server, &set) {
        Err(Error::NotFound(_)) => Ok(None),
        answer => answer.map(Some),
    }
}

fn send(server: &str, update: &proof::Update) -> Result<(), Error> {
    let prerequisites = std::slice::from_ref(&update.prerequisite);
    dns_update::update(server, prerequisites, std::slice::from_ref(&update.change))
}

/// Has the site serve what is kept.
fn deployed(
    config: &Config,
    deploy: &Deploy,
    site: &str,
    name: &str,
    kept: &Kept,
    outcome: Outcome,
) -> Result<Outcome, Error> {
    let served_name = kept.dns_names.first().map(|name| server_name(name));
    let served_name = served_name.unwrap_or_default();
    let serves = || -> Result<bool, Error> {
        let served = tls::inspect(config.authority(site)?, &served_name)?;
        Ok(served.fingerprint == kept.fingerprint)
    };
    if serves()? {
        return Ok(outcome);
    }
    let ended = Host.run(&Command {
        program: deploy.program.clone(),
        arguments: deploy.arguments(site, name),
        input: Input::Nothing,
        output: Output::Captured,
    })?;
    if ended.exit_code != 0 {
        return Err(Error::Conflict(format!(
            "{} ended with exit code {}: {}",
            deploy.program,
            ended.exit_code,
            last_words(&ended)
        )));
    }
    if serves()? {
        return Ok(Outcome::Changed);
    }
    let doing = format!("waiting for {site} to serve the certificate");
    Ok(in_progress(name, doing, POLL_AFTER_MS))
}

export!(AcmeProvider);
