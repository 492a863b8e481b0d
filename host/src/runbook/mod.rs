//! Runbooks: one TOML file per service, parsed once into types.
//!
//! Start at [`types::Runbook`]. What is not here: anything that loads a plugin or calls one.

pub mod types;
