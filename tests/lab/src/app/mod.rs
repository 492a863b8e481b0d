//! The application at one site: a process of its own, so that it can be killed, with two listeners.
//!
//! * [`public`] is what users reach: reads and writes of the site's database.
//! * [`admin`] is what runs the application: scale, re-point, restart, maintenance. It speaks the protocol of the
//!   `webhook` provider and goes on while the application is scaled to zero.
//!
//! The application keeps its connections and its database endpoint for as long as it runs, as real ones do: changing
//! the endpoint changes the configuration, and only a restart makes the application use it.

pub mod admin;
pub mod config;
mod database;
pub mod instance;
mod link;
pub mod public;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;

use self::admin::Controller;
use self::config::Config;

/// Runs the application until the process is ended.
///
/// # Errors
/// Where the configuration cannot be read or an address is taken.
pub async fn run(config: &Path) -> Result<()> {
    let text = std::fs::read_to_string(config)
        .with_context(|| format!("cannot read {}", config.display()))?;
    let config: Arc<Config> = Arc::new(serde_json::from_str(&text)?);
    let listener = TcpListener::bind(config.admin)
        .await
        .with_context(|| format!("cannot listen at {}", config.admin))?;
    let controller = Controller::start(Arc::clone(&config)).await?;
    crate::tls::serve(listener, &config.admin_certificate, controller.router()).await
}
