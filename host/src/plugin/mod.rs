//! Plugins: WebAssembly components as strategies and providers.
//!
//! The way in: [`component`] loads and reflects, [`guest`] instantiates and bounds, [`link`] leads every import to the
//! host, [`json`] carries values over, [`strategy`] and [`provider`] know what the two kinds export, [`build`] makes
//! components from crates and [`inspect`] tells about them.
//!
//! Not here: what a call means, who may make it and what is recorded. That is `mediation`.

pub mod build;
pub mod component;
pub mod engine;
pub mod error;
pub mod guest;
pub mod inspect;
pub mod json;
pub mod limits;
pub mod link;
pub mod provider;
pub mod strategy;

pub use component::Component;
pub use engine::Engines;
pub use error::{PAGES, PluginError};
