//! Rehearsals: a simulated world under a clock that is handed in, and scenarios that say what goes wrong in it.
//!
//! [`scenario::Scenario`] is what an operator writes, [`world::World`] is what plugins talk to, [`truth::Truth`] is what
//! clients saw. None of it knows wasmtime; [`service::SimulatedService`] puts the world behind the mediation.

pub mod draw;
pub mod scenario;
pub mod service;
pub mod truth;
pub mod world;
