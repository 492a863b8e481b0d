//! Certificates by ACME for providers: `understudy:acme/acme` (RFC 8555, names proved by DNS-01).
//!
//! A provider names an issuer of its binding and puts records into DNS; the account, every key and what is issued stay with
//! the host. Each call goes one step further and never waits. Start at [`Acme`]; `acme/authority.rs` speaks to the authority,
//! `acme/order.rs` takes an order from its beginning to a certificate, `acme/store.rs` is the folder where all of it is kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use crate::clock::{BoxFuture, Instant, timeout_at};
use crate::runbook::argument::is_name;
use crate::runbook::types::Issuer;

use super::credential::Redactor;
use super::trust::Trust;
use super::{Asked, Capability, Facilities, Fault, Used, arguments};

mod authority;
mod order;
mod store;

use authority::Authority;
pub use authority::{MAX_ANSWER_BYTES, REQUEST_TIMEOUT};
use order::Stage;
use store::{Kept, Store};

/// Most names of one certificate: what public authorities take.
pub const MAX_NAMES: usize = 100;

/// The capability.
pub struct Acme {
    /// One at a time each: what is kept of an order is read, changed and written.
    issuers: BTreeMap<String, Mutex<Desk>>,
    redactor: Redactor,
    facilities: Facilities,
}

