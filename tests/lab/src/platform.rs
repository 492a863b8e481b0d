//! Two whole zones, up at once: a Kubernetes control plane and WordPress in each, databases that replicate, names, an
//! ACME authority and users. The place to start for everything that [`lab`](crate::lab) is too small for.
//!
//! `pz` is 127.0.1.1 with its load balancer at 127.0.1.10, `bz` is 127.0.2.1 and 127.0.2.10; pods are at .100 and up.
//! WordPress is installed once, in the database of `pz`, and reaches `bz` by replication. Only `pz` has a public way in.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use crate::agent::{Agent, Config};
use crate::authority::Authority;
use crate::board::Board;
use crate::clock::{LIMIT, eventually};
use crate::kubernetes::cluster::{Kind, is_condition_true, list};
use crate::kubernetes::objects::{
    self, APP, CONTROLLER, CONTROLLER_NAMESPACE, Contents, TLS_SECRET, WORDPRESS,
};
use crate::kubernetes::{ControlPlane, Setup};
use crate::lab::{BZ, Options, PZ, SHARED};
use crate::mariadb::Server;
use crate::names::Names;
use crate::object_storage;
use crate::pair::Pair;
use crate::pebble::Pebble;
use crate::ports::{address, free_port};
use crate::powerdns::{self, ZONE};
use crate::programs::{Programs, ZonePrograms};
use crate::secret;
use crate::wordpress::Files;
use crate::wordpress::session::{self, Session};
use crate::wordpress::users::{Users, Writers};
use crate::zone::{Addresses, Zone};

/// Addresses of the primary zone.
pub const PRIMARY: Addresses = Addresses {
    machine: PZ,
    public: IpAddr::V4(Ipv4Addr::new(127, 0, 1, 10)),
};
/// Addresses of the backup zone.
pub const BACKUP: Addresses = Addresses {
    machine: BZ,
    public: IpAddr::V4(Ipv4Addr::new(127, 0, 2, 10)),
};
/// Addresses of pods, of which the first few tell whether a port is free for all of them.
const PODS: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(127, 0, 1, 100)),
    IpAddr::V4(Ipv4Addr::new(127, 0, 1, 101)),
    IpAddr::V4(Ipv4Addr::new(127, 0, 2, 100)),
    IpAddr::V4(Ipv4Addr::new(127, 0, 2, 101)),
];
/// The user whom WordPress is installed with, and whom the lab's users are.
pub const ADMIN: &str = "admin";
/// Name of the password by which a recovery's probe acts as [`ADMIN`].
const PROBE: &str = "recovery probe";

/// Two running zones. Dropping it ends every server and deletes the folder.
#[derive(Debug)]
pub struct Platform {
    // Dropped in this order: what runs WordPress before what it needs, the folder last.
    /// The primary zone: it serves.
    pub pz: Zone,
    /// The backup zone: it stands by.
    pub bz: Zone,
    /// Databases of both zones.
    pub databases: Pair,
    /// Who answers for names.
    pub names: Names,
    /// Who issues certificates.
    pub pebble: Pebble,
    /// Where announcements are shown.
    pub board: Board,
    /// The roots of everything, in one PEM file: of the lab's own servers, and of what [`pebble`](Self::pebble) issues.
    pub roots: PathBuf,
    /// Root of the lab's own servers, a PEM file.
    pub root: PathBuf,
    pub(crate) options: Options,
    secrets: Secrets,
    folder: TempDir,
}

/// Secrets that are not a server's own.
#[derive(Debug, Clone)]
struct Secrets {
    admin_token: String,
    admin_password: String,
    /// Password of the probe, which WordPress makes.
    probe_password: String,
}

/// What everything of a platform is started with.
struct Stage<'a> {
    options: &'a Options,
    programs: Programs,
    zone_programs: ZonePrograms,
    authority: Authority,
    folder: PathBuf,
    public_port: u16,
    pod_port: u16,
    salt: String,
    storage_key: String,
}

