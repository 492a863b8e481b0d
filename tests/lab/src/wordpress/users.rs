//! The users of WordPress: they log in, publish numbered posts and upload pictures, at whichever zone public DNS names,
//! and remember everything that was acknowledged, when, and by which zone.
//!
//! A number is sent once. Where no answer comes back it may exist all the same, and counts neither way.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::{MissedTickBehavior, interval};

use super::Files;
use super::session::Session;
use crate::clock::now_ms;
use crate::crowd::{Crowd, Remembered, Shared};
use crate::mariadb::Server;
use crate::{client, resolve};

/// Every so manieth thing is a picture; the others are posts.
const MEDIA_EVERY: u64 = 5;
/// Things remembered: hours at the fastest pace WordPress keeps up with.
const ROWS: usize = 100_000;

/// Where and how the users work.
#[derive(Debug, Clone)]
pub struct Users {
    /// Resolver they ask before every request; the caching is the resolver's.
    pub resolver: SocketAddr,
    /// The service's public name.
    pub name: String,
    /// Port of the service at every zone.
    pub port: u16,
    /// Root they trust.
    pub root: PathBuf,
    /// User they log in as.
    pub user: String,
    /// Its password.
    pub password: String,
    /// Time between two things they do.
    pub pace: Duration,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A post.
    Post,
    /// A picture.
    Media,
}

/// Something that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// Its number, one count for posts and pictures.
    pub number: u64,
    /// What it is.
    pub what: What,
    /// When the acknowledgement arrived, in milliseconds since the epoch.
    pub at_ms: u64,
    /// Zone that acknowledged it.
    pub zone: String,
}

/// Something that was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its number; none where it was the log-in that failed.
    pub number: Option<u64>,
    /// When that was clear, in milliseconds since the epoch.
    pub at_ms: u64,
    /// Why.
    pub reason: String,
}

/// What the users saw.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// What was acknowledged, in the order of its numbers.
    pub acknowledged: Vec<Acknowledged>,
    /// What was not, in the order of time.
    pub refused: Vec<Refused>,
}

/// What is missing of what was acknowledged, counted where it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Posts that the database does not have.
    pub posts: Vec<Acknowledged>,
    /// Pictures that the database or the zone's files do not have.
    pub media: Vec<Acknowledged>,
}

impl Missing {
    /// True where nothing is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.posts.is_empty() && self.media.is_empty()
    }

    /// The numbers of everything that is.
    pub fn numbers(&self) -> impl Iterator<Item = u64> {
        self.posts.iter().chain(&self.media).map(|row| row.number)
    }

    /// The same but for these numbers.
    #[must_use]
    pub fn without(mut self, known: &BTreeSet<u64>) -> Self {
        for rows in [&mut self.posts, &mut self.media] {
            rows.retain(|row| !known.contains(&row.number));
        }
        self
    }
}

impl Remembered for Log {
    fn acknowledged_by(&self, site: &str) -> usize {
        let by_zone = self.acknowledged.iter().filter(|row| row.zone == site);
        by_zone.count()
    }

    fn last_failure(&self) -> &str {
        let last = self.refused.last();
        last.map_or("", |refused| refused.reason.as_str())
    }
}

/// Users who publish.
pub type Writers = Crowd<Log>;

impl Users {
    /// Lets them work, beginning with number 1.
    #[must_use]
    pub fn start(self) -> Writers {
        Crowd::start(|log| work(self, log))
    }
}

/// Compares what the users saw with a database and the files of a zone.
///
/// # Errors
/// Where the server does not answer or the files cannot be read.
pub async fn audit(log: &Log, server: &Server, files: &Files) -> Result<Missing> {
    let rows = "SELECT post_title FROM wordpress.wp_posts WHERE post_type = 'post' AND post_status = 'publish'";
    let posts: BTreeSet<String> = server.column(rows).await?.into_iter().collect();
    let rows = "SELECT SUBSTRING_INDEX(meta_value, '/', -1) FROM wordpress.wp_postmeta \
                WHERE meta_key = '_wp_attached_file'";
    let attached: BTreeSet<String> = server.column(rows).await?.into_iter().collect();
    let stored: BTreeSet<String> = files.media()?.into_iter().collect();
    let missing = |what: What, is_there: &dyn Fn(u64) -> bool| -> Vec<Acknowledged> {
        let rows = log
            .acknowledged
            .iter()
            .filter(|row| row.what == what && !is_there(row.number));
        rows.cloned().collect()
    };
    Ok(Missing {
        posts: missing(What::Post, &|number| posts.contains(&title(number))),
        media: missing(What::Media, &|number| {
            let file = picture(number);
            attached.contains(&file) && stored.contains(&file)
        }),
    })
}

/// Title of a numbered post.
fn title(number: u64) -> String {
    format!("Post {number} by the users")
}

/// File of a numbered picture.
fn picture(number: u64) -> String {
    format!("picture-{number}.png")
}

async fn work(users: Users, log: Shared<Log>) {
    let mut pace = interval(users.pace);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut browser = Browser {
        clients: BTreeMap::new(),
        session: None,
    };
    let mut number = 1;
    loop {
        pace.tick().await;
        let ready = browser.log_in(&users).await;
        let (refused, outcome) = match ready {
            Ok(()) => (Some(number), browser.write(&users, number).await),
            Err(error) => (None, Err(error)),
        };
        let mut log = log.lock();
        match outcome {
            Ok(row) => log.acknowledged.push(row),
            Err(error) => {
                // The session may have gone with a zone; a new one costs one request.
                browser.session = None;
                log.refused.push(Refused {
                    number: refused,
                    at_ms: now_ms(),
                    reason: format!("{error:#}"),
                });
            }
        }
        number += u64::from(refused.is_some());
        if log.acknowledged.len() + log.refused.len() >= ROWS {
            return;
        }
    }
}

/// A client per address, and one session for all of them.
struct Browser {
    clients: BTreeMap<SocketAddr, reqwest::Client>,
    session: Option<Session>,
}

impl Browser {
    /// Logs in where nobody is.
    async fn log_in(&mut self, users: &Users) -> Result<()> {
        if self.session.is_none() {
            let (client, home) = (self.client(users).await?, users.home());
            self.session =
                Some(Session::log_in(&client, &home, &users.user, &users.password).await?);
        }
        Ok(())
    }

    async fn write(&mut self, users: &Users, number: u64) -> Result<Acknowledged> {
        let client = self.client(users).await?;
        let session = self.session.as_ref().context("nobody is logged in")?;
        let (what, created) = if number.is_multiple_of(MEDIA_EVERY) {
            (
                What::Media,
                session.upload(&client, &picture(number)).await?,
            )
        } else {
            (What::Post, session.post(&client, &title(number)).await?)
        };
        Ok(Acknowledged {
            number,
            what,
            at_ms: now_ms(),
            zone: created.zone,
        })
    }

    async fn client(&mut self, users: &Users) -> Result<reqwest::Client> {
        let answer = resolve::addresses(users.resolver, &users.name).await?;
        let address = answer
            .addresses
            .first()
            .context("the name has no address")?;
        let address = SocketAddr::new(*address, users.port);
        if let Some(client) = self.clients.get(&address) {
            return Ok(client.clone());
        }
        let client = client::verified(&users.root, Some((&users.name, address)))?;
        self.clients.insert(address, client.clone());
        Ok(client)
    }
}

impl Users {
    fn home(&self) -> String {
        format!("https://{}:{}", self.name, self.port)
    }
}
