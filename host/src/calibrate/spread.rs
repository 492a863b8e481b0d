//! How long something took each time it was seen.

use std::time::Duration;

use crate::clock::millis;

/// Times of the same thing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Spread(Vec<u64>);

impl Spread {
    /// One more time.
    pub(super) fn add(&mut self, took: Duration) {
        self.0.push(millis(took));
    }

    /// The mean in milliseconds; `None` where nothing was seen.
    pub(super) fn mean_ms(&self) -> Option<u64> {
        let count = u64::try_from(self.0.len())
            .ok()
            .filter(|count| *count > 0)?;
        let sum = self
            .0
            .iter()
            .fold(0, |sum: u64, ms| sum.saturating_add(*ms));
        Some(sum / count)
    }

    /// From and to, in milliseconds: even around the mean, and nowhere outside of what was seen, so that what is drawn
    /// from it adds up to what was measured. `None` where nothing was.
    pub(super) fn range_ms(&self) -> Option<(u64, u64)> {
        let (least, most) = (self.0.iter().min()?, self.0.iter().max()?);
        let mean = self.mean_ms()?;
        let half = (mean - least).min(most - mean);
        Some((mean - half, mean + half))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_the_mean_of_what_was_seen_and_stays_within_it() {
        let of = |times: &[u64]| Spread(times.to_vec()).range_ms();
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[7]), Some((7, 7)));
        assert_eq!(of(&[10, 20]), Some((10, 20)));
        assert_eq!(of(&[10, 10, 100]), Some((10, 70)));
    }
}
