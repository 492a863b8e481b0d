//! What a component is, told without running it, and what it says of itself.

use serde::Serialize;

use super::component::{Component, PROVIDER, STRATEGY};
use super::engine::{Engines, Kind};
use super::error::PluginError;
use super::provider::ProviderPlugin;
use super::strategy::{Description, StrategyPlugin};
use crate::name::PluginDigest;

/// A plugin, looked at.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Inspection {
    /// `strategy` or `provider`.
    pub kind: &'static str,
    /// What it says of itself.
    pub description: Description,
    /// SHA-256 of its bytes.
    pub digest: PluginDigest,
    /// Size in bytes.
    pub size_bytes: usize,
    /// Interfaces it imports, with the functions it may call.
    pub imports: Vec<Interface>,
    /// Interfaces it exports.
    pub exports: Vec<Interface>,
}

/// An interface with its functions.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Interface {
    /// With version.
    pub name: String,
    /// Functions, sorted.
    pub functions: Vec<String>,
}

/// The kind of plugin these bytes are, by what they export; `None` for any other component.
#[must_use]
pub fn kind_of(bytes: &[u8]) -> Option<Kind> {
    let decoded = wit_component::decode(bytes).ok()?;
    let resolve = decoded.resolve();
    let exported: Vec<String> = resolve
        .worlds
        .iter()
        .flat_map(|(_, world)| world.exports.keys())
        .map(|key| resolve.name_world_key(key))
        .collect();
    let exports = |marker: &str| {
        exported
            .iter()
            .any(|name| name.split('@').next() == Some(marker))
    };
    if exports(STRATEGY) {
        Some(Kind::Strategy)
    } else if exports(PROVIDER) {
        Some(Kind::Provider)
    } else {
        None
    }
}

/// Looks at a plugin.
///
/// # Errors
/// [`PluginError`] if it is none.
pub async fn inspect(
    engines: &Engines,
    name: &str,
    bytes: &[u8],
) -> Result<Inspection, PluginError> {
    let kind = kind_of(bytes).ok_or_else(|| PluginError::Shape {
        name: name.to_owned(),
        problem: format!("exports neither `{STRATEGY}` nor `{PROVIDER}`"),
    })?;
    let component = Component::from_bytes(engines, kind, name, bytes, None)?;
    let digest = component.digest().clone();
    let imports = component
        .imports()
        .map(|(name, functions)| Interface {
            name: name.to_string(),
            functions: functions.keys().cloned().collect(),
        })
        .collect();
    let exports = component
        .exports()
        .map(|name| Interface {
            name: name.to_string(),
            functions: component
                .exported_functions(name)
                .map(|(function, _)| function.to_owned())
                .collect(),
        })
        .collect();
    let (kind, description) = match kind {
        Kind::Strategy => (
            "strategy",
            StrategyPlugin::new(engines, component)?.describe().await?,
        ),
        Kind::Provider => (
            "provider",
            ProviderPlugin::new(engines, component)?.describe().await?,
        ),
    };
    Ok(Inspection {
        kind,
        description,
        digest,
        size_bytes: bytes.len(),
        imports,
        exports,
    })
}
