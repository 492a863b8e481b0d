//! What the API asks a kubelet for when somebody wants a pod's log.
//!
//! Not here: who may ask. The API checks that, and it alone knows the port.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::extract::{Path as Segments, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use serde::Deserialize;
use tokio::net::TcpListener;

use super::{Config, log};
use crate::tls;

/// Where the logs of an agent's pods are, as links to them.
fn folder(config: &Config) -> PathBuf {
    config.folder.join("logs")
}

/// Has the log of a pod's only container be found.
pub(super) fn keep(config: &Config, namespace: &str, pod: &str, file: &Path) -> Result<()> {
    fs::create_dir_all(folder(config))?;
    let link = folder(config).join(format!("{namespace}_{pod}"));
    match symlink(file, &link) {
        // A container that was started again writes where the first one did.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        kept => Ok(kept?),
    }
}

/// Answers for ever.
pub(super) async fn run(config: &Arc<Config>) {
    if let Err(error) = serve(config).await {
        log(&format!("logs: {error:#}"));
    }
    std::future::pending().await
}

async fn serve(config: &Arc<Config>) -> Result<()> {
    let listener = TcpListener::bind(config.kubelet).await?;
    let router = Router::new()
        .route("/containerLogs/{namespace}/{pod}/{container}", get(end))
        .with_state(Arc::clone(config));
    tls::serve(listener, &config.fallback, router).await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    tail_lines: Option<usize>,
}

async fn end(
    State(config): State<Arc<Config>>,
    Segments((namespace, pod, _)): Segments<(String, String, String)>,
    Query(wanted): Query<Wanted>,
) -> Result<String, (StatusCode, String)> {
    let file = folder(&config).join(format!("{namespace}_{pod}"));
    let text = fs::read_to_string(file)
        .map_err(|error| (StatusCode::NOT_FOUND, format!("no log of {pod}: {error}")))?;
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let skipped = lines
        .len()
        .saturating_sub(wanted.tail_lines.unwrap_or(usize::MAX));
    Ok(lines.into_iter().skip(skipped).collect())
}
