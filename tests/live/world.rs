//! What the world looks like, taken from the servers themselves, and what the journal says was done to it.

use anyhow::Result;
use serde_json::Value;
use understudy_lab::lab::Lab;
use understudy_lab::mariadb::Server;
use understudy_lab::powerdns::ZONE;
use understudy_lab::resolve::{self, Answer};

/// What makes a server the writer.
pub(crate) const PROMOTION: &str = "SET GLOBAL read_only=0";
/// What stops a server's writers.
pub(crate) const FENCE: &str = "SET GLOBAL read_only=1";

/// Settings of an application that effects change.
const SETTINGS: [&str; 4] = [
    "desired",
    "database-endpoint",
    "maintenance",
    "restart-token",
];

/// Everything an effect of the wordpress runbook changes.
#[derive(Debug, PartialEq)]
pub(crate) struct World {
    /// `wp-active`, as its name server answers.
    pub(crate) active: Answer,
    /// Whether `pz` and `bz` refuse writes.
    pub(crate) read_only: [bool; 2],
    /// Settings of the applications at `pz` and `bz`.
    pub(crate) settings: [Value; 2],
}

impl World {
    /// As it is now.
    pub(crate) async fn of(lab: &Lab) -> Result<Self> {
        let name = format!("wp-active.{ZONE}");
        let (pz, bz) = (&lab.databases.pz, &lab.databases.bz);
        let settings = |seen: Value| SETTINGS.iter().map(|name| seen[*name].clone()).collect();
        Ok(Self {
            active: resolve::addresses(lab.authoritative.dns(), &name).await?,
            read_only: [pz.is_read_only().await?, bz.is_read_only().await?],
            settings: [
                settings(lab.pz.observe().await?),
                settings(lab.bz.observe().await?),
            ],
        })
    }
}

/// How often the operator has logged in, since statements are logged.
pub(crate) fn operator_sessions(server: &Server) -> Result<usize> {
    server.statements_with("Connect understudy@")
}

/// How often an effect was meant, by the journal.
pub(crate) fn intents(records: &[Value], function: &str, site: &str) -> usize {
    let meant = records.iter().filter(|record| record["type"] == "intent");
    meant
        .map(|record| &record["body"])
        .filter(|body| body["function"]["function"] == function)
        .filter(|body| site.is_empty() || body["args"]["site"] == site)
        .count()
}
