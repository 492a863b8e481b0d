//! Dynamic updates of zones for providers: `understudy:dns-update/dns-update` (RFC 2136, signed by TSIG, RFC 8945).
//!
//! A provider names a server of its binding; address, zone and key are the operator's. Every message is signed, reads as
//! well, and an answer that is not is believed only where it says that the server does not let us in. Start at
//! [`DnsUpdate`]; `dns_update/exchange.rs` sends a message and judges its answer, `dns_update/message.rs` builds updates,
//! `dns_update/content.rs` is how contents are written, `dns_update/grant.rs` what may be changed.
//!
//! Only TCP: every server has it (RFC 7766), no answer is cut short there, and nothing repeats a datagram. An update that
//! is sent twice would fail at its own prerequisite.

use std::collections::BTreeMap;

use hickory_proto::op::{Message, ResponseCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clock::BoxFuture;
use crate::runbook::types::DnsUpdateGrant;

use super::credential::Redactor;
use super::{Asked, Capability, Facilities, Fault, Used, arguments};

mod content;
mod exchange;
mod grant;
mod message;
mod server;

pub use exchange::{CONNECT_TIMEOUT, EXCHANGE_TIMEOUT};
pub use message::{MAX_CONTENTS, MAX_ITEMS};
pub(crate) use server::Server;

use content::Kind;

/// The capability.
pub struct DnsUpdate {
    servers: BTreeMap<String, Server>,
    grants: Vec<DnsUpdateGrant>,
    redactor: Redactor,
    facilities: Facilities,
}

/// The name and type of a record set, as a provider writes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct SetName {
    name: String,
    kind: String,
}

/// A record set, as a provider writes it.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RecordSet {
    name: String,
    kind: String,
    ttl_seconds: u32,
    contents: Vec<String>,
}

/// `dns-update.prerequisite`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Prerequisite {
    Holds(RecordSet),
    Absent(SetName),
    Unused(String),
}

/// `dns-update.change`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Change {
    Replace(RecordSet),
    Delete(SetName),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ZoneArgs {
    server: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetArgs {
    server: String,
    set: SetName,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdateArgs {
    server: String,
    prerequisites: Vec<Prerequisite>,
    changes: Vec<Change>,
}

/// What came of a use, with the line for it.
type Done = Result<(Value, String), Fault>;

impl DnsUpdate {
    pub(crate) fn new(
        servers: BTreeMap<String, Server>,
        grants: Vec<DnsUpdateGrant>,
        redactor: Redactor,
        facilities: Facilities,
    ) -> Self {
        Self {
            servers,
            grants,
            redactor,
            facilities,
        }
    }

    async fn serve(&self, asked: Asked<'_>) -> Used {
        // Made more exact as soon as it is known what is done to what.
        let mut action = format!("dns {}", asked.function);
        let done = match asked.function {
            "get-zone" => self.zone(asked.args, &mut action),
            "get-record-set" => self.look(asked, &mut action).await,
            "update" => self.update(asked, &mut action).await,
            other => Err(Fault::no_function(self.interface(), other)),
        };
        Used::of(&action, done, &self.redactor)
    }

    fn server(&self, name: &str) -> Result<&Server, Fault> {
        self.servers.get(name).ok_or_else(|| {
            let grant = format!(
                r#"name-servers.{name} = {{ host = "HOST", port = 53, zone = "ZONE", key = {{ name = "KEY", algorithm = "hmac-sha256", secret = {{ env = "VARIABLE" }} }} }}"#
            );
            let text = format!("the binding has no name server `{name}`");
            Fault::denied("CP0050", text, grant)
        })
    }

    fn zone(&self, args: Map<String, Value>, action: &mut String) -> Done {
        let ZoneArgs { server } = arguments(args)?;
        *action = format!("dns {server}: zone");
        let zone = self.server(&server)?.zone();
        Ok((Value::from(zone), zone.to_owned()))
    }

    async fn look(&self, asked: Asked<'_>, action: &mut String) -> Done {
        let SetArgs { server: name, set } = arguments(asked.args)?;
        *action = format!("dns {name}: {} {}", set.name, set.kind);
        let server = self.server(&name)?;
        let kind = Kind::parse(&set.kind)?;
        let query = message::question(server, &set.name, kind)?;
        let said = exchange::exchange(server, query, &self.facilities, asked.deadline, true).await;
        let mut found = read(&said?, server, &set, kind)?;
        for content in &mut found.contents {
            *content = self.redactor.text(content);
        }
        let line = format!(
            "{} records, TTL {}",
            found.contents.len(),
            found.ttl_seconds
        );
        Ok((json!(found), line))
    }

    async fn update(&self, asked: Asked<'_>, action: &mut String) -> Done {
        let args: UpdateArgs = arguments(asked.args)?;
        *action = format!("dns {}: {}", args.server, message::line(&args.changes));
        let server = self.server(&args.server)?;
        grant::allows(&self.grants, &args.server, &args.changes)?;
        let update = message::update(server, &args.prerequisites, &args.changes)?;
        let said = exchange::exchange(server, update, &self.facilities, asked.deadline, false);
        let code = said.await?.metadata.response_code;
        let at = server.authority();
        match code {
            ResponseCode::NoError => Ok((Value::Null, "ok".to_owned())),
            ResponseCode::YXDomain
            | ResponseCode::YXRRSet
            | ResponseCode::NXRRSet
            | ResponseCode::NXDomain => {
                let text = format!(
                    "{at} answers {}: {}",
                    exchange::mnemonic(code),
                    message::unmet(&args.prerequisites)
                );
                Err(Fault::conflicting("CP0052", text))
            }
            other => Err(exchange::refusal(server, other)),
        }
    }
}

/// The record set in an answer.
fn read(said: &Message, server: &Server, set: &SetName, kind: Kind) -> Result<RecordSet, Fault> {
    let at = server.authority();
    match said.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => {}
        other => return Err(exchange::refusal(server, other)),
    }
    if !said.metadata.authoritative {
        let text = format!(
            "{at} is not the authority for {}; correct the server's `zone`, or ask the server that the name is delegated to",
            set.name
        );
        return Err(Fault::invalid("CP0053", text));
    }
    let name = server.name(&set.name)?;
    let records: Vec<_> = said
        .answers
        .iter()
        .filter(|record| record.name.to_lowercase() == name && kind.is(record.record_type()))
        .collect();
    if records.len() > MAX_CONTENTS {
        let text = format!(
            "{at} answers {} records for {} {}, more than {MAX_CONTENTS}",
            records.len(),
            set.name,
            set.kind
        );
        return Err(Fault::other("CP0010", text));
    }
    let Some(ttl_seconds) = records.iter().map(|record| record.ttl).min() else {
        let text = format!("{at} has no {} of type {}", set.name, set.kind);
        return Err(Fault::not_found("CP0059", text));
    };
    let contents = records.iter().map(|record| content::written(&record.data));
    Ok(RecordSet {
        name: set.name.clone(),
        kind: set.kind.clone(),
        ttl_seconds,
        contents: contents.collect(),
    })
}

impl Capability for DnsUpdate {
    fn interface(&self) -> &'static str {
        "understudy:dns-update/dns-update"
    }

    fn call<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Used> {
        Box::pin(self.serve(asked))
    }
}

#[cfg(test)]
mod tests;
