//! Many figures in a few: percentiles, histograms, probabilities with their uncertainty.
//!
//! A time that never came counts as longer than any other, so that a percentile of runs that mostly fail is `None`
//! ("never") and not the time of the few that did not.

use serde::Serialize;

use crate::report::units::count;

/// Widths of a histogram's bins to choose from, in milliseconds: what people count time in.
const WIDTHS_MS: [u64; 19] = [
    100, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000,
    900_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000, 43_200_000, 86_400_000,
];

/// Most bins: more are not read.
const MAX_BINS: u64 = 16;

/// The 0.975 quantile of the standard normal distribution: for intervals of 95 %.
const Z: f64 = 1.959_964;

/// How long something took over many runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Distribution {
    /// Runs in which it happened.
    pub runs: u64,
    /// Runs in which it never happened.
    pub never: u64,
    /// The shortest, in milliseconds.
    pub min_ms: Option<u64>,
    /// Half of all runs are at or below it, by nearest rank: the smallest value with at least that many runs at or below it.
    pub p50_ms: Option<u64>,
    /// As `p50`, for 95 of 100 runs.
    pub p95_ms: Option<u64>,
    /// As `p50`, for 99 of 100 runs.
    pub p99_ms: Option<u64>,
    /// The longest of those that happened.
    pub max_ms: Option<u64>,
    /// Width of a bin in milliseconds.
    pub bin_ms: u64,
    /// From the first bin that has a run to the last.
    pub bins: Vec<Bin>,
}

/// A bar of a histogram.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Bin {
    /// From here, in milliseconds, inclusive.
    pub from_ms: u64,
    /// How many runs.
    pub runs: u64,
}

impl Distribution {
    /// Of these times; `None` for one that never came.
    #[must_use]
    pub fn of(times: impl Iterator<Item = Option<u64>>) -> Self {
        let (mut known, mut never) = (Vec::new(), 0);
        for time in times {
            match time {
                Some(ms) => known.push(ms),
                None => never += 1,
            }
        }
        known.sort_unstable();
        let all = count(known.len()) + never;
        let rank = |percent: u64| {
            let rank = (all * percent).div_ceil(100).max(1);
            known.get(usize::try_from(rank - 1).ok()?).copied()
        };
        let (min, max) = (known.first().copied(), known.last().copied());
        let (bin_ms, bins) = match (min, max) {
            (Some(min), Some(max)) => bins(&known, min, max),
            _ => (0, Vec::new()),
        };
        Self {
            runs: count(known.len()),
            never,
            min_ms: min,
            p50_ms: rank(50),
            p95_ms: rank(95),
            p99_ms: rank(99),
            max_ms: max,
            bin_ms,
            bins,
        }
    }

    /// All runs, whether it happened or not.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.runs + self.never
    }
}

/// Bins of one readable width that begin at multiples of it.
fn bins(sorted: &[u64], min: u64, max: u64) -> (u64, Vec<Bin>) {
    let few = |width: &&u64| max / **width - min / **width < MAX_BINS;
    let longest = 86_400_000 * (max / 86_400_000 / MAX_BINS + 1);
    let width = WIDTHS_MS.iter().find(few).copied().unwrap_or(longest);
    let mut bins: Vec<Bin> = (min / width..=max / width)
        .map(|place| Bin {
            from_ms: place * width,
            runs: 0,
        })
        .collect();
    for time in sorted {
        let place = usize::try_from(time / width - min / width).unwrap_or(usize::MAX);
        if let Some(bin) = bins.get_mut(place) {
            bin.runs += 1;
        }
    }
    (width, bins)
}

/// How often something held, and what that says of how often it will.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Probability {
    /// Runs in which it held.
    pub met: u64,
    /// Runs.
    pub of: u64,
    /// Share of them, 0 to 1.
    pub share: f64,
    /// Lower end of the 95 % score interval (Wilson, 1927).
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Probability {
    /// Held in so many of so many runs. Of no runs: anything is possible.
    #[must_use]
    pub fn of(met: u64, of: u64) -> Self {
        if of == 0 {
            return Self {
                high: 1.0,
                ..Self::default()
            };
        }
        let (n, z2) = (of as f64, Z * Z);
        let share = met as f64 / n;
        let middle = share + z2 / (2.0 * n);
        let spread = Z * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
        let whole = 1.0 + z2 / n;
        Self {
            met,
            of,
            share: rounded(share),
            low: rounded(((middle - spread) / whole).max(0.0)),
            high: rounded(((middle + spread) / whole).min(1.0)),
        }
    }
}

/// To four places: a campaign knows no share better.
#[must_use]
pub fn rounded(share: f64) -> f64 {
    (share * 10_000.0).round() / 10_000.0
}

/// The value in the middle of several, by nearest rank.
#[must_use]
pub fn median<T: Copy + PartialOrd>(mut values: Vec<T>) -> Option<T> {
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    let place = values.len().div_ceil(2).checked_sub(1)?;
    values.get(place).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank_and_never_is_longer_than_any() {
        let hundred = Distribution::of((1..=100).map(Some));
        let ranks = (hundred.p50_ms, hundred.p95_ms, hundred.p99_ms);
        assert_eq!(ranks, (Some(50), Some(95), Some(99)));
        let one = Distribution::of([Some(7)].into_iter());
        assert_eq!(
            (one.p50_ms, one.p99_ms, one.max_ms),
            (Some(7), Some(7), Some(7))
        );
        let some = Distribution::of((1..=96).map(Some).chain([None; 4]));
        assert_eq!((some.p95_ms, some.p99_ms), (Some(95), None));
        assert_eq!((some.runs, some.never, some.max_ms), (96, 4, Some(96)));
        assert_eq!(Distribution::of([].into_iter()).p50_ms, None);
    }

    #[test]
    fn bins_are_readable_and_hold_every_run() {
        let minutes = |m: u64| Some(m * 60_000 + 1);
        let found = Distribution::of([minutes(6), minutes(7), minutes(7), minutes(19)].into_iter());
        assert_eq!(found.bin_ms, 60_000);
        let bins: Vec<_> = found
            .bins
            .iter()
            .map(|bin| (bin.from_ms / 60_000, bin.runs))
            .collect();
        assert_eq!(bins.first(), Some(&(6, 1)));
        assert_eq!(bins.get(1), Some(&(7, 2)));
        assert_eq!(bins.last(), Some(&(19, 1)));
        for spread in [1, 999, 5_000_000, 40 * 86_400_000] {
            let found = Distribution::of((0..50).map(|n| Some(n * spread)));
            assert!(found.bins.len() <= 16, "{spread}: {}", found.bins.len());
            assert_eq!(found.bins.iter().map(|bin| bin.runs).sum::<u64>(), 50);
        }
    }

    #[test]
    fn a_probability_knows_how_sure_it_is() {
        // Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I: 81 of 263, 15 of 148,
        // 0 of 20 and 1 of 29 by the score method.
        let cases = [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ];
        for (met, of, low, high) in cases {
            let found = Probability::of(met, of);
            assert!((found.low - low).abs() < 0.0002, "{met}/{of}: {found:?}");
            assert!((found.high - high).abs() < 0.0002, "{met}/{of}: {found:?}");
        }
        assert!((Probability::of(0, 0).high - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn the_median_is_a_value_that_there_is() {
        assert_eq!(median(vec![3, 1, 2]), Some(2));
        assert_eq!(median(vec![4, 1, 2, 3]), Some(2));
        assert_eq!(median::<u64>(Vec::new()), None);
    }
}
