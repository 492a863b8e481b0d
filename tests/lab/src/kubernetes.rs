//! The Kubernetes control plane of one zone: etcd, kube-apiserver and kube-controller-manager, as the project builds
//! them. RBAC is on, every client has a certificate, and everything listens at the zone's address alone.
//!
//! No kubelet and no scheduler: [`agent`](crate::agent) plays the node. What is in a new cluster is in [`objects`],
//! what a recovery may do to it in [`access`]; [`cluster`] is how the lab talks to it.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use self::cluster::Cluster;
use self::pki::Pki;
use crate::clock::{LIMIT, eventually};
use crate::ports::free_port;
use crate::process::Process;
use crate::programs::{Programs, ZonePrograms};

pub mod access;
pub mod cluster;
pub mod definitions;
pub mod objects;
mod pki;

/// How long etcd may take to end in order.
const END_LIMIT: Duration = Duration::from_secs(20);
/// Controllers that run: what becomes of deployments, of what is deleted, and of nodes that went silent. None for
/// endpoints, which may not be loopback addresses: the agent looks for the pods behind a service itself.
const CONTROLLERS: &str = "deployment,replicaset,namespace,garbagecollector,nodelifecycle";

/// Where and how a control plane is set up.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Name of the zone, for example `pz`.
    pub zone: String,
    /// Address of everything.
    pub address: IpAddr,
    /// Folder of its own, created if missing.
    pub folder: PathBuf,
}

/// A running (or killed, or frozen) control plane.
#[derive(Debug)]
pub struct ControlPlane {
    setup: Setup,
    programs: ZonePrograms,
    setpriv: PathBuf,
    ports: Ports,
    pki: Pki,
    // Dropped in this order: clients before what they talk to.
    controllers: Option<Process>,
    server: Option<Process>,
    store: Option<Process>,
}

/// Chosen once, so that kubeconfigs outlive a restart.
#[derive(Debug, Clone, Copy)]
struct Ports {
    server: u16,
    store: u16,
    store_peers: u16,
    controllers: u16,
}

impl ControlPlane {
    /// Starts an empty cluster and waits until it answers.
    ///
    /// # Errors
    /// Where a server does not start; the message quotes its log.
    pub async fn start(programs: &Programs, zone: &ZonePrograms, setup: Setup) -> Result<Self> {
        fs::create_dir_all(&setup.folder)
            .with_context(|| format!("cannot create {}", setup.folder.display()))?;
        let port = || free_port(&[setup.address]);
        let ports = Ports {
            server: port()?,
            store: port()?,
            store_peers: port()?,
            controllers: port()?,
        };
        let server = SocketAddr::new(setup.address, ports.server);
        let pki = Pki::create(&setup.folder, &setup.zone, server)?;
        let mut plane = Self {
            setup,
            programs: zone.clone(),
            setpriv: programs.setpriv.clone(),
            ports,
            pki,
            controllers: None,
            server: None,
            store: None,
        };
        plane.restart().await?;
        Ok(plane)
    }

    /// Starts it again on the objects it has, after [`kill`](Self::kill).
    ///
    /// # Errors
    /// Where a server does not start; the message quotes its log.
    pub async fn restart(&mut self) -> Result<()> {
        self.start_store().await?;
        self.start_server().await?;
        self.start_controllers().await
    }

    /// `kill -9` of all its servers.
    ///
    /// # Errors
    /// Where it is not running.
    pub fn kill(&mut self) -> Result<()> {
        for process in [&mut self.controllers, &mut self.server, &mut self.store] {
            let mut process = process.take().context("the control plane is not running")?;
            process.kill()?;
        }
        Ok(())
    }

    /// Stops its API without ending it: connections stay open and nothing answers.
    ///
    /// # Errors
    /// Where it is not running.
    pub fn freeze(&self) -> Result<()> {
        self.api()?.freeze()
    }

    /// Lets its API go on after [`freeze`](Self::freeze).
    ///
    /// # Errors
    /// Where it is not running.
    pub fn thaw(&self) -> Result<()> {
        self.api()?.thaw()
    }

    /// A client that may do everything.
    ///
    /// # Errors
    /// Where its kubeconfig cannot be read.
    pub async fn cluster(&self) -> Result<Cluster> {
        Cluster::connect(&self.admin_kubeconfig()).await
    }

