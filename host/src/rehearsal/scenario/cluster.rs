//! What is in a site's cluster at the beginning, beside its nodes and what its applications are.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::name::SiteName;

/// A namespace at the beginning.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Namespace {
    /// Applications of the site whose pods are in it, by name.
    pub apps: Vec<String>,
    /// How many other pods run in it, by the value of their label `app`.
    pub pods: BTreeMap<String, u32>,
}

/// Name of a node, counted from 1.
pub(crate) fn node_name(site: &SiteName, number: u32) -> String {
    format!("{site}-{number}")
}
