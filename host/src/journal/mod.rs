//! The journal: the append-only record of a run.
//!
//! Start at [`record::Record`], what there is to say, and [`Journal`], the one handle that says it. [`chain`] makes it
//! tamper-evident, [`redact`] keeps secrets out, [`store`] is the seam to a disk ([`sqlite`]) or to memory
//! ([`memory`]), [`lease`] keeps a second host away, [`mailbox`] lets other processes speak to a run, [`runs`] is the
//! folder of all runs. What is not here: any judgement about what the records mean.

pub mod chain;
pub mod error;
pub mod export;
pub mod lease;
pub mod mailbox;
pub mod memory;
pub mod record;
pub mod redact;
pub mod runs;
pub mod sqlite;
pub mod store;
mod writer;

pub use error::JournalError;
pub use export::{export, import};
pub use store::Durability;
pub use writer::{Cut, Hook, Journal, MAX_BATCH, MAX_QUEUED, Place, Setup};

/// The pages of this module's codes: code and text, for `understudy explain`.
pub const PAGES: &[(&str, &str)] = &[
    ("JN0001", include_str!("../../../docs/codes/JN0001.md")),
    ("JN0002", include_str!("../../../docs/codes/JN0002.md")),
    ("JN0003", include_str!("../../../docs/codes/JN0003.md")),
    ("JN0004", include_str!("../../../docs/codes/JN0004.md")),
    ("JN0005", include_str!("../../../docs/codes/JN0005.md")),
    ("JN0006", include_str!("../../../docs/codes/JN0006.md")),
    ("JN0007", include_str!("../../../docs/codes/JN0007.md")),
    ("JN0008", include_str!("../../../docs/codes/JN0008.md")),
    ("JN0009", include_str!("../../../docs/codes/JN0009.md")),
    ("JN0010", include_str!("../../../docs/codes/JN0010.md")),
    ("JN0011", include_str!("../../../docs/codes/JN0011.md")),
    ("JN0012", include_str!("../../../docs/codes/JN0012.md")),
    ("JN0013", include_str!("../../../docs/codes/JN0013.md")),
    ("JN0014", include_str!("../../../docs/codes/JN0014.md")),
    ("JN0015", include_str!("../../../docs/codes/JN0015.md")),
];

#[cfg(test)]
mod tests;
