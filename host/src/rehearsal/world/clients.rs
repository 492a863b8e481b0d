//! What clients get: from the address their resolver gives them to the database, for stretches of time in which nothing
//! changes. No request is simulated alone; shares of all requests are.

use std::collections::BTreeMap;

use super::World;
use super::database::State;
use super::history::RATE_UNIT;
use super::resolver::{ALL_PPM, parts_per_million};
use super::site::{App, Condition, Site};
use crate::clock::Instant;
use crate::name::SiteName;
use crate::rehearsal::scenario::start::Clients;

/// The day's profile has hourly steps, in milliseconds.
const HOUR_MS: u64 = 3_600_000;

/// What clients ask of the service, in thousandths per second.
#[derive(Debug, Clone)]
pub(crate) struct Demand {
    pub(crate) requests_milli: u64,
    pub(crate) writes_milli: u64,
    /// What one replica can take.
    capacity_milli: u64,
    hourly_ppm: Vec<u64>,
}

impl Demand {
    pub(crate) fn new(clients: &Clients) -> Self {
        let milli = |rate: f64| parts_per_million(rate) / 1_000;
        let hourly = clients.hourly.iter();
        Self {
            requests_milli: milli(clients.requests_per_second),
            writes_milli: milli(clients.writes_per_second),
            capacity_milli: milli(clients.capacity_per_replica),
            hourly_ppm: hourly.map(|factor| parts_per_million(*factor)).collect(),
        }
    }

    /// Factor on the rates at an instant, from the day's profile.
    pub(crate) fn factor_ppm(&self, at: Instant) -> u64 {
        let hour = usize::try_from(at.0 / HOUR_MS % 24).unwrap_or(0);
        self.hourly_ppm.get(hour).copied().unwrap_or(ALL_PPM)
    }

    /// When the factor changes next after an instant.
    pub(crate) fn next_change(&self, after: Instant) -> Option<Instant> {
        let next = Instant((after.0 / HOUR_MS + 1) * HOUR_MS);
        (!self.hourly_ppm.is_empty()).then_some(next)
    }

    /// Share of the requests that write.
    pub(crate) fn write_share_ppm(&self) -> u64 {
        (self.writes_milli * ALL_PPM)
            .checked_div(self.requests_milli)
            .unwrap_or(0)
    }

    /// The request at or after an instant and the one before it: clients ask evenly. `None` where they ask nothing.
    pub(crate) fn requests_around(&self, at: Instant) -> Option<(Instant, Instant)> {
        // Thousandths per second, parts per million: parts of 10^12 per millisecond, as the unit is.
        let rate = u128::from(self.requests_milli) * u128::from(self.factor_ppm(at));
        let next = (u128::from(at.0) * rate).div_ceil(RATE_UNIT);
        let time_of = |request: u128| {
            let ms = (request * RATE_UNIT).checked_div(rate)?;
            u64::try_from(ms).ok().map(Instant)
        };
        Some((time_of(next.saturating_sub(1))?, time_of(next)?.max(at)))
    }

    /// Rate of all writes, in parts of [`RATE_UNIT`] per millisecond.
    pub(crate) fn write_rate(&self, at: Instant) -> u128 {
        // Thousandths per second, parts per million: parts of 10^12 per millisecond, as the unit is.
        u128::from(self.writes_milli) * u128::from(self.factor_ppm(at))
    }
}

/// What the clients of one address get at the moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reception {
    /// Their share of all clients.
    pub(crate) share_ppm: u64,
    /// The site that answers; `None` where nobody does and they time out.
    pub(crate) site: Option<SiteName>,
    /// Reads that succeed.
    pub(crate) read_ppm: u64,
    /// Writes that are acknowledged.
    pub(crate) write_ppm: u64,
    /// Requests that fail for want of a database.
    pub(crate) database_error_ppm: u64,
    /// Successful reads of data that the newest writer has moved on from.
    pub(crate) stale_ppm: u64,
    /// Reads that a cache answers with what a site said that clients have been led away from.
    pub(crate) left_ppm: u64,
    /// Requests that go through to a site: all that no cache answers.
    pub(crate) through_ppm: u64,
    /// Where acknowledged writes go: database, branch, share of this reception's writes.
    pub(crate) writes: Vec<(String, usize, u64)>,
    /// Response time as a multiple of the idle one, in thousandths.
    pub(crate) slowness_permille: u64,
}

