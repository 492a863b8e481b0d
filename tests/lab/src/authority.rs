//! A certificate authority of the lab's own. Its root is a file that clients are told to trust; the system's trust
//! store is not touched.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// Issues server certificates.
pub struct Authority {
    folder: PathBuf,
    root: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM files.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Certificate {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Authority {
    /// Makes a new root and writes it to `folder`.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn create(folder: &Path) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "Lab root");
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let root = folder.join("ca.pem");
        write(&root, &params.self_signed(&key)?.pem())?;
        Ok(Self {
            folder: folder.to_owned(),
            root,
            issuer: Issuer::new(params, key),
        })
    }

    /// Where its files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The root to trust, a PEM file.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A server certificate for these names and addresses, stored under `file`.
    ///
    /// # Errors
    /// Where a name is not one, or the folder cannot be written.
    pub fn issue(&self, file: &str, names: &[&str]) -> Result<Certificate> {
        let subjects: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(subjects)
            .with_context(|| format!("cannot certify {names:?}"))?;
        params.distinguished_name.push(DnType::CommonName, file);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let issued = Certificate {
            certificate: self.folder.join(format!("{file}.pem")),
            key: self.folder.join(format!("{file}.key")),
        };
        write(&issued.certificate, &self.sign(params, &key)?)?;
        write(&issued.key, &key.serialize_pem())?;
        Ok(issued)
    }

    /// A certificate of this authority for `key`, PEM.
    ///
    /// # Errors
    /// Where the parameters cannot be signed.
    pub fn sign(&self, params: CertificateParams, key: &KeyPair) -> Result<String> {
        Ok(params.signed_by(key, &self.issuer)?.pem())
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
