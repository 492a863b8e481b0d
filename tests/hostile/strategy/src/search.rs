//! The search of a guest's whole memory. Not part of the tests, which only make needles.

use super::canary::Needle;

/// Says how often the needles are found in the whole linear memory.
#[cfg(target_arch = "wasm32")]
pub(crate) fn look_for(needles: &[Needle]) -> String {
    let found: usize = needles
        .iter()
        .map(|needle| count(needle.length, needle.digest.parse().expect("a number")))
        .sum();
    format!("found {found} times")
}

/// There is nothing to look at outside of WebAssembly.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn look_for(needles: &[Needle]) -> String {
    let zeros = |needle: &&Needle| needle.digest == Needle::of(&vec![0; needle.length]).digest;
    let known = needles.iter().filter(zeros).count();
    format!("looked nowhere for {known} zeros")
}

/// How many windows of `length` bytes have `wanted` as their digest.
#[cfg(target_arch = "wasm32")]
fn count(length: usize, wanted: u64) -> usize {
    use super::canary::BASE;
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
