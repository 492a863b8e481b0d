//! Time as the host sees it: one trait, the machine's clock, and a virtual one that jumps.
//!
//! Everything in the library asks a [`Clock`]; nothing reads the machine's time by itself. With [`VirtualClock`] and
//! [`block_on`](VirtualClock::block_on) a four-hour drill takes as long as its computing takes, and the same seed
//! gives the same run.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z (POSIX time).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(transparent)]
pub struct Instant(pub u64);

impl Instant {
    /// The instant `duration` later; saturates.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// Time since `earlier`; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Instant {
    /// RFC 3339 in UTC with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match i64::try_from(self.0)
            .ok()
            .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        {
            Some(timestamp) => write!(f, "{timestamp:.3}"),
            None => write!(f, "{} ms", self.0),
        }
    }
}

/// A duration in whole milliseconds; saturates.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Where the library gets the time from.
pub trait Clock: Send + Sync {
    /// The current time.
    fn now(&self) -> Instant;

    /// Resolves once [`now`](Self::now) is `deadline` or later.
    fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()>;
}

/// Runs `future` for at most until `deadline`; `None` if the deadline came first.
pub async fn timeout_at<F: Future>(
    clock: &dyn Clock,
    deadline: Instant,
    future: F,
) -> Option<F::Output> {
    let mut future = pin!(future);
    // What is done at once needs no timer.
    let mut sleep = None;
    std::future::poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        let sleep = sleep.get_or_insert_with(|| clock.sleep_until(deadline));
        sleep.as_mut().poll(cx).map(|()| None)
    })
    .await
}

/// The machine's clock. Needs a tokio runtime with time enabled.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    fn now(&self) -> Instant {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Instant(since.map_or(0, millis))
    }

    fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()> {
        let wait = deadline.since(self.now());
        Box::pin(tokio::time::sleep(wait))
    }
}

/// A clock that stands still until everybody waits, then jumps to the next thing anybody waits for.
///
/// Single-threaded use is what makes it deterministic: drive it with [`block_on`](Self::block_on).
#[derive(Clone)]
pub struct VirtualClock(Arc<Mutex<Virtual>>);

struct Virtual {
    now: Instant,
    next_timer: u64,
    /// Who waits, by when and by who came first. A sleep that is dropped takes its timer with it.
    timers: BTreeMap<(Instant, u64), Waker>,
}

/// Nothing is left that could ever wake the future: it waits for something that cannot come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("everything waits and no timer is set at {at}")]
pub struct Deadlock {
    /// The virtual time at which it stopped.
    pub at: Instant,
}

impl VirtualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub fn starting_at(start: Instant) -> Self {
        Self(Arc::new(Mutex::new(Virtual {
            now: start,
            next_timer: 0,
            timers: BTreeMap::new(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Virtual> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drives `future` to its end on this thread, advancing the clock whenever nothing can go on.
    ///
    /// # Errors
    /// [`Deadlock`] if the future waits and no timer is set.
    pub fn block_on<F: Future>(&self, future: F) -> Result<F::Output, Deadlock> {
        let flag = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&flag));
        let mut context = Context::from_waker(&waker);
        let mut future = pin!(future);
        loop {
            while flag.0.swap(false, Ordering::Relaxed) {
                if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                    return Ok(output);
                }
            }
            self.advance()?;
        }
    }

    /// Jumps to the earliest timer that is still waited for and wakes it.
    fn advance(&self) -> Result<(), Deadlock> {
        let mut state = self.lock();
        let Some(((at, _), waker)) = state.timers.pop_first() else {
            return Err(Deadlock { at: state.now });
        };
        state.now = state.now.max(at);
        drop(state);
        waker.wake();
        Ok(())
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Instant {
        self.lock().now
    }

    fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()> {
        Box::pin(VirtualSleep {
            clock: self.clone(),
            deadline,
            timer: None,
        })
    }
}

struct VirtualSleep {
    clock: VirtualClock,
    deadline: Instant,
    /// Its number and whom it wakes, once it has waited.
    timer: Option<(u64, Waker)>,
}

impl Future for VirtualSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self {
            clock,
            deadline,
            timer,
        } = &mut *self;
        let mut state = clock.lock();
        if state.now >= *deadline {
            return Poll::Ready(());
        }
        let number = match timer {
            // It is polled with whatever it waits beside, and nearly always by the same task.
            Some((_, waker)) if waker.will_wake(cx.waker()) => return Poll::Pending,
            Some((number, _)) => *number,
            None => {
                state.next_timer += 1;
                state.next_timer
            }
        };
        *timer = Some((number, cx.waker().clone()));
        state.timers.insert((*deadline, number), cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for VirtualSleep {
    fn drop(&mut self) {
        if let Some((number, _)) = &self.timer {
            self.clock.lock().timers.remove(&(self.deadline, *number));
        }
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_pass_without_waiting() {
        let clock = VirtualClock::starting_at(Instant(0));
        let end = clock
            .block_on(async {
                clock.sleep_until(Instant(14_400_000)).await;
                clock.now()
            })
            .unwrap();
        assert_eq!(end, Instant(14_400_000));
    }

    #[test]
    fn a_deadline_ends_a_longer_wait() {
        let clock = VirtualClock::starting_at(Instant(5));
        let result = clock
            .block_on(timeout_at(
                &clock,
                Instant(10),
                clock.sleep_until(Instant(100)),
            ))
            .unwrap();
        assert_eq!((result, clock.now()), (None, Instant(10)));
    }

    #[test]
    fn waiting_for_nothing_is_an_error_not_a_hang() {
        let clock = VirtualClock::starting_at(Instant(7));
        assert_eq!(
            clock.block_on(std::future::pending::<()>()),
            Err(Deadlock { at: Instant(7) })
        );
    }

    #[test]
    fn instants_print_as_rfc_3339() {
        assert_eq!(
            Instant(1_700_000_000_123).to_string(),
            "2023-11-14T22:13:20.123Z"
        );
    }
}
