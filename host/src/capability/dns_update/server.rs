//! A name server of the binding, with its key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hickory_proto::rr::rdata::tsig::TsigAlgorithm as Algorithm;
use hickory_proto::rr::{Name, TSigner};

use crate::runbook::types::{NameServer, TsigAlgorithm};

use super::super::Fault;
use super::super::credential::{MIN_SECRET_BYTES, Secret, SecretProblem};

/// Seconds by which the clocks of both sides may be apart: as RFC 8945, section 10, recommends.
pub(super) const FUDGE_SECONDS: u16 = 300;

/// A name server with its key.
pub(crate) struct Server {
    place: NameServer,
    zone: Name,
    signer: TSigner,
}

impl Server {
    /// Takes the key's secret as `tsig-keygen` and `nsupdate` have it: Base64.
    ///
    /// # Errors
    /// [`SecretProblem::NotBase64`].
    pub(crate) fn new(place: NameServer, secret: &Secret) -> Result<Self, SecretProblem> {
        let key = decoded(secret)?;
        let algorithm = match place.key.algorithm {
            TsigAlgorithm::HmacSha256 => Algorithm::HmacSha256,
            TsigAlgorithm::HmacSha384 => Algorithm::HmacSha384,
            TsigAlgorithm::HmacSha512 => Algorithm::HmacSha512,
        };
        // Names were checked where the runbook was read.
        let name = |text: &str| absolute(text).ok_or(SecretProblem::NotBase64);
        let zone = name(&place.zone)?;
        let signer = TSigner::new(key, algorithm, name(&place.key.name)?, FUDGE_SECONDS)
            .map_err(|_| SecretProblem::NotBase64)?;
        Ok(Self {
            place,
            zone,
            signer,
        })
    }

    /// The key itself, in hexadecimal and, where it is one, as text: other forms of the secret.
    ///
    /// # Errors
    /// [`SecretProblem::NotBase64`].
    pub(crate) fn forms(secret: &Secret) -> Result<Vec<String>, SecretProblem> {
        let key = decoded(secret)?;
        let mut forms = vec![crate::call::hex(&key)];
        // A text too short to be told from others is none that could be kept out of records.
        let text = String::from_utf8(key).ok();
        forms.extend(text.filter(|text| text.len() >= MIN_SECRET_BYTES));
        Ok(forms)
    }

    /// `host:port`, for people.
    pub(super) fn authority(&self) -> String {
        let NameServer { host, port, .. } = &self.place;
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }

    pub(super) fn host(&self) -> &str {
        &self.place.host
    }

    pub(super) fn port(&self) -> u16 {
        self.place.port
    }

    /// Without the last dot.
    pub(super) fn zone(&self) -> &str {
        &self.place.zone
    }

    pub(super) fn zone_name(&self) -> &Name {
        &self.zone
    }

    pub(super) fn signer(&self) -> &TSigner {
        &self.signer
    }

    /// The name of the key, without the last dot.
    pub(super) fn key_name(&self) -> &str {
        &self.place.key.name
    }

    /// A name of the server's zone.
    ///
    /// # Errors
    /// `invalid`: it is none.
    pub(super) fn name(&self, text: &str) -> Result<Name, Fault> {
        absolute(text)
            .filter(|name| self.zone.zone_of(name))
            .ok_or_else(|| {
                let text = format!(
                    "`{text}` is not a name in zone {} of {}; name a server whose zone holds it",
                    self.zone(),
                    self.authority()
                );
                Fault::invalid("CP0009", text)
            })
    }
}

fn decoded(secret: &Secret) -> Result<Vec<u8>, SecretProblem> {
    let key = BASE64.decode(secret.expose().trim());
    key.map_err(|_| SecretProblem::NotBase64)
}

/// A name in lower case, taken as fully qualified.
fn absolute(text: &str) -> Option<Name> {
    let mut name = Name::from_ascii(text).ok()?.to_lowercase();
    name.set_fqdn(true);
    (!text.is_empty() && !text.contains('\\')).then_some(name)
}
