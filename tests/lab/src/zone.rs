//! One zone of the [`platform`](crate::platform): its control plane, its node agent, and WordPress' files. Its database is
//! one of the pair, which the platform holds.

use std::fs;
use std::net::{IpAddr, SocketAddr};

use anyhow::Result;

use crate::agent::{Agent, Config, mirror};
use crate::client;
use crate::kubernetes::ControlPlane;
use crate::kubernetes::cluster::Cluster;
use crate::object_storage;
use crate::wordpress::Files;

/// A running (or killed) zone.
#[derive(Debug)]
pub struct Zone {
    // Dropped in this order: the agent ends what it runs before its cluster goes.
    /// Its node.
    pub agent: Agent,
    /// Its Kubernetes API.
    pub plane: ControlPlane,
    /// WordPress and its media.
    pub files: Files,
}

impl Zone {
    /// Where users reach it: its load balancer.
    #[must_use]
    pub fn public(&self) -> SocketAddr {
        let Config {
            public,
            public_port,
            ..
        } = self.agent.config();
        SocketAddr::new(*public, *public_port)
    }

    /// Its object storage.
    #[must_use]
    pub fn storage(&self) -> &object_storage::Config {
        &self.agent.config().storage
    }

    /// A client of its cluster that may do everything.
    ///
    /// # Errors
    /// Where its kubeconfig cannot be read.
    pub async fn cluster(&self) -> Result<Cluster> {
        self.plane.cluster().await
    }

    /// A client that reaches `name` here, whatever DNS says.
    ///
    /// # Errors
    /// Where the roots cannot be read.
    pub fn client(&self, roots: &std::path::Path, name: &str) -> Result<reqwest::Client> {
        client::verified(roots, Some((name, self.public())))
    }

    /// `kill -9` of its node with everything on it, and of its control plane. Its database is the platform's to kill.
    ///
    /// # Errors
    /// Where it is not running.
    pub fn kill(&mut self) -> Result<()> {
        self.agent.kill()?;
        self.plane.kill()
    }

    /// Brings it back after [`kill`](Self::kill), as it was.
    ///
    /// # Errors
    /// Where a server does not start; the message quotes its log.
    pub async fn restart(&mut self) -> Result<()> {
        self.plane.restart().await?;
        self.agent.restart()
    }

    /// Stops or continues the copying of new media to the other zone.
    ///
    /// # Errors
    /// Where the agent's folder cannot be written.
    pub fn set_media_replication(&self, on: bool) -> Result<()> {
        let file = self.agent.config().folder.join(mirror::PAUSED);
        if on && file.exists() {
            fs::remove_file(file)?;
        } else if !on {
            fs::write(file, "")?;
        }
        Ok(())
    }
}

/// Addresses of a zone.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// Its machine: control plane, database, node.
    pub machine: IpAddr,
    /// Its load balancer.
    pub public: IpAddr,
}
