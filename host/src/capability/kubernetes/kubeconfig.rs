//! From a kubeconfig to one API server and what is said to it: address, trust, client certificate, token.
//!
//! One from a file or a variable is read once, when a binding is prepared; one that an API hands out, when it is first
//! needed. Either way every secret in it is known before anything is sent. Two things that a kubeconfig can ask for are
//! refused: not to verify TLS, and to run a program that makes a credential. No environment is consulted, and no proxy. Start
//! at [`Access::read`] and [`Access::of`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use kube::config::Kubeconfig;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::capability::SecretShelf;
use crate::capability::credential::{Secret, SecretProblem};
use crate::capability::trust::{self, Trust};
use crate::runbook::types::{CredentialScheme, SecretSource};

/// A kubeconfig that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the kubeconfig of cluster `{cluster}` cannot be used: {problem}")]
pub struct KubeconfigError {
    /// Name of the cluster in the binding.
    pub cluster: String,
    /// What is wrong.
    pub problem: KubeconfigProblem,
}

/// What is wrong with a kubeconfig, in words that say nothing of the secrets in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KubeconfigProblem {
    /// The source cannot be read.
    #[error("{what}: {problem}")]
    Secret {
        /// Of what.
        what: String,
        /// What is wrong.
        problem: SecretProblem,
    },
    /// Not a kubeconfig.
    #[error("it is not a kubeconfig")]
    Shape,
    /// No context chosen, neither there nor here.
    #[error("it has no current context; name one in the binding's `clusters`")]
    NoContext,
    /// Something named in it is not there.
    #[error("it has no {kind} `{name}`")]
    Missing {
        /// `context`, `cluster` or `user`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The address of the API server is none.
    #[error("its server `{0}` is not an address `https://host[:port]`")]
    Server(String),
    /// Something in it cannot be used.
    #[error("its {what} cannot be used: {reason}")]
    Unusable {
        /// The key.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// TLS would not be verified.
    #[error("{0}; give the authority's certificate as `certificate-authority-data`")]
    Unverified(&'static str),
    /// A program would make the credential.
    #[error(
        "its user has `{0}`, a program that makes a credential, and this host runs none; use a token of a service account or a client certificate"
    )]
    Program(&'static str),
}

impl KubeconfigProblem {
    /// The code by which `understudy explain` tells more.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unverified(_) => "CP0023",
            Self::Program(_) => "CP0024",
            Self::Secret { .. }
            | Self::Shape
            | Self::NoContext
            | Self::Missing { .. }
            | Self::Server(_)
            | Self::Unusable { .. } => "CP0022",
        }
    }
}

/// How one API server is reached, and as whom.
pub(crate) struct Access {
    /// Scheme, host, port and the beginning of every path, without a `/` at the end. The host is the one that the
    /// certificate is verified for.
    pub(super) server: String,
    /// Name or address that is connected to.
    pub(super) host: String,
    /// The `host` header, where `server` does not say it.
    pub(super) authority: Option<HeaderValue>,
    /// Roots, and the client certificate.
    pub(super) tls: Arc<ClientConfig>,
    /// Credentials and impersonation.
    pub(super) headers: HeaderMap,
    /// Where an API named the address, and not the operator: whether it may be a private one.
    pub(super) judged: Option<bool>,
}

/// A user of a kubeconfig. `kube` keeps secrets in a type that only serialisation opens.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    username: Option<String>,
    password: Option<String>,
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    #[serde(rename = "as")]
    impersonate: Option<String>,
    as_uid: Option<String>,
    as_groups: Option<Vec<String>>,
    as_user_extra: Option<Value>,
    exec: Option<Value>,
    auth_provider: Option<Value>,
}

/// The part of a kubeconfig that a context chooses.
struct Chosen {
    cluster: kube::config::Cluster,
    user: User,
}

impl Access {
    /// Reads the kubeconfig of a cluster and every file that it names; `shelf` comes to know its secrets. Where it
    /// names no authority, the binding's `trust` counts.
    pub(crate) fn read(
        source: &SecretSource,
        context: Option<&str>,
        shelf: &mut SecretShelf<'_>,
        trust: &Trust,
    ) -> Result<Self, KubeconfigProblem> {
        let folder = match source {
            SecretSource::File(path) => path.parent().unwrap_or(Path::new("")).to_owned(),
            SecretSource::Environment(_) => PathBuf::new(),
        };
        let mut reading = Reading {
            folder: Some(folder),
            shelf,
        };
        let text = reading.secret("the kubeconfig", source)?;
        reading.access(&text, context, trust)
    }

    /// The same from a text that an API handed out, which names no files of this host. `private`: whether the server may
    /// be at a private address.
    pub(crate) fn of(
        text: &Secret,
        context: Option<&str>,
        private: bool,
        shelf: &mut SecretShelf<'_>,
        trust: &Trust,
    ) -> Result<Self, KubeconfigProblem> {
        let mut reading = Reading {
            folder: None,
            shelf,
        };
        let access = reading.access(text, context, trust)?;
        Ok(Self {
            judged: Some(private),
            ..access
        })
    }
}

