//! One MySQL server as a vendor runs it for others: GTIDs, a row-based binary log, TLS and nothing without it, tables only
//! with a primary key, users without SUPER. It is controlled as `root` over its Unix socket.
//!
//! It begins empty or on a copy of another one's data ([`Server::copy_to`]), and is gone when it is dropped. What follows
//! what, and what is kept as a backup, is for whoever runs several: [`crate::vendor::digitalocean`].

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

use crate::authority::Certificate;
use crate::clock::{LIMIT, eventually};
use crate::local::{Local, text};
use crate::process::Process;
use crate::programs::MysqlPrograms;
use crate::secret;

/// Schema of the application.
pub const DATABASE: &str = "wordpress";

/// Global privileges of `understudy`: what the provider `digitalocean` says that it needs, and nothing else.
pub const OPERATOR_GRANTS: &str =
    "PROCESS, REPLICATION CLIENT, CONNECTION_ADMIN, SYSTEM_VARIABLES_ADMIN";

/// How a server is set up.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Name for people.
    pub name: String,
    /// Folder of its own, which exists. Its socket lies in it, so its path must stay below 90 characters.
    pub folder: PathBuf,
    /// Where it listens.
    pub address: SocketAddr,
    /// Different on every server.
    pub server_id: u32,
    /// Whether it begins by refusing every write.
    pub read_only: bool,
    /// Root of the authority.
    pub root: PathBuf,
    /// Its certificate, for its address.
    pub certificate: Certificate,
}

/// Passwords of its users, whom a copy has as well.
#[derive(Debug, Clone)]
pub struct Passwords {
    /// Of `app`, an ordinary client.
    pub app: String,
    /// Of `repl`, as which servers replicate.
    pub repl: String,
    /// Of `understudy`, see [`OPERATOR_GRANTS`].
    pub understudy: String,
}

impl Passwords {
    /// New ones.
    ///
    /// # Errors
    /// Where the kernel gives no randomness.
    pub fn fresh() -> Result<Self> {
        Ok(Self {
            app: secret::fresh()?,
            repl: secret::fresh()?,
            understudy: secret::fresh()?,
        })
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    setup: Setup,
    programs: MysqlPrograms,
    process: Process,
}

impl Server {
    /// Makes an empty server with its users and the application's schema, and starts it.
    ///
    /// # Errors
    /// Where it does not start; the message quotes its log.
    pub async fn create(
        programs: &MysqlPrograms,
        setup: Setup,
        passwords: &Passwords,
    ) -> Result<Self> {
        let mut arguments = arguments(programs, &setup);
        arguments.push("--initialize-insecure".to_owned());
        let mut process = Process::start(
            &programs.setpriv,
            &format!("mysqld --initialize {}", setup.name),
            &programs.mysqld,
            arguments,
            &setup.folder.join("install.log"),
        )?;
        let status = process.ended(LIMIT).await?;
        ensure!(
            status.success(),
            "mysqld --initialize failed ({status})\n{}",
            process.log_end()
        );
        let server = Self::start(programs, setup).await?;
        let Passwords {
            app,
            repl,
            understudy,
        } = passwords;
        let accounts = format!(
            "CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4;
             CREATE USER app IDENTIFIED BY '{app}';
             GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX ON {DATABASE}.* TO app;
             CREATE USER repl IDENTIFIED BY '{repl}';
             GRANT REPLICATION SLAVE ON *.* TO repl;
             CREATE USER understudy IDENTIFIED BY '{understudy}';
             GRANT {OPERATOR_GRANTS} ON *.* TO understudy;
             GRANT ALL PRIVILEGES ON {DATABASE}.* TO understudy"
        );
        server.execute(&accounts).await?;
        Ok(server)
    }

