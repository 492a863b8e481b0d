//! Where the servers' programs are. A missing one is an error that names its package, for all of them at once: a lab
//! without a server tests nothing, so nothing is skipped.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// Folders searched, in this order: administrators' programs are not in every user's `PATH`.
const FOLDERS: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// Schema of the PowerDNS zone database, from the package so that it fits the server.
const PDNS_SCHEMA: &str = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql";

/// The servers' programs.
#[derive(Debug, Clone)]
pub struct Programs {
    /// Starts a child that dies with us.
    pub setpriv: PathBuf,
    /// The database server.
    pub mariadbd: PathBuf,
    /// Makes an empty data folder.
    pub mariadb_install_db: PathBuf,
    /// The authoritative name server.
    pub pdns_server: PathBuf,
    /// Schema of its zone database.
    pub pdns_schema: PathBuf,
    /// The caching resolver.
    pub pdns_recursor: PathBuf,
}

impl Programs {
    /// Finds every program.
    ///
    /// # Errors
    /// Names every program that is missing and the line that installs their packages.
    pub fn locate() -> Result<Self> {
        let mut missing = Missing::default();
        let programs = Self {
            setpriv: missing.program("setpriv", "util-linux"),
            mariadbd: missing.program("mariadbd", "mariadb-server"),
            mariadb_install_db: missing.program("mariadb-install-db", "mariadb-server"),
            pdns_server: missing.program("pdns_server", "pdns-server"),
            pdns_schema: missing.file(PDNS_SCHEMA, "pdns-backend-sqlite3"),
            pdns_recursor: missing.program("pdns_recursor", "pdns-recursor"),
        };
        if !missing.names.is_empty() {
            missing.packages.sort_unstable();
            missing.packages.dedup();
            bail!(
                "the lab needs real servers and cannot find {}; as root: \
                 apt-get install -y --no-install-recommends {}",
                missing.names.join(", "),
                missing.packages.join(" ")
            );
        }
        Ok(programs)
    }
}

/// One program that not every lab needs.
///
/// # Errors
/// Names its package where it is missing.
pub fn program(name: &str, package: &'static str) -> Result<PathBuf> {
    let mut missing = Missing::default();
    let found = missing.program(name, package);
    if missing.names.is_empty() {
        return Ok(found);
    }
    bail!("cannot find {name}; as root: apt-get install -y --no-install-recommends {package}")
}

/// What was not found.
#[derive(Default)]
struct Missing {
    names: Vec<String>,
    packages: Vec<&'static str>,
}

impl Missing {
    fn program(&mut self, name: &str, package: &'static str) -> PathBuf {
        let found = FOLDERS
            .iter()
            .map(|folder| Path::new(folder).join(name))
            .find(|path| path.is_file());
        found.unwrap_or_else(|| self.note(name, package))
    }

    fn file(&mut self, path: &str, package: &'static str) -> PathBuf {
        if Path::new(path).is_file() {
            PathBuf::from(path)
        } else {
            self.note(path, package)
        }
    }

    fn note(&mut self, name: &str, package: &'static str) -> PathBuf {
        self.names.push(name.to_owned());
        self.packages.push(package);
        PathBuf::new()
    }
}