impl Platform {
    /// Brings everything up: `pz` serves, `bz` replicates and stands by with
    /// [`standby_replicas`](Options::standby_replicas).
    ///
    /// # Errors
    /// Where a program is missing (the message says where it comes from) or a server does not start (it quotes its
    /// log).
    pub async fn up(options: Options) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("understudy-lab-")
            .tempdir_in(&options.parent)?;
        let stage = Stage::set(&options, folder.path())?;
        let mut secrets = Secrets::fresh()?;
        let (databases, names, board, one, two) = stage.servers(&secrets.admin_token).await?;
        let pebble = stage.pebble(&names).await?;
        let roots = stage.roots(&pebble)?;
        let (pz, bz) = tokio::try_join!(
            stage.zone("pz", one, &databases.pz, &names, &pebble),
            stage.zone("bz", two, &databases.bz, &names, &pebble),
        )?;
        let root = stage.authority.root().to_owned();
        secrets.probe_password = install(&pz, &roots, &home(stage.public_port), &secrets).await?;
        let installed = databases.pz.position().await?;
        databases.bz.applied(&installed, LIMIT).await?;
        stands(&bz, options.standby_replicas).await?;
        Ok(Self {
            pz,
            bz,
            databases,
            names,
            pebble,
            board,
            roots,
            root,
            options,
            secrets,
            folder,
        })
    }

    /// Folder of everything, for files that should go when it goes.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A zone by its name, `pz` or `bz`.
    #[must_use]
    pub fn zone(&self, name: &str) -> Option<&Zone> {
        match name {
            "pz" => Some(&self.pz),
            "bz" => Some(&self.bz),
            _ => None,
        }
    }

    /// `kill -9` of everything in a zone, its database with it.
    ///
    /// # Errors
    /// Where there is no such zone, or it is not running.
    pub fn kill(&mut self, name: &str) -> Result<()> {
        let (zone, database) = self.everything(name)?;
        database.kill()?;
        zone.kill()
    }

    /// Brings a zone back after [`kill`](Self::kill), as it was.
    ///
    /// # Errors
    /// Where there is no such zone, or a server does not start; the message quotes its log.
    pub async fn restart(&mut self, name: &str) -> Result<()> {
        let (zone, database) = self.everything(name)?;
        database.restart().await?;
        zone.restart().await
    }

    fn everything(&mut self, name: &str) -> Result<(&mut Zone, &mut Server)> {
        match name {
            "pz" => Ok((&mut self.pz, &mut self.databases.pz)),
            "bz" => Ok((&mut self.bz, &mut self.databases.bz)),
            _ => bail!("there is no zone `{name}`"),
        }
    }

    /// Address of the service for its users.
    #[must_use]
    pub fn home(&self) -> String {
        home(self.pz.public().port())
    }

    /// The service's public name.
    #[must_use]
    pub fn name() -> String {
        format!("wp-active.{ZONE}")
    }

    /// Password of [`ADMIN`].
    #[must_use]
    pub fn admin_password(&self) -> &str {
        &self.secrets.admin_password
    }

    /// Secrets by the name of the environment variable in which a host should find them.
    ///
    /// # Errors
    /// Where a kubeconfig cannot be read.
    pub fn credentials(&self) -> Result<BTreeMap<String, String>> {
        let passwords = self.databases.pz.passwords();
        let kubeconfig = |zone: &Zone| fs::read_to_string(zone.plane.recovery_kubeconfig());
        Ok([
            ("LAB_DATABASE_PASSWORD", passwords.understudy.clone()),
            ("LAB_APP_PASSWORD", passwords.app.clone()),
            ("LAB_REPLICATION_PASSWORD", passwords.repl.clone()),
            ("LAB_DNS_KEY", self.names.authoritative.api_key().to_owned()),
            ("LAB_ADMIN_TOKEN", self.secrets.admin_token.clone()),
            ("LAB_PROBE_PASSWORD", self.secrets.probe_password.clone()),
            (
                "LAB_STORAGE_KEY",
                self.pz.storage().secret_access_key.clone(),
            ),
            ("LAB_KUBECONFIG_PZ", kubeconfig(&self.pz)?),
            ("LAB_KUBECONFIG_BZ", kubeconfig(&self.bz)?),
        ]
        .into_iter()
        .map(|(name, secret)| (name.to_owned(), secret))
        .collect())
    }

    /// Users who work at this pace, from now on.
    #[must_use]
    pub fn users(&self, pace: Duration) -> Writers {
        Users {
            resolver: self.names.resolver.address(),
            name: Self::name(),
            port: self.pz.public().port(),
            root: self.roots.clone(),
            user: ADMIN.to_owned(),
            password: self.secrets.admin_password.clone(),
            pace,
        }
        .start()
    }

    /// Process ids of its servers by name, while they run. What the agents run is theirs.
    #[must_use]
    pub fn processes(&self) -> BTreeMap<String, u32> {
        let mut processes = BTreeMap::from([
            (
                "pdns_server".to_owned(),
                self.names.authoritative.process_id(),
            ),
            ("resolver".to_owned(), self.names.resolver.process_id()),
            ("stubborn".to_owned(), self.names.stubborn.process_id()),
            ("pebble".to_owned(), self.pebble.process_id()),
        ]);
        for (name, zone, database) in [
            ("pz", &self.pz, &self.databases.pz),
            ("bz", &self.bz, &self.databases.bz),
        ] {
            processes.extend(zone.plane.processes());
            processes.extend(
                zone.agent
                    .process_id()
                    .map(|id| (format!("agent {name}"), id)),
            );
            processes.extend(
                database
                    .process_id()
                    .map(|id| (format!("mariadbd {name}"), id)),
            );
        }
        processes
    }
}

