//! The servers behind the stand-in: each cluster and each replica is a MySQL server of its own, at a port of the vendor's.
//!
//! A replica is a copy of its source that replicates by GTID; a backup is a copy that is kept; a restored cluster is a
//! backup's copy with the binary logs of its source applied, up to the second that was asked for. What takes time is
//! [`Work`], and is looked at by whoever lists the clusters.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use futures_util::FutureExt as _;
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};

use super::door::{Door, Way};
use crate::authority::{Authority, Certificate};
use crate::mysql::{self, Passwords, Server, Setup};
use crate::ports::address;
use crate::programs::MysqlPrograms;

/// Where everything is.
const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The time as the API writes it.
const NOW: &str = "SELECT DATE_FORMAT(UTC_TIMESTAMP(), '%Y-%m-%dT%H:%i:%sZ')";

/// Servers, and the ports that lead to them.
#[derive(Debug)]
pub struct Estate {
    programs: MysqlPrograms,
    folder: PathBuf,
    root: PathBuf,
    certificate: Certificate,
    passwords: Passwords,
    doors: BTreeMap<String, Door>,
    made: u32,
}

/// Something that takes time; it ends with whoever holds it.
#[derive(Debug)]
pub(super) struct Work<T> {
    task: JoinHandle<Result<T>>,
    /// Gone when nobody waits for it any more.
    _held: oneshot::Sender<()>,
}

/// A server, or one that is being made.
#[derive(Debug)]
pub(super) struct Machine {
    place: Arc<Place>,
    work: Option<Work<()>>,
}

/// A server with its folder, which goes after it.
#[derive(Debug)]
struct Place {
    server: Mutex<Option<Server>>,
    address: SocketAddr,
    folder: TempDir,
}

/// What a server held at an instant.
#[derive(Debug, Clone)]
pub(super) struct Backup {
    /// When it was taken, as the API writes it.
    pub(super) taken_at: String,
    folder: Arc<TempDir>,
}

/// What a restored cluster shall hold.
#[derive(Debug)]
pub(super) struct Restored {
    /// The newest backup that is old enough.
    pub(super) backup: Backup,
    /// What comes after it: none for nothing, else up to an instant where one is given.
    pub(super) logs: Option<Option<String>>,
}

impl<T: Send + 'static> Work<T> {
    /// On a thread of its own: what waits for servers does not go from one thread to another.
    fn begin<F: Future<Output = Result<T>>>(work: impl FnOnce() -> F + Send + 'static) -> Self {
        let (held, dropped) = oneshot::channel::<()>();
        let runtime = Handle::current();
        let task = spawn_blocking(move || {
            runtime.block_on(async {
                tokio::select! {
                    done = work() => done,
                    _ = dropped => bail!("nobody waits for it"),
                }
            })
        });
        Self { task, _held: held }
    }

    /// What came of it, once it is over.
    pub(super) fn over(&mut self) -> Option<Result<T>> {
        let ended = (&mut self.task).now_or_never()?;
        Some(ended.unwrap_or_else(|error| Err(anyhow!("{error}"))))
    }
}

impl Machine {
    /// Whether nothing is being done to it.
    ///
    /// # Errors
    /// What went wrong with what was done.
    pub(super) fn is_ready(&mut self) -> Result<bool> {
        let Some(work) = &mut self.work else {
            return Ok(true);
        };
        let Some(over) = work.over() else {
            return Ok(false);
        };
        self.work = None;
        over.map(|()| true)
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.place.address
    }

    /// Ends its being a replica.
    pub(super) fn promote(&mut self) {
        let place = Arc::clone(&self.place);
        self.work = Some(Work::begin(async move || {
            let server = place.server.lock().await;
            server.as_ref().context("it never ran")?.take_over().await
        }));
    }

    /// Keeps what it holds in a folder below this one.
    pub(super) fn back_up(&self, folder: &Path) -> Work<Backup> {
        let (place, kept) = (Arc::clone(&self.place), TempDir::new_in(folder));
        Work::begin(async move || {
            let folder = kept?;
            let server = place.server.lock().await;
            let server = server.as_ref().context("it never ran")?;
            server.copy_to(&mysql::data(folder.path())).await?;
            Ok(Backup {
                taken_at: server.value(NOW).await?,
                folder: Arc::new(folder),
            })
        })
    }
}

