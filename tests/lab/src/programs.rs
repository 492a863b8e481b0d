//! Where the servers' programs are. A missing one is an error that names its package, for all of them at once: a lab
//! without a server tests nothing, so nothing is skipped.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

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

/// WordPress as its package installs it.
const WORDPRESS: &str = "/usr/share/wordpress";
/// What the package keeps of it elsewhere: themes, plugins, languages.
const WORDPRESS_CONTENT: &str = "/var/lib/wordpress/wp-content";
/// The theme it comes up with, of a package of its own.
const WORDPRESS_THEME: &str = "/usr/share/wordpress/wp-content/themes/twentytwentythree";
/// Folder of a Kubernetes control plane's programs, as the tools around it agree to name it.
const KUBERNETES_VARIABLE: &str = "KUBEBUILDER_ASSETS";
/// What builds them where nobody has them, from the repository's root.
const KUBERNETES_BUILD: &str = "tests/lab/kubernetes/build";

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
        missing.refuse()?;
        Ok(programs)
    }
}

/// Where the packages of PostgreSQL put its programs, a folder for each release.
const POSTGRES: &str = "/usr/lib/postgresql";
/// The package that brings the newest of them.
const POSTGRES_PACKAGE: &str = "postgresql";

/// Programs of PostgreSQL, all of one release.
#[derive(Debug, Clone)]
pub struct PostgresPrograms {
    /// Starts a child that dies with us, and as another user.
    pub setpriv: PathBuf,
    /// Makes an empty data folder.
    pub initdb: PathBuf,
    /// The server.
    pub postgres: PathBuf,
    /// Stops it.
    pub pg_ctl: PathBuf,
    /// Says whether it lets sessions in.
    pub pg_isready: PathBuf,
    /// Copies a running server.
    pub pg_basebackup: PathBuf,
    /// Takes a server back to where another one went on.
    pub pg_rewind: PathBuf,
}

impl PostgresPrograms {
    /// Finds every program of the newest release that is installed.
    ///
    /// # Errors
    /// Names every program that is missing and the line that installs their package.
    pub fn locate() -> Result<Self> {
        let mut missing = Missing::default();
        let folder = newest(Path::new(POSTGRES)).join("bin");
        let mut program = |name: &str| {
            let path = folder.join(name);
            match path.is_file() {
                true => path,
                false => missing.note(name, POSTGRES_PACKAGE),
            }
        };
        let mut programs = Self {
            setpriv: PathBuf::new(),
            initdb: program("initdb"),
            postgres: program("postgres"),
            pg_ctl: program("pg_ctl"),
            pg_isready: program("pg_isready"),
            pg_basebackup: program("pg_basebackup"),
            pg_rewind: program("pg_rewind"),
        };
        programs.setpriv = missing.program("setpriv", "util-linux");
        missing.refuse()?;
        Ok(programs)
    }
}

/// The folder with the highest number for a name.
fn newest(parent: &Path) -> PathBuf {
    let entries = std::fs::read_dir(parent).into_iter().flatten();
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .max_by_key(number)
        .unwrap_or_default()
}

/// What the zones need besides: a control plane, WordPress and an ACME authority.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ZonePrograms {
    /// Keeps a cluster's objects.
    pub etcd: PathBuf,
    /// Serves them.
    pub kube_apiserver: PathBuf,
    /// Makes pods of deployments.
    pub kube_controller_manager: PathBuf,
    /// Serves HTTP.
    pub nginx: PathBuf,
    /// Runs WordPress.
    pub php_fpm: PathBuf,
    /// Folder of WordPress.
    pub wordpress: PathBuf,
    /// Folder of what its package keeps elsewhere.
    pub wordpress_content: PathBuf,
    /// The ACME authority.
    pub pebble: PathBuf,
    /// Sets a variable for one program.
    pub env: PathBuf,
    /// Copies folders.
    pub cp: PathBuf,
}

impl ZonePrograms {
    /// Finds every program.
    ///
    /// # Errors
    /// Names every program that is missing and what installs or builds it.
    pub fn locate() -> Result<Self> {
        let mut missing = Missing::default();
        missing.file(WORDPRESS_THEME, "wordpress-theme-twentytwentythree");
        let mut programs = Self {
            etcd: missing.program("etcd", "etcd-server"),
            kube_apiserver: PathBuf::new(),
            kube_controller_manager: PathBuf::new(),
            nginx: missing.program("nginx", "nginx-light"),
            php_fpm: missing.program("php-fpm8.2", "php8.2-fpm"),
            wordpress: missing.file(WORDPRESS, "wordpress"),
            wordpress_content: missing.file(WORDPRESS_CONTENT, "wordpress"),
            pebble: missing.program("pebble", "pebble"),
            env: missing.program("env", "coreutils"),
            cp: missing.program("cp", "coreutils"),
        };
        missing.refuse()?;
        let assets = assets(KUBERNETES_VARIABLE, "kubernetes")?;
        for (program, name) in [
            (&mut programs.kube_apiserver, "kube-apiserver"),
            (
                &mut programs.kube_controller_manager,
                "kube-controller-manager",
            ),
        ] {
            *program = assets.join(name);
            ensure!(
                program.is_file(),
                "the lab needs {}: run {KUBERNETES_BUILD}, or let {KUBERNETES_VARIABLE} name a folder that has it",
                program.display()
            );
        }
        Ok(programs)
    }
}

