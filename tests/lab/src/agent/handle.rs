//! The agent's process, seen from outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Config;
use crate::process::Process;

/// How long the agent may take to end what it runs.
const END_LIMIT: Duration = Duration::from_secs(10);

/// A running (or killed) agent.
#[derive(Debug)]
pub struct Agent {
    program: PathBuf,
    file: PathBuf,
    config: Config,
    process: Option<Process>,
}

impl Agent {
    /// Starts `program agent FILE`; what it does shows in the cluster.
    ///
    /// # Errors
    /// Where its folder cannot be written or it cannot be started.
    pub fn start(program: &Path, config: Config) -> Result<Self> {
        fs::create_dir_all(&config.folder)?;
        let file = config.folder.join("agent.json");
        fs::write(&file, serde_json::to_string(&config)?)?;
        let mut agent = Self {
            program: program.to_owned(),
            file,
            config,
            process: None,
        };
        agent.restart()?;
        Ok(agent)
    }

    /// Starts it again after [`kill`](Self::kill).
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn restart(&mut self) -> Result<()> {
        self.process = Some(Process::start(
            &self.config.setpriv,
            &format!("agent {}", self.config.zone),
            &self.program,
            ["agent".into(), self.file.clone().into_os_string()],
            &self.config.folder.join("log"),
        )?);
        Ok(())
    }

    /// `kill -9`, and with it everything that it runs.
    ///
    /// # Errors
    /// Where it is not running.
    pub fn kill(&mut self) -> Result<()> {
        let mut process = self.process.take().context("the agent is not running")?;
        process.kill().map(drop)
    }

    /// Process id, while it runs.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// What it was told.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_end(&self) -> String {
        self.process
            .as_ref()
            .map(Process::log_end)
            .unwrap_or_default()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // In order, so that nothing it runs still writes into a folder that is about to go.
        if let Some(process) = &mut self.process {
            process.end(END_LIMIT);
        }
    }
}
