//! The application of one site, seen from outside: its process, and its administration for the lab's own use.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::app::config::{Config, Settings};
use crate::client;
use crate::clock::{LIMIT, eventually};
use crate::process::Process;
use crate::programs::Programs;

/// A running (or killed) application.
#[derive(Debug)]
pub struct Site {
    config: Config,
    file: PathBuf,
    setpriv: PathBuf,
    program: PathBuf,
    process: Option<Process>,
    http: reqwest::Client,
}

impl Site {
    /// Starts `program app FILE` with this configuration and these first settings.
    ///
    /// # Errors
    /// Where it does not start; the message quotes its log.
    pub async fn start(
        programs: &Programs,
        program: &Path,
        config: Config,
        settings: &Settings,
    ) -> Result<Self> {
        settings.store(&config)?;
        let file = config
            .settings
            .with_file_name(format!("app-{}.json", config.site));
        fs::write(&file, serde_json::to_string(&config)?)?;
        let http = client::verified(&config.root, None)?;
        let mut site = Self {
            config,
            file,
            setpriv: programs.setpriv.clone(),
            program: program.to_owned(),
            process: None,
            http,
        };
        site.restart().await?;
        Ok(site)
    }

    /// Starts its process again after [`kill`](Self::kill), with the settings it had.
    ///
    /// # Errors
    /// Where it does not start; the message quotes its log.
    pub async fn restart(&mut self) -> Result<()> {
        let name = format!("app {}", self.config.site);
        let mut process = Process::start(
            &self.setpriv,
            &name,
            &self.program,
            ["app".into(), self.file.clone().into_os_string()],
            &self.file.with_extension("log"),
        )?;
        eventually(&format!("{name} to answer"), LIMIT, async || {
            if let Err(ended) = process.alive() {
                return Ok(Some(Err(ended)));
            }
            self.observe().await?;
            Ok(Some(Ok(())))
        })
        .await??;
        self.process = Some(process);
        Ok(())
    }

    /// `kill -9`: neither the application nor its administration answers.
    ///
    /// # Errors
    /// Where it is not running.
    pub fn kill(&mut self) -> Result<()> {
        let mut process = self
            .process
            .take()
            .context("the application is not running")?;
        process.kill().map(drop)
    }

    /// Process id, while it runs.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Where users reach it.
    #[must_use]
    pub fn public(&self) -> SocketAddr {
        self.config.public
    }

    /// Where it is administered.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.config.admin
    }

    /// What its administration answers.
    ///
    /// # Errors
    /// Where it does not answer.
    pub async fn observe(&self) -> Result<Value> {
        self.ask(self.http.get(self.url())).await
    }

    /// Changes settings.
    ///
    /// # Errors
    /// Where its administration refuses.
    pub async fn change(&self, settings: &Value) -> Result<Value> {
        self.ask(self.http.put(self.url()).body(settings.to_string()))
            .await
    }

    /// Waits until `field` of what its administration answers is `value`.
    ///
    /// # Errors
    /// Where it is not after half a minute.
    pub async fn becomes(&self, field: &str, value: &Value) -> Result<()> {
        let what = format!("{field} of app {} to be {value}", self.config.site);
        eventually(&what, LIMIT, async || {
            let seen = self.observe().await?;
            ensure!(seen.get(field) == Some(value), "it is {seen}");
            Ok(Some(()))
        })
        .await
    }

    fn url(&self) -> String {
        format!("https://{}/apps/{}", self.config.admin, self.config.name)
    }

    async fn ask(&self, request: reqwest::RequestBuilder) -> Result<Value> {
        let response = request.bearer_auth(&self.config.admin_token).send().await?;
        let status = response.status();
        let text = response.text().await?;
        ensure!(status.is_success(), "{status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }
}
