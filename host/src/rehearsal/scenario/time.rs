//! Times as a scenario writes them: a length (`90s`), a range of lengths, an offset from the run's start (`T+10m`).
//!
//! Nothing here knows a clock. Parsing is strict: a length is never negative, and a unit is never left out.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use crate::clock::{Instant, millis};

/// Longest length accepted, in days: longer than any drill, backup retention or certificate.
pub const MAX_LENGTH_DAYS: u64 = 3_660;

/// A text that is not a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTime {
    /// It starts with a minus sign.
    #[error("`{0}` is negative; a length of time starts at `0s`")]
    Negative(String),
    /// It is no length.
    #[error(
        "`{0}` is not a length of time; write numbers with units, such as `90s`, `1h30m` or `250ms`"
    )]
    NotALength(String),
    /// It is longer than anything a scenario needs.
    #[error("`{0}` is longer than {MAX_LENGTH_DAYS} days")]
    TooLong(String),
    /// It is no offset.
    #[error(
        "`{0}` is not a point of the drill; write it from the start of the run, such as `T+10m` or `T-3m`"
    )]
    NotAnOffset(String),
}

/// A length of time, for example `90s` or `1h30m`. Units: `ms`, `s`, `m`, `h`, `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Length(Duration);

impl Length {
    /// The length of so many seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The length of so many milliseconds.
    #[must_use]
    pub const fn milliseconds(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }

    /// As a duration.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }

    /// In milliseconds.
    #[must_use]
    pub fn ms(self) -> u64 {
        millis(self.0)
    }
}

fn unit_ms(unit: &str) -> Option<u64> {
    Some(match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    })
}

impl FromStr for Length {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        if text.trim_start().starts_with('-') {
            return Err(InvalidTime::Negative(text.to_owned()));
        }
        let bad = || InvalidTime::NotALength(text.to_owned());
        let mut rest = text;
        let mut total = 0_u64;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
            let (number, tail) = rest.split_at_checked(digits).ok_or_else(bad)?;
            let letters = tail
                .find(|c: char| !c.is_ascii_lowercase())
                .unwrap_or(tail.len());
            let (unit, tail) = tail.split_at_checked(letters).ok_or_else(bad)?;
            let number: u64 = number.parse().map_err(|_| bad())?;
            let part = number.checked_mul(unit_ms(unit).ok_or_else(bad)?);
            total = part
                .and_then(|part| total.checked_add(part))
                .filter(|total| *total <= MAX_LENGTH_DAYS * 86_400_000)
                .ok_or_else(|| InvalidTime::TooLong(text.to_owned()))?;
            rest = tail.trim_start();
        }
        if text.is_empty() {
            return Err(bad());
        }
        Ok(Self::milliseconds(total))
    }
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// A length that varies evenly from call to call: `"90s"` for always the same, or `{ min = "1m", max = "3m" }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The shortest.
    pub min: Length,
    /// The longest; never below `min`.
    pub max: Length,
}

impl Range {
    /// Always this many seconds.
    #[must_use]
    pub const fn fixed_seconds(seconds: u64) -> Self {
        Self::seconds(seconds, seconds)
    }

    /// From so many to so many seconds.
    #[must_use]
    pub const fn seconds(min: u64, max: u64) -> Self {
        Self {
            min: Length::seconds(min),
            max: Length::seconds(max),
        }
    }

    /// From so many to so many milliseconds.
    #[must_use]
    pub const fn milliseconds(min: u64, max: u64) -> Self {
        Self {
            min: Length::milliseconds(min),
            max: Length::milliseconds(max),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ends {
    min: Length,
    max: Length,
}

struct RangeVisitor;

impl<'de> Visitor<'de> for RangeVisitor {
    type Value = Range;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a length such as `90s`, or `{ min = \"1m\", max = \"3m\" }`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Range, E> {
        let length: Length = text.parse().map_err(E::custom)?;
        Ok(Range {
            min: length,
            max: length,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Range, A::Error> {
        let ends = Ends::deserialize(de::value::MapAccessDeserializer::new(map))?;
        if ends.min > ends.max {
            return Err(de::Error::custom("`min` is longer than `max`"));
        }
        Ok(Range {
            min: ends.min,
            max: ends.max,
        })
    }
}

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RangeVisitor)
    }
}

/// A point of the drill, counted from the start of the run: `T+10m`, `T-3m`, `T`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offset {
    /// So long before the run starts.
    Before(Length),
    /// So long after the run has started.
    After(Length),
}

impl Offset {
    /// The instant, for a run that starts at `start`.
    #[must_use]
    pub fn from_start(self, start: Instant) -> Instant {
        match self {
            Self::Before(length) => Instant(start.0.saturating_sub(length.ms())),
            Self::After(length) => start.after(length.get()),
        }
    }
}

impl FromStr for Offset {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        let rest = text
            .strip_prefix('T')
            .ok_or_else(|| InvalidTime::NotAnOffset(text.to_owned()))?;
        match rest.chars().next() {
            None => Ok(Self::After(Length::default())),
            Some('+') => rest.trim_start_matches('+').parse().map(Self::After),
            Some('-') => rest.trim_start_matches('-').parse().map(Self::Before),
            Some(_) => Err(InvalidTime::NotAnOffset(text.to_owned())),
        }
    }
}

impl<'de> Deserialize<'de> for Offset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_need_units_and_are_never_negative() {
        assert_eq!("1h30m".parse(), Ok(Length::seconds(5_400)));
        assert_eq!("250ms".parse(), Ok(Length::milliseconds(250)));
        assert_eq!(
            "-5m".parse::<Length>(),
            Err(InvalidTime::Negative("-5m".to_owned()))
        );
        for bad in ["", "5", "m", "5 minutes", "5m-3s", "99999999999999999999s"] {
            assert!(bad.parse::<Length>().is_err(), "{bad:?} must not pass");
        }
    }

    #[test]
    fn offsets_count_from_the_start_of_the_run() {
        let start = Instant(1_000_000);
        let at = |text: &str| text.parse::<Offset>().unwrap().from_start(start);
        assert_eq!(at("T+10s"), Instant(1_010_000));
        assert_eq!(at("T-10s"), Instant(990_000));
        assert_eq!(at("T"), start);
        assert!("10m".parse::<Offset>().is_err());
        assert!("T*3m".parse::<Offset>().is_err());
    }
}
