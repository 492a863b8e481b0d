//! What a provider is tested against, as it is written, before anything is checked.
//!
//! Bindings and sites are those of a runbook ([`super::raw`]); cases are those of a suite ([`super::against`]).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::against::{Effect, Read, Refusal, Wait};
use super::raw::{At, RawBinding, RawSite, Text};

/// A provider under test: its bindings, and what the suites may do there.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawAgainst {
    /// What this file is.
    pub(super) conformance: At<RawConformance>,
    /// Places, by name.
    #[schemars(default)]
    pub(super) sites: BTreeMap<Text, At<RawSite>>,
    /// The provider's bindings, as in a runbook.
    #[schemars(default)]
    pub(super) bindings: Vec<At<RawBinding>>,
    /// What the suite of each contract may touch.
    #[schemars(default)]
    pub(super) suites: Vec<At<RawSuite>>,
}

/// What this file is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawConformance {
    /// Version of this format: 1.
    pub(super) format: At<i64>,
    /// What the bindings below call the provider under test.
    pub(super) plugin: Text,
    /// How long one call may take, waits and repetitions included; `2m` where left out.
    pub(super) patience: Option<Text>,
}

/// What the suite of a contract may touch, and what it may not.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawSuite {
    /// The interface with its version, as in the binding.
    pub(super) contract: Text,
    /// Names of things that the suite may touch, for `$name` in its cases.
    #[serde(default)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub(super) things: BTreeMap<Text, toml::Value>,
    /// Destructive cases that may be run here.
    #[serde(default)]
    pub(super) allow: Vec<Text>,
    /// Cases that must not be run here, with the reason.
    #[serde(default)]
    pub(super) skip: BTreeMap<Text, String>,
    /// Reading calls, besides those of the contract's own suite.
    #[serde(default)]
    pub(super) reads: Vec<Read>,
    /// Changing calls, besides those of the contract's own suite.
    #[serde(default)]
    pub(super) effects: Vec<Effect>,
    /// Calls that must be refused, besides those of the contract's own suite.
    #[serde(default)]
    pub(super) refusals: Vec<Refusal>,
    /// Calls that cannot be done yet, besides those of the contract's own suite.
    #[serde(default)]
    pub(super) waits: Vec<Wait>,
}
