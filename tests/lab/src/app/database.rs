//! The application's sessions with its database: opened when one is needed, kept for as long as the application runs.
//!
//! A session is kept only when its last statement was answered to the end. One that was given up halfway would answer
//! the next statement with what belongs to this one.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result as Anyhow;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::config::Config;
use super::link::{Failure, Link, Post, Server};

/// Most sessions at a time.
const SESSIONS: usize = 8;
/// How long a request waits for a session.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(2);
/// How long a session may take to say goodbye.
const GOODBYE_LIMIT: Duration = Duration::from_millis(200);

/// The database, from the application's side.
pub(super) struct Database {
    server: Server,
    permits: Semaphore,
    idle: Mutex<Vec<Link>>,
}

/// Why a statement has no answer.
pub(super) enum Refusal {
    /// There is a row of this key already.
    Duplicate(String),
    /// Anything else.
    Failed(String),
}

impl Database {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// Where the root cannot be read.
    pub(super) fn new(config: &Config, endpoint: SocketAddr) -> Anyhow<Self> {
        Ok(Self {
            server: Server::new(config, endpoint)?,
            permits: Semaphore::new(SESSIONS),
            idle: Mutex::new(Vec::new()),
        })
    }

    /// Whether it answers.
    pub(super) async fn answers(&self) -> Result<(), Refusal> {
        self.session().await?.answered(Ok(()))
    }

    /// Number of posts.
    pub(super) async fn posts(&self) -> Result<u64, Refusal> {
        let mut session = self.session().await?;
        let answer = session.link.posts().await;
        session.answered(answer)
    }

    /// Inserts a post; answers the number of its row.
    pub(super) async fn insert_post(&self, post: Post<'_>) -> Result<u64, Refusal> {
        let mut session = self.session().await?;
        let answer = session.link.insert_post(post).await;
        session.answered(answer)
    }

    /// Inserts an upload; answers the number of its row.
    pub(super) async fn insert_media(&self, body: &[u8]) -> Result<u64, Refusal> {
        let mut session = self.session().await?;
        let answer = session.link.insert_media(body).await;
        session.answered(answer)
    }

    /// Gives no session from now on, and ends those that nobody uses.
    pub(super) async fn close(&self) {
        self.permits.close();
        for link in self.take_idle() {
            // It ends either way; this only lets the server know.
            drop(timeout(GOODBYE_LIMIT, link.goodbye()).await);
        }
    }

    async fn session(&self) -> Result<Session<'_>, Refusal> {
        let late =
            |_| Refusal::Failed(format!("no session with the database in {ACQUIRE_LIMIT:?}"));
        timeout(ACQUIRE_LIMIT, self.acquire()).await.map_err(late)?
    }

    /// A kept session that still answers, else a new one.
    async fn acquire(&self) -> Result<Session<'_>, Refusal> {
        let ending = |_| Refusal::Failed("the application is ending".to_owned());
        let permit = self.permits.acquire().await.map_err(ending)?;
        while let Some(mut link) = self.kept() {
            if link.ping().await {
                return Ok(Session {
                    link,
                    database: self,
                    _permit: permit,
                });
            }
        }
        let link = Link::open(&self.server).await;
        Ok(Session {
            link: link.map_err(|failure| failure.refusal)?,
            database: self,
            _permit: permit,
        })
    }

    fn kept(&self) -> Option<Link> {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    }

    fn take_idle(&self) -> Vec<Link> {
        std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn keep(&self, link: Link) {
        if !self.permits.is_closed() {
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(link);
        }
    }
}

/// A session in use. Dropped before its statement is answered, it is ended.
struct Session<'a> {
    link: Link,
    database: &'a Database,
    _permit: SemaphorePermit<'a>,
}

impl Session<'_> {
    /// Keeps the session where the server has answered, be it with a refusal.
    fn answered<T>(self, answer: Result<T, Failure>) -> Result<T, Refusal> {
        if answer
            .as_ref()
            .map_or_else(|failure| failure.answered, |_| true)
        {
            self.database.keep(self.link);
        }
        answer.map_err(|failure| failure.refusal)
    }
}
