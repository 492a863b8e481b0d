//! Where things stand on the time axis: instants to pixels, round ticks, labels that do not overlap.

use crate::clock::{Instant, millis};

/// Distances between ticks to choose from, in seconds.
const TICK_SECONDS: [u64; 16] = [
    1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400,
];

/// Most ticks on an axis: closer ones are not read.
const MAX_TICKS: u64 = 12;

/// A stretch of time on a stretch of the page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    from: Instant,
    to: Instant,
    left: f64,
    width: f64,
}

impl Scale {
    /// At least a second, however short what happened was.
    pub(super) fn new(from: Instant, to: Instant, left: f64, width: f64) -> Self {
        let to = to.max(Instant(from.0.saturating_add(1_000)));
        Self {
            from,
            to,
            left,
            width,
        }
    }

    /// The pixel of an instant, kept on the plot.
    pub(super) fn x(&self, at: Instant) -> f64 {
        let at = at.clamp(self.from, self.to);
        let part = millis(at.since(self.from)) as f64 / self.span_ms() as f64;
        self.left + part * self.width
    }

    /// True where the instant lies on the plot.
    pub(super) fn shows(&self, at: Instant) -> bool {
        at >= self.from && at <= self.to
    }

    fn span_ms(&self) -> u64 {
        millis(self.to.since(self.from)).max(1)
    }

    /// Round distances from `zero` with their labels in minutes.
    pub(super) fn ticks(&self, zero: Instant) -> Vec<(Instant, String)> {
        let wanted = |seconds: &&u64| self.span_ms() / (*seconds * 1000) < MAX_TICKS;
        let seconds = *TICK_SECONDS.iter().find(wanted).unwrap_or(&86_400);
        let step_ms = seconds * 1000;
        let before = zero.0.saturating_sub(self.from.0) / step_ms;
        let first = zero.0.saturating_sub(before * step_ms);
        (0..=MAX_TICKS + 1)
            .map(|place| (place, Instant(first + place * step_ms)))
            .filter(|(_, at)| *at >= self.from && *at <= self.to)
            .map(|(place, at)| {
                let seconds = (place * seconds).abs_diff(before * seconds);
                let sign = if place < before { "−" } else { "" };
                (at, format!("{sign}{}", minutes(seconds)))
            })
            .collect()
    }
}

/// Seconds in minutes, with a fraction only where there is one.
fn minutes(seconds: u64) -> String {
    if seconds.is_multiple_of(60) {
        (seconds / 60).to_string()
    } else {
        let text = format!("{:.2}", seconds as f64 / 60.0);
        text.trim_end_matches('0').to_owned()
    }
}

/// Rows for labels that begin at these pixels, in order, and extend to the right. A label lies below every earlier one
/// that it would touch, so that no line that hangs down from a label crosses another label.
pub(super) fn rows(labels: &[(f64, f64)]) -> Vec<usize> {
    let mut placed: Vec<(f64, usize)> = Vec::new();
    for (x, width) in labels {
        let touching = placed.iter().filter(|(end, _)| end > x);
        let row = touching.map(|(_, row)| row + 1).max().unwrap_or(0);
        placed.push((x + width, row));
    }
    placed.into_iter().map(|(_, row)| row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    #[test]
    fn the_axis_counts_minutes_from_zero_in_both_directions() {
        let scale = Scale::new(Instant(0), Instant(10 * MINUTE), 100.0, 1_000.0);
        let ticks = scale.ticks(Instant(2 * MINUTE));
        let labels: Vec<&str> = ticks.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(
            labels,
            ["−2", "−1", "0", "1", "2", "3", "4", "5", "6", "7", "8"]
        );
        assert!((scale.x(ticks[2].0) - 300.0).abs() < 0.01);
    }

    #[test]
    fn ticks_stay_few_from_seconds_to_days() {
        for span in [
            500,
            20_000,
            90_000,
            40 * MINUTE,
            600 * MINUTE,
            14_400 * MINUTE,
        ] {
            let scale = Scale::new(Instant(0), Instant(span), 0.0, 800.0);
            let ticks = scale.ticks(Instant(0));
            assert!((1..=13).contains(&ticks.len()), "{span}: {ticks:?}");
        }
        assert_eq!(
            (minutes(90), minutes(15)),
            ("1.5".to_owned(), "0.25".to_owned())
        );
    }

    #[test]
    fn what_lies_outside_is_kept_on_the_plot() {
        let scale = Scale::new(Instant(1_000), Instant(2_000), 10.0, 100.0);
        assert!((scale.x(Instant(0)) - 10.0).abs() < f64::EPSILON);
        assert!((scale.x(Instant(9_000)) - 110.0).abs() < f64::EPSILON);
    }

    #[test]
    fn labels_step_down_where_they_would_touch() {
        assert_eq!(
            rows(&[(0.0, 50.0), (40.0, 50.0), (80.0, 50.0), (200.0, 9.0)]),
            [0, 1, 2, 0]
        );
    }
}
