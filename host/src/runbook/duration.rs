//! Durations as people write them in a runbook: `30m`, `1h30m`, `250ms`.

use std::time::Duration;

/// Longest duration accepted. A year of waiting in a recovery is a mistake in the file.
pub const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// What a valid duration looks like.
pub(super) const RULE: &str =
    "use whole numbers with `d`, `h`, `m`, `s` or `ms`, largest first, such as `1h30m` or `250ms`";

/// Units from the largest to the smallest, in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// The duration that `text` says; `None` where it says none, or one above [`MAX_DURATION`].
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let letters = after.len()
            - after
                .trim_start_matches(|c: char| c.is_ascii_lowercase())
                .len();
        let (unit, after) = after.split_at(letters);
        // The iterator only moves on, so that a unit can neither come twice nor after a smaller one.
        let (_, factor) = units.find(|(name, _)| *name == unit)?;
        let part = number.parse::<u64>().ok()?.checked_mul(*factor)?;
        total = total.checked_add(part)?;
        rest = after;
    }
    let duration = Duration::from_millis(total);
    (!text.is_empty() && duration <= MAX_DURATION).then_some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_nonsense_is_not() {
        for (text, ms) in [
            ("30m", 1_800_000),
            ("1h30m", 5_400_000),
            ("250ms", 250),
            ("1m250ms", 60_250),
            ("2d", 172_800_000),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in [
            "",
            "30",
            "m",
            "-5m",
            "1.5h",
            "5 m",
            "5m1h",
            "5m5m",
            "5M",
            "400d",
            "99999999999999999999s",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
