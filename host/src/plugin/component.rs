//! A component, loaded and reflected: what it imports, what it exports, which bytes it is.

use std::collections::BTreeMap;
use std::path::Path;

use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{ComponentExportIndex, Type};

use super::engine::{Engines, Kind};
use super::error::PluginError;
use crate::call::FunctionName;
use crate::name::{InterfaceName, PluginDigest};

/// What the host serves to providers.
pub(crate) const CAPABILITIES: [&str; 7] = [
    "understudy:http/http",
    "understudy:sql/sql",
    "understudy:tls/tls",
    "understudy:kubernetes/api",
    "understudy:exec/exec",
    "understudy:dns-update/dns-update",
    "understudy:acme/acme",
];

/// What the host serves or calls besides. No plugin may serve either.
const RESERVED: [&str; 2] = ["understudy:control/control", "understudy:probe/probe"];

/// Interface without functions that every contract draws its types from.
const TYPES: &str = "understudy:types/types";

/// Interface that makes a component a strategy.
pub const STRATEGY: &str = "understudy:plugin/strategy";

/// Interface that makes a component a provider.
pub const PROVIDER: &str = "understudy:plugin/provider";

/// Functions of an interface by name.
pub type Functions = BTreeMap<String, ComponentFunc>;

/// A component that has been compiled and looked at.
#[derive(Clone)]
pub struct Component {
    name: String,
    digest: PluginDigest,
    kind: Kind,
    compiled: wasmtime::component::Component,
    imports: BTreeMap<InterfaceName, Functions>,
    exports: BTreeMap<InterfaceName, BTreeMap<String, (ComponentExportIndex, ComponentFunc)>>,
}

impl Component {
    /// Reads, checks and compiles a component, or takes the compiled one from the cache.
    ///
    /// # Errors
    /// [`PluginError`] naming the file or plugin: unreadable, not the bytes that were locked, not a component, or with
    /// imports and exports that a plugin of this kind must not have.
    pub fn load(
        engines: &Engines,
        kind: Kind,
        name: &str,
        path: &Path,
        expected: Option<&PluginDigest>,
    ) -> Result<Self, PluginError> {
        let bytes = std::fs::read(path).map_err(|source| PluginError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Self::from_bytes(engines, kind, name, &bytes, expected)
    }

    /// As [`load`](Self::load), from bytes.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_bytes(
        engines: &Engines,
        kind: Kind,
        name: &str,
        bytes: &[u8],
        expected: Option<&PluginDigest>,
    ) -> Result<Self, PluginError> {
        let digest = PluginDigest::of(bytes);
        if let Some(expected) = expected.filter(|expected| **expected != digest) {
            return Err(PluginError::Digest {
                name: name.to_owned(),
                expected: expected.clone(),
                found: digest,
            });
        }
        let engine = engines.of(kind);
        let not_a_component = |error: wasmtime::Error| PluginError::NotAComponent {
            name: name.to_owned(),
            source: error.into(),
        };
        let compiled =
            wasmtime::component::Component::from_binary(engine, bytes).map_err(not_a_component)?;
        let component = Self {
            name: name.to_owned(),
            digest,
            kind,
            imports: imports(name, engine, &compiled)?,
            exports: exports(name, engine, &compiled)?,
            compiled,
        };
        component.check_shape()?;
        Ok(component)
    }

    /// Name used in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the bytes.
    #[must_use]
    pub fn digest(&self) -> &PluginDigest {
        &self.digest
    }

    /// Strategy or provider.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What it imports, interfaces without functions left out.
    pub fn imports(&self) -> impl Iterator<Item = (&InterfaceName, &Functions)> {
        self.imports
            .iter()
            .filter(|(_, functions)| !functions.is_empty())
    }

    /// Interfaces it exports.
    pub fn exports(&self) -> impl Iterator<Item = &InterfaceName> {
        self.exports.keys()
    }

    /// The exported interface of this name whatever its version.
    #[must_use]
    pub fn exported(&self, unversioned: &str) -> Option<&InterfaceName> {
        self.exports.keys().find(|name| name.is(unversioned))
    }

    /// Functions of an exported interface.
    pub fn exported_functions(
        &self,
        interface: &InterfaceName,
    ) -> impl Iterator<Item = (&str, &ComponentFunc)> {
        self.exports
            .get(interface)
            .into_iter()
            .flatten()
            .map(|(name, (_, ty))| (name.as_str(), ty))
    }

    pub(super) fn compiled(&self) -> &wasmtime::component::Component {
        &self.compiled
    }

    pub(super) fn all_imports(&self) -> impl Iterator<Item = (&InterfaceName, &Functions)> {
        self.imports.iter()
    }

