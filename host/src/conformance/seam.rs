//! Where things go wrong on purpose: between a provider and what it reaches ([`Seam::beneath`]), and between the host and
//! the provider ([`Seam::around`]). Any server will do: it is the host that drops an answer, or does not send at all.
//!
//! One trouble at a time, for one call at a time; what was seen of that call is kept until the next.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};

use crate::call::{CallError, Denial, Outcome, Reply, Request, RetryHint, Service};
use crate::capability::{Asked, Capability, Used};
use crate::clock::{BoxFuture, Clock, millis};
use crate::mediation::routing::Route;

/// How long the other side asks to be left alone, where it is [`Trouble::Busy`]: what `Retry-After` can say that is
/// shortest.
pub const BUSY_FOR: Duration = Duration::from_secs(1);

/// Uses that a silent other side takes the time of one attempt for, one after another: each takes this part of it. A
/// provider that asks as often is still at it when its time is over.
const SILENCES: u32 = 4;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nothing.
    None,
    /// The use of this number, from 1, of those that change something: it takes effect, and the answer is lost.
    AnswerLost(u32),
    /// The host dies right after it.
    Death(u32),
    /// The host dies once the provider has answered.
    DeathAfterAnswer,
    /// The first use is asked to come back later.
    Busy,
    /// Nothing is reached.
    Unreachable,
    /// Nothing is let out.
    Denied,
    /// Whatever is sent is taken and never answered.
    Silent,
    /// Something else answers.
    Stranger,
}

/// One attempt at a call, as the host saw it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Attempt {
    /// What came back; `None` where the host stopped waiting.
    pub(super) reply: Option<Reply>,
    /// How long it might have taken.
    pub(super) given: Duration,
    /// A use of it was asked to come back later.
    pub(super) busy: bool,
}

/// What was seen of one call.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// Every attempt.
    pub(super) attempts: Vec<Attempt>,
    /// Uses of capabilities.
    pub(super) uses: u32,
    /// Those that may have changed something.
    pub(super) changes: u32,
    /// Uses that the trouble did something to.
    pub(super) struck: u32,
    /// The host died.
    pub(super) died: bool,
}

struct State {
    trouble: Trouble,
    seen: Seen,
}

/// The seam. Clones share it.
#[derive(Clone)]
pub struct Seam {
    clock: Arc<dyn Clock>,
    /// Nothing lies beneath whoever serves: what can go wrong there goes wrong with the service as a whole.
    opaque: bool,
    state: Arc<Mutex<State>>,
}

impl Seam {
    /// A seam for providers: their capabilities lie beneath them.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            opaque: false,
            state: Arc::new(Mutex::new(State {
                trouble: Trouble::None,
                seen: Seen::default(),
            })),
        }
    }

    /// A seam for a service that reaches nothing by way of the host, such as the simulated world.
    #[must_use]
    pub fn opaque(clock: Arc<dyn Clock>) -> Self {
        Self {
            opaque: true,
            ..Self::new(clock)
        }
    }

    /// Whether nothing can go wrong beneath whoever serves.
    pub(super) fn is_opaque(&self) -> bool {
        self.opaque
    }

    /// A capability that meets the troubles.
    #[must_use]
    pub fn beneath(&self, capability: Arc<dyn Capability>) -> Arc<dyn Capability> {
        Arc::new(Troubled {
            inner: capability,
            seam: self.clone(),
        })
    }

    /// A route that is watched.
    #[must_use]
    pub fn around(&self, route: Route) -> Route {
        Route {
            service: Arc::new(Watched {
                inner: route.service,
                seam: self.clone(),
            }),
            ..route
        }
    }

    /// From here on, for the next call.
    pub(super) fn begin(&self, trouble: Trouble) {
        let mut state = self.lock();
        state.trouble = trouble;
        state.seen = Seen::default();
    }

    /// What was seen of the call so far.
    pub(super) fn seen(&self) -> Seen {
        self.lock().seen.clone()
    }

    pub(super) fn has_died(&self) -> bool {
        self.lock().seen.died
    }

    /// Whether the first attempt is over.
    pub(super) fn came_back(&self) -> bool {
        let state = self.lock();
        let first = state.seen.attempts.first();
        first.is_some_and(|attempt| attempt.reply.is_some())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The host is gone: nothing of it goes on.
    async fn die(&self) -> std::convert::Infallible {
        self.lock().seen.died = true;
        std::future::pending().await
    }

    /// Counts a use and says what becomes of it.
    fn strike(&self, changes: bool, impersonable: bool) -> Strike {
        let mut state = self.lock();
        let seen = &mut state.seen;
        seen.uses += 1;
        seen.changes += u32::from(changes);
        let number = seen.changes;
        let strike = match state.trouble {
            Trouble::None | Trouble::DeathAfterAnswer => Strike::Spare,
            Trouble::AnswerLost(nth) if changes && nth == number => Strike::LoseAnswer,
            Trouble::Death(nth) if changes && nth == number => Strike::Die,
            Trouble::AnswerLost(_) | Trouble::Death(_) => Strike::Spare,
            Trouble::Busy if state.seen.struck == 0 => Strike::Busy,
            Trouble::Busy => Strike::Spare,
            Trouble::Unreachable => Strike::Unreachable,
            Trouble::Denied => Strike::Deny,
            Trouble::Silent => Strike::Silence,
            Trouble::Stranger if impersonable => Strike::Stranger,
            Trouble::Stranger => Strike::Spare,
        };
        state.seen.struck += u32::from(strike != Strike::Spare);
        if strike == Strike::Busy
            && let Some(attempt) = state.seen.attempts.last_mut()
        {
            attempt.busy = true;
        }
        strike
    }

    /// How long the attempt at hand may take.
    fn given(&self) -> Duration {
        let state = self.lock();
        let attempt = state.seen.attempts.last();
        attempt.map_or(Duration::ZERO, |attempt| attempt.given)
    }

    /// What an opaque service meets of the trouble, before it is asked. `None`: it is asked.
    fn forestall(&self) -> Option<Reply> {
        let mut state = self.lock();
        if !self.opaque || state.trouble != Trouble::Busy || state.seen.struck > 0 {
            return None;
        }
        state.seen.struck += 1;
        Some(Err(CallError::Unavailable(RetryHint {
            reason: "the other side asks for patience".to_owned(),
            after_ms: Some(millis(BUSY_FOR)),
        })))
    }

    /// What becomes of an answer.
    fn follow(&self, answered: &Reply) -> Strike {
        let state = self.lock();
        let done = matches!(answered, Ok(value) if value.get("in-progress").is_none());
        match state.trouble {
            Trouble::DeathAfterAnswer if done => Strike::Die,
            Trouble::Death(1) if self.opaque && done => Strike::Die,
            Trouble::AnswerLost(1) if self.opaque && done && state.seen.struck == 0 => {
                Strike::LoseAnswer
            }
            _ => Strike::Spare,
        }
    }
}

