//! What the world answers to each contract of `wit/`: one file per contract, types in the contract's own shape.

mod certificates;
mod database;
mod dns;
mod edge_cache;
pub(crate) mod infrastructure;
mod ingress;
mod kubernetes;
mod metrics;
mod notify;
mod probe;
mod recovery;
mod storage;
mod workload;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::{CallError, Outcome, Reply, Request};

/// The arguments of a call, read into the parameters' types.
///
/// # Errors
/// `invalid`, in the reader's words.
pub(crate) fn args<T: DeserializeOwned>(request: &Request) -> Result<T, CallError> {
    T::deserialize(&*request.args).map_err(|error| {
        CallError::Invalid(format!("arguments of `{}`: {error}", request.function))
    })
}

/// A payload of `ok`.
pub(crate) fn ok<T: Serialize>(value: &T) -> Reply {
    serde_json::to_value(value).map_err(|error| CallError::Other(error.to_string()))
}

/// An outcome as the payload of `ok`.
pub(crate) fn outcome(outcome: Outcome) -> Reply {
    ok(&outcome)
}

/// The function is none of the contract's.
pub(crate) fn no_such_function(request: &Request) -> Reply {
    Err(CallError::Invalid(format!(
        "`{}` has no function `{}`",
        request.function.interface, request.function.function
    )))
}
