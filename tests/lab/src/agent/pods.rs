//! Pods: taken where they wait for a node, run, and ended where they are deleted. Their status says what is really so.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, TcpListener};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::containers::{Container, Host, port};
use super::{Config, log, node, timestamp};
use crate::clock::now_ms;
use crate::kubernetes::cluster::{Cluster, Kind, is_condition_true, text};
use crate::kubernetes::objects::{APP, SETTINGS};
use crate::wordpress::Files;

/// Last bytes of the pods' addresses.
const ADDRESSES: std::ops::Range<u8> = 100..200;

/// The pods of a node.
pub(super) struct Pods<'a> {
    config: &'a Config,
    cluster: &'a Cluster,
    /// By the pods' unique ids.
    running: BTreeMap<String, Pod>,
}

/// A pod that was taken.
struct Pod {
    container: Container,
    address: IpAddr,
    restarts: u64,
    started_at: String,
    /// Since when it is ready, or is not, in Kubernetes' form.
    changed_at: String,
    /// What its status said last.
    reported: Option<Value>,
}

impl<'a> Pods<'a> {
    pub(super) fn new(config: &'a Config, cluster: &'a Cluster) -> Self {
        Self {
            config,
            cluster,
            running: BTreeMap::new(),
        }
    }

    /// Whether the ingress controller is to run.
    pub(super) fn wants_controller(&self) -> bool {
        self.running
            .values()
            .any(|pod| matches!(pod.container, Container::Controller(_)))
    }

    /// Brings everything to what the cluster says; `serving` is whether the ingress controller serves.
    pub(super) async fn reconcile(&mut self, serving: bool) -> Result<()> {
        self.settings().await?;
        let host = Host {
            config: self.config,
            cluster: self.cluster,
            serving,
        };
        let node = node::name(self.config);
        let pods = self.cluster.list(Kind::POD, "").await?;
        let ids: BTreeSet<&str> = pods.iter().map(|pod| text(pod, "/metadata/uid")).collect();
        self.running.retain(|id, _| ids.contains(id.as_str()));
        for object in &pods {
            let (namespace, name) = (
                text(object, "/metadata/namespace"),
                text(object, "/metadata/name"),
            );
            let is_deleted = !text(object, "/metadata/deletionTimestamp").is_empty();
            match text(object, "/spec/nodeName") {
                "" if is_deleted => {}
                "" => self.cluster.bind(namespace, name, &node).await?,
                on if on != node => {}
                _ if is_deleted => {
                    // Dropping it ends it.
                    self.running.remove(text(object, "/metadata/uid"));
                    self.cluster.delete(Kind::POD, namespace, name).await?;
                }
                _ => self.taken(object)?.run(host, object).await?,
            }
        }
        Ok(())
    }

    /// What the application is told while it runs.
    async fn settings(&self) -> Result<()> {
        let settings = self.cluster.get(Kind::CONFIG_MAP, APP, SETTINGS).await?;
        let maintenance =
            settings.is_some_and(|settings| text(&settings, "/data/maintenance") == "true");
        if Files::at(&self.config.wordpress).set_maintenance(maintenance)? {
            log(&format!("maintenance: {maintenance}"));
        }
        Ok(())
    }

    /// The pod of an object, which is taken where it is new.
    fn taken(&mut self, object: &Value) -> Result<&mut Pod> {
        let id = text(object, "/metadata/uid");
        if !self.running.contains_key(id) {
            let now = timestamp(now_ms());
            let pod = Pod {
                container: Container::Waiting("ContainerCreating", String::new()),
                address: self.free_address(port(object))?,
                restarts: 0,
                started_at: now.clone(),
                changed_at: now,
                reported: None,
            };
            self.running.insert(id.to_owned(), pod);
        }
        self.running.get_mut(id).context("no such pod")
    }

    /// An address that none of our pods has and where nobody listens at this port.
    fn free_address(&self, port: u16) -> Result<IpAddr> {
        let IpAddr::V4(machine) = self.config.address else {
            bail!("{} is no IPv4 address", self.config.address);
        };
        let [a, b, c, _] = machine.octets();
        ADDRESSES
            .map(|last| IpAddr::V4(Ipv4Addr::new(a, b, c, last)))
            .find(|address| {
                let is_ours = self.running.values().any(|pod| pod.address == *address);
                !is_ours && TcpListener::bind((*address, port)).is_ok()
            })
            .context("no address is free")
    }
}

impl Pod {
    /// Looks after its container, and reports it where anything changed.
    async fn run(&mut self, host: Host<'_>, object: &Value) -> Result<()> {
        let was_ready = self.container.is_ready();
        let restarted = self
            .container
            .advance(host, object, self.address, self.restarts)
            .await;
        self.restarts += u64::from(restarted);
        let ready = self.container.is_ready();
        if ready != was_ready {
            self.changed_at = timestamp(now_ms());
        }
        let status = self.status(host.config, object);
        // The cluster says that no pod is ready of a node that was silent, and leaves it to the node to say otherwise.
        if self.reported.as_ref() != Some(&status) || is_condition_true(object, "Ready") != ready {
            let (namespace, name) = (
                text(object, "/metadata/namespace"),
                text(object, "/metadata/name"),
            );
            host.cluster
                .patch_status(Kind::POD, namespace, name, &status)
                .await?;
            self.reported = Some(status);
        }
        Ok(())
    }

    fn status(&self, config: &Config, object: &Value) -> Value {
        let ready = self.container.is_ready();
        let condition = |kind: &str, met: bool| {
            let status = if met { "True" } else { "False" };
            json!({ "type": kind, "status": status, "lastTransitionTime": self.changed_at })
        };
        let (phase, state, last) = self.container.state(&self.started_at);
        json!({
            "phase": phase,
            "hostIP": config.address,
            "podIP": self.address,
            "podIPs": [{ "ip": self.address }],
            "startTime": self.started_at,
            "conditions": [
                condition("Initialized", true),
                condition("Ready", ready),
                condition("ContainersReady", ready),
                condition("PodScheduled", true),
            ],
            "containerStatuses": [{
                "name": text(object, "/spec/containers/0/name"),
                "image": text(object, "/spec/containers/0/image"),
                "imageID": "",
                "ready": ready,
                "started": phase == "Running",
                "restartCount": self.restarts,
                "state": state,
                "lastState": last,
            }],
        })
    }
}
