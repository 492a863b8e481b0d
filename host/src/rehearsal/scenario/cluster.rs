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

/// Ranges of addresses of a cluster, as its objects tell them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Networks {
    /// Of the pods, one for each node in their order; nodes beyond that tell none.
    pub pods: Vec<String>,
    /// Of the Services; none where the cluster does not tell.
    pub services: Vec<String>,
}

/// Secrets or ConfigMaps of a cluster at the beginning: by key, which value it is. A value is a name for it, never what would
/// be secret; values of one name are the same.
pub type Values = BTreeMap<ObjectName, BTreeMap<String, String>>;

/// An object of a namespace: `NAMESPACE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct ObjectName {
    /// Its namespace.
    pub namespace: String,
    /// Its own name.
    pub name: String,
}

impl TryFrom<String> for ObjectName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let parts = text.split_once('/');
        let parts = parts.filter(|(namespace, name)| {
            !namespace.is_empty() && !name.is_empty() && !name.contains('/')
        });
        let (namespace, name) =
            parts.ok_or_else(|| format!("`{text}` is no object: write `NAMESPACE/NAME`"))?;
        Ok(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }
}

/// Name of a node, counted from 1.
pub(crate) fn node_name(site: &SiteName, number: u32) -> String {
    format!("{site}-{number}")
}
