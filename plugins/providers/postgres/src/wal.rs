//! Places in the write-ahead log, and the history of timelines that says which places lie on one way. Pure.
//!
//! A server that is promoted begins a *timeline* of its own and notes where the one before ended. Two servers whose
//! histories part have gone different ways after that place: what the one wrote there, the other never saw.

use std::fmt;

/// A log sequence number: bytes since the beginning of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lsn(u64);

impl Lsn {
    /// So many bytes since the beginning.
    pub(crate) fn of(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Reads `16/B374D848`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (high, low) = text.split_once('/')?;
        let half = |text: &str| u32::from_str_radix(text, 16).ok().map(u64::from);
        Some(Self((half(high)? << 32) | half(low)?))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

/// A place on a timeline: `16/B374D848@2`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) lsn: Lsn,
    pub(crate) timeline: u32,
}

impl Position {
    /// Reads what [`Display`](fmt::Display) shows.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let parts = text.trim().split_once('@');
        parts
            .and_then(|(lsn, timeline)| {
                Some(Self {
                    lsn: Lsn::parse(lsn)?,
                    timeline: timeline.parse().ok()?,
                })
            })
            .ok_or_else(|| format!("`{text}` is not a position of the form LSN@TIMELINE"))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.lsn, self.timeline)
    }
}

/// The timelines that lead to the one a server is on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct History {
    current: u32,
    /// Earlier ones with where each ended, oldest first.
    ended: Vec<(u32, Lsn)>,
}

impl History {
    /// Reads a history file (`00000003.history`), which the first timeline has none of.
    pub(crate) fn parse(current: u32, file: &str) -> Result<Self, String> {
        let lines = file.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let ended = lines
            .map(|line| {
                let mut words = line.split_whitespace();
                let timeline = words.next().and_then(|word| word.parse().ok());
                let end = words.next().and_then(Lsn::parse);
                timeline
                    .zip(end)
                    .ok_or_else(|| format!("`{line}` is no line of a timeline's history"))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { current, ended })
    }

    /// The timeline it leads to.
    pub(crate) fn current(&self) -> u32 {
        self.current
    }

    /// True where a place lies on the way to here. A place on the current timeline does, wherever it is.
    pub(crate) fn holds(&self, position: Position) -> bool {
        position.timeline == self.current
            || self
                .ended
                .iter()
                .any(|(timeline, end)| *timeline == position.timeline && *end >= position.lsn)
    }

    /// True where a server that has come this far by its own history has taken no other way than this one.
    pub(crate) fn continues(&self, other: &Self, position: Position) -> bool {
        let same_way = other.ended.iter().all(|step| self.ended.contains(step));
        same_way && self.holds(position)
    }

    /// True where both have the same number for timelines that are not the same: each was promoted without knowing of the
    /// other.
    pub(crate) fn is_namesake_of(&self, other: &Self) -> bool {
        self.current == other.current && self.ended != other.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Position {
        Position::parse(text).unwrap()
    }

    #[test]
    fn a_position_is_read_as_it_is_shown() {
        for text in ["0/3000148@1", "16/B374D848@12"] {
            assert_eq!(at(text).to_string(), text);
        }
        for bad in [
            "",
            "0/3000148",
            "3000148@1",
            "0/x@1",
            "0/1@",
            "0/1@-1",
            "0/1@1;",
        ] {
            assert!(Position::parse(bad).is_err(), "{bad}");
        }
        assert!(Lsn::parse("1/0").unwrap() > Lsn::parse("0/FFFFFFFF").unwrap());
    }

    #[test]
    fn a_history_tells_behind_from_diverged() {
        let file =
            "1\t0/3000100\tno recovery target specified\n\n2\t0/5000000\tbefore 2026-01-01\n";
        let third = History::parse(3, file).unwrap();
        let first = History::parse(1, "").unwrap();
        assert!(
            third.continues(&first, at("0/3000100@1")),
            "stopped where the other began"
        );
        assert!(!third.continues(&first, at("0/3000101@1")), "wrote on");
        let second = History::parse(2, "1\t0/3000100\t").unwrap();
        assert!(third.continues(&second, at("0/4000000@2")));
        assert!(
            !second.continues(&third, at("0/4000000@3")),
            "further than the other ever was"
        );
        let other = History::parse(2, "1\t0/2000000\t").unwrap();
        assert!(
            !third.continues(&other, at("0/2000001@2")),
            "went another way before"
        );
        assert!(other.is_namesake_of(&second) && !second.is_namesake_of(&second));
        assert!(History::parse(2, "1\tnowhere").is_err());
    }
}
