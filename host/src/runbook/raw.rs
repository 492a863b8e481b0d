//! The TOML format as it is written, before anything is checked: the shape of every table, with docs that become the
//! JSON Schema for editors.
//!
//! What is not here: what the values mean ([`super::parse`]). Adding a key here adds it to the format.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::types::{KubernetesVerb, TsigAlgorithm};

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At<T>(pub(super) Spanned<T>);

impl<T> At<T> {
    pub(super) fn value(&self) -> &T {
        self.0.get_ref()
    }

    pub(super) fn span(&self) -> Range<usize> {
        self.0.span()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// Text with its place: what almost every value is.
pub(super) type Text = At<String>;

/// A recovery runbook for one service.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawRunbook {
    /// What this file is.
    pub(super) runbook: At<RawHeader>,
    /// What the recovery must achieve.
    pub(super) targets: At<RawTargets>,
    /// Places the service can run in, by name.
    #[schemars(default)]
    pub(super) sites: BTreeMap<Text, At<RawSite>>,
    /// Components, by the name this file uses for them.
    #[schemars(default)]
    pub(super) plugins: BTreeMap<Text, At<RawPlugin>>,
    /// Strategies, by the name used in step ids.
    #[schemars(default)]
    pub(super) strategies: BTreeMap<Text, At<RawStrategy>>,
    /// Which provider serves which contract at which site.
    #[schemars(default)]
    pub(super) bindings: Vec<At<RawBinding>>,
    /// What strategies may do. What is not granted is refused.
    #[schemars(default)]
    pub(super) grants: Vec<At<RawGrant>>,
    /// Changes to the strategies' plans.
    #[schemars(default)]
    pub(super) steps: Vec<At<RawStep>>,
    /// Named sequences of strategies.
    #[schemars(default)]
    pub(super) procedures: BTreeMap<Text, At<Vec<Text>>>,
    /// What the `probe` contract walks and asks.
    #[schemars(default)]
    pub(super) probe: Option<At<RawProbe>>,
}

/// What this file is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawHeader {
    /// Name of the service, in kebab-case.
    pub(super) name: Text,
    /// One line for people.
    pub(super) summary: String,
    /// Version of this format: 1.
    pub(super) format: At<i64>,
}

/// What the recovery must achieve.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawTargets {
    /// Recovery time objective, for example `30m`.
    pub(super) rto: Text,
    /// Recovery point objective, for example `5m`; `0s` where nothing may be lost.
    pub(super) rpo: Text,
}

/// A place the service can run in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawSite {
    /// For people, for example `Primary zone`.
    pub(super) title: String,
}

/// A component.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawPlugin {
    /// The component's file, starting at the folder of this file.
    pub(super) path: Text,
}

/// A strategy with its parameters.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawStrategy {
    /// A name from `plugins`.
    pub(super) plugin: Text,
    /// Checked against the plugin's own schema.
    #[serde(default)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub(super) parameters: toml::Table,
    /// Strategies that people may switch to where a step of this one fails or takes too long, such as `["restore"]`.
    #[serde(default)]
    #[schemars(default)]
    pub(super) alternatives: Vec<Text>,
}

/// A contract served by a provider.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawBinding {
    /// The interface with its version, for example `understudy:dns/dns@0.1.0`.
    pub(super) contract: Text,
    /// Sites it is served for. None: calls that name no site, and sites without a binding of their own.
    #[serde(default)]
    pub(super) sites: Vec<Text>,
    /// A name from `plugins`.
    pub(super) plugin: Text,
    /// Checked against the plugin's own schema.
    #[serde(default)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub(super) config: toml::Table,
    /// Secrets that the host attaches, by slot.
    #[serde(default)]
    pub(super) credentials: BTreeMap<Text, At<RawCredential>>,
    /// SQL connections, by name.
    #[serde(default)]
    pub(super) connections: BTreeMap<Text, At<RawConnection>>,
    /// Kubernetes clusters, by name.
    #[serde(default)]
    pub(super) clusters: BTreeMap<Text, At<RawCluster>>,
    /// What the provider may do in them.
    #[serde(default)]
    pub(super) kubernetes: Vec<At<RawKubernetesGrant>>,
    /// Programs that the provider may run, by name.
    #[serde(default)]
    pub(super) programs: BTreeMap<Text, At<RawProgram>>,
    /// Authoritative name servers, by name.
    #[serde(default)]
    pub(super) name_servers: BTreeMap<Text, At<RawNameServer>>,
    /// What the provider may change in their zones.
    #[serde(default)]
    pub(super) dns_update: Vec<At<RawDnsUpdateGrant>>,
    /// Issuers of certificates that the provider may order from, by name.
    #[serde(default)]
    pub(super) issuers: BTreeMap<Text, At<RawIssuer>>,
    /// Requests the provider may send.
    #[serde(default)]
    pub(super) http: Vec<RawHttpGrant>,
    /// `host:port` it may make TLS connections to.
    #[serde(default)]
    pub(super) tls: Vec<Text>,
    /// PEM files of roots that are trusted besides the system's.
    #[serde(default)]
    pub(super) trust: Vec<Text>,
}

