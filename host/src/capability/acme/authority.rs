//! The authority of an issuer, and the host's account there: requests go out by the host's own client, to the directory's
//! host alone.
//!
//! Refused nonces are tried again by the library, a few times; nothing else is.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use instant_acme::{
    Account, AccountCredentials, BodyWrapper, BytesResponse, Error, HttpClient, NewAccount, Problem,
};
use reqwest::header::RETRY_AFTER;
use rustls::ClientConfig;
use url::Url;

use crate::clock::timeout_at;
use crate::runbook::types::Issuer;

use super::super::trust::Trust;
use super::super::{Facilities, Fault, http as client, network};
use super::store;

/// Longest time for one request.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Most bytes of one answer: a long chain is a tenth of it.
pub const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// Longest wait in seconds that is believed of a `Retry-After` header: a week, the window of public rate limits.
const MAX_RETRY_AFTER_SECONDS: u64 = 7 * 24 * 3600;

/// What an authority says when too much was asked of it (RFC 8555, 6.7).
const RATE_LIMITED: &str = "urn:ietf:params:acme:error:rateLimited";

/// What it says where the account is in the way.
const ACCOUNT_PROBLEMS: [&str; 4] = [
    "urn:ietf:params:acme:error:accountDoesNotExist",
    "urn:ietf:params:acme:error:externalAccountRequired",
    "urn:ietf:params:acme:error:invalidContact",
    "urn:ietf:params:acme:error:userActionRequired",
];

/// The authority with the account.
pub(super) struct Authority {
    directory: Url,
    contact: Option<String>,
    /// Where the account is kept.
    file: PathBuf,
    /// Read or registered by this host.
    account: Option<Account>,
    line: Line,
}

/// How the authority is reached.
#[derive(Clone)]
struct Line {
    tls: Arc<ClientConfig>,
    facilities: Facilities,
    host: String,
    /// What the newest answer asked for, in seconds; 0 for nothing.
    retry_after: Arc<AtomicU64>,
}

/// Carries a fault through the library.
#[derive(Debug, thiserror::Error)]
#[error("not answered")]
struct Unanswered(Fault);

impl Authority {
    pub(super) fn new(
        issuer: &Issuer,
        folder: &Path,
        trust: &Trust,
        facilities: &Facilities,
    ) -> Self {
        Self {
            directory: issuer.directory.clone(),
            contact: issuer.contact.clone(),
            file: folder.join(&issuer.account),
            account: None,
            line: Line {
                tls: Arc::clone(trust.config()),
                facilities: facilities.clone(),
                host: issuer.directory.host_str().unwrap_or("").to_owned(),
                retry_after: Arc::new(AtomicU64::new(0)),
            },
        }
    }

    /// Asks for the directory; true where an account is kept.
    pub(super) async fn look(&self) -> Result<bool, Fault> {
        let request = http::Request::get(self.directory.as_str()).body(BodyWrapper::default());
        let request = request.map_err(|error| Fault::invalid("CP0009", error.to_string()))?;
        let answer = self.line.request(request).await;
        let mut answer = answer.map_err(|error| self.told(error))?;
        let body = answer.body.into_bytes().await.unwrap_or_default();
        let directory: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
        let serves = |name| {
            directory
                .as_ref()
                .is_some_and(|one| one.get(name).is_some_and(serde_json::Value::is_string))
        };
        if !["newNonce", "newAccount", "newOrder"].iter().all(serves) {
            let text = format!(
                "{} answers {} and no directory of an ACME authority",
                self.directory,
                answer.parts.status.as_u16()
            );
            return Err(Fault::unavailable("CP0062", text));
        }
        Ok(store::read(&self.file).await?.is_some())
    }

    /// The account: the one that was used, the one that is kept, or a new one.
    pub(super) async fn account(&mut self) -> Result<Account, Fault> {
        if let Some(account) = &self.account {
            return Ok(account.clone());
        }
        let builder = || Account::builder_with_http(Box::new(self.line.clone()));
        let kept = store::read(&self.file).await?;
        let account = match kept {
            Some(text) => {
                let credentials: AccountCredentials =
                    serde_json::from_str(&text).map_err(|_| {
                        let text = format!(
                            "{} holds no ACME account; move it away, and a new one is made",
                            self.file.display()
                        );
                        Fault::invalid("CP0063", text)
                    })?;
                let account = builder().from_credentials(credentials).await;
                account.map_err(|error| self.told(error))?
            }
            None => {
                let contact = self.contact.iter().map(|one| format!("mailto:{one}"));
                let contact: Vec<String> = contact.collect();
                let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
                let new = NewAccount {
                    contact: &contact,
                    terms_of_service_agreed: true,
                    only_return_existing: false,
                };
                let directory = self.directory.as_str().to_owned();
                let made = builder().create(&new, directory, None).await;
                let (account, credentials) = made.map_err(|error| self.told(error))?;
                let text = serde_json::to_string(&credentials)
                    .map_err(|error| Fault::other("CP0064", error.to_string()))?;
                store::write(&self.file, text).await?;
                account
            }
        };
        self.account = Some(account.clone());
        Ok(account)
    }

