//! Whom the host believes: the system's roots and those a binding adds, as one TLS configuration.
//!
//! TLS 1.2 and 1.3 (RFC 5246, RFC 8446), with *ring* underneath, always verified; there is no way to turn verification
//! off. Start at [`Trust::new`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::credential::Secret;

/// Largest file of roots that is read, in bytes: a system's whole bundle is a quarter of it.
pub const MAX_ROOTS_BYTES: u64 = 1024 * 1024;

/// Code of a server that is not believed.
pub(crate) const UNBELIEVED: &str = "CP0011";

/// Roots that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read.
    #[error("trusted roots `{}` cannot be read: {reason}; correct the path in `trust`", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// No certificate in the file, or one that is none.
    #[error("trusted roots `{}` hold no usable certificate: {reason}; give a PEM file of CA certificates", .path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A connection's own roots are none.
    #[error(
        "the trusted roots of connection `{connection}` cannot be used: {reason}; give the PEM text of CA certificates"
    )]
    Connection {
        /// Name of the connection in the binding.
        connection: String,
        /// What is wrong.
        reason: String,
    },
    /// The TLS library refuses the roots.
    #[error("the trusted roots make no TLS configuration: {0}")]
    Unusable(String),
}

/// The system's roots, loaded once for all bindings.
#[derive(Debug, Default, Clone)]
pub struct SystemRoots(Vec<CertificateDer<'static>>);

impl SystemRoots {
    /// Loads them from where the system keeps them. To be called by the binary: the loader honours the environment
    /// (`SSL_CERT_FILE`, `SSL_CERT_DIR`). What cannot be read is left out; an empty result is legal.
    #[must_use]
    pub fn load() -> Self {
        Self(rustls_native_certs::load_native_certs().certs)
    }

    /// Nobody: only what bindings name themselves is trusted.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }
}

/// One binding's trust.
#[derive(Clone)]
pub struct Trust {
    config: Arc<ClientConfig>,
    verifier: Option<Arc<WebPkiServerVerifier>>,
    roots: Arc<[CertificateDer<'static>]>,
}

impl Trust {
    /// The system's roots and those in `files`, relative to `folder`.
    ///
    /// With no root at all no certificate verifies; that is an answer at the handshake, not an error here, because a
    /// binding that uses no TLS needs none.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn new(system: &SystemRoots, folder: &Path, files: &[PathBuf]) -> Result<Self, TrustError> {
        let mut store = RootCertStore::empty();
        let mut roots = Vec::new();
        for root in &system.0 {
            // A system's bundle may hold certificates that this library cannot use; the others still count.
            if store.add(root.clone()).is_ok() {
                roots.push(root.clone());
            }
        }
        for file in files {
            for root in read_roots(&folder.join(file))? {
                store
                    .add(root.clone())
                    .map_err(|error| TrustError::NoCertificate {
                        path: file.clone(),
                        reason: error.to_string(),
                    })?;
                roots.push(root);
            }
        }
        Self::of(store, roots)
    }

    /// The roots in this PEM text, and nobody else.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn only(pem: &Secret) -> Result<Self, String> {
        let roots = certificates(pem.expose().as_bytes())?;
        let store = store(&roots).map_err(|error| error.to_string())?;
        Self::of(store, roots).map_err(|error| error.to_string())
    }

    fn of(store: RootCertStore, roots: Vec<CertificateDer<'static>>) -> Result<Self, TrustError> {
        let store = Arc::new(store);
        let unusable = |error: &dyn std::error::Error| TrustError::Unusable(error.to_string());
        let verifier = if roots.is_empty() {
            None
        } else {
            let builder =
                WebPkiServerVerifier::builder_with_provider(Arc::clone(&store), provider());
            Some(builder.build().map_err(|error| unusable(&error))?)
        };
        let config = client_config(store, None).map_err(|error| unusable(&error))?;
        Ok(Self {
            config: Arc::new(config),
            verifier,
            roots: roots.into(),
        })
    }

    /// The configuration of a client.
    #[must_use]
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// What judges a chain; `None` where there is nobody to trust.
    #[must_use]
    pub fn verifier(&self) -> Option<&Arc<WebPkiServerVerifier>> {
        self.verifier.as_ref()
    }

    /// The roots, for a library that takes nothing else.
    #[must_use]
    pub fn roots(&self) -> &[CertificateDer<'static>] {
        &self.roots
    }
}

/// A client's own certificate.
pub(crate) struct Identity {
    /// The leaf first.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub(crate) key: PrivateKeyDer<'static>,
}

/// The configuration of a client that believes these roots and shows this certificate.
pub(crate) fn client_config(
    roots: Arc<RootCertStore>,
    identity: Option<Identity>,
) -> Result<ClientConfig, rustls::Error> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    match identity {
        Some(Identity { chain, key }) => config.with_client_auth_cert(chain, key),
        None => Ok(config.with_no_client_auth()),
    }
}

/// What verifies by these roots.
pub(crate) fn store(roots: &[CertificateDer<'static>]) -> Result<RootCertStore, rustls::Error> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone())?;
    }
    Ok(store)
}

/// The one source of cryptography.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn read_roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let unreadable = |reason: String| TrustError::Unreadable {
        path: path.to_owned(),
        reason,
    };
    let length = std::fs::metadata(path)
        .map_err(|error| unreadable(error.kind().to_string()))?
        .len();
    if length > MAX_ROOTS_BYTES {
        return Err(unreadable(format!(
            "{length} bytes, at most {MAX_ROOTS_BYTES} are read"
        )));
    }
    let pem = std::fs::read(path).map_err(|error| unreadable(error.kind().to_string()))?;
    let unusable = |reason: String| TrustError::NoCertificate {
        path: path.to_owned(),
        reason,
    };
    certificates(&pem).map_err(unusable)
}

/// The certificates of a PEM text, at least one. What the library says of it is not repeated: it quotes the text, which may
/// hold anything.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| "it is not PEM".to_owned())?;
    if certificates.is_empty() {
        return Err("no PEM block of a certificate".to_owned());
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_not_quoted() {
        let refused = |pem: &str| certificates(pem.as_bytes()).unwrap_err();
        assert_eq!(refused("-----BEGIN a canary\n"), "it is not PEM");
        assert_eq!(refused("a canary"), "no PEM block of a certificate");
    }
}
