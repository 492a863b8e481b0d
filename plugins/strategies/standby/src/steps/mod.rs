//! The strategy's own moves.

pub(crate) mod application;
pub(crate) mod cluster;
pub(crate) mod data;
pub(crate) mod entry;
pub(crate) mod issuing;
pub(crate) mod name;
pub(crate) mod ready;
