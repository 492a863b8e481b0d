//! What the host itself can do: HTTP, SQL, TLS, Kubernetes, programs, updates of DNS and ACME for providers, and probes
//! for strategies.
//!
//! Each capability is a plain struct made from a binding: what may be reached, with which credentials, trusting whom.
//! None knows about plugins or journals; each call answers a [`Used`], which holds the reply and two lines for the
//! journal. Start at [`Capabilities::for_binding`]; `network.rs`, `trust.rs` and `credential.rs` are what they share.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::call::{CallError, CallKind, IdempotencyKey, Reply, RetryHint};
use crate::clock::{BoxFuture, Clock, Instant, millis};
use crate::name::InterfaceName;
use crate::runbook::types::{
    Binding, Cluster, Connection, Credential, CredentialScheme, NameServer, Origin, Program,
    SecretSource,
};

use credential::{Attachment, Redactor, SecretError, SecretProblem, SecretReader};
use digest::DigestKey;
use handout::Desk;
use kubernetes::cluster::Entry;
use kubernetes::kubeconfig::KubeconfigError;
use network::Resolve;
use trust::{SystemRoots, Trust, TrustError};

pub mod acme;
pub mod credential;
pub mod digest;
pub mod dns_update;
pub mod exec;
mod fault;
pub mod handout;
pub mod http;
pub mod kubernetes;
pub mod network;
pub mod probe;
pub mod sql;
pub mod tls;
pub mod trust;

pub(crate) use fault::Fault;
use fault::clip;

#[cfg(test)]
mod testbed;

/// The pages of the codes of this module and those below it.
pub const PAGES: &[(&str, &str)] = crate::explain::pages![
    "CP0001", "CP0002", "CP0003", "CP0004", "CP0005", "CP0006", "CP0007", "CP0008", "CP0009",
    "CP0010", "CP0011", "CP0012", "CP0013", "CP0014", "CP0015", "CP0016", "CP0017", "CP0018",
    "CP0019", "CP0020", "CP0021", "CP0022", "CP0023", "CP0024", "CP0025", "CP0026", "CP0027",
    "CP0028", "CP0029", "CP0030", "CP0031", "CP0032", "CP0033", "CP0034", "CP0035", "CP0036",
    "CP0037", "CP0038", "CP0039", "CP0040", "CP0041", "CP0042", "CP0050", "CP0051", "CP0052",
    "CP0053", "CP0054", "CP0055", "CP0056", "CP0057", "CP0058", "CP0059", "CP0060", "CP0061",
    "CP0062", "CP0063", "CP0064", "CP0065", "CP0066", "CP0067",
];

/// Longest text taken over from another side into an error or a result line, in bytes.
pub const MAX_FOREIGN_TEXT_BYTES: usize = 1024;

/// What came of one use of a capability.
#[derive(Debug, Clone, PartialEq)]
pub struct Used {
    /// What the caller is told, without secrets.
    pub reply: Reply,
    /// What was done, without payload: `http GET https://host/path`, `sql pz: 2 statements`.
    pub action: String,
    /// What came of it, without payload: `200`, `ok, 3 rows`, `denied CP0001: …`.
    pub result: String,
}

/// One use of a capability, ready to be served.
pub struct Asked<'a> {
    /// The function, in kebab-case.
    pub function: &'a str,
    /// Arguments by parameter name.
    pub args: Map<String, Value>,
    /// The identity of the provider's own call; the same for every attempt at it.
    pub key: &'a IdempotencyKey,
    /// When the caller stops waiting.
    pub deadline: Instant,
}

/// Something the host can do.
pub trait Capability: Send + Sync {
    /// The interface without version, for example `understudy:http/http`.
    fn interface(&self) -> &'static str;

    /// Serves one use. It ends by the deadline; dropping the future abandons it.
    fn call<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Used>;

