//! Certificates as sites really serve them, found by shaking hands. For sites whose certificates are issued elsewhere
//! (a load balancer, a vendor, a job): this provider looks, it does not issue.
//!
//! # What it needs on the server
//! Per site an address at which the site itself serves TLS, whatever public DNS says, and grants of the host for `tls`
//! to it. A provider has no clock: where a remaining validity is asked for, `now-from` names an address with a `Date`
//! header, and the host grants `http` `HEAD` to it.
//!
//! # What each function does there
//! * `observe-served`: one handshake asking for the name; answers the leaf certificate.
//! * `ensure-certificate`: one handshake per name. `unchanged` where each is served with a chain that verifies, covers
//!   the name and stays valid long enough; else `conflict` that says what is missing for which name. `name` and
//!   `issuer` are not looked at: what counts is what clients get. More names than asked for are fine.
//! * `observe-issuer`, `ensure-test-issued`: `invalid`. There is no issuer here, and saying "ready" would let a plan
//!   rely on an issuance that cannot happen. Strategies that come with the host do not ask where their parameters say
//!   `certificate.issued-elsewhere = true`.
//!
//! # Limits
//! At most 100 names per call. The time is as right as the server that tells it, to the second.
//!
//! Start at [`ServedTls::ensure_certificate`](certificates::Guest::ensure_certificate); judgement is in the sdk.

use understudy_sdk::certificate::{server_name, shortcoming};
use understudy_sdk::host::understudy::{http::http, tls::tls, types::types::Error};
use understudy_sdk::provider::{Configured, header_value, json_request};
use understudy_sdk::time::parse_http_date;

mod config;

understudy_sdk::provider_bindings!("understudy:plugin/provider-certificates");

use config::Config;
use exports::understudy::{certificates::certificates, plugin::provider};

/// Names per call: each is a handshake.
const NAMES_PER_CALL: usize = 100;

static CONFIG: Configured<Config> = Configured::new();

/// The provider.
struct ServedTls;

impl provider::Guest for ServedTls {
    fn describe() -> provider::Description {
        provider::Description {
            name: "served-tls".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "certificates as sites really serve them; looks, does not issue".to_owned(),
            config_schema: config::SCHEMA.to_owned(),
        }
    }

    fn configure(config: String) -> Result<(), String> {
        CONFIG.set(Config::parse(&config)?)
    }
}

impl certificates::Guest for ServedTls {
    fn observe_issuer(_: String, issuer: String) -> Result<certificates::IssuerStatus, Error> {
        Err(cannot_issue(&issuer))
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
        _issuer: String,
        min_valid_ms: u64,
    ) -> Result<certificates::Outcome, Error> {
        let config = CONFIG.get()?;
        let authority = config.authority(&site)?;
        if dns_names.is_empty() || dns_names.len() > NAMES_PER_CALL {
            return Err(Error::Invalid(format!(
                "a certificate has 1 to {NAMES_PER_CALL} names here, asked for are {}",
                dns_names.len()
            )));
        }
        let now_ms = (min_valid_ms > 0).then(|| now_ms(config)).transpose()?;
        let mut missing = Vec::new();
        for dns_name in &dns_names {
            let served = tls::inspect(authority, &server_name(dns_name))?;
            missing.extend(shortcoming(dns_name, &served, now_ms, min_valid_ms));
        }
        if missing.is_empty() {
            return Ok(certificates::Outcome::Unchanged);
        }
        Err(Error::Conflict(format!(
            "certificate {name} as served by {site}: {}. This provider cannot issue one: install it where {site} terminates TLS",
            missing.join("; ")
        )))
    }

    fn ensure_test_issued(
        _: String,
        issuer: String,
        _: String,
        _: String,
    ) -> Result<certificates::Outcome, Error> {
        Err(cannot_issue(&issuer))
    }
}

/// What this provider does not do.
fn cannot_issue(issuer: &str) -> Error {
    Error::Invalid(format!(
        "the served-tls provider looks at certificates and cannot issue any, so it knows nothing of issuer `{issuer}`; bind a \
         provider that issues, or say `certificate.issued-elsewhere = true` in the strategy's parameters"
    ))
}

/// The time according to the configured server.
fn now_ms(config: &Config) -> Result<u64, Error> {
    let url = config.now_from()?;
    let response = http::send(&json_request("HEAD", url.to_owned(), None, None))?;
    // Any status has a date; the resource itself does not matter.
    header_value(&response, "date")
        .and_then(parse_http_date)
        .ok_or_else(|| {
            Error::Other(format!(
                "HEAD {url}: HTTP {} without a date that can be read",
                response.status
            ))
        })
}

export!(ServedTls);
