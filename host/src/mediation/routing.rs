//! Who serves which contract where.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::call::{FunctionName, Service};
use crate::name::{InterfaceName, SiteName};

/// One way: an interface, at some sites or wherever no other way says so, to a service.
#[derive(Clone)]
pub struct Route {
    /// The interface, with its version.
    pub interface: InterfaceName,
    /// Sites; empty for calls that name none and for sites without a route of their own.
    pub sites: Vec<SiteName>,
    /// For messages, spans and admission: `powerdns`, `simulated world`.
    pub name: String,
    /// Who serves.
    pub service: Arc<dyn Service>,
}

/// All ways of a run.
#[derive(Clone, Default)]
pub struct Routes(Vec<Route>);

impl Routes {
    /// These ways. Earlier ones win; the runbook has made sure that no two are equal.
    #[must_use]
    pub fn new(routes: Vec<Route>) -> Self {
        Self(routes)
    }

    /// The way for a call: by interface, then by its argument `site`.
    #[must_use]
    pub fn find(&self, function: &FunctionName, args: &Map<String, Value>) -> Option<&Route> {
        let site = args.get("site").and_then(Value::as_str);
        let serving = || {
            self.0
                .iter()
                .filter(|route| route.interface == function.interface)
        };
        let of_site = site.and_then(|site| {
            serving().find(|route| route.sites.iter().any(|at| at.as_str() == site))
        });
        of_site.or_else(|| serving().find(|route| route.sites.is_empty()))
    }

    /// Interfaces that are served at all.
    pub fn interfaces(&self) -> impl Iterator<Item = &InterfaceName> {
        self.0.iter().map(|route| &route.interface)
    }
}
