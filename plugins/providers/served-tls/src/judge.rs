//! Whether what a site serves is good enough, and reading the time from a header. Pure.

use understudy_sdk::host::understudy::tls::tls::Certificate;

/// What is wrong with a certificate served for `name`; none where it will do for `min_valid_ms` more.
///
/// `now_ms` is none where nobody asked for a remaining validity: that it is valid now is part of `verified`.
pub(crate) fn shortcoming(
    name: &str,
    served: &Certificate,
    now_ms: Option<u64>,
    min_valid_ms: u64,
) -> Option<String> {
    if !served.verified {
        return Some(format!("{name}: does not verify: {}", served.problem));
    }
    if !served.dns_names.iter().any(|pattern| covers(pattern, name)) {
        return Some(format!("{name}: not among {}", served.dns_names.join(", ")));
    }
    let left_ms = served.not_after_ms.saturating_sub(now_ms?);
    (left_ms < min_valid_ms).then(|| {
        format!(
            "{name}: valid for another {} h, asked for are {} h",
            left_ms / 3_600_000,
            min_valid_ms.div_ceil(3_600_000)
        )
    })
}

/// True where a name of a certificate covers a name; a wildcard stands for exactly one label (RFC 6125, 6.4.3).
fn covers(pattern: &str, name: &str) -> bool {
    if pattern.eq_ignore_ascii_case(name) {
        return true;
    }
    match (pattern.strip_prefix("*."), name.split_once('.')) {
        (Some(parent), Some((label, rest))) => label != "*" && parent.eq_ignore_ascii_case(rest),
        _ => false,
    }
}

/// The server name to ask with for a name: a wildcard cannot be asked for, a name below it can.
pub(crate) fn server_name(name: &str) -> String {
    match name.strip_prefix("*.") {
        Some(parent) => format!("understudy-check.{parent}"),
        None => name.to_owned(),
    }
}

/// An HTTP date (RFC 9110, 5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`) in milliseconds since the epoch.
pub(crate) fn parse_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut words = text.split_once(", ")?.1.split(' ');
    let day: u64 = words.next()?.parse().ok()?;
    let month_name = words.next()?;
    let month = u64::try_from(MONTHS.iter().position(|name| *name == month_name)?).ok()? + 1;
    let year: u64 = words.next()?.parse().ok()?;
    let mut clock = words
        .next()?
        .split(':')
        .map(|part| part.parse::<u64>().ok());
    let (hours, minutes, seconds) = (clock.next()??, clock.next()??, clock.next()??);
    if words.next()? != "GMT" || !(1970..=9999).contains(&year) || !(1..=31).contains(&day) {
        return None;
    }
    // Days since the epoch, counting years from March so that the leap day is the last one.
    let (shifted_year, shifted_month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days_of_years =
        shifted_year * 365 + shifted_year / 4 - shifted_year / 100 + shifted_year / 400;
    let days = days_of_years + (shifted_month * 153 + 2) / 5 + day - 1 - 719_468;
    Some((days * 86_400 + hours * 3600 + minutes * 60 + seconds) * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 86_400_000;

    fn served(names: &[&str], verified: bool) -> Certificate {
        Certificate {
            dns_names: names.iter().map(|name| (*name).to_owned()).collect(),
            issuer: "CN=Test".to_owned(),
            not_before_ms: 0,
            not_after_ms: 100 * DAY_MS,
            verified,
            problem: if verified {
                String::new()
            } else {
                "unknown issuer".to_owned()
            },
            fingerprint: String::new(),
        }
    }

    #[test]
    fn a_certificate_that_covers_long_enough_will_do() {
        let certificate = served(&["*.example.test"], true);
        assert_eq!(
            shortcoming(
                "wp-active.example.test",
                &certificate,
                Some(10 * DAY_MS),
                30 * DAY_MS
            ),
            None
        );
        assert_eq!(
            shortcoming("wp-active.example.test", &certificate, None, 0),
            None
        );
    }

    #[test]
    fn each_shortcoming_is_named() {
        let find = |names: &[&str], verified, now| {
            shortcoming(
                "wp.example.test",
                &served(names, verified),
                Some(now),
                30 * DAY_MS,
            )
        };
        assert!(
            find(&["wp.example.test"], false, 0)
                .unwrap()
                .contains("unknown issuer")
        );
        assert!(
            find(&["other.example.test"], true, 0)
                .unwrap()
                .contains("other.example.test")
        );
        assert!(
            find(&["wp.example.test"], true, 80 * DAY_MS)
                .unwrap()
                .contains("another 480 h")
        );
    }

    #[test]
    fn a_wildcard_covers_one_label() {
        assert!(covers("*.example.test", "a.example.test"));
        assert!(!covers("*.example.test", "a.b.example.test"));
        assert!(!covers("*.example.test", "example.test"));
        assert_eq!(
            server_name("*.example.test"),
            "understudy-check.example.test"
        );
    }

    #[test]
    fn http_dates_are_read() {
        assert_eq!(parse_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(
            parse_date("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(784_111_777_000)
        );
        assert_eq!(
            parse_date("Thu, 29 Feb 2024 12:00:00 GMT"),
            Some(1_709_208_000_000)
        );
        for bad in [
            "",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET",
        ] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
    }
}