/// An issuer of the binding at work.
struct Desk {
    authority: Authority,
    store: Store,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IssuerArgs {
    issuer: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NameArgs {
    issuer: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct OrderArgs {
    issuer: String,
    name: String,
    dns_names: Vec<String>,
    tag: String,
}

/// `acme.kept`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Told {
    dns_names: Vec<String>,
    not_after_ms: u64,
    remaining_ms: u64,
    fingerprint: String,
    tag: String,
    usable: bool,
}

impl Told {
    fn of(kept: Kept, now: Instant) -> Self {
        Self {
            remaining_ms: kept.not_after_ms.saturating_sub(now.0),
            dns_names: kept.dns_names,
            not_after_ms: kept.not_after_ms,
            fingerprint: kept.fingerprint,
            tag: kept.tag,
            usable: kept.usable,
        }
    }
}

/// What came of a use, with the line for it.
type Done = Result<(Value, String), Fault>;

impl Acme {
    pub(crate) fn new(
        issuers: &BTreeMap<String, Issuer>,
        folder: &std::path::Path,
        trust: &Trust,
        redactor: Redactor,
        facilities: Facilities,
    ) -> Self {
        let desks = issuers.iter().map(|(name, issuer)| {
            let desk = Desk {
                authority: Authority::new(issuer, folder, trust, &facilities),
                store: Store::new(folder.join(&issuer.folder)),
            };
            (name.clone(), Mutex::new(desk))
        });
        Self {
            issuers: desks.collect(),
            redactor,
            facilities,
        }
    }

    async fn serve(&self, asked: Asked<'_>) -> Used {
        // Made more exact as soon as it is known what is done to what.
        let mut action = format!("acme {}", asked.function);
        let deadline = asked.deadline;
        let serving = self.function(asked, &mut action);
        let done = timeout_at(self.facilities.clock.as_ref(), deadline, serving).await;
        let done = done.unwrap_or_else(|| Err(Fault::timed_out(&action)));
        Used::of(&action, done, &self.redactor)
    }

    async fn function(&self, asked: Asked<'_>, action: &mut String) -> Done {
        match asked.function {
            "observe-authority" => self.look(asked.args, action).await,
            "get-kept" => self.kept(asked.args, action).await,
            "ensure-order" => self.order(asked.args, action).await,
            "ensure-answered" => self.answer(asked.args, action).await,
            "ensure-discarded" => self.discard(asked.args, action).await,
            other => Err(Fault::no_function(self.interface(), other)),
        }
    }

    fn desk(&self, name: &str) -> Result<&Mutex<Desk>, Fault> {
        self.issuers.get(name).ok_or_else(|| {
            let grant = format!(
                r#"issuers.{name} = {{ directory = "https://HOST/directory", account = "FILE", folder = "FOLDER" }}"#
            );
            let text = format!("the binding has no issuer `{name}`");
            Fault::denied("CP0060", text, grant)
        })
    }

    async fn look(&self, args: Map<String, Value>, action: &mut String) -> Done {
        let IssuerArgs { issuer } = arguments(args)?;
        *action = format!("acme {issuer}: directory");
        let desk = self.desk(&issuer)?.lock().await;
        let known = desk.authority.look().await?;
        let line = if known { "ok" } else { "ok, no account yet" };
        Ok((Value::from(known), line.to_owned()))
    }

    async fn kept(&self, args: Map<String, Value>, action: &mut String) -> Done {
        let NameArgs { issuer, name } = arguments(args)?;
        *action = format!("acme {issuer}: certificate {name}");
        check(&name)?;
        let desk = self.desk(&issuer)?.lock().await;
        let kept = desk.store.kept(&name).await?;
        let kept = kept.ok_or_else(|| {
            let text = format!("no certificate `{name}` of issuer `{issuer}` is kept");
            Fault::not_found("CP0065", text)
        })?;
        let told = Told::of(kept, self.facilities.clock.now());
        let line = format!("valid for {} s more", told.remaining_ms / 1000);
        Ok((json!(told), line))
    }

    async fn order(&self, args: Map<String, Value>, action: &mut String) -> Done {
        let OrderArgs {
            issuer,
            name,
            mut dns_names,
            tag,
        } = arguments(args)?;
        *action = format!("acme {issuer}: order {name} for {}", dns_names.join(", "));
        check(&name)?;
        if dns_names.is_empty() || dns_names.len() > MAX_NAMES {
            let text = format!("a certificate has 1 to {MAX_NAMES} names");
            return Err(Fault::invalid("CP0009", text));
        }
        dns_names.sort();
        dns_names.dedup();
        let mut desk = self.desk(&issuer)?.lock().await;
        let stage = desk.advance(&name, &dns_names, &tag).await?;
        Ok(match stage {
            Stage::ToProve(proofs) => {
                let line = format!("{} names to prove", proofs.len());
                (json!({ "to-prove": proofs }), line)
            }
            Stage::Pending => (json!("pending"), "pending".to_owned()),
            Stage::Done(kept, proofs) => {
                let line = format!("issued, {}", kept.fingerprint);
                let certificate = Told::of(kept, self.facilities.clock.now());
                let issued = json!({ "certificate": certificate, "proofs": proofs });
                (json!({ "done": issued }), line)
            }
        })
    }

    async fn answer(&self, args: Map<String, Value>, action: &mut String) -> Done {
        let NameArgs { issuer, name } = arguments(args)?;
        *action = format!("acme {issuer}: answer the challenges of {name}");
        check(&name)?;
        let mut desk = self.desk(&issuer)?.lock().await;
        let answered = desk.answer(&issuer, &name).await?;
        Ok((Value::Null, format!("{answered} answered")))
    }

    async fn discard(&self, args: Map<String, Value>, action: &mut String) -> Done {
        let NameArgs { issuer, name } = arguments(args)?;
        *action = format!("acme {issuer}: discard the key of {name}");
        check(&name)?;
        let desk = self.desk(&issuer)?.lock().await;
        desk.store.discard(&name).await?;
        Ok((Value::Null, "ok".to_owned()))
    }
}

/// A name that can be a folder's.
fn check(name: &str) -> Result<(), Fault> {
    if is_name(name) {
        return Ok(());
    }
    let text = format!("`{name}` is no name of a certificate: letters, digits, `_`, `.` and `-`");
    Err(Fault::invalid("CP0009", text))
}

impl Capability for Acme {
    fn interface(&self) -> &'static str {
        "understudy:acme/acme"
    }

    fn call<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Used> {
        Box::pin(self.serve(asked))
    }
}

#[cfg(test)]
mod tests;
