//! What is noticed while clients are served: outage and recovery, errors and latency, DNS convergence, objectives.
//!
//! Everything is a sum over stretches of time; [`World::truth`] turns it into the figures of a run.

use std::collections::{BTreeMap, VecDeque};

use super::World;
use super::clients::{Reception, part};
use super::resolver::ALL_PPM;
use crate::clock::{Instant, millis};
use crate::name::SiteName;
use crate::rehearsal::scenario::start::Measure;

/// Objectives look back this far, in milliseconds.
const WINDOW_MS: u64 = 60_000;
/// Clients are served when more than this share of them is.
const MAJORITY_PPM: u64 = ALL_PPM / 2;
/// Writes fail when fewer than this share of them succeeds (the rest is rounding).
const WRITES_FAIL_PPM: u64 = ALL_PPM / 100 * 99;
/// DNS has converged when this share of the clients gets the new address.
const MOST_PPM: u64 = ALL_PPM / 100 * 95;
/// Response times relative to the median of an idle service: share of responses in percent, factor in percent.
/// A long tail as load tests of web applications commonly show; only the shape matters.
const TAIL: [(u64, u64); 6] = [
    (50, 100),
    (25, 150),
    (15, 240),
    (5, 320),
    (4, 500),
    (1, 900),
];

/// A change of where the service's name leads.
#[derive(Debug, Clone)]
pub(crate) struct Flip {
    pub(crate) at: Instant,
    half: Option<Instant>,
    most: Option<Instant>,
    /// The same for what caches in front of the service answer.
    edge: Option<Instant>,
}

/// Sums of a stretch of time at one site.
#[derive(Debug, Clone)]
struct Slice {
    until: Instant,
    length_ms: u64,
    requests: u64,
    failed: u64,
    database_errors: u64,
    slowness_permille: u64,
}

/// A time in which the service failed its clients, and that has not ended: what the log of their requests tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failing {
    /// The first request after which the objective was missed.
    pub(crate) since: Instant,
    /// The request before it.
    pub(crate) met_until: Instant,
}

/// Everything noticed. Requests are counted in thousandths.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watch {
    pub(crate) outage: Option<Instant>,
    pub(crate) recovered: Option<Instant>,
    pub(crate) failed_back: Option<Instant>,
    pub(crate) down_before_ms: u64,
    pub(crate) down_after_ms: u64,
    pub(crate) two_writers_ms: u64,
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    pub(crate) stale: u64,
    pub(crate) flips: Vec<Flip>,
    /// Successful requests by slowness.
    slowness: BTreeMap<u64, u64>,
    slices: BTreeMap<SiteName, VecDeque<Slice>>,
    /// Last miss of an objective by site: when it ended and the value.
    misses: BTreeMap<(SiteName, String), (Instant, f64)>,
    /// Objectives that the service misses, wherever its clients are led.
    failing: BTreeMap<String, Failing>,
}

impl World {
    /// Takes note of what clients got from `from` until `until`.
    pub(crate) fn watch(&mut self, from: Instant, until: Instant, receptions: &[Reception]) {
        let length = until.0.saturating_sub(from.0);
        self.watch_majority(from, length, receptions);
        let factor = self.demand.factor_ppm(from);
        let (mut all, mut all_failed) = (0, 0);
        for reception in receptions {
            let arriving = part(
                part(self.demand.requests_milli, reception.share_ppm),
                factor,
            );
            let requests = arriving.saturating_mul(length) / 1_000;
            let writes = self.demand.write_share_ppm();
            let good = part(reception.read_ppm, ALL_PPM.saturating_sub(writes))
                + part(reception.write_ppm, writes);
            let failed = part(requests, ALL_PPM.saturating_sub(good.min(ALL_PPM)));
            all += requests;
            all_failed += failed;
            self.watch.stale += part(requests, reception.stale_ppm);
            *self
                .watch
                .slowness
                .entry(reception.slowness_permille)
                .or_default() += requests - failed;
            if let Some(site) = reception.site.clone() {
                let slice = Slice {
                    until,
                    length_ms: length,
                    requests: part(requests, reception.through_ppm),
                    failed,
                    database_errors: part(requests, reception.database_error_ppm),
                    slowness_permille: reception.slowness_permille,
                };
                self.watch_site(site, slice);
            }
        }
        self.watch.requests += all;
        self.watch.failed += all_failed;
        self.watch_service(from, all, all_failed);
    }

    /// Takes note of since when the service fails its clients: those who get no answer at all are in no site's figures.
    fn watch_service(&mut self, from: Instant, requests: u64, failed: u64) {
        if requests == 0 {
            return;
        }
        let ratio = float(failed) / float(requests);
        for (name, objective) in &self.objectives {
            if objective.measures != Measure::ErrorRatio || ratio <= objective.at_most {
                self.watch.failing.remove(name);
            } else if !self.watch.failing.contains_key(name)
                && let Some((met_until, since)) = self.demand.requests_around(from)
            {
                let failing = Failing { since, met_until };
                self.watch.failing.insert(name.clone(), failing);
            }
        }
    }

