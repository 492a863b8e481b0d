//! A caching resolver in front of the authoritative server: what users' names go through.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;

use crate::clock::{LIMIT, eventually};
use crate::powerdns::ZONE;
use crate::process::Process;
use crate::programs::Programs;
use crate::resolve::{self, Answer};

/// A running resolver.
#[derive(Debug)]
pub struct Recursor {
    process: Process,
    address: SocketAddr,
}

impl Recursor {
    /// Starts one that asks `authoritative` for the zone. With `minimum_ttl_seconds` it keeps answers at least that
    /// long, whatever they say, as some resolvers in the world do.
    ///
    /// # Errors
    /// Where it does not start; the message quotes its log.
    pub async fn start(
        programs: &Programs,
        folder: &Path,
        address: SocketAddr,
        authoritative: SocketAddr,
        minimum_ttl_seconds: Option<u32>,
    ) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut arguments = vec![
            format!("--config-dir={}", folder.display()),
            format!("--socket-dir={}", folder.display()),
            format!("--local-address={}", address.ip()),
            format!("--local-port={}", address.port()),
            format!("--forward-zones={ZONE}={authoritative}"),
            "--allow-from=127.0.0.0/8".to_owned(),
            "--security-poll-suffix=".to_owned(),
            "--hint-file=no".to_owned(),
            "--dnssec=off".to_owned(),
            "--threads=1".to_owned(),
            "--daemon=no".to_owned(),
            "--disable-syslog".to_owned(),
        ];
        // One second is the resolver's own default; zero lets a TTL of zero mean what it says.
        arguments.push(format!(
            "--minimum-ttl-override={}",
            minimum_ttl_seconds.unwrap_or(0)
        ));
        let mut process = Process::start(
            &programs.setpriv,
            "pdns_recursor",
            &programs.pdns_recursor,
            arguments,
            &folder.join("log"),
        )?;
        eventually("pdns_recursor to answer", LIMIT, async || {
            if let Err(ended) = process.alive() {
                return Ok(Some(Err(ended)));
            }
            // Asked for a name that nobody else asks for, so that no test finds its name in the cache already.
            let answer = resolve::addresses(address, &format!("ns.{ZONE}")).await?;
            Ok((!answer.addresses.is_empty()).then_some(Ok(())))
        })
        .await??;
        Ok(Self { process, address })
    }

    /// Where it answers.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Process id.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// What it answers for the service's public name.
    ///
    /// # Errors
    /// Where it does not answer.
    pub async fn active(&self) -> Result<Answer> {
        resolve::addresses(self.address, &format!("wp-active.{ZONE}")).await
    }
}
