//! Pods: taken where they wait for a node, started with what their containers are told, watched, restarted where they
//! end, and ended where they are deleted. Their status says what is really so.
//!
//! Two images are known: WordPress, of which every pod is a [`Server`] with an address of its own, and the ingress
//! controller, of which all pods are the one nginx of [`ingress`](super::ingress). Any other is an image that cannot
//! be pulled.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::{Config, log, node, timestamp};
use crate::clock::now_ms;
use crate::kubernetes::cluster::{Cluster, Kind, list, text};
use crate::kubernetes::objects::{APP, CONTROLLER_IMAGE, SETTINGS, WORDPRESS_IMAGE};
use crate::wordpress::Files;
use crate::wordpress::server::{Server, Setup};

/// Last bytes of the pods' addresses.
const ADDRESSES: std::ops::Range<u8> = 100..200;
/// Readiness checks that fail in a row until a pod is not ready any more, as a probe of Kubernetes' has it by default.
const FAILURES: u32 = 3;
/// Pause before a container that ended is started again, in milliseconds, times the number of its restarts.
const BACK_OFF_MS: u64 = 1_000;
/// Longest such pause.
const BACK_OFF_LIMIT_MS: u64 = 30_000;

/// The pods of a node.
pub(super) struct Pods<'a> {
    config: &'a Config,
    cluster: &'a Cluster,
    /// By the pods' unique ids.
    running: BTreeMap<String, Pod>,
}

/// A pod that was taken.
struct Pod {
    namespace: String,
    name: String,
    container: String,
    image: String,
    started_at: String,
    address: IpAddr,
    state: State,
    restarts: u64,
    /// Since when it is as it is, in Kubernetes' form.
    changed_at: String,
    /// What its status said last.
    reported: Option<Value>,
}

/// What a pod's only container is.
enum State {
    /// Not started yet, or not to be started: why, in a word and in words.
    Waiting(&'static str, String),
    /// WordPress: how often in a row its readiness check has failed; nothing counts before it succeeded once.
    Running(Box<Server>, u32),
    /// The ingress controller.
    Controller(bool),
    /// It ended, and is started again at this time.
    Ended(String, u64),
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
            .any(|pod| matches!(pod.state, State::Controller(_)))
    }

