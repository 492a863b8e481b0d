//! The journal: the append-only record of a run.
//!
//! Start at [`record::Record`], what there is to say; then [`record::Entry`], how it is chained.

pub mod record;