    pub(super) fn export(
        &self,
        function: &FunctionName,
    ) -> Option<&(ComponentExportIndex, ComponentFunc)> {
        self.exports
            .get(&function.interface)?
            .get(&function.function)
    }

    fn check_shape(&self) -> Result<(), PluginError> {
        let marker = match self.kind {
            Kind::Strategy => STRATEGY,
            Kind::Provider => PROVIDER,
        };
        if self.exported(marker).is_none() {
            return Err(self.shape(format!(
                "does not export `{marker}`; see `wit/plugin` for the world to build for"
            )));
        }
        for interface in self.imports.keys().filter(|interface| !interface.is(TYPES)) {
            let capability = CAPABILITIES.contains(&interface.unversioned());
            let problem = match self.kind {
                Kind::Provider if !capability => "providers import host capabilities only",
                Kind::Strategy if capability => {
                    "strategies import domain contracts and `control` only"
                }
                _ => continue,
            };
            return Err(self.shape(format!("imports `{interface}`: {problem}")));
        }
        for interface in self.exports.keys() {
            let name = interface.unversioned();
            if CAPABILITIES.contains(&name) || RESERVED.contains(&name) {
                return Err(
                    self.shape(format!("exports `{interface}`, which only the host serves"))
                );
            }
        }
        self.imports().try_for_each(|(interface, functions)| {
            functions
                .iter()
                .try_for_each(|(name, ty)| self.check_function(interface, name, ty))
        })
    }

    /// Every imported function must be able to carry the host's own answers.
    fn check_function(
        &self,
        interface: &InterfaceName,
        name: &str,
        ty: &ComponentFunc,
    ) -> Result<(), PluginError> {
        let results: Vec<Type> = ty.results().collect();
        let error = match results.as_slice() {
            [Type::Result(result)] => result.err(),
            _ => None,
        };
        let answerable = matches!(&error, Some(Type::Variant(variant)) if
            ["denied", "timed-out", "unavailable", "invalid", "in-doubt", "other"]
                .iter().all(|case| variant.cases().any(|known| known.name == *case)));
        if answerable && !ty.async_() {
            return Ok(());
        }
        Err(self.shape(format!(
            "imports `{interface}` whose function `{name}` does not return `result<_, error>` with the cases of `understudy:types/types.error`"
        )))
    }

    fn shape(&self, problem: String) -> PluginError {
        PluginError::Shape {
            name: self.name.clone(),
            problem,
        }
    }
}

fn interface(plugin: &str, name: &str) -> Result<InterfaceName, PluginError> {
    name.parse().map_err(|_| PluginError::Shape {
        name: plugin.to_owned(),
        problem: format!(
            "imports or exports `{name}`; only versioned WIT interfaces cross the seam"
        ),
    })
}

fn imports(
    plugin: &str,
    engine: &wasmtime::Engine,
    compiled: &wasmtime::component::Component,
) -> Result<BTreeMap<InterfaceName, Functions>, PluginError> {
    let mut all = BTreeMap::new();
    for (name, item) in compiled.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(instance) = item.ty else {
            return Err(PluginError::Shape {
                name: plugin.to_owned(),
                problem: format!("imports `{name}`, which is not an interface"),
            });
        };
        let mut functions = Functions::new();
        for (function, item) in instance.exports(engine) {
            match item.ty {
                ComponentItem::ComponentFunc(ty) => {
                    functions.insert(function.to_owned(), ty);
                }
                ComponentItem::Type(_) => {}
                _ => {
                    return Err(PluginError::Shape {
                        name: plugin.to_owned(),
                        problem: format!(
                            "imports `{name}` with `{function}`; only plain values cross the seam"
                        ),
                    });
                }
            }
        }
        all.insert(interface(plugin, name)?, functions);
    }
    Ok(all)
}

type Exports = BTreeMap<InterfaceName, BTreeMap<String, (ComponentExportIndex, ComponentFunc)>>;

fn exports(
    plugin: &str,
    engine: &wasmtime::Engine,
    compiled: &wasmtime::component::Component,
) -> Result<Exports, PluginError> {
    let mut all = BTreeMap::new();
    for (name, item) in compiled.component_type().exports(engine) {
        let ComponentItem::ComponentInstance(instance) = item.ty else {
            continue;
        };
        let Some(parent) = compiled.get_export_index(None, name) else {
            continue;
        };
        let functions = instance
            .exports(engine)
            .filter_map(|(function, item)| match item.ty {
                ComponentItem::ComponentFunc(ty) => {
                    let index = compiled.get_export_index(Some(&parent), function)?;
                    Some((function.to_owned(), (index, ty)))
                }
                _ => None,
            })
            .collect();
        all.insert(interface(plugin, name)?, functions);
    }
    Ok(all)
}
