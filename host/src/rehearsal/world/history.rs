//! The history of one database as a tree of numbered writes: what was acknowledged, where, when, and what is missing.
//!
//! A branch begins wherever a copy becomes a writer of its own: at the first start, at a promotion, at a restore. Writes
//! arrive evenly within a span, so a whole minute of clients costs one entry. Everything is integer arithmetic: the
//! same calls give the same numbers on every machine.

use crate::clock::Instant;
use crate::name::SiteName;

/// A state of the data: everything on `branch` up to write `number`, and what came before the branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) branch: usize,
    pub(crate) number: u64,
}

/// Writes per millisecond are counted in parts of this many.
pub(crate) const RATE_UNIT: u128 = 1_000_000_000_000;

#[derive(Debug, Clone)]
struct Span {
    from: Instant,
    until: Instant,
    first: u64,
    count: u64,
    rate: u128,
    /// False for writes of probes and migrations: nobody misses them.
    client: bool,
}

impl Span {
    fn end(&self) -> u64 {
        self.first + self.count
    }

    fn number_at(&self, at: Instant) -> u64 {
        let whole = self.until.0.saturating_sub(self.from.0);
        let part = at.0.saturating_sub(self.from.0).min(whole);
        if whole == 0 {
            return if at >= self.until {
                self.end()
            } else {
                self.first
            };
        }
        let done = u128::from(self.count) * u128::from(part) / u128::from(whole);
        self.first + u64::try_from(done).unwrap_or(u64::MAX)
    }

    fn time_of(&self, number: u64) -> Instant {
        let nth = number.saturating_sub(self.first);
        if self.count == 0 {
            return self.until;
        }
        let whole = self.until.0.saturating_sub(self.from.0);
        let part = (u128::from(nth) * u128::from(whole)).div_ceil(u128::from(self.count));
        Instant(self.from.0 + u64::try_from(part).unwrap_or(whole))
    }
}

#[derive(Debug, Clone)]
struct Branch {
    parent: Option<Point>,
    born: Instant,
    site: SiteName,
    spans: Vec<Span>,
    head: u64,
    carry: u128,
}

/// Acknowledged writes of clients that the surviving history does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Loss {
    /// How many.
    pub(crate) writes: u64,
    /// When the newest write before them, which is kept, was made.
    pub(crate) recovery_point: Instant,
    /// When the first of them was acknowledged.
    pub(crate) oldest: Instant,
    /// When the last of them was acknowledged.
    pub(crate) newest: Instant,
    /// The site whose taking over left them behind.
    pub(crate) taken_over_by: SiteName,
}

/// All branches of one database.
#[derive(Debug, Clone)]
pub(crate) struct History {
    branches: Vec<Branch>,
}

impl History {
    /// One empty branch at `site`.
    pub(crate) fn beginning(site: SiteName, at: Instant) -> Self {
        let branch = Branch {
            parent: None,
            born: at,
            site,
            spans: Vec::new(),
            head: 0,
            carry: 0,
        };
        Self {
            branches: vec![branch],
        }
    }

    /// A new branch at `site` that continues from `parent`.
    pub(crate) fn fork(&mut self, parent: Point, site: SiteName, at: Instant) -> usize {
        self.branches.push(Branch {
            parent: Some(parent),
            born: at,
            site,
            spans: Vec::new(),
            head: parent.number,
            carry: 0,
        });
        self.branches.len() - 1
    }

    /// Newest state of a branch.
    pub(crate) fn head(&self, branch: usize) -> Point {
        let number = self.branches.get(branch).map_or(0, |branch| branch.head);
        Point { branch, number }
    }

    /// Clients' writes at `rate` (parts of [`RATE_UNIT`] per millisecond).
    pub(crate) fn write(&mut self, branch: usize, from: Instant, until: Instant, rate: u128) {
        let Some(branch) = self.branches.get_mut(branch) else {
            return;
        };
        let total = rate * u128::from(until.0.saturating_sub(from.0)) + branch.carry;
        let count = u64::try_from(total / RATE_UNIT).unwrap_or(u64::MAX);
        branch.carry = total % RATE_UNIT;
        let first = branch.head;
        branch.head += count;
        if let Some(last) = branch.spans.last_mut()
            && last.client
            && last.until == from
            && last.rate == rate
        {
            last.until = until;
            last.count += count;
        } else {
            branch.spans.push(Span {
                from,
                until,
                first,
                count,
                rate,
                client: true,
            });
        }
    }

