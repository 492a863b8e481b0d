//! Rehearsals: a simulated world under a clock that is handed in, and scenarios that say what goes wrong in it.
//!
//! [`scenario::Scenario`] is what an operator writes, [`world::World`] is what plugins talk to, [`truth::Truth`] is what
//! clients saw. None of that knows wasmtime; [`service::SimulatedService`] puts the world behind the mediation, and
//! [`driver::Rehearsal`] lets plugins loose in it, and [`trace`] says what no run may do. [`campaign`] rehearses many
//! times.

pub mod campaign;
mod death;
pub mod draw;
pub mod driver;
pub mod people;
pub mod rebuild;
pub mod scenario;
pub mod service;
pub mod trace;
pub mod truth;
pub mod world;

/// Pages of the codes of this module.
pub const PAGES: &[(&str, &str)] =
    crate::explain::pages!["RH0001", "RH0002", "RH0003", "RH0004", "RH0005", "RH0006"];