/// Where programs are that no package installs: as told by a variable, or where `name` is kept.
fn assets(variable: &str, name: &str) -> Result<PathBuf> {
    let folder = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(assets) = folder(variable) {
        return Ok(assets.into());
    }
    let cache = match folder("XDG_CACHE_HOME") {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(folder("HOME").context("HOME is not set")?).join(".cache"),
    };
    Ok(cache.join("understudy-lab").join(name))
}

/// Folder of a MySQL server, as [`MYSQL_BUILD`] keeps it.
const MYSQL_VARIABLE: &str = "UNDERSTUDY_MYSQL";
/// What fetches it where nobody has it, from the repository's root.
const MYSQL_BUILD: &str = "tests/lab/mysql/build";

/// Programs of MySQL, all of one release.
#[derive(Debug, Clone)]
pub struct MysqlPrograms {
    /// Starts a child that dies with us.
    pub setpriv: PathBuf,
    /// Copies folders.
    pub cp: PathBuf,
    /// The server.
    pub mysqld: PathBuf,
    /// The client.
    pub mysql: PathBuf,
    /// Reads binary logs.
    pub mysqlbinlog: PathBuf,
    /// Folder of the server's plugins.
    pub plugins: PathBuf,
    /// Folder of its messages and character sets.
    pub share: PathBuf,
}

impl MysqlPrograms {
    /// Finds every program.
    ///
    /// # Errors
    /// Names what is missing and what installs or fetches it.
    pub fn locate() -> Result<Self> {
        let mut missing = Missing::default();
        let setpriv = missing.program("setpriv", "util-linux");
        let cp = missing.program("cp", "coreutils");
        missing.refuse()?;
        let folder = assets(MYSQL_VARIABLE, "mysql")?;
        let part = |name: &str| {
            let path = folder.join(name);
            ensure!(
                path.exists(),
                "the lab needs {}: run {MYSQL_BUILD}, or let {MYSQL_VARIABLE} name a folder that has it",
                path.display()
            );
            Ok(path)
        };
        Ok(Self {
            setpriv,
            cp,
            mysqld: part("bin/mysqld")?,
            mysql: part("bin/mysql")?,
            mysqlbinlog: part("bin/mysqlbinlog")?,
            plugins: part("lib/plugin")?,
            share: part("share")?,
        })
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

/// Path of Terraform, where it is in none of the folders that are searched.
const TERRAFORM_VARIABLE: &str = "UNDERSTUDY_TERRAFORM";

/// Terraform: as told, or as it is found. No package of Debian holds it.
///
/// # Errors
/// Says where it comes from where it is missing.
pub fn terraform() -> Result<PathBuf> {
    let told = std::env::var_os(TERRAFORM_VARIABLE).filter(|value| !value.is_empty());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(FOLDERS.map(PathBuf::from));
    let found = match told {
        Some(told) => Some(PathBuf::from(told)).filter(|path| path.is_file()),
        None => folders
            .map(|folder| folder.join("terraform"))
            .find(|path| path.is_file()),
    };
    found.with_context(|| {
        format!(
            "cannot find terraform, 1.5 or later, which Debian does not package: put the program of its makers \
             (https://developer.hashicorp.com/terraform/install) on PATH, or let {TERRAFORM_VARIABLE} name it"
        )
    })
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
        if Path::new(path).exists() {
            PathBuf::from(path)
        } else {
            self.note(path, package)
        }
    }

    /// An error where anything is missing.
    fn refuse(mut self) -> Result<()> {
        self.packages.sort_unstable();
        self.packages.dedup();
        ensure!(
            self.names.is_empty(),
            "the lab needs real servers and cannot find {}; as root: \
             apt-get install -y --no-install-recommends {}",
            self.names.join(", "),
            self.packages.join(" ")
        );
        Ok(())
    }

    fn note(&mut self, name: &str, package: &'static str) -> PathBuf {
        self.names.push(name.to_owned());
        self.packages.push(package);
        PathBuf::new()
    }
}
