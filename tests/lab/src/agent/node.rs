//! The machine as the cluster sees it: one Node, which says every two seconds that it is well. Where it stops saying
//! so, the cluster's own controller calls it not ready, and its pods with it.

use anyhow::Result;
use serde_json::json;

use super::{Config, timestamp};
use crate::clock::now_ms;
use crate::kubernetes::cluster::{Cluster, Kind};

/// Time between two reports, in milliseconds.
const REPORT_MS: u64 = 2_000;

/// The Node of a zone.
pub(super) struct Node<'a> {
    config: &'a Config,
    cluster: &'a Cluster,
    /// When it reported last; zero for never.
    reported_ms: u64,
}

/// Name of a zone's Node.
pub(super) fn name(config: &Config) -> String {
    format!("{}-1", config.zone)
}

impl<'a> Node<'a> {
    pub(super) fn new(config: &'a Config, cluster: &'a Cluster) -> Self {
        Self {
            config,
            cluster,
            reported_ms: 0,
        }
    }

    /// Registers it where it is not, and reports where it is time to.
    pub(super) async fn reconcile(&mut self) -> Result<()> {
        let now = now_ms();
        if now < self.reported_ms + REPORT_MS {
            return Ok(());
        }
        let name = name(self.config);
        if self.reported_ms == 0 {
            let zone = &self.config.zone;
            let labels =
                json!({ "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone });
            // Pods have the machine's own address.
            let range = format!("{}/32", self.config.address);
            let node = json!({
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": { "name": name, "labels": labels },
                "spec": { "podCIDR": range, "podCIDRs": [range] },
            });
            self.cluster.apply(node).await?;
        }
        let at = timestamp(now);
        let condition = json!({
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "the node runs pods",
            "lastHeartbeatTime": at,
        });
        let room = json!({ "cpu": "2", "memory": "4Gi", "pods": "100" });
        let status = json!({
            "conditions": [condition],
            "addresses": [{ "type": "InternalIP", "address": self.config.address }],
            "daemonEndpoints": { "kubeletEndpoint": { "Port": self.config.kubelet.port() } },
            "capacity": room,
            "allocatable": room,
        });
        self.cluster
            .patch_status(Kind::NODE, "", &name, &status)
            .await?;
        self.reported_ms = now;
        Ok(())
    }
}