/// Reads what belongs to one kubeconfig.
struct Reading<'r, 's> {
    /// Where files start that it names; none where it may name none.
    folder: Option<PathBuf>,
    shelf: &'r mut SecretShelf<'s>,
}

impl Reading<'_, '_> {
    fn access(
        &mut self,
        text: &Secret,
        context: Option<&str>,
        trust: &Trust,
    ) -> Result<Access, KubeconfigProblem> {
        let Chosen { cluster, user } = choose(text, context)?;
        if user.exec.is_some() {
            return Err(KubeconfigProblem::Program("exec"));
        }
        if user.auth_provider.is_some() {
            return Err(KubeconfigProblem::Program("auth-provider"));
        }
        if cluster.insecure_skip_tls_verify == Some(true) {
            return Err(KubeconfigProblem::Unverified(
                "it says `insecure-skip-tls-verify`, so anybody could answer for the API server",
            ));
        }
        if cluster.proxy_url.is_some() {
            return Err(unusable("proxy-url", "this host uses no proxy"));
        }
        let (server, host, authority) = address(&cluster)?;
        let headers = self.headers(&user)?;
        Ok(Access {
            server,
            host,
            authority,
            tls: Arc::new(self.tls(&cluster, &user, trust)?),
            headers,
            judged: None,
        })
    }

    fn secret(&self, what: &str, source: &SecretSource) -> Result<Secret, KubeconfigProblem> {
        self.shelf
            .read(source)
            .map_err(|problem| KubeconfigProblem::Secret {
                what: what.to_owned(),
                problem,
            })
    }

    fn file(&self, what: &'static str, path: &Path) -> Result<Secret, KubeconfigProblem> {
        let folder = self.folder.as_ref();
        let folder = folder.ok_or_else(|| unusable(what, "an API names no files of this host"))?;
        self.secret(what, &SecretSource::File(folder.join(path)))
    }

    /// What stands in the kubeconfig as Base64, or in the file that it names; inline comes first, as `kubectl` has it.
    fn pem(
        &self,
        what: &'static str,
        data: Option<&String>,
        path: Option<&Path>,
    ) -> Result<Option<String>, KubeconfigProblem> {
        match (data, path) {
            (Some(data), _) => BASE64
                .decode(data.trim())
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .map(Some)
                .ok_or_else(|| unusable(what, "its data are not PEM in Base64")),
            (None, Some(path)) => Ok(Some(self.file(what, path)?.expose().to_owned())),
            (None, None) => Ok(None),
        }
    }

    fn tls(
        &mut self,
        cluster: &kube::config::Cluster,
        user: &User,
        trust: &Trust,
    ) -> Result<ClientConfig, KubeconfigProblem> {
        const AUTHORITY: &str = "certificate-authority";
        let authority = self.pem(
            AUTHORITY,
            cluster.certificate_authority_data.as_ref(),
            cluster.certificate_authority.as_deref().map(Path::new),
        )?;
        let roots = match authority {
            Some(pem) => certificates(AUTHORITY, &pem)?,
            None => trust.roots().to_vec(),
        };
        let store = trust::store(&roots);
        let store = store.map_err(|error| unusable(AUTHORITY, &error.to_string()))?;
        let identity = self.identity(user)?;
        trust::client_config(Arc::new(store), identity)
            .map_err(|error| unusable("client-certificate", &error.to_string()))
    }

    fn identity(&mut self, user: &User) -> Result<Option<trust::Identity>, KubeconfigProblem> {
        const CERTIFICATE: &str = "client-certificate";
        const KEY: &str = "client-key";
        let data = user.client_certificate_data.as_ref();
        let chain = self.pem(CERTIFICATE, data, user.client_certificate.as_deref())?;
        let data = user.client_key_data.as_ref();
        let key = self.pem(KEY, data, user.client_key.as_deref())?;
        let (chain, key) = match (chain, key) {
            (Some(chain), Some(key)) => (chain, key),
            (None, None) => return Ok(None),
            (Some(_), None) => return Err(unusable(CERTIFICATE, "its key is missing")),
            (None, Some(_)) => return Err(unusable(KEY, "its certificate is missing")),
        };
        for pem in [&chain, &key] {
            self.shelf.hide_pem(pem);
        }
        Ok(Some(trust::Identity {
            chain: certificates(CERTIFICATE, &chain)?,
            // What the library says of a key is not repeated.
            key: PrivateKeyDer::from_pem_slice(key.as_bytes())
                .map_err(|_| unusable(KEY, "it is not a private key as PEM"))?,
        }))
    }

