//! The moves that only a failback makes.

pub(crate) mod infrastructure;
pub(crate) mod primary;
pub(crate) mod reseed;
pub(crate) mod stand_down;
