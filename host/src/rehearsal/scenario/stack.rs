//! Infrastructure as code, as a scenario starts with it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
    /// What it makes at a site.
    #[serde(default)]
    pub makes: Makes,
    /// Sites that it was never applied at: what it makes is there once it is.
    #[serde(default)]
    pub absent: Vec<SiteName>,
    /// What its code asks for that is not there yet, by site.
    #[serde(default)]
    pub pending: BTreeMap<SiteName, Vec<Pending>>,
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

/// What a stack makes at a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Makes {
    /// The nodes of its cluster.
    #[default]
    Cluster,
    /// What is installed there: namespaces with their pods, Secrets, ConfigMaps, and monitoring.
    Platform,
}

/// A change that waits to be applied.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Pending {
    /// The resource, as the code calls it.
    pub address: String,
    /// What is to be done to it.
    pub action: Action,
}

/// What is done to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Made.
    Create,
    /// Changed as it stands.
    Update,
    /// Destroyed and made anew.
    Replace,
    /// Destroyed.
    Destroy,
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