    /// Whether such a use may change the other side; by the function's name unless the arguments tell more.
    fn changes(&self, function: &str, args: &Map<String, Value>) -> bool {
        let _ = args;
        CallKind::of(function).is_effect()
    }

    /// What the caller is told where the other side asks to come back after this time.
    ///
    /// # Errors
    /// Always: it is an error of the contract.
    fn busy(&self, after: Duration) -> Reply {
        Err(CallError::Unavailable(RetryHint {
            reason: "the other side asks for patience".to_owned(),
            after_ms: Some(millis(after)),
        }))
    }

    /// What the caller is told where something else answers in the place of the other side; `None` where the capability
    /// itself reads the answer and would say what is wrong with it.
    fn stranger(&self) -> Option<Reply> {
        None
    }
}

/// Version of the interfaces served here.
pub const VERSION: &str = "0.1.0";

/// What capabilities need of the machine. The binary makes one for all bindings.
#[derive(Clone)]
pub struct Facilities {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where secrets are read.
    pub secrets: Arc<dyn SecretReader>,
    /// Where names are looked up.
    pub resolver: Arc<dyn Resolve>,
    /// The system's roots.
    pub roots: Arc<SystemRoots>,
    /// What values that nobody may see are compared by.
    pub digests: Arc<DigestKey>,
}

/// A binding that cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum CapabilityError {
    /// A secret is not usable.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Trusted roots are not usable.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// A kubeconfig is not usable.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
}

impl CapabilityError {
    /// The code by which `understudy explain` tells more.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Secret(_) => "CP0007",
            Self::Trust(_) => "CP0008",
            Self::Kubeconfig(error) => error.problem.code(),
        }
    }
}

/// The capabilities of one binding.
pub struct Capabilities {
    served: BTreeMap<&'static str, Arc<dyn Capability>>,
    redactor: Redactor,
}

impl Capabilities {
    /// Reads the binding's secrets and roots and makes its capabilities. Nothing is connected to. Relative paths
    /// start at `folder`.
    ///
    /// # Errors
    /// [`CapabilityError`] for secrets and roots that are not usable.
    pub fn for_binding(
        binding: &Binding,
        folder: &Path,
        facilities: &Facilities,
    ) -> Result<Self, CapabilityError> {
        let trust = Trust::new(&facilities.roots, folder, &binding.trust)?;
        let mut secrets = SecretShelf::new(facilities.secrets.as_ref(), folder);
        let attachments = secrets.attachments(&binding.credentials)?;
        let logins = secrets.logins(&binding.connections)?;
        let slots = secrets.slots(&binding.credentials)?;
        let clusters = secrets.clusters(&binding.clusters, &trust)?;
        let programs = secrets.programs(&binding.programs)?;
        let name_servers = secrets.name_servers(&binding.name_servers)?;
        let redactor = secrets.redactor();
        let attachments = Arc::new(attachments);
        let desk = Desk::new(Arc::clone(&attachments), trust.clone(), facilities.clone());
        let http = http::Http::new(
            binding.http.clone(),
            attachments,
            trust.clone(),
            redactor.clone(),
            facilities.clone(),
        );
        let sql = sql::Sql::new(
            logins,
            slots,
            desk.clone(),
            redactor.clone(),
            facilities.clone(),
        );
        let kubernetes = kubernetes::Kubernetes::new(
            clusters,
            desk,
            binding.kubernetes.clone(),
            redactor.clone(),
            facilities.clone(),
        );
        let acme = acme::Acme::new(
            &binding.issuers,
            folder,
            &trust,
            redactor.clone(),
            facilities.clone(),
        );
        let tls = tls::Tls::new(&binding.tls, trust, redactor.clone(), facilities.clone());
        let exec = exec::Exec::new(programs, redactor.clone(), Arc::clone(&facilities.clock));
        let dns_update = dns_update::DnsUpdate::new(
            name_servers,
            binding.dns_update.clone(),
            redactor.clone(),
            facilities.clone(),
        );
        let all: [Arc<dyn Capability>; 7] = [
            Arc::new(http),
            Arc::new(sql),
            Arc::new(tls),
            Arc::new(kubernetes),
            Arc::new(exec),
            Arc::new(dns_update),
            Arc::new(acme),
        ];
        Ok(Self {
            served: all.into_iter().map(|one| (one.interface(), one)).collect(),
            redactor,
        })
    }

