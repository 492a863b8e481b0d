//! The binding's configuration, and what it says about a stack at a site. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use understudy_sdk::host::understudy::types::types::Error;

/// JSON Schema of [`Config`], as `describe` answers it.
pub(crate) const SCHEMA: &str = include_str!("config.schema.json");

/// See `config.schema.json` for what each field means.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Config {
    stacks: BTreeMap<String, BTreeMap<String, Place>>,
    #[serde(default = "ten")]
    pub(crate) lock_timeout_seconds: u32,
}

/// A stack at a site.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Place {
    pub(crate) program: String,
    pub(crate) workspace: String,
    #[serde(default)]
    pub(crate) var_files: Vec<String>,
}

impl Config {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// Where a stack is at a site.
    pub(crate) fn place(&self, site: &str, stack: &str) -> Result<&Place, Error> {
        let place = self.stacks.get(stack).and_then(|sites| sites.get(site));
        place.ok_or_else(|| {
            Error::Invalid(format!(
                "no entry for stack `{stack}` at site `{site}` under `stacks` of the terraform binding"
            ))
        })
    }
}

fn ten() -> u32 {
    10
}
