//! A run: the step graph, its states, gates and budgets.
//!
//! Start at [`state`], the one table of a step's life. [`board`] knows where every step stands, [`scheduler`] runs the
//! graph, [`rollback`] takes it back, [`rules`] holds it to the safety rules, [`switch`] puts another strategy in the place of one that does not get through,
//! [`assess`] only looks,
//! [`attempt`] performs one step, [`questions`] and [`gate`] ask people, [`control`] answers the contract of that name.

pub mod assess;
pub mod attempt;
pub mod board;
pub mod control;
pub mod error;
pub mod gate;
mod questions;
mod rollback;
mod rules;
pub mod scheduler;
pub mod state;
pub mod switch;

pub use error::{PAGES, RunError};
pub use scheduler::{Ended, Run};
