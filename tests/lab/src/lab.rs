//! Everything, up at once: the place to start.
//!
//! Sites are loopback addresses (`pz` is 127.0.1.1, `bz` is 127.0.2.1), as a zone's public address would be. The
//! application has the same port at both, so that an address is all that a flip changes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::app::config::{Config, Engine, Settings};
use crate::authority::Authority;
use crate::board::Board;
use crate::document::ZoneDocument;
use crate::names::Names;
use crate::pair::{Pair, TABLES};
use crate::ports::{address, free_port};
use crate::postgres::pair as postgres_pair;
use crate::powerdns::{Authoritative, ZONE, Zone};
use crate::programs::Programs;
use crate::recursor::Recursor;
use crate::secret;
use crate::site::Site;
use crate::writer::{Users, Writer};

/// Address of the primary site.
pub const PZ: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 1, 1));
/// Address of the backup site.
pub const BZ: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 2, 1));
/// Address of what belongs to no site: name servers and the notice board.
pub const SHARED: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What can be chosen about a lab.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program with the `app` command: `understudy-lab` itself.
    pub program: PathBuf,
    /// Where the lab's folder is made; it must be a short path, because sockets lie in it.
    pub parent: PathBuf,
    /// TTL of `wp-active` at first, in seconds.
    pub ttl_seconds: u32,
    /// Replicas of the application at `bz` while it stands by, on its read-only database.
    pub standby_replicas: u32,
    /// How long the stubborn resolver keeps every answer at least, in seconds.
    pub stubborn_ttl_seconds: u32,
    /// What the application writes to.
    pub engine: Engine,
}

impl Options {
    /// With a TTL of two seconds, a resolver that makes it five, and an application that stands ready.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            parent: std::env::temp_dir(),
            ttl_seconds: 2,
            standby_replicas: 1,
            stubborn_ttl_seconds: 5,
            engine: Engine::Mariadb,
        }
    }

    /// The same with an application that writes to PostgreSQL.
    #[must_use]
    pub fn on_postgres(self) -> Self {
        Self {
            engine: Engine::Postgres,
            ..self
        }
    }
}

/// A running lab. Dropping it ends every server and deletes the folder.
#[derive(Debug)]
pub struct Lab {
    // Fields are dropped in this order: users and applications before the servers, the folder last.
    /// Application at the primary site.
    pub pz: Site,
    /// Application at the backup site, standing by.
    pub bz: Site,
    /// MariaDB at both sites.
    pub databases: Pair,
    /// PostgreSQL at both sites, where the application writes to it.
    pub postgres: Option<postgres_pair::Pair>,
    /// Resolver that honours TTLs.
    pub resolver: Recursor,
    /// Resolver that does not.
    pub stubborn: Recursor,
    /// The authoritative name server.
    pub authoritative: Authoritative,
    /// Where announcements are shown.
    pub board: Board,
    /// The zone as a document, for who would rather edit that than the name server.
    pub document: ZoneDocument,
    pub(crate) options: Options,
    secrets: Secrets,
    public_port: u16,
    root: PathBuf,
    folder: TempDir,
}

/// Secrets that are not a server's own.
#[derive(Debug, Clone)]
struct Secrets {
    admin_token: String,
    editor_password: String,
}

impl Secrets {
    fn fresh() -> Result<Self> {
        Ok(Self {
            admin_token: secret::fresh()?,
            editor_password: secret::fresh()?,
        })
    }
}

impl Lab {
    /// Brings everything up: `pz` serves, `bz` replicates and stands by.
    ///
    /// # Errors
    /// Where a program is missing (the message names its package) or a server does not start (it quotes its log).
    pub async fn up(options: Options) -> Result<Self> {
        let programs = Programs::locate()?;
        let folder = tempfile::Builder::new()
            .prefix("understudy-lab-")
            .tempdir_in(&options.parent)?;
        let path = folder.path().to_owned();
        let authority = Authority::create(&path)?;
        let secrets = Secrets::fresh()?;
        let shared_certificate = authority.issue("shared", &[&SHARED.to_string()])?;
        let board = address(SHARED)?;
        let zone = Zone {
            ttl_seconds: options.ttl_seconds,
            pz: PZ.to_string(),
            bz: BZ.to_string(),
        };
        let (databases, names, board) = tokio::try_join!(
            Pair::start(
                &programs,
                &authority,
                &path,
                [address(PZ)?, address(BZ)?],
                TABLES
            ),
            Names::start(&programs, &path, &zone, options.stubborn_ttl_seconds),
            Board::start(board, &shared_certificate, &secrets.admin_token),
        )?;
        let Names {
            resolver,
            stubborn,
            authoritative,
        } = names;
        let document = ZoneDocument::start(
            address(SHARED)?,
            &shared_certificate,
            &secrets.admin_token,
            authoritative.editor().clone(),
        )
        .await?;
        let postgres = postgres(options.engine, &authority, &path).await?;
        let public_port = free_port(&[PZ, BZ])?;
        let [pz, bz] = sites(
            &programs,
            &authority,
            &stores(&databases, postgres.as_ref()),
            &options,
            &secrets,
            public_port,
        )
        .await?;
        pz.becomes("ready", &1.into()).await?;
        bz.becomes("ready", &options.standby_replicas.into())
            .await?;
        Ok(Self {
            pz,
            bz,
            databases,
            postgres,
            resolver,
            stubborn,
            authoritative,
            board,
            document,
            options,
            secrets,
            public_port,
            root: authority.root().to_owned(),
            folder,
        })
    }

