//! One MariaDB server: GTID in strict mode, row-based binary log, TLS from the lab's authority. It is controlled as
//! `root` over its Unix socket, so that what the lab does to it never depends on what a run does to it. It starts
//! read-only, always: becoming writable is a decision, and a server that comes back from a crash has not taken it.
//!
//! Users, the same on every server:
//!
//! | user | may | why |
//! |---|---|---|
//! | `app` | SELECT, INSERT, UPDATE, DELETE on `wordpress` | an ordinary client: `read_only` stops it |
//! | `repl` | REPLICATION SLAVE | what the other server replicates as |
//! | `understudy` | see [`OPERATOR_GRANTS`] | what a recovery needs, without SUPER |
//!
//! All of them must use TLS. None but `understudy` has a global privilege that passes `read_only`.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use sqlx::mysql::{MySqlConnectOptions, MySqlRow, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, MySqlConnection, Row as _};

use crate::authority::Certificate;
use crate::clock::eventually;
use crate::process::Process;
use crate::programs::Programs;

/// How long a start, a stop or a crash recovery may take on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Global privileges of `understudy`, as MariaDB 10.11 names them.
///
/// READ_ONLY ADMIN sets `read_only` (and passes it, to write into a fenced server while re-seeding); REPLICATION SLAVE
/// ADMIN is `CHANGE MASTER`, `START/STOP/RESET SLAVE` and `SET GLOBAL gtid_slave_pos`; REPLICATION MASTER ADMIN is
/// seeing which replicas follow; BINLOG ADMIN is `SET sql_log_bin`; SLAVE MONITOR and BINLOG MONITOR are the two
/// `SHOW … STATUS`; PROCESS and CONNECTION ADMIN are listing and ending other users' sessions; RELOAD is `RESET MASTER`
/// and `FLUSH TABLES WITH READ LOCK`. SUPER is not among them: since 10.11 nothing here needs it.
pub const OPERATOR_GRANTS: &str = "READ_ONLY ADMIN, REPLICATION SLAVE ADMIN, REPLICATION MASTER ADMIN, BINLOG ADMIN, \
     SLAVE MONITOR, BINLOG MONITOR, PROCESS, CONNECTION ADMIN, RELOAD";

/// Schemas of which `understudy` may do everything: the application's, for write probes and for re-seeding, and one for
/// its own bookkeeping, which is never replicated.
const OPERATOR_SCHEMAS: [&str; 2] = ["wordpress", "understudy_local"];

/// Passwords of the users.
#[derive(Debug, Clone)]
pub struct Passwords {
    /// Of `root`, over the socket only.
    pub root: String,
    /// Of `app`.
    pub app: String,
    /// Of `repl`.
    pub repl: String,
    /// Of `understudy`.
    pub understudy: String,
}

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

