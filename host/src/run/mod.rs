//! A run: the step graph, its states, gates and budgets.
//!
//! Start at [`state`], the one table of a step's life.

pub mod state;