impl Reception {
    /// Clients that can do everything, where the service is.
    pub(crate) fn served_ppm(&self) -> u64 {
        let read_ppm = self.read_ppm.saturating_sub(self.left_ppm);
        part(self.share_ppm, read_ppm.min(self.write_ppm))
    }
}

/// `share` of `of`, both in parts per million.
pub(crate) fn part(of: u64, share: u64) -> u64 {
    of * share / ALL_PPM
}

/// What an application's replicas at a site can do.
#[derive(Debug, Clone, Default)]
struct Able {
    reads: u64,
    writes: u64,
    database_errors: u64,
    stale: u64,
    to: BTreeMap<(String, usize), u64>,
}

impl World {
    /// What clients get now, by address.
    pub(crate) fn receive(&self) -> Vec<Reception> {
        let (held, writes) = (self.held(), self.demand.write_share_ppm());
        let through = held.through_ppm(writes);
        let shares = self.population.shares().iter();
        let receptions = shares.map(|(address, share)| {
            let reception = self.reach_site(address, *share, through);
            held.answer(reception, writes)
        });
        receptions.collect()
    }

    /// What clients get from the site at an address, where so many of their requests go through to it.
    pub(crate) fn reach_site(&self, address: &str, share_ppm: u64, through_ppm: u64) -> Reception {
        let mut reception = Reception {
            share_ppm,
            ..Reception::default()
        };
        let Some((name, site, app)) = self.entry(address) else {
            return reception;
        };
        reception.site = Some(name.clone());
        reception.slowness_permille = 1_000;
        let valid = site
            .certificate_for(&self.clients.name, self.now)
            .is_some_and(|c| c.not_after > self.now);
        let ready = app.ready();
        if !valid || ready == 0 || !app.hosts.contains(&self.clients.name) {
            return reception;
        }
        let able = self.able(name, app);
        let (within, slowness) = self.load(part(share_ppm, through_ppm), ready);
        reception.slowness_permille = slowness;
        reception.read_ppm = part(able.reads, within);
        reception.database_error_ppm = able.database_errors;
        reception.stale_ppm = part(able.stale, within);
        if !app.maintenance {
            reception.write_ppm = part(able.writes, within);
            let writes = able
                .to
                .into_iter()
                .map(|((db, branch), share)| (db, branch, part(share, within)));
            reception.writes = writes.collect();
        }
        reception
    }

    /// The site and application behind a public address, as clients reach it.
    pub(crate) fn entry(&self, address: &str) -> Option<(&SiteName, &Site, &App)> {
        self.sites.iter().find_map(|(name, site)| {
            let app = site.apps.get(&self.clients.app)?;
            let open = site.condition != Condition::Down && app.address.as_deref() == Some(address);
            open.then_some((name, site, app))
        })
    }

    fn able(&self, site: &SiteName, app: &App) -> Able {
        let mut able = Able::default();
        let ready = u64::from(app.ready()).max(1);
        for group in &app.running {
            let share = u64::from(group.replicas) * ALL_PPM / ready;
            let target = self.behind(site, &group.endpoint);
            let Some((database, copy_site)) = target else {
                able.database_errors += share;
                continue;
            };
            let Some(copy) = database.copies.get(copy_site) else {
                continue;
            };
            match copy.state {
                State::Absent | State::Broken => able.database_errors += share,
                _ if database.is_damaged(copy) => able.database_errors += share,
                State::Primary(branch) => {
                    able.reads += share;
                    if copy.refuses_writes(self.now) {
                        able.database_errors += part(share, self.demand.write_share_ppm());
                    } else {
                        able.writes += share;
                        *able.to.entry((database.name.clone(), branch)).or_default() += share;
                    }
                    if database.writer().is_some_and(|(_, newest)| newest > branch) {
                        able.stale += share;
                    }
                }
                State::Replica(_) => {
                    able.reads += share;
                    able.database_errors += part(share, self.demand.write_share_ppm());
                }
            }
        }
        able
    }

