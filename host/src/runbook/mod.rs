//! Runbooks: one TOML file per service, parsed once into types.
//!
//! Start at [`types::Runbook`] for what a runbook is and at [`types::Runbook::load`] for how it is read: [`source`]
//! (files, overlays, places) → `shape` (keys and types) → `parse` (meaning). [`lock`] ties plugins to their digests.
//! [`against::Against`] is the other file that is read this way: what a provider is tested against.
//! What is not here: anything that loads a plugin or calls one.

pub mod against;
pub mod argument;
pub mod duration;
pub mod error;
pub mod lock;
pub mod parameters;
mod parse;
pub mod problem;
mod raw;
mod raw_against;
pub mod schema;
mod shape;
pub mod source;
pub mod types;

pub use error::{RunbookError, RunbookErrors};
pub use parse::FORMAT;
pub use problem::Problem;

/// Pages of this module's codes.
pub const PAGES: &[(&str, &str)] = crate::explain::pages![
    "RB0001", "RB0002", "RB0003", "RB0004", "RB0005", "RB0006", "RB0007", "RB0008", "RB0009",
    "RB0010", "RB0011", "RB0012", "RB0013", "RB0014", "RB0015",
];