    /// What an error of the library is to a caller.
    pub(super) fn told(&self, error: Error) -> Fault {
        let host = &self.line.host;
        match error {
            Error::Api(problem) => self.refused(&problem),
            Error::Other(other) => match other.downcast::<Unanswered>() {
                Ok(unanswered) => unanswered.0,
                Err(other) => Fault::other("CP0062", format!("{host}: {other}")),
            },
            // No problem document, no directory: a proxy's page, say. It passes or it does not.
            Error::Json(error) => Fault::unavailable(
                "CP0062",
                format!("{host} does not answer as an ACME authority does: {error}"),
            ),
            other => Fault::other("CP0062", format!("{host}: {other}")),
        }
    }

    /// A problem document (RFC 7807) in the authority's own words.
    pub(super) fn refused(&self, problem: &Problem) -> Fault {
        let text = format!("{}: {problem}", self.line.host);
        let kind = problem.r#type.as_deref().unwrap_or_default();
        let asked = self.line.retry_after.load(Ordering::Relaxed);
        let after_ms = (asked > 0).then(|| asked.saturating_mul(1000));
        match problem.status {
            _ if kind == RATE_LIMITED => Fault::busy("CP0066", text, after_ms),
            Some(429 | 500..=599) => Fault::busy("CP0062", text, after_ms),
            _ if ACCOUNT_PROBLEMS.contains(&kind) => {
                let file = self.file.display();
                let text = format!("{text}; the account is kept in {file}");
                Fault::invalid("CP0063", text)
            }
            _ => Fault::conflicting("CP0061", text),
        }
    }
}

impl HttpClient for Line {
    fn request(
        &self,
        request: http::Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let line = self.clone();
        Box::pin(async move {
            let clock = Arc::clone(&line.facilities.clock);
            let end = clock.now().after(REQUEST_TIMEOUT);
            let answer = timeout_at(clock.as_ref(), end, line.send(request)).await;
            let answer = answer.unwrap_or_else(|| {
                let text = format!("{} did not answer in time", line.host);
                Err(Fault::unavailable("CP0014", text))
            });
            answer.map_err(|fault| Error::Other(Box::new(Unanswered(fault))))
        })
    }
}

impl Line {
    /// Sends a request to the directory's host. A broken connection counts as none: what was asked for by then is seen at the
    /// next look at the order, and an order whose address got lost expires unused.
    async fn send(
        &self,
        request: http::Request<BodyWrapper<Bytes>>,
    ) -> Result<BytesResponse, Fault> {
        let unsendable = |reason: String| Fault::invalid("CP0009", reason);
        let request = reqwest::Request::try_from(request.map(reqwest::Body::wrap))
            .map_err(|error| unsendable(error.without_url().to_string()))?;
        let host = request.url().host_str().unwrap_or("").to_owned();
        if host != self.host || request.url().scheme() != "https" {
            let text = format!(
                "the directory of {} leads to {host}; only the directory's own host is reached, by HTTPS",
                self.host
            );
            return Err(Fault::invalid("CP0062", text));
        }
        let addresses = network::addresses(self.facilities.resolver.as_ref(), &host, 0)
            .await
            .map_err(|problem| Fault::unavailable("CP0013", problem.to_string()))?;
        let client = client::client(&self.tls, host.trim_matches(['[', ']']), &addresses)
            .map_err(|reason| Fault::other("CP0009", reason))?;
        let broken = |error| client::unanswered(true, &host, "the binding's `trust`", error);
        let mut response = client.execute(request).await.map_err(broken)?;
        let after = response.headers().get(RETRY_AFTER);
        let after = after.and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
        let after = after.unwrap_or(0).min(MAX_RETRY_AFTER_SECONDS);
        self.retry_after.store(after, Ordering::Relaxed);
        let bytes = client::body(&mut response, MAX_ANSWER_BYTES).await;
        let bytes = bytes.map_err(broken)?.ok_or_else(|| {
            let text = format!("{host} answers more than {MAX_ANSWER_BYTES} bytes");
            Fault::other("CP0010", text)
        })?;
        let mut plain = http::Response::new(());
        *plain.status_mut() = response.status();
        *plain.headers_mut() = response.headers().clone();
        Ok(BytesResponse {
            parts: plain.into_parts().0,
            body: Box::new(Bytes::from(bytes)),
        })
    }
}
