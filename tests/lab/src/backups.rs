//! Backups of the databases: the programs that take and restore them, as a binding has to name them, and the service that
//! keeps the binary logs of a server while it writes them.

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use std::io::Write as _;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use crate::mariadb::Server;
use crate::pair::Pair;
use crate::process::Process;
use crate::programs::{Programs, program};

/// The package of the database's programs.
const PACKAGE: &str = "mariadb-client";

/// How long a dump or a restore may take.
const TIME_LIMIT: &str = "10m";

/// What the binding of the database has to say of backups: the provider's configuration, and the programs.
///
/// # Errors
/// Where a program is missing; the message names its package.
pub fn binding(databases: &Pair, root: &Path) -> Result<(Value, Value)> {
    let folder = &databases.backups;
    let mut programs = Map::new();
    let mut sites = Map::new();
    for (site, server) in [("pz", &databases.pz), ("bz", &databases.bz)] {
        let names = ["dump", "client", "logs"].map(|kind| format!("{kind}-{site}"));
        let [dump, client, logs] = &names;
        programs.insert(
            dump.clone(),
            json!({
                "program": program("mariadb-dump", PACKAGE)?,
                "leading": leading(server, root, "understudy", &[]),
                "arguments": [[
                    "--single-transaction", "--gtid", "--master-data=2", "--hex-blob", "--routines", "--events",
                    "--triggers", "--databases", "{name}...",
                ]],
                "secrets": { "MYSQL_PWD": { "env": "LAB_DATABASE_PASSWORD" } },
                "files": folder,
                "time-limit": TIME_LIMIT,
            }),
        );
        let quiet = ["--batch", "--binary-mode", "--max-allowed-packet=1G"];
        programs.insert(
            client.clone(),
            json!({
                "program": program("mariadb", PACKAGE)?,
                "leading": leading(server, root, "understudy", &quiet),
                "arguments": [[], ["--init-command=SET SESSION sql_log_bin=0"]],
                "secrets": { "MYSQL_PWD": { "env": "LAB_DATABASE_PASSWORD" } },
                "files": folder,
                "time-limit": TIME_LIMIT,
            }),
        );
        let (start, stop) = ("--start-position={list}", "--stop-datetime={time}");
        let (remote, last) = ("--read-from-remote-server", "--to-last-log");
        programs.insert(
            logs.clone(),
            json!({
                "program": program("mariadb-binlog", PACKAGE)?,
                "leading": leading(server, root, "repl", &[]),
                "arguments": [[start, remote, last, "{name}"], [start, stop, remote, last, "{name}"]],
                "environment": { "TZ": "UTC" },
                "secrets": { "MYSQL_PWD": { "env": "LAB_REPLICATION_PASSWORD" } },
                "files": folder,
                "time-limit": TIME_LIMIT,
            }),
        );
        let entry = json!({ "dump": dump, "client": client, "logs": logs });
        sites.insert(site.to_owned(), entry);
    }
    programs.insert(
        "kept-logs".to_owned(),
        json!({
            "program": program("mariadb-binlog", PACKAGE)?,
            "leading": ["--no-defaults"],
            "arguments": [
                ["--start-position={list}", "{name}..."],
                ["--start-position={list}", "--stop-datetime={time}", "{name}..."],
            ],
            "environment": { "TZ": "UTC" },
            "directory": folder,
            "files": folder,
            "time-limit": TIME_LIMIT,
        }),
    );
    let config = json!({
        "sites": sites,
        "kept-logs": { "program": "kept-logs", "prefixes": { "pz": "pz-", "bz": "bz-" } },
    });
    Ok((config, Value::Object(programs)))
}

/// How a server is reached: TLS verified, the password nowhere in it.
fn leading(server: &Server, root: &Path, user: &str, more: &[&str]) -> Vec<String> {
    let address = server.address();
    let mut leading = vec![
        "--no-defaults".to_owned(),
        format!("--host={}", address.ip()),
        format!("--port={}", address.port()),
        format!("--user={user}"),
        format!("--ssl-ca={}", root.display()),
        "--ssl-verify-server-cert".to_owned(),
    ];
    leading.extend(more.iter().map(|&text| text.to_owned()));
    leading
}

/// A service that copies the binary logs of a server into the folder of the backups while they are written. It ends with the
/// server, or when it is dropped; what it kept stays.
#[derive(Debug)]
pub struct LogKeeper {
    process: Process,
}

impl LogKeeper {
    /// Keeps the logs of the server of a site from its first one on.
    ///
    /// # Errors
    /// Where the program is missing or the server does not answer.
    pub async fn start(databases: &Pair, root: &Path, site: &str) -> Result<Self> {
        let server = databases.at(site).context("no such database")?;
        let logs = server.column("SHOW BINARY LOGS").await?;
        let first = logs.first().context("the server has no binary log")?;
        let address = server.address();
        let options = password_file(&databases.backups, site, &server.passwords().repl)?;
        // As a replica that nobody else is.
        let id = 1000 + u32::from(address.port());
        let arguments = [
            format!("--defaults-file={}", options.display()),
            format!("--host={}", address.ip()),
            format!("--port={}", address.port()),
            "--user=repl".to_owned(),
            format!("--ssl-ca={}", root.display()),
            "--ssl-verify-server-cert".to_owned(),
            "--read-from-remote-server".to_owned(),
            "--raw".to_owned(),
            "--stop-never".to_owned(),
            format!("--stop-never-slave-server-id={id}"),
            format!(
                "--result-file={}",
                databases.backups.join(format!("{site}-")).display()
            ),
            first.clone(),
        ];
        let process = Process::start(
            &Programs::locate()?.setpriv,
            &format!("mariadb-binlog {site}"),
            &program("mariadb-binlog", PACKAGE)?,
            arguments,
            &databases.backups.join(format!(".{site}-keeper.log")),
        )?;
        Ok(Self { process })
    }

    /// Process id.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }
}

/// A file of options with a password, for nobody else to read.
fn password_file(folder: &Path, site: &str, password: &str) -> Result<PathBuf> {
    let path = folder.join(format!(".{site}-keeper.cnf"));
    let mut file = fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)?;
    writeln!(file, "[client]\npassword={password}")?;
    Ok(path)
}