    /// The database behind an endpoint, if a site's applications reach it.
    pub(crate) fn behind(
        &self,
        from: &SiteName,
        endpoint: &str,
    ) -> Option<(&super::Database, &SiteName)> {
        self.databases.values().find_map(|database| {
            let (site, _) = database
                .copies
                .iter()
                .find(|(_, copy)| copy.endpoint == endpoint)?;
            self.linked(from, site).then_some((database, site))
        })
    }

    /// Whether what runs at one site reaches what runs at another.
    pub(crate) fn linked(&self, from: &SiteName, to: &SiteName) -> bool {
        let condition = |site| {
            self.sites
                .get(site)
                .map_or(Condition::Down, |site: &Site| site.condition)
        };
        match (condition(from), condition(to)) {
            (Condition::Down, _) | (_, Condition::Down) => false,
            (Condition::Up, Condition::Up) => true,
            _ => from == to,
        }
    }

    /// Share of the requests that are within what so many replicas can take, and how much slower they answer.
    fn load(&self, share_ppm: u64, ready: u32) -> (u64, u64) {
        let capacity = self
            .demand
            .capacity_milli
            .saturating_mul(u64::from(ready))
            .max(1);
        let arriving = part(
            part(self.demand.requests_milli, share_ppm),
            self.demand.factor_ppm(self.now),
        );
        let within = if arriving > capacity {
            capacity * ALL_PPM / arriving
        } else {
            ALL_PPM
        };
        // A queue of one server: responses take 1 / (1 - utilisation) times as long; bounded at ten times.
        let idle = capacity.saturating_sub(arriving).max(capacity / 10).max(1);
        (within, capacity * 1_000 / idle)
    }

    /// Lets clients do what they do from `self.now` until `until`: nothing changes in between.
    pub(crate) fn serve_clients(&mut self, until: Instant) {
        let from = self.now;
        if until <= from {
            return;
        }
        if self.dirty {
            self.receptions = self.receive();
            self.write_rates = self.rates();
            self.dirty = false;
        }
        let factor = u128::from(self.demand.factor_ppm(from));
        for (database, branch, rate) in &self.write_rates {
            if let Some(database) = self.databases.get_mut(database) {
                let rate = rate * factor / u128::from(ALL_PPM);
                database.history.write(*branch, from, until, rate);
                if rate > 0 {
                    database.written = until;
                }
            }
        }
        let receptions = std::mem::take(&mut self.receptions);
        self.watch(from, until, &receptions);
        self.receptions = receptions;
    }
    /// Rate of acknowledged writes by database and branch, in parts of [`RATE_UNIT`] per millisecond.
    fn rates(&self) -> Vec<(String, usize, u128)> {
        let mut rates = BTreeMap::<(String, usize), u128>::new();
        for reception in &self.receptions {
            for (database, branch, share) in &reception.writes {
                let share = u128::from(reception.share_ppm) * u128::from(*share);
                // Thousandths per second, twice parts per million: parts of 10^18 per millisecond.
                let rate = u128::from(self.demand.writes_milli) * share
                    / (1_000_000_000_000_000_000 / RATE_UNIT);
                *rates.entry((database.clone(), *branch)).or_default() += rate;
            }
        }
        rates
            .into_iter()
            .map(|((database, branch), rate)| (database, branch, rate))
            .collect()
    }
}