    /// Starts one on the data that lies in its folder.
    ///
    /// # Errors
    /// Where it does not start; the message quotes its log.
    pub async fn start(programs: &MysqlPrograms, setup: Setup) -> Result<Self> {
        let mut arguments = arguments(programs, &setup);
        let Setup {
            folder,
            address,
            server_id,
            root,
            certificate,
            read_only,
            name,
        } = &setup;
        arguments.extend([
            format!("--socket={}", socket(folder).display()),
            format!("--pid-file={}", folder.join("pid").display()),
            format!("--bind-address={}", address.ip()),
            format!("--port={}", address.port()),
            format!("--server-id={server_id}"),
            format!("--super-read-only={}", u8::from(*read_only)),
            format!("--ssl-ca={}", root.display()),
            format!("--ssl-cert={}", certificate.certificate.display()),
            format!("--ssl-key={}", certificate.key.display()),
        ]);
        arguments.extend(SERVER_OPTIONS.map(str::to_owned));
        let process = Process::start(
            &programs.setpriv,
            &format!("mysqld {name}"),
            &programs.mysqld,
            arguments,
            &folder.join("log"),
        )?;
        let mut server = Self {
            programs: programs.clone(),
            process,
            setup,
        };
        server.reachable().await?;
        Ok(server)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.setup.address
    }

    /// Runs statements as `root`.
    ///
    /// # Errors
    /// Where one is refused; the message holds it.
    pub async fn execute(&self, statements: &str) -> Result<()> {
        self.local().execute(statements).await
    }

    /// First column of the first row, as text, as `root`.
    ///
    /// # Errors
    /// Where the query is refused or answers no row.
    pub async fn value(&self, query: &str) -> Result<String> {
        self.local().value(query).await
    }

    /// Copies what it holds to a folder that is not there yet, while it goes on.
    ///
    /// # Errors
    /// Where the server refuses.
    pub async fn copy_to(&self, folder: &Path) -> Result<()> {
        let statement = format!("CLONE LOCAL DATA DIRECTORY = '{}'", folder.display());
        self.execute(&statement).await
    }

    /// Makes it a replica that starts where its own history ends, and waits until it runs.
    ///
    /// # Errors
    /// Where it refuses or does not run.
    pub async fn follow(&self, source: SocketAddr, passwords: &Passwords) -> Result<()> {
        self.execute(&format!(
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST='{}', SOURCE_PORT={}, SOURCE_USER='repl', SOURCE_PASSWORD='{}', \
             SOURCE_SSL=1, SOURCE_SSL_CA='{}', SOURCE_SSL_VERIFY_SERVER_CERT=1, SOURCE_AUTO_POSITION=1, \
             SOURCE_CONNECT_RETRY=1; START REPLICA",
            source.ip(),
            source.port(),
            passwords.repl,
            self.setup.root.display(),
        ))
        .await?;
        let what = format!("{} to replicate", self.setup.name);
        eventually(&what, LIMIT, async || {
            let rows = self.local().rows("SHOW REPLICA STATUS").await?;
            let row = rows.first().context("it is no replica")?;
            let runs = |column| Ok::<bool, anyhow::Error>(text(row, column)? == "Yes");
            if runs("Replica_IO_Running")? && runs("Replica_SQL_Running")? {
                return Ok(Some(()));
            }
            anyhow::bail!("{}", text(row, "Last_IO_Error")?)
        })
        .await
    }

    /// Ends its being a replica, once what it has received is applied, and lets everybody write.
    ///
    /// # Errors
    /// Where it refuses.
    pub async fn take_over(&self) -> Result<()> {
        self.execute("STOP REPLICA IO_THREAD").await?;
        let received = self.local().rows("SHOW REPLICA STATUS").await?;
        let received = received.first().context("it is no replica")?;
        let received = text(received, "Retrieved_Gtid_Set")?;
        let wait = format!(
            "SELECT WAIT_FOR_EXECUTED_GTID_SET('{received}', {})",
            LIMIT.as_secs()
        );
        let left = self.value(&wait).await?;
        ensure!(
            left == "0",
            "{} has not applied {received}",
            self.setup.name
        );
        self.execute("STOP REPLICA; RESET REPLICA ALL; SET GLOBAL read_only = 0")
            .await
    }

    /// Begins another file of its binary log: those before it change no more.
    ///
    /// # Errors
    /// Where it refuses.
    pub async fn rotate(&self) -> Result<()> {
        self.execute("FLUSH BINARY LOGS").await
    }

