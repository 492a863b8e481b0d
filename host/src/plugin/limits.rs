//! What a guest may use. Each limit bounds one thing, has a unit and a reason.
//!
//! What a *person* is asked about is not here: a step's wall time is its budget (`run/scheduler.rs`), one attempt at a
//! call is bounded in `mediation/dispatch.rs`.

use std::time::Duration;

use wasmtime::ResourceLimiter;

use super::engine::Kind;

/// Linear memory of one instance, all its memories together, in bytes. A strategy holds one plan and a provider one
/// response of at most 4 MiB, which travels through a handful of copies.
pub const MEMORY_BYTES: usize = 64 << 20;

/// Elements of all tables of one instance. Rust guests hold a few hundred function pointers.
pub const TABLE_ELEMENTS: usize = 10_000;

/// Core instances, memories and tables of one component; componentized Rust has fewer than ten of each.
pub const INSTANCES: usize = 32;

/// Instances of strategies that a process has at once: every step of four runs of the largest plan. A campaign has no more
/// threads than this has room for every step of the plan on each. Each place costs a system call at the start.
pub const STRATEGIES_AT_ONCE: u32 = 2_048;

/// Fuel of one call into a strategy: about a second of guest time, and the same on every machine.
pub const STRATEGY_FUEL: u64 = 2_000_000_000;

/// Guest time of a provider between two calls to the host; counted in epochs of [`EPOCH`].
pub const PROVIDER_BURST: Duration = Duration::from_secs(2);

/// Length of an epoch: coarse enough to cost nothing, fine enough to stop a loop soon.
pub const EPOCH: Duration = Duration::from_millis(50);

/// Native stack of a guest in bytes, and the part of it wasm may use.
pub const ASYNC_STACK_BYTES: usize = 1 << 20;

/// Stack that wasm itself may use, in bytes.
pub const WASM_STACK_BYTES: usize = 512 << 10;

/// Calls one step attempt may make. A step that needs more is a loop.
pub const CALLS_PER_STEP: u32 = 2_000;

/// Calls to capabilities one provider call may make: the largest legitimate one copies a table in chunks and answers
/// `in-progress` in between.
pub const CALLS_PER_PROVIDER_CALL: u32 = 500;

/// Bytes the host copies out of a strategy for one call or one answer, before it is JSON (the engine's "hostcall
/// fuel"). A list can name the same memory many times, so the size of the guest bounds nothing. A list of numbers takes
/// about 32 bytes for each: this is [`PAYLOAD_BYTES`] of them.
pub const STRATEGY_COPY_BYTES: usize = 8 << 20;

/// As [`STRATEGY_COPY_BYTES`], for a provider: a request body of 1 MiB, which is a list of numbers.
pub const PROVIDER_COPY_BYTES: usize = 48 << 20;

/// Size of the arguments a strategy may pass to one call, and of what a step may answer, as JSON, in bytes. They are
/// journaled whole.
pub const PAYLOAD_BYTES: usize = 256 << 10;

/// Size of what a provider may answer to one call, as JSON, in bytes. It is journaled whole; the largest legitimate one
/// is a line for each table of a database, and ten thousand tables are 1 MiB.
pub const ANSWER_BYTES: usize = 2 << 20;

/// Size of all arguments and answers of one step attempt, as JSON, in bytes: what one attempt can add to the journal.
/// Two thousand calls of the largest size would be half a gigabyte of arguments alone.
pub const ATTEMPT_BYTES: usize = 32 << 20;

/// Log lines one step attempt may write. The first that is too many says so in the journal; more are not kept.
pub const LOG_LINES: u32 = 1_000;

/// Bytes of log one step attempt may write, as [`LOG_LINES`].
pub const LOG_BYTES: usize = 64 << 10;