    /// The capability that serves an interface. A version counts as served where major and minor are those of
    /// [`VERSION`] (before 1.0 a minor version may break).
    #[must_use]
    pub fn get(&self, interface: &InterfaceName) -> Option<Arc<dyn Capability>> {
        let served = self.served.get(interface.unversioned())?;
        let version = interface
            .as_str()
            .split_once('@')
            .map(|(_, version)| version);
        let minor = |text: &str| text.rsplit_once('.').map(|(minor, _)| minor.to_owned());
        let same = version.is_none_or(|version| minor(version) == minor(VERSION));
        same.then(|| Arc::clone(served))
    }

    /// The same, each behind what `layer` makes of it.
    #[must_use]
    pub fn through(&self, layer: &dyn Fn(Arc<dyn Capability>) -> Arc<dyn Capability>) -> Self {
        let served = self.served.iter();
        Self {
            served: served
                .map(|(name, one)| (*name, layer(Arc::clone(one))))
                .collect(),
            redactor: self.redactor.clone(),
        }
    }

    /// The interfaces served, with versions.
    pub fn interfaces(&self) -> impl Iterator<Item = String> + '_ {
        self.served.keys().map(|name| format!("{name}@{VERSION}"))
    }

    /// Takes the binding's secrets out of texts; its [`Redactor::texts`] are what a journal must not hold.
    #[must_use]
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }
}

/// Secrets as they are read, with every form they can appear in.
pub(crate) struct SecretShelf<'a> {
    reader: &'a dyn SecretReader,
    folder: &'a Path,
    forms: Vec<String>,
}

impl<'a> SecretShelf<'a> {
    pub(crate) fn new(reader: &'a dyn SecretReader, folder: &'a Path) -> Self {
        Self {
            reader,
            folder,
            forms: Vec::new(),
        }
    }

    /// The credentials by slot, ready to be attached.
    pub(crate) fn attachments(
        &mut self,
        credentials: &BTreeMap<String, Credential>,
    ) -> Result<BTreeMap<String, Attachment>, SecretError> {
        let mut attachments = BTreeMap::new();
        for (slot, credential) in credentials {
            let unusable = |problem| unusable(slot, &credential.source, problem);
            let secret = self.read(&credential.source).map_err(unusable)?;
            self.forms
                .extend(credential::forms(&secret, Some(&credential.scheme)));
            let attachment = Attachment::new(credential, secret).map_err(unusable)?;
            attachments.insert(slot.clone(), attachment);
        }
        Ok(attachments)
    }

    /// The credentials by slot, for statements that have to carry one.
    fn slots(
        &mut self,
        credentials: &BTreeMap<String, Credential>,
    ) -> Result<BTreeMap<String, credential::Secret>, SecretError> {
        let mut slots = BTreeMap::new();
        for (slot, credential) in credentials {
            let secret = self
                .read(&credential.source)
                .map_err(|problem| unusable(slot, &credential.source, problem))?;
            self.forms.push(sql::mysql::password::literal(&secret));
            slots.insert(slot.clone(), secret);
        }
        Ok(slots)
    }

    fn logins(
        &mut self,
        connections: &BTreeMap<String, Connection>,
    ) -> Result<BTreeMap<String, sql::Login>, CapabilityError> {
        let mut logins = BTreeMap::new();
        for (name, connection) in connections {
            let password = self
                .read(&connection.password)
                .map_err(|problem| unusable(name, &connection.password, problem))?;
            self.forms.extend(credential::forms(&password, None));
            let roots = self.roots(name, connection)?;
            let login = sql::Login::new(connection.clone(), password, roots);
            logins.insert(name.clone(), login);
        }
        Ok(logins)
    }

