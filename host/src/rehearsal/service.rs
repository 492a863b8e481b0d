//! The simulated world as the [`Service`] that the mediation calls instead of providers.

use std::sync::{Arc, Mutex, PoisonError};

use super::world::World;
use crate::call::{Reply, Request, Service};
use crate::clock::{BoxFuture, Clock};

/// Serves every contract of the world on a clock: an answer arrives after the time it takes.
pub struct SimulatedService {
    world: Arc<Mutex<World>>,
    clock: Arc<dyn Clock>,
}

impl SimulatedService {
    /// Serves `world` on `clock`.
    #[must_use]
    pub fn new(world: Arc<Mutex<World>>, clock: Arc<dyn Clock>) -> Self {
        Self { world, clock }
    }
}

impl Service for SimulatedService {
    fn call<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            let now = self.clock.now();
            let served = {
                let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
                world.call(now, request)
            };
            self.clock.sleep_until(now.after(served.took)).await;
            served.reply
        })
    }
}
