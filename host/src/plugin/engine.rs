//! The two engines and how they are configured: one place, so that what was compiled can be loaded.
//!
//! Strategies are metered by fuel, which is the same on every machine; providers by epochs, which cost less and measure
//! time. Strategies canonicalise NaN and run SIMD deterministically, so that a rehearsal is reproducible.

use std::path::PathBuf;
use std::sync::{Arc, Weak};

use wasmtime::{Cache, CacheConfig, Config, Engine};

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
        }
        Kind::Provider => {
            config.epoch_interruption(true);
        }
    }
    Engine::new(&config).map_err(PluginError::engine)
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