impl Secrets {
    fn fresh() -> Result<Self> {
        Ok(Self {
            admin_token: secret::fresh()?,
            admin_password: secret::fresh()?,
            probe_password: String::new(),
        })
    }
}

impl<'a> Stage<'a> {
    fn set(options: &'a Options, folder: &Path) -> Result<Self> {
        Ok(Self {
            options,
            programs: Programs::locate()?,
            zone_programs: ZonePrograms::locate()?,
            authority: Authority::create(folder)?,
            folder: folder.to_owned(),
            public_port: free_port(&[PRIMARY.public, BACKUP.public])?,
            pod_port: free_port(&PODS)?,
            salt: secret::fresh()?,
            storage_key: secret::fresh()?,
        })
    }

    /// What needs nothing else to be up.
    async fn servers(
        &self,
        admin_token: &str,
    ) -> Result<(Pair, Names, Board, ControlPlane, ControlPlane)> {
        let shared = self.authority.issue("shared", &[&SHARED.to_string()])?;
        let machines = [address(PZ)?, address(BZ)?];
        let board = address(SHARED)?;
        let zone = powerdns::Zone {
            ttl_seconds: self.options.ttl_seconds,
            pz: PRIMARY.public.to_string(),
            bz: BACKUP.public.to_string(),
        };
        let stubborn_ttl = self.options.stubborn_ttl_seconds;
        tokio::try_join!(
            Pair::start(&self.programs, &self.authority, &self.folder, machines, ""),
            Names::start(&self.programs, &self.folder, &zone, stubborn_ttl),
            Board::start(board, &shared, admin_token),
            self.plane("pz", PRIMARY),
            self.plane("bz", BACKUP),
        )
    }

    /// The ACME authority, which proves names by the name server.
    async fn pebble(&self, names: &Names) -> Result<Pebble> {
        let addresses = [
            address(SHARED)?,
            address(SHARED)?,
            names.authoritative.dns(),
        ];
        let folder = self.folder.join("pebble");
        Pebble::start(
            &self.programs,
            [&self.zone_programs.env, &self.zone_programs.pebble],
            &self.authority,
            &folder,
            addresses,
        )
        .await
    }

    async fn plane(&self, zone: &str, addresses: Addresses) -> Result<ControlPlane> {
        let setup = Setup {
            zone: zone.to_owned(),
            address: addresses.machine,
            folder: self.folder.join(format!("{zone}-plane")),
        };
        ControlPlane::start(&self.programs, &self.zone_programs, setup).await
    }