    /// One write that no client will miss.
    pub(crate) fn write_own(&mut self, branch: usize, at: Instant) {
        let Some(branch) = self.branches.get_mut(branch) else {
            return;
        };
        let first = branch.head;
        branch.head += 1;
        branch.spans.push(Span {
            from: at,
            until: at,
            first,
            count: 1,
            rate: 0,
            client: false,
        });
    }

    /// Newest write of a branch (or of what it continues) that was committed at `at` or before.
    pub(crate) fn number_at(&self, branch: usize, at: Instant) -> u64 {
        let Some(branch) = self.branches.get(branch) else {
            return 0;
        };
        if let Some(parent) = branch.parent.filter(|_| at < branch.born) {
            return self.number_at(parent.branch, at).min(parent.number);
        }
        let after = branch.spans.partition_point(|span| span.from <= at);
        match after.checked_sub(1).and_then(|i| branch.spans.get(i)) {
            Some(span) => span.number_at(at),
            None => branch.parent.map_or(0, |parent| parent.number),
        }
    }

    /// When the newest write of a state was committed.
    pub(crate) fn time_of(&self, point: Point) -> Instant {
        let point = self.normal(point);
        let Some(branch) = self.branches.get(point.branch) else {
            return Instant(0);
        };
        let before = branch
            .spans
            .partition_point(|span| span.end() < point.number);
        match branch.spans.get(before) {
            Some(span) => span.time_of(point.number),
            None => branch.born,
        }
    }

    /// The same state, named by the branch on which its newest write was made.
    pub(crate) fn normal(&self, mut point: Point) -> Point {
        while let Some(parent) = self
            .branches
            .get(point.branch)
            .and_then(|branch| branch.parent)
        {
            if point.number > parent.number {
                break;
            }
            point = Point {
                branch: parent.branch,
                number: point.number,
            };
        }
        point
    }

    /// Whether everything in `part` is in `whole` too.
    pub(crate) fn contains(&self, whole: Point, part: Point) -> bool {
        let part = self.normal(part);
        let mut at = whole;
        loop {
            if at.branch == part.branch {
                return part.number <= at.number;
            }
            match self
                .branches
                .get(at.branch)
                .and_then(|branch| branch.parent)
            {
                Some(parent) => {
                    at = Point {
                        branch: parent.branch,
                        number: parent.number.min(at.number),
                    }
                }
                None => return false,
            }
        }
    }

    /// A state in the engine's notation: domain, server, number.
    pub(crate) fn position(&self, point: Point) -> String {
        let point = self.normal(point);
        format!("0-{}-{}", point.branch + 1, point.number)
    }

    /// The state that a position names.
    pub(crate) fn parse(&self, position: &str) -> Option<Point> {
        let mut parts = position.split('-');
        let (domain, server, number) = (parts.next()?, parts.next()?, parts.next()?);
        let branch = server.parse::<usize>().ok()?.checked_sub(1)?;
        let number = number.parse().ok()?;
        (domain == "0" && parts.next().is_none() && branch < self.branches.len())
            .then_some(Point { branch, number })
    }

    /// Writes that clients were told are safe, on all branches.
    pub(crate) fn acknowledged(&self) -> u64 {
        let spans = self.branches.iter().flat_map(|branch| &branch.spans);
        spans
            .filter(|span| span.client)
            .map(|span| span.count)
            .sum()
    }

