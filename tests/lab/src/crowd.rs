//! People at work, whatever it is they do: a task that keeps a log of what was acknowledged to them.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::task::JoinHandle;

use crate::clock::eventually;

/// What people at work remember.
pub trait Remembered: fmt::Debug + Clone + Default + Send + 'static {
    /// How many things this site has acknowledged.
    fn acknowledged_by(&self, site: &str) -> usize;

    /// Why the last thing that was not acknowledged was not; empty where there is none.
    fn last_failure(&self) -> &str;
}

/// A log that its writers and its readers share. Clones are the same log.
#[derive(Debug, Clone, Default)]
pub struct Shared<L>(Arc<Mutex<L>>);

impl<L> Shared<L> {
    /// The log, for as long as the guard is held.
    pub fn lock(&self) -> MutexGuard<'_, L> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// People at work. Dropping them stops them.
#[derive(Debug)]
pub struct Crowd<L> {
    log: Shared<L>,
    task: JoinHandle<()>,
}

impl<L: Remembered> Crowd<L> {
    /// Lets them do `work`, which writes the log.
    pub fn start<F>(work: impl FnOnce(Shared<L>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let log = Shared(Arc::new(Mutex::new(L::default())));
        let task = tokio::spawn(work(log.clone()));
        Self { log, task }
    }

    /// What they have seen up to now.
    #[must_use]
    pub fn log(&self) -> L {
        self.log.lock().clone()
    }

    /// Waits until `site` has acknowledged `count` more things.
    ///
    /// # Errors
    /// Where it has not after `limit`; the message holds the last failure.
    pub async fn acknowledged_by(&self, site: &str, count: usize, limit: Duration) -> Result<()> {
        let wanted = self.log().acknowledged_by(site) + count;
        let what = format!("{count} things acknowledged by {site}");
        eventually(&what, limit, async || {
            let log = self.log();
            let missing = wanted.saturating_sub(log.acknowledged_by(site));
            let last = log.last_failure();
            ensure!(missing == 0, "{missing} to go; last failure: {last}");
            Ok(Some(()))
        })
        .await
    }

    /// Ends their work, and answers what they saw. What is under way at this instant has no acknowledgement.
    pub async fn stop(mut self) -> L {
        self.task.abort();
        // Cancelled, which is no news.
        drop((&mut self.task).await);
        self.log()
    }
}

impl<L> Drop for Crowd<L> {
    fn drop(&mut self) {
        self.task.abort();
    }
}