    /// Brings everything to what the cluster says; `serving` is whether the ingress controller serves.
    pub(super) async fn reconcile(&mut self, serving: bool) -> Result<()> {
        self.settings().await?;
        let node = node::name(self.config);
        let pods = self.cluster.list(Kind::POD, "").await?;
        let ids: Vec<String> = pods
            .iter()
            .map(|pod| text(pod, "/metadata/uid").to_owned())
            .collect();
        self.running.retain(|id, _| ids.contains(id));
        for (id, pod) in ids.into_iter().zip(&pods) {
            let (namespace, name) = (
                text(pod, "/metadata/namespace"),
                text(pod, "/metadata/name"),
            );
            let is_deleted = !text(pod, "/metadata/deletionTimestamp").is_empty();
            match text(pod, "/spec/nodeName") {
                "" if is_deleted => {}
                "" => self.cluster.bind(namespace, name, &node).await?,
                on if on != node => {}
                _ if is_deleted => {
                    // Dropping it ends it.
                    self.running.remove(&id);
                    self.cluster.delete(Kind::POD, namespace, name).await?;
                }
                _ => self.run(id, pod, serving).await?,
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

    /// Takes, starts or looks at one pod, and reports it where anything changed.
    async fn run(&mut self, id: String, object: &Value, serving: bool) -> Result<()> {
        let mut pod = match self.running.remove(&id) {
            Some(pod) => pod,
            None => self.take(object)?,
        };
        let now = now_ms();
        let next = match pod.state {
            State::Waiting(..) => self.start(&id, &pod, object).await?,
            State::Ended(reason, until) if now < until => State::Ended(reason, until),
            State::Ended(..) => {
                pod.restarts += 1;
                self.start(&id, &pod, object).await?
            }
            State::Controller(_) => State::Controller(serving),
            State::Running(mut server, failures) => match server.alive() {
                Ok(()) => {
                    let ready = server.is_ready().await;
                    let failures = if ready { 0 } else { failures.saturating_add(1) };
                    State::Running(server, failures)
                }
                Err(error) => {
                    let pause = BACK_OFF_MS
                        .saturating_mul(pod.restarts + 1)
                        .min(BACK_OFF_LIMIT_MS);
                    State::Ended(format!("{error:#}"), now + pause)
                }
            },
        };
        pod.state = next;
        let reported = self.report(&mut pod).await;
        self.running.insert(id, pod);
        reported
    }

    fn take(&self, object: &Value) -> Result<Pod> {
        let now = timestamp(now_ms());
        Ok(Pod {
            namespace: text(object, "/metadata/namespace").to_owned(),
            name: text(object, "/metadata/name").to_owned(),
            container: text(object, "/spec/containers/0/name").to_owned(),
            image: text(object, "/spec/containers/0/image").to_owned(),
            started_at: now.clone(),
            address: self.free_address(port(object))?,
            state: State::Waiting("ContainerCreating", String::new()),
            restarts: 0,
            changed_at: now,
            reported: None,
        })
    }

    /// Starts what its image names.
    async fn start(&self, id: &str, pod: &Pod, object: &Value) -> Result<State> {
        let image = pod.image.split([':', '@']).next().unwrap_or_default();
        if image == CONTROLLER_IMAGE {
            return Ok(State::Controller(false));
        }
        if image != WORDPRESS_IMAGE {
            let message = format!("Back-off pulling image \"{}\"", pod.image);
            return Ok(State::Waiting("ImagePullBackOff", message));
        }
        let environment = match self.environment(&pod.namespace, object).await {
            Ok(environment) => environment,
            Err(error) => {
                return Ok(State::Waiting(
                    "CreateContainerConfigError",
                    format!("{error:#}"),
                ));
            }
        };
        let setup = Setup {
            name: pod.name.clone(),
            folder: self.folder(id),
            address: SocketAddr::new(pod.address, port(object)),
            environment,
        };
        let files = Files::at(&self.config.wordpress);
        match Server::start(&self.config.setpriv, &self.config.programs, &files, &setup) {
            Ok(server) => Ok(State::Running(Box::new(server), FAILURES)),
            Err(error) => Ok(State::Waiting("RunContainerError", format!("{error:#}"))),
        }
    }

    /// What the container is told, with what its references are now.
    async fn environment(
        &self,
        namespace: &str,
        object: &Value,
    ) -> Result<BTreeMap<String, String>> {
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

    async fn secret(&self, namespace: &str, reference: &Value) -> Result<String> {
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

    /// Short, since sockets lie in it.
    fn folder(&self, id: &str) -> PathBuf {
        self.config.folder.join(id.get(..8).unwrap_or(id))
    }

    async fn report(&self, pod: &mut Pod) -> Result<()> {
        let before = pod
            .reported
            .as_ref()
            .and_then(|status| status.pointer("/containerStatuses/0/ready"));
        if before != Some(&json!(pod.is_ready())) {
            pod.changed_at = timestamp(now_ms());
        }
        let status = pod.status(self.config);
        if pod.reported.as_ref() != Some(&status) {
            self.cluster
                .patch_status(Kind::POD, &pod.namespace, &pod.name, &status)
                .await?;
            pod.reported = Some(status);
        }
        Ok(())
    }
}

impl Pod {
    fn is_ready(&self) -> bool {
        match self.state {
            State::Running(_, failures) => failures < FAILURES,
            State::Controller(serving) => serving,
            State::Waiting(..) | State::Ended(..) => false,
        }
    }

    fn status(&self, config: &Config) -> Value {
        let ready = self.is_ready();
        let condition = |kind: &str, met: bool| {
            let status = if met { "True" } else { "False" };
            json!({ "type": kind, "status": status, "lastTransitionTime": self.changed_at })
        };
        let running = json!({ "running": { "startedAt": self.started_at } });
        let (phase, state, last) = match &self.state {
            State::Waiting(reason, message) => (
                "Pending",
                json!({ "waiting": { "reason": reason, "message": message } }),
                json!({}),
            ),
            State::Running(..) | State::Controller(_) => ("Running", running, json!({})),
            State::Ended(message, _) => (
                "Running",
                json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off restarting failed container" } }),
                json!({ "terminated": { "exitCode": 1, "reason": "Error", "message": message } }),
            ),
        };
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
                "name": self.container,
                "image": self.image,
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

/// Port of the pod's only container.
pub(super) fn port(object: &Value) -> u16 {
    let port = object
        .pointer("/spec/containers/0/ports/0/containerPort")
        .and_then(Value::as_u64);
    port.and_then(|port| u16::try_from(port).ok()).unwrap_or(80)
}
