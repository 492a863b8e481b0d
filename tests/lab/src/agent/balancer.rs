//! The load balancer: gives Services that ask for one the zone's public address, a moment after they ask.

use anyhow::Result;
use serde_json::json;

use super::Config;
use crate::clock::now_ms;
use crate::kubernetes::cluster::{Cluster, Kind, list, text};
use crate::kubernetes::objects::{CONTROLLER, CONTROLLER_NAMESPACE};

/// How long it takes to give an address, in milliseconds. Those of a cloud take minutes.
const GIVING_MS: u64 = 700;

/// The load balancer of a zone.
pub(super) struct Balancer<'a> {
    config: &'a Config,
    cluster: &'a Cluster,
    /// When the Service was first seen without an address.
    asked_ms: Option<u64>,
    given: bool,
}

impl<'a> Balancer<'a> {
    pub(super) fn new(config: &'a Config, cluster: &'a Cluster) -> Self {
        Self {
            config,
            cluster,
            asked_ms: None,
            given: false,
        }
    }

    /// Whether the ingress controller's Service has its address, so that anybody can reach the controller.
    pub(super) fn is_given(&self) -> bool {
        self.given
    }

    pub(super) async fn reconcile(&mut self) -> Result<()> {
        let service = self
            .cluster
            .get(Kind::SERVICE, CONTROLLER_NAMESPACE, CONTROLLER)
            .await?;
        let asks = service
            .as_ref()
            .is_some_and(|service| text(service, "/spec/type") == "LoadBalancer");
        let has = service
            .is_some_and(|service| !list(&service, "/status/loadBalancer/ingress").is_empty());
        self.given = asks && has;
        if !asks || has {
            self.asked_ms = None;
            return Ok(());
        }
        let now = now_ms();
        if now < *self.asked_ms.get_or_insert(now) + GIVING_MS {
            return Ok(());
        }
        let status = json!({ "loadBalancer": { "ingress": [{ "ip": self.config.public }] } });
        self.cluster
            .patch_status(Kind::SERVICE, CONTROLLER_NAMESPACE, CONTROLLER, &status)
            .await?;
        self.given = true;
        Ok(())
    }
}
