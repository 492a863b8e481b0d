//! The strategy's own moves.

pub(crate) mod application;
pub(crate) mod cluster;
pub(crate) mod data;
pub(crate) mod entry;
pub(crate) mod infrastructure;
pub(crate) mod issuing;
pub(crate) mod monitoring;
pub(crate) mod name;
pub(crate) mod ready;
pub(crate) mod secrets;
