//! TLS handshakes for providers: `understudy:tls/tls`, which certificate a server really serves.
//!
//! The handshake goes through whether or not the chain verifies, because a certificate that does not is exactly what
//! the caller wants to see; nothing is sent over the connection. The judgement is the same that a client would pass.
//! Start at [`Tls`].

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};
use x509_parser::time::ASN1Time;

use crate::call::hex;
use crate::clock::{BoxFuture, Instant, timeout_at};

use super::credential::Redactor;
use super::trust::Trust;
use super::{Asked, Capability, Facilities, Fault, Used, network};

/// Longest time to a finished handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Most DNS names of a certificate that are reported; public authorities issue at most 100 or a few hundred.
pub const MAX_NAMES: usize = 1000;

/// The capability.
pub struct Tls {
    /// `host:port`, lower case.
    authorities: Vec<String>,
    trust: Trust,
    redactor: Redactor,
    facilities: Facilities,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct InspectArgs {
    authority: String,
    server_name: String,
}

/// `tls.certificate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Certificate {
    dns_names: Vec<String>,
    issuer: String,
    not_before_ms: u64,
    not_after_ms: u64,
    verified: bool,
    problem: String,
    fingerprint: String,
}

impl Tls {
    pub(crate) fn new(
        authorities: &[String],
        trust: Trust,
        redactor: Redactor,
        facilities: Facilities,
    ) -> Self {
        Self {
            authorities: authorities
                .iter()
                .map(|authority| authority.to_ascii_lowercase())
                .collect(),
            trust,
            redactor,
            facilities,
        }
    }

    async fn serve(&self, asked: Asked<'_>) -> Used {
        if asked.function != "inspect" {
            let fault = Fault::no_function(self.interface(), asked.function);
            let action = format!("tls {}", asked.function);
            return Used::of(&action, Err(fault), &self.redactor);
        }
        let args: InspectArgs = match super::arguments(asked.args) {
            Ok(args) => args,
            Err(fault) => return Used::of("tls inspect", Err(fault), &self.redactor),
        };
        let action = format!("tls {} as {}", args.authority, args.server_name);
        let done = self.inspect(&args, asked.deadline).await;
        Used::of(&action, done, &self.redactor)
    }

    async fn inspect(
        &self,
        args: &InspectArgs,
        deadline: Instant,
    ) -> Result<(Value, String), Fault> {
        let authority = args.authority.to_ascii_lowercase();
        if !self.authorities.contains(&authority) {
            let grant = format!(r#"tls = ["{authority}"]"#);
            return Err(Fault::denied(
                "CP0006",
                format!("no grant for {authority}"),
                grant,
            ));
        }
        let server_name = ServerName::try_from(args.server_name.clone()).map_err(|_| {
            let text = format!(
                "`{}` is not a name a certificate can have",
                args.server_name
            );
            Fault::invalid("CP0009", text)
        })?;
        let clock = self.facilities.clock.as_ref();
        let end = clock.now().after(HANDSHAKE_TIMEOUT).min(deadline);
        let seen = timeout_at(clock, end, self.handshake(&authority, server_name))
            .await
            .unwrap_or_else(|| {
                let text = format!("{authority} is not reached: no handshake in time");
                Err(Fault::unavailable("CP0013", text))
            })?;
        let certificate = describe(seen, &authority)?;
        let line = if certificate.verified {
            "verified".to_owned()
        } else {
            format!("not verified: {}", certificate.problem)
        };
        let value = serde_json::to_value(certificate)
            .map_err(|error| Fault::other("CP0010", format!("no JSON of it: {error}")))?;
        Ok((value, line))
    }

    async fn handshake(
        &self,
        authority: &str,
        server_name: ServerName<'static>,
    ) -> Result<Seen, Fault> {
        let unreached = |reason: String| {
            Fault::unavailable("CP0013", format!("{authority} is not reached: {reason}"))
        };
        let (host, port) = authority
            .rsplit_once(':')
            .and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)))
            .ok_or_else(|| {
                let text = format!("`{authority}` is not `host:port`; correct the binding's `tls`");
                Fault::invalid("CP0009", text)
            })?;
        let addresses = network::addresses(self.facilities.resolver.as_ref(), host, port)
            .await
            .map_err(|problem| Fault::unavailable("CP0013", problem.to_string()))?;
        let stream = TcpStream::connect(addresses.as_slice())
            .await
            .map_err(|error| unreached(error.to_string()))?;
        let recorder = Arc::new(Recorder::new(self.trust.verifier().cloned()));
        let config = config(Arc::clone(&recorder)).map_err(unreached)?;
        let shaken = TlsConnector::from(Arc::new(config))
            .connect(server_name, stream)
            .await;
        match (recorder.take(), shaken) {
            (Some(seen), Ok(_)) => Ok(seen),
            // A server that wants a certificate of ours, or does not hold the key of its own, still showed one.
            (Some(seen), Err(error)) => Ok(Seen {
                problem: if seen.problem.is_empty() {
                    format!("the handshake failed: {error}")
                } else {
                    seen.problem
                },
                ..seen
            }),
            (None, Ok(_)) => Err(unreached("it showed no certificate".to_owned())),
            (None, Err(error)) => Err(unreached(error.to_string())),
        }
    }
}

