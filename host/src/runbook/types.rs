//! A runbook after the door: every name checked, every duration parsed, every reference resolved.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};
use url::Url;

use super::argument::Pattern;
use crate::name::{
    InterfaceName, ItemId, PluginDigest, PluginName, RoleName, SiteName, StepId, StrategyName,
};

/// How one service is recovered.
#[derive(Debug, Clone)]
pub struct Runbook {
    /// Name of the service, kebab-case.
    pub name: String,
    /// One line for people.
    pub summary: String,
    /// Where relative paths start: the folder of the file.
    pub folder: PathBuf,
    /// SHA-256 of the file's bytes, lower-case hexadecimal; read with overlays, of the digests of all files, one per
    /// line.
    pub digest: String,
    /// What the recovery must achieve.
    pub targets: Targets,
    /// Sites by name.
    pub sites: BTreeMap<SiteName, Site>,
    /// Plugins by the name used in this file.
    pub plugins: BTreeMap<PluginName, Plugin>,
    /// Strategies by the name used in step ids.
    pub strategies: BTreeMap<StrategyName, Strategy>,
    /// Which provider serves which contract at which site.
    pub bindings: Vec<Binding>,
    /// What strategies may do. Default is deny.
    pub grants: Vec<Grant>,
    /// Changes to the strategies' plans.
    pub steps: Vec<StepChange>,
    /// Named sequences of strategies: what `--procedure` takes.
    pub procedures: BTreeMap<String, Vec<StrategyName>>,
    /// What the `probe` contract walks and asks.
    pub probe: Probe,
}

/// Recovery objectives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Targets {
    /// Recovery time objective.
    pub rto: Duration,
    /// Recovery point objective.
    pub rpo: Duration,
}

/// A place the service can run in.
#[derive(Debug, Clone)]
pub struct Site {
    /// For people, for example `Primary zone`.
    pub title: String,
}

/// A component on disk.
#[derive(Debug, Clone)]
pub struct Plugin {
    /// The component, relative to the runbook's folder or absolute.
    pub path: PathBuf,
    /// From `understudy.lock`; `None` until locked.
    pub digest: Option<PluginDigest>,
}

/// A strategy plugin with its parameters.
#[derive(Debug, Clone)]
pub struct Strategy {
    /// Which plugin.
    pub plugin: PluginName,
    /// Its parameters, checked against the plugin's own schema when it is loaded.
    pub parameters: Map<String, Value>,
    /// Strategies that may take its place while a run is under way.
    pub alternatives: Vec<StrategyName>,
}

/// A contract served by a provider.
#[derive(Debug, Clone)]
pub struct Binding {
    /// The interface served.
    pub contract: InterfaceName,
    /// Sites it is served for; empty for every call that names no site, and for sites without a binding of their own.
    pub sites: Vec<SiteName>,
    /// The provider.
    pub plugin: PluginName,
    /// Its configuration, checked against the plugin's own schema when it is loaded.
    pub config: Map<String, Value>,
    /// Credentials by slot.
    pub credentials: BTreeMap<String, Credential>,
    /// SQL connections by name.
    pub connections: BTreeMap<String, Connection>,
    /// Kubernetes clusters by name.
    pub clusters: BTreeMap<String, Cluster>,
    /// What it may do in them.
    pub kubernetes: Vec<KubernetesGrant>,
    /// Programs it may run, by name.
    pub programs: BTreeMap<String, Program>,
    /// Authoritative name servers by name.
    pub name_servers: BTreeMap<String, NameServer>,
    /// What it may change in their zones.
    pub dns_update: Vec<DnsUpdateGrant>,
    /// Issuers of certificates by name.
    pub issuers: BTreeMap<String, Issuer>,
    /// Requests it may send.
    pub http: Vec<HttpGrant>,
    /// Authorities (`host:port`) it may shake hands with.
    pub tls: Vec<String>,
    /// Roots trusted besides the system's, PEM files.
    pub trust: Vec<PathBuf>,
}

/// A secret that the host attaches and no plugin sees.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Where the secret comes from.
    pub source: SecretSource,
    /// How it is attached.
    pub scheme: CredentialScheme,
}

/// Where a secret comes from. Never in the file itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable of the host.
    Environment(String),
    /// A file; one trailing newline is dropped.
    File(PathBuf),
}

/// How a credential is attached to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialScheme {
    /// `authorization: Bearer SECRET`.
    Bearer,
    /// `authorization: Basic …` with this user name.
    Basic {
        /// The user name.
        user: String,
    },
    /// The secret alone in this header.
    Header {
        /// Name of the header, lower case.
        name: String,
    },
    /// A signature of the request, AWS Signature Version 4: object storage of many makers takes it. The secret is the
    /// secret access key, and is not sent.
    AwsSigV4 {
        /// Which key signs.
        access_key_id: String,
        /// Region that the server says it is in, for example `eu-central-1`.
        region: String,
        /// Service that the server is, for example `s3`.
        service: String,
    },
}

