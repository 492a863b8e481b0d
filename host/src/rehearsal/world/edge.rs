//! The caches of a delivery network in front of the service: what they hold, and what clients get from there.
//!
//! A few dozen entries stand for all that they hold, with ages drawn evenly at the beginning, as those of a busy service
//! have. An entry that has expired or was purged is filled by the next request, from the site that its own place of the
//! network is led to: each place asks another resolver, one that honours the TTL. Where that site answers no reads nothing
//! is held, and requests go through. Writes always do.
//!
//! Start at [`World::settle_edge`]. A scenario without `[edge-cache]` has none of this.

use std::collections::{BTreeMap, BTreeSet};

use super::World;
use super::clients::{Reception, part};
use super::resolver::{ALL_PPM, parts_per_million};
use crate::clock::{Instant, millis};
use crate::name::SiteName;
use crate::rehearsal::draw::Draws;
use crate::rehearsal::scenario::edge_cache::EdgeCache as Settings;
use crate::rehearsal::scenario::time::Range;

/// Entries that stand for everything that is held.
const ENTRIES: u64 = 32;

/// A part of what is held.
#[derive(Debug, Clone)]
struct Entry {
    /// Whose answer it is; `None` where nothing is held.
    holds: Option<SiteName>,
    expires: Instant,
    /// Purges that have not reached it.
    purges: BTreeSet<Instant>,
}

/// The caches.
#[derive(Debug, Clone)]
pub(crate) struct EdgeCache {
    /// Share of the reads that can be answered from there.
    share_ppm: u64,
    keeps_ms: u64,
    /// Time until a purge is everywhere.
    pub(crate) purge: Range,
    entries: Vec<Entry>,
    next_change: Option<Instant>,
}

/// What is answered from caches at the moment, as shares of the clients' reads.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Held {
    /// Everything.
    all_ppm: u64,
    /// Answers of another site than the one that the name leads to.
    left_ppm: u64,
}

impl Entry {
    /// Brings it up to `at`, where a request for it goes to `origin`. True where it holds something else then.
    fn settle(&mut self, at: Instant, keeps_ms: u64, origin: Option<&SiteName>) -> bool {
        let due = self.purges.iter().copied().filter(|purge| *purge <= at);
        let is_purged = due.count() > 0;
        self.purges.retain(|purge| *purge > at);
        let is_kept = self.holds.is_some() && !is_purged;
        if is_kept && self.expires > at {
            return false;
        }
        self.expires = if is_kept {
            // Somebody asked the moment it expired, as often as it has since.
            let over = at.0.saturating_sub(self.expires.0);
            Instant(self.expires.0 + (over / keeps_ms + 1) * keeps_ms)
        } else {
            Instant(at.0 + keeps_ms)
        };
        let held = std::mem::replace(&mut self.holds, origin.cloned());
        held != self.holds
    }

    /// When it may hold something else next, where requests for it go on going to `origin`.
    fn next_change(&self, origin: Option<&SiteName>) -> Option<Instant> {
        let stays = self.holds.is_none() || self.holds.as_ref() == origin;
        let expires = (!stays).then_some(self.expires);
        self.purges
            .first()
            .copied()
            .into_iter()
            .chain(expires)
            .min()
    }
}

impl EdgeCache {
    /// Caches that hold what `site` has answered all along.
    pub(crate) fn new(settings: &Settings, site: &SiteName, draws: Draws, at: Instant) -> Self {
        let mut ages = draws.stream("edge-cache");
        let keeps_ms = settings.keeps.ms().max(1);
        let entry = |place| {
            let age = (place * ALL_PPM + ages.below(ALL_PPM)) / ENTRIES;
            let left = u128::from(keeps_ms) * u128::from(ALL_PPM.saturating_sub(age));
            let left = u64::try_from(left / u128::from(ALL_PPM)).unwrap_or(keeps_ms);
            Entry {
                holds: Some(site.clone()),
                expires: Instant(at.0 + left.max(1)),
                purges: BTreeSet::new(),
            }
        };
        Self {
            share_ppm: parts_per_million(settings.share),
            keeps_ms,
            purge: settings.purge,
            entries: (0..ENTRIES).map(entry).collect(),
            next_change: None,
        }
    }

