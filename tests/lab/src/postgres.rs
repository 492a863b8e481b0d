//! One PostgreSQL server: data checksums, TLS from the lab's authority, SCRAM. It is controlled as the superuser over its
//! Unix socket, so that what the lab does to it never depends on what a run does to it.
//!
//! It refuses to run as root, so there it runs as its package's user. A *keeper* starts it whenever it is down and not meant
//! to be, as a service manager would: that, and the scripts in [`keeper`], is what a run has to stop and restart it with.
//!
//! Who may do what is in [`accounts`]; two servers of which one replicates from the other are a [`pair`].

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use crate::authority::Certificate;
use crate::clock::{LIMIT, eventually};
use crate::process::Process;
use crate::programs::PostgresPrograms;

pub mod accounts;
mod keeper;
pub mod pair;

pub use accounts::Passwords;

/// The user of the package, and its group.
const USER: &str = "postgres";

/// The application's database.
pub const DATABASE: &str = "wordpress";

/// Who may connect from where: the superuser over the socket, everybody else with TLS, all by SCRAM.
const ACCESS: &str = "local all postgres scram-sha-256\n\
     hostssl all app,understudy,repl 127.0.0.0/8 scram-sha-256\n\
     hostssl replication repl 127.0.0.0/8 scram-sha-256\n";

/// How a server is set up.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Name for people and for its files, for example `pz`.
    pub name: String,
    /// Folder of its own. Its socket lies in it, so its path must stay below 90 characters.
    pub folder: PathBuf,
    /// Where it listens.
    pub address: SocketAddr,
    /// Root of the authority.
    pub root: PathBuf,
    /// Its certificate, for its address.
    pub certificate: Certificate,
    /// Where its log is archived.
    pub archive: PathBuf,
    /// The archive it is restored from: that of the other server.
    pub restores_from: PathBuf,
    /// The users' passwords.
    pub passwords: Passwords,
}

/// A running (or killed) server.
#[derive(Debug)]
pub struct Server {
    setup: Setup,
    programs: PostgresPrograms,
    process: Option<Process>,
}

impl Server {
    /// Makes an empty server with its users and its database, and starts it.
    ///
    /// # Errors
    /// Where it does not start; the message quotes its log.
    pub async fn create(programs: &PostgresPrograms, setup: Setup) -> Result<Self> {
        let mut server = Self::prepare(programs, setup)?;
        let password = server.setup.folder.join("superuser");
        fs::write(&password, &server.setup.passwords.superuser)?;
        server.own(&password)?;
        let arguments = [
            "--username=postgres".to_owned(),
            "--auth=scram-sha-256".to_owned(),
            "--encoding=UTF8".to_owned(),
            "--no-locale".to_owned(),
            "--no-sync".to_owned(),
            "--data-checksums".to_owned(),
            // Small segments: one is archived every second.
            "--wal-segsize=1".to_owned(),
            format!("--pgdata={}", server.data().display()),
            format!("--pwfile={}", password.display()),
        ];
        server.run(&server.programs.initdb, &arguments, None)?;
        fs::remove_file(password)?;
        server.start().await?;
        accounts::create(&server).await?;
        Ok(server)
    }

    /// Makes a server that replicates from another one, and starts it.
    ///
    /// # Errors
    /// Where it does not start; the message quotes its log.
    pub async fn copy(programs: &PostgresPrograms, setup: Setup, source: &Self) -> Result<Self> {
        let mut server = Self::prepare(programs, setup)?;
        let password = &server.setup.passwords.repl;
        server.run(
            &server.programs.pg_basebackup,
            &server.seed_arguments(source),
            Some(password),
        )?;
        server.start().await?;
        Ok(server)
    }

    /// Starts it again on the data it has, after [`kill`](Self::kill): as it was.
    ///
    /// # Errors
    /// Where it does not start; the message quotes its log.
    pub async fn restart(&mut self) -> Result<()> {
        keeper::revive(&self.setup.folder)?;
        self.start().await
    }

    /// `kill -9`, the keeper with it: the machine is gone, and no program reaches it.
    ///
    /// # Errors
    /// Where it is not running.
    pub fn kill(&mut self) -> Result<()> {
        let mut process = self.process.take().context("the server is not running")?;
        keeper::bury(&self.setup.folder)?;
        process.kill().map(drop)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.setup.address
    }

