//! When to try again: only what is likely to pass, a bounded number of times, later each time, with jitter.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::call::{CallError, CallKind, IdempotencyKey};
use crate::name::RunId;

/// Attempts at one call. With [`BASE`] and [`CAP`] they take about half a minute: long enough for a rolling restart of
/// an API, short against any recovery time objective.
pub const ATTEMPTS: u32 = 7;

/// Longest pause before the second attempt; it doubles with each one.
pub const BASE: Duration = Duration::from_millis(500);

/// Longest pause of our own.
pub const CAP: Duration = Duration::from_secs(15);

/// Longest pause the other side may ask for.
pub const HINT_CAP: Duration = Duration::from_secs(120);

/// How long to wait before attempt number `attempt + 1`, or `None` to give up. `attempt` counts from 1.
///
/// The pause is drawn uniformly from the upper half of the backoff window ("equal jitter"), from a hash, so that a
/// resumed or rehearsed run draws the same.
#[must_use]
pub fn pause(
    error: &CallError,
    kind: CallKind,
    attempt: u32,
    key: &IdempotencyKey,
    seed: u64,
) -> Option<Duration> {
    if attempt >= ATTEMPTS {
        return None;
    }
    let hint = match (error, kind) {
        (CallError::Unavailable(hint), _) => hint.after_ms.map(Duration::from_millis),
        (CallError::InDoubt(_), CallKind::Read | CallKind::Ensure) => None,
        _ => return None,
    };
    let window = CAP.min(BASE.saturating_mul(1 << attempt.min(16).saturating_sub(1)));
    let own = window.mul_f64(0.5 + 0.5 * fraction(key, attempt, seed));
    Some(own.max(hint.unwrap_or_default().min(HINT_CAP)))
}

/// What the pauses of a live run are drawn from: its name, so that whoever resumes or rehearses it draws the same.
#[must_use]
pub fn seed_of(run: &RunId) -> u64 {
    let digest = Sha256::digest(run.as_str());
    let head = digest.iter().take(8);
    head.fold(0, |word, byte| (word << 8) | u64::from(*byte))
}

/// A number in `0.0..1.0` that depends on nothing but its arguments.
fn fraction(key: &IdempotencyKey, attempt: u32, seed: u64) -> f64 {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_be_bytes());
    hasher.update(attempt.to_be_bytes());
    hasher.update(key.0.as_bytes());
    let bytes = hasher.finalize();
    let head = bytes
        .iter()
        .take(4)
        .fold(0_u32, |word, byte| (word << 8) | u32::from(*byte));
    f64::from(head) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::RetryHint;

    fn key() -> IdempotencyKey {
        IdempotencyKey("k".to_owned())
    }

    #[test]
    fn only_what_may_pass_is_tried_again_and_not_for_ever() {
        let busy = CallError::unavailable("503");
        assert!(pause(&busy, CallKind::Once, 1, &key(), 1).is_some());
        assert!(pause(&busy, CallKind::Ensure, ATTEMPTS, &key(), 1).is_none());
        let doubt = CallError::InDoubt("reset".into());
        assert!(pause(&doubt, CallKind::Ensure, 1, &key(), 1).is_some());
        assert!(pause(&doubt, CallKind::Once, 1, &key(), 1).is_none());
        assert!(
            pause(
                &CallError::Conflict("x".into()),
                CallKind::Ensure,
                1,
                &key(),
                1
            )
            .is_none()
        );
    }

    #[test]
    fn pauses_grow_stay_within_bounds_and_honour_hints() {
        let busy = CallError::unavailable("503");
        for attempt in 1..ATTEMPTS {
            let pause = pause(&busy, CallKind::Ensure, attempt, &key(), 7).unwrap();
            let window = CAP.min(BASE * (1 << (attempt - 1)));
            assert!(
                pause >= window / 2 && pause <= window,
                "attempt {attempt}: {pause:?}"
            );
        }
        let hint = |ms| {
            CallError::Unavailable(RetryHint {
                reason: "429".into(),
                after_ms: Some(ms),
            })
        };
        assert_eq!(
            pause(&hint(30_000), CallKind::Ensure, 1, &key(), 7),
            Some(Duration::from_secs(30))
        );
        assert_eq!(
            pause(&hint(9_999_000), CallKind::Ensure, 1, &key(), 7),
            Some(HINT_CAP)
        );
    }
}
