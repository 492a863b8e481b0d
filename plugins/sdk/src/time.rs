//! Points in time as text. A provider has no clock: it reads the time from a header, from a cluster, from an object.

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// Days from the beginning of March of the year 0 to 1970-01-01.
const EPOCH_DAYS: u64 = 719_468;

/// An HTTP date (RFC 9110, 5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`) in milliseconds since the epoch.
#[must_use]
pub fn parse_http_date(text: &str) -> Option<u64> {
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
    Some(days(year, month, day) * DAY_MS + (hours * 3600 + minutes * 60 + seconds) * 1000)
}

/// An RFC 3339 time in UTC (`2024-02-29T12:00:00Z`, with or without a fraction), as API servers write them, in
/// milliseconds since the epoch.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let clock = clock.split('.').next()?;
    let numbers = |text: &str, by: char| -> Option<[u64; 3]> {
        let read: Option<Vec<u64>> = text.split(by).map(|part| part.parse().ok()).collect();
        read?.try_into().ok()
    };
    let ([year, month, day], [hours, minutes, seconds]) =
        (numbers(date, '-')?, numbers(clock, ':')?);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    Some(days(year, month, day) * DAY_MS + (hours * 3600 + minutes * 60 + seconds) * 1000)
}

/// Milliseconds since the epoch as RFC 3339, to the second.
#[must_use]
pub fn rfc3339(ms: u64) -> String {
    let (mut days, rest) = (ms / DAY_MS + EPOCH_DAYS, ms % DAY_MS / 1000);
    // Eras of 400 years have 146,097 days; years begin in March, so that the leap day is the last one.
    let era = days / 146_097;
    days %= 146_097;
    let year_of_era = (days - days / 1460 + days / 36_524 - days / 146_096) / 365;
    let day_of_year = days - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hours, minutes, seconds) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}Z")
}

/// Days since the epoch.
fn days(year: u64, month: u64, day: u64) -> u64 {
    // Counting years from March so that the leap day is the last one.
    let (shifted_year, shifted_month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let of_years = shifted_year * 365 + shifted_year / 4 - shifted_year / 100 + shifted_year / 400;
    of_years + (shifted_month * 153 + 2) / 5 + day - 1 - EPOCH_DAYS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_dates_are_read() {
        assert_eq!(parse_http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(
            parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(784_111_777_000)
        );
        assert_eq!(
            parse_http_date("Thu, 29 Feb 2024 12:00:00 GMT"),
            Some(1_709_208_000_000)
        );
        for bad in [
            "",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET",
        ] {
            assert_eq!(parse_http_date(bad), None, "{bad}");
        }
    }

    #[test]
    fn times_of_objects_are_read_and_written_alike() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1994-11-06T08:49:37Z", 784_111_777_000),
            ("2024-02-29T12:00:00Z", 1_709_208_000_000),
            ("2100-03-01T00:00:00Z", 4_107_542_400_000),
        ] {
            assert_eq!(parse_rfc3339(text), Some(ms), "{text}");
            assert_eq!(rfc3339(ms), text);
        }
        assert_eq!(
            parse_rfc3339("2024-02-29T12:00:00.123456Z"),
            Some(1_709_208_000_000)
        );
        for bad in [
            "",
            "2024-02-29",
            "2024-02-29T12:00:00",
            "2024-02-29T12:00:00+01:00",
            "2024-13-01T00:00:00Z",
        ] {
            assert_eq!(parse_rfc3339(bad), None, "{bad}");
        }
    }
}
