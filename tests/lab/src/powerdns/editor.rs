//! The lab's own hand on the zone, through the server's API: what it holds, and changing it.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::ZONE;
use crate::{client, resolve};

/// Types of records that people edit; the others are the server's own.
const EDITED: [&str; 2] = ["A", "CNAME"];

/// Reads and changes the zone. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Editor {
    pub(super) dns: SocketAddr,
    pub(super) api: SocketAddr,
    pub(super) key: String,
    http: reqwest::Client,
}

impl Editor {
    /// A hand on the zone of another process.
    ///
    /// # Errors
    /// Where its HTTP client cannot be made.
    pub fn new(dns: SocketAddr, api: SocketAddr, key: String) -> Result<Self> {
        let http = client::plain()?;
        Ok(Self {
            dns,
            api,
            key,
            http,
        })
    }

    /// Every record set that people edit, by name: `name` without the last dot, `type`, `ttl-seconds`, `values`.
    ///
    /// # Errors
    /// Where the server does not answer.
    pub async fn record_sets(&self) -> Result<Vec<Value>> {
        let zone = self.zone().await?;
        let sets = zone.get("rrsets").and_then(Value::as_array);
        let mut plain: Vec<Value> = sets
            .context("the zone has no records")?
            .iter()
            .filter(|set| EDITED.contains(&text(set, "type")))
            .map(plain)
            .collect();
        plain.sort_by(|a, b| text(a, "name").cmp(text(b, "name")));
        Ok(plain)
    }

    /// Puts these sets, in the form of [`record_sets`](Self::record_sets), in the place of those of the same name and
    /// type, in one change of the zone.
    ///
    /// # Errors
    /// Where the server refuses.
    pub async fn replace(&self, sets: &[Value]) -> Result<()> {
        let changes: Vec<Value> = sets.iter().map(replacement).collect();
        let request = self.http.patch(self.zone_url());
        self.ask(request.body(json!({ "rrsets": changes }).to_string()))
            .await
            .map(drop)
    }

    /// Removes a record set; there need be none.
    ///
    /// # Errors
    /// Where the server refuses.
    pub async fn remove(&self, name: &str, kind: &str) -> Result<()> {
        let change = json!({ "name": format!("{name}."), "type": kind, "changetype": "DELETE" });
        let request = self.http.patch(self.zone_url());
        self.ask(request.body(json!({ "rrsets": [change] }).to_string()))
            .await
            .map(drop)
    }

    /// Whether the server answers questions with this set.
    ///
    /// # Errors
    /// Where it does not answer at all.
    pub async fn is_answered(&self, set: &Value) -> Result<bool> {
        let answer = resolve::addresses(self.dns, text(set, "name")).await?;
        let values: Vec<String> = match answer.alias {
            Some(alias) => vec![alias],
            None => answer.addresses.iter().map(ToString::to_string).collect(),
        };
        Ok(set.get("values") == Some(&json!(values))
            && set.get("ttl-seconds") == Some(&json!(answer.ttl_seconds)))
    }

    /// The zone's serial number, which the server raises by one at every change of a record.
    pub(super) async fn serial(&self) -> Result<u64> {
        let zone = self.zone().await?;
        let serial = zone.get("serial").and_then(Value::as_u64);
        serial.context("the zone has no serial number")
    }

    /// Makes the zone.
    pub(super) async fn create(&self, nameserver: &str, sets: &[Value]) -> Result<()> {
        let changes: Vec<Value> = sets.iter().map(replacement).collect();
        let zone = json!({
            "name": format!("{ZONE}."),
            "kind": "Native",
            "nameservers": [format!("{nameserver}.")],
            "rrsets": changes,
        });
        let request = self.http.post(self.url("/zones"));
        self.ask(request.body(zone.to_string())).await.map(drop)
    }

    /// Whether the server has the zone.
    pub(super) async fn has_zone(&self) -> Result<bool> {
        let text = self.ask(self.http.get(self.url("/zones"))).await?;
        let zones: Vec<Value> = serde_json::from_str(&text)?;
        let name = format!("{ZONE}.");
        Ok(zones.iter().any(|zone| zone["name"] == name.as_str()))
    }

    /// Lets dynamic updates of the zone through that this key signs.
    pub(super) async fn let_update(&self, name: &str, secret: &str) -> Result<()> {
        let key = json!({ "name": name, "algorithm": "hmac-sha256", "key": secret });
        let request = self.http.post(self.url("/tsigkeys"));
        self.ask(request.body(key.to_string())).await?;
        let allowed = json!({ "kind": "TSIG-ALLOW-DNSUPDATE", "metadata": [name] });
        let request = self.http.post(format!("{}/metadata", self.zone_url()));
        self.ask(request.body(allowed.to_string())).await.map(drop)
    }

    async fn zone(&self) -> Result<Value> {
        let text = self.ask(self.http.get(self.zone_url())).await?;
        Ok(serde_json::from_str(&text)?)
    }

    fn zone_url(&self) -> String {
        self.url(&format!("/zones/{ZONE}."))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/api/v1/servers/localhost{path}", self.api)
    }

    async fn ask(&self, request: RequestBuilder) -> Result<String> {
        let response = request.header("x-api-key", &self.key).send().await?;
        let status = response.status();
        let text = response.text().await?;
        ensure!(status.is_success(), "pdns_server answers {status}: {text}");
        Ok(text)
    }
}

/// A record set with one value, in the form of [`Editor::record_sets`].
pub(crate) fn set(name: &str, kind: &str, value: &str, ttl_seconds: u32) -> Value {
    json!({ "name": name, "type": kind, "ttl-seconds": ttl_seconds, "values": [value] })
}

fn text<'a>(set: &'a Value, field: &str) -> &'a str {
    set.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// From the API's form.
fn plain(set: &Value) -> Value {
    let without_dot = |name: &str| name.trim_end_matches('.').to_owned();
    let records = set.get("records").and_then(Value::as_array);
    let values: Vec<String> = records
        .into_iter()
        .flatten()
        .map(|record| without_dot(text(record, "content")))
        .collect();
    json!({
        "name": without_dot(text(set, "name")),
        "type": set.get("type"),
        "ttl-seconds": set.get("ttl"),
        "values": values,
    })
}

/// To the API's form.
fn replacement(set: &Value) -> Value {
    let is_name = text(set, "type") == "CNAME";
    let values = set.get("values").and_then(Value::as_array);
    let records: Vec<Value> = values
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|value| {
            let dot = if is_name { "." } else { "" };
            json!({ "content": format!("{value}{dot}"), "disabled": false })
        })
        .collect();
    json!({
        "name": format!("{}.", text(set, "name")),
        "type": set.get("type"),
        "ttl": set.get("ttl-seconds"),
        "changetype": "REPLACE",
        "records": records,
    })
}
