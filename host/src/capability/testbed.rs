//! What the tests of the capabilities share: a certificate authority, servers on loopback, and a canary.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::serve::Listener;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::call::IdempotencyKey;
use crate::clock::{Clock as _, Instant, SystemClock};
use crate::runbook::types::Binding;

use super::credential::FixedSecrets;
use super::digest::DigestKey;
use super::network::FixedResolver;
use super::trust::SystemRoots;
use super::{Asked, Capabilities, Facilities, Used};

/// The secret that must appear nowhere. The quote makes it look different in JSON, the slash in a query.
pub(super) const CANARY: &str = "canary/7f3a\"9c01";

/// The environment variable that holds it.
pub(super) const CANARY_VARIABLE: &str = "CANARY";

/// A name that leads to the loopback address.
pub(super) const HOST: &str = "api.example.test";

/// Another one.
pub(super) const OTHER_HOST: &str = "other.example.test";

pub(super) fn facilities() -> Facilities {
    let loopback = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
    Facilities {
        clock: Arc::new(SystemClock),
        secrets: Arc::new(FixedSecrets(BTreeMap::from([(
            CANARY_VARIABLE.to_owned(),
            CANARY.to_owned(),
        )]))),
        resolver: Arc::new(FixedResolver(BTreeMap::from([
            (HOST.to_owned(), loopback.clone()),
            (OTHER_HOST.to_owned(), loopback),
        ]))),
        roots: Arc::new(SystemRoots::none()),
        digests: Arc::new(DigestKey::draw().unwrap()),
    }
}

/// A binding that grants nothing.
pub(super) fn binding() -> Binding {
    Binding {
        contract: "understudy:dns/dns@0.1.0".parse().unwrap(),
        sites: Vec::new(),
        plugin: "provider".parse().unwrap(),
        config: Map::new(),
        credentials: BTreeMap::new(),
        connections: BTreeMap::new(),
        clusters: BTreeMap::new(),
        kubernetes: Vec::new(),
        programs: BTreeMap::new(),
        name_servers: BTreeMap::new(),
        dns_update: Vec::new(),
        issuers: BTreeMap::new(),
        http: Vec::new(),
        tls: Vec::new(),
        trust: Vec::new(),
    }
}

pub(super) fn capabilities(binding: &Binding, folder: &Path) -> Capabilities {
    Capabilities::for_binding(binding, folder, &facilities()).unwrap()
}

/// Far enough for a loaded machine; no test waits for it.
pub(super) fn soon() -> Instant {
    SystemClock.now().after(std::time::Duration::from_secs(60))
}

pub(super) async fn call(
    capabilities: &Capabilities,
    interface: &str,
    function: &str,
    args: Value,
    deadline: Instant,
) -> Used {
    let Value::Object(args) = args else {
        panic!("arguments are an object")
    };
    let capability = capabilities.get(&interface.parse().unwrap()).unwrap();
    let key = IdempotencyKey("run-1.step.0".to_owned());
    let asked = Asked {
        function,
        args,
        key: &key,
        deadline,
    };
    let used = capability.call(asked).await;
    // As JSON, because that is how it is written down; the debug form of a long body takes seconds.
    let everything = match &used.reply {
        Ok(value) => format!("{value} {} {}", used.action, used.result),
        Err(error) => format!("{error:?} {error} {} {}", used.action, used.result),
    };
    for form in capabilities.redactor().texts() {
        assert!(
            !everything.contains(form.as_str()),
            "a secret in {everything}"
        );
    }
    used
}

/// Issues certificates.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate with its key, as PEM.
pub(super) struct Identity {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Authority {
    pub(super) fn new() -> Self {
        Self::named("Example Root")
    }

    pub(super) fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    pub(super) fn issue(&self, names: &[&str]) -> Identity {
        self.sign(Self::params(names))
    }

    /// One whose time is over.
    pub(super) fn issue_expired(&self, names: &[&str]) -> Identity {
        let mut params = Self::params(names);
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
        self.sign(params)
    }

    fn params(names: &[&str]) -> CertificateParams {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        CertificateParams::new(names).unwrap()
    }

    fn sign(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        Identity {
            certificate: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Identity {
    /// SHA-256 of the certificate.
    pub(super) fn fingerprint(&self) -> String {
        let der = CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap();
        crate::call::hex(&Sha256::digest(&der))
    }
}

struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.tcp.accept().await.unwrap();
            // A client that does not trust us hangs up; the next one may.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

/// A server that ends with the test's runtime.
pub(super) async fn serve(app: Router) -> u16 {
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = tcp.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(tcp, app).await });
    port
}

/// The same with TLS.
pub(super) async fn serve_tls(app: Router, identity: &Identity) -> u16 {
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    serve_tls_on(tcp, app, identity)
}

/// The same on a listener that is there already.
pub(super) fn serve_tls_on(tcp: TcpListener, app: Router, identity: &Identity) -> u16 {
    let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(super::trust::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let port = tcp.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move { axum::serve(TlsListener { tcp, acceptor }, app).await });
    port
}