    /// Everything that is held is dropped, one place of the network after the other, within `length_ms` from `at`.
    pub(crate) fn drop_all(&mut self, at: Instant, length_ms: u64) {
        for (entry, place) in self.entries.iter_mut().zip(1..) {
            let after = length_ms * place / ENTRIES;
            entry.purges.insert(Instant(at.0 + after.max(1)));
        }
    }

    /// Brings every entry up to `at`; `origins` are the sites that places are led to, where they answer reads. True where
    /// something else is held then.
    fn settle(&mut self, at: Instant, origins: &[Option<SiteName>]) -> bool {
        let mut changed = false;
        self.next_change = None;
        let origins = origins.iter().cycle().map(Option::as_ref);
        for (entry, origin) in self.entries.iter_mut().zip(origins) {
            changed |= entry.settle(at, self.keeps_ms, origin);
            let next = entry.next_change(origin).into_iter();
            self.next_change = next.chain(self.next_change).min();
        }
        changed
    }

    /// The next moment at which they may hold something else, where nothing else changes.
    pub(crate) fn next_change(&self) -> Option<Instant> {
        self.next_change
    }

    /// What is answered from there, where the name leads to `site`.
    fn held(&self, site: Option<&SiteName>) -> Held {
        let share = |count: usize| {
            let count = u64::try_from(count).unwrap_or(ENTRIES);
            self.share_ppm * count / ENTRIES
        };
        let holds = || self.entries.iter().filter_map(|entry| entry.holds.as_ref());
        Held {
            all_ppm: share(holds().count()),
            left_ppm: share(
                holds()
                    .filter(|holds| site.is_some_and(|site| *holds != site))
                    .count(),
            ),
        }
    }

    /// Whose answer a user gets from the place of the network that is so far along all of them.
    fn at(&self, position_ppm: u64) -> Option<&SiteName> {
        let place = usize::try_from(position_ppm * ENTRIES / ALL_PPM).ok()?;
        self.entries.get(place)?.holds.as_ref()
    }
}

impl Held {
    /// Share of all requests that go through to a site.
    pub(crate) fn through_ppm(self, write_share_ppm: u64) -> u64 {
        ALL_PPM.saturating_sub(part(self.all_ppm, ALL_PPM.saturating_sub(write_share_ppm)))
    }

    /// What clients get where so much of it is answered from caches.
    pub(crate) fn answer(self, mut reception: Reception, write_share_ppm: u64) -> Reception {
        let through = ALL_PPM.saturating_sub(self.all_ppm);
        let left = part(self.left_ppm, ALL_PPM.saturating_sub(write_share_ppm));
        reception.read_ppm = self.all_ppm + part(reception.read_ppm, through);
        reception.stale_ppm = left + part(reception.stale_ppm, through);
        reception.left_ppm = self.left_ppm;
        reception.through_ppm = self.through_ppm(write_share_ppm);
        let errors = part(reception.database_error_ppm, reception.through_ppm);
        reception.database_error_ppm = errors;
        reception
    }

    /// Whether so few of the answers are those of a site that was left, at most `few_ppm` of them.
    pub(crate) fn has_converged(self, few_ppm: u64) -> bool {
        self.left_ppm <= part(self.all_ppm, few_ppm)
    }
}

impl World {
    /// Brings the caches up to now, with the world as it is. Must be called before something changes, and again after.
    pub(crate) fn settle_edge(&mut self) {
        let Some(mut edge) = self.edge.take() else {
            return;
        };
        let mut sites = BTreeMap::new();
        let origins = self.population.honest().map(|address| {
            let site = sites.entry(address).or_insert_with(|| {
                let reception = self.reach_site(address, 0, ALL_PPM);
                reception.site.filter(|_| reception.read_ppm > 0)
            });
            site.clone()
        });
        let origins: Vec<_> = origins.collect();
        self.dirty |= edge.settle(self.now, &origins);
        self.edge = Some(edge);
    }

    /// What is answered from caches now.
    pub(crate) fn held(&self) -> Held {
        let edge = self.edge.as_ref();
        edge.map_or(Held::default(), |edge| edge.held(self.led_to().as_ref()))
    }

    /// The site that authoritative servers lead clients to, dead or alive.
    fn led_to(&self) -> Option<SiteName> {
        let address = self.current_address()?;
        let mut sites = self.sites.iter();
        let there = sites.find(|(_, site)| {
            let app = site.apps.get(&self.clients.app);
            app.is_some_and(|app| app.address.as_deref() == Some(address.as_str()))
        });
        there.map(|(name, _)| name.clone())
    }

