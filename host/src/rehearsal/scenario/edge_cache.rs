//! A delivery network's caches in front of the service, as a scenario starts with them.

use serde::Deserialize;

use super::time::{Length, Range};
use crate::name::SiteName;

/// `[edge-cache]`: caches in front of the clients' name. They are filled by what clients read, where the name leads them.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EdgeCache {
    /// Share of the clients' reads that can be answered from there, 0 to 1.
    pub share: f64,
    /// How long an answer is kept.
    pub keeps: Length,
    /// Whose answers they hold at the beginning; those of `world.primary` where left out.
    pub holds: Option<SiteName>,
    /// Time until a purge is everywhere.
    #[serde(default = "purge")]
    pub purge: Range,
}

fn purge() -> Range {
    Range::seconds(1, 10)
}
