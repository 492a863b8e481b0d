//! Steps 6 and 7 of the path: send, wait while the other side works, try again what may pass.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize as _;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::routing::Route;
use super::{Begun, CONTROL, StepCalls, retry};
use crate::call::{CallError, CallKind, Operation, Outcome, Reply, Request};
use crate::clock::{Instant, millis, timeout_at};
use crate::journal::Durability;
use crate::journal::record::Record;
use crate::plugin::error::Halt;

/// One attempt at an effect. Long work answers `in-progress`; a service that says nothing for this long is taken for
/// dead.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);

/// One attempt at a read. Reads have no `in-progress`, and some look at everything there is (`observe-contents`), so the first
/// attempt gets as long as any. Capabilities give up much sooner on a site that does not answer at all.
pub const READ_TIMEOUT: Duration = Duration::from_secs(300);

/// Shortest and longest pause between two looks at work in progress, in milliseconds. Work that has taken long is looked at
/// after a tenth of that time again, up to [`LONGEST_POLL`].
pub const POLL: std::ops::RangeInclusive<u64> = 250..=60_000;

/// Longest pause between two looks at any work, in milliseconds.
pub const LONGEST_POLL: u64 = 300_000;

/// Calls that one service serves at once: a recovery must not become the next load problem of a vendor's API.
pub const CALLS_AT_ONCE: usize = 8;

/// Bounds how many calls one service serves at once.
#[derive(Default)]
pub struct Admission(Mutex<HashMap<String, Arc<Semaphore>>>);

impl Admission {
    fn of(&self, service: &str) -> Arc<Semaphore> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(service) {
            return Arc::clone(known);
        }
        let new = Arc::new(Semaphore::new(CALLS_AT_ONCE));
        all.insert(service.to_owned(), Arc::clone(&new));
        new
    }
}

impl StepCalls {
    /// Sends the call until it has an outcome. Answers it with the number of attempts.
    pub(super) async fn dispatch(
        &self,
        request: &mut Request,
        kind: CallKind,
        begun: Begun,
    ) -> Result<(Reply, u32), Halt> {
        let clock = Arc::clone(&self.mediation.clock);
        let since = begun.since;
        if request.function.interface.is(CONTROL) {
            let control = Box::pin(self.mediation.control.call(self, request, since));
            let answered = self.deadline.bound(&*clock, control).await;
            return Ok((answered.unwrap_or_else(|| Ok(Err(timed_out(request))))?, 1));
        }
        let Some(route) = self.mediation.routes.find(&request.function, &request.args) else {
            return Ok((Err(unserved(request)), 0));
        };
        let mut attempts = 0;
        let mut worked = begun.in_progress;
        if let Some(at) = begun.next_at {
            // The wait that a crash interrupted goes on; it does not start over.
            clock.sleep_until(at).await;
        }
        loop {
            attempts += 1;
            let Some(reply) = self.attempt(route, request, kind).await else {
                return Ok((Err(timed_out(request)), attempts));
            };
            if let Some(operation) = operation(&reply) {
                worked = true;
                attempts -= 1;
                if !self.wait(request, operation, since).await? {
                    return Ok((Err(timed_out(request)), attempts.max(1)));
                }
                continue;
            }
            let pause = match &reply {
                Err(error) => {
                    retry::pause(error, kind, attempts, &request.key, self.mediation.seed)
                }
                Ok(_) => None,
            };
            let Some(pause) = pause else {
                return Ok((settled(reply, worked), attempts));
            };
            let next_at = clock.now().after(pause);
            if next_at >= self.deadline.now() {
                return Ok((reply, attempts));
            }
            if let Err(error) = reply {
                let record = Record::Retried {
                    site: request.site.clone(),
                    attempt: attempts,
                    error,
                    next_at,
                };
                self.append(record, Durability::Buffered).await?;
            }
            clock.sleep_until(next_at).await;
        }
    }

