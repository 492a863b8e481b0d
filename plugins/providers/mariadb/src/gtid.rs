//! Global transaction ids of MariaDB (`domain-server-sequence`): positions, histories, and what contains what. Pure.
//!
//! A *position* is the newest transaction per domain. A *history* is `@@gtid_binlog_state`: the newest transaction per
//! domain **and** server, which is what tells a server that is behind from one that has gone its own way.

use std::collections::BTreeMap;
use std::fmt;

/// A transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gtid {
    domain: u32,
    server: u32,
    sequence: u64,
}

/// The newest transaction per domain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Position(BTreeMap<u32, Gtid>);

/// The newest transaction per domain and server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct History(Vec<Gtid>);

impl Position {
    /// Reads `0-1-22,1-3-5`; an empty text is the position before everything.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut position = Self::default();
        for gtid in parse_list(text)? {
            position.advance(gtid);
        }
        Ok(position)
    }

    /// True before everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The newer of both in each domain.
    pub(crate) fn merged(mut self, other: &Self) -> Self {
        for gtid in other.0.values() {
            self.advance(*gtid);
        }
        self
    }

    /// True where, in every domain of `other`, this position is at least as far.
    pub(crate) fn contains(&self, other: &Self) -> bool {
        other.0.values().all(|theirs| {
            self.0
                .get(&theirs.domain)
                .is_some_and(|ours| ours.sequence >= theirs.sequence)
        })
    }

    fn advance(&mut self, gtid: Gtid) {
        let newest = self.0.entry(gtid.domain).or_insert(gtid);
        if gtid.sequence > newest.sequence {
            *newest = gtid;
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_list(f, self.0.values())
    }
}

impl History {
    /// Reads `@@gtid_binlog_state`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        parse_list(text).map(Self)
    }

    /// The part of this history that a position has reached: what was committed after it is left out.
    pub(crate) fn up_to(&self, position: &Position) -> Self {
        let mut reached: Vec<Gtid> = Vec::new();
        for gtid in &self.0 {
            match position.0.get(&gtid.domain) {
                Some(newest) if gtid.sequence <= newest.sequence => reached.push(*gtid),
                Some(newest) if gtid.server == newest.server => reached.push(*newest),
                _ => {}
            }
        }
        Self(reached)
    }

    /// True where every transaction that `position` names is one of this history. A server whose newest transaction
    /// is not has diverged: it committed what the source never saw.
    pub(crate) fn holds(&self, position: &Position) -> bool {
        position.0.values().all(|wanted| {
            self.0.iter().any(|known| {
                known.domain == wanted.domain
                    && known.server == wanted.server
                    && known.sequence >= wanted.sequence
            })
        })
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_list(f, &self.0)
    }
}

/// Writes a comma-separated list.
fn write_list<'a>(
    f: &mut fmt::Formatter<'_>,
    gtids: impl IntoIterator<Item = &'a Gtid>,
) -> fmt::Result {
    for (index, gtid) in gtids.into_iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(
            f,
            "{comma}{}-{}-{}",
            gtid.domain, gtid.server, gtid.sequence
        )?;
    }
    Ok(())
}

/// Reads a comma-separated list.
fn parse_list(text: &str) -> Result<Vec<Gtid>, String> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(|item| {
            parse_one(item)
                .ok_or_else(|| format!("`{item}` is not a GTID of the form domain-server-sequence"))
        })
        .collect()
}

fn parse_one(item: &str) -> Option<Gtid> {
    let mut parts = item.split('-');
    let gtid = Gtid {
        domain: parts.next()?.parse().ok()?,
        server: parts.next()?.parse().ok()?,
        sequence: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(gtid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(text: &str) -> Position {
        Position::parse(text).unwrap()
    }

    #[test]
    fn a_position_is_read_and_shown_in_order_of_domains() {
        assert_eq!(position(" 1-3-5,\n0-1-22 ").to_string(), "0-1-22,1-3-5");
        assert_eq!(position("").to_string(), "");
        for bad in ["0-1", "0-1-2-3", "a-b-c", "0-1--2", "0-1-22;drop"] {
            assert!(Position::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn containing_means_at_least_as_far_in_every_domain() {
        assert!(position("0-2-23").contains(&position("0-1-22")));
        assert!(!position("0-2-21").contains(&position("0-1-22")));
        assert!(!position("0-1-22").contains(&position("0-1-22,1-1-1")));
        assert!(position("0-1-22").contains(&position("")));
        assert_eq!(
            position("0-1-5,1-1-9")
                .merged(&position("0-2-7,1-1-3"))
                .to_string(),
            "0-2-7,1-1-9"
        );
    }

    #[test]
    fn a_history_tells_behind_from_diverged() {
        let history = History::parse("0-1-21,0-2-30").unwrap();
        assert!(history.holds(&position("0-1-21")), "fell behind cleanly");
        assert!(history.holds(&position("0-2-25")));
        assert!(
            !history.holds(&position("0-1-22")),
            "committed once more than the source saw"
        );
        assert!(
            !history.holds(&position("0-1-21,7-1-1")),
            "a domain of its own"
        );
        assert!(!history.holds(&position("0-2-31")), "ahead of the source");
        assert_eq!(
            history.up_to(&position("0-2-25")).to_string(),
            "0-1-21,0-2-25"
        );
        assert_eq!(history.up_to(&position("0-1-20")).to_string(), "0-1-20");
        assert_eq!(history.up_to(&position("")).to_string(), "");
    }
}
