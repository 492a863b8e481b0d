//! What the name servers answer for the service's name, all day long.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::clock::now_ms;
use crate::names::Names;
use crate::platform::Platform;
use crate::resolve;

/// Time between two looks at a server: how exactly a convergence is known.
const INTERVAL: Duration = Duration::from_millis(100);

/// The server whose change the others follow.
const AUTHORITATIVE: &str = "authoritative";

/// What a server answered, and from when on, in milliseconds since the epoch: its changes.
type Changes = Vec<(u64, String)>;

/// Somebody who asks every name server, again and again. Dropping it ends that.
#[derive(Debug)]
pub struct Watch {
    seen: Arc<Mutex<BTreeMap<&'static str, Changes>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Watch {
    /// Begins to ask.
    #[must_use]
    pub fn start(names: &Names) -> Self {
        let seen = Arc::new(Mutex::new(BTreeMap::new()));
        let servers = [
            (AUTHORITATIVE, names.authoritative.dns()),
            ("resolver", names.resolver.address()),
            ("stubborn", names.stubborn.address()),
        ];
        let ask = |(name, address)| tokio::spawn(ask(name, address, Arc::clone(&seen)));
        let tasks = servers.into_iter().map(ask).collect();
        Self { seen, tasks }
    }

    /// How long after the authoritative server each resolver led to `target` for good, in milliseconds, in a span of time;
    /// none where one did not, or the authoritative one did not.
    #[must_use]
    pub fn convergence(
        &self,
        target: &str,
        span: &Range<u64>,
    ) -> BTreeMap<&'static str, Option<u64>> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let arrived = |name: &str| {
            let mut changes = seen.get(name)?.iter().rev();
            let last = changes.find(|(at_ms, _)| span.contains(at_ms))?;
            (last.1 == target).then_some(last.0)
        };
        let flipped = arrived(AUTHORITATIVE);
        let resolvers = seen.keys().filter(|name| **name != AUTHORITATIVE);
        resolvers
            .map(|name| {
                let took = arrived(name)
                    .zip(flipped)
                    .map(|(arrived, flipped)| arrived.saturating_sub(flipped));
                (*name, took)
            })
            .collect()
    }
}

impl Watch {
    /// How often the authoritative server changed its answer since `since_ms`.
    #[must_use]
    pub fn flips(&self, since_ms: u64) -> usize {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = seen.get(AUTHORITATIVE).map_or(&[][..], Vec::as_slice);
        changes
            .iter()
            .filter(|(at_ms, _)| *at_ms >= since_ms)
            .count()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn ask(
    name: &'static str,
    address: SocketAddr,
    seen: Arc<Mutex<BTreeMap<&'static str, Changes>>>,
) {
    loop {
        // A server that does not answer leads nobody anywhere new.
        let answer = resolve::addresses(address, &Platform::name()).await.ok();
        if let Some(alias) = answer.and_then(|answer| answer.alias) {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let changes = seen.entry(name).or_default();
            if changes.last().is_none_or(|(_, last)| *last != alias) {
                changes.push((now_ms(), alias));
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