    /// Since when the service has missed an objective without a break; `None` while it meets it, and until the first
    /// request after that was missed.
    pub(crate) fn failing(&self, objective: &str) -> Option<Failing> {
        let failing = self.watch.failing.get(objective).copied();
        failing.filter(|failing| failing.since <= self.now)
    }

    fn watch_majority(&mut self, from: Instant, length: u64, receptions: &[Reception]) {
        let served: u64 = receptions.iter().map(Reception::served_ppm).sum();
        let at_primary = receptions
            .iter()
            .filter(|r| r.site.as_ref() == Some(&self.primary));
        let home: u64 = at_primary.map(Reception::served_ppm).sum();
        let writes: u64 = receptions
            .iter()
            .map(|r| part(r.share_ppm, r.write_ppm))
            .sum();
        if writes < WRITES_FAIL_PPM && self.watch.outage.is_none() && self.watch.recovered.is_none()
        {
            self.watch.outage = Some(from);
        }
        if self.watch.recovered.is_none() && served.saturating_sub(home) > MAJORITY_PPM {
            self.watch.recovered = Some(from);
        }
        if self.watch.recovered.is_some() && self.watch.failed_back.is_none() && home > MAJORITY_PPM
        {
            self.watch.failed_back = Some(from);
        }
        if served <= MAJORITY_PPM {
            if self.watch.recovered.is_none() {
                self.watch.down_before_ms += length;
            } else {
                self.watch.down_after_ms += length;
            }
        }
        if self.write_rates.len() > 1 {
            let mut names: Vec<&String> = self.write_rates.iter().map(|(name, ..)| name).collect();
            names.dedup();
            if names.len() < self.write_rates.len() {
                self.watch.two_writers_ms += length;
            }
        }
        self.watch_flip(from);
        self.watch_edge(from);
    }

    /// Takes note of when so many clients get the new address.
    fn watch_flip(&mut self, from: Instant) {
        let open = self.watch.flips.last().filter(|flip| flip.most.is_none());
        if open.is_none() {
            return;
        }
        let current = self.current_address();
        if let (Some(flip), Some(address)) = (self.watch.flips.last_mut(), current) {
            let shares = self.population.shares().iter();
            let there: u64 = shares
                .filter(|(a, _)| *a == address)
                .map(|(_, share)| *share)
                .sum();
            if there > MAJORITY_PPM {
                flip.half.get_or_insert(from);
            }
            if there >= MOST_PPM {
                flip.most.get_or_insert(from);
            }
        }
    }

    /// Takes note of when so much of what caches answer is the new site's.
    fn watch_edge(&mut self, from: Instant) {
        let converged = self.edge.is_some() && self.held().has_converged(ALL_PPM - MOST_PPM);
        if let Some(flip) = self.watch.flips.last_mut().filter(|_| converged) {
            flip.edge.get_or_insert(from);
        }
    }

    /// The service's name now leads elsewhere.
    pub(crate) fn note_flip(&mut self) {
        self.watch.flips.push(Flip {
            at: self.now,
            half: None,
            most: None,
            edge: None,
        });
    }

    fn watch_site(&mut self, site: SiteName, slice: Slice) {
        for (name, objective) in &self.objectives {
            let value = self.measure(std::slice::from_ref(&slice), objective.measures);
            if let Some(value) = value.filter(|value| *value > objective.at_most) {
                self.watch
                    .misses
                    .insert((site.clone(), name.clone()), (slice.until, value));
            }
        }
        let slices = self.watch.slices.entry(site).or_default();
        let oldest = slice.until.0.saturating_sub(WINDOW_MS);
        while slices.front().is_some_and(|slice| slice.until.0 <= oldest) {
            slices.pop_front();
        }
        slices.push_back(slice);
    }

    /// The value of an objective at a site over the last minute; `None` where no request came.
    pub(crate) fn objective(&self, site: &SiteName, measure: Measure) -> Option<f64> {
        let oldest = self.now.0.saturating_sub(WINDOW_MS);
        let slices = self
            .watch
            .slices
            .get(site)?
            .iter()
            .filter(|slice| slice.until.0 > oldest);
        let slices: Vec<Slice> = slices.cloned().collect();
        self.measure(&slices, measure)
    }

    /// When an objective was last missed at a site, and the value it had.
    pub(crate) fn last_miss(&self, site: &SiteName, objective: &str) -> Option<(Instant, f64)> {
        self.watch
            .misses
            .get(&(site.clone(), objective.to_owned()))
            .copied()
    }

