//! The moves that every recovery is made of: lower the TTL, freeze, fence, catch up, promote, activate, certify,
//! validate, flip, purge, protect, announce.
//!
//! A strategy is a table of [`Row`](plan::Row)s, and each row puts one [`Move`](plan::Move) in its place: what it needs,
//! which items of a source runbook it covers, when it is left out. So a strategy reads as its plan, and an
//! organisation's own strategy starts from the same moves.
//!
//! Every move looks before it acts and can be performed again: the host runs a step from its start after a crash, and
//! once more after a person said so. What one step leaves for another is a measurement or a milestone of the run
//! (`control`), never memory.
//!
//! Not here: waiting (the host's), policy (the runbook's), and anything that depends on the host. Start with [`plan`],
//! then [`recovery::Recovery`], then the file of the move.

pub mod activate;
pub mod announce;
pub mod certify;
pub mod check;
pub mod declare;
pub mod diagnose;
pub mod dns;
pub mod edge;
pub mod expose;
pub mod fault;
pub mod fence;
pub mod infrastructure;
pub mod loss;
pub mod nodes;
pub mod parameters;
pub mod plan;
pub mod promote;
pub mod protect;
pub mod recovery;
pub mod review;
pub mod slo;
pub mod validate;
pub mod words;

pub use understudy_sdk::strategy::exports::understudy::plugin::strategy::{
    Act, Context, Description, Error, Finding, Guest, Mode, Step,
};
