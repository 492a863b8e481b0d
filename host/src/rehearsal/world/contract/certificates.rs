//! `understudy:certificates/certificates`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::super::World;
use super::super::job::{Subject, Work};
use super::{args, no_such_function, ok, outcome};
use crate::call::{CallError, Outcome, Reply, Request, RetryHint, hex};
use crate::clock::{Instant, millis};
use crate::name::SiteName;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct IssuerStatus {
    ready: bool,
    problem: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ServedCertificate {
    dns_names: Vec<String>,
    issuer: String,
    not_before_ms: Instant,
    not_after_ms: Instant,
    verified: bool,
    problem: String,
    fingerprint: String,
}

#[derive(Deserialize)]
struct Site {
    site: SiteName,
}

#[derive(Deserialize)]
struct IssuerName {
    issuer: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ServerName {
    server_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Order {
    name: String,
    dns_names: Vec<String>,
    issuer: String,
    min_valid_ms: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct TestOrder {
    issuer: String,
    dns_name: String,
    token: String,
}

impl World {
    pub(crate) fn certificates(&mut self, request: &Request) -> Reply {
        let Site { site } = args(request)?;
        match request.function.function.as_str() {
            "observe-issuer" => {
                self.reach(&site)?;
                self.observe_issuer(&args::<IssuerName>(request)?.issuer)
            }
            "observe-served" => {
                self.observe_served(&site, &args::<ServerName>(request)?.server_name)
            }
            "ensure-certificate" => {
                self.reach(&site)?;
                self.ensure_certificate(site, args(request)?)
            }
            "ensure-test-issued" => {
                self.reach(&site)?;
                self.ensure_test_issued(site, args(request)?)
            }
            _ => no_such_function(request),
        }
    }

    fn observe_issuer(&self, name: &str) -> Reply {
        let Some(issuer) = self.issuers.get(name) else {
            return Err(CallError::NotFound(format!("no issuer `{name}`")));
        };
        if !issuer.settings.issues {
            return Err(cannot_issue(name));
        }
        let limited = issuer.limited_until.filter(|until| *until > self.now);
        ok(&IssuerStatus {
            ready: limited.is_none(),
            problem: limited.map_or_else(String::new, |until| {
                format!("orders are refused until {until}")
            }),
        })
    }

    fn observe_served(&mut self, name: &SiteName, server_name: &str) -> Reply {
        self.reach(name)?;
        let site = self.sites.get(name);
        let open = site.is_some_and(|site| site.apps.values().any(|app| app.address.is_some()));
        let Some(site) = site.filter(|_| open) else {
            self.took = self.give_up_after();
            return Err(CallError::unavailable(format!(
                "nothing is exposed at `{name}`"
            )));
        };
        let (dns_names, issuer, not_before, not_after) =
            match site.certificate_for(server_name, self.now) {
                Some(c) => (
                    c.dns_names.iter().cloned().collect(),
                    format!("CN={}", c.issuer),
                    c.not_before,
                    c.not_after,
                ),
                // What ingress controllers serve when they have nothing better.
                None => (
                    vec!["ingress.local".to_owned()],
                    "CN=self-signed".to_owned(),
                    Instant(0),
                    Instant(u64::MAX / 2),
                ),
            };
        let problem = match dns_names.iter().any(|name| name == server_name) {
            false => format!("self-signed, and not valid for {server_name}"),
            true if not_after <= self.now => format!("expired at {not_after}"),
            true => String::new(),
        };
        let identity = format!("{name} {issuer} {dns_names:?} {}", not_after.0);
        ok(&ServedCertificate {
            dns_names,
            issuer,
            not_before_ms: not_before,
            not_after_ms: not_after,
            verified: problem.is_empty(),
            problem,
            fingerprint: hex(&Sha256::digest(identity)),
        })
    }

    fn ensure_certificate(&mut self, place: SiteName, order: Order) -> Reply {
        let issuer = self.issuers.get(&order.issuer);
        if issuer.is_some_and(|issuer| !issuer.settings.issues) {
            return self.installed(&place, &order);
        }
        let names: BTreeSet<String> = order.dns_names.iter().cloned().collect();
        let stored = self
            .sites
            .get(&place)
            .and_then(|site| site.certificates.get(&order.name));
        let least = self.now.0.saturating_add(order.min_valid_ms);
        if stored.is_some_and(|c| {
            c.dns_names == names && c.issuer == order.issuer && c.not_after.0 >= least
        }) {
            return outcome(Outcome::Unchanged);
        }
        let subject = Subject {
            site: place,
            kind: "certificate",
            name: order.name,
        };
        if let Some(busy) = self.busy(&subject) {
            return outcome(busy);
        }
        let validity = self
            .issuers
            .get(&order.issuer)
            .map_or(0, |issuer| issuer.settings.validity.ms());
        if order.min_valid_ms > validity && validity > 0 {
            return Err(CallError::Invalid(format!(
                "`{}` issues for {validity} ms, less than asked for",
                order.issuer
            )));
        }
        let length = self.order(&order.issuer, names)?;
        let work = Work::Certificate {
            dns_names: order.dns_names,
            issuer: order.issuer,
        };
        outcome(self.begin(subject, work, length))
    }

    /// The answer of a provider that looks at what is served and cannot issue.
    fn installed(&self, place: &SiteName, order: &Order) -> Reply {
        if order.min_valid_ms > 0 {
            return Err(CallError::Invalid(
                "a provider has no clock: it cannot judge how long a certificate is still valid"
                    .to_owned(),
            ));
        }
        let site = self.sites.get(place);
        let is_served = |name: &&String| {
            let served = site.and_then(|site| site.certificate_for(name, self.now));
            served.is_some_and(|certificate| certificate.not_after > self.now)
        };
        match order.dns_names.iter().find(|name| !is_served(name)) {
            None => outcome(Outcome::Unchanged),
            Some(name) => Err(CallError::Conflict(format!(
                "`{place}` serves no valid certificate for {name}, and this provider cannot issue one"
            ))),
        }
    }

    fn ensure_test_issued(&mut self, place: SiteName, order: TestOrder) -> Reply {
        if self
            .sites
            .get(&place)
            .is_some_and(|site| site.test_issued.contains(&order.token))
        {
            return outcome(Outcome::Unchanged);
        }
        let subject = Subject {
            site: place,
            kind: "test-certificate",
            name: order.dns_name.clone(),
        };
        if let Some(busy) = self.busy(&subject) {
            return outcome(busy);
        }
        let issuer = self.issuers.get(&order.issuer);
        if issuer.is_some_and(|issuer| !issuer.settings.issues) {
            return Err(cannot_issue(&order.issuer));
        }
        let length = self.order(&order.issuer, BTreeSet::from([order.dns_name]))?;
        outcome(self.begin(
            subject,
            Work::TestCertificate { token: order.token },
            length,
        ))
    }

    /// Orders a certificate; the time until it is ready.
    fn order(
        &mut self,
        name: &str,
        names: BTreeSet<String>,
    ) -> Result<std::time::Duration, CallError> {
        if self.is_away("dns") {
            return Err(CallError::Conflict(
                "the challenge failed: its record could not be written".to_owned(),
            ));
        }
        let now = self.now;
        let Some(issuer) = self.issuers.get_mut(name) else {
            return Err(CallError::NotFound(format!("no issuer `{name}`")));
        };
        let window = issuer.settings.limit_window.get();
        issuer.orders.retain(|(_, at)| now.since(*at) < window);
        let same = issuer
            .orders
            .iter()
            .filter(|(ordered, _)| *ordered == names);
        let full =
            same.clone().count() >= usize::try_from(issuer.settings.limit).unwrap_or(usize::MAX);
        let free = same.map(|(_, at)| at.after(window)).min().filter(|_| full);
        let limited = issuer.limited_until.filter(|until| *until > now);
        if let Some(until) = free.max(limited) {
            return Err(CallError::Unavailable(RetryHint {
                reason: format!("`{name}` limits the rate of orders for {names:?}"),
                after_ms: Some(millis(until.since(now))),
            }));
        }
        issuer.orders.push((names, now));
        let range = issuer.settings.issuance;
        Ok(self.length(range))
    }
}

/// What a provider says that looks at certificates and has none issued.
fn cannot_issue(issuer: &str) -> CallError {
    CallError::Invalid(format!(
        "this provider looks at certificates and cannot have `{issuer}` issue any"
    ))
}
