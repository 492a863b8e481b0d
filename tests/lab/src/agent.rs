//! The node of a zone: one process, `understudy-lab agent FILE`, that does what a kubelet, a scheduler, a load
//! balancer, ingress-nginx and cert-manager do there, as far as the lab has use for it.
//!
//! It knows the cluster's objects and nothing else of the lab: what it does follows from what is in the cluster, and
//! what it has done is in their status. Like what it plays it compares what is with what should be at every change
//! and twice a second, so an event that is missed costs half a second.
//!
//! | plays | in | does |
//! |---|---|---|
//! | kubelet, scheduler | [`node`], [`pods`], [`containers`], [`logs`] | takes pods, runs WordPress, says when it is ready |
//! | load balancer | [`balancer`] | gives the controller's Service its address |
//! | ingress-nginx | [`ingress`] | serves the Ingresses' hosts with their certificates |
//! | cert-manager | [`certificates`], [`issuer`] | has certificates issued, and renewed where they are missing |
//! | storage that replicates | [`mirror`] | copies new media to the other zone |

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, pin_mut};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::authority::Certificate;
use crate::kubernetes::cluster::{Cluster, Kind};
use crate::object_storage;
use crate::programs::ZonePrograms;
use crate::wordpress::Files;

pub mod balancer;
pub mod certificates;
pub mod containers;
pub mod handle;
pub mod ingress;
pub mod issuer;
pub mod logs;
pub mod mirror;
pub mod node;
pub mod pods;

pub use handle::Agent;

/// How often everything is compared without an event.
const PERIOD: Duration = Duration::from_millis(500);
/// Longest time for one comparison of the machine: an API that does not answer holds nothing up for longer.
const MACHINE_LIMIT: Duration = Duration::from_secs(10);
/// Longest time for one comparison of the certificates: an authority takes its time for each.
const CERTIFICATES_LIMIT: Duration = Duration::from_secs(120);
/// Pause after a watch has failed.
const WATCH_PAUSE: Duration = Duration::from_millis(500);

/// What the agent is told, by a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Config {
    /// Name of the zone, which its answers carry in `x-zone`.
    pub zone: String,
    /// Kubeconfig of the zone's cluster.
    pub kubeconfig: PathBuf,
    /// Address of the machine.
    pub address: IpAddr,
    /// Where the API asks for logs.
    pub kubelet: std::net::SocketAddr,
    /// Address that the load balancer gives.
    pub public: IpAddr,
    /// Port of the load balancer, the same at every zone.
    pub public_port: u16,
    /// Folder of its own.
    pub folder: PathBuf,
    /// Folder of the zone's WordPress.
    pub wordpress: PathBuf,
    /// Folder of the other zone's WordPress, whose media follow this zone's.
    pub other_wordpress: PathBuf,
    /// What the ingress controller shows for names that it has no certificate for.
    pub fallback: Certificate,
    /// File that is locked while a name is being proved, since both zones prove the same one.
    pub proof_lock: PathBuf,
    /// Where the name server answers DNS.
    pub dns: std::net::SocketAddr,
    /// The zone's object storage.
    pub storage: object_storage::Config,
    /// Starts a child that dies with us.
    pub setpriv: PathBuf,
    /// What it runs.
    pub programs: ZonePrograms,
}

/// Runs the agent until it is told to end.
///
/// # Errors
/// Where its file or its kubeconfig cannot be read.
pub async fn run(file: &Path) -> Result<()> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let config: Arc<Config> = Arc::new(serde_json::from_str(&text)?);
    let cluster = Cluster::connect(&config.kubeconfig).await?;
    let mut end = signal(SignalKind::terminate())?;
    // What runs pods is dropped at the end of this function, and the pods with it.
    tokio::select! {
        _ = end.recv() => {}
        () = machine(&config, &cluster) => {}
        () = authorities(&config, &cluster) => {}
        () = mirror::run(&config) => {}
        ended = storage(&config) => ended?,
        () = logs::run(&config) => {}
    }
    Ok(())
}

/// Object storage over what WordPress has of uploads.
async fn storage(config: &Config) -> Result<()> {
    let uploads = Files::at(&config.wordpress).uploads();
    object_storage::serve(&config.storage, &uploads).await
}

/// Node, pods, load balancer and ingress: one after the other, since each looks at what the one before did.
async fn machine(config: &Config, cluster: &Cluster) {
    let kinds = [
        Kind::POD,
        Kind::SECRET,
        Kind::CONFIG_MAP,
        Kind::INGRESS,
        Kind::SERVICE,
    ];
    let mut node = node::Node::new(config, cluster);
    let mut pods = pods::Pods::new(config, cluster);
    let mut balancer = balancer::Balancer::new(config, cluster);
    let mut ingress = ingress::Controller::new(config, cluster);
    let round = async || -> Result<()> {
        node.reconcile().await?;
        pods.reconcile(ingress.is_serving()).await?;
        balancer.reconcile().await?;
        ingress
            .reconcile(pods.wants_controller() && balancer.is_given())
            .await
    };
    repeat("machine", MACHINE_LIMIT, cluster, &kinds, round).await;
}

/// Issuers and certificates, which take their time.
async fn authorities(config: &Config, cluster: &Cluster) {
    let kinds = [Kind::CERTIFICATE, Kind::CLUSTER_ISSUER, Kind::SECRET];
    let mut certificates = certificates::Certificates::new(config, cluster);
    let round = async || certificates.reconcile().await;
    repeat("certificates", CERTIFICATES_LIMIT, cluster, &kinds, round).await;
}

/// Compares at every event and every period, for ever. A failure is logged once for as long as it stays the same.
async fn repeat(
    name: &str,
    limit: Duration,
    cluster: &Cluster,
    kinds: &[Kind],
    mut round: impl AsyncFnMut() -> Result<()>,
) {
    let changed = Notify::new();
    let watching =
        futures_util::future::join_all(kinds.iter().map(|kind| watch(cluster, *kind, &changed)));
    let comparing = async {
        let mut period = interval(PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = String::new();
        loop {
            tokio::select! {
                _ = period.tick() => {}
                () = changed.notified() => {}
            }
            let failure = match timeout(limit, round()).await {
                Ok(Ok(())) => String::new(),
                Ok(Err(error)) => format!("{error:#}"),
                Err(_) => format!("not done after {limit:?}"),
            };
            if failure != last && !failure.is_empty() {
                log(&format!("{name}: {failure}"));
            }
            last = failure;
        }
    };
    tokio::select! {
        _ = watching => {}
        () = comparing => {}
    }
}

/// Tells of every change of a kind, for ever.
async fn watch(cluster: &Cluster, kind: Kind, changed: &Notify) {
    loop {
        if let Ok(events) = cluster.changes(kind).await {
            changed.notify_one();
            pin_mut!(events);
            while let Some(Ok(())) = events.next().await {
                changed.notify_one();
            }
        } else {
            sleep(WATCH_PAUSE).await;
        }
    }
}

/// One line of the agent's log.
fn log(line: &str) {
    use std::io::Write as _;
    // Nobody is left to be told where the log is closed.
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// A time as Kubernetes writes it.
fn timestamp(at_ms: u64) -> String {
    let seconds = i64::try_from(at_ms / 1000).unwrap_or_default();
    k8s_openapi::jiff::Timestamp::from_second(seconds)
        .unwrap_or_default()
        .to_string()
}