/// A secret that the host attaches and no plugin sees. Exactly one of `env` and `file`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawCredential {
    /// Environment variable of the host that holds it.
    pub(super) env: Option<String>,
    /// File that holds it.
    pub(super) file: Option<Text>,
    /// How it is attached.
    pub(super) scheme: RawScheme,
    /// User name, for `basic`.
    pub(super) user: Option<String>,
    /// Name of the header, for `header`.
    pub(super) name: Option<Text>,
    /// Which key signs, for `aws-sigv4`; the secret is its secret access key.
    pub(super) access_key_id: Option<String>,
    /// Region that the server says it is in, for `aws-sigv4`.
    pub(super) region: Option<String>,
    /// Service that the server is, for `aws-sigv4`, for example `s3`.
    pub(super) service: Option<String>,
}

/// How a credential is attached to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawScheme {
    /// `authorization: Bearer SECRET`.
    Bearer,
    /// `authorization: Basic …`.
    Basic,
    /// Alone in a header.
    Header,
    /// As a signature of the request, AWS Signature Version 4.
    #[serde(rename = "aws-sigv4")]
    AwsSigV4,
}

/// What a connection's server is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawEngine {
    /// MySQL or MariaDB.
    #[default]
    Mysql,
    /// PostgreSQL.
    Postgres,
}

/// A named SQL connection. TLS is always on and always verified.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawConnection {
    /// What the server is; `mysql`, which is MariaDB as well, where left out.
    #[serde(default)]
    pub(super) engine: RawEngine,
    /// Host name or address.
    pub(super) host: Text,
    /// Port.
    pub(super) port: At<u16>,
    /// Name the certificate is verified for, where it is not `host`.
    pub(super) server_name: Option<Text>,
    /// User name.
    pub(super) user: String,
    /// Where the password comes from.
    pub(super) password: At<RawSecret>,
    /// Database to select; where left out none, at PostgreSQL the one with the user's name.
    #[serde(default)]
    pub(super) database: String,
    /// Where the roots come from that are believed for this connection, in place of those of the binding: PEM.
    pub(super) trust: Option<At<RawOrigin>>,
}

/// Where a secret comes from. Exactly one of the two.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawSecret {
    /// Environment variable of the host that holds it.
    pub(super) env: Option<String>,
    /// File that holds it.
    pub(super) file: Option<Text>,
}

/// Where a text comes from that says how a server is reached or why it is believed. Exactly one of `env`, `file` and `url`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawOrigin {
    /// Environment variable of the host that holds it.
    pub(super) env: Option<String>,
    /// File that holds it.
    pub(super) file: Option<Text>,
    /// An API that hands it out to whoever has a credential: an address `https://…`, with its query. The host asks with
    /// `GET` when it is first needed, and again once it does not fit any more; no plugin does.
    pub(super) url: Option<Text>,
    /// A name from `credentials`, for `url`; none where left out.
    pub(super) credential: Option<Text>,
    /// Where it stands in the answer of `url` if that is JSON, such as `/ca/certificate` (RFC 6901); the whole answer
    /// where left out. A text that is wholly Base64 is decoded.
    pub(super) pointer: Option<Text>,
    /// Whether the API at `url`, and the server that a kubeconfig from there names, may be at private addresses.
    #[serde(default)]
    pub(super) private: bool,
}

