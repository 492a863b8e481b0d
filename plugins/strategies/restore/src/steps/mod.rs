//! The moves that only a restore makes.

pub(crate) mod backup;
pub(crate) mod contents;
pub(crate) mod damage;
pub(crate) mod point;
pub(crate) mod restore;
