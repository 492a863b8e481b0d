//! The users: somebody who keeps writing numbered posts to whichever site public DNS names, and remembers which of
//! them were acknowledged and when.
//!
//! A number is sent once. Where no answer comes back the post may exist all the same, and counts neither way.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::client;
use crate::clock::{eventually, now_ms};
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

/// Users at work. Dropping them stops them.
#[derive(Debug)]
pub struct Writer {
    log: Arc<Mutex<Log>>,
    task: JoinHandle<()>,
}

impl Writer {
    /// Lets them write, beginning with number 1.
    #[must_use]
    pub fn start(users: Users) -> Self {
        let log = Arc::new(Mutex::new(Log::default()));
        let task = tokio::spawn(write(users, Arc::clone(&log)));
        Self { log, task }
    }

    /// What they have seen up to now.
    #[must_use]
    pub fn log(&self) -> Log {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until `site` has acknowledged `count` more posts.
    ///
    /// # Errors
    /// Where it has not after `limit`; the message holds the last failure.
    pub async fn acknowledged_by(&self, site: &str, count: usize, limit: Duration) -> Result<()> {
        let by_site = |log: &Log| {
            log.acknowledged
                .iter()
                .filter(|row| row.site == site)
                .count()
        };
        let before = by_site(&self.log());
        let what = format!("{count} posts acknowledged by {site}");
        eventually(&what, limit, async || {
            let log = self.log();
            let now = by_site(&log);
            ensure!(
                now >= before + count,
                "{} so far; last failure: {}",
                now - before,
                log.last_failure
            );
            Ok(Some(()))
        })
        .await
    }

    /// Ends their work between two posts, and answers what they saw.
    pub async fn stop(self) -> Log {
        self.task.abort();
        // The log is what counts; a post under way at this instant has no acknowledgement.
        while !self.task.is_finished() {
            tokio::task::yield_now().await;
        }
        self.log()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn write(users: Users, log: Arc<Mutex<Log>>) {
    let mut pace = interval(users.pace);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut clients = BTreeMap::new();
    for number in 1.. {
        pace.tick().await;
        let outcome = post(&users, &mut clients, number).await;
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
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