/// How a replica stands, in the server's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// `host:port` of its source.
    pub source: String,
    /// The receiving thread runs.
    pub receiving: bool,
    /// The applying thread runs.
    pub applying: bool,
    /// Newest position received.
    pub received: String,
    /// Last error of either thread; empty for none.
    pub problem: String,
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
        server.create_users().await?;
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
        process.terminate(START_LIMIT).await.map(drop)
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
    pub async fn root(&self) -> Result<MySqlConnection> {
        self.session(&self.setup.passwords.root).await
    }

    /// A session over TCP as one of the users, TLS verified against the lab's root and the server's address.
    ///
    /// # Errors
    /// Where the server does not answer or TLS does not verify.
    pub async fn client(&self, user: &str, password: &str) -> Result<MySqlConnection> {
        let options = MySqlConnectOptions::new()
            .host(&self.setup.address.ip().to_string())
            .port(self.setup.address.port())
            .username(user)
            .password(password)
            .database("wordpress")
            .ssl_mode(MySqlSslMode::VerifyIdentity)
            .ssl_ca(&self.setup.root);
        Ok(options.connect().await?)
    }

    /// Runs statements as `root`.
    ///
    /// # Errors
    /// Where one is refused; the message holds it.
    pub async fn execute(&self, statements: &str) -> Result<()> {
        let mut session = self.root().await?;
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))
            .execute(&mut session)
            .await
            .with_context(|| format!("{} refused {statements:?}", self.setup.name))?;
        Ok(session.close().await?)
    }

    /// First column of every row, as text, as `root`.
    ///
    /// # Errors
    /// Where the query is refused; the message holds it.
    pub async fn column(&self, query: &str) -> Result<Vec<String>> {
        let mut values = Vec::new();
        for row in self.rows(query).await? {
            let text: Option<String> = row.try_get_unchecked(0)?;
            values.push(text.unwrap_or_default());
        }
        Ok(values)
    }

    /// First column of the only row, as text, as `root`.
    ///
    /// # Errors
    /// Where the query is refused or answers no row.
    pub async fn value(&self, query: &str) -> Result<String> {
        let first = self.column(query).await?.into_iter().next();
        first.with_context(|| format!("{} answers no row to {query:?}", self.setup.name))
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

    /// How its replication stands; `None` where nothing replicates into it.
    ///
    /// # Errors
    /// Where the server does not answer.
    pub async fn replica_status(&self) -> Result<Option<ReplicaStatus>> {
        let rows = self.rows("SHOW SLAVE STATUS").await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let text = |column: &str| -> Result<String> {
            Ok(row
                .try_get_unchecked::<Option<String>, _>(column)?
                .unwrap_or_default())
        };
        Ok(Some(ReplicaStatus {
            source: format!("{}:{}", text("Master_Host")?, text("Master_Port")?),
            receiving: text("Slave_IO_Running")? == "Yes",
            applying: text("Slave_SQL_Running")? == "Yes",
            received: text("Gtid_IO_Pos")?,
            problem: [text("Last_IO_Error")?, text("Last_SQL_Error")?].concat(),
        }))
    }

    /// Lets ordinary clients write, or stops them.
    ///
    /// # Errors
    /// Where the server refuses.
    pub async fn set_read_only(&self, read_only: bool) -> Result<()> {
        self.execute(&format!("SET GLOBAL read_only={}", u8::from(read_only)))
            .await
    }

    /// Makes it a replica that starts where its own history ends.
    ///
    /// # Errors
    /// Where the server refuses.
    pub async fn replicate_from(&self, source: SocketAddr) -> Result<()> {
        self.execute(&format!(
            "CHANGE MASTER TO master_host='{}', master_port={}, master_user='repl', master_password='{}', \
             master_use_gtid=slave_pos, master_connect_retry=1, master_ssl=1, master_ssl_ca='{}', \
             master_ssl_verify_server_cert=1; START SLAVE",
            source.ip(),
            source.port(),
            self.setup.passwords.repl,
            self.setup.root.display(),
        ))
        .await
    }

    /// Makes a replica apply every change this much later than its source made it; zero for at once.
    ///
    /// # Errors
    /// Where the server refuses, for example because it is no replica.
    pub async fn set_replication_delay(&self, seconds: u32) -> Result<()> {
        self.execute(&format!(
            "STOP SLAVE; CHANGE MASTER TO master_delay={seconds}; START SLAVE"
        ))
        .await
    }

    /// Stops receiving: what the source commits from now on exists only there.
    ///
    /// # Errors
    /// Where the server refuses.
    pub async fn stop_receiving(&self) -> Result<()> {
        self.execute("STOP SLAVE IO_THREAD").await
    }

    /// Receives again after [`stop_receiving`](Self::stop_receiving).
    ///
    /// # Errors
    /// Where the server refuses.
    pub async fn start_receiving(&self) -> Result<()> {
        self.execute("START SLAVE IO_THREAD").await
    }

    /// Waits until it has applied `position`.
    ///
    /// # Errors
    /// Where it has not after `limit`.
    pub async fn applied(&self, position: &str, limit: Duration) -> Result<()> {
        let wait = format!(
            "SELECT CAST(MASTER_GTID_WAIT('{position}', {}) AS CHAR)",
            limit.as_secs_f64()
        );
        if self.value(&wait).await? == "0" {
            return Ok(());
        }
        bail!(
            "{} has not applied {position} after {limit:?}: {:?}",
            self.setup.name,
            self.replica_status().await?
        )
    }

    async fn rows(&self, query: &str) -> Result<Vec<MySqlRow>> {
        let mut session = self.root().await?;
        let rows = sqlx::raw_sql(AssertSqlSafe(query.to_owned()))
            .fetch_all(&mut session)
            .await
            .with_context(|| format!("{} refused {query:?}", self.setup.name))?;
        session.close().await?;
        Ok(rows)
    }

    async fn session(&self, password: &str) -> Result<MySqlConnection> {
        let mut options = MySqlConnectOptions::new()
            .socket(self.socket())
            .username("root")
            .ssl_mode(MySqlSslMode::Disabled);
        if !password.is_empty() {
            // An empty password is not the same as none: the server refuses its proof.
            options = options.password(password);
        }
        Ok(options.connect().await?)
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
        let status = process.ended(START_LIMIT).await?;
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
        let waited = eventually(&what, START_LIMIT, async || {
            if let Some(process) = self.process.as_mut() {
                // An ended server never answers: stop waiting with its own words.
                if let Err(ended) = process.alive() {
                    return Ok(Some(Err(ended)));
                }
            }
            self.session(password).await?.close().await?;
            Ok(Some(Ok(())))
        });
        waited.await?
    }

    async fn create_users(&self) -> Result<()> {
        let Passwords {
            root,
            app,
            repl,
            understudy,
        } = &self.setup.passwords;
        let mut session = self.session("").await?;
        let schemas: String = OPERATOR_SCHEMAS
            .iter()
            .map(|schema| format!("GRANT ALL PRIVILEGES ON {schema}.* TO understudy;\n"))
            .collect();
        let statements = format!(
            "SET sql_log_bin=0;
             CREATE USER app IDENTIFIED BY '{app}' REQUIRE SSL;
             GRANT SELECT, INSERT, UPDATE, DELETE ON wordpress.* TO app;
             CREATE USER repl IDENTIFIED BY '{repl}' REQUIRE SSL;
             GRANT REPLICATION SLAVE ON *.* TO repl;
             CREATE USER understudy IDENTIFIED BY '{understudy}' REQUIRE SSL;
             GRANT {OPERATOR_GRANTS} ON *.* TO understudy;
             GRANT SELECT ON mysql.* TO understudy;
             {schemas}
             DELETE FROM mysql.global_priv WHERE User = '' OR User = 'root' AND Host <> 'localhost';
             FLUSH PRIVILEGES;
             ALTER USER root@localhost IDENTIFIED BY '{root}'"
        );
        sqlx::raw_sql(AssertSqlSafe(statements))
            .execute(&mut session)
            .await
            .with_context(|| format!("cannot create the users of {}", self.setup.name))?;
        Ok(session.close().await?)
    }
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
