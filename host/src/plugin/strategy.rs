//! A strategy plugin: says its steps, performs them, takes them back.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::component::{Component, STRATEGY};
use super::engine::Engines;
use super::error::PluginError;
use super::guest::Guest;
use super::limits;
use super::link::{Imports, NoImports};
use crate::call::{CallError, Direction, json_bytes};
use crate::journal::record::Mode;
use crate::name::{InterfaceName, RunId};
use crate::plan::PlannedStep;

/// What a plugin says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Description {
    /// Kebab-case.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// One line.
    pub summary: String,
    /// JSON Schema of its configuration.
    pub config_schema: String,
}

/// `strategy.context`: what a strategy is run for.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Context {
    /// The run.
    pub run: RunId,
    /// Parameters, JSON text.
    pub config: String,
    /// Graceful or ungraceful.
    pub mode: Mode,
    /// Recovery time objective in milliseconds.
    pub rto_target_ms: u64,
    /// Recovery point objective in milliseconds.
    pub rpo_target_ms: u64,
}

/// `strategy.finding`: what `assess` found.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// Kebab-case.
    pub id: String,
    /// True where the run may start in spite of it.
    pub ok: bool,
    /// One line.
    pub detail: String,
}

/// A strategy, loaded. Cheap to clone.
#[derive(Clone)]
pub struct StrategyPlugin {
    guest: Guest,
    interface: InterfaceName,
}

impl StrategyPlugin {
    /// Links a strategy component.
    ///
    /// # Errors
    /// [`PluginError`] if it is none.
    pub fn new(engines: &Engines, component: Component) -> Result<Self, PluginError> {
        let interface =
            component
                .exported(STRATEGY)
                .cloned()
                .ok_or_else(|| PluginError::Shape {
                    name: component.name().to_owned(),
                    problem: format!("does not export `{STRATEGY}`"),
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
        let value = self.pure("describe", &[]).await?;
        self.read("describe", value)
    }

    /// Checks parameters: one line per problem.
    ///
    /// # Errors
    /// [`PluginError::Configuration`] if there are problems.
    pub async fn validate(&self, config: &str) -> Result<(), PluginError> {
        let value = self.pure("validate-config", &[json!(config)]).await?;
        let result: ResultOf<Value, Vec<String>> = self.read("validate-config", value)?;
        match result {
            ResultOf::Ok(_) => Ok(()),
            ResultOf::Err(problems) => Err(PluginError::Configuration {
                name: self.name(),
                problems,
            }),
        }
    }

    /// The steps.
    ///
    /// # Errors
    /// [`PluginError::Configuration`] if it cannot plan for these parameters.
    pub async fn plan(&self, context: &Context) -> Result<Vec<PlannedStep>, PluginError> {
        let value = self.pure("plan", &[self.context(context)?]).await?;
        let result: ResultOf<Vec<PlannedStep>, CallError> = self.read("plan", value)?;
        match result {
            ResultOf::Ok(steps) => Ok(steps),
            ResultOf::Err(error) => Err(PluginError::Configuration {
                name: self.name(),
                problems: vec![error.to_string()],
            }),
        }
    }

    /// Performs a step or takes it back, in a fresh instance. The inner result is the strategy's own.
    ///
    /// # Errors
    /// [`PluginError`] if it was stopped.
    pub async fn perform(
        &self,
        direction: Direction,
        context: &Context,
        step: &str,
        imports: Arc<dyn Imports>,
    ) -> Result<Result<String, CallError>, PluginError> {
        let function = match direction {
            Direction::Run => "run-step",
            Direction::Undo => "undo-step",
        };
        let mut instance = self.guest.instantiate(imports).await?;
        let value = instance
            .call(
                &self.interface,
                function,
                &[self.context(context)?, json!(step)],
            )
            .await?;
        Ok(self
            .read::<ResultOf<String, CallError>>(function, value)?
            .into())
    }

    /// Looks at the world by reads.
    ///
    /// # Errors
    /// [`PluginError`] if it was stopped.
    pub async fn assess(
        &self,
        context: &Context,
        imports: Arc<dyn Imports>,
    ) -> Result<Result<Vec<Finding>, CallError>, PluginError> {
        let mut instance = self.guest.instantiate(imports).await?;
        let value = instance
            .call(&self.interface, "assess", &[self.context(context)?])
            .await?;
        Ok(self
            .read::<ResultOf<Vec<Finding>, CallError>>("assess", value)?
            .into())
    }

    fn name(&self) -> String {
        self.component().name().to_owned()
    }

    async fn pure(&self, function: &str, args: &[Value]) -> Result<Value, PluginError> {
        self.guest
            .instantiate(Arc::new(NoImports))
            .await?
            .call(&self.interface, function, args)
            .await
    }

    fn context(&self, context: &Context) -> Result<Value, PluginError> {
        serde_json::to_value(context).map_err(|error| self.misfit("context", &error))
    }

    fn read<T: serde::de::DeserializeOwned>(
        &self,
        function: &str,
        value: Value,
    ) -> Result<T, PluginError> {
        let size = json_bytes(&value);
        if size > limits::PAYLOAD_BYTES {
            return Err(PluginError::TooMuch {
                name: self.name(),
                function: function.to_owned(),
                size,
                limit: limits::PAYLOAD_BYTES,
            });
        }
        serde_json::from_value(value).map_err(|error| self.misfit(function, &error))
    }

    fn misfit(&self, function: &str, error: &serde_json::Error) -> PluginError {
        PluginError::Answer {
            name: self.name(),
            function: function.to_owned(),
            problem: error.to_string(),
        }
    }
}

/// `result<T, E>` as JSON has it.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ResultOf<T, E> {
    /// Success.
    Ok(T),
    /// Failure.
    Err(E),
}

impl<T, E> From<ResultOf<T, E>> for Result<T, E> {
    fn from(result: ResultOf<T, E>) -> Self {
        match result {
            ResultOf::Ok(value) => Ok(value),
            ResultOf::Err(error) => Err(error),
        }
    }
}
