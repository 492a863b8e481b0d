//! A zone's object storage for media, as S3 has it: WordPress' uploads are its one bucket, and requests must be signed.
//!
//! What is uploaded to one zone appears in the other by the storage's own replication ([`mirror`](crate::agent::mirror)).

use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::authority::Certificate;
use crate::tls;

/// The bucket of each zone.
pub const BUCKET: &str = "media";
/// Region that signatures are made for.
pub const REGION: &str = "lab-1";
/// Which key signs.
pub const ACCESS_KEY_ID: &str = "understudy";

/// Where and how it listens.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Config {
    /// Its address.
    pub address: SocketAddr,
    /// What it shows for it.
    pub certificate: Certificate,
    /// Secret of [`ACCESS_KEY_ID`].
    pub secret_access_key: String,
    /// Folder of its own.
    pub folder: PathBuf,
}

/// Serves the files below `uploads` until the future is dropped.
///
/// # Errors
/// Where the address is taken, or a folder cannot be made.
pub async fn serve(config: &Config, uploads: &Path) -> Result<()> {
    fs::create_dir_all(&config.folder)?;
    fs::create_dir_all(uploads)?;
    let bucket = config.folder.join(BUCKET);
    if !bucket.exists() {
        symlink(uploads, &bucket)?;
    }
    let files = FileSystem::new(&config.folder).map_err(|error| {
        anyhow!(
            "no object storage in {}: {error:?}",
            config.folder.display()
        )
    })?;
    let mut service = S3ServiceBuilder::new(files);
    let secret = config.secret_access_key.clone();
    service.set_auth(SimpleAuth::from_single(ACCESS_KEY_ID, secret));
    let service = service.build();
    let router = Router::new().fallback(move |request: Request| answer(service.clone(), request));
    let listener = TcpListener::bind(config.address)
        .await
        .with_context(|| format!("cannot listen at {}", config.address))?;
    tls::serve(listener, &config.certificate, router).await
}

async fn answer(service: S3Service, request: Request) -> Result<Response, Infallible> {
    let request = request.map(s3s::Body::http_body_unsync);
    Ok(match service.call(request).await {
        Ok(response) => response.map(Body::new),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:?}")).into_response(),
    })
}
