//! The running application: a listener and its sessions with the database it was started with.
//!
//! It has a runtime of its own, because ending it must really end it: every connection, kept-alive or busy, and every
//! session with the database.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::config::Config;
use super::database::Database;
use super::public::{self, Service};
use crate::tls;

/// How long the database may take to answer the readiness check.
const READY_LIMIT: Duration = Duration::from_secs(1);
/// How long tasks may take to end; they are at an await point at most this long.
const END_LIMIT: Duration = Duration::from_secs(2);

/// A started application.
pub struct Instance {
    runtime: Runtime,
    database: Arc<Database>,
}

impl Instance {
    /// Starts it with this database endpoint. The database need not be reachable: the application is then not ready.
    ///
    /// # Errors
    /// Where the endpoint is none or the public address is taken.
    pub fn start(config: &Config, endpoint: &str, maintenance: Arc<AtomicBool>) -> Result<Self> {
        let endpoint: SocketAddr = endpoint
            .parse()
            .with_context(|| format!("{endpoint:?} is not an address with a port"))?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let entered = runtime.enter();
        let database = Arc::new(Database::new(config, endpoint)?);
        let router = public::router(Service {
            site: config.site.clone(),
            editor_password: config.editor_password.clone(),
            maintenance,
            database: Arc::clone(&database),
        });
        let listener = TcpListener::bind(config.public)
            .with_context(|| format!("cannot listen at {}", config.public))?;
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let certificate = config.certificate.clone();
        runtime.spawn(async move { tls::serve(listener, &certificate, router).await });
        drop(entered);
        Ok(Self { runtime, database })
    }

    /// Whether it can serve: its database answers.
    pub async fn is_ready(&self) -> bool {
        let database = Arc::clone(&self.database);
        // On its own runtime: a session opened here must end with it.
        let answer = self.runtime.spawn(async move {
            matches!(timeout(READY_LIMIT, database.answers()).await, Ok(Ok(_)))
        });
        answer.await.unwrap_or(false)
    }

    /// Ends it. Blocks until its tasks are gone, for at most two seconds.
    pub fn end(self) {
        self.runtime.block_on(self.database.close());
        self.runtime.shutdown_timeout(END_LIMIT);
    }
}
