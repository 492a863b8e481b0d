//! The two engines and how they are configured: one place, so that what was compiled can be loaded.
//!
//! Strategies are metered by fuel, which is the same on every machine; providers by epochs, which cost less and measure
//! time. Strategies canonicalise NaN and run SIMD deterministically, so that a rehearsal is reproducible. Their instances
//! take memory and stack from a pool: a campaign makes dozens for every rehearsal, and mapping memory for each costs more
//! than what most of them compute.

use std::path::PathBuf;
use std::sync::{Arc, Weak};

use wasmtime::{Cache, CacheConfig, Config, Enabled, Engine, PoolingAllocationConfig};

use super::error::PluginError;
use super::limits;

/// What a component is used as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Says and performs steps.
    Strategy,
    /// Serves contracts.
    Provider,
}

/// Core instances and tables of a component on average; componentized Rust has three and two.
const CORE_INSTANCES: u32 = 4;
const TABLES: u32 = 2;

/// Memories and tables of one core module: no less than [`limits::INSTANCES`], which bounds those of a component.
const INSTANCES: u32 = 32;

/// Memory of a place in the pool that is cleared rather than given back, in bytes: what a strategy of Rust touches.
const KEPT_BYTES: usize = 64 << 10;

/// One engine per kind of plugin. Cheap to clone.
#[derive(Clone)]
pub struct Engines {
    strategy: Engine,
    provider: Engine,
    _ticker: Arc<Ticker>,
}

/// Keeps the epoch thread alive; the thread ends with the last clone of [`Engines`].
struct Ticker;

impl Engines {
    /// Engines that keep compiled components in `cache` (an absolute folder), or compile anew each time.
    ///
    /// # Errors
    /// [`PluginError::Engine`] if the folder cannot be used or the machine is not supported.
    pub fn new(cache: Option<PathBuf>) -> Result<Self, PluginError> {
        let cache = cache.map(open_cache).transpose()?;
        let strategy = engine(Kind::Strategy, cache.clone())?;
        let provider = engine(Kind::Provider, cache)?;
        let ticker = Arc::new(Ticker);
        tick(provider.clone(), Arc::downgrade(&ticker))?;
        Ok(Self {
            strategy,
            provider,
            _ticker: ticker,
        })
    }

    /// The engine for this kind.
    #[must_use]
    pub fn of(&self, kind: Kind) -> &Engine {
        match kind {
            Kind::Strategy => &self.strategy,
            Kind::Provider => &self.provider,
        }
    }
}

fn open_cache(folder: PathBuf) -> Result<Cache, PluginError> {
    let mut config = CacheConfig::new();
    config.with_directory(folder);
    Cache::new(config).map_err(PluginError::engine)
}

fn engine(kind: Kind, cache: Option<Cache>) -> Result<Engine, PluginError> {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .concurrency_support(false)
        .async_stack_size(limits::ASYNC_STACK_BYTES)
        .max_wasm_stack(limits::WASM_STACK_BYTES)
        .cache(cache);
    match kind {
        Kind::Strategy => {
            config
                .consume_fuel(true)
                .cranelift_nan_canonicalization(true)
                .relaxed_simd_deterministic(true);
            let mut pooled = config.clone();
            pooled.allocation_strategy(pool());
            // A system that does not give so much address space gets the same, more slowly.
            if let Ok(engine) = Engine::new(&pooled) {
                return Ok(engine);
            }
        }
        Kind::Provider => {
            config.epoch_interruption(true);
        }
    }
    Engine::new(&config).map_err(PluginError::engine)
}

/// Room for [`limits::STRATEGIES_AT_ONCE`] instances. It is address space until it is used; what an instance leaves in
/// its place is taken back before the next one has it. How much an instance may use is not said here but where it grows
/// ([`limits::GuestLimits`]).
fn pool() -> PoolingAllocationConfig {
    let at_once = limits::STRATEGIES_AT_ONCE;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(at_once)
        .total_core_instances(at_once.saturating_mul(CORE_INSTANCES))
        .total_memories(at_once)
        .total_stacks(at_once)
        .total_tables(at_once.saturating_mul(TABLES))
        .max_memories_per_module(INSTANCES)
        .max_tables_per_module(INSTANCES)
        .linear_memory_keep_resident(KEPT_BYTES)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Advances the epoch from a thread of its own: an async task would stand still with the guest it is to stop.
fn tick(engine: Engine, alive: Weak<Ticker>) -> Result<(), PluginError> {
    let run = move || {
        while alive.strong_count() > 0 {
            std::thread::sleep(limits::EPOCH);
            engine.increment_epoch();
        }
    };
    std::thread::Builder::new()
        .name("understudy-epochs".to_owned())
        .spawn(run)
        .map(drop)
        .map_err(|error| PluginError::engine(error.into()))
}
