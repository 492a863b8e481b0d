//! Figures as people read them.

/// A length of time: `850 ms`, `42 s`, `4 min 10 s`, `2 h 5 min`.
#[must_use]
pub fn duration(duration_ms: u64) -> String {
    let seconds = duration_ms / 1000;
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) if duration_ms < 1000 => format!("{duration_ms} ms"),
        (0, 0) => format!("{rest} s"),
        (0, _) if rest == 0 => format!("{minutes} min"),
        (0, _) => format!("{minutes} min {rest} s"),
        (_, 0) => format!("{hours} h"),
        _ => format!("{hours} h {minutes} min"),
    }
}

/// The same, or `unknown`.
#[must_use]
pub fn duration_or_unknown(duration_ms: Option<u64>) -> String {
    duration_ms.map_or_else(|| "unknown".to_owned(), duration)
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_read_as_people_say_them() {
        let said: Vec<String> = [0, 850, 42_000, 240_000, 250_000, 7_200_000, 7_500_000]
            .map(duration)
            .into();
        assert_eq!(
            said,
            [
                "0 ms",
                "850 ms",
                "42 s",
                "4 min",
                "4 min 10 s",
                "2 h",
                "2 h 5 min"
            ]
        );
    }
}
