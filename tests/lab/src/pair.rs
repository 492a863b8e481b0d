//! Two MariaDB servers of which one replicates from the other: the database of the service at its two sites.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::authority::Authority;
use crate::clock::LIMIT;
use crate::mariadb::{Passwords, Server, Setup};
use crate::programs::Programs;
use crate::secret;

/// The application's database.
const DATABASE: &str = "CREATE DATABASE wordpress CHARACTER SET utf8mb4";
/// Tables of the lab's own application. A row of `posts` is numbered by whoever writes it, so that a missing one can
/// be named.
pub const TABLES: &str = "CREATE TABLE wordpress.posts (
        id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        number BIGINT UNSIGNED NULL UNIQUE,
        title VARCHAR(200) NOT NULL,
        site VARCHAR(16) NOT NULL,
        written_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
    ) ENGINE=InnoDB;
    CREATE TABLE wordpress.media (
        id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        name VARCHAR(200) NOT NULL,
        body BLOB NOT NULL,
        written_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
    ) ENGINE=InnoDB;";

/// The servers of both sites.
#[derive(Debug)]
pub struct Pair {
    /// At the primary site: writable.
    pub pz: Server,
    /// At the backup site: read-only, replicating from `pz`.
    pub bz: Server,
    /// Folder for backups of both.
    pub backups: PathBuf,
}

impl Pair {
    /// Starts both, lets `bz` replicate from `pz` by GTID over verified TLS, and creates the database on `pz`, and in
    /// it what `tables` says, so that a pair that came up has replicated something.
    ///
    /// # Errors
    /// Where a server does not start or replication does not deliver the schema.
    pub async fn start(
        programs: &Programs,
        authority: &Authority,
        folder: &Path,
        [pz, bz]: [SocketAddr; 2],
        tables: &str,
    ) -> Result<Self> {
        let passwords = Passwords {
            root: secret::fresh()?,
            app: secret::fresh()?,
            repl: secret::fresh()?,
            understudy: secret::fresh()?,
        };
        let setup = |name: &str, address: SocketAddr, server_id: u32| -> Result<Setup> {
            Ok(Setup {
                name: name.to_owned(),
                folder: folder.join(name),
                address,
                server_id,
                root: authority.root().to_owned(),
                certificate: authority
                    .issue(&format!("mariadb-{name}"), &[&address.ip().to_string()])?,
                passwords: passwords.clone(),
            })
        };
        let (pz, bz) = tokio::try_join!(
            Server::create(programs, setup("pz", pz, 1)?),
            Server::create(programs, setup("bz", bz, 2)?),
        )?;
        bz.replicate_from(pz.address()).await?;
        pz.execute(DATABASE).await?;
        if !tables.is_empty() {
            pz.execute(tables).await?;
        }
        pz.set_read_only(false).await?;
        bz.applied(&pz.position().await?, LIMIT).await?;
        let backups = folder.join("backups");
        fs::create_dir_all(&backups)?;
        Ok(Self { pz, bz, backups })
    }

    /// The server of a site, `pz` or `bz`.
    #[must_use]
    pub fn at(&self, site: &str) -> Option<&Server> {
        match site {
            "pz" => Some(&self.pz),
            "bz" => Some(&self.bz),
            _ => None,
        }
    }
}