    /// Folder of everything, for files that should go when the lab goes.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Root certificate of every server, a PEM file.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Port of the application at both sites.
    #[must_use]
    pub fn public_port(&self) -> u16 {
        self.public_port
    }

    /// Secrets by the name of the environment variable in which a host should find them.
    #[must_use]
    pub fn credentials(&self) -> BTreeMap<String, String> {
        let passwords = self.databases.pz.passwords();
        [
            ("LAB_DATABASE_PASSWORD", &passwords.understudy),
            ("LAB_APP_PASSWORD", &passwords.app),
            ("LAB_REPLICATION_PASSWORD", &passwords.repl),
            ("LAB_DNS_KEY", &self.authoritative.api_key().to_owned()),
            (
                "LAB_UPDATE_KEY",
                &self.authoritative.update_key().to_owned(),
            ),
            ("LAB_ADMIN_TOKEN", &self.secrets.admin_token),
            ("LAB_EDITOR_PASSWORD", &self.secrets.editor_password),
        ]
        .into_iter()
        .map(|(name, secret)| (name.to_owned(), secret.clone()))
        .chain(
            self.postgres
                .iter()
                .flat_map(postgres_pair::Pair::credentials),
        )
        .collect()
    }

    /// Process ids of its servers by name, while they run.
    #[must_use]
    pub fn processes(&self) -> BTreeMap<String, u32> {
        let mut processes = BTreeMap::from([
            ("pdns_server".to_owned(), self.authoritative.process_id()),
            ("resolver".to_owned(), self.resolver.process_id()),
            ("stubborn".to_owned(), self.stubborn.process_id()),
        ]);
        for (name, process) in [
            ("mariadbd pz", self.databases.pz.process_id()),
            ("mariadbd bz", self.databases.bz.process_id()),
            ("app pz", self.pz.process_id()),
            ("app bz", self.bz.process_id()),
        ] {
            processes.extend(process.map(|process| (name.to_owned(), process)));
        }
        processes
    }

    /// Users who write at this pace, from now on.
    #[must_use]
    pub fn users(&self, pace: Duration) -> Writer {
        Users {
            resolver: self.resolver.address(),
            name: format!("wp-active.{ZONE}"),
            port: self.public_port,
            root: self.root.clone(),
            editor_password: self.secrets.editor_password.clone(),
            pace,
        }
        .start()
    }

    /// A client that reaches the service's public name at one site, whatever DNS says.
    ///
    /// # Errors
    /// Where the root cannot be read.
    pub fn client_of(&self, site: &Site) -> Result<reqwest::Client> {
        let name = format!("wp-active.{ZONE}");
        crate::client::verified(&self.root, Some((&name, site.public())))
    }

    /// Address of a path of the service, by its public name.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("https://wp-active.{ZONE}:{}{path}", self.public_port)
    }
}

/// PostgreSQL at both sites, where that is what the application writes to.
async fn postgres(
    engine: Engine,
    authority: &Authority,
    folder: &Path,
) -> Result<Option<postgres_pair::Pair>> {
    if engine == Engine::Mariadb {
        return Ok(None);
    }
    let addresses = [address(PZ)?, address(BZ)?];
    let started =
        postgres_pair::Pair::start(authority, folder, addresses, postgres_pair::TABLES).await?;
    Ok(Some(started))
}

/// Where the application at a site writes to, and its password there.
struct Store {
    address: SocketAddr,
    password: String,
}

/// The stores at `pz` and `bz`.
fn stores(mariadb: &Pair, postgres: Option<&postgres_pair::Pair>) -> [Store; 2] {
    match postgres {
        None => [&mariadb.pz, &mariadb.bz].map(|server| Store {
            address: server.address(),
            password: server.passwords().app.clone(),
        }),
        Some(pair) => [&pair.pz, &pair.bz].map(|server| Store {
            address: server.address(),
            password: server.passwords().app.clone(),
        }),
    }
}

/// The application at both sites, told its database at the same one.
async fn sites(
    programs: &Programs,
    authority: &Authority,
    stores: &[Store; 2],
    options: &Options,
    secrets: &Secrets,
    public_port: u16,
) -> Result<[Site; 2]> {
    let folder = authority.folder();
    let mut sites = Vec::new();
    let places = [("pz", PZ, 1), ("bz", BZ, options.standby_replicas)];
    for ((site, zone, desired), store) in places.into_iter().zip(stores) {
        let settings = Settings {
            desired,
            database_endpoint: store.address.to_string(),
            maintenance: false,
            restart_token: String::new(),
        };
        let config = Config {
            name: "wordpress".to_owned(),
            site: site.to_owned(),
            public: SocketAddr::new(zone, public_port),
            admin: address(zone)?,
            certificate: authority.issue(
                &format!("app-{site}"),
                &[&format!("wp-active.{ZONE}"), &format!("wp-{site}.{ZONE}")],
            )?,
            admin_certificate: authority.issue(&format!("admin-{site}"), &[&zone.to_string()])?,
            engine: options.engine,
            root: authority.root().to_owned(),
            database_password: store.password.clone(),
            admin_token: secrets.admin_token.clone(),
            editor_password: secrets.editor_password.clone(),
            settings: folder.join(format!("settings-{site}.json")),
        };
        sites.push(Site::start(programs, &options.program, config, &settings).await?);
    }
    <[Site; 2]>::try_from(sites).map_err(|_| anyhow::anyhow!("two sites"))
}