/// What becomes of one use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strike {
    Spare,
    LoseAnswer,
    Die,
    Busy,
    Unreachable,
    Deny,
    Silence,
    Stranger,
}

/// A capability that meets the troubles.
struct Troubled {
    inner: Arc<dyn Capability>,
    seam: Seam,
}

/// The code and words of a lost answer, as `capability` has them.
fn lost() -> CallError {
    CallError::InDoubt("CP0014: the connection broke after the request was sent".to_owned())
}

impl Troubled {
    async fn serve(&self, asked: Asked<'_>) -> Used {
        let changes = self.inner.changes(asked.function, &asked.args);
        let action = format!("{} {}", self.interface(), asked.function);
        let withheld = |reply: Reply, result: &str| Used {
            reply,
            action: action.clone(),
            result: format!("not sent by the conformance kit: {result}"),
        };
        let stranger = self.inner.stranger();
        match self.seam.strike(changes, stranger.is_some()) {
            Strike::Spare => self.inner.call(asked).await,
            Strike::LoseAnswer => {
                let used = self.inner.call(asked).await;
                match used.reply {
                    Ok(_) => Used {
                        reply: Err(lost()),
                        result: format!("{}, answer dropped by the conformance kit", used.result),
                        ..used
                    },
                    Err(_) => used,
                }
            }
            Strike::Die => {
                drop(self.inner.call(asked).await);
                match self.seam.die().await {}
            }
            Strike::Busy => withheld(self.inner.busy(BUSY_FOR), "asked for patience"),
            Strike::Unreachable => {
                let error = CallError::unavailable("CP0013: the other side is not reached");
                withheld(Err(error), "not reached")
            }
            Strike::Deny => {
                let denial = Denial {
                    rule: "CP0001".to_owned(),
                    grant: String::new(),
                };
                withheld(Err(CallError::Denied(denial)), "denied")
            }
            Strike::Silence => {
                let clock = &self.seam.clock;
                let share = self.seam.given() / SILENCES;
                clock.sleep_until(clock.now().after(share)).await;
                let error =
                    CallError::TimedOut(format!("CP0015: {action}: no answer by the deadline"));
                withheld(Err(error), "no answer")
            }
            Strike::Stranger => match stranger {
                Some(reply) => withheld(reply, "answered by something else"),
                None => self.inner.call(asked).await,
            },
        }
    }
}

impl Capability for Troubled {
    fn interface(&self) -> &'static str {
        self.inner.interface()
    }

    fn call<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Used> {
        Box::pin(self.serve(asked))
    }

    fn changes(&self, function: &str, args: &Map<String, Value>) -> bool {
        self.inner.changes(function, args)
    }

    fn busy(&self, after: Duration) -> Reply {
        self.inner.busy(after)
    }

    fn stranger(&self) -> Option<Reply> {
        self.inner.stranger()
    }
}

/// A service whose attempts are seen.
struct Watched {
    inner: Arc<dyn Service>,
    seam: Seam,
}

impl Service for Watched {
    fn call<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            let number = {
                let mut state = self.seam.lock();
                state.seen.attempts.push(Attempt {
                    reply: None,
                    given: request.deadline.since(self.seam.clock.now()),
                    busy: false,
                });
                state.seen.attempts.len()
            };
            let reply = match self.seam.forestall() {
                Some(reply) => reply,
                None => self.inner.call(request).await,
            };
            {
                let mut state = self.seam.lock();
                if let Some(attempt) = state.seen.attempts.get_mut(number.saturating_sub(1)) {
                    attempt.reply = Some(reply.clone());
                }
                // What an opaque service sends is not seen: that it works on it, or did, must do.
                let idle =
                    matches!(&reply, Ok(value) if *value == serde_json::json!(Outcome::Unchanged));
                if self.seam.opaque && reply.is_ok() && !idle {
                    state.seen.changes = 1;
                }
            }
            match self.seam.follow(&reply) {
                Strike::Die => match self.seam.die().await {},
                Strike::LoseAnswer => {
                    self.seam.lock().seen.struck += 1;
                    Err(lost())
                }
                _ => reply,
            }
        })
    }
}
