//! The application's sessions with its database: opened when one is needed, kept for as long as the application runs.
//!
//! A session is kept only when its last statement was answered to the end. One that was given up halfway would answer
//! the next statement with what belongs to this one.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error, Opts, Params};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::config::Config;
use crate::mariadb;

/// Most sessions at a time.
const SESSIONS: usize = 8;
/// How long a request waits for a session.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(2);
/// How long a session may take to say goodbye.
const GOODBYE_LIMIT: Duration = Duration::from_millis(200);
/// Error number of a duplicate key (MariaDB: ER_DUP_ENTRY).
const DUPLICATE_KEY: u16 = 1062;

/// The database, from the application's side.
pub(super) struct Database {
    options: Opts,
    permits: Semaphore,
    idle: Mutex<Vec<Conn>>,
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
    pub(super) fn new(config: &Config, endpoint: SocketAddr) -> Self {
        let options =
            mariadb::client_options(endpoint, &config.root, "app", &config.database_password);
        Self {
            options,
            permits: Semaphore::new(SESSIONS),
            idle: Mutex::new(Vec::new()),
        }
    }

    /// The number that a query answers.
    pub(super) async fn number(&self, query: &str) -> Result<u64, Refusal> {
        let mut session = self.session().await?;
        let answer = session.conn.query_first::<u64, _>(query).await;
        session
            .answered(answer)?
            .ok_or_else(|| Refusal::Failed(format!("no row answers {query:?}")))
    }

    /// Inserts a row; answers its number.
    pub(super) async fn insert(&self, statement: &str, values: Params) -> Result<u64, Refusal> {
        let mut session = self.session().await?;
        let done = session.conn.exec_drop(statement, values).await;
        let row = session.conn.last_insert_id().unwrap_or_default();
        session.answered(done.map(|()| row))
    }

    /// Gives no session from now on, and ends those that nobody uses.
    pub(super) async fn close(&self) {
        self.permits.close();
        for session in self.take_idle() {
            // It ends either way; this only lets the server know.
            drop(timeout(GOODBYE_LIMIT, session.disconnect()).await);
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
        while let Some(mut conn) = self.kept() {
            if conn.ping().await.is_ok() {
                return Ok(Session {
                    conn,
                    database: self,
                    _permit: permit,
                });
            }
        }
        Ok(Session {
            conn: Conn::new(self.options.clone()).await?,
            database: self,
            _permit: permit,
        })
    }

    fn kept(&self) -> Option<Conn> {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    }

    fn take_idle(&self) -> Vec<Conn> {
        std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn keep(&self, conn: Conn) {
        if !self.permits.is_closed() {
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(conn);
        }
    }
}

/// A session in use. Dropped before its statement is answered, it is ended.
struct Session<'a> {
    conn: Conn,
    database: &'a Database,
    _permit: SemaphorePermit<'a>,
}

impl Session<'_> {
    /// Keeps the session where the server has answered, be it with a refusal.
    fn answered<T>(self, answer: Result<T, Error>) -> Result<T, Refusal> {
        if matches!(answer, Ok(_) | Err(Error::Server(_))) {
            self.database.keep(self.conn);
        }
        answer.map_err(Refusal::from)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match &error {
            Error::Server(refusal) if refusal.code == DUPLICATE_KEY => {
                Self::Duplicate(error.to_string())
            }
            _ => Self::Failed(error.to_string()),
        }
    }
}