/// Bytes the host copies out of a guest of this kind for one call.
#[must_use]
pub fn copy_bytes(kind: Kind) -> usize {
    match kind {
        Kind::Strategy => STRATEGY_COPY_BYTES,
        Kind::Provider => PROVIDER_COPY_BYTES,
    }
}

/// A limit of an instance that was reached, and what to do instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exceeded {
    /// [`MEMORY_BYTES`].
    #[error(
        "it needs more than {} MiB of memory, the most an instance may have; hold less at a time",
        MEMORY_BYTES >> 20
    )]
    Memory,
    /// [`TABLE_ELEMENTS`].
    #[error(
        "its tables need more than {TABLE_ELEMENTS} elements, the most an instance may have; use fewer functions"
    )]
    Table,
}

/// Counts what one store has grown to. Growth beyond a limit ends the guest with [`Exceeded`]; a growth that the system
/// refuses counts as well.
#[derive(Debug, Default)]
pub struct GuestLimits {
    memory: usize,
    table: usize,
}

/// What a guest asks for, in the unit of what grows.
struct Growth {
    current: usize,
    desired: usize,
    maximum: Option<usize>,
}

impl Growth {
    /// Adds it to what the store has grown to; false where the guest's own maximum forbids it.
    fn count(self, total: &mut usize, limit: usize, exceeded: Exceeded) -> wasmtime::Result<bool> {
        if self.maximum.is_some_and(|maximum| self.desired > maximum) {
            return Ok(false);
        }
        *total += self.desired.saturating_sub(self.current);
        if *total > limit {
            return Err(wasmtime::Error::new(exceeded));
        }
        Ok(true)
    }
}

impl ResourceLimiter for GuestLimits {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let growth = Growth {
            current,
            desired,
            maximum,
        };
        growth.count(&mut self.memory, MEMORY_BYTES, Exceeded::Memory)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let growth = Growth {
            current,
            desired,
            maximum,
        };
        growth.count(&mut self.table, TABLE_ELEMENTS, Exceeded::Table)
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        INSTANCES
    }

    fn memories(&self) -> usize {
        INSTANCES
    }
}

/// Epochs a provider may use between two calls to the host.
#[must_use]
pub fn provider_epochs() -> u64 {
    u64::try_from(PROVIDER_BURST.as_millis() / EPOCH.as_millis())
        .unwrap_or(1)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memories_and_tables_of_an_instance_share_their_limit() {
        let mut limits = GuestLimits::default();
        assert!(limits.memory_growing(0, MEMORY_BYTES / 2, None).unwrap());
        assert!(limits.memory_growing(0, MEMORY_BYTES / 4, None).unwrap());
        let error = limits
            .memory_growing(0, MEMORY_BYTES / 2, None)
            .unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Exceeded::Memory));

        let mut limits = GuestLimits::default();
        assert!(limits.table_growing(0, TABLE_ELEMENTS, None).unwrap());
        let error = limits.table_growing(0, 1, None).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Exceeded::Table));
    }

    #[test]
    fn a_growth_beyond_the_guests_own_maximum_is_refused_and_not_counted() {
        let mut limits = GuestLimits::default();
        assert!(!limits.memory_growing(0, MEMORY_BYTES, Some(1)).unwrap());
        assert!(!limits.table_growing(0, TABLE_ELEMENTS, Some(1)).unwrap());
        assert!(limits.memory_growing(0, MEMORY_BYTES, None).unwrap());
    }

    #[test]
    fn what_may_be_passed_can_be_copied() {
        // Two bytes of JSON (`1,`) for each number, and at most 32 bytes while it is carried.
        assert!(PAYLOAD_BYTES / 2 * 32 <= copy_bytes(Kind::Strategy));
        let body = crate::capability::http::request::MAX_REQUEST_BYTES;
        assert!(body * 32 < copy_bytes(Kind::Provider));
        assert!(ANSWER_BYTES < copy_bytes(Kind::Provider) && ANSWER_BYTES < ATTEMPT_BYTES);
    }
}