    fn roots(&self, name: &str, connection: &Connection) -> Result<sql::Roots, CapabilityError> {
        let source = match &connection.trust {
            None => return Ok(sql::Roots::Binding),
            Some(Origin::Handout(handout)) => return Ok(sql::Roots::of(handout)),
            Some(Origin::Secret(source)) => source,
        };
        let pem = self.read(source);
        let pem = pem.map_err(|problem| unusable(name, source, problem))?;
        let trust = Trust::only(&pem).map_err(|reason| TrustError::Connection {
            connection: name.to_owned(),
            reason,
        })?;
        Ok(sql::Roots::Own(trust))
    }

    /// The programs with the secrets of their environments; relative folders start at the runbook's.
    fn programs(
        &mut self,
        programs: &BTreeMap<String, Program>,
    ) -> Result<BTreeMap<String, Arc<exec::Entry>>, SecretError> {
        let mut entries = BTreeMap::new();
        for (name, program) in programs {
            let mut secrets = Vec::new();
            for (variable, source) in &program.secrets {
                let secret = self
                    .read(source)
                    .map_err(|problem| unusable(variable, source, problem))?;
                self.hide(&secret, None);
                secrets.push((variable.clone(), secret));
            }
            let entry = exec::Entry::new(program.clone(), secrets, self.folder);
            entries.insert(name.clone(), Arc::new(entry));
        }
        Ok(entries)
    }

    /// The name servers with their keys.
    fn name_servers(
        &mut self,
        servers: &BTreeMap<String, NameServer>,
    ) -> Result<BTreeMap<String, dns_update::Server>, SecretError> {
        let mut ready = BTreeMap::new();
        for (name, server) in servers {
            let source = &server.key.secret;
            let unusable = |problem| unusable(name, source, problem);
            let secret = self.read(source).map_err(unusable)?;
            self.hide(&secret, None);
            let forms = dns_update::Server::forms(&secret).map_err(unusable)?;
            self.forms.extend(forms);
            let server = dns_update::Server::new(server.clone(), &secret).map_err(unusable)?;
            ready.insert(name.clone(), server);
        }
        Ok(ready)
    }

    fn clusters(
        &mut self,
        clusters: &BTreeMap<String, Cluster>,
        trust: &Trust,
    ) -> Result<BTreeMap<String, Entry>, KubeconfigError> {
        let mut read = BTreeMap::new();
        for (name, cluster) in clusters {
            read.insert(name.clone(), Entry::read(name, cluster, self, trust)?);
        }
        Ok(read)
    }

    /// Comes to know a secret that stood in another one.
    pub(crate) fn hide(&mut self, secret: &credential::Secret, scheme: Option<&CredentialScheme>) {
        self.forms.extend(credential::forms(secret, scheme));
    }

    /// Comes to know what a PEM file says: as it is, and without its line breaks.
    pub(crate) fn hide_pem(&mut self, pem: &str) {
        let body = pem.lines().filter(|line| !line.starts_with("-----"));
        self.forms.push(body.map(str::trim).collect());
        self.forms.push(pem.trim().to_owned());
    }

    pub(crate) fn read(&self, source: &SecretSource) -> Result<credential::Secret, SecretProblem> {
        match source {
            SecretSource::Environment(_) => self.reader.read(source),
            SecretSource::File(path) => self
                .reader
                .read(&SecretSource::File(self.folder.join(path))),
        }
    }

    /// Knows every form of the secrets read so far.
    pub(crate) fn redactor(&self) -> Redactor {
        Redactor::new(self.forms.iter().cloned())
    }

