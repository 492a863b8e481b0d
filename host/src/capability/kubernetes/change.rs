//! Waiting for a change on a watch: up to the first event, never longer than was asked for.

use std::time::Duration;

use kube::core::params::WatchParams;
use serde::Deserialize;

use crate::clock::{Instant, timeout_at};

use super::super::Fault;
use super::Granted;
use super::server::{MAX_ANSWER_BYTES, too_long};

/// Longest wait of one call: an attempt at a provider's call has a minute, and must not spend it all here.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// What is left of the caller's time when a wait ends, so that it can still answer.
const RESERVE: Duration = Duration::from_secs(1);

/// The part of a watch event that counts here.
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
}

/// Waits until the object is no longer at `version`; true where it is not, false where the time passed.
pub(super) async fn observe(
    granted: &Granted<'_>,
    version: &str,
    at_most: Duration,
    deadline: Instant,
) -> Result<bool, Fault> {
    let clock = granted.server.facilities.clock.as_ref();
    let now = clock.now();
    let wait = bounded(at_most, deadline.since(now));
    // The server's own limit, in whole seconds, only spares it a watch that nobody reads any more.
    let seconds = u32::try_from(wait.as_secs())
        .unwrap_or(u32::MAX)
        .saturating_add(1);
    let params = WatchParams {
        field_selector: Some(format!("metadata.name={}", granted.wanted.name)),
        timeout: Some(seconds),
        bookmarks: false,
        ..WatchParams::default()
    };
    let request = granted.requests().watch(&params, version);
    let watching = async {
        let (response, _) = match granted.server.open(&granted.asked(), request).await {
            // The version is older than what the server remembers, so much has changed.
            Err(fault) if fault.is_code("CP0027") => return Ok(true),
            opened => opened?,
        };
        first_event(granted, response).await
    };
    // A watch that is not even opened in time shows no change either: whoever waits looks at the object again.
    timeout_at(clock, now.after(wait), watching)
        .await
        .unwrap_or(Ok(false))
}

/// As long as was asked for, within the limit and what is left of the caller's time.
fn bounded(at_most: Duration, left: Duration) -> Duration {
    at_most.min(MAX_WAIT).min(left.saturating_sub(RESERVE))
}

/// True at the first event that is a change; false where the stream ends without one.
async fn first_event(
    granted: &Granted<'_>,
    mut response: reqwest::Response,
) -> Result<bool, Fault> {
    let mut held: Vec<u8> = Vec::new();
    loop {
        let chunk = response.chunk().await;
        let chunk = chunk.map_err(|error| granted.server.unanswered(true, error))?;
        let Some(chunk) = chunk else { return Ok(false) };
        if held.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(too_long(&granted.asked(), true));
        }
        held.extend_from_slice(&chunk);
        while let Some(end) = held.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = held.drain(..=end).collect();
            let event: Event = serde_json::from_slice(&line).map_err(|error| {
                let text = format!("{}: not a watch event: {error}", granted.asked());
                Fault::other("CP0031", text)
            })?;
            // An `ERROR` is a version that is gone or a server that has had enough: whoever asked looks again.
            if event.kind != "BOOKMARK" {
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_has_its_limit_and_leaves_time_to_answer() {
        let seconds = Duration::from_secs;
        assert_eq!(bounded(seconds(5), seconds(60)), seconds(5));
        assert_eq!(bounded(seconds(3600), seconds(60)), MAX_WAIT);
        assert_eq!(bounded(seconds(20), seconds(10)), seconds(9));
        assert_eq!(bounded(seconds(20), seconds(0)), seconds(0));
    }
}
