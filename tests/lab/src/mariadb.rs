//! One MariaDB server: GTID in strict mode, row-based binary log, TLS from the lab's authority. It is controlled as
//! `root` over its Unix socket, so that what the lab does to it never depends on what a run does to it. It starts
//! read-only, always: becoming writable is a decision, and a server that comes back from a crash has not taken it.
//!
//! What replicates and how is in [`replication`], who may do what in [`accounts`].

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use mysql_async::{Conn, Opts, OptsBuilder, Row, SslOpts};

use crate::authority::Certificate;
use crate::clock::{LIMIT, eventually};
use crate::local::Local;
use crate::process::Process;
use crate::programs::Programs;

pub mod accounts;
pub mod replication;

pub use accounts::Passwords;
pub use replication::ReplicaStatus;

/// How a server is set up.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Name for people and for its files, for example `pz`.
    pub name: String,
    /// Folder of its own, created if missing. Its socket lies in it, so its path must stay below 90 characters.
    pub folder: PathBuf,
    /// Where it listens.
    pub address: SocketAddr,
    /// Different on every server.
    pub server_id: u32,
    /// Root of the authority.
    pub root: PathBuf,
    /// Its certificate, for its address.
    pub certificate: Certificate,
    /// The users' passwords.
    pub passwords: Passwords,
}

/// A running (or killed, or frozen) server.
#[derive(Debug)]
pub struct Server {
    setup: Setup,
    programs: Programs,
    process: Option<Process>,
}

impl Server {
    /// Makes an empty server with its users and starts it. Nothing of that is in its binary log.
    ///
    /// # Errors
    /// Where it does not start; the message quotes its log.
    pub async fn create(programs: &Programs, setup: Setup) -> Result<Self> {
        fs::create_dir_all(setup.folder.join("tmp"))
            .with_context(|| format!("cannot create {}", setup.folder.display()))?;
        let mut server = Self {
            setup,
            programs: programs.clone(),
            process: None,
        };
        server.install().await?;
        server.spawn()?;
        server.reachable("").await?;
        accounts::create(&server).await?;
        Ok(server)
    }

    /// Starts it again on the data it has, after [`kill`](Self::kill) or [`shut_down`](Self::shut_down).
    ///
    /// # Errors
    /// Where it does not start; the message quotes its log.
    pub async fn restart(&mut self) -> Result<()> {
        self.spawn()?;
        let password = self.setup.passwords.root.clone();
        self.reachable(&password).await
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// Where it is not running.
    pub fn kill(&mut self) -> Result<()> {
        let mut process = self.process.take().context("the server is not running")?;
        process.kill().map(drop)
    }

    /// An orderly end.
    ///
    /// # Errors
    /// Where it is not running or does not end.
    pub async fn shut_down(&mut self) -> Result<()> {
        let mut process = self.process.take().context("the server is not running")?;
        process.terminate(LIMIT).await.map(drop)
    }

    /// Stops it without ending it: connections stay open and nothing answers.
    ///
    /// # Errors
    /// Where it is not running.
    pub fn freeze(&self) -> Result<()> {
        self.process
            .as_ref()
            .context("the server is not running")?
            .freeze()
    }

    /// Lets it go on after [`freeze`](Self::freeze).
    ///
    /// # Errors
    /// Where it is not running.
    pub fn thaw(&self) -> Result<()> {
        self.process
            .as_ref()
            .context("the server is not running")?
            .thaw()
    }

    /// Process id, while it runs.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.setup.address
    }

    /// Whether the lab has it running.
    pub fn is_running(&mut self) -> bool {
        self.process
            .as_mut()
            .is_some_and(|process| process.alive().is_ok())
    }

    /// Its passwords.
    #[must_use]
    pub fn passwords(&self) -> &Passwords {
        &self.setup.passwords
    }

    /// A session as `root` over the socket.
    ///
    /// # Errors
    /// Where the server does not answer.
    pub async fn root(&self) -> Result<Conn> {
        self.as_root().session().await
    }