    /// Kubeconfig of the lab itself, who may do everything.
    #[must_use]
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.pki.kubeconfig(pki::ADMIN)
    }

    /// Kubeconfig for a host, which may do what [`access`] says: one line of JSON, which YAML is a superset of.
    #[must_use]
    pub fn recovery_kubeconfig(&self) -> PathBuf {
        self.pki.kubeconfig(access::USER)
    }

    /// A kubeconfig that says who asks by a token.
    ///
    /// # Errors
    /// Where the lab's own cannot be read.
    pub fn kubeconfig_with(&self, token: &str) -> Result<Value> {
        let mut kubeconfig: Value = serde_json::from_slice(&fs::read(self.admin_kubeconfig())?)?;
        let user = kubeconfig.pointer_mut("/users/0/user");
        *user.context("no user")? = json!({ "token": token });
        Ok(kubeconfig)
    }

    /// Where its API listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.setup.address, self.ports.server)
    }

    /// Its servers' process ids by name, while they run.
    #[must_use]
    pub fn processes(&self) -> Vec<(String, u32)> {
        [
            ("etcd", &self.store),
            ("kube-apiserver", &self.server),
            ("kube-controller-manager", &self.controllers),
        ]
        .into_iter()
        .filter_map(|(name, process)| {
            let name = format!("{name} {}", self.setup.zone);
            process.as_ref().map(|process| (name, process.id()))
        })
        .collect()
    }

    fn api(&self) -> Result<&Process> {
        self.server
            .as_ref()
            .context("the control plane is not running")
    }

    async fn start_store(&mut self) -> Result<()> {
        let url = self.store_url();
        let peers = format!("http://{}:{}", self.setup.address, self.ports.store_peers);
        let mut process = self.process(
            "etcd",
            &self.programs.etcd,
            vec![
                format!("--data-dir={}", self.setup.folder.join("etcd").display()),
                format!("--listen-client-urls={url}"),
                format!("--advertise-client-urls={url}"),
                format!("--listen-peer-urls={peers}"),
                format!("--initial-advertise-peer-urls={peers}"),
                format!("--initial-cluster=default={peers}"),
                // The lab's folder goes with the machine: nothing is gained by waiting for its disk.
                "--unsafe-no-fsync".to_owned(),
                "--logger=zap".to_owned(),
                "--log-level=warn".to_owned(),
            ],
        )?;
        let http = crate::client::plain()?;
        let health = format!("{url}/health");
        eventually("etcd to be healthy", LIMIT, async || {
            if let Err(ended) = process.alive() {
                return Ok(Some(Err(ended)));
            }
            let answer = http.get(&health).send().await?;
            Ok(answer.status().is_success().then_some(Ok(())))
        })
        .await??;
        self.store = Some(process);
        Ok(())
    }

    async fn start_server(&mut self) -> Result<()> {
        let address = self.setup.address;
        let mut arguments = vec![
            format!("--etcd-servers={}", self.store_url()),
            format!("--bind-address={address}"),
            format!("--advertise-address={address}"),
            format!("--secure-port={}", self.ports.server),
            "--insecure-port=0".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
            "--authorization-mode=RBAC".to_owned(),
            "--service-cluster-ip-range=10.96.0.0/24".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            // No pod of the lab talks to the API, so no controller makes their accounts.
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            "--profiling=false".to_owned(),
        ];
        arguments.extend(self.pki.server_arguments());
        let process = self.process("kube-apiserver", &self.programs.kube_apiserver, arguments)?;
        let process = self.server.insert(process);
        let kubeconfig = self.pki.kubeconfig(pki::ADMIN);
        let cluster = Cluster::connect(&kubeconfig).await?;
        eventually("kube-apiserver to be ready", LIMIT, async || {
            if let Err(ended) = process.alive() {
                return Ok(Some(Err(ended)));
            }
            cluster.ready().await?;
            Ok(Some(Ok(())))
        })
        .await?
    }

    async fn start_controllers(&mut self) -> Result<()> {
        let kubeconfig = self.pki.kubeconfig(pki::ADMIN).display().to_string();
        let program = &self.programs.kube_controller_manager;
        let arguments = vec![
            format!("--kubeconfig={kubeconfig}"),
            format!("--authentication-kubeconfig={kubeconfig}"),
            format!("--authorization-kubeconfig={kubeconfig}"),
            format!("--bind-address={}", self.setup.address),
            format!("--secure-port={}", self.ports.controllers),
            format!("--cert-dir={}", self.setup.folder.display()),
            format!("--controllers={CONTROLLERS}"),
            "--port=0".to_owned(),
            "--leader-elect=false".to_owned(),
            // A node that says nothing for this long is not ready; a kubelet reports every ten seconds, the agent
            // every two.
            "--node-monitor-grace-period=10s".to_owned(),
            "--node-monitor-period=1s".to_owned(),
        ];
        let mut process = self.process("kube-controller-manager", program, arguments)?;
        // It answers at its port long before it works; objects that come too early wait for it.
        process.alive()?;
        self.controllers = Some(process);
        Ok(())
    }

    fn process(&self, name: &str, program: &Path, arguments: Vec<String>) -> Result<Process> {
        let log = self.setup.folder.join(format!("{name}.log"));
        let name = format!("{name} {}", self.setup.zone);
        Process::start(&self.setpriv, &name, program, arguments, &log)
    }

    fn store_url(&self) -> String {
        format!("http://{}:{}", self.setup.address, self.ports.store)
    }

    /// Ends it in order, for tests of what a restart finds.
    ///
    /// # Errors
    /// Where it is not running or does not end.
    pub async fn shut_down(&mut self) -> Result<()> {
        for process in [&mut self.controllers, &mut self.server, &mut self.store] {
            let mut process = process.take().context("the control plane is not running")?;
            process.terminate(END_LIMIT).await?;
        }
        Ok(())
    }
}
