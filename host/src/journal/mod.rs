//! The journal: the append-only record of a run.
//!
//! Start at [`record::Record`], what there is to say, and [`Journal`], the one handle that says it. [`chain`] makes it
//! tamper-evident, [`redact`] keeps secrets out, [`store`] is the seam to a disk ([`sqlite`]) or to memory
//! ([`memory`]), [`lease`] keeps a second host away. What is not here: any judgement about what the records mean.

pub mod chain;
pub mod error;
pub mod export;
pub mod lease;
pub mod memory;
pub mod record;
pub mod redact;
pub mod sqlite;
pub mod store;
mod writer;

pub use error::JournalError;
pub use export::{export, import};
pub use store::Durability;
pub use writer::{Hook, Journal, MAX_BATCH, MAX_QUEUED, Setup};

#[cfg(test)]
mod tests;