/// Which server a connection speaks to, as far as the host has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// MySQL and MariaDB.
    Mysql,
    /// PostgreSQL.
    Postgres,
}

/// A named SQL connection. TLS is always on and always verified.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The server's protocol.
    pub engine: Engine,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Name the certificate is verified for, where it is not `host`.
    pub server_name: Option<String>,
    /// User name.
    pub user: String,
    /// Password.
    pub password: SecretSource,
    /// Database to select; empty for none (PostgreSQL: the one with the user's name).
    pub database: String,
    /// Where the roots come from that are believed for this connection; where `None` they are the binding's.
    pub trust: Option<Origin>,
}

/// A text that an API hands out: a kubeconfig, the certificate of an authority. The host asks for it when it is first
/// needed, never a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handout {
    /// Asked for with `GET`; always `https:`.
    pub url: Url,
    /// Slot of the binding's credential that is attached.
    pub credential: Option<String>,
    /// Where the text stands in an answer that is JSON (RFC 6901); the whole answer where `None`.
    pub pointer: Option<String>,
    /// Whether the API, and the server that a kubeconfig names, may be at private addresses.
    pub private: bool,
}

/// Where a text comes from that says how a server is reached or why it is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// This host: a variable or a file. Files that a kubeconfig names start at its folder.
    Secret(SecretSource),
    /// An API. What it says names no files of this host.
    Handout(Handout),
}

/// A named Kubernetes cluster.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// The kubeconfig.
    pub kubeconfig: Origin,
    /// The context in it; its current one where `None`.
    pub context: Option<String>,
}

/// A program that a provider may run, with what it may be given.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its file, absolute.
    pub program: PathBuf,
    /// Arguments before those of the provider.
    pub leading: Vec<String>,
    /// The forms that the provider's arguments may have.
    pub arguments: Vec<Vec<Pattern>>,
    /// Folder it starts in; the runbook's where `None`.
    pub directory: Option<PathBuf>,
    /// Its environment, but for secrets.
    pub environment: BTreeMap<String, String>,
    /// Variables of its environment that hold a secret.
    pub secrets: BTreeMap<String, SecretSource>,
    /// Folder of the files that it reads and writes.
    pub files: Option<PathBuf>,
    /// How long it may run.
    pub time_limit: Duration,
    /// Most bytes of captured output.
    pub max_output_bytes: usize,
    /// Most bytes of a file that it writes.
    pub max_file_bytes: u64,
}

/// One zone of an authoritative name server, with the key that signs what is said to it.
#[derive(Debug, Clone)]
pub struct NameServer {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Name of the zone, lower case, without the last dot.
    pub zone: String,
    /// The key.
    pub key: TsigKey,
}

/// A key that client and server share (TSIG, RFC 8945).
#[derive(Debug, Clone)]
pub struct TsigKey {
    /// Its name at the server, lower case, without the last dot.
    pub name: String,
    /// How it signs.
    pub algorithm: TsigAlgorithm,
    /// Where the key itself comes from, in Base64.
    pub secret: SecretSource,
}

/// How a key signs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum TsigAlgorithm {
    /// HMAC with SHA-256.
    HmacSha256,
    /// HMAC with SHA-384.
    HmacSha384,
    /// HMAC with SHA-512.
    HmacSha512,
}

/// What a provider may change in zones. Several grants add up.
#[derive(Debug, Clone)]
pub struct DnsUpdateGrant {
    /// Names of name servers.
    pub servers: Vec<String>,
    /// Names of records, each a whole name or one with a star for one label or more at one of its ends, lower case,
    /// without the last dot.
    pub names: Vec<String>,
    /// Upper-case types of records.
    pub types: Vec<String>,
}

/// An account at an ACME authority (RFC 8555), and where what it issues is kept.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// Address of the authority's directory, HTTPS.
    pub directory: Url,
    /// Mail address that the authority is given for the account.
    pub contact: Option<String>,
    /// File of the account, which the host makes where it is missing.
    pub account: PathBuf,
    /// Folder of certificates with their keys.
    pub folder: PathBuf,
}

/// What a provider may do to which objects of a cluster. Several grants add up.
#[derive(Debug, Clone)]
pub struct KubernetesGrant {
    /// Names of clusters.
    pub clusters: Vec<String>,
    /// What may be done.
    pub verbs: Vec<KubernetesVerb>,
    /// To which kinds.
    pub kinds: Vec<KindName>,
    /// In which namespaces; empty for objects that belong to none.
    pub namespaces: Vec<String>,
    /// To objects of which names; empty for any.
    pub names: Vec<String>,
    /// Which keys of a `Secret` are shown and may be written.
    pub keys: Vec<String>,
}