    /// A session over TCP as one of the users, TLS verified against the lab's root and the server's address.
    ///
    /// # Errors
    /// Where the server does not answer or TLS does not verify.
    pub async fn client(&self, user: &str, password: &str) -> Result<Conn> {
        let options = client_options(self.setup.address, &self.setup.root, user, password);
        Ok(Conn::new(options).await?)
    }

    /// Runs statements as `root`.
    ///
    /// # Errors
    /// Where one is refused; the message holds it.
    pub async fn execute(&self, statements: &str) -> Result<()> {
        self.as_root().execute(statements).await
    }

    /// First column of every row, as text, as `root`.
    ///
    /// # Errors
    /// Where the query is refused; the message holds it.
    pub async fn column(&self, query: &str) -> Result<Vec<String>> {
        self.as_root().column(query).await
    }

    /// First column of the only row, as text, as `root`.
    ///
    /// # Errors
    /// Where the query is refused or answers no row.
    pub async fn value(&self, query: &str) -> Result<String> {
        self.as_root().value(query).await
    }

    /// Newest position of this server's history: its own changes and those it applied.
    ///
    /// # Errors
    /// Where the server does not answer.
    pub async fn position(&self) -> Result<String> {
        self.value("SELECT @@GLOBAL.gtid_current_pos").await
    }

    /// Whether ordinary clients' writes are refused.
    ///
    /// # Errors
    /// Where the server does not answer.
    pub async fn is_read_only(&self) -> Result<bool> {
        Ok(self
            .value("SELECT IF(@@GLOBAL.read_only, '1', '0')")
            .await?
            == "1")
    }

    /// Lets ordinary clients write, or stops them.
    ///
    /// # Errors
    /// Where the server refuses.
    pub async fn set_read_only(&self, read_only: bool) -> Result<()> {
        self.execute(&format!("SET GLOBAL read_only={}", u8::from(read_only)))
            .await
    }

    /// Writes every statement it is sent to a file from now on, until it ends.
    ///
    /// # Errors
    /// Where the server refuses.
    pub async fn log_statements(&self) -> Result<()> {
        let file = self.statement_log();
        self.execute(&format!(
            "SET GLOBAL log_output='FILE', general_log_file='{}', general_log=1",
            file.display()
        ))
        .await
    }

    /// How often it was sent a statement that holds `text`, since [`log_statements`](Self::log_statements); case and
    /// spaces do not count.
    ///
    /// # Errors
    /// Where statements are not logged.
    pub fn statements_with(&self, text: &str) -> Result<usize> {
        let file = self.statement_log();
        let log = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let plain = |text: &str| -> String {
            let letters = text
                .chars()
                .filter(|letter| !letter.is_whitespace() && *letter != '`');
            letters.flat_map(char::to_lowercase).collect()
        };
        let wanted = plain(text);
        let log = String::from_utf8_lossy(&log);
        Ok(log
            .lines()
            .filter(|line| plain(line).contains(&wanted))
            .count())
    }

    fn statement_log(&self) -> PathBuf {
        self.setup.folder.join("statements.log")
    }

    async fn rows(&self, query: &str) -> Result<Vec<Row>> {
        self.as_root().rows(query).await
    }

    fn as_root(&self) -> Local {
        self.local(&self.setup.passwords.root)
    }

    fn local(&self, password: &str) -> Local {
        Local {
            name: self.setup.name.clone(),
            socket: self.socket(),
            password: password.to_owned(),
        }
    }

    fn socket(&self) -> PathBuf {
        self.setup.folder.join("sock")
    }

    /// A folder of its own: a server that starts deletes every server's temporary tables it finds in its folder.
    fn temporary_option(&self) -> String {
        format!("--tmpdir={}", self.setup.folder.join("tmp").display())
    }

