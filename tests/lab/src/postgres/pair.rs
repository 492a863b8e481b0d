//! Two PostgreSQL servers of which one replicates from the other, and what a binding has to say of them.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::{DATABASE, Passwords, Server, Setup, as_its_user, keeper};
use crate::authority::Authority;
use crate::clock::LIMIT;
use crate::programs::PostgresPrograms;
use crate::secret;

/// Folder in which the provider keeps how far a copy is.
const COPIES: &str = "postgres-copies";

/// How long a copy may take.
const TIME_LIMIT: &str = "10m";

/// What a restored server may be told of where to stop.
const AT_ONCE: &str = "--expression=$a recovery_target = 'immediate'";
/// The same of an instant.
const AT_AN_INSTANT: &str = "--expression=$a recovery_target_time = '{time} UTC'";

/// Tables of the lab's own application, as it owns them itself. What `crate::pair::TABLES` is for MariaDB.
pub const TABLES: &str = "SET ROLE app;
    CREATE TABLE posts (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        number bigint UNIQUE,
        title varchar(200) NOT NULL,
        site varchar(16) NOT NULL,
        written_at timestamptz NOT NULL DEFAULT clock_timestamp()
    );
    CREATE TABLE media (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name varchar(200) NOT NULL,
        body bytea NOT NULL,
        written_at timestamptz NOT NULL DEFAULT clock_timestamp()
    );";

/// The servers of both sites.
#[derive(Debug)]
pub struct Pair {
    /// At the primary site: the writer.
    pub pz: Server,
    /// At the backup site: replicates from `pz`.
    pub bz: Server,
    folder: PathBuf,
    root: PathBuf,
}

impl Pair {
    /// Starts both in `folder`, which their user has to be able to reach, and runs `statements` on `pz`.
    ///
    /// # Errors
    /// Where a program is missing, or a server does not start.
    pub async fn start(
        authority: &Authority,
        folder: &Path,
        [pz, bz]: [SocketAddr; 2],
        statements: &str,
    ) -> Result<Self> {
        let programs = PostgresPrograms::locate()?;
        // Another user passes through, and lists nothing.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o711))?;
        let passwords = Passwords {
            superuser: secret::fresh()?,
            app: secret::fresh()?,
            repl: secret::fresh()?,
            understudy: secret::fresh()?,
        };
        let archive = |name: &str| folder.join(format!("postgres-archive-{name}"));
        let setup = |name: &str, other: &str, address: SocketAddr| -> Result<Setup> {
            Ok(Setup {
                name: name.to_owned(),
                folder: folder.join(format!("postgres-{name}")),
                address,
                root: authority.root().to_owned(),
                certificate: authority
                    .issue(&format!("postgres-{name}"), &[&address.ip().to_string()])?,
                archive: archive(name),
                restores_from: archive(other),
                passwords: passwords.clone(),
            })
        };
        fs::create_dir_all(folder.join(COPIES))?;
        let pz = Server::create(&programs, setup("pz", "bz", pz)?).await?;
        let bz = Server::copy(&programs, setup("bz", "pz", bz)?, &pz).await?;
        pz.execute(statements).await?;
        bz.applied(&pz, LIMIT).await?;
        Ok(Self {
            pz,
            bz,
            folder: folder.to_owned(),
            root: authority.root().to_owned(),
        })
    }

    /// Secrets by the name of the environment variable in which a host should find them.
    #[must_use]
    pub fn credentials(&self) -> BTreeMap<String, String> {
        let passwords = self.pz.passwords();
        [
            ("LAB_POSTGRES_PASSWORD", &passwords.understudy),
            ("LAB_POSTGRES_APP_PASSWORD", &passwords.app),
            ("LAB_POSTGRES_REPLICATION_PASSWORD", &passwords.repl),
        ]
        .into_iter()
        .map(|(name, secret)| (name.to_owned(), secret.clone()))
        .collect()
    }