/// Something that can be done to objects.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum KubernetesVerb {
    /// Read one, or its scale.
    Get,
    /// Read those of a namespace.
    List,
    /// Wait until one changes.
    Watch,
    /// Server-side apply: create, and change what the field manager owns.
    Apply,
    /// Server-side apply that takes fields over which other field managers own.
    ForceApply,
    /// Merge and strategic patches.
    Patch,
    /// Merge patches of the status.
    PatchStatus,
    /// Delete one.
    Delete,
    /// Set the scale of one.
    Scale,
    /// Read the logs of a pod.
    Logs,
    /// Read the names of all keys of a `Secret` or `ConfigMap`, and digests by which their values are compared.
    Compare,
}

/// A kind with its group and version: `apps/v1/Deployment`, `v1/Secret`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindName {
    /// Group and version, as `apiVersion` has them: `apps/v1`, `v1`.
    pub api_version: String,
    /// The kind.
    pub kind: String,
}

impl fmt::Display for KindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.api_version, self.kind)
    }
}

impl fmt::Display for KubernetesVerb {
    /// As it stands in a runbook.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Apply => "apply",
            Self::ForceApply => "force-apply",
            Self::Patch => "patch",
            Self::PatchStatus => "patch-status",
            Self::Delete => "delete",
            Self::Scale => "scale",
            Self::Logs => "logs",
            Self::Compare => "compare",
        })
    }
}

/// A kind of request that a provider may send.
#[derive(Debug, Clone)]
pub struct HttpGrant {
    /// Upper-case methods.
    pub methods: Vec<String>,
    /// Scheme, authority and path prefix. A path matches if it is the prefix or continues it at a `/`.
    pub url: Url,
    /// Private, loopback and link-local addresses are allowed.
    pub private: bool,
}

/// Something a strategy may do.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The strategy it is for.
    pub strategy: StrategyName,
    /// `contract/function`, or `contract/*` for every function of the contract. The contract is an interface's short
    /// name or its full name without version.
    pub allow: String,
    /// Arguments and the values they may have; an argument that is not named may have any. A list argument is within
    /// when each of its elements is.
    pub only: BTreeMap<String, Vec<Value>>,
}

/// A change to the plan: of a step the strategy planned, or an added one.
#[derive(Debug, Clone)]
pub struct StepChange {
    /// The step in the merged plan.
    pub step: StepId,
    /// Take the step out; what needed it needs what it needed.
    pub drop: bool,
    /// Perform this step of this strategy instead (replace), or at all (add).
    pub run: Option<StepId>,
    /// Needs instead of the strategy's own.
    pub needs: Option<Vec<StepId>>,
    /// Steps that come to need this one as well: puts an added step in front of others.
    pub before: Vec<StepId>,
    /// Budget instead of the strategy's own.
    pub budget: Option<Duration>,
    /// Role instead of the strategy's own.
    pub role: Option<RoleName>,
    /// Go or no-go before the step starts.
    pub gate_before: Option<Gate>,
    /// Go or no-go after the step is done.
    pub gate_after: Option<Gate>,
    /// Items of source runbooks, added to the strategy's own.
    pub covers: Vec<ItemId>,
}

/// A human decision.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Gate {
    /// Who may answer.
    pub role: RoleName,
    /// How many different people must say go; one no-go is enough to stop.
    pub quorum: u32,
    /// How long to wait; `None` for as long as it takes.
    pub timeout_ms: Option<u64>,
    /// The answer when the time is up; `None` leaves the run waiting for a person (*stuck*).
    pub default: Option<bool>,
}

/// What the `probe` contract walks and asks.
#[derive(Debug, Clone, Default)]
pub struct Probe {
    /// Response header whose value is the name of the site that answered, lower case.
    pub zone_header: String,
    /// Where each site is reached directly.
    pub entries: BTreeMap<SiteName, SocketAddr>,
    /// Journeys by name.
    pub journeys: BTreeMap<String, Vec<JourneyStep>>,
    /// Resolvers by name.
    pub resolvers: BTreeMap<String, SocketAddr>,
    /// Resolver by which the `public` entry looks names up; the system's where `None`.
    pub public_resolver: Option<String>,
    /// Credentials by slot, for [`JourneyStep::credential`].
    pub credentials: BTreeMap<String, Credential>,
    /// Roots trusted besides the system's, PEM files.
    pub trust: Vec<PathBuf>,
}

/// One request of a journey.
#[derive(Debug, Clone)]
pub struct JourneyStep {
    /// Short name.
    pub name: String,
    /// Upper-case method.
    pub method: String,
    /// Address with the public name.
    pub url: Url,
    /// Headers.
    pub headers: BTreeMap<String, String>,
    /// Body; empty for none.
    pub body: String,
    /// Slot of [`Probe::credentials`].
    pub credential: Option<String>,
    /// Accepted statuses.
    pub expect_status: Vec<u16>,
    /// Text the body must hold; empty for none.
    pub expect_body: String,
}
