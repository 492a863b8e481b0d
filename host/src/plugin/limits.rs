//! What a guest may use. Each limit bounds one thing, has a unit and a reason.

use std::time::Duration;

use wasmtime::{StoreLimits, StoreLimitsBuilder};

/// Linear memory of one instance, in bytes. A strategy holds one plan and a provider one response of at most 4 MiB,
/// which travels through a handful of copies.
pub const MEMORY_BYTES: usize = 64 << 20;

/// Elements of one table. Rust guests hold a few hundred function pointers.
pub const TABLE_ELEMENTS: usize = 10_000;

/// Core instances, memories and tables of one component; componentized Rust has fewer than ten of each.
pub const INSTANCES: usize = 32;

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

/// Size of one call's arguments or result as JSON, in bytes: one HTTP body of 4 MiB as numbers.
pub const PAYLOAD_BYTES: usize = 24 << 20;

/// Size of the arguments a strategy may pass to one call, as JSON, in bytes. They are journaled whole.
pub const STRATEGY_PAYLOAD_BYTES: usize = 256 << 10;

/// Log lines one step attempt may write; more are dropped and counted.
pub const LOG_LINES: u32 = 1_000;

/// Bytes of log one step attempt may write; more are dropped and counted.
pub const LOG_BYTES: usize = 64 << 10;

/// The limits of one store.
#[must_use]
pub fn store_limits() -> StoreLimits {
    StoreLimitsBuilder::new()
        .memory_size(MEMORY_BYTES)
        .table_elements(TABLE_ELEMENTS)
        .instances(INSTANCES)
        .memories(INSTANCES)
        .tables(INSTANCES)
        .trap_on_grow_failure(true)
        .build()
}

/// Epochs a provider may use between two calls to the host.
#[must_use]
pub fn provider_epochs() -> u64 {
    u64::try_from(PROVIDER_BURST.as_millis() / EPOCH.as_millis())
        .unwrap_or(1)
        .max(1)
}