    fn measure(&self, slices: &[Slice], measure: Measure) -> Option<f64> {
        let requests: u64 = slices.iter().map(|slice| slice.requests).sum();
        if requests == 0 {
            return None;
        }
        let weighted = slices
            .iter()
            .map(|slice| u128::from(slice.slowness_permille) * u128::from(slice.requests));
        let slowness =
            u64::try_from(weighted.sum::<u128>() / u128::from(requests)).unwrap_or(u64::MAX);
        let length: u64 = slices.iter().map(|slice| slice.length_ms).sum();
        Some(match measure {
            Measure::ErrorRatio => {
                float(slices.iter().map(|slice| slice.failed).sum()) / float(requests)
            }
            Measure::LatencyP90 => self.latency(slowness, 90),
            Measure::LatencyP99 => self.latency(slowness, 99),
            Measure::DatabaseErrors => {
                float(slices.iter().map(|slice| slice.database_errors).sum()) / float(length.max(1))
            }
        })
    }

    /// Response times at this slowness, in milliseconds, with the share of the responses that take so long in percent:
    /// shortest first.
    fn latencies(&self, slowness_permille: u64) -> impl Iterator<Item = (u64, u64)> {
        let median = self.clients.median.ms() * slowness_permille / 1_000;
        TAIL.iter()
            .map(move |(share, factor)| (median * factor / 100, *share))
    }

    /// Time in milliseconds within which so many percent of the requests of one slowness were answered.
    fn latency(&self, slowness_permille: u64, percent: u64) -> f64 {
        let mut seen = 0;
        let mut within = self.latencies(slowness_permille).skip_while(|(_, share)| {
            seen += share;
            seen < percent
        });
        within.next().map_or(0.0, |(time, _)| float(time))
    }

    /// Times in milliseconds within which so many percent of the successful requests were answered; fewer first.
    fn quantiles<const N: usize>(
        &self,
        by_slowness: &BTreeMap<u64, u64>,
        percents: [u64; N],
    ) -> [f64; N] {
        let mut times = Vec::<(u64, u128)>::with_capacity(by_slowness.len() * TAIL.len());
        for (slowness, requests) in by_slowness {
            for (time, share) in self.latencies(*slowness) {
                times.push((time, u128::from(*requests) * u128::from(share)));
            }
        }
        times.sort_unstable();
        let whole: u128 = times.iter().map(|(_, weight)| weight).sum();
        let (mut seen, mut times) = (0, times.into_iter().peekable());
        percents.map(|percent| {
            while let Some((time, weight)) = times.peek() {
                if (seen + weight) * 100 >= whole * u128::from(percent) {
                    return float(*time);
                }
                seen += weight;
                times.next();
            }
            0.0
        })
    }

    /// Figures beyond RTO and RPO.
    pub(crate) fn figures(&self) -> BTreeMap<String, f64> {
        let watch = &self.watch;
        let requests = float(watch.requests.max(1));
        let [p90, p99] = self.quantiles(&watch.slowness, [90, 99]);
        let mut figures = BTreeMap::from([
            ("error-ratio".to_owned(), float(watch.failed) / requests),
            ("stale-ratio".to_owned(), float(watch.stale) / requests),
            ("latency-p90-ms".to_owned(), p90),
            ("latency-p99-ms".to_owned(), p99),
            (
                "recovery-downtime-ms".to_owned(),
                float(watch.down_before_ms),
            ),
            ("two-writers-ms".to_owned(), float(watch.two_writers_ms)),
        ]);
        if watch.recovered.is_some() {
            figures.insert(
                "failback-downtime-ms".to_owned(),
                float(watch.down_after_ms),
            );
        }
        figures.insert("idle-nodes".to_owned(), float(self.idle_nodes()));
        let legs = ["", "failback-"];
        for (flip, leg) in watch.flips.iter().zip(legs) {
            let reached = [
                ("dns-convergence-half", flip.half),
                ("dns-convergence-most", flip.most),
                ("edge-convergence-most", flip.edge),
            ];
            for (name, at) in reached {
                if let Some(at) = at {
                    let took = float(millis(at.since(flip.at)));
                    figures.insert(format!("{leg}{name}-ms"), took);
                }
            }
        }
        figures
    }

    /// Nodes of the sites that the name does not lead to.
    fn idle_nodes(&self) -> u64 {
        let address = self.current_address();
        let used = address.and_then(|address| self.entry(&address));
        let used = used.map(|(name, _, _)| name);
        let idle = self.sites.iter().filter(|(name, _)| Some(*name) != used);
        idle.map(|(_, site)| u64::from(site.nodes)).sum()
    }
}

/// Exact for everything that is counted here.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}
