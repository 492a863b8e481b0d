//! The world a scenario starts from: clients, resolvers, sites, databases, DNS, certificates and how long things take.
//!
//! Types only; [`crate::rehearsal::world`] brings them to life. Every length is a [`Range`] where it varies.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::cluster::{Namespace, Networks, Values};
use super::time::{Length, Range};
use crate::clock::Instant;
use crate::name::SiteName;

/// `[world]`: what the drill is about.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WorldStart {
    /// What `T` is on the virtual calendar (RFC 3339).
    #[serde(deserialize_with = "timestamp")]
    pub start: Instant,
    /// The site that serves before anything happens.
    pub primary: SiteName,
}

fn timestamp<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Instant, D::Error> {
    use serde::de::Error as _;
    let text = String::deserialize(deserializer)?;
    let timestamp: jiff::Timestamp = text.parse().map_err(D::Error::custom)?;
    u64::try_from(timestamp.as_millisecond())
        .map(Instant)
        .map_err(|_| D::Error::custom("it is before 1970"))
}

/// `[clients]`: the people and machines that use the service.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Clients {
    /// The public name they ask for.
    pub name: String,
    /// The application they talk to.
    pub app: String,
    /// Requests per second, averaged over a day.
    pub requests_per_second: f64,
    /// Acknowledged writes per second, averaged over a day.
    pub writes_per_second: f64,
    /// Factor on both rates for each hour of the day (UTC); empty for an even day.
    #[serde(default)]
    pub hourly: Vec<f64>,
    /// Median time of a response while the service is idle.
    #[serde(default = "median")]
    pub median: Length,
    /// How long a client waits before it gives up.
    #[serde(default = "client_timeout")]
    pub timeout: Length,
    /// Requests per second that one replica can take.
    #[serde(default = "capacity")]
    pub capacity_per_replica: f64,
}

fn median() -> Length {
    Length::milliseconds(80)
}

fn client_timeout() -> Length {
    Length::seconds(10)
}

fn capacity() -> f64 {
    50.0
}

/// `[resolvers]`: by which caches clients look names up. Shares of the clients' weight; the rest honours the TTL.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Resolvers {
    /// Caches that keep a record longer than its TTL allows.
    #[serde(default)]
    pub overstay: Overstay,
    /// Clients that keep an address for a fixed time, whatever the TTL says.
    #[serde(default)]
    pub pin: Pin,
    /// Resolvers that the `probe` contract asks, by name. They honour the TTL.
    #[serde(default = "panel")]
    pub panel: Vec<String>,
    /// How soon they follow the clients' name where that was measured, whatever the TTL says, by what the name is led to.
    #[serde(default)]
    pub follow: BTreeMap<String, Follow>,
}

/// How soon the panel follows a name that is led elsewhere.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Follow {
    /// More than half of the resolvers follow after this time.
    pub most: Length,
    /// The others after this one.
    pub all: Length,
}

fn panel() -> Vec<String> {
    let resolvers = |kind: &'static str| ["a", "b", "c", "d"].map(|name| format!("{kind}-{name}"));
    [resolvers("isp"), resolvers("public")].concat()
}

impl Default for Resolvers {
    fn default() -> Self {
        Self {
            overstay: Overstay::default(),
            pin: Pin::default(),
            panel: panel(),
            follow: BTreeMap::new(),
        }
    }
}

/// Caches that keep a record longer than its TTL allows.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Overstay {
    /// Share of the clients, 0 to 1.
    pub share: f64,
    /// They keep it for this many TTLs.
    pub factor: f64,
}

impl Default for Overstay {
    fn default() -> Self {
        Self {
            share: 0.08,
            factor: 3.0,
        }
    }
}

/// Clients that keep an address for a fixed time.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Pin {
    /// Share of the clients, 0 to 1.
    pub share: f64,
    /// For how long.
    #[serde(rename = "for")]
    pub length: Length,
}

impl Default for Pin {
    fn default() -> Self {
        Self {
            share: 0.02,
            length: Length::seconds(3_600),
        }
    }
}

/// `[sites.NAME]`: a site as it stands at the beginning.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SiteStart {
    /// Address that its load balancer has, or gets once something is exposed.
    pub address: String,
    /// Addresses that load balancers made here get, one after the other; where they run out, `address` again. A load
    /// balancer that is taken down and made anew has another address with most vendors.
    pub new_addresses: Vec<String>,
    /// The ingress controller is installed.
    pub controller: bool,
    /// Worker nodes of its cluster.
    pub nodes: u32,
    /// Namespaces of its cluster by name.
    pub namespaces: BTreeMap<String, Namespace>,
    /// Secrets of its cluster.
    pub secrets: Values,
    /// ConfigMaps of its cluster.
    pub config_maps: Values,
    /// Ranges of addresses of its cluster.
    pub networks: Networks,
    /// What its monitoring says of itself.
    pub monitoring: Monitoring,
    /// Applications by name.
    pub apps: BTreeMap<String, AppStart>,
    /// Databases by name; one that is not named does not exist here.
    pub databases: BTreeMap<String, DatabaseStart>,
    /// Certificates that are stored here.
    pub certificates: Vec<CertificateStart>,
}