    /// A binding of the provider `postgres`; `config` is added to its configuration.
    #[must_use]
    pub fn binding(&self, config: &Value) -> Value {
        let connection = |server: &Server, user: &str, variable: &str| {
            json!({
                "engine": "postgres",
                "host": server.address().ip().to_string(),
                "port": server.address().port(),
                "user": user,
                "password": { "env": variable },
                "database": DATABASE,
            })
        };
        let (operator, app) = ("LAB_POSTGRES_PASSWORD", "LAB_POSTGRES_APP_PASSWORD");
        let mut programs = Map::new();
        let mut servers = Map::new();
        let mut backups = Map::new();
        for (site, server, other, source) in [
            ("pz", &self.pz, "bz", &self.bz),
            ("bz", &self.bz, "pz", &self.pz),
        ] {
            let of = |kind: &str| format!("{kind}-{site}");
            servers.insert(
                site.to_owned(),
                json!({
                    "stop": of("stop"), "restart": of("restart"), "standby": of("standby"), "clear": of("clear"),
                    "follow": { other: { "rewind": of("rewind"), "seed": of("seed") } },
                }),
            );
            let programs_of = json!({
                "take": of("backup"), "unpack": of("unpack"), "detach": of("detach"),
                "archive": { "list": of("archived"), "target": of("target") },
            });
            backups.insert(site.to_owned(), programs_of);
            for (kind, command) in commands(server, source) {
                let arguments = match kind {
                    "target" => json!([[], [AT_ONCE], [AT_AN_INSTANT]]),
                    _ => json!([[]]),
                };
                programs.insert(of(kind), self.program(server, command, &arguments));
            }
        }
        let mut all = json!({
            "connections": { "pz": "pz", "bz": "bz" },
            "client-connections": { "pz": "pz-client", "bz": "bz-client" },
            "servers": servers,
            "backups": backups,
        });
        if let (Some(all), Some(more)) = (all.as_object_mut(), config.as_object()) {
            all.extend(more.clone());
        }
        json!({
            "contract": "understudy:database/database@0.1.0",
            "plugin": "postgres",
            "config": all,
            "programs": programs,
            "connections": {
                "pz": connection(&self.pz, "understudy", operator),
                "bz": connection(&self.bz, "understudy", operator),
                "pz-client": connection(&self.pz, "app", app),
                "bz-client": connection(&self.bz, "app", app),
            },
            "trust": [self.root],
        })
    }

    /// A program on the machine of a server, as a binding has it, with the patterns of what it may be given.
    fn program(&self, server: &Server, command: Vec<String>, arguments: &Value) -> Value {
        json!({
            "program": keeper::on_path(&server.setup.folder),
            "leading": command,
            "arguments": arguments,
            "environment": { "HOME": server.setup.folder, "LC_ALL": "C" },
            "secrets": { "PGPASSWORD": { "env": "LAB_POSTGRES_REPLICATION_PASSWORD" } },
            "files": self.folder.join(COPIES),
            "time-limit": TIME_LIMIT,
        })
    }
}

/// The commands for a server, by what the provider calls them.
fn commands(server: &Server, source: &Server) -> [(&'static str, Vec<String>); 11] {
    let control = keeper::control_path(&server.setup.folder)
        .display()
        .to_string();
    let as_user = |program: &Path, arguments: Vec<String>| {
        let mut command = vec![server.programs.setpriv.display().to_string()];
        command.extend(as_its_user());
        command.push(program.display().to_string());
        command.extend(arguments);
        command
    };
    let tool = |program: &str, arguments: &[&str]| {
        let arguments = arguments.iter().map(|&argument| argument.to_owned());
        as_user(Path::new(program), arguments.collect())
    };
    let data = server.data().display().to_string();
    let mark = format!("{data}/standby.signal");
    let settings = format!("{data}/postgresql.auto.conf");
    let archive = server.setup.restores_from.display().to_string();
    let restore = format!("--expression=$a restore_command = 'cp {archive}/%f %p'");
    let own = "/^primary_conninfo/d; /^restore_command/d; /^recovery_target/d";
    let (find, sed) = ("/usr/bin/find", "/usr/bin/sed");
    let files = ["-maxdepth", "1", "-type", "f", "-printf", "%T@ %f\\n"];
    let programs = &server.programs;
    [
        ("stop", vec![control.clone(), "stop".to_owned()]),
        ("restart", vec![control, "restart".to_owned()]),
        ("standby", tool("/usr/bin/touch", &[&mark])),
        ("clear", tool(find, &[&data, "-mindepth", "1", "-delete"])),
        (
            "rewind",
            as_user(&programs.pg_rewind, server.rewind_arguments(source)),
        ),
        (
            "seed",
            as_user(&programs.pg_basebackup, server.seed_arguments(source)),
        ),
        (
            "backup",
            as_user(&programs.pg_basebackup, server.backup_arguments()),
        ),
        ("unpack", tool("/usr/bin/tar", &["-x", "-C", &data])),
        ("detach", tool(sed, &["-i", own, &settings])),
        ("target", tool(sed, &["-i", &restore, &settings])),
        (
            "archived",
            tool(find, &[&[archive.as_str()], &files[..]].concat()),
        ),
    ]
}
