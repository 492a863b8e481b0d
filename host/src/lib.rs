//! Understudy: a host for disaster-recovery runbooks that are WebAssembly components.
//!
//! The way of a call, by file name: `cli/run.rs` → `run/scheduler.rs` → `plugin/strategy.rs` → `plugin/link.rs` →
//! `mediation/mod.rs` (the one path) → `plugin/provider.rs` or `capability/*` or `rehearsal/world`.
//! `ARCHITECTURE.md` has the map. The library never prints and never reads the environment or a clock by itself.

pub mod call;
pub mod capability;
pub mod clock;
pub mod journal;
pub mod name;
pub mod plan;
pub mod run;
pub mod runbook;
