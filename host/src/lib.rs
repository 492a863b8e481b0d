//! Understudy: a host for disaster-recovery runbooks that are WebAssembly components.
//!
//! The way of a call, by file name: `cli/run.rs` → `run/scheduler.rs` → `plugin/strategy.rs` → `plugin/link.rs` →
//! `mediation/mod.rs` (the one path) → `plugin/provider.rs` or `capability/*` or `rehearsal/world`.
//! `ARCHITECTURE.md` has the map. The library never prints and never reads the environment or a clock by itself.

pub mod bytes;
pub mod calibrate;
pub mod call;
pub mod canonical;
pub mod capability;
pub mod clock;
pub mod conformance;
pub mod coverage;
pub mod estimate;
pub mod explain;
pub mod file;
pub mod journal;
pub mod junit;
pub mod live;
pub mod mediation;
pub mod name;
mod nearest;
pub mod plan;
pub mod plugin;
pub mod policy;
pub mod prepare;
pub mod rehearsal;
pub mod report;
pub mod rules;
pub mod run;
pub mod runbook;
pub mod statistics;