impl Capability for Tls {
    fn interface(&self) -> &'static str {
        "understudy:tls/tls"
    }

    fn call<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Used> {
        Box::pin(self.serve(asked))
    }

    fn changes(&self, _: &str, _: &Map<String, Value>) -> bool {
        false
    }
}

/// A leaf as it was shown, with the judgement on its chain.
struct Seen {
    leaf: CertificateDer<'static>,
    /// Empty where the chain verifies.
    problem: String,
}

/// Judges a chain, writes the judgement down and lets the handshake go on. The proof that the server holds the
/// certificate's key is demanded all the same.
struct Recorder {
    verifier: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    seen: Mutex<Option<Seen>>,
}

impl Recorder {
    fn new(verifier: Option<Arc<WebPkiServerVerifier>>) -> Self {
        Self {
            verifier,
            provider: super::trust::provider(),
            seen: Mutex::new(None),
        }
    }

    fn take(&self) -> Option<Seen> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.take()
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}

fn config(recorder: Arc<Recorder>) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(&recorder.provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(recorder)
        .with_no_client_auth())
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let problem = match &self.verifier {
            None => "there is nobody to trust: no system roots, and `trust` is empty".to_owned(),
            Some(verifier) => verifier
                .verify_server_cert(leaf, intermediates, server_name, ocsp_response, now)
                .err()
                .map_or_else(String::new, |error| error.to_string()),
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = Some(Seen {
            leaf: leaf.clone().into_owned(),
            problem,
        });
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, leaf, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, leaf, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn describe(seen: Seen, authority: &str) -> Result<Certificate, Fault> {
    let leaf = Leaf::read(&seen.leaf).map_err(|reason| {
        Fault::other(
            "CP0018",
            format!("the certificate of {authority} cannot be read: {reason}"),
        )
    })?;
    Ok(Certificate {
        dns_names: leaf.dns_names,
        issuer: leaf.issuer,
        not_before_ms: leaf.not_before_ms,
        not_after_ms: leaf.not_after_ms,
        verified: seen.problem.is_empty(),
        problem: seen.problem,
        fingerprint: leaf.fingerprint,
    })
}

/// What a certificate says of itself.
pub(super) struct Leaf {
    /// Sorted.
    pub(super) dns_names: Vec<String>,
    pub(super) issuer: String,
    pub(super) not_before_ms: u64,
    pub(super) not_after_ms: u64,
    /// SHA-256, lower-case hexadecimal.
    pub(super) fingerprint: String,
}

impl Leaf {
    /// Reads a certificate.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn read(certificate: &CertificateDer<'_>) -> Result<Self, String> {
        let (_, parsed) =
            X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
        let names = parsed
            .subject_alternative_name()
            .map_err(|error| error.to_string())?;
        let mut dns_names: Vec<String> = names
            .iter()
            .flat_map(|names| &names.value.general_names)
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                _ => None,
            })
            .collect();
        dns_names.sort();
        dns_names.dedup();
        dns_names.truncate(MAX_NAMES);
        Ok(Self {
            dns_names,
            issuer: parsed.issuer().to_string(),
            not_before_ms: instant_ms(parsed.validity().not_before),
            not_after_ms: instant_ms(parsed.validity().not_after),
            fingerprint: hex(&Sha256::digest(certificate)),
        })
    }
}

/// Times before 1970 become 1970.
fn instant_ms(time: ASN1Time) -> u64 {
    u64::try_from(time.timestamp())
        .unwrap_or(0)
        .saturating_mul(1000)
}

#[cfg(test)]
mod tests;