    /// Its passwords.
    #[must_use]
    pub fn passwords(&self) -> &Passwords {
        &self.setup.passwords
    }

    /// What it has logged.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub fn log(&self) -> Result<String> {
        let log = fs::read(self.setup.folder.join("log"))?;
        Ok(String::from_utf8_lossy(&log).into_owned())
    }

    /// Runs statements as the superuser in the application's database.
    ///
    /// # Errors
    /// Where one is refused; the message holds it.
    pub async fn execute(&self, statements: &str) -> Result<()> {
        self.query(DATABASE, statements).await.map(drop)
    }

    /// First column of every row, as text, as the superuser.
    ///
    /// # Errors
    /// Where the query is refused; the message holds it.
    pub async fn column(&self, query: &str) -> Result<Vec<String>> {
        let messages = self.query(DATABASE, query).await?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
            _ => None,
        });
        Ok(rows.collect())
    }

    /// First column of the only row, as text, as the superuser.
    ///
    /// # Errors
    /// Where the query is refused or answers no row.
    pub async fn value(&self, query: &str) -> Result<String> {
        let first = self.column(query).await?.into_iter().next();
        first.with_context(|| format!("{} answers no row to {query:?}", self.setup.name))
    }

    /// Whether it recovers, and so refuses everybody's writes.
    ///
    /// # Errors
    /// Where the server does not answer.
    pub async fn is_in_recovery(&self) -> Result<bool> {
        Ok(self.value("SELECT pg_is_in_recovery()").await? == "t")
    }

    /// Waits until it has applied what `source` has written by now.
    ///
    /// # Errors
    /// Where it has not after `limit`.
    pub async fn applied(&self, source: &Self, limit: Duration) -> Result<()> {
        let written = source.value("SELECT pg_current_wal_lsn()").await?;
        let question = format!("SELECT pg_last_wal_replay_lsn() >= '{written}'::pg_lsn");
        let what = format!("{} to apply {written}", self.setup.name);
        eventually(&what, limit, async || {
            Ok((self.value(&question).await? == "t").then_some(()))
        })
        .await
    }

    async fn query(&self, database: &str, query: &str) -> Result<Vec<SimpleQueryMessage>> {
        let client = self.superuser(database).await?;
        let answers = client.simple_query(query).await;
        answers.with_context(|| format!("{} refused {query:?}", self.setup.name))
    }

    async fn superuser(&self, database: &str) -> Result<Client> {
        let mut config = Config::new();
        config
            .host_path(&self.setup.folder)
            .port(self.setup.address.port())
            .user("postgres")
            .password(&self.setup.passwords.superuser)
            .dbname(database);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Folder, access rules and keys, all the server's user's.
    fn prepare(programs: &PostgresPrograms, setup: Setup) -> Result<Self> {
        fs::create_dir_all(&setup.folder)
            .with_context(|| format!("cannot create {}", setup.folder.display()))?;
        let server = Self {
            setup,
            programs: programs.clone(),
            process: None,
        };
        let access = server.setup.folder.join("access");
        fs::write(&access, ACCESS)?;
        keeper::write(&server)?;
        let key = &server.setup.certificate.key;
        fs::set_permissions(key, fs::Permissions::from_mode(0o600))?;
        fs::create_dir_all(&server.setup.archive)?;
        for path in [&server.setup.folder, &access, key, &server.setup.archive] {
            server.own(path)?;
        }
        Ok(server)
    }

    fn own(&self, path: &Path) -> Result<()> {
        if !is_root() {
            return Ok(());
        }
        let status = Command::new("chown")
            .arg(format!("{USER}:"))
            .arg(path)
            .status()?;
        ensure!(status.success(), "cannot give {} away", path.display());
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.setup.folder.join("data")
    }

    /// Runs one of its programs to its end.
    fn run(&self, program: &Path, arguments: &[String], password: Option<&str>) -> Result<()> {
        let mut command = Command::new(&self.programs.setpriv);
        command
            .args(as_its_user())
            .arg(program)
            .args(arguments)
            .env("HOME", &self.setup.folder)
            .env("LC_ALL", "C");
        if let Some(password) = password {
            command.env("PGPASSWORD", password);
        }
        let output = command.output()?;
        ensure!(
            output.status.success(),
            "{} failed: {}",
            program.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// How another server is reached by the programs of this one: TLS verified, the password nowhere in it.
    fn conninfo(&self, source: &Self) -> String {
        let address = source.setup.address;
        format!(
            "host={} port={} user=repl sslmode=verify-full sslrootcert={}",
            address.ip(),
            address.port(),
            self.setup.root.display()
        )
    }

    fn seed_arguments(&self, source: &Self) -> Vec<String> {
        vec![
            format!("--pgdata={}", self.data().display()),
            format!("--dbname={}", self.conninfo(source)),
            "--write-recovery-conf".to_owned(),
            "--wal-method=stream".to_owned(),
            "--checkpoint=fast".to_owned(),
            "--no-password".to_owned(),
            "--no-sync".to_owned(),
        ]
    }

    fn backup_arguments(&self) -> Vec<String> {
        vec![
            "--pgdata=-".to_owned(),
            "--format=tar".to_owned(),
            "--wal-method=fetch".to_owned(),
            "--checkpoint=fast".to_owned(),
            "--no-password".to_owned(),
            format!("--dbname={}", self.conninfo(self)),
        ]
    }

    fn rewind_arguments(&self, source: &Self) -> Vec<String> {
        vec![
            format!("--target-pgdata={}", self.data().display()),
            format!("--source-server={} dbname=postgres", self.conninfo(source)),
            "--write-recovery-conf".to_owned(),
            "--no-sync".to_owned(),
        ]
    }

    fn server_arguments(&self) -> Vec<String> {
        let Setup {
            folder,
            address,
            certificate,
            archive,
            ..
        } = &self.setup;
        let mut arguments = vec![format!("-D{}", self.data().display())];
        let own = [
            ("listen_addresses", address.ip().to_string()),
            ("port", address.port().to_string()),
            ("unix_socket_directories", folder.display().to_string()),
            ("hba_file", folder.join("access").display().to_string()),
            (
                "ssl_cert_file",
                certificate.certificate.display().to_string(),
            ),
            ("ssl_key_file", certificate.key.display().to_string()),
            // Under another name until it is whole, with the time at which it was last written.
            (
                "archive_command",
                format!(
                    "cp -p %p {0}/%f.part && mv {0}/%f.part {0}/%f",
                    archive.display()
                ),
            ),
        ];
        arguments.extend(own.iter().map(|(name, value)| format!("-c{name}={value}")));
        arguments.extend(SETTINGS.map(|setting| format!("-c{setting}")));
        arguments
    }

    async fn start(&mut self) -> Result<()> {
        let name = format!("postgres {}", self.setup.name);
        let mut arguments = keeper::arguments(self);
        arguments.push(self.programs.setpriv.display().to_string());
        arguments.extend(as_its_user());
        arguments.push(self.programs.postgres.display().to_string());
        arguments.extend(self.server_arguments());
        let mut process = Process::start_with_children(
            &self.programs.setpriv,
            &name,
            Path::new("/bin/sh"),
            arguments,
            &self.setup.folder.join("log"),
        )?;
        let what = format!("{name} to answer");
        let waited = eventually(&what, LIMIT, async || {
            // An ended keeper never starts it: stop waiting with its words.
            if let Err(ended) = process.alive() {
                return Ok(Some(Err(ended)));
            }
            self.superuser("postgres").await?;
            Ok(Some(Ok(())))
        });
        let waited = waited.await;
        waited.with_context(|| process.log_end())??;
        self.process = Some(process);
        Ok(())
    }
}

/// Small, quick, and fit for being copied, rewound and dated.
const SETTINGS: [&str; 14] = [
    "shared_buffers=16MB",
    "ssl=on",
    "fsync=off",
    "hot_standby=on",
    "max_wal_senders=8",
    "wal_keep_size=256MB",
    "track_commit_timestamp=on",
    "archive_mode=on",
    "archive_timeout=1s",
    "wal_retrieve_retry_interval=200ms",
    "wal_receiver_status_interval=1s",
    "wal_receiver_timeout=5s",
    "wal_sender_timeout=5s",
    "log_connections=on",
];

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Arguments of `setpriv` before a program of the server's user.
fn as_its_user() -> Vec<String> {
    let mut arguments = Vec::new();
    if is_root() {
        arguments.extend([
            format!("--reuid={USER}"),
            format!("--regid={USER}"),
            "--clear-groups".to_owned(),
        ]);
    }
    arguments.push("--".to_owned());
    arguments
}
