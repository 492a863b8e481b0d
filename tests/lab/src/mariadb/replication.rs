//! A server as a replica: making it one, holding it back, and how it stands.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail};

use super::Server;
use crate::local::text;

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

impl Server {
    /// How its replication stands; `None` where nothing replicates into it.
    ///
    /// # Errors
    /// Where the server does not answer.
    pub async fn replica_status(&self) -> Result<Option<ReplicaStatus>> {
        let rows = self.rows("SHOW SLAVE STATUS").await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let text = |column| text(row, column);
        Ok(Some(ReplicaStatus {
            source: format!("{}:{}", text("Master_Host")?, text("Master_Port")?),
            receiving: text("Slave_IO_Running")? == "Yes",
            applying: text("Slave_SQL_Running")? == "Yes",
            received: text("Gtid_IO_Pos")?,
            problem: [text("Last_IO_Error")?, text("Last_SQL_Error")?].concat(),
        }))
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
}
