//! HTTP clients: plain ones for servers that speak plain HTTP, and verified ones that reach a name at a chosen address.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::tls;

/// How long a request may take: a user's patience, longer than a pause of a busy machine.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// How long a connection may take on loopback.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// A client that trusts nobody; for `http` addresses.
///
/// # Errors
/// Where the client cannot be made.
pub fn plain() -> Result<reqwest::Client> {
    build(tls::client_config(None)?, None)
}

/// A client that trusts the lab's root, and reaches `name` at `address` where one is given.
///
/// # Errors
/// Where the root cannot be read.
pub fn verified(root: &Path, pinned: Option<(&str, SocketAddr)>) -> Result<reqwest::Client> {
    build(tls::client_config(Some(root))?, pinned)
}

fn build(
    config: rustls::ClientConfig,
    pinned: Option<(&str, SocketAddr)>,
) -> Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_LIMIT)
        .timeout(REQUEST_LIMIT);
    if let Some((name, address)) = pinned {
        builder = builder.resolve(name, address);
    }
    builder.build().context("cannot make an HTTP client")
}
