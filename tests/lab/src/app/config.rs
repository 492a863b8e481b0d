//! What the application is told once, and what is changed while it runs and outlives its process.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::authority::Certificate;

/// What its database is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// MariaDB.
    #[default]
    Mariadb,
    /// PostgreSQL.
    Postgres,
}

/// Told once, by a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Config {
    /// Name of the application: `/apps/{name}`.
    pub name: String,
    /// The site it runs at, which it answers in `x-zone`.
    pub site: String,
    /// Where users reach it.
    pub public: SocketAddr,
    /// Where it is administered.
    pub admin: SocketAddr,
    /// For the public names.
    pub certificate: Certificate,
    /// For the administration's address.
    pub admin_certificate: Certificate,
    /// What its database is.
    pub engine: Engine,
    /// Root by which the database's certificate is verified.
    pub root: PathBuf,
    /// Password of the database user `app`.
    pub database_password: String,
    /// Bearer token of the administration.
    pub admin_token: String,
    /// Password of the user `editor`, who may write.
    pub editor_password: String,
    /// Where the [`Settings`] are kept.
    pub settings: PathBuf,
}

/// Changed while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Settings {
    /// Replicas asked for.
    pub desired: u32,
    /// `host:port` of the database.
    pub database_endpoint: String,
    /// Users' writes are refused.
    pub maintenance: bool,
    /// A new value restarts every replica once.
    pub restart_token: String,
}

impl Settings {
    /// Reads what was kept.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn load(config: &Config) -> Result<Self> {
        let text = fs::read_to_string(&config.settings)
            .with_context(|| format!("cannot read {}", config.settings.display()))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Keeps them: the old or the new ones are found afterwards, never a mixture.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn store(&self, config: &Config) -> Result<()> {
        let new = config.settings.with_extension("new");
        fs::write(&new, serde_json::to_string(self)?)?;
        fs::rename(&new, &config.settings)
            .with_context(|| format!("cannot write {}", config.settings.display()))
    }
}
