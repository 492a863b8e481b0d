//! Providers: loaded, held to their contracts, configured, and made into routes.

use std::sync::Arc;

use serde_json::Value;

use super::error::{PrepareError, PrepareErrors};
use super::served::{check_served, version};
use super::{Prepared, load};
use crate::call::Service;
use crate::capability::{Capabilities, Capability, Facilities, credential};
use crate::clock::Clock;
use crate::journal::Journal;
use crate::journal::redact::Redactor;
use crate::mediation::egress::Egress;
use crate::mediation::routing::Route;
use crate::name::{InterfaceName, PluginDigest, PluginName};
use crate::plugin::Engines;
use crate::plugin::engine::Kind;
use crate::plugin::provider::{BoundProvider, ProviderPlugin};
use crate::runbook::parameters;
use crate::runbook::types::{Binding, Runbook};

/// Contracts that the host serves in a live run.
const NATIVE: [&str; 1] = ["understudy:probe/probe"];

/// The providers of a runbook, ready to serve.
pub struct Providers(Vec<Bound>);

struct Bound {
    binding: Binding,
    plugin: ProviderPlugin,
    capabilities: Arc<Capabilities>,
}

/// Loads and checks every bound provider. Secrets are read here, and nothing is connected to.
///
/// # Errors
/// [`PrepareErrors`]: everything that is wrong with any binding.
pub async fn bind(
    engines: &Engines,
    runbook: &Runbook,
    facilities: &Facilities,
) -> Result<Providers, PrepareErrors> {
    let mut bound = Vec::new();
    let mut errors = Vec::new();
    for binding in &runbook.bindings {
        match bind_one(engines, runbook, binding, facilities).await {
            Ok(one) => bound.push(one),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        Ok(Providers(bound))
    } else {
        Err(PrepareErrors(errors))
    }
}

/// Loads a provider and holds it to its contract and its configuration. No secret is read.
///
/// # Errors
/// [`PrepareError`].
pub async fn load_provider(
    engines: &Engines,
    runbook: &Runbook,
    binding: &Binding,
) -> Result<ProviderPlugin, PrepareError> {
    let component = load(engines, runbook, &binding.plugin, Kind::Provider)?;
    let exported = component.exported(binding.contract.unversioned()).cloned();
    match exported {
        Some(exported) if exported == binding.contract => {}
        Some(exported) => {
            return Err(version(component.name(), &exported, &binding.contract).into());
        }
        None => {
            return Err(PrepareError::Misbound {
                plugin: binding.plugin.to_string(),
                contract: binding.contract.to_string(),
                serves: component.exports().map(ToString::to_string).collect(),
            });
        }
    }
    let plugin = ProviderPlugin::new(engines, component)?;
    let config = Value::Object(binding.config.clone());
    parameters::check(&plugin.describe().await?.config_schema, &config).map_err(|problems| {
        PrepareError::Parameters {
            whose: format!("the configuration of `{}`", binding.plugin),
            problems,
        }
    })?;
    plugin.validate(&config.to_string()).await?;
    Ok(plugin)
}

async fn bind_one(
    engines: &Engines,
    runbook: &Runbook,
    binding: &Binding,
    facilities: &Facilities,
) -> Result<Bound, PrepareError> {
    let plugin = load_provider(engines, runbook, binding).await?;
    let unusable = |reason: String| PrepareError::Binding {
        contract: binding.contract.to_string(),
        plugin: binding.plugin.to_string(),
        reason,
    };
    let capabilities = Capabilities::for_binding(binding, &runbook.folder, facilities)
        .map_err(|error| unusable(format!("{}: {error}", error.code())))?;
    Ok(Bound {
        binding: binding.clone(),
        plugin,
        capabilities: Arc::new(capabilities),
    })
}

impl Providers {
    /// Takes out of a journal what a binding holds of secrets, now and later.
    pub fn redactors(&self) -> impl Iterator<Item = &Redactor> {
        let redactors = self.0.iter().map(|bound| bound.capabilities.redactor());
        redactors.map(credential::Redactor::for_journal)
    }

    /// The same, with every capability behind what `layer` makes of it.
    #[must_use]
    pub fn through(mut self, layer: &dyn Fn(Arc<dyn Capability>) -> Arc<dyn Capability>) -> Self {
        for bound in &mut self.0 {
            bound.capabilities = Arc::new(bound.capabilities.through(layer));
        }
        self
    }

    /// The contracts served, with the functions of each; one that is bound for several sites is named for each.
    pub fn contracts(&self) -> impl Iterator<Item = (&InterfaceName, Vec<String>)> {
        self.0.iter().map(|bound| {
            let contract = &bound.binding.contract;
            let functions = bound.plugin.component().exported_functions(contract);
            let names = functions.map(|(name, _)| name.to_owned()).collect();
            (contract, names)
        })
    }

    /// Digests of the providers, by the name of the plugin.
    pub fn digests(&self) -> impl Iterator<Item = (&PluginName, &PluginDigest)> {
        self.0.iter().map(|bound| {
            let component = bound.plugin.component();
            (&bound.binding.plugin, component.digest())
        })
    }

    /// Routes to the providers; what they do is recorded in `journal`.
    #[must_use]
    pub fn routes(&self, journal: &Journal, clock: &Arc<dyn Clock>) -> Vec<Route> {
        self.0
            .iter()
            .map(|bound| bound.route(journal, clock))
            .collect()
    }
}

impl Bound {
    fn route(&self, journal: &Journal, clock: &Arc<dyn Clock>) -> Route {
        let egress = Egress {
            plugin: self.binding.plugin.clone(),
            capabilities: Arc::clone(&self.capabilities),
            journal: journal.clone(),
            clock: Arc::clone(clock),
        };
        let service: Arc<dyn Service> = Arc::new(BoundProvider::new(
            self.plugin.clone(),
            &self.binding.config,
            Box::new(egress),
        ));
        Route {
            interface: self.binding.contract.clone(),
            sites: self.binding.sites.clone(),
            name: self.binding.plugin.to_string(),
            service,
        }
    }
}

/// Checks that everything the plan uses is served by a binding or by the host, at the version it was built for.
///
/// # Errors
/// [`PrepareErrors`] naming each contract and who was built for it.
pub fn check_bound(prepared: &Prepared) -> Result<(), PrepareErrors> {
    let native = prepared
        .contracts
        .iter()
        .filter(|contract| NATIVE.contains(&contract.unversioned()))
        .cloned();
    let served: Vec<InterfaceName> = prepared
        .runbook
        .bindings
        .iter()
        .map(|binding| binding.contract.clone())
        .chain(native)
        .collect();
    check_served(
        prepared,
        &served,
        "add a `[[bindings]]` entry for it, or plan without it",
    )
}
