//! Infrastructure as code, as a scenario starts with it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::time::{Length, Range};
use crate::name::SiteName;

/// `[stacks.NAME]`: code with its state at the sites that have one, and how long its tool takes.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Stack {
    /// Sites that it exists at.
    pub sites: Vec<SiteName>,
    /// Resources that somebody had changed outside the code before the drill, by site.
    #[serde(default)]
    pub drifted: BTreeMap<SiteName, Vec<String>>,
    /// Locks of states that somebody else holds, by site.
    #[serde(default)]
    pub locked: BTreeMap<SiteName, Locked>,
    /// What it gives out at every site.
    #[serde(default)]
    pub outputs: BTreeMap<String, String>,
    /// Time to compare code and reality.
    #[serde(default = "plan")]
    pub plan: Range,
    /// Time to apply.
    #[serde(default = "apply")]
    pub apply: Range,
    /// Time to destroy.
    #[serde(default = "destroy")]
    pub destroy: Range,
}

/// A lock that somebody holds.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Locked {
    /// Who, in words.
    pub by: String,
    /// For how long from `T` on.
    #[serde(rename = "for")]
    pub length: Length,
}

fn plan() -> Range {
    Range::seconds(10, 40)
}
fn apply() -> Range {
    Range::seconds(120, 900)
}
fn destroy() -> Range {
    Range::seconds(180, 900)
}
