//! The only container of a pod: started with what its references are at that moment, looked at, and started again where
//! it ends.
//!
//! Two images are known: WordPress, of which every pod is a [`Server`] of its own, and the ingress controller, of which
//! all pods are the one nginx of [`ingress`](super::ingress). Any other is an image that cannot be pulled.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::{Config, ingress, logs};
use crate::clock::now_ms;
use crate::kubernetes::cluster::{Cluster, Kind, list, text};
use crate::kubernetes::objects::{CONTROLLER_IMAGE, WORDPRESS_IMAGE};
use crate::wordpress::Files;
use crate::wordpress::server::{Server, Setup};

/// Readiness checks that fail in a row until a pod is not ready any more, as a probe of Kubernetes' has it by default.
const FAILURES: u32 = 3;
/// Pause before a container that ended is started again, in milliseconds, times the number of its restarts.
const BACK_OFF_MS: u64 = 1_000;
/// Longest such pause.
const BACK_OFF_LIMIT_MS: u64 = 30_000;

/// How a container stands. Everything is changed in place, so a look that is given up loses nothing that runs.
pub(super) enum Container {
    /// Not started yet, or not to be started: why, in a word and in words.
    Waiting(&'static str, String),
    /// WordPress: how often in a row its readiness check has failed; nothing counts before it succeeded once.
    Running(Box<Server>, u32),
    /// The ingress controller, and whether it serves.
    Controller(bool),
    /// It ended, and is started again at this time, in milliseconds since the epoch.
    Ended(String, u64),
}

/// What a container needs to know of its node.
#[derive(Clone, Copy)]
pub(super) struct Host<'a> {
    pub(super) config: &'a Config,
    pub(super) cluster: &'a Cluster,
    /// Whether the ingress controller serves.
    pub(super) serving: bool,
}

impl Container {
    /// Starts it, looks at it, or starts it again; answers whether it was started again.
    pub(super) async fn advance(
        &mut self,
        host: Host<'_>,
        object: &Value,
        address: IpAddr,
        restarts: u64,
    ) -> bool {
        match self {
            Self::Waiting(..) => {
                *self = host.start(object, address).await;
            }
            Self::Ended(_, until) => {
                if now_ms() >= *until {
                    *self = host.start(object, address).await;
                    return true;
                }
            }
            Self::Controller(serving) => *serving = host.serving,
            Self::Running(server, failures) => match server.alive() {
                Ok(()) if server.is_ready().await => *failures = 0,
                Ok(()) => *failures = failures.saturating_add(1),
                Err(error) => {
                    let pause = BACK_OFF_MS
                        .saturating_mul(restarts + 1)
                        .min(BACK_OFF_LIMIT_MS);
                    *self = Self::Ended(format!("{error:#}"), now_ms() + pause);
                }
            },
        }
        false
    }

    /// Whether it is ready.
    pub(super) fn is_ready(&self) -> bool {
        match self {
            Self::Running(_, failures) => *failures < FAILURES,
            Self::Controller(serving) => *serving,
            Self::Waiting(..) | Self::Ended(..) => false,
        }
    }

    /// Phase of its pod, its state and its last state, as Kubernetes has them.
    pub(super) fn state(&self, started_at: &str) -> (&'static str, Value, Value) {
        let waiting = |reason: &str, message: &str| json!({ "waiting": { "reason": reason, "message": message } });
        match self {
            Self::Waiting(reason, message) => ("Pending", waiting(reason, message), json!({})),
            Self::Running(..) | Self::Controller(_) => (
                "Running",
                json!({ "running": { "startedAt": started_at } }),
                json!({}),
            ),
            Self::Ended(message, _) => (
                "Running",
                waiting("CrashLoopBackOff", "back-off restarting failed container"),
                json!({ "terminated": { "exitCode": 1, "reason": "Error", "message": message } }),
            ),
        }
    }
}

impl Host<'_> {
    /// Starts what its image names.
    async fn start(self, object: &Value, address: IpAddr) -> Container {
        let named = text(object, "/spec/containers/0/image");
        let image = named.split([':', '@']).next().unwrap_or_default();
        let (namespace, name) = (
            text(object, "/metadata/namespace"),
            text(object, "/metadata/name"),
        );
        let kept = |log: &Path| logs::keep(self.config, namespace, name, log);
        let unkept = |error| Container::Waiting("CreateContainerError", format!("{error:#}"));
        if image == CONTROLLER_IMAGE {
            let kept = kept(&ingress::errors(self.config));
            return kept.map_or_else(unkept, |()| Container::Controller(false));
        }
        if image != WORDPRESS_IMAGE {
            return Container::Waiting(
                "ImagePullBackOff",
                format!("Back-off pulling image \"{named}\""),
            );
        }
        let environment = match self.environment(object).await {
            Ok(environment) => environment,
            Err(error) => {
                return Container::Waiting("CreateContainerConfigError", format!("{error:#}"));
            }
        };
        // Short, since a socket lies in it.
        let id = text(object, "/metadata/uid");
        let setup = Setup {
            name: name.to_owned(),
            folder: self.config.folder.join(id.get(..8).unwrap_or(id)),
            address: SocketAddr::new(address, port(object)),
            environment,
        };
        let files = Files::at(&self.config.wordpress);
        if let Err(error) = kept(&setup.log()) {
            return unkept(error);
        }
        match Server::start(&self.config.setpriv, &self.config.programs, &files, &setup) {
            Ok(server) => Container::Running(Box::new(server), FAILURES),
            Err(error) => Container::Waiting("RunContainerError", format!("{error:#}")),
        }
    }

    /// What the container is told, with what its references are now.
    async fn environment(self, object: &Value) -> Result<BTreeMap<String, String>> {
        let namespace = text(object, "/metadata/namespace");
        let mut environment = BTreeMap::new();
        for variable in list(object, "/spec/containers/0/env") {
            let name = text(variable, "/name").to_owned();
            let value = match variable.pointer("/valueFrom/secretKeyRef") {
                Some(reference) => self.secret(namespace, reference).await?,
                None => text(variable, "/value").to_owned(),
            };
            environment.insert(name, value);
        }
        Ok(environment)
    }

    async fn secret(self, namespace: &str, reference: &Value) -> Result<String> {
        let (name, key) = (text(reference, "/name"), text(reference, "/key"));
        let Some(secret) = self.cluster.get(Kind::SECRET, namespace, name).await? else {
            bail!("secret \"{name}\" not found");
        };
        let value = secret
            .get("data")
            .and_then(|data| data.get(key))
            .and_then(Value::as_str);
        let value = value
            .with_context(|| format!("couldn't find key {key} in Secret {namespace}/{name}"))?;
        Ok(String::from_utf8(BASE64.decode(value)?)?)
    }
}

/// Port of a pod's only container.
pub(super) fn port(object: &Value) -> u16 {
    let port = object
        .pointer("/spec/containers/0/ports/0/containerPort")
        .and_then(Value::as_u64);
    port.and_then(|port| u16::try_from(port).ok()).unwrap_or(80)
}
