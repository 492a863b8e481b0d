//! Looks for secrets in a guest's own memory without holding them: the guest is told their lengths and digests.

use serde::Deserialize;
#[cfg(not(target_arch = "wasm32"))]
use serde::Serialize;

/// Something to look for.
#[derive(Deserialize, Clone)]
#[cfg_attr(not(target_arch = "wasm32"), derive(Serialize))]
pub(crate) struct Needle {
    /// Bytes.
    length: usize,
    /// Its digest in decimal: a number of TOML is too short.
    digest: String,
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
const BASE: u64 = 0x0000_0100_0000_01b3;

/// Polynomial digest of `bytes`: the sum of each byte plus one times a power of [`BASE`], modulo 2^64. It rolls: the
/// digest of the next window follows from that of this one. For tests; a guest never holds what it looks for.
#[cfg(not(target_arch = "wasm32"))]
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| {
        sum.wrapping_mul(BASE).wrapping_add(u64::from(*byte) + 1)
    })
}

/// Says how often the needles are found in the whole linear memory.
#[cfg(target_arch = "wasm32")]
pub(crate) fn look_for(needles: &[Needle]) -> String {
    let found: usize = needles
        .iter()
        .map(|needle| match needle.digest.parse() {
            Ok(wanted) => count(needle.length, wanted),
            Err(_) => usize::MAX / needles.len(),
        })
        .sum();
    format!("found {found} times")
}

/// There is nothing to look at outside of WebAssembly.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn look_for(needles: &[Needle]) -> String {
    let known = needles
        .iter()
        .filter(|needle| needle.digest == Needle::of(&vec![0; needle.length]).digest);
    format!("looked nowhere for {} zeros", known.count())
}

/// How many windows of `length` bytes have `wanted` as their digest.
#[cfg(target_arch = "wasm32")]
fn count(length: usize, wanted: u64) -> usize {
    const PAGE_BYTES: usize = 65_536;
    let end = core::arch::wasm32::memory_size(0) * PAGE_BYTES;
    // SAFETY: every address below `end` is in bounds of the linear memory; address 0 is left out, being no pointer.
    let byte = |at: usize| unsafe { core::ptr::read_volatile(at as *const u8) };
    let leaving = (0..length).fold(1_u64, |power, _| power.wrapping_mul(BASE));
    let mut sum = 0_u64;
    let mut found = 0;
    for at in 1..end {
        sum = sum.wrapping_mul(BASE).wrapping_add(u64::from(byte(at)) + 1);
        if at > length {
            let left = u64::from(byte(at - length)) + 1;
            sum = sum.wrapping_sub(left.wrapping_mul(leaving));
        }
        if at >= length && sum == wanted {
            found += 1;
        }
    }
    found
}