/// A named Kubernetes cluster. TLS is always on and always verified.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawCluster {
    /// Where the kubeconfig comes from: a file, a variable that holds its text, or an API that hands it out.
    pub(super) kubeconfig: At<RawOrigin>,
    /// The context in it; its current one where left out.
    pub(super) context: Option<String>,
}

/// A program that a provider may run. There is no shell, and no environment but what stands here.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawProgram {
    /// Its file, as a whole path.
    pub(super) program: Text,
    /// Arguments that the host puts first and the provider does not know, such as the server's address.
    #[serde(default)]
    pub(super) leading: Vec<String>,
    /// The forms that the provider's arguments may have. Each is a list with one pattern per argument: literal text with
    /// at most one value in braces, `{name}`, `{number}`, `{list}`, `{path}`, `{time}` or one of `{a|b}`; `...` behind the
    /// last one allows several. A value never begins with `-`.
    pub(super) arguments: Vec<Vec<Text>>,
    /// Folder it starts in; the runbook's where left out.
    pub(super) directory: Option<Text>,
    /// Its environment.
    #[serde(default)]
    pub(super) environment: BTreeMap<Text, String>,
    /// Variables of its environment that hold a secret.
    #[serde(default)]
    pub(super) secrets: BTreeMap<Text, At<RawSecret>>,
    /// Folder for files that it reads and writes by standard input and output; none where left out.
    pub(super) files: Option<Text>,
    /// How long it may run, for example `2h`; one minute where left out.
    pub(super) time_limit: Option<Text>,
    /// Most bytes of captured output; 1 MiB where left out, at most 8 MiB.
    pub(super) max_output_bytes: Option<At<u32>>,
    /// Most bytes of a file that it writes; 64 GiB where left out.
    pub(super) max_file_bytes: Option<u64>,
}

/// One zone of an authoritative name server. It is asked and updated by TCP; both sides sign.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawNameServer {
    /// Host name or address.
    pub(super) host: Text,
    /// Port; 53 where left out.
    pub(super) port: Option<At<u16>>,
    /// Name of the zone, for example `example.test`.
    pub(super) zone: Text,
    /// The key that both sides sign with.
    pub(super) key: At<RawTsigKey>,
}

/// A key that client and server share (TSIG).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawTsigKey {
    /// Its name at the server.
    pub(super) name: Text,
    /// How it signs.
    pub(super) algorithm: TsigAlgorithm,
    /// Where the key itself comes from, in Base64 as `tsig-keygen` writes it.
    pub(super) secret: At<RawSecret>,
}

/// What a provider may change in zones.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawDnsUpdateGrant {
    /// Names from `name-servers`.
    pub(super) servers: Vec<Text>,
    /// Names of records: whole ones such as `wp-active.example.test`, or with a star for one label or more at one end,
    /// such as `*.lab.example.test` and `_acme-challenge.*`.
    pub(super) names: Vec<Text>,
    /// Types of records, such as `CNAME`.
    pub(super) types: Vec<Text>,
}

/// An account at an ACME authority. The host makes and keeps every key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawIssuer {
    /// Address of the authority's directory, such as `https://acme.example.test/directory`. Its roots are those of `trust`.
    pub(super) directory: Text,
    /// Mail address that the authority is given for the account; none where left out.
    pub(super) contact: Option<Text>,
    /// File in which the account is kept; made where it is missing.
    pub(super) account: Text,
    /// Folder in which certificates and their keys are kept.
    pub(super) folder: Text,
}

/// What a provider may do to which objects of a cluster.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawKubernetesGrant {
    /// Names from `clusters`.
    pub(super) clusters: Vec<Text>,
    /// What may be done.
    pub(super) verbs: Vec<KubernetesVerb>,
    /// Kinds with group and version, for example `apps/v1/Deployment` and `v1/Secret`.
    pub(super) kinds: Vec<Text>,
    /// Namespaces. None: objects that belong to no namespace.
    #[serde(default)]
    pub(super) namespaces: Vec<Text>,
    /// Names of objects; any where left out.
    #[serde(default)]
    pub(super) names: Vec<Text>,
    /// Keys of a `v1/Secret` that are shown and may be written; none where left out.
    #[serde(default)]
    pub(super) keys: Vec<Text>,
}