    /// Whose answer a read by the public name gets from a cache near the vantage point `place` of so many.
    pub(crate) fn answered_by_edge(&self, place: usize, of: usize) -> Option<&SiteName> {
        let (place, of) = (u64::try_from(place).ok()?, u64::try_from(of).ok()?);
        let position = (place * ALL_PPM).checked_div(of)?;
        self.edge.as_ref()?.at(position)
    }

    /// Drops everything that the caches hold, as soon as a purge takes.
    pub(crate) fn purge_edge(&mut self) {
        let Some(range) = self.edge.as_ref().map(|edge| edge.purge) else {
            return;
        };
        let range = self.pace.work.unwrap_or(range);
        let (now, length) = (self.now, millis(self.length(range)));
        if let Some(edge) = &mut self.edge {
            edge.drop_all(now, length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rehearsal::scenario::time::Length;

    const KEEPS_MS: u64 = 3_600_000;
    const START: Instant = Instant(10_000_000);

    fn site(name: &str) -> SiteName {
        name.parse().unwrap()
    }

    /// Caches that hold nine of ten answers of `pz`, kept for an hour.
    fn caches() -> EdgeCache {
        let settings = Settings {
            share: 0.9,
            keeps: Length::milliseconds(KEEPS_MS),
            holds: None,
            purge: Range::seconds(1, 1),
        };
        EdgeCache::new(&settings, &site("pz"), Draws::new(1), START)
    }

    fn later(ms: u64) -> Instant {
        Instant(START.0 + ms)
    }

    /// Everything that is answered, and what of it is another site's than `bz`, in percent of the reads.
    fn shown(edge: &EdgeCache) -> (u64, u64) {
        let held = edge.held(Some(&site("bz")));
        (held.all_ppm / 10_000, held.left_ppm / 10_000)
    }

    #[test]
    fn what_expires_is_filled_from_where_its_place_is_led() {
        let mut edge = caches();
        assert_eq!(shown(&edge), (90, 90));
        let both = [Some(site("pz")), Some(site("bz"))];
        edge.settle(later(KEEPS_MS + 1), &both);
        assert_eq!(shown(&edge), (90, 45));
        let there = [Some(site("bz"))];
        edge.settle(later(KEEPS_MS + KEEPS_MS / 2), &there);
        let (all, left) = shown(&edge);
        assert!(all == 90 && (15..=30).contains(&left), "{left} %");
        edge.settle(later(2 * KEEPS_MS + 1), &there);
        assert_eq!(shown(&edge), (90, 0));
        assert_eq!(edge.next_change(), None);
    }

    #[test]
    fn a_purge_arrives_one_place_after_the_other_and_is_filled_again() {
        let mut edge = caches();
        let there = [Some(site("bz"))];
        edge.settle(START, &there);
        edge.drop_all(START, 10_000);
        assert!(!edge.settle(START, &there), "nothing has arrived");
        assert!(edge.settle(later(5_000), &there));
        assert_eq!(shown(&edge), (90, 45));
        edge.settle(later(10_000), &there);
        assert_eq!(shown(&edge), (90, 0));
        // Whoever is led to the site that was left fetches its pages again.
        let mut early = caches();
        early.drop_all(START, 10_000);
        early.settle(later(10_000), &[Some(site("bz")), Some(site("pz"))]);
        assert_eq!(shown(&early), (90, 45));
    }

    #[test]
    fn nothing_is_held_of_a_site_that_answers_nothing() {
        let mut edge = caches();
        edge.drop_all(START, 1_000);
        assert!(edge.settle(later(1_000), &[None]));
        assert_eq!(shown(&edge), (0, 0));
        assert_eq!(edge.next_change(), None, "until somebody answers again");
        assert!(edge.settle(later(60_000), &[Some(site("bz"))]));
        assert_eq!(shown(&edge), (90, 0));
    }

    #[test]
    fn settling_often_or_once_gives_the_same() {
        let run = |steps: u64| {
            let mut edge = caches();
            let home = [Some(site("pz"))];
            for step in 1..=steps {
                edge.settle(later(3 * KEEPS_MS * step / steps), &home);
            }
            edge.settle(later(3 * KEEPS_MS + KEEPS_MS / 3), &[Some(site("bz"))]);
            shown(&edge)
        };
        assert_eq!(run(1), run(97));
    }
}