/// What the monitoring of a site measures, and of what it would tell people.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Monitoring {
    /// What it measures, by name.
    pub jobs: BTreeMap<String, Targets>,
    /// Rules that tell people, by name: what keeps them from working, empty for nothing.
    pub alerts: BTreeMap<String, String>,
}

/// Targets of which measurements come through, and of which they do not.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Targets {
    /// They do.
    pub up: u32,
    /// They do not.
    pub down: u32,
}

/// An application at a site at the beginning.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AppStart {
    /// Replicas that run.
    pub replicas: u32,
    /// `host:port` of the database its configuration names.
    pub database_endpoint: String,
    /// Host names it answers for on the site's public address; empty for not exposed.
    pub hosts: Vec<String>,
}

/// A database at a site at the beginning.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DatabaseStart {
    /// `host:port` at which clients reach it.
    pub endpoint: String,
    /// What it is.
    #[serde(default)]
    pub role: StartRole,
}

/// What a database is at the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartRole {
    /// Clients write here.
    Primary,
    /// It replicates from the primary.
    Replica,
    /// There is a server and no data.
    #[default]
    Absent,
}

/// A certificate that is stored at a site at the beginning.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CertificateStart {
    /// Name under which it is stored.
    pub name: String,
    /// Names it is valid for.
    pub dns_names: Vec<String>,
    /// Its issuer.
    pub issuer: String,
    /// When it stops being valid, counted from `T`.
    pub expires_in: Length,
}

/// `[databases.NAME]`: one logical database.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Database {
    /// Size in GiB: what re-seeding and restoring take their time from.
    #[serde(default = "size")]
    pub size_gib: f64,
    /// Number of tables.
    #[serde(default = "tables")]
    pub tables: u32,
    /// Rows at `T`.
    #[serde(default = "rows")]
    pub rows: u64,
    /// Newest applied migration; empty where it keeps none.
    #[serde(default)]
    pub migration: String,
    /// Time from a commit at the source until a replica has received it.
    #[serde(default = "receive_lag")]
    pub receive_lag: Range,
    /// Time from the receipt until it is applied.
    #[serde(default = "apply_lag")]
    pub apply_lag: Range,
    /// How far behind receiving is at the beginning: at `T`, or at the first inject before it.
    #[serde(default)]
    pub receive_behind: Length,
    /// How far behind applying is then, besides.
    #[serde(default)]
    pub apply_behind: Length,
    /// A replica that is behind processes the past this many times faster than it came in; 1 never catches up.
    #[serde(default = "catch_up")]
    pub catch_up_factor: f64,
    /// Time a promotion takes once everything received is applied.
    #[serde(default = "promotion")]
    pub promotion: Range,
    /// Time to end writing sessions and to see a write refused.
    #[serde(default = "fence")]
    pub fence: Range,
    /// Time to attach a replica whose history is a part of its source's.
    #[serde(default = "attach")]
    pub attach: Range,
    /// Throughput of copying a whole database to another site, in MiB per second.
    #[serde(default = "throughput")]
    pub reseed_mib_per_second: f64,
    /// Throughput of restoring a recovery point, in MiB per second.
    #[serde(default = "throughput")]
    pub restore_mib_per_second: f64,
    /// Time a migration takes.
    #[serde(default = "migration_time")]
    pub migration_time: Range,
    /// What a server that comes back from the dead does with writes.
    #[serde(default)]
    pub returns: Returns,
    /// Recovery points; none where left out.
    pub backups: Option<Backups>,
}

fn size() -> f64 {
    8.0
}
fn tables() -> u32 {
    12
}
fn rows() -> u64 {
    2_000_000
}
fn receive_lag() -> Range {
    Range::milliseconds(200, 1_000)
}
fn apply_lag() -> Range {
    Range::milliseconds(50, 300)
}
fn catch_up() -> f64 {
    5.0
}
fn promotion() -> Range {
    Range::seconds(15, 60)
}
fn fence() -> Range {
    Range::seconds(1, 5)
}
fn attach() -> Range {
    Range::seconds(3, 10)
}
fn throughput() -> f64 {
    60.0
}
fn migration_time() -> Range {
    Range::seconds(2, 20)
}

/// What a server that comes back from the dead does with writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Returns {
    /// It refuses them until somebody allows them: its configuration file says so.
    #[default]
    ReadOnly,
    /// It takes them as it did before.
    Writable,
}

