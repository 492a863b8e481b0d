//! Texts that an API hands out to whoever has a credential: the kubeconfig of a managed cluster, the root of a managed
//! database's certificates.
//!
//! The host asks by itself, over verified TLS, when such a text is first needed; no grant of the provider allows that, and
//! no provider sees the answer. What is made of it is kept ([`Kept`]) until it turns out not to fit any more. Start at
//! [`Desk::ask`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::{Method, Request, Response};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::clock::timeout_at;
use crate::runbook::types::Handout;

use super::credential::{Attachment, Secret};
use super::network;
use super::trust::Trust;
use super::{Facilities, Fault, http};

/// Longest time to an answer, connection and TLS handshake included.
pub const TIME_LIMIT: Duration = Duration::from_secs(20);

/// Most bytes of an answer: a kubeconfig in Base64 in JSON, with room.
pub const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// Code of an API that does not hand out what it is asked for.
const REFUSED: &str = "CP0067";

/// Asks APIs with the credentials of a binding.
#[derive(Clone)]
pub(crate) struct Desk {
    attachments: Arc<BTreeMap<String, Attachment>>,
    trust: Trust,
    facilities: Facilities,
}

impl Desk {
    pub(crate) fn new(
        attachments: Arc<BTreeMap<String, Attachment>>,
        trust: Trust,
        facilities: Facilities,
    ) -> Self {
        Self {
            attachments,
            trust,
            facilities,
        }
    }

    /// Whom the binding believes.
    pub(crate) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Asks for a text; `what` says which, for people.
    ///
    /// # Errors
    /// `unavailable` where that may pass, otherwise `invalid` or a denial: never what could be taken for an answer of the
    /// server that the text is needed for.
    pub(crate) async fn ask(&self, what: &str, handout: &Handout) -> Result<Secret, Fault> {
        let clock = self.facilities.clock.as_ref();
        let until = clock.now().after(TIME_LIMIT);
        let asking = async { text(handout, &self.answer(handout).await?) };
        let asked = timeout_at(clock, until, asking).await;
        let asked = asked.unwrap_or_else(|| {
            let text = format!(
                "{}: no answer within {} s",
                line(handout),
                TIME_LIMIT.as_secs()
            );
            Err(Fault::unavailable("CP0013", text))
        });
        asked.map_err(|fault| fault.about(what))
    }

    async fn answer(&self, handout: &Handout) -> Result<Vec<u8>, Fault> {
        let host = handout.url.host_str().unwrap_or("");
        let port = handout.url.port_or_known_default().unwrap_or(443);
        let resolver = self.facilities.resolver.as_ref();
        let grant = "private = true, beside `url`".to_owned();
        let addresses = network::reach(resolver, host, port, handout.private)
            .await
            .map_err(|problem| Fault::unreached(&problem, grant))?;
        let client = http::client(self.trust.config(), host, &addresses)
            .map_err(|reason| Fault::other("CP0009", reason))?;
        let mut request = Request::new(Method::GET, handout.url.clone());
        if let Some(slot) = &handout.credential {
            let unusable = |problem| Fault::invalid("CP0009", problem);
            let attachment = self.attachments.get(slot);
            attachment
                .ok_or_else(|| format!("the binding has no credential `{slot}`"))
                .and_then(|one| one.attach(&mut request, self.facilities.clock.now()))
                .map_err(unusable)?;
        }
        let unanswered = |error| {
            let authority = format!("{host}:{port}");
            http::unanswered(true, &authority, "the binding's `trust`", error)
        };
        let mut response = client.execute(request).await.map_err(unanswered)?;
        if !response.status().is_success() {
            return Err(refused(handout, &response));
        }
        let body = http::body(&mut response, MAX_ANSWER_BYTES).await;
        body.map_err(unanswered)?.ok_or_else(|| {
            let problem = format!("with more than {MAX_ANSWER_BYTES} bytes");
            unfit(handout, &problem)
        })
    }
}

/// What was made of a text that was handed out, until it no longer fits. Whoever comes while it is asked for waits for that.
pub(crate) struct Kept<T>(Mutex<Option<Arc<T>>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Kept<T> {
    /// What there is, or what `make` makes. Also: whether it has just been made.
    ///
    /// # Errors
    /// Those of `make`; nothing is kept of them.
    pub(crate) async fn get(
        &self,
        make: impl AsyncFnOnce() -> Result<T, Fault>,
    ) -> Result<(Arc<T>, bool), Fault> {
        let mut kept = self.0.lock().await;
        if let Some(kept) = kept.as_ref() {
            return Ok((Arc::clone(kept), false));
        }
        let made = Arc::new(make().await?);
        *kept = Some(Arc::clone(&made));
        Ok((made, true))
    }

    /// The next one who comes has it made anew.
    pub(crate) async fn forget(&self) {
        *self.0.lock().await = None;
    }
}

/// What is sent, for people: without the query.
pub(crate) fn line(handout: &Handout) -> String {
    let mut url = handout.url.clone();
    url.set_query(None);
    format!("GET {url}")
}

/// An answer that is no success. What it says is not repeated: it may hold anything.
fn refused(handout: &Handout, response: &Response) -> Fault {
    let status = response.status();
    let hint = match status.as_u16() {
        300..=399 => "; redirects are not followed, so write the address that it leads to",
        401 | 403 => "; is the credential still valid, and may it read this?",
        404 => "; is there still what the address names?",
        _ => "",
    };
    let text = format!("{}: HTTP {}{hint}", line(handout), status.as_u16());
    match status.as_u16() {
        408 | 429 | 500..=599 => {
            Fault::busy(REFUSED, text, http::retry_after_ms(response.headers()))
        }
        _ => Fault::invalid(REFUSED, text),
    }
}

/// An answer that holds no such text.
fn unfit(handout: &Handout, problem: &str) -> Fault {
    let text = format!("{} was answered {problem}", line(handout));
    Fault::invalid(REFUSED, text)
}

/// The text in an answer. Nothing of it is repeated where there is none.
fn text(handout: &Handout, answer: &[u8]) -> Result<Secret, Fault> {
    let unfit = |problem: &str| unfit(handout, problem);
    let answer = std::str::from_utf8(answer).map_err(|_| unfit("not with text"))?;
    let text = match &handout.pointer {
        None => answer.to_owned(),
        Some(pointer) => {
            let answer: Value = serde_json::from_str(answer).map_err(|_| unfit("not with JSON"))?;
            let found = answer.pointer(pointer).and_then(Value::as_str);
            let found = found.ok_or_else(|| unfit(&format!("without a text at `{pointer}`")))?;
            found.to_owned()
        }
    };
    let decoded = BASE64
        .decode(text.trim())
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    Secret::new(decoded.unwrap_or(text))
        .map_err(|problem| unfit(&format!("with what cannot be it: {problem}")))
}

#[cfg(test)]
mod tests;