    /// What clients lost if `survivor` is all that is left.
    pub(crate) fn lost(&self, survivor: Point) -> Vec<Loss> {
        let mut kept = vec![None; self.branches.len()];
        let mut at = Some(self.normal(survivor));
        // The survivor's own branch counts as part of the path even where nothing was written on it yet.
        let mut path = vec![survivor.branch];
        while let Some(point) = at {
            if let Some(slot) = kept.get_mut(point.branch) {
                *slot = Some(point.number);
            }
            path.push(point.branch);
            at = self
                .branches
                .get(point.branch)
                .and_then(|branch| branch.parent);
            at = at.map(|parent| Point {
                branch: parent.branch,
                number: parent.number.min(point.number),
            });
        }
        path.reverse();
        let mut losses = Vec::new();
        for (place, (branch, kept)) in self.branches.iter().zip(kept).enumerate() {
            let limit = kept.unwrap_or_else(|| branch.parent.map_or(0, |parent| parent.number));
            let spans = || {
                branch
                    .spans
                    .iter()
                    .filter(|span| span.client && span.end() > limit)
            };
            let writes: u64 = spans().map(|span| span.end() - span.first.max(limit)).sum();
            let oldest = spans().find(|span| span.count > 0);
            let (Some(oldest), Some(newest)) = (oldest, spans().rfind(|span| span.count > 0))
            else {
                continue;
            };
            let oldest = oldest.time_of(oldest.first.max(limit) + 1);
            let mut heirs = path.iter().filter_map(|heir| self.branches.get(*heir));
            let heir = heirs
                .clone()
                .find(|heir| heir.born >= oldest)
                .or_else(|| heirs.next_back());
            let last_kept = Point {
                branch: place,
                number: limit,
            };
            losses.push(Loss {
                writes,
                recovery_point: self.time_of(last_kept),
                oldest,
                newest: newest.time_of(newest.end()),
                taken_over_by: heir.map_or_else(|| branch.site.clone(), |heir| heir.site.clone()),
            });
        }
        losses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(name: &str) -> SiteName {
        name.parse().unwrap()
    }

    /// Two writes per second.
    const RATE: u128 = 2 * RATE_UNIT / 1_000;

    #[test]
    fn writes_are_numbered_evenly_and_found_again() {
        let mut history = History::beginning(site("pz"), Instant(0));
        history.write(0, Instant(0), Instant(250), RATE);
        history.write(0, Instant(250), Instant(10_000), RATE);
        assert_eq!(history.head(0).number, 20);
        assert_eq!(history.number_at(0, Instant(5_000)), 10);
        assert_eq!(
            history.time_of(Point {
                branch: 0,
                number: 10
            }),
            Instant(5_000)
        );
        assert_eq!(
            history.parse(&history.position(history.head(0))),
            Some(history.head(0))
        );
        assert_eq!(history.parse("1-1-1"), None);
    }

    #[test]
    fn what_a_promotion_leaves_behind_is_lost_and_dated() {
        let mut history = History::beginning(site("pz"), Instant(0));
        history.write(0, Instant(0), Instant(10_000), RATE);
        let behind = Point {
            branch: 0,
            number: history.number_at(0, Instant(8_000)),
        };
        let new = history.fork(behind, site("bz"), Instant(60_000));
        history.write(new, Instant(60_000), Instant(70_000), RATE);
        let losses = history.lost(history.head(new));
        assert_eq!(losses.len(), 1);
        assert_eq!((losses[0].writes, losses[0].oldest), (4, Instant(8_500)));
        assert_eq!(losses[0].recovery_point, Instant(8_000));
        assert_eq!(losses[0].newest, Instant(10_000));
        assert_eq!(losses[0].taken_over_by, site("bz"));
        assert_eq!(history.acknowledged(), 40);
        assert!(!history.contains(history.head(new), history.head(0)));
        assert!(history.contains(history.head(new), behind));
    }

    #[test]
    fn nothing_is_lost_where_the_fork_takes_everything() {
        let mut history = History::beginning(site("pz"), Instant(0));
        history.write(0, Instant(0), Instant(10_000), RATE);
        history.write_own(0, Instant(10_500));
        let new = history.fork(history.head(0), site("bz"), Instant(11_000));
        assert_eq!(history.lost(history.head(new)), []);
        assert_eq!(
            history.position(history.head(new)),
            history.position(history.head(0))
        );
        // A probe's write on a branch that does not survive is nobody's loss.
        history.write_own(0, Instant(12_000));
        assert_eq!(history.lost(history.head(new)), []);
    }
}
