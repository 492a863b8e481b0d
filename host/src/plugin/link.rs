//! Linking by reflection: every imported function of a component leads to the one [`Imports`] of its store.
//!
//! There is no list of contracts here and no other way out of a guest: what is not linked by this file cannot be
//! called, and what is linked goes to [`Imports::call`].

use std::sync::Arc;

use serde_json::{Map, Value, json};
use wasmtime::StoreContextMut;
use wasmtime::component::types::ComponentFunc;
use wasmtime::component::{InstancePre, Linker, Type, Val};

use super::component::Component;
use super::engine::{Engines, Kind};
use super::error::{Halt, PluginError};
use super::json;
use super::limits::{self, GuestLimits};
use crate::call::{CallError, FunctionName, Reply};
use crate::clock::BoxFuture;

/// Where a guest's calls go.
pub trait Imports: Send + Sync {
    /// Answers one call. `Err` ends the guest.
    fn call(
        &self,
        function: FunctionName,
        args: Map<String, Value>,
    ) -> BoxFuture<'_, Result<Arc<Reply>, Halt>>;
}

/// What a store holds for its guest.
pub struct GuestState {
    /// Memory, tables, instances.
    pub limits: GuestLimits,
    /// Where its calls go.
    pub imports: Arc<dyn Imports>,
}

/// Imports for what must be pure: any call ends the guest.
pub struct NoImports;

impl Imports for NoImports {
    fn call(
        &self,
        function: FunctionName,
        _: Map<String, Value>,
    ) -> BoxFuture<'_, Result<Arc<Reply>, Halt>> {
        Box::pin(async move {
            Err(Halt::Cancelled(format!(
                "`{function}` was called where no call is allowed"
            )))
        })
    }
}

/// Links every import of `component`.
///
/// # Errors
/// [`PluginError::NotAComponent`] if the engine refuses.
pub fn link(
    engines: &Engines,
    component: &Component,
) -> Result<InstancePre<GuestState>, PluginError> {
    let refused = |error: wasmtime::Error| PluginError::NotAComponent {
        name: component.name().to_owned(),
        source: error.into(),
    };
    let mut linker = Linker::<GuestState>::new(engines.of(component.kind()));
    for (interface, functions) in component.all_imports() {
        let mut instance = linker.instance(interface.as_str()).map_err(refused)?;
        for name in functions.keys() {
            let function = FunctionName {
                interface: interface.clone(),
                function: name.clone(),
            };
            let kind = component.kind();
            instance
                .func_new_async(name, move |store, ty, params, results| {
                    let function = function.clone();
                    Box::new(carry(store, kind, function, ty, params, results))
                })
                .map_err(refused)?;
        }
    }
    linker
        .instantiate_pre(component.compiled())
        .map_err(refused)
}

/// Carries one call out of the guest and its reply back in.
async fn carry(
    mut store: StoreContextMut<'_, GuestState>,
    kind: Kind,
    function: FunctionName,
    ty: ComponentFunc,
    params: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<()> {
    let mut args = Map::new();
    for ((name, _), val) in ty.params().zip(params) {
        args.insert(
            name.to_owned(),
            json::from_val(val).map_err(wasmtime::Error::new)?,
        );
    }
    let imports = Arc::clone(&store.data().imports);
    let reply = imports
        .call(function, args)
        .await
        .map_err(wasmtime::Error::new)?;
    if kind == Kind::Provider {
        // Epochs went by while the host worked; the guest is only charged for its own time.
        store.set_epoch_deadline(limits::provider_epochs());
    }
    let result_type = ty.results().next();
    if let (Some(slot), Some(result_type)) = (results.first_mut(), result_type) {
        *slot = reply_val(&reply, &result_type).map_err(wasmtime::Error::new)?;
    }
    Ok(())
}

/// A reply as the function's own result type. An error case that the type does not have is told as `other`.
fn reply_val(reply: &Reply, ty: &Type) -> Result<Val, json::ShapeError> {
    match reply {
        Ok(value) => json::side_to_val(Ok(value), ty),
        Err(error) => json::side_to_val(Err(&json!(error)), ty)
            .or_else(|_| json::side_to_val(Err(&json!(CallError::Other(error.to_string()))), ty)),
    }
}