    /// One attempt: admitted, then bounded. `None`: it was not admitted before the deadline.
    async fn attempt(&self, route: &Route, request: &mut Request, kind: CallKind) -> Option<Reply> {
        let clock = &*self.mediation.clock;
        let permits = self.mediation.admission.of(&route.name);
        let Ok(_permit) = self.deadline.bound(clock, permits.acquire()).await? else {
            return Some(Err(CallError::unavailable("the host is shutting down")));
        };
        let patience = if kind.is_effect() {
            ATTEMPT_TIMEOUT
        } else {
            READ_TIMEOUT
        };
        let until = clock.now().after(patience).min(self.deadline.now());
        request.deadline = until;
        let served = timeout_at(clock, until, route.service.call(request)).await;
        Some(served.unwrap_or_else(|| {
            let silent = format!("{} gave no answer for {} s", route.name, patience.as_secs());
            Err(match kind {
                CallKind::Read => CallError::unavailable(silent),
                CallKind::Ensure | CallKind::Once => CallError::InDoubt(silent),
            })
        }))
    }

    /// Waits before the next look at work in progress. False: the deadline comes first.
    async fn wait(
        &self,
        request: &Request,
        operation: Operation,
        since: Instant,
    ) -> Result<bool, Halt> {
        let pause = poll_pause(&operation, self.mediation.clock.now().since(since));
        let record = Record::Waiting {
            site: request.site.clone(),
            operation,
        };
        self.append(record, Durability::Buffered).await?;
        let clock = &self.mediation.clock;
        let sleep = clock.sleep_until(clock.now().after(pause));
        Ok(self.deadline.bound(&**clock, sleep).await.is_some())
    }
}

/// How long to wait before the next look at work in progress that has taken so long: as the other side asks, within bounds.
pub(crate) fn poll_pause(operation: &Operation, taken: Duration) -> Duration {
    let most = (millis(taken) / 10).clamp(*POLL.end(), LONGEST_POLL);
    Duration::from_millis(operation.poll_after_ms.clamp(*POLL.start(), most))
}

/// The work in progress that a reply speaks of.
fn operation(reply: &Reply) -> Option<Operation> {
    let value = reply.as_ref().ok()?.get("in-progress")?;
    Operation::deserialize(value).ok()
}

/// After waiting, `unchanged` means that our own work is done: the world was changed by this call.
fn settled(reply: Reply, worked: bool) -> Reply {
    match reply {
        Ok(Value::String(outcome)) if worked && outcome == "unchanged" => {
            Ok(json!(Outcome::Changed))
        }
        reply => reply,
    }
}

fn timed_out(request: &Request) -> CallError {
    CallError::TimedOut(format!(
        "`{}` had no outcome before the step's deadline",
        request.function
    ))
}

fn unserved(request: &Request) -> CallError {
    let at = request
        .args
        .get("site")
        .and_then(Value::as_str)
        .map(|site| format!(" at site `{site}`"));
    CallError::Invalid(format!(
        "nothing serves {}{}; add a `[[bindings]]` entry for it",
        request.function.interface,
        at.unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_looked_at_less_often() {
        let pause = |asked_ms, taken_s| {
            let operation = Operation {
                id: String::new(),
                description: String::new(),
                poll_after_ms: asked_ms,
            };
            poll_pause(&operation, Duration::from_secs(taken_s)).as_secs_f64()
        };
        for (asked_ms, taken_s, expected_s) in [
            (0, 7_200, 0.25),
            (5_000, 7_200, 5.0),
            (7_200_000, 0, 60.0),
            (7_200_000, 600, 60.0),
            (7_200_000, 1_800, 180.0),
            (7_200_000, 7_200, 300.0),
            (200_000, 7_200, 200.0),
        ] {
            let found = pause(asked_ms, taken_s);
            assert!(
                (found - expected_s).abs() < 1e-9,
                "{asked_ms} {taken_s}: {found}"
            );
        }
    }
}
