//! The authoritative name server, with its HTTP API (plain HTTP, as PowerDNS has it) and one zone, which takes dynamic
//! updates signed by a key as well.
//!
//! Its caches are off: it would otherwise answer with the old record after a change and be mistaken for a resolver.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use self::editor::set;
use crate::clock::{LIMIT, eventually};
use crate::process::Process;
use crate::programs::Programs;
use crate::{resolve, secret};

pub(crate) mod editor;

pub use editor::Editor;

/// The zone.
pub const ZONE: &str = "example.test";
/// Name of the key that signs dynamic updates of the zone.
pub const UPDATE_KEY: &str = "understudy";
/// TTL of the records that nobody changes, in seconds.
const FIXED_TTL_SECONDS: u32 = 300;

/// A running authoritative server.
#[derive(Debug)]
pub struct Authoritative {
    process: Process,
    launch: Launch,
    editor: Editor,
    update_key: String,
}

/// How its process is started.
#[derive(Debug)]
struct Launch {
    setpriv: PathBuf,
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
}

impl Launch {
    fn start(&self) -> Result<Process> {
        let arguments = self.arguments.clone();
        Process::start(
            &self.setpriv,
            "pdns_server",
            &self.program,
            arguments,
            &self.log,
        )
    }
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
        let launch = Launch {
            setpriv: programs.setpriv.clone(),
            program: programs.pdns_server.clone(),
            arguments: vec![
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
                "--dnsupdate=yes".to_owned(),
                "--allow-dnsupdate-from=127.0.0.0/8".to_owned(),
                "--cache-ttl=0".to_owned(),
                "--query-cache-ttl=0".to_owned(),
                "--negquery-cache-ttl=0".to_owned(),
                "--zone-cache-refresh-interval=0".to_owned(),
                "--security-poll-suffix=".to_owned(),
                "--daemon=no".to_owned(),
                "--guardian=no".to_owned(),
                "--disable-syslog".to_owned(),
            ],
            log: folder.join("log"),
        };
        let mut server = Self {
            process: launch.start()?,
            launch,
            editor: Editor::new(dns, api, key)?,
            update_key: BASE64.encode(secret::fresh()?),
        };
        server.create_zone(zone).await?;
        Ok(server)
    }

    /// Where it answers DNS.
    #[must_use]
    pub fn dns(&self) -> SocketAddr {
        self.editor.dns
    }

    /// Where it answers HTTP.
    #[must_use]
    pub fn api(&self) -> SocketAddr {
        self.editor.api
    }

    /// What its API wants in `x-api-key`.
    #[must_use]
    pub fn api_key(&self) -> &str {
        &self.editor.key
    }

    /// The secret of [`UPDATE_KEY`], in Base64.
    #[must_use]
    pub fn update_key(&self) -> &str {
        &self.update_key
    }

    /// `kill -9`: neither names nor the API are answered.
    ///
    /// # Errors
    /// Where it is not running.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill().map(drop)
    }

    /// Starts it again after [`kill`](Self::kill), with the zone as it was.
    ///
    /// # Errors
    /// Where it does not start; the message quotes its log.
    pub async fn restart(&mut self) -> Result<()> {
        self.process = self.launch.start()?;
        self.answers().await
    }

    /// Process id.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// The lab's own hand on the zone.
    #[must_use]
    pub fn editor(&self) -> &Editor {
        &self.editor
    }

    /// Makes `name` an alias of `target`.
    ///
    /// # Errors
    /// Where the server refuses.
    pub async fn set_alias(&self, name: &str, target: &str, ttl_seconds: u32) -> Result<()> {
        let alias = set(name, "CNAME", target, ttl_seconds);
        self.editor.replace(&[alias]).await
    }

    /// The zone's serial number, which the server raises by one at every change of a record.
    ///
    /// # Errors
    /// Where the server does not answer.
    pub async fn serial(&self) -> Result<u64> {
        self.editor.serial().await
    }

    async fn create_zone(&mut self, zone: &Zone) -> Result<()> {
        let dns = self.editor.dns;
        let name = |label: &str| format!("{label}.{ZONE}");
        let sets = [
            set(&name("ns"), "A", &dns.ip().to_string(), FIXED_TTL_SECONDS),
            set(&name("wp-pz"), "A", &zone.pz, FIXED_TTL_SECONDS),
            set(&name("wp-bz"), "A", &zone.bz, FIXED_TTL_SECONDS),
            set(
                &name("wp-active"),
                "CNAME",
                &name("wp-pz"),
                zone.ttl_seconds,
            ),
        ];
        eventually("pdns_server to take the zone", LIMIT, async || {
            if let Err(ended) = self.process.alive() {
                return Ok(Some(Err(ended)));
            }
            // A request that was given up may have been carried out all the same.
            if !self.editor.has_zone().await? {
                self.editor.create(&name("ns"), &sets).await?;
            }
            Ok(Some(Ok(())))
        })
        .await??;
        let key = &self.update_key;
        self.editor.let_update(UPDATE_KEY, key).await?;
        self.answers().await
    }

    /// Waits until it answers for the service's name.
    async fn answers(&mut self) -> Result<()> {
        let dns = self.editor.dns;
        eventually("pdns_server to answer", LIMIT, async || {
            if let Err(ended) = self.process.alive() {
                return Ok(Some(Err(ended)));
            }
            let answer = resolve::addresses(dns, &format!("wp-active.{ZONE}")).await?;
            Ok((!answer.addresses.is_empty()).then_some(Ok(())))
        })
        .await?
    }
}
