//! A component ready to be instantiated, and one instance of it: fresh, bounded, used once.

use std::sync::Arc;

use serde_json::Value;
use wasmtime::component::{InstancePre, Type, Val};
use wasmtime::{Store, Trap};

use super::component::Component;
use super::engine::{Engines, Kind};
use super::error::{Halt, PluginError};
use super::json;
use super::limits::{self, Exceeded, GuestLimits};
use super::link::{self, GuestState, Imports};
use crate::call::FunctionName;
use crate::name::InterfaceName;

/// A linked component. Cheap to clone.
#[derive(Clone)]
pub struct Guest {
    engines: Engines,
    component: Arc<Component>,
    pre: InstancePre<GuestState>,
}

impl Guest {
    /// Links a component.
    ///
    /// # Errors
    /// [`PluginError::NotAComponent`] if the engine refuses.
    pub fn new(engines: &Engines, component: Component) -> Result<Self, PluginError> {
        let pre = link::link(engines, &component)?;
        Ok(Self {
            engines: engines.clone(),
            component: Arc::new(component),
            pre,
        })
    }

    /// The component.
    #[must_use]
    pub fn component(&self) -> &Component {
        &self.component
    }

    /// A fresh instance whose calls go to `imports`.
    ///
    /// # Errors
    /// [`PluginError::Trapped`] if it does not even start within the limits.
    pub async fn instantiate(&self, imports: Arc<dyn Imports>) -> Result<Instance, PluginError> {
        let kind = self.component.kind();
        let state = GuestState {
            limits: GuestLimits::default(),
            imports,
        };
        let mut store = Store::new(self.engines.of(kind), state);
        store.limiter(|state| &mut state.limits);
        store.set_hostcall_fuel(limits::copy_bytes(kind));
        match kind {
            Kind::Strategy => store
                .set_fuel(limits::STRATEGY_FUEL)
                .map_err(PluginError::engine)?,
            Kind::Provider => store.set_epoch_deadline(limits::provider_epochs()),
        }
        let inner = self.pre.instantiate_async(&mut store).await;
        let inner = inner.map_err(|error| stopped(&self.component, "start", &error))?;
        Ok(Instance {
            component: Arc::clone(&self.component),
            store,
            inner,
        })
    }
}

/// One instance. Dropped after use: nothing a guest leaves behind is seen by the next call.
pub struct Instance {
    component: Arc<Component>,
    store: Store<GuestState>,
    inner: wasmtime::component::Instance,
}

impl Instance {
    /// Calls an exported function with arguments in the order of its parameters.
    ///
    /// # Errors
    /// [`PluginError::Shape`] if there is no such function, [`PluginError::Answer`] if arguments or result do not fit,
    /// [`PluginError::Trapped`] or [`PluginError::Halted`] if it was stopped.
    pub async fn call(
        &mut self,
        interface: &InterfaceName,
        function: &str,
        args: &[Value],
    ) -> Result<Value, PluginError> {
        let name = FunctionName {
            interface: interface.clone(),
            function: function.to_owned(),
        };
        let plugin = self.component.name().to_owned();
        let Some((index, ty)) = self.component.export(&name) else {
            return Err(PluginError::Shape {
                name: plugin,
                problem: format!("does not export `{interface}.{function}`"),
            });
        };
        let misfit = |problem: String| PluginError::Answer {
            name: plugin.clone(),
            function: name.to_string(),
            problem,
        };
        let types: Vec<Type> = ty.params().map(|(_, ty)| ty).collect();
        if types.len() != args.len() {
            return Err(misfit(format!(
                "{} parameters where {} were given",
                types.len(),
                args.len()
            )));
        }
        let vals: Vec<Val> = args
            .iter()
            .zip(&types)
            .map(|(arg, ty)| json::to_val(arg, ty))
            .collect::<Result<_, _>>()
            .map_err(|error| misfit(error.to_string()))?;
        let mut results = vec![Val::Bool(false); ty.results().len()];
        let func = self.inner.get_func(&mut self.store, index);
        let func = func.ok_or_else(|| misfit("nothing: the function is gone".to_owned()))?;
        func.call_async(&mut self.store, &vals, &mut results)
            .await
            .map_err(|error| stopped(&self.component, &name.to_string(), &error))?;
        match results.first() {
            Some(val) => json::from_val(val).map_err(|error| misfit(error.to_string())),
            None => Ok(Value::Null),
        }
    }

    /// As [`call`](Self::call), with arguments by parameter name; a parameter without one is `null`.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn call_named(
        &mut self,
        function: &FunctionName,
        args: &serde_json::Map<String, Value>,
    ) -> Result<Value, PluginError> {
        let ordered: Vec<Value> = match self.component.export(function) {
            Some((_, ty)) => ty
                .params()
                .map(|(name, _)| args.get(name).cloned().unwrap_or(Value::Null))
                .collect(),
            None => Vec::new(),
        };
        self.call(&function.interface, &function.function, &ordered)
            .await
    }
}

/// How the engine says that a guest had more copied than it may. It keeps the type of that error to itself, so the words
/// are all there is; a test holds them to the engine.
const TOO_MUCH_COPIED: &str = "fuel allocated for hostcalls";

/// What an error of the engine means: the host's own halt, or a trap in one line.
fn stopped(component: &Component, function: &str, error: &wasmtime::Error) -> PluginError {
    if let Some(halt) = error.downcast_ref::<Halt>() {
        return PluginError::Halted(halt.clone());
    }
    let reason = match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => {
            "it used up its fuel; a strategy must not compute for this long".to_owned()
        }
        Some(Trap::Interrupt) => {
            format!(
                "it computed for more than {} s without a call",
                limits::PROVIDER_BURST.as_secs()
            )
        }
        Some(Trap::StackOverflow) => "its stack overflowed; it recurses too deeply".to_owned(),
        Some(Trap::UnreachableCodeReached) => "it panicked".to_owned(),
        Some(trap) => trap.to_string(),
        None => match (
            error.downcast_ref::<Exceeded>(),
            error.root_cause().to_string(),
        ) {
            (Some(limit), _) => limit.to_string(),
            (None, cause) if cause.contains(TOO_MUCH_COPIED) => format!(
                "it passed more than {} MiB at once; pass less",
                limits::copy_bytes(component.kind()) >> 20
            ),
            (None, cause) => cause,
        },
    };
    PluginError::Trapped {
        name: component.name().to_owned(),
        function: function.to_owned(),
        reason,
    }
}