impl Estate {
    /// An estate in a folder, without servers.
    ///
    /// # Errors
    /// Where a program is missing, or the folder cannot be written.
    pub fn new(folder: &Path) -> Result<Self> {
        let authority = Authority::create(folder)?;
        Ok(Self {
            programs: MysqlPrograms::locate()?,
            folder: folder.to_owned(),
            root: authority.root().to_owned(),
            certificate: authority.issue("mysql", &[&HOST.to_string()])?,
            passwords: Passwords::fresh()?,
            doors: BTreeMap::new(),
            made: 0,
        })
    }

    /// Root to trust, a PEM file.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Passwords of the users.
    #[must_use]
    pub fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Port of whatever has this name, now or later.
    ///
    /// # Errors
    /// Where nothing can be listened on.
    pub fn door(&mut self, name: &str) -> Result<SocketAddr> {
        if let Some(door) = self.doors.get(name) {
            return Ok(door.address());
        }
        let door = Door::open(HOST)?;
        let address = door.address();
        self.doors.insert(name.to_owned(), door);
        Ok(address)
    }

    /// Leads every port to what there is now.
    pub(super) fn arrange(&self, mut ways: BTreeMap<String, Way>) {
        for (name, door) in &self.doors {
            door.lead(ways.remove(name).unwrap_or_default());
        }
    }

    /// An empty server that runs.
    ///
    /// # Errors
    /// Where it does not start.
    pub(super) async fn first(&mut self) -> Result<Machine> {
        let (place, setup) = self.place(false)?;
        let server = Server::create(&self.programs, setup, &self.passwords).await?;
        *place.server.lock().await = Some(server);
        Ok(Machine { place, work: None })
    }

    /// Makes a replica.
    pub(super) fn replica_of(&mut self, source: &Machine) -> Result<Machine> {
        let (place, setup) = self.place(true)?;
        let (programs, passwords) = (self.programs.clone(), self.passwords.clone());
        let (new, source) = (Arc::clone(&place), Arc::clone(&source.place));
        let work = Work::begin(async move || {
            {
                let source = source.server.lock().await;
                let source = source.as_ref().context("the source never ran")?;
                source.copy_to(&mysql::data(&setup.folder)).await?;
            }
            let server = Server::start(&programs, setup).await?;
            server.follow(source.address, &passwords).await?;
            *new.server.lock().await = Some(server);
            Ok(())
        });
        Ok(Machine {
            place,
            work: Some(work),
        })
    }

    /// Makes a server out of a backup and of the logs of the server that it was taken of.
    pub(super) fn restored(&mut self, source: &Machine, wanted: Restored) -> Result<Machine> {
        let (place, setup) = self.place(false)?;
        let programs = self.programs.clone();
        let (new, source) = (Arc::clone(&place), Arc::clone(&source.place));
        let work = Work::begin(async move || {
            let data = mysql::data(&setup.folder);
            copy(
                &programs.cp,
                &mysql::data(wanted.backup.folder.path()),
                &data,
            )
            .await?;
            let server = Server::start(&programs, setup).await?;
            if let Some(until) = wanted.logs {
                if let Some(source) = source.server.lock().await.as_ref() {
                    source.rotate().await?;
                }
                let mut logs = mysql::logs(source.folder.path())?;
                // Empty, or else written to.
                logs.pop();
                server.apply(&logs, until.as_deref()).await?;
            }
            *new.server.lock().await = Some(server);
            Ok(())
        });
        Ok(Machine {
            place,
            work: Some(work),
        })
    }

    fn place(&mut self, read_only: bool) -> Result<(Arc<Place>, Setup)> {
        self.made += 1;
        let name = format!("m{}", self.made);
        let folder = tempfile::Builder::new()
            .prefix(&name)
            .tempdir_in(&self.folder)?;
        let setup = Setup {
            name,
            folder: folder.path().to_owned(),
            address: address(HOST)?,
            server_id: self.made,
            read_only,
            root: self.root.clone(),
            certificate: self.certificate.clone(),
        };
        let place = Place {
            server: Mutex::new(None),
            address: setup.address,
            folder,
        };
        Ok((Arc::new(place), setup))
    }
}

async fn copy(cp: &Path, from: &Path, to: &Path) -> Result<()> {
    let mut copying = tokio::process::Command::new(cp);
    copying.arg("-a").arg(from).arg(to).kill_on_drop(true);
    let status = copying.status().await?;
    ensure!(status.success(), "cannot copy {}", from.display());
    Ok(())
}
