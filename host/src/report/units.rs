//! Times, durations and other people's text as a reader sees them: in reports and on the terminal.
//!
//! What is not here: anything that depends on a locale or a time zone. All times are UTC.

use serde_json::Value;

use crate::clock::Instant;

/// A number of things.
#[must_use]
pub fn count(things: usize) -> u64 {
    u64::try_from(things).unwrap_or(u64::MAX)
}

/// A duration with its two largest units: `1h 02m`, `7m 05s`, `12.5s`, `850ms`.
#[must_use]
pub fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match ms {
        0 => "0s".to_owned(),
        1..1_000 => format!("{ms}ms"),
        1_000..60_000 if ms % 1000 >= 100 => format!("{seconds}.{}s", ms % 1000 / 100),
        1_000..60_000 => format!("{seconds}s"),
        60_000..3_600_000 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3_600_000..86_400_000 => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d {:02}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// A duration, or a dash where there is none.
#[must_use]
pub fn duration_or_dash(ms: Option<u64>) -> String {
    ms.map_or_else(|| "–".to_owned(), duration)
}

/// Date and time in UTC to the second: `2026-03-01 09:00:12`.
#[must_use]
pub fn date_time(at: Instant) -> String {
    let text = at.to_string();
    match text.split_once('T') {
        Some((date, time)) => format!("{date} {}", time.split('.').next().unwrap_or(time)),
        None => text,
    }
}

/// Time of day in UTC to the second: `09:00:12`.
#[must_use]
pub fn time_of_day(at: Instant) -> String {
    let text = date_time(at);
    match text.split_once(' ') {
        Some((_, time)) => time.to_owned(),
        None => text,
    }
}

/// Distance from `zero` as `T+07:05` (minutes and seconds) or `T-00:30`; hours in front where there are any.
#[must_use]
pub fn offset(zero: Instant, at: Instant) -> String {
    let (sign, ms) = if at < zero {
        ('-', zero.0 - at.0)
    } else {
        ('+', at.0 - zero.0)
    };
    let seconds = ms / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds % 3600 / 60, seconds % 60);
    if hours == 0 {
        format!("T{sign}{minutes:02}:{seconds:02}")
    } else {
        format!("T{sign}{hours}:{minutes:02}:{seconds:02}")
    }
}

/// A `control.quantity` with its unit; the JSON itself where it has another shape.
#[must_use]
pub fn quantity(value: &Value) -> String {
    let case = value.as_object().and_then(|object| object.iter().next());
    let shown = case.and_then(|(case, payload)| match case.as_str() {
        "duration-ms" => payload.as_u64().map(duration),
        "instant-ms" => payload
            .as_u64()
            .map(|ms| format!("{} UTC", date_time(Instant(ms)))),
        "count" => payload.as_u64().map(|count| count.to_string()),
        "ratio" => payload
            .as_f64()
            .map(|ratio| format!("{:.2} %", ratio * 100.0)),
        "text" => payload.as_str().map(one_line),
        _ => None,
    });
    shown.unwrap_or_else(|| one_line(&value.to_string()))
}

/// A figure whose unit is last in its name: `-at-ms` an instant, `-ms` a duration, `-ratio` a share; a number else.
#[must_use]
pub fn figure(name: &str, value: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole milliseconds for people; what is negative or too large is cut off at the ends"
    )]
    let ms = value.round() as u64;
    if name.ends_with("-at-ms") {
        format!("{} UTC", date_time(Instant(ms)))
    } else if name.ends_with("-ms") {
        duration(ms)
    } else if name.ends_with("-ratio") {
        format!("{:.2} %", value * 100.0)
    } else {
        value.to_string()
    }
}

/// Somebody else's text on one line: line breaks become spaces, and whatever could steer a terminal or turn the
/// reading direction becomes `�`.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.trim_end()
        .chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' => ' ',
            c if steers(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// Somebody else's text with its line breaks, otherwise as [`one_line`].
#[must_use]
pub fn lines(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c != '\n' && c != '\t' && steers(c) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// At most `limit` characters; a cut is shown by `…`.
#[must_use]
pub fn shortened(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let kept: String = text.chars().take(limit.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// Control characters and those that change the direction of text.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_show_their_two_largest_units() {
        let shown = [0, 850, 1_000, 12_540, 425_000, 3_720_000, 90_000_000].map(duration);
        assert_eq!(
            shown,
            ["0s", "850ms", "1s", "12.5s", "7m 05s", "1h 02m", "1d 01h"]
        );
    }

    #[test]
    fn times_are_utc_and_offsets_have_a_sign() {
        let zero = Instant(1_772_355_600_000);
        assert_eq!(date_time(zero), "2026-03-01 09:00:00");
        assert_eq!(time_of_day(Instant(zero.0 + 1_500)), "09:00:01");
        assert_eq!(offset(zero, Instant(zero.0 + 425_000)), "T+07:05");
        assert_eq!(offset(zero, Instant(zero.0 - 30_000)), "T-00:30");
        assert_eq!(offset(zero, Instant(zero.0 + 3_725_000)), "T+1:02:05");
    }

    #[test]
    fn other_peoples_text_cannot_steer_the_reader() {
        assert_eq!(
            one_line("a\u{1b}[2Jb\nc\u{202e}d\n"),
            "a\u{fffd}[2Jb c\u{fffd}d"
        );
        assert_eq!(lines("a\nb\u{7}"), "a\nb\u{fffd}");
        assert_eq!(shortened("abcdef", 4), "abc…");
    }

    #[test]
    fn figures_carry_the_unit_of_their_name() {
        assert_eq!(figure("downtime-ms", 548_830.0), "9m 08s");
        assert_eq!(
            figure("outage-at-ms", 1_772_355_600_000.0),
            "2026-03-01 09:00:00 UTC"
        );
        assert_eq!(figure("error-ratio", 0.112_171), "11.22 %");
        assert_eq!(figure("lost-writes", 41.0), "41");
    }

    #[test]
    fn quantities_carry_their_unit() {
        let shown = |text: &str| quantity(&serde_json::from_str(text).unwrap());
        assert_eq!(shown(r#"{"duration-ms":1200}"#), "1.2s");
        assert_eq!(shown(r#"{"ratio":0.004}"#), "0.40 %");
        assert_eq!(shown(r#"{"count":7}"#), "7");
        assert_eq!(shown(r#"{"acme":7}"#), r#"{"acme":7}"#);
    }
}