    async fn install(&self) -> Result<()> {
        let mut arguments = vec![
            "--no-defaults".to_owned(),
            "--skip-test-db".to_owned(),
            "--auth-root-authentication-method=normal".to_owned(),
            format!("--datadir={}", self.data().display()),
            self.temporary_option(),
        ];
        arguments.extend(user_option());
        arguments.extend(STORAGE_OPTIONS.map(str::to_owned));
        // A script that starts a server: as a process group of its own, so that no part of it is left behind.
        let mut process = Process::start(
            &self.programs.setpriv,
            &format!("mariadb-install-db {}", self.setup.name),
            &self.programs.mariadb_install_db,
            arguments,
            &self.setup.folder.join("install.log"),
        )?;
        let status = process.ended(LIMIT).await?;
        ensure!(
            status.success(),
            "mariadb-install-db failed ({status})\n{}",
            process.log_end()
        );
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.setup.folder.join("data")
    }

    fn spawn(&mut self) -> Result<()> {
        let Setup {
            folder,
            address,
            server_id,
            root,
            certificate,
            name,
            ..
        } = &self.setup;
        let mut arguments = vec![
            "--no-defaults".to_owned(),
            format!("--datadir={}", self.data().display()),
            format!("--socket={}", self.socket().display()),
            format!("--pid-file={}", folder.join("pid").display()),
            format!("--bind-address={}", address.ip()),
            format!("--port={}", address.port()),
            format!("--server-id={server_id}"),
            format!("--ssl-ca={}", root.display()),
            format!("--ssl-cert={}", certificate.certificate.display()),
            format!("--ssl-key={}", certificate.key.display()),
        ];
        arguments.push(self.temporary_option());
        arguments.extend(user_option());
        arguments.extend(STORAGE_OPTIONS.map(str::to_owned));
        arguments.extend(SERVER_OPTIONS.map(str::to_owned));
        self.process = Some(Process::start(
            &self.programs.setpriv,
            &format!("mariadbd {name}"),
            &self.programs.mariadbd,
            arguments,
            &folder.join("log"),
        )?);
        Ok(())
    }

    async fn reachable(&mut self, password: &str) -> Result<()> {
        let what = format!("mariadbd {} to answer", self.setup.name);
        let waited = eventually(&what, LIMIT, async || {
            if let Some(process) = self.process.as_mut() {
                // An ended server never answers: stop waiting with its own words.
                if let Err(ended) = process.alive() {
                    return Ok(Some(Err(ended)));
                }
            }
            self.local(password).session().await?.disconnect().await?;
            Ok(Some(Ok(())))
        });
        waited.await?
    }
}

/// How a user reaches a server over TCP: TLS verified against `root` and the server's address.
#[must_use]
pub fn client_options(address: SocketAddr, root: &Path, user: &str, password: &str) -> Opts {
    crate::tls::install_provider();
    let tls = SslOpts::default()
        .with_disable_built_in_roots(true)
        .with_root_certs(vec![root.to_owned().into()]);
    let options = OptsBuilder::default()
        .ip_or_hostname(address.ip().to_string())
        .tcp_port(address.port())
        .user(Some(user))
        .pass(Some(password))
        .db_name(Some("wordpress"))
        // On loopback the driver would go on over the server's socket, without TLS.
        .prefer_socket(false)
        .ssl_opts(tls);
    Opts::from(options)
}

/// Small files, quick starts.
const STORAGE_OPTIONS: [&str; 3] = [
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=8M",
    "--innodb-data-file-path=ibdata1:4M:autoextend",
];

/// What makes a server fit for replication by GTID and for a crash: every commit is on disk and in the binary log.
const SERVER_OPTIONS: [&str; 11] = [
    "--read-only=1",
    "--log-bin=binlog",
    "--log-slave-updates=1",
    "--binlog-format=ROW",
    "--gtid-strict-mode=1",
    "--sync-binlog=1",
    "--innodb-flush-log-at-trx-commit=1",
    "--slave-net-timeout=5",
    "--skip-slave-start=0",
    "--skip-name-resolve",
    "--performance-schema=0",
];

/// The server refuses to run as root unless told to; changing the user would clear the signal it dies by.
fn user_option() -> Option<String> {
    rustix::process::geteuid()
        .is_root()
        .then(|| "--user=root".to_owned())
}
