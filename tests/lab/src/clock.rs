//! The machine's clock, and waiting for something to become true. The only module here that reads a clock; nothing
//! sleeps for a length of time that is hoped to be enough.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};

/// How often a condition is looked at again.
const POLL: Duration = Duration::from_millis(20);

/// Longest wait for anything in a test or a lab. It is no claim about speed: the machine may be a slow one with much to do.
pub const LIMIT: Duration = Duration::from_secs(300);

/// Milliseconds since 1970-01-01T00:00:00Z.
#[expect(clippy::disallowed_methods, reason = "the lab runs in real time")]
#[must_use]
pub fn now_ms() -> u64 {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

/// Asks `condition` until it answers something.
///
/// # Errors
/// After `limit` without an answer; the message says what was waited for and the last reason it gave.
#[expect(clippy::disallowed_methods, reason = "the lab runs in real time")]
pub async fn eventually<T>(
    what: &str,
    limit: Duration,
    mut condition: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        let reason = match condition().await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => "not so".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        if Instant::now() >= end {
            bail!("waited {limit:?} for {what}: {reason}");
        }
        tokio::time::sleep(POLL).await;
    }
}
