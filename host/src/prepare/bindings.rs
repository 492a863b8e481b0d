//! Providers: loaded, held to their contracts, configured, and made into routes.

use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::error::{PrepareError, PrepareErrors};
use super::{Prepared, load};
use crate::call::{Service, hex};
use crate::capability::{Capabilities, Facilities};
use crate::clock::Clock;
use crate::journal::Journal;
use crate::mediation::egress::Egress;
use crate::mediation::routing::Route;
use crate::name::InterfaceName;
use crate::plugin::engine::Kind;
use crate::plugin::provider::{BoundProvider, ProviderPlugin};
use crate::plugin::{Engines, PluginError};
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
    if errors.is_empty() { Ok(Providers(bound)) } else { Err(PrepareErrors(errors)) }
}

async fn bind_one(
    engines: &Engines,
    runbook: &Runbook,
    binding: &Binding,
    facilities: &Facilities,
) -> Result<Bound, PrepareError> {
    let component = load(engines, runbook, &binding.plugin, Kind::Provider)?;
    let exported = component.exported(binding.contract.unversioned()).cloned();
    match exported {
        Some(exported) if exported == binding.contract => {}
        Some(exported) => return Err(version(component.name(), &exported, &binding.contract).into()),
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
        PrepareError::Parameters { whose: format!("the configuration of `{}`", binding.plugin), problems }
    })?;
    plugin.validate(&config.to_string()).await?;
    let unusable = |reason: String| PrepareError::Binding {
        contract: binding.contract.to_string(),
        plugin: binding.plugin.to_string(),
        reason,
    };
    let capabilities = Capabilities::for_binding(binding, &runbook.folder, facilities)
        .map_err(|error| unusable(format!("{}: {error}", error.code())))?;
    Ok(Bound { binding: binding.clone(), plugin, capabilities: Arc::new(capabilities) })
}

impl Providers {
    /// Every form of every secret that a binding holds: what the journal must not.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        self.0.iter().flat_map(|bound| bound.capabilities.redactor().texts().to_vec()).collect()
    }

    /// Routes to the providers; what they do is recorded in `journal`.
    #[must_use]
    pub fn routes(&self, journal: &Journal, clock: &Arc<dyn Clock>) -> Vec<Route> {
        self.0.iter().map(|bound| bound.route(journal, clock)).collect()
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
        let service: Arc<dyn Service> =
            Arc::new(BoundProvider::new(self.plugin.clone(), &self.binding.config, Box::new(egress)));
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
    let native = prepared.contracts.iter().filter(|contract| NATIVE.contains(&contract.unversioned())).cloned();
    let served: Vec<InterfaceName> =
        prepared.runbook.bindings.iter().map(|binding| binding.contract.clone()).chain(native).collect();
    check_served(prepared, &served, "add a `[[bindings]]` entry for it, or plan without it")
}

/// Checks that everything the plan uses is among what is served, at the version it was built for.
///
/// # Errors
/// [`PrepareErrors`] naming each contract.
pub fn check_served(prepared: &Prepared, served: &[InterfaceName], way_out: &str) -> Result<(), PrepareErrors> {
    let mut errors = Vec::new();
    for contract in prepared.contracts.iter().filter(|contract| !served.contains(contract)) {
        let other = served.iter().find(|name| name.unversioned() == contract.unversioned());
        errors.push(match other {
            Some(offered) => version("the strategy", contract, offered).into(),
            None => PrepareError::Unserved {
                contract: contract.to_string(),
                at: String::new(),
                way_out: way_out.to_owned(),
            },
        });
    }
    if errors.is_empty() { Ok(()) } else { Err(PrepareErrors(errors)) }
}

fn version(name: &str, wanted: &InterfaceName, offered: &InterfaceName) -> PluginError {
    PluginError::Version { name: name.to_owned(), wanted: wanted.clone(), offered: offered.to_string() }
}

/// SHA-256 over bindings and grants as this version of the host reads them, lower-case hexadecimal.
#[must_use]
pub fn policy_digest(runbook: &Runbook) -> String {
    hex(&Sha256::digest(format!("{:?} {:?}", runbook.bindings, runbook.grants)))
}
