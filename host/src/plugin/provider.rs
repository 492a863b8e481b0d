//! A provider plugin: serves contracts, each call in a fresh instance that is configured first.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::component::{Component, PROVIDER};
use super::engine::Engines;
use super::error::{Halt, PluginError};
use super::guest::Guest;
use super::limits;
use super::link::{Imports, NoImports};
use super::strategy::{Description, ResultOf};
use crate::call::{CallError, Reply, Request, json_bytes};
use crate::clock::BoxFuture;
use crate::name::InterfaceName;

/// A provider, loaded. Cheap to clone.
#[derive(Clone)]
pub struct ProviderPlugin {
    guest: Guest,
    interface: InterfaceName,
}

/// Makes the imports for one provider call: the capabilities of its binding, recorded under the call's site.
pub trait Capable: Send + Sync {
    /// Imports for serving `request`.
    fn imports(&self, request: &Request) -> Arc<dyn CountingImports>;
}

/// Imports that know whether anything was sent.
pub trait CountingImports: Imports {
    /// True once a request may have left the host.
    fn sent(&self) -> bool;
}

impl ProviderPlugin {
    /// Links a provider component.
    ///
    /// # Errors
    /// [`PluginError`] if it is none.
    pub fn new(engines: &Engines, component: Component) -> Result<Self, PluginError> {
        let interface =
            component
                .exported(PROVIDER)
                .cloned()
                .ok_or_else(|| PluginError::Shape {
                    name: component.name().to_owned(),
                    problem: format!("does not export `{PROVIDER}`"),
                })?;
        Ok(Self {
            guest: Guest::new(engines, component)?,
            interface,
        })
    }

    /// The component.
    #[must_use]
    pub fn component(&self) -> &Component {
        self.guest.component()
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// [`PluginError`] if it traps or calls anything.
    pub async fn describe(&self) -> Result<Description, PluginError> {
        let mut instance = self.guest.instantiate(Arc::new(NoImports)).await?;
        let value = instance.call(&self.interface, "describe", &[]).await?;
        serde_json::from_value(value).map_err(|error| self.misfit("describe", error.to_string()))
    }

    /// Has the plugin check a configuration.
    ///
    /// # Errors
    /// [`PluginError::Configuration`] if it refuses.
    pub async fn validate(&self, config: &str) -> Result<(), PluginError> {
        let mut instance = self.guest.instantiate(Arc::new(NoImports)).await?;
        self.configure(&mut instance, config).await
    }

    /// Serves one call.
    ///
    /// # Errors
    /// [`PluginError`] if it was stopped or answered something that does not fit.
    pub async fn serve(
        &self,
        config: &str,
        request: &Request,
        imports: Arc<dyn Imports>,
    ) -> Result<Reply, PluginError> {
        let mut instance = self.guest.instantiate(imports).await?;
        self.configure(&mut instance, config).await?;
        let value = instance
            .call_named(&request.function, &request.args)
            .await?;
        let size = json_bytes(&value);
        if size > limits::ANSWER_BYTES {
            return Err(PluginError::TooMuch {
                name: self.component().name().to_owned(),
                function: request.function.to_string(),
                size,
                limit: limits::ANSWER_BYTES,
            });
        }
        let result: ResultOf<Value, CallError> = serde_json::from_value(value)
            .map_err(|error| self.misfit(&request.function.to_string(), error.to_string()))?;
        Ok(result.into())
    }

    async fn configure(
        &self,
        instance: &mut super::guest::Instance,
        config: &str,
    ) -> Result<(), PluginError> {
        let value = instance
            .call(&self.interface, "configure", &[json!(config)])
            .await?;
        let result: ResultOf<Value, String> = serde_json::from_value(value)
            .map_err(|error| self.misfit("configure", error.to_string()))?;
        match result {
            ResultOf::Ok(_) => Ok(()),
            ResultOf::Err(problem) => Err(PluginError::Configuration {
                name: self.component().name().to_owned(),
                problems: vec![problem],
            }),
        }
    }

    fn misfit(&self, function: &str, problem: String) -> PluginError {
        PluginError::Answer {
            name: self.component().name().to_owned(),
            function: function.to_owned(),
            problem,
        }
    }
}

/// A provider under a binding: what the mediation dispatches to.
pub struct BoundProvider {
    plugin: ProviderPlugin,
    config: String,
    capable: Box<dyn Capable>,
}

impl BoundProvider {
    /// Binds a provider to its configuration and capabilities.
    #[must_use]
    pub fn new(
        plugin: ProviderPlugin,
        config: &Map<String, Value>,
        capable: Box<dyn Capable>,
    ) -> Self {
        Self {
            plugin,
            config: Value::Object(config.clone()).to_string(),
            capable,
        }
    }
}

impl crate::call::Service for BoundProvider {
    fn call<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            let imports = self.capable.imports(request);
            let served = self
                .plugin
                .serve(
                    &self.config,
                    request,
                    Arc::clone(&imports) as Arc<dyn Imports>,
                )
                .await;
            served.unwrap_or_else(|error| Err(failed(&error, imports.sent())))
        })
    }
}

/// What a strategy is told when the provider itself broke.
fn failed(error: &PluginError, sent: bool) -> CallError {
    match error {
        PluginError::Configuration { .. } => CallError::Invalid(error.to_string()),
        PluginError::Halted(Halt::Cancelled(reason)) => CallError::Other(reason.clone()),
        _ if sent => CallError::InDoubt(error.to_string()),
        _ => CallError::Other(error.to_string()),
    }
}
