//! Pebble: an ACME authority for tests (RFC 8555), which proves names through the lab's authoritative name server. It
//! refuses a share of good nonces, as it does by itself, so that clients must try again.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use serde_json::json;

use crate::authority::Authority;
use crate::client;
use crate::clock::{LIMIT, eventually};
use crate::process::Process;
use crate::programs::Programs;

/// Leave out the pause before each proof, which is there to expose impatient clients.
const NO_PAUSE: &str = "PEBBLE_VA_NOSLEEP=1";

/// A running authority. What it issues is verified by its own root, which is new at every start.
#[derive(Debug)]
pub struct Pebble {
    process: Process,
    directory: String,
    root: PathBuf,
}

impl Pebble {
    /// Starts it, with `env` to set its environment, at `acme`, managed at `management`; names are proved by what `dns`
    /// answers.
    ///
    /// # Errors
    /// Where it does not start; the message quotes its log.
    pub async fn start(
        programs: &Programs,
        [env, pebble]: [&Path; 2],
        authority: &Authority,
        folder: &Path,
        [acme, management, dns]: [SocketAddr; 3],
    ) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let certificate = authority.issue("pebble", &[&acme.ip().to_string()])?;
        let file = folder.join("pebble.json");
        let config = json!({ "pebble": {
            "listenAddress": acme.to_string(),
            "managementListenAddress": management.to_string(),
            "certificate": certificate.certificate,
            "privateKey": certificate.key,
            // Only names are proved here, never by a connection to these.
            "httpPort": 1,
            "tlsPort": 1,
            "ocspResponderURL": "",
        } });
        fs::write(&file, config.to_string())?;
        let mut process = Process::start(
            &programs.setpriv,
            "pebble",
            env,
            [
                NO_PAUSE.to_owned(),
                pebble.display().to_string(),
                format!("-config={}", file.display()),
                format!("-dnsserver={dns}"),
                "-strict=true".to_owned(),
            ],
            &folder.join("log"),
        )?;
        let http = client::verified(authority.root(), None)?;
        let text = eventually("pebble to answer", LIMIT, async || {
            if let Err(ended) = process.alive() {
                return Ok(Some(Err(ended)));
            }
            let answer = http
                .get(format!("https://{management}/roots/0"))
                .send()
                .await?;
            ensure!(answer.status().is_success(), "{}", answer.status());
            Ok(Some(Ok(answer.text().await?)))
        })
        .await??;
        let root = folder.join("root.pem");
        fs::write(&root, text)?;
        Ok(Self {
            process,
            directory: format!("https://{acme}/dir"),
            root,
        })
    }

    /// Address of its directory.
    #[must_use]
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// Root of what it issues, a PEM file.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Process id.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Stops it without ending it: nobody gets a certificate.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn freeze(&self) -> Result<()> {
        self.process.freeze()
    }

    /// Lets it go on after [`freeze`](Self::freeze).
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn thaw(&self) -> Result<()> {
        self.process.thaw()
    }
}
