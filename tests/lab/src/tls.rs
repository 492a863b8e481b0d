//! TLS of the lab's own servers and clients: TLS 1.2 and 1.3 with `ring`, certificates of the lab's authority.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::serve::Listener;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::authority::Certificate;

/// How long a client may take for the handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// Connections whose handshake is done and that wait to be served.
const BACKLOG: usize = 64;

/// A client's configuration that trusts the certificates in the file `root` alone, or nobody.
///
/// # Errors
/// Where the file cannot be read.
pub fn client_config(root: Option<&Path>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    if let Some(root) = root {
        let certificates: Vec<_> = CertificateDer::pem_file_iter(root)
            .and_then(Iterator::collect)
            .with_context(|| format!("cannot read {}", root.display()))?;
        for certificate in certificates {
            roots.add(certificate)?;
        }
    }
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// The certificate that a server shows for `name`, verified against the certificates in the file `root`; DER.
///
/// # Errors
/// Where it shows none or it does not verify.
pub async fn shown(server: SocketAddr, name: &str, root: &Path) -> Result<Vec<u8>> {
    let connector = TlsConnector::from(Arc::new(client_config(Some(root))?));
    let stream = TcpStream::connect(server).await?;
    let name = ServerName::try_from(name.to_owned())?;
    let stream = timeout(HANDSHAKE_LIMIT, connector.connect(name, stream)).await??;
    let (_, session) = stream.get_ref();
    let first = session.peer_certificates().and_then(<[_]>::first);
    Ok(first.context("it shows no certificate")?.to_vec())
}

/// Serves `router` over TLS on `listener` until the future is dropped.
///
/// # Errors
/// Where the certificate cannot be read.
pub async fn serve(listener: TcpListener, certificate: &Certificate, router: Router) -> Result<()> {
    let chain = CertificateDer::pem_file_iter(&certificate.certificate)
        .and_then(Iterator::collect)
        .with_context(|| format!("cannot read {}", certificate.certificate.display()))?;
    let key = PrivateKeyDer::from_pem_file(&certificate.key)
        .with_context(|| format!("cannot read {}", certificate.key.display()))?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    let address = listener.local_addr()?;
    let (sender, ready) = mpsc::channel(BACKLOG);
    // A set, so that dropping this future ends the accepting task and frees the port.
    let mut accepting = JoinSet::new();
    accepting.spawn(accept(
        listener,
        TlsAcceptor::from(Arc::new(config)),
        sender,
    ));
    Ok(axum::serve(TlsListener { ready, address }, router).await?)
}

/// Lets clients that make their own TLS configuration use the same cryptography. One that is installed already stays.
pub fn install_provider() {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

type Connection = (TlsStream<TcpStream>, SocketAddr);

/// Shakes hands with each client in a task of its own, so that one that stalls holds up nobody.
async fn accept(listener: TcpListener, acceptor: TlsAcceptor, ready: mpsc::Sender<Connection>) {
    while !ready.is_closed() {
        let Ok((stream, peer)) = listener.accept().await else {
            continue;
        };
        let (acceptor, ready) = (acceptor.clone(), ready.clone());
        tokio::spawn(async move {
            if let Ok(Ok(stream)) = timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await {
                drop(ready.send((stream, peer)).await);
            }
        });
    }
}

/// Connections whose handshake is done.
struct TlsListener {
    ready: mpsc::Receiver<Connection>,
    address: SocketAddr,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // The accepting task is gone, so this server is being dropped.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}
