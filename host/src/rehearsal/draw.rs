//! Where chance comes from in a rehearsal: hashes for single calls, named streams for processes. All from one seed.
//!
//! The answer to one call is drawn from what the call is, never from how many calls came before, so that adding a
//! call to a strategy does not change what happens to the others.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

use crate::rehearsal::scenario::time::Range;

/// Draws from hashes of the seed and names.
#[derive(Debug, Clone, Copy)]
pub struct Draws {
    seed: u64,
}

/// FNV-1a, 64 bit (Fowler, Noll, Vo): offset basis and prime.
const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

impl Draws {
    /// Draws of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// 64 evenly distributed bits for a name and a number.
    #[must_use]
    pub fn bits(&self, what: &str, name: &str, number: u64) -> u64 {
        let mut hash = FNV_BASIS ^ mix(self.seed);
        for part in [what.as_bytes(), name.as_bytes(), &number.to_be_bytes()] {
            for byte in part {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME);
            }
            // A separator that no byte can be, so that ("ab", "c") and ("a", "bc") differ.
            hash = (hash ^ 0x1ff).wrapping_mul(FNV_PRIME);
        }
        mix(hash)
    }

    /// Parts per million, 0 to 999,999.
    #[must_use]
    pub fn ppm(&self, what: &str, name: &str, number: u64) -> u64 {
        self.bits(what, name, number) % 1_000_000
    }

    /// A length within `range`, in whole milliseconds.
    #[must_use]
    pub fn within(&self, range: Range, what: &str, name: &str, number: u64) -> Duration {
        let (min, max) = (range.min.ms(), range.max.ms());
        if min == max {
            return range.min.get();
        }
        Duration::from_millis(min + self.bits(what, name, number) % (max - min + 1))
    }

    /// A stream of its own for the process of this name.
    #[must_use]
    pub fn stream(&self, name: &str) -> Stream {
        let mut hasher = Sha256::new();
        hasher.update(self.seed.to_be_bytes());
        hasher.update(name.as_bytes());
        Stream(ChaCha8Rng::from_seed(hasher.finalize().into()))
    }
}

/// Numbers for one process of the world.
#[derive(Debug, Clone)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// A number below `limit`; 0 for a limit of 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        if limit == 0 {
            0
        } else {
            self.0.next_u64() % limit
        }
    }
}

/// The finaliser of splitmix64 (Steele, Lea, Flood, 2014).
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_seed_name_and_number_alone() {
        let draws = Draws::new(7);
        assert_eq!(draws.bits("a", "b", 1), Draws::new(7).bits("a", "b", 1));
        let others = [
            Draws::new(8).bits("a", "b", 1),
            draws.bits("ab", "", 1),
            draws.bits("a", "b", 2),
        ];
        assert!(others.iter().all(|other| *other != draws.bits("a", "b", 1)));
        let mut one = draws.stream("one");
        assert_eq!(one.below(1 << 60), draws.stream("one").below(1 << 60));
        assert_ne!(one.below(1 << 60), draws.stream("two").below(1 << 60));
    }

    #[test]
    fn lengths_stay_within_their_range() {
        let range = Range::milliseconds(10, 12);
        let drawn: std::collections::BTreeSet<_> = (0..200)
            .map(|n| Draws::new(1).within(range, "x", "y", n).as_millis())
            .collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [10, 11, 12]);
    }
}
