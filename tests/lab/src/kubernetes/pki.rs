//! Certificates of one cluster: its own authority, its API's certificate, and one certificate per client, each in a
//! kubeconfig that holds everything it needs.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use serde_json::json;

use super::access;
use crate::authority::{Authority, Certificate};

/// The lab itself, and the servers of the control plane.
pub(super) const ADMIN: &str = "lab";
/// Whoever is in this group may do everything; the API itself says so.
const ADMINS: &str = "system:masters";

/// Files of a cluster's certificates.
#[derive(Debug)]
pub(super) struct Pki {
    folder: PathBuf,
    root: PathBuf,
    server: Certificate,
}

impl Pki {
    /// Makes everything, for an API at this address.
    pub(super) fn create(folder: &Path, zone: &str, server: SocketAddr) -> Result<Self> {
        let authority = Authority::create(folder)?;
        let pki = Self {
            folder: folder.to_owned(),
            root: authority.root().to_owned(),
            server: authority.issue("kube-apiserver", &[&server.ip().to_string()])?,
        };
        let accounts = KeyPair::generate()?;
        fs::write(pki.accounts_key(), accounts.serialize_pem())?;
        fs::write(pki.accounts_public_key(), accounts.public_key_pem())?;
        for (user, group) in [(ADMIN, ADMINS), (access::USER, access::GROUP)] {
            let (certificate, key) = authority.issue_client(user, group)?;
            let text = kubeconfig(
                zone,
                server,
                &fs::read_to_string(&pki.root)?,
                user,
                &certificate,
                &key,
            );
            fs::write(pki.kubeconfig(user), text)
                .with_context(|| format!("cannot write the kubeconfig of {user}"))?;
        }
        Ok(pki)
    }

    /// Where a user's kubeconfig is.
    pub(super) fn kubeconfig(&self, user: &str) -> PathBuf {
        self.folder.join(format!("kubeconfig-{user}.json"))
    }

    /// What the API is told of all this.
    pub(super) fn server_arguments(&self) -> Vec<String> {
        [
            ("client-ca-file", &self.root),
            ("tls-cert-file", &self.server.certificate),
            ("tls-private-key-file", &self.server.key),
            ("service-account-key-file", &self.accounts_public_key()),
            ("service-account-signing-key-file", &self.accounts_key()),
        ]
        .into_iter()
        .map(|(name, file)| format!("--{name}={}", file.display()))
        .collect()
    }

    fn accounts_key(&self) -> PathBuf {
        self.folder.join("accounts.key")
    }

    fn accounts_public_key(&self) -> PathBuf {
        self.folder.join("accounts.pub")
    }
}

/// On one line, so that it fits an environment variable.
fn kubeconfig(
    zone: &str,
    server: SocketAddr,
    root: &str,
    user: &str,
    certificate: &str,
    key: &str,
) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": zone,
            "cluster": { "server": format!("https://{server}"), "certificate-authority-data": BASE64.encode(root) },
        }],
        "users": [{
            "name": user,
            "user": { "client-certificate-data": BASE64.encode(certificate), "client-key-data": BASE64.encode(key) },
        }],
        "contexts": [{ "name": zone, "context": { "cluster": zone, "user": user } }],
        "current-context": zone,
    })
    .to_string()
}

impl Authority {
    /// A client's certificate and key, PEM: Kubernetes takes the common name for the user and organizations for groups.
    fn issue_client(&self, user: &str, group: &str) -> Result<(String, String)> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, user);
        params
            .distinguished_name
            .push(DnType::OrganizationName, group);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        Ok((self.sign(params, &key)?, key.serialize_pem()))
    }
}
