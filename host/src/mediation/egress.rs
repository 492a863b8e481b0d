//! What a provider does while it serves a call: every use of a capability is bounded, recorded and answered here.
//!
//! The uses are not replayed: after a crash the provider's call is issued again as a whole. Whether a use is allowed is
//! the capability's own decision, made from the binding's grants.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use serde_json::{Map, Value};

use crate::call::{CallError, FunctionName, Reply, Request};
use crate::capability::{Asked, Capabilities};
use crate::clock::{BoxFuture, Clock, millis};
use crate::journal::record::Record;
use crate::journal::{Durability, Journal};
use crate::name::PluginName;
use crate::plugin::error::Halt;
use crate::plugin::limits;
use crate::plugin::link::Imports;
use crate::plugin::provider::{Capable, CountingImports};

/// Makes the imports of a bound provider.
pub struct Egress {
    /// The provider.
    pub plugin: PluginName,
    /// What its binding lets it do.
    pub capabilities: Arc<Capabilities>,
    /// The record.
    pub journal: Journal,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Capable for Egress {
    fn imports(&self, request: &Request) -> Arc<dyn CountingImports> {
        Arc::new(ProviderCalls {
            plugin: self.plugin.clone(),
            capabilities: Arc::clone(&self.capabilities),
            journal: self.journal.clone(),
            clock: Arc::clone(&self.clock),
            request: request.clone(),
            calls: AtomicU32::new(0),
            sent: AtomicBool::new(false),
        })
    }
}

/// The imports of one provider call.
struct ProviderCalls {
    plugin: PluginName,
    capabilities: Arc<Capabilities>,
    journal: Journal,
    clock: Arc<dyn Clock>,
    request: Request,
    calls: AtomicU32,
    sent: AtomicBool,
}

impl CountingImports for ProviderCalls {
    fn sent(&self) -> bool {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Imports for ProviderCalls {
    fn call(
        &self,
        function: FunctionName,
        args: Map<String, Value>,
    ) -> BoxFuture<'_, Result<Arc<Reply>, Halt>> {
        Box::pin(async move {
            if self.calls.fetch_add(1, Ordering::Relaxed) >= limits::CALLS_PER_PROVIDER_CALL {
                return Err(Halt::TooManyCalls(limits::CALLS_PER_PROVIDER_CALL));
            }
            let Some(capability) = self.capabilities.get(&function.interface) else {
                let refused = format!("this host does not offer {}", function.interface);
                return Ok(Arc::new(Err(CallError::Invalid(refused))));
            };
            let begun = self.clock.now();
            let asked = Asked {
                function: &function.function,
                args,
                key: &self.request.key,
                deadline: self.request.deadline,
            };
            let used = capability.call(asked).await;
            // A denial left nothing; anything else may have.
            if !matches!(
                used.reply,
                Err(CallError::Denied(_) | CallError::Invalid(_))
            ) {
                self.sent.store(true, Ordering::Relaxed);
            }
            let record = Record::Egress {
                site: self.request.site.clone(),
                plugin: self.plugin.clone(),
                action: used.action,
                result: used.result,
                took_ms: millis(self.clock.now().since(begun)),
            };
            let recorded = self.journal.append(record, Durability::Buffered).await;
            recorded.map_err(|error| Halt::Journal(error.with_cause()))?;
            Ok(Arc::new(used.reply))
        })
    }
}
