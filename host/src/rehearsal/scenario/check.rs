//! What the types of a scenario cannot say: names that resolve, numbers that can be, faults that can hit.

use std::ops::Range as Span;

use super::events::Action;
use super::expect::Bound;
use super::time::Length;
use super::{CONTRACTS, Scenario, ScenarioError};
use crate::name::SiteName;

/// Most TTLs that a cache overstays.
const MAX_OVERSTAY: f64 = 1_000.0;
/// Fastest that a replica that is behind processes the past.
const MAX_CATCH_UP: f64 = 10_000.0;
/// Recovery points closer together would be most of what happens.
const MIN_BACKUPS_APART: Length = Length::seconds(60);

impl Scenario {
    pub(super) fn check_names(&self, sites: &[SiteName]) -> Result<(), ScenarioError> {
        known("site", &self.world.primary, sites.iter(), None)?;
        for site in self.control_planes.values() {
            known("site", site.as_ref(), sites.iter(), Some(site.span()))?;
        }
        for start in self.sites.values() {
            for name in start.as_ref().databases.keys() {
                known("database", name, self.databases.keys(), Some(start.span()))?;
            }
        }
        for inject in &self.injects {
            match &inject.action {
                Action::FailSite(site)
                | Action::HealSite(site)
                | Action::PartitionSite(site)
                | Action::StallReplication(site)
                | Action::ResumeReplication(site)
                | Action::ExpireCertificate { site, .. } => {
                    known("site", site.as_ref(), sites.iter(), Some(site.span()))?;
                }
                Action::CorruptLatestBackup(name) => {
                    known(
                        "database",
                        name.as_ref(),
                        self.databases.keys(),
                        Some(name.span()),
                    )?;
                }
                Action::LimitIssuer { issuer, .. } => {
                    known(
                        "issuer",
                        issuer.as_ref(),
                        self.issuers.keys(),
                        Some(issuer.span()),
                    )?;
                }
                Action::FailApi(api) | Action::HealApi(api) => {
                    known("contract", api.as_ref(), CONTRACTS.iter(), Some(api.span()))?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn check_clients(&self) -> Result<(), ScenarioError> {
        let clients = self.clients.as_ref();
        let span = || Some(self.clients.span());
        known(
            "record",
            &clients.name,
            self.dns.records.iter().map(|record| &record.name),
            span(),
        )?;
        let home = self.sites.get(&self.world.primary);
        let apps = home
            .map(|site| site.as_ref().apps.keys())
            .unwrap_or_default();
        known(
            "application at the primary site",
            &clients.app,
            apps,
            span(),
        )?;
        let rates = [
            clients.requests_per_second,
            clients.writes_per_second,
            clients.capacity_per_replica,
        ];
        if !rates
            .iter()
            .chain(&clients.hourly)
            .all(|rate| rate.is_finite() && *rate >= 0.0)
        {
            return impossible("a rate is below zero", span());
        }
        if clients.writes_per_second > clients.requests_per_second {
            return impossible("more writes than requests per second", span());
        }
        if !matches!(clients.hourly.len(), 0 | 24) {
            return impossible(
                "`hourly` has one factor for each of the 24 hours, or none",
                span(),
            );
        }
        let resolvers = self.resolvers.as_ref();
        let (overstay, pin) = (resolvers.overstay, resolvers.pin);
        let all = 0.0..=1.0;
        let shares = [overstay.share, pin.share, overstay.share + pin.share];
        if shares.iter().all(|share| all.contains(share))
            && (1.0..=MAX_OVERSTAY).contains(&overstay.factor)
        {
            return Ok(());
        }
        impossible(
            "shares of resolvers are between 0 and 1 together, and `factor` is at least 1",
            Some(self.resolvers.span()),
        )
    }

    pub(super) fn check_databases(&self) -> Result<(), ScenarioError> {
        for spanned in self.databases.values() {
            let (span, database) = (Some(spanned.span()), spanned.as_ref());
            let speeds = [
                database.reseed_mib_per_second,
                database.restore_mib_per_second,
                database.size_gib,
            ];
            let moving = speeds.iter().all(|speed| speed.is_finite() && *speed > 0.0);
            if !moving || !(1.0..=MAX_CATCH_UP).contains(&database.catch_up_factor) {
                return impossible(
                    "size and throughput are above zero, and `catch-up-factor` is at least 1",
                    span,
                );
            }
            let often = database
                .backups
                .as_ref()
                .is_some_and(|backups| backups.every < MIN_BACKUPS_APART);
            if often {
                return impossible("recovery points are at least a minute apart", span);
            }
        }
        Ok(())
    }

    pub(super) fn check_expectations(&self) -> Result<(), ScenarioError> {
        for (name, bound) in &self.expect.figures {
            let Bound { at_least, at_most } = *bound.as_ref();
            let least = at_least.unwrap_or(f64::NEG_INFINITY);
            let most = at_most.unwrap_or(f64::INFINITY);
            let highest = if name.ends_with("-ratio") {
                1.0
            } else {
                f64::INFINITY
            };
            let possible = least <= most && most >= 0.0 && least <= highest;
            if !possible || at_least.is_none() && at_most.is_none() {
                return impossible(
                    "no value lies within these bounds, or there is no bound",
                    Some(bound.span()),
                );
            }
        }
        Ok(())
    }

    pub(super) fn check_faults(&self) -> Result<(), ScenarioError> {
        for fault in &self.faults {
            let span = Some(fault.call.span());
            let contract = fault
                .call
                .as_ref()
                .split_once('/')
                .map_or("", |(contract, _)| contract);
            let own = self
                .stand_ins
                .iter()
                .any(|own| own.contract.short() == contract);
            if !own {
                known("contract", contract, CONTRACTS.iter(), span.clone())?;
            }
            let problem = match (&fault.probability, fault.nth) {
                (Some(p), _) if !(0.0..=1.0).contains(p.as_ref()) => {
                    "a probability is between 0 and 1"
                }
                (Some(_), Some(_)) => "a fault has `nth` or `probability`, not both",
                (None, Some(0)) => "`nth` counts from 1",
                (None, None) => "a fault hits no call without `nth` or `probability`",
                _ if fault.attempts == 0 => "`attempts` counts from 1",
                _ => continue,
            };
            return impossible(problem, span);
        }
        if self.crashes.iter().any(|crash| crash.after_records == 0) {
            return impossible(
                "a host that dies has begun: `after-records` counts from 1",
                None,
            );
        }
        Ok(())
    }
}

fn impossible(problem: &str, span: Option<Span<usize>>) -> Result<(), ScenarioError> {
    Err(ScenarioError::Impossible {
        problem: problem.to_owned(),
        span,
    })
}

/// Whether a name is one of those known.
pub(super) fn known<N: AsRef<str>>(
    kind: &'static str,
    name: impl AsRef<str>,
    names: impl Iterator<Item = N> + Clone,
    span: Option<Span<usize>>,
) -> Result<(), ScenarioError> {
    if names.clone().any(|known| known.as_ref() == name.as_ref()) {
        return Ok(());
    }
    let names: Vec<String> = names.map(|name| name.as_ref().to_owned()).collect();
    Err(ScenarioError::UnknownName {
        kind,
        name: name.as_ref().to_owned(),
        known: names.join(", "),
        span,
    })
}