    /// Every form of the secrets read so far.
    pub(crate) fn into_forms(self) -> Vec<String> {
        self.forms
    }
}

fn unusable(slot: &str, source: &SecretSource, problem: SecretProblem) -> SecretError {
    SecretError {
        slot: slot.to_owned(),
        source_of: source.clone(),
        problem,
    }
}

/// Arguments by parameter name, as the function's own type.
pub(crate) fn arguments<T: serde::de::DeserializeOwned>(
    args: Map<String, Value>,
) -> Result<T, Fault> {
    serde_json::from_value(Value::Object(args))
        .map_err(|error| Fault::invalid("CP0009", format!("the arguments do not fit: {error}")))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::testbed::{CANARY_VARIABLE, binding, capabilities, facilities};
    use super::*;

    /// Every code that stands in the source below `folder`.
    fn codes(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                codes(&path, found);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                let quoted = text.split('"').filter(|part| part.len() == 6);
                found.extend(
                    quoted
                        .filter(|part| part.starts_with("CP0"))
                        .map(str::to_owned),
                );
            }
        }
    }

    #[test]
    fn every_code_has_a_page_and_every_page_a_use() {
        let mut found = Vec::new();
        codes(
            Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/capability")),
            &mut found,
        );
        let listed: Vec<&str> = PAGES.iter().map(|(code, _)| *code).collect();
        for code in &found {
            assert!(listed.contains(&code.as_str()), "{code} has no page");
        }
        for code in listed {
            // Once in the list itself.
            assert!(
                found.iter().filter(|one| *one == code).count() > 1,
                "{code} is never used"
            );
        }
    }

    #[tokio::test]
    async fn a_capability_is_found_by_its_interface_and_version() {
        let capabilities = capabilities(&binding(), Path::new("."));
        let get = |name: &str| {
            capabilities
                .get(&name.parse().unwrap())
                .map(|one| one.interface())
        };
        assert_eq!(
            get("understudy:http/http@0.1.0"),
            Some("understudy:http/http")
        );
        assert_eq!(get("understudy:sql/sql@0.1.7"), Some("understudy:sql/sql"));
        assert_eq!(get("understudy:tls/tls"), Some("understudy:tls/tls"));
        assert_eq!(get("understudy:tls/tls@0.2.0"), None);
        assert_eq!(get("understudy:files/files@0.1.0"), None);
        let importable = crate::plugin::component::CAPABILITIES;
        let mut importable = importable.map(|name| format!("{name}@{VERSION}"));
        importable.sort();
        assert_eq!(capabilities.interfaces().collect::<Vec<_>>(), importable);
    }

    #[test]
    fn a_binding_with_an_unusable_secret_or_root_is_refused_before_anything_runs() {
        let refused = |binding: &Binding| {
            let error = Capabilities::for_binding(binding, Path::new("/nowhere"), &facilities());
            let error = error.err().unwrap();
            (error.code(), error.to_string())
        };
        let mut untrusting = binding();
        untrusting.trust = vec!["ca.pem".into()];
        let (code, text) = refused(&untrusting);
        assert_eq!(code, "CP0008");
        assert!(text.contains("/nowhere/ca.pem"), "{text}");
        let mut unset = binding();
        let credential = |name: &str, scheme| Credential {
            source: SecretSource::Environment(name.to_owned()),
            scheme,
        };
        use crate::runbook::types::CredentialScheme::{Bearer, Header};
        unset.credentials = [("token".to_owned(), credential("UNSET", Bearer))].into();
        let (code, text) = refused(&unset);
        assert_eq!(code, "CP0007");
        assert!(
            text.contains("`token`") && text.contains("`UNSET`"),
            "{text}"
        );
        let host = Header {
            name: "host".to_owned(),
        };
        unset.credentials = [("token".to_owned(), credential(CANARY_VARIABLE, host))].into();
        assert!(refused(&unset).1.contains("`host`"));
    }
}
