//! The zone as authoritative servers have it, and the caches through which clients see it.
//!
//! A few dozen caches stand for all resolvers: each has a share of the clients and, at the beginning, a cache age drawn
//! evenly over its TTL, as the caches of a busy name have. A cache asks again the moment an entry expires; between
//! changes of the zone it costs nothing. Lowering a TTL therefore helps only those who have asked since.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::draw::Draws;
use crate::clock::Instant;
use crate::rehearsal::scenario::start::{Dns, Follow, Resolvers};

/// Caches that stand for resolvers that honour the TTL.
const HONOUR_CACHES: u64 = 32;
/// Caches that stand for those that overstay, and as many for those that pin.
const OTHER_CACHES: u64 = 12;
/// Longest chain of aliases that is followed.
const MAX_CHAIN: usize = 4;
/// All clients, in parts per million.
pub(crate) const ALL_PPM: u64 = 1_000_000;

/// A record set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordSet {
    pub(crate) values: Vec<String>,
    pub(crate) ttl_seconds: u32,
}

/// What authoritative servers answer.
#[derive(Debug, Clone)]
pub(crate) struct Zone {
    pub(crate) name: String,
    pub(crate) min_ttl_seconds: u32,
    records: BTreeMap<String, BTreeMap<String, Arc<RecordSet>>>,
    /// Changes so far.
    version: u64,
}

impl Zone {
    pub(crate) fn new(start: &Dns) -> Self {
        let mut zone = Self {
            name: start.zone.clone(),
            min_ttl_seconds: start.min_ttl_seconds,
            records: BTreeMap::new(),
            version: 0,
        };
        for record in &start.records {
            zone.set(
                &record.name,
                &record.kind,
                record.values.clone(),
                record.ttl_seconds,
            );
        }
        zone
    }

    pub(crate) fn get(&self, name: &str, kind: &str) -> Option<&Arc<RecordSet>> {
        self.records.get(name)?.get(kind)
    }