/// A kind of request that a provider may send.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawHttpGrant {
    /// Methods, upper case.
    pub(super) methods: Vec<Text>,
    /// Scheme, authority and the beginning of the path.
    pub(super) url: Text,
    /// Private, loopback and link-local addresses are allowed.
    #[serde(default)]
    pub(super) private: bool,
}

/// Something a strategy may do.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawGrant {
    /// A name from `strategies`.
    pub(super) strategy: Text,
    /// `contract/function` or `contract/*`, for example `dns/ensure-record`.
    pub(super) allow: Text,
    /// Arguments with the values they may have; an argument that is not named may have any.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Vec<serde_json::Value>>")]
    pub(super) only: BTreeMap<String, Vec<toml::Value>>,
}

/// A change to the plan.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawStep {
    /// `strategy/step` in the merged plan: a planned one to change, or a new one to add with `run`.
    pub(super) step: Text,
    /// Take the step out; what needed it needs what it needed.
    #[serde(default)]
    pub(super) drop: bool,
    /// Perform this step, `strategy/step`, of any strategy of this file.
    pub(super) run: Option<Text>,
    /// Steps that must be done before, instead of the strategy's own choice.
    pub(super) needs: Option<Vec<Text>>,
    /// Steps that must wait for this one as well.
    #[serde(default)]
    pub(super) before: Vec<Text>,
    /// Expected upper bound, for example `2m`.
    pub(super) budget: Option<Text>,
    /// Who answers for it.
    pub(super) role: Option<Text>,
    /// Go or no-go before and after it.
    #[serde(default)]
    pub(super) gate: RawGates,
    /// Items of source runbooks that it performs, besides the strategy's own.
    #[serde(default)]
    pub(super) covers: Vec<Text>,
}

/// Human decisions around a step.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawGates {
    /// Before it starts.
    pub(super) before: Option<RawGate>,
    /// After it is done.
    pub(super) after: Option<RawGate>,
}

/// A human decision.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawGate {
    /// Who may answer.
    pub(super) role: Text,
    /// How many different people must say go; one where left out.
    pub(super) quorum: Option<At<u32>>,
    /// How long to wait, for example `10m`; as long as it takes where left out.
    pub(super) timeout: Option<Text>,
    /// The answer when the time is up; a person must answer where left out.
    pub(super) default: Option<At<RawAnswer>>,
}

/// An answer to a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawAnswer {
    /// Go on.
    Go,
    /// Stop.
    NoGo,
}

/// What the `probe` contract walks and asks.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawProbe {
    /// Response header whose value is the name of the site that answered.
    pub(super) zone_header: Text,
    /// Where each site is reached directly, `address:port` by site.
    #[serde(default)]
    pub(super) entries: BTreeMap<Text, Text>,
    /// Journeys of users, by name.
    #[serde(default)]
    pub(super) journeys: BTreeMap<Text, At<Vec<RawJourneyStep>>>,
    /// Resolvers that are asked, `address:port` by name.
    #[serde(default)]
    pub(super) resolvers: BTreeMap<Text, Text>,
    /// The resolver, by name, that the public entry uses; the system's where left out.
    pub(super) public_resolver: Option<Text>,
    /// Secrets that the host attaches, by slot.
    #[serde(default)]
    pub(super) credentials: BTreeMap<Text, At<RawCredential>>,
    /// PEM files of roots that are trusted besides the system's.
    #[serde(default)]
    pub(super) trust: Vec<Text>,
}

/// One request of a journey.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawJourneyStep {
    /// Short name.
    pub(super) name: String,
    /// Method, upper case; `GET` where left out.
    pub(super) method: Option<Text>,
    /// Address with the public name.
    pub(super) url: Text,
    /// Request headers.
    #[serde(default)]
    pub(super) headers: BTreeMap<Text, String>,
    /// Request body.
    #[serde(default)]
    pub(super) body: String,
    /// A slot of `probe.credentials`.
    pub(super) credential: Option<Text>,
    /// Accepted statuses; 200 where left out.
    pub(super) expect_status: Option<At<Vec<u16>>>,
    /// Text that the body must hold.
    #[serde(default)]
    pub(super) expect_body: String,
}