    /// Applies binary logs, up to an instant (`YYYY-MM-DD hh:mm:ss` in UTC) where one is given. What it has already is
    /// passed over.
    ///
    /// # Errors
    /// Where a log cannot be read or a change is refused.
    pub async fn apply(&self, logs: &[PathBuf], until: Option<&str>) -> Result<()> {
        let mut reader = Command::new(&self.programs.mysqlbinlog);
        reader.arg("--no-defaults").args(logs).env("TZ", "UTC");
        if let Some(until) = until {
            reader.arg(format!("--stop-datetime={until}"));
        }
        let errors = || fs::File::create(self.setup.folder.join("apply.log"));
        let mut reading = reader
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors()?)
            .kill_on_drop(true)
            .spawn()?;
        let read: Stdio = reading
            .stdout
            .take()
            .context("mysqlbinlog has no output")?
            .try_into()?;
        let applied = Command::new(&self.programs.mysql)
            .args(["--no-defaults", "--user=root"])
            .arg(format!("--socket={}", socket(&self.setup.folder).display()))
            .stdin(read)
            .kill_on_drop(true)
            .output()
            .await?;
        let said = String::from_utf8_lossy(&applied.stderr);
        ensure!(applied.status.success(), "mysql refused a log: {said}");
        ensure!(reading.wait().await?.success(), "mysqlbinlog failed");
        Ok(())
    }

    fn local(&self) -> Local {
        Local {
            name: self.setup.name.clone(),
            socket: socket(&self.setup.folder),
            password: String::new(),
        }
    }

    async fn reachable(&mut self) -> Result<()> {
        let what = format!("mysqld {} to answer", self.setup.name);
        let local = self.local();
        let waited = eventually(&what, LIMIT, async || {
            // An ended server never answers: stop waiting with its own words.
            if let Err(ended) = self.process.alive() {
                return Ok(Some(Err(ended)));
            }
            local.session().await?.disconnect().await?;
            Ok(Some(Ok(())))
        });
        waited.await?
    }
}

/// Files of a binary log, in order, below the folder of a server.
///
/// # Errors
/// Where the folder cannot be read.
pub fn logs(folder: &Path) -> Result<Vec<PathBuf>> {
    let data = data(folder);
    let entries = fs::read_dir(&data).with_context(|| format!("cannot read {}", data.display()))?;
    let mut logs = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let numbered = path.extension().and_then(|number| number.to_str());
        let is_log = path.file_stem().is_some_and(|stem| stem == LOG);
        if is_log && numbered.is_some_and(|number| number != "index") {
            logs.push(path);
        }
    }
    logs.sort();
    Ok(logs)
}

/// Where the data of a server lies, below its folder.
#[must_use]
pub fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("sock")
}

/// What an empty server is made with and every server started.
fn arguments(programs: &MysqlPrograms, setup: &Setup) -> Vec<String> {
    let mut arguments = vec![
        "--no-defaults".to_owned(),
        format!("--plugin-dir={}", programs.plugins.display()),
        format!("--lc-messages-dir={}", programs.share.display()),
        format!(
            "--character-sets-dir={}",
            programs.share.join("charsets").display()
        ),
        format!("--datadir={}", data(&setup.folder).display()),
        format!("--tmpdir={}", setup.folder.display()),
    ];
    // The server refuses to run as root unless told to; changing the user would clear the signal it dies by.
    if rustix::process::geteuid().is_root() {
        arguments.push("--user=root".to_owned());
    }
    arguments.extend(STORAGE_OPTIONS.map(str::to_owned));
    arguments
}

/// Name of the files of the binary log, without their numbers.
const LOG: &str = "binlog";

/// Small files, quick starts.
const STORAGE_OPTIONS: [&str; 3] = [
    "--innodb-buffer-pool-size=32M",
    "--innodb-redo-log-capacity=8M",
    "--secure-file-priv=NULL",
];

/// What a managed server is fit for: replication by GTID, a crash, and copies while it runs.
const SERVER_OPTIONS: [&str; 12] = [
    "--gtid-mode=ON",
    "--enforce-gtid-consistency=ON",
    "--log-bin=binlog",
    "--sync-binlog=1",
    "--innodb-flush-log-at-trx-commit=1",
    "--replica-net-timeout=5",
    "--require-secure-transport=ON",
    "--sql-require-primary-key=ON",
    "--plugin-load-add=mysql_clone.so",
    "--skip-name-resolve",
    "--mysqlx=OFF",
    "--performance-schema=OFF",
];
