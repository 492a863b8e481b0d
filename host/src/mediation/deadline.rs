//! A deadline that people can move while somebody waits for it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::{Clock, Instant, timeout_at};

/// When a step attempt ends at the latest. Clones share it: a person's "go on" reaches every wait.
#[derive(Debug, Clone)]
pub struct Deadline(Arc<AtomicU64>);

impl Deadline {
    /// A deadline at `at`.
    #[must_use]
    pub fn at(at: Instant) -> Self {
        Self(Arc::new(AtomicU64::new(at.0)))
    }

    /// Where it stands now.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant(self.0.load(Ordering::Acquire))
    }

    /// Moves it to `at` if that is later.
    pub fn extend(&self, at: Instant) {
        self.0.fetch_max(at.0, Ordering::AcqRel);
    }

    /// Runs `future` until it is done or the deadline, wherever it stands by then, has come (`None`).
    pub async fn bound<F: Future>(&self, clock: &dyn Clock, future: F) -> Option<F::Output> {
        let mut future = std::pin::pin!(future);
        loop {
            let until = self.now();
            if let Some(output) = timeout_at(clock, until, future.as_mut()).await {
                return Some(output);
            }
            if self.now() <= clock.now() {
                return None;
            }
        }
    }
}