    fn headers(&mut self, user: &User) -> Result<HeaderMap, KubeconfigProblem> {
        let mut headers = HeaderMap::new();
        let token = match (&user.token, &user.token_file) {
            (Some(token), _) => Some(secret("token", token)?),
            (None, Some(path)) => Some(self.file("tokenFile", path)?),
            (None, None) => None,
        };
        let authorization = match (token, &user.username, &user.password) {
            (Some(token), _, _) => {
                self.shelf.hide(&token, None);
                Some(format!("Bearer {}", token.expose()))
            }
            (None, Some(name), Some(password)) => {
                let password = secret("password", password)?;
                let scheme = CredentialScheme::Basic { user: name.clone() };
                self.shelf.hide(&password, Some(&scheme));
                let pair = BASE64.encode(format!("{name}:{}", password.expose()));
                Some(format!("Basic {pair}"))
            }
            (None, _, _) => None,
        };
        if let Some(text) = authorization {
            let mut value = HeaderValue::from_str(&text)
                .map_err(|_| unusable("token", "it cannot stand in a header"))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        impersonation(user, &mut headers)?;
        Ok(headers)
    }
}

fn unusable(what: &'static str, reason: &str) -> KubeconfigProblem {
    KubeconfigProblem::Unusable {
        what,
        reason: reason.to_owned(),
    }
}

fn secret(what: &str, text: &str) -> Result<Secret, KubeconfigProblem> {
    Secret::new(text).map_err(|problem| KubeconfigProblem::Secret {
        what: what.to_owned(),
        problem,
    })
}

/// What the context says. An error of the reader is not repeated: it quotes what it could not read.
fn choose(text: &Secret, context: Option<&str>) -> Result<Chosen, KubeconfigProblem> {
    let config = Kubeconfig::from_yaml(text.expose()).map_err(|_| KubeconfigProblem::Shape)?;
    let name = context
        .or(config.current_context.as_deref())
        .filter(|name| !name.is_empty())
        .ok_or(KubeconfigProblem::NoContext)?;
    let missing = |kind: &'static str, name: &str| KubeconfigProblem::Missing {
        kind,
        name: name.to_owned(),
    };
    let context = config
        .contexts
        .iter()
        .find(|one| one.name == name)
        .and_then(|one| one.context.clone())
        .ok_or_else(|| missing("context", name))?;
    let cluster = config
        .clusters
        .iter()
        .find(|one| one.name == context.cluster)
        .and_then(|one| one.cluster.clone())
        .ok_or_else(|| missing("cluster", &context.cluster))?;
    let user = match &context.user {
        None => User::default(),
        Some(name) => config
            .auth_infos
            .iter()
            .find(|one| &one.name == name)
            .map(|one| reread::<Option<User>>(&one.auth_info))
            .ok_or_else(|| missing("user", name))??
            .unwrap_or_default(),
    };
    Ok(Chosen { cluster, user })
}

fn reread<T: DeserializeOwned>(value: &impl serde::Serialize) -> Result<T, KubeconfigProblem> {
    serde_json::to_value(value)
        .and_then(serde_json::from_value)
        .map_err(|_| KubeconfigProblem::Shape)
}

/// Where requests go, what is connected to, and the `host` header where those two differ.
fn address(
    cluster: &kube::config::Cluster,
) -> Result<(String, String, Option<HeaderValue>), KubeconfigProblem> {
    let text = cluster.server.as_deref().unwrap_or("");
    let wrong = || KubeconfigProblem::Server(text.to_owned());
    // What an address with a password in it says is not repeated.
    let mut url = Url::parse(text).map_err(|_| KubeconfigProblem::Server("…".to_owned()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(KubeconfigProblem::Server("…".to_owned()));
    }
    if url.scheme() == "http" {
        return Err(KubeconfigProblem::Unverified(
            "its server is an `http:` address, so anybody could answer for the API server",
        ));
    }
    if url.scheme() != "https" || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong());
    }
    let host = url.host_str().ok_or_else(wrong)?.to_owned();
    let authority = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.clone(),
    };
    let named = cluster.tls_server_name.as_deref();
    let named = named.filter(|name| !name.is_empty() && *name != host);
    if let Some(name) = named {
        url.set_host(Some(name))
            .map_err(|_| unusable("tls-server-name", "it is not the name of a host"))?;
    }
    let header = named.and_then(|_| HeaderValue::from_str(&authority).ok());
    Ok((
        url.as_str().trim_end_matches('/').to_owned(),
        host.trim_matches(['[', ']']).to_owned(),
        header,
    ))
}

fn certificates(
    what: &'static str,
    pem: &str,
) -> Result<Vec<CertificateDer<'static>>, KubeconfigProblem> {
    trust::certificates(pem.as_bytes()).map_err(|reason| unusable(what, &reason))
}

/// Headers for acting as somebody else, as `kubectl` sends them.
fn impersonation(user: &User, headers: &mut HeaderMap) -> Result<(), KubeconfigProblem> {
    if user.as_user_extra.is_some() {
        return Err(unusable("as-user-extra", "this host does not send it"));
    }
    let groups = user.as_groups.iter().flatten();
    let named = [
        ("impersonate-user", &user.impersonate),
        ("impersonate-uid", &user.as_uid),
    ]
    .into_iter()
    .filter_map(|(header, text)| Some((header, text.as_ref()?)))
    .chain(groups.map(|group| ("impersonate-group", group)));
    for (header, text) in named {
        let value = HeaderValue::from_str(text)
            .map_err(|_| unusable("as", "it cannot stand in a header"))?;
        headers.append(HeaderName::from_static(header), value);
    }
    Ok(())
}
