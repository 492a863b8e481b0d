//! The authoritative name server, with its HTTP API (plain HTTP, as PowerDNS has it) and one zone.
//!
//! Its caches are off: it would otherwise answer with the old record after a change and be mistaken for a resolver.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::clock::eventually;
use crate::process::Process;
use crate::programs::Programs;
use crate::{client, resolve, secret};

/// The zone.
pub const ZONE: &str = "example.test";
/// How long the server may take to answer on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);
/// TTL of the records that nobody changes, in seconds.
const FIXED_TTL_SECONDS: u32 = 300;

/// A running authoritative server.
#[derive(Debug)]
pub struct Authoritative {
    process: Process,
    dns: SocketAddr,
    api: SocketAddr,
    key: String,
    http: reqwest::Client,
}

/// What the zone says at first.
#[derive(Debug, Clone)]
pub struct Zone {
    /// TTL of `wp-active`, in seconds.
    pub ttl_seconds: u32,
    /// Address of `wp-pz`.
    pub pz: String,
    /// Address of `wp-bz`.
    pub bz: String,
}

impl Authoritative {
    /// Starts it and creates the zone: `wp-active` is an alias of `wp-pz`.
    ///
    /// # Errors
    /// Where it does not start; the message quotes its log.
    pub async fn start(
        programs: &Programs,
        folder: &Path,
        dns: SocketAddr,
        api: SocketAddr,
        zone: &Zone,
    ) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let database = folder.join("zones.sqlite");
        let schema = std::fs::read_to_string(&programs.pdns_schema)?;
        rusqlite::Connection::open(&database)?
            .execute_batch(&schema)
            .context("cannot load the zone database's schema")?;
        let key = secret::fresh()?;
        let process = Process::start(
            &programs.setpriv,
            "pdns_server",
            &programs.pdns_server,
            [
                "--no-config".to_owned(),
                format!("--config-dir={}", folder.display()),
                format!("--socket-dir={}", folder.display()),
                "--launch=gsqlite3".to_owned(),
                format!("--gsqlite3-database={}", database.display()),
                format!("--local-address={}", dns.ip()),
                format!("--local-port={}", dns.port()),
                "--api=yes".to_owned(),
                format!("--api-key={key}"),
                "--webserver=yes".to_owned(),
                format!("--webserver-address={}", api.ip()),
                format!("--webserver-port={}", api.port()),
                "--webserver-allow-from=127.0.0.0/8".to_owned(),
                "--cache-ttl=0".to_owned(),
                "--query-cache-ttl=0".to_owned(),
                "--negquery-cache-ttl=0".to_owned(),
                "--zone-cache-refresh-interval=0".to_owned(),
                "--security-poll-suffix=".to_owned(),
                "--daemon=no".to_owned(),
                "--guardian=no".to_owned(),
                "--disable-syslog".to_owned(),
            ],
            &folder.join("log"),
        )?;
        let http = client::plain()?;
        let mut server = Self {
            process,
            dns,
            api,
            key,
            http,
        };
        server.create_zone(zone).await?;
        Ok(server)
    }

    /// Where it answers DNS.
    #[must_use]
    pub fn dns(&self) -> SocketAddr {
        self.dns
    }

    /// Where it answers HTTP.
    #[must_use]
    pub fn api(&self) -> SocketAddr {
        self.api
    }

    /// What its API wants in `x-api-key`.
    #[must_use]
    pub fn api_key(&self) -> &str {
        &self.key
    }

    /// Process id.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Makes `name` an alias of `target`, as the lab's own hand on the zone.
    ///
    /// # Errors
    /// Where the server refuses.
    pub async fn set_alias(&self, name: &str, target: &str, ttl_seconds: u32) -> Result<()> {
        let change = record(name, "CNAME", &format!("{target}."), ttl_seconds);
        let response = self
            .http
            .patch(self.url(&format!("/zones/{ZONE}.")))
            .header("x-api-key", &self.key)
            .body(json!({ "rrsets": [change] }).to_string())
            .send()
            .await?;
        let status = response.status();
        ensure!(
            status.is_success(),
            "pdns_server answers {status}: {}",
            response.text().await?
        );
        Ok(())
    }

    /// The zone's serial number, which the server raises by one at every change of a record.
    ///
    /// # Errors
    /// Where the server does not answer.
    pub async fn serial(&self) -> Result<u64> {
        let request = self.http.get(self.url(&format!("/zones/{ZONE}.")));
        let response = request.header("x-api-key", &self.key).send().await?;
        let status = response.status();
        let text = response.text().await?;
        ensure!(status.is_success(), "pdns_server answers {status}: {text}");
        let zone: Value = serde_json::from_str(&text)?;
        zone.get("serial")
            .and_then(Value::as_u64)
            .context("the zone has no serial number")
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/api/v1/servers/localhost{path}", self.api)
    }

    async fn create_zone(&mut self, zone: &Zone) -> Result<()> {
        let wanted = json!({
            "name": format!("{ZONE}."),
            "kind": "Native",
            "nameservers": [format!("ns.{ZONE}.")],
            "rrsets": [
                record(&format!("ns.{ZONE}"), "A", &self.dns.ip().to_string(), FIXED_TTL_SECONDS),
                record(&format!("wp-pz.{ZONE}"), "A", &zone.pz, FIXED_TTL_SECONDS),
                record(&format!("wp-bz.{ZONE}"), "A", &zone.bz, FIXED_TTL_SECONDS),
                record(
                    &format!("wp-active.{ZONE}"),
                    "CNAME",
                    &format!("wp-pz.{ZONE}."),
                    zone.ttl_seconds,
                ),
            ],
        })
        .to_string();
        let url = self.url("/zones");
        eventually("pdns_server to take the zone", START_LIMIT, async || {
            if let Err(ended) = self.process.alive() {
                return Ok(Some(Err(ended)));
            }
            let request = self
                .http
                .post(&url)
                .header("x-api-key", &self.key)
                .body(wanted.clone());
            let response = request.send().await?;
            let status = response.status();
            ensure!(status.is_success(), "{status}: {}", response.text().await?);
            Ok(Some(Ok(())))
        })
        .await??;
        eventually("pdns_server to answer", START_LIMIT, async || {
            let answer = resolve::addresses(self.dns, &format!("wp-active.{ZONE}")).await?;
            Ok((!answer.addresses.is_empty()).then_some(()))
        })
        .await
    }
}

fn record(name: &str, kind: &str, content: &str, ttl_seconds: u32) -> Value {
    json!({
        "name": format!("{name}."),
        "type": kind,
        "ttl": ttl_seconds,
        "changetype": "REPLACE",
        "records": [{ "content": content, "disabled": false }],
    })
}
