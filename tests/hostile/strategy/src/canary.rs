//! What guests are told of a secret, so that they can look for it without holding it. `search.rs` looks.

use serde::Deserialize;
#[cfg(not(target_arch = "wasm32"))]
use serde::Serialize;

/// Something to look for.
#[derive(Deserialize, Clone)]
#[cfg_attr(not(target_arch = "wasm32"), derive(Serialize))]
pub(crate) struct Needle {
    /// Bytes.
    pub(crate) length: usize,
    /// Its digest in decimal: a number of TOML is too short.
    pub(crate) digest: String,
}

impl Needle {
    /// The needle for `bytes`.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self {
            length: bytes.len(),
            digest: digest(bytes).to_string(),
        }
    }
}

/// Base of the digest (the FNV prime; any odd number does).
pub(crate) const BASE: u64 = 0x0000_0100_0000_01b3;

/// Polynomial digest of `bytes`: the sum of each byte plus one times a power of [`BASE`], modulo 2^64. It rolls: the
/// digest of the next window follows from that of this one. For tests; a guest never holds what it looks for.
#[cfg(not(target_arch = "wasm32"))]
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| {
        sum.wrapping_mul(BASE).wrapping_add(u64::from(*byte) + 1)
    })
}