/// Recovery points on a schedule.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Backups {
    /// One is taken every so often.
    pub every: Length,
    /// Time until it can be restored at another site.
    pub copy: Range,
    /// Time until what is restored has come out of an archive, before it can be copied; zero where it is at hand.
    #[serde(default = "retrieval")]
    pub retrieval: Range,
    /// Whether one is taken when it is asked for. A vendor of managed databases may take them by itself alone.
    #[serde(default = "on_request")]
    pub on_request: bool,
    /// How many are kept.
    #[serde(default = "keep")]
    pub keep: u32,
    /// How far back any instant can be restored; zero for recovery points only.
    #[serde(default)]
    pub log_window: Length,
    /// Logs leave the site this often: what is younger dies with it.
    #[serde(default)]
    pub log_every: Length,
}

fn retrieval() -> Range {
    Range::fixed_seconds(0)
}

fn on_request() -> bool {
    true
}

fn keep() -> u32 {
    48
}

/// `[dns]`: the zone and its records.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Dns {
    /// Name of the zone.
    pub zone: String,
    /// Smallest TTL the vendor accepts, in seconds.
    #[serde(default = "min_ttl")]
    pub min_ttl_seconds: u32,
    /// The record sets.
    pub records: Vec<RecordStart>,
}

fn min_ttl() -> u32 {
    60
}

/// A record set at the beginning.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RecordStart {
    /// Fully qualified, without the last dot.
    pub name: String,
    /// `A`, `CNAME`, ….
    pub kind: String,
    /// Contents.
    pub values: Vec<String>,
    /// Time to live in seconds.
    pub ttl_seconds: u32,
}

/// `[issuers.NAME]`: who issues certificates.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Issuer {
    /// Whether the runbook can have it issue. Where not, certificates are installed by somebody else: providers look at
    /// what is served.
    #[serde(default = "issues")]
    pub issues: bool,
    /// Time from the order until the certificate is ready.
    #[serde(default = "issuance")]
    pub issuance: Range,
    /// How long a new certificate is valid.
    #[serde(default = "validity")]
    pub validity: Length,
    /// Certificates for the same names within `limit-window`; more are refused.
    #[serde(default = "limit")]
    pub limit: u32,
    /// Window of the limit.
    #[serde(default = "limit_window")]
    pub limit_window: Length,
}

fn issues() -> bool {
    true
}
fn issuance() -> Range {
    Range::seconds(40, 120)
}
fn validity() -> Length {
    Length::seconds(90 * 86_400)
}
fn limit() -> u32 {
    5
}
fn limit_window() -> Length {
    Length::seconds(7 * 86_400)
}

/// `[buckets.NAME]`: object storage for media.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Bucket {
    /// The site whose bucket it is, where others hold a copy; none where all sites share one bucket that lives
    /// outside of them.
    pub home: Option<SiteName>,
    /// Time until an object is at the other sites.
    #[serde(default)]
    pub lag: Length,
    /// Sites whose uploads it refuses.
    #[serde(default)]
    pub closed_to: Vec<SiteName>,
}

/// `[objectives.NAME]`: a service level and what it is measured by.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Objective {
    /// What is measured, over the last minute.
    pub measures: Measure,
    /// It is met at or below this value.
    pub at_most: f64,
}

/// What an objective measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Failed requests by all requests that reach the site.
    ErrorRatio,
    /// Nine of ten responses are faster, in milliseconds.
    LatencyP90,
    /// Ninety-nine of a hundred responses are faster, in milliseconds.
    LatencyP99,
    /// Requests that failed for want of a database, per second.
    DatabaseErrors,
}

/// `[durations]`: how long everything else takes.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Durations {
    /// Answer of a control plane.
    pub api: Range,
    /// Until a connection to a dead place is given up.
    pub connect_timeout: Range,
    /// New replicas of an application become ready.
    pub rollout: Range,
    /// Before that, where no replica of it has run at the site: its image is pulled.
    pub image_pull: Range,
    /// Replicas of an application are gone.
    pub scale_down: Range,
    /// All replicas are replaced, one after the other.
    pub restart: Range,
    /// A change of an application's settings, such as its maintenance, is in force at every replica.
    pub settings: Range,
    /// The ingress controller is installed and ready.
    pub controller: Range,
    /// A load balancer gets its address.
    pub load_balancer: Range,
    /// Everything runs again at a site that came back.
    pub boot: Range,
    /// One request of a probe journey.
    pub journey_step: Range,
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            api: Range::milliseconds(80, 400),
            connect_timeout: Range::seconds(5, 5),
            rollout: Range::seconds(40, 150),
            image_pull: Range::fixed_seconds(0),
            scale_down: Range::seconds(10, 40),
            restart: Range::seconds(45, 120),
            settings: Range::fixed_seconds(0),
            controller: Range::seconds(60, 150),
            load_balancer: Range::seconds(60, 180),
            boot: Range::seconds(60, 180),
            journey_step: Range::milliseconds(120, 700),
        }
    }
}