    pub(crate) fn set(
        &mut self,
        name: &str,
        kind: &str,
        mut values: Vec<String>,
        ttl_seconds: u32,
    ) {
        values.sort();
        self.version += 1;
        let kinds = self.records.entry(name.to_owned()).or_default();
        if values.is_empty() {
            kinds.remove(kind);
        } else {
            kinds.insert(
                kind.to_owned(),
                Arc::new(RecordSet {
                    values,
                    ttl_seconds,
                }),
            );
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Habit {
    /// Keeps a record for this many thousandths of its TTL.
    Keeps(u64),
    /// Keeps a record for this many milliseconds.
    Pins(u64),
}

#[derive(Debug, Clone)]
struct Entry {
    kind: &'static str,
    /// As it was when it was asked for.
    record: Arc<RecordSet>,
    fetched: Instant,
    expires: Instant,
}

#[derive(Debug, Clone)]
struct Cache {
    share_ppm: u64,
    habit: Habit,
    entries: BTreeMap<String, Entry>,
}

/// What one resolver of the panel answers.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) values: Vec<String>,
    pub(crate) ttl_seconds: u32,
}

impl Cache {
    fn keeps_ms(&self, ttl_seconds: u32) -> u64 {
        match self.habit {
            Habit::Keeps(permille) => (u64::from(ttl_seconds) * permille).max(1),
            Habit::Pins(ms) => ms.max(1),
        }
    }

    /// Brings the entry for `name` up to `at`: renewed as often as it has expired, or asked for at `asked`.
    fn look_up(&mut self, zone: &Zone, name: &str, asked: Instant, at: Instant) -> Option<&Entry> {
        let due = match self.entries.get(name) {
            Some(entry) if entry.expires > at => return self.entries.get(name),
            Some(entry) => entry.expires,
            None => asked,
        };
        let found = ["CNAME", "A"]
            .into_iter()
            .find_map(|kind| Some((kind, zone.get(name, kind)?)));
        let Some((kind, record)) = found else {
            self.entries.remove(name);
            return None;
        };
        let keeps = self.keeps_ms(record.ttl_seconds);
        let fetched = Instant(due.0 + at.0.saturating_sub(due.0) / keeps * keeps);
        let entry = Entry {
            kind,
            record: Arc::clone(record),
            fetched,
            expires: Instant(fetched.0 + keeps),
        };
        if let Some(known) = self.entries.get_mut(name) {
            *known = entry;
        } else {
            self.entries.insert(name.to_owned(), entry);
        }
        self.entries.get(name)
    }

    /// Keeps what it has for `name` until `at`, unless that leads to `target` already.
    fn expire(&mut self, name: &str, target: Option<&String>, at: Instant) {
        if let Some(entry) = self.entries.get_mut(name)
            && entry.record.values.first() != target
        {
            entry.expires = at;
        }
    }

    /// The record whose first value is the address that `name` leads to, as this cache has it.
    fn resolve(&mut self, zone: &Zone, name: &str, at: Instant) -> Option<Arc<RecordSet>> {
        let (mut alias, mut asked) = (None::<Arc<RecordSet>>, at);
        for _ in 0..MAX_CHAIN {
            let name = match &alias {
                Some(alias) => alias.values.first()?.as_str(),
                None => name,
            };
            let entry = self.look_up(zone, name, asked, at)?;
            let record = Arc::clone(&entry.record);
            if entry.kind == "A" {
                return Some(record);
            }
            asked = entry.fetched;
            alias = Some(record);
        }
        None
    }

    /// The next moment at which resolving `name` may give another answer than now.
    fn next_change(&self, zone: &Zone, name: &str) -> Option<Instant> {
        let (mut name, mut next) = (name, None::<Instant>);
        for _ in 0..MAX_CHAIN {
            let Some(entry) = self.entries.get(name) else {
                break;
            };
            let current = zone.get(name, entry.kind).map(|record| &record.values);
            if current != Some(&entry.record.values) {
                next = Some(next.map_or(entry.expires, |next| next.min(entry.expires)));
            }
            match entry.record.values.first() {
                Some(value) if entry.kind == "CNAME" => name = value,
                _ => break,
            }
        }
        next
    }
}

/// Clients behind one cache, and what it told them last.
#[derive(Debug, Clone)]
struct Client {
    cache: Cache,
    /// Empty for none.
    address: String,
    next_change: Option<Instant>,
}

impl Client {
    fn settle(&mut self, zone: &Zone, name: &str, at: Instant) {
        let record = self.cache.resolve(zone, name, at);
        let address = record.as_deref().and_then(|record| record.values.first());
        self.address.clear();
        self.address.push_str(address.map_or("", String::as_str));
        self.next_change = self.cache.next_change(zone, name);
    }
}

/// All caches.
#[derive(Debug, Clone)]
pub(crate) struct Population {
    name: String,
    clients: Vec<Client>,
    panel: Vec<(String, Cache)>,
    /// How soon the panel follows the name, by what it is led to.
    follow: BTreeMap<String, Follow>,
    /// Shares of the clients by the address they get; an empty address for none.
    shares: Vec<(String, u64)>,
    next_change: Option<Instant>,
    /// Version of the zone that clients were last settled with.
    settled: Option<u64>,
}

impl Population {
    /// Caches of a name that has been asked for all along.
    pub(crate) fn new(
        start: &Resolvers,
        zone: &Zone,
        name: &str,
        draws: Draws,
        at: Instant,
    ) -> Self {
        let mut phases = draws.stream("resolvers");
        let mut caches = Vec::new();
        let overstay = parts_per_million(start.overstay.share);
        let pin = parts_per_million(start.pin.share);
        let factor = parts_per_million(start.overstay.factor) / 1_000;
        let groups = [
            (
                ALL_PPM.saturating_sub(overstay + pin),
                HONOUR_CACHES,
                Habit::Keeps(1_000),
            ),
            (overstay, OTHER_CACHES, Habit::Keeps(factor)),
            (pin, OTHER_CACHES, Habit::Pins(start.pin.length.ms())),
        ];
        for (share, count, habit) in groups.into_iter().filter(|(share, ..)| *share > 0) {
            for n in 0..count {
                // Evenly spread ages, each drawn within its own slice; shares add up exactly.
                let age = (n * ALL_PPM + phases.below(ALL_PPM)) / count;
                let share_ppm = share * (n + 1) / count - share * n / count;
                caches.push(Client {
                    cache: warm(share_ppm, habit, zone, name, age, at),
                    address: String::new(),
                    next_change: None,
                });
            }
        }
        let panel = start.panel.iter().map(|resolver| {
            let age = phases.below(ALL_PPM);
            (
                resolver.clone(),
                warm(0, Habit::Keeps(1_000), zone, name, age, at),
            )
        });
        let mut population = Self {
            name: name.to_owned(),
            panel: panel.collect(),
            follow: start.follow.clone(),
            clients: caches,
            shares: Vec::new(),
            next_change: None,
            settled: None,
        };
        population.settle(zone, at);
        population
    }

    /// Brings every cache up to `at`, where the zone is about to change: what caches ask from now on is answered otherwise.
    pub(crate) fn renew(&mut self, zone: &Zone, at: Instant) {
        for client in &mut self.clients {
            client.settle(zone, &self.name, at);
        }
        self.renew_panel(zone, at);
    }

    fn renew_panel(&mut self, zone: &Zone, at: Instant) {
        for (_, cache) in &mut self.panel {
            cache.resolve(zone, &self.name, at);
        }
    }

    /// Brings the shares up to `at`. Must be called after the zone has changed, and before by [`renew`](Self::renew). A cache
    /// that asked for what it has already would not change them: it asks when it is looked at again.
    pub(crate) fn settle(&mut self, zone: &Zone, at: Instant) {
        let changed = self.settled.replace(zone.version) != Some(zone.version);
        // Clients get two or three addresses in all.
        let mut shares = Vec::<(String, u64)>::new();
        let mut next = None::<Instant>;
        for client in &mut self.clients {
            if changed || client.next_change.is_some_and(|due| due <= at) {
                client.settle(zone, &self.name, at);
            }
            let known = shares
                .iter_mut()
                .find(|(address, _)| *address == client.address);
            match known {
                Some((_, share)) => *share += client.cache.share_ppm,
                None => shares.push((client.address.clone(), client.cache.share_ppm)),
            }
            next = match (next, client.next_change) {
                (Some(next), Some(change)) => Some(next.min(change)),
                (next, change) => next.or(change),
            };
        }
        if changed {
            self.follow(zone, at);
            self.renew_panel(zone, at);
        }
        shares.sort_unstable();
        self.next_change = next;
        self.shares = shares;
    }

    /// The name may have been led elsewhere at `at`: where it was measured how soon the panel follows, it does so then.
    fn follow(&mut self, zone: &Zone, at: Instant) {
        let target = zone
            .get(&self.name, "CNAME")
            .and_then(|record| record.values.first());
        let Some(follow) = target.and_then(|target| self.follow.get(target)) else {
            return;
        };
        let most = self.panel.len() / 2 + 1;
        for (place, (_, cache)) in self.panel.iter_mut().enumerate() {
            let after = if place < most {
                follow.most
            } else {
                follow.all
            };
            cache.expire(&self.name, target, at.after(after.get()));
        }
    }

    /// The next moment at which shares may change, where the zone does not.
    pub(crate) fn next_change(&self) -> Option<Instant> {
        self.next_change
    }

    /// Shares of the clients by the address they get.
    pub(crate) fn shares(&self) -> &[(String, u64)] {
        &self.shares
    }

    /// The addresses that resolvers give that honour the TTL, one each; an empty address for none.
    pub(crate) fn honest(&self) -> impl Iterator<Item = &str> {
        let honest = |client: &&Client| matches!(client.cache.habit, Habit::Keeps(1_000));
        let clients = self.clients.iter().filter(honest);
        clients.map(|client| client.address.as_str())
    }

    /// What each resolver of the panel answers.
    pub(crate) fn ask(
        &mut self,
        zone: &Zone,
        name: &str,
        kind: &str,
        at: Instant,
    ) -> Vec<(String, Answer)> {
        let ask = |(resolver, cache): &mut (String, Cache)| {
            let answer = match cache.look_up(zone, name, at, at) {
                Some(entry) if entry.kind == kind => Answer {
                    values: entry.record.values.clone(),
                    ttl_seconds: u32::try_from(entry.expires.0.saturating_sub(at.0) / 1_000)
                        .unwrap_or(u32::MAX),
                },
                // Another type than addresses and aliases is not cached here.
                _ => zone.get(name, kind).map_or(
                    Answer {
                        values: Vec::new(),
                        ttl_seconds: 0,
                    },
                    |record| Answer {
                        values: record.values.clone(),
                        ttl_seconds: record.ttl_seconds,
                    },
                ),
            };
            (resolver.clone(), answer)
        };
        self.panel.iter_mut().map(ask).collect()
    }

    /// The address that each resolver of the panel gives for the service.
    pub(crate) fn addresses(&mut self, zone: &Zone, at: Instant) -> Vec<(String, Option<String>)> {
        let (name, panel) = (&self.name, self.panel.iter_mut());
        let address = |cache: &mut Cache| cache.resolve(zone, name, at)?.values.first().cloned();
        panel
            .map(|(resolver, cache)| (resolver.clone(), address(cache)))
            .collect()
    }

    /// The address that the first resolver of the panel gives for the service.
    pub(crate) fn public_address(&mut self, zone: &Zone, at: Instant) -> Option<String> {
        let (_, cache) = self.panel.first_mut()?;
        let record = cache.resolve(zone, &self.name, at)?;
        record.values.first().cloned()
    }
}

fn warm(share_ppm: u64, habit: Habit, zone: &Zone, name: &str, age_ppm: u64, at: Instant) -> Cache {
    let mut cache = Cache {
        share_ppm,
        habit,
        entries: BTreeMap::new(),
    };
    cache.resolve(zone, name, at);
    for entry in cache.entries.values_mut() {
        let keeps = entry.expires.0.saturating_sub(entry.fetched.0);
        let age = u128::from(keeps) * u128::from(age_ppm) / u128::from(ALL_PPM);
        let age = u64::try_from(age).unwrap_or(keeps);
        entry.fetched = Instant(entry.fetched.0.saturating_sub(age));
        entry.expires = Instant(entry.expires.0.saturating_sub(age).max(at.0 + 1));
    }
    cache
}

/// A ratio in parts per million.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates; a scenario's ratios are checked to be small and not negative"
)]
pub(crate) fn parts_per_million(ratio: f64) -> u64 {
    (ratio * 1_000_000.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rehearsal::scenario::start::{Overstay, Pin};
    use crate::rehearsal::scenario::time::Length;

    const ACTIVE: &str = "wp-active.example.test";

    fn zone() -> Zone {
        let dns: Dns = toml::from_str(
            "zone = 'example.test'\n\
             records = [\n\
             { name = 'wp-active.example.test', kind = 'CNAME', values = ['wp-pz.example.test'], ttl-seconds = 300 },\n\
             { name = 'wp-pz.example.test', kind = 'A', values = ['192.0.2.10'], ttl-seconds = 300 },\n\
             { name = 'wp-bz.example.test', kind = 'A', values = ['198.51.100.10'], ttl-seconds = 300 },\n\
             ]",
        )
        .unwrap();
        Zone::new(&dns)
    }

    fn honest() -> Resolvers {
        Resolvers {
            overstay: Overstay {
                share: 0.0,
                factor: 1.0,
            },
            pin: Pin {
                share: 0.0,
                length: Length::seconds(3_600),
            },
            ..Resolvers::default()
        }
    }

    fn flip(population: &mut Population, zone: &mut Zone, at: Instant, target: &str, ttl: u32) {
        population.renew(zone, at);
        zone.set(ACTIVE, "CNAME", vec![target.to_owned()], ttl);
        population.settle(zone, at);
    }

    fn share(population: &Population, address: &str) -> u64 {
        population
            .shares()
            .iter()
            .find(|(a, _)| a == address)
            .map_or(0, |(_, share)| *share)
    }

    #[test]
    fn half_of_the_caches_follow_within_half_a_ttl() {
        let (mut zone, at) = (zone(), Instant(10_000_000));
        let mut population = Population::new(&honest(), &zone, ACTIVE, Draws::new(3), at);
        flip(&mut population, &mut zone, at, "wp-bz.example.test", 60);
        assert_eq!(share(&population, "198.51.100.10"), 0);
        population.settle(&zone, Instant(at.0 + 150_000));
        let half = share(&population, "198.51.100.10");
        assert!(
            (450_000..=550_000).contains(&half),
            "{half} ppm after half a TTL"
        );
        population.settle(&zone, Instant(at.0 + 300_001));
        assert_eq!(share(&population, "198.51.100.10"), ALL_PPM);
        assert_eq!(population.next_change(), None);
    }

    #[test]
    fn the_panel_follows_as_was_measured_whatever_the_ttl() {
        let (mut zone, at) = (zone(), Instant(10_000_000));
        let mut start = honest();
        let follow = Follow {
            most: Length::seconds(1),
            all: Length::seconds(900),
        };
        start.follow.insert("wp-bz.example.test".to_owned(), follow);
        let mut population = Population::new(&start, &zone, ACTIVE, Draws::new(3), at);
        flip(&mut population, &mut zone, at, "wp-bz.example.test", 60);
        let there = |population: &mut Population, after_ms: u64| {
            let addresses = population.addresses(&zone, Instant(at.0 + after_ms));
            let followed = |address: &Option<String>| address.as_deref() == Some("198.51.100.10");
            addresses.iter().filter(|(_, to)| followed(to)).count()
        };
        assert_eq!(there(&mut population, 999), 0);
        assert_eq!(there(&mut population, 1_000), 5, "more than half of eight");
        assert_eq!(there(&mut population, 899_999), 5);
        assert_eq!(there(&mut population, 900_000), 8);
    }

    #[test]
    fn a_ttl_lowered_early_helps_and_lowered_late_does_not() {
        let at = Instant(10_000_000);
        let after_a_minute = |lowered_before_ms: u64| {
            let mut zone = zone();
            let mut population =
                Population::new(&honest(), &zone, ACTIVE, Draws::new(3), Instant(0));
            flip(
                &mut population,
                &mut zone,
                Instant(at.0 - lowered_before_ms),
                "wp-pz.example.test",
                60,
            );
            flip(&mut population, &mut zone, at, "wp-bz.example.test", 60);
            population.settle(&zone, Instant(at.0 + 60_001));
            share(&population, "198.51.100.10")
        };
        assert_eq!(after_a_minute(300_000), ALL_PPM);
        let late = after_a_minute(1_000);
        assert!(
            late < 260_000,
            "{late} ppm: only a fifth of the caches had asked since"
        );
    }

    #[test]
    fn those_who_pin_and_overstay_come_last() {
        let (mut zone, at) = (zone(), Instant(10_000_000));
        let mut population =
            Population::new(&Resolvers::default(), &zone, ACTIVE, Draws::new(3), at);
        assert_eq!(share(&population, "192.0.2.10"), ALL_PPM);
        flip(&mut population, &mut zone, at, "wp-bz.example.test", 60);
        population.settle(&zone, Instant(at.0 + 901_000));
        let stragglers = share(&population, "192.0.2.10");
        assert!(
            (12_000..=20_000).contains(&stragglers),
            "{stragglers} ppm still pin the old address"
        );
        population.settle(&zone, Instant(at.0 + 3_601_000));
        assert_eq!(share(&population, "192.0.2.10"), 0);
    }

    #[test]
    fn settling_often_or_once_gives_the_same() {
        let at = Instant(10_000_000);
        let run = |steps: u64| {
            let mut zone = zone();
            let mut population = Population::new(
                &Resolvers::default(),
                &zone,
                ACTIVE,
                Draws::new(9),
                Instant(0),
            );
            flip(&mut population, &mut zone, at, "wp-bz.example.test", 60);
            for step in 1..=steps {
                population.settle(&zone, Instant(at.0 + 400_000 * step / steps));
            }
            population.shares().to_vec()
        };
        assert_eq!(run(1), run(97));
    }
}
