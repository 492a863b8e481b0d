//! The users: somebody who keeps writing numbered posts to whichever site public DNS names, and remembers which of
//! them were acknowledged and when.
//!
//! A number is sent once. Where no answer comes back the post may exist all the same, and counts neither way.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use crate::client;
use crate::clock::now_ms;
use crate::crowd::{Crowd, Remembered, Shared};
use crate::resolve;

/// Acknowledged posts kept: hours at the fastest pace the lab is used with.
const ROWS: usize = 1_000_000;

/// Where and how the users write.
#[derive(Debug, Clone)]
pub struct Users {
    /// Resolver they ask for every request; the caching is the resolver's.
    pub resolver: SocketAddr,
    /// The service's public name.
    pub name: String,
    /// Port of the service at every site.
    pub port: u16,
    /// Root they trust.
    pub root: PathBuf,
    /// Password of `editor`.
    pub editor_password: String,
    /// Time between two posts.
    pub pace: Duration,
}

/// A post whose creation was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// Its number.
    pub number: u64,
    /// When the acknowledgement arrived, in milliseconds since the epoch.
    pub at_ms: u64,
    /// Site that acknowledged it.
    pub site: String,
}

/// What the users saw.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// Acknowledged posts in the order of their numbers.
    pub acknowledged: Vec<Acknowledged>,
    /// Posts without an acknowledgement.
    pub failed: u64,
    /// Why the last post without an acknowledgement had none.
    pub last_failure: String,
}

impl Remembered for Log {
    fn acknowledged_by(&self, site: &str) -> usize {
        let by_site = self.acknowledged.iter().filter(|row| row.site == site);
        by_site.count()
    }

    fn last_failure(&self) -> &str {
        &self.last_failure
    }
}

/// Users who write.
pub type Writer = Crowd<Log>;

impl Users {
    /// Lets them write, beginning with number 1.
    #[must_use]
    pub fn start(self) -> Writer {
        Crowd::start(|log| write(self, log))
    }
}

async fn write(users: Users, log: Shared<Log>) {
    let mut pace = interval(users.pace);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut clients = BTreeMap::new();
    for number in 1.. {
        pace.tick().await;
        let outcome = post(&users, &mut clients, number).await;
        let mut log = log.lock();
        match outcome {
            Ok(site) => log.acknowledged.push(Acknowledged {
                number,
                at_ms: now_ms(),
                site,
            }),
            Err(error) => {
                log.failed += 1;
                log.last_failure = format!("{error:#}");
            }
        }
        if log.acknowledged.len() >= ROWS {
            return;
        }
    }
}

/// Sends one post; answers the site that acknowledged it.
async fn post(
    users: &Users,
    clients: &mut BTreeMap<SocketAddr, reqwest::Client>,
    number: u64,
) -> Result<String> {
    let answer = resolve::addresses(users.resolver, &users.name).await?;
    let address = answer
        .addresses
        .first()
        .context("the name has no address")?;
    let address = SocketAddr::new(*address, users.port);
    let client = match clients.get(&address) {
        Some(client) => client.clone(),
        None => {
            let client = client::verified(&users.root, Some((&users.name, address)))?;
            clients.insert(address, client.clone());
            client
        }
    };
    let response = client
        .post(format!("https://{}:{}/posts", users.name, users.port))
        .basic_auth("editor", Some(&users.editor_password))
        .body(json!({ "number": number, "title": "by the users" }).to_string())
        .send()
        .await?;
    let status = response.status();
    let site = response
        .headers()
        .get("x-zone")
        .and_then(|zone| zone.to_str().ok());
    let site = site.unwrap_or_default().to_owned();
    ensure!(
        status == 201,
        "{site} answers {status}: {}",
        response.text().await?
    );
    Ok(site)
}
