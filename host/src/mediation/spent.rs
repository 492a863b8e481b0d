//! What one step attempt has used of the limits that hold for all its calls together.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::plugin::error::Halt;
use crate::plugin::limits::{ATTEMPT_BYTES, CALLS_PER_STEP};

/// Calls and bytes of one attempt. Replayed calls count like new ones, so that a resumed attempt ends where the first
/// would have.
#[derive(Debug, Default)]
pub struct Spent {
    calls: AtomicU32,
    bytes: AtomicUsize,
}

impl Spent {
    /// Counts a call and answers which one it is, from 0.
    ///
    /// # Errors
    /// [`Halt::TooManyCalls`].
    pub fn call(&self) -> Result<u32, Halt> {
        let ordinal = self.calls.fetch_add(1, Ordering::Relaxed);
        if ordinal >= CALLS_PER_STEP {
            return Err(Halt::TooManyCalls(CALLS_PER_STEP));
        }
        Ok(ordinal)
    }

    /// Counts bytes of arguments or of an answer.
    ///
    /// # Errors
    /// [`Halt::TooMuch`].
    pub fn carry(&self, bytes: usize) -> Result<(), Halt> {
        let before = self.bytes.load(Ordering::Relaxed);
        let now = before.saturating_add(bytes);
        self.bytes.store(now, Ordering::Relaxed);
        if now > ATTEMPT_BYTES {
            return Err(Halt::TooMuch(ATTEMPT_BYTES));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_ends_after_so_many_calls_or_bytes() {
        let spent = Spent::default();
        for ordinal in 0..CALLS_PER_STEP {
            assert_eq!(spent.call(), Ok(ordinal));
        }
        assert_eq!(spent.call(), Err(Halt::TooManyCalls(CALLS_PER_STEP)));

        assert_eq!(spent.carry(ATTEMPT_BYTES), Ok(()));
        assert_eq!(spent.carry(1), Err(Halt::TooMuch(ATTEMPT_BYTES)));
        assert_eq!(spent.carry(usize::MAX), Err(Halt::TooMuch(ATTEMPT_BYTES)));
    }
}