    /// Fills a zone's cluster, copies its files and starts its agent.
    async fn zone(
        &self,
        name: &str,
        plane: ControlPlane,
        database: &Server,
        names: &Names,
        pebble: &Pebble,
    ) -> Result<Zone> {
        let is_primary = name == "pz";
        let addresses = if is_primary { PRIMARY } else { BACKUP };
        let wordpress = |zone: &str| self.folder.join(format!("{zone}-wordpress"));
        let www = wordpress(name);
        let active = Platform::name();
        let contents = Contents {
            replicas: if is_primary {
                1
            } else {
                self.options.standby_replicas
            },
            database_endpoint: database.address().to_string(),
            database_user: "app".to_owned(),
            database_password: database.passwords().app.clone(),
            database_root: fs::read_to_string(self.authority.root())?,
            home: home(self.public_port),
            pod_port: self.pod_port,
            public_port: self.public_port,
            names: vec![active.clone(), format!("wp-{name}.{ZONE}")],
            exposed: if is_primary {
                vec![active, format!("wp-{name}.{ZONE}")]
            } else {
                Vec::new()
            },
            acme_directory: pebble.directory().to_owned(),
            acme_root: fs::read_to_string(self.authority.root())?,
            dns_server: format!("http://{}", names.authoritative.api()),
            dns_key: names.authoritative.api_key().to_owned(),
        };
        let cluster = plane.cluster().await?;
        let (files, ()) = tokio::try_join!(
            Files::install(&self.programs, &self.zone_programs, &www, &self.salt),
            objects::create(&cluster, &contents),
        )?;
        let config = Config {
            zone: name.to_owned(),
            kubeconfig: plane.admin_kubeconfig(),
            address: addresses.machine,
            kubelet: address(addresses.machine)?,
            public: addresses.public,
            public_port: self.public_port,
            folder: self.folder.join(format!("{name}-node")),
            wordpress: www,
            other_wordpress: wordpress(if is_primary { "bz" } else { "pz" }),
            fallback: self
                .authority
                .issue(&format!("fallback-{name}"), &["fallback.invalid"])?,
            proof_lock: self.folder.join("proof.lock"),
            dns: names.authoritative.dns(),
            storage: object_storage::Config {
                address: address(addresses.machine)?,
                certificate: self.authority.issue(
                    &format!("storage-{name}"),
                    &[&addresses.machine.to_string()],
                )?,
                secret_access_key: self.storage_key.clone(),
                folder: self.folder.join(format!("{name}-objects")),
            },
            setpriv: self.programs.setpriv.clone(),
            programs: self.zone_programs.clone(),
        };
        let agent = Agent::start(&self.options.program, config)?;
        Ok(Zone {
            agent,
            plane,
            files,
        })
    }

    /// All roots in one file.
    fn roots(&self, pebble: &Pebble) -> Result<PathBuf> {
        let file = self.folder.join("roots.pem");
        let text = [
            fs::read_to_string(self.authority.root())?,
            fs::read_to_string(pebble.root())?,
        ]
        .concat();
        fs::write(&file, text)?;
        Ok(file)
    }
}

/// Installs WordPress through the zone's public way in, and answers the probe's password.
async fn install(zone: &Zone, roots: &Path, home: &str, secrets: &Secrets) -> Result<String> {
    stands(zone, 1).await?;
    let client = zone.client(roots, &Platform::name())?;
    let page = format!("{home}/wp-admin/install.php");
    eventually("WordPress to be reachable", LIMIT, async || {
        let answer = client.get(&page).send().await?;
        ensure!(answer.status() == 200, "{}", answer.status());
        Ok(Some(()))
    })
    .await?;
    // A busy machine fails a readiness check now and then, and nobody is let in until the next one.
    let password = &secrets.admin_password;
    eventually("WordPress to be installed", LIMIT, async || {
        let installed = session::install(&client, home, ADMIN, password).await;
        installed.map(Some)
    })
    .await?;
    eventually("the probe's password", LIMIT, async || {
        let session = Session::log_in(&client, home, ADMIN, password).await?;
        let made = session.application_password(&client, PROBE).await;
        made.map(Some)
    })
    .await
}

/// Waits until a zone is as it should be: its pods, its address, its certificate.
async fn stands(zone: &Zone, replicas: u32) -> Result<()> {
    let cluster = zone.cluster().await?;
    let stands = async {
        cluster
            .rolled_out(APP, WORDPRESS, replicas.into(), LIMIT)
            .await?;
        cluster
            .rolled_out(CONTROLLER_NAMESPACE, CONTROLLER, 1, LIMIT)
            .await?;
        eventually("a public address and a certificate", LIMIT, async || {
            let service = cluster
                .get(Kind::SERVICE, CONTROLLER_NAMESPACE, CONTROLLER)
                .await?;
            let given = service
                .is_some_and(|service| !list(&service, "/status/loadBalancer/ingress").is_empty());
            ensure!(given, "no address");
            let certificate = cluster
                .get(Kind::CERTIFICATE, APP, TLS_SECRET)
                .await?
                .unwrap_or_default();
            ensure!(is_condition_true(&certificate, "Ready"), "{certificate}");
            Ok(Some(()))
        })
        .await
    };
    stands
        .await
        .with_context(|| format!("the agent's log ends with\n{}", zone.agent.log_end()))
}

fn home(port: u16) -> String {
    format!("https://wp-active.{ZONE}:{port}")
}
