//! What the types of a scenario cannot say: names that resolve, numbers that can be, faults that can hit.

use std::ops::Range as Span;

use super::contracts::{CONTRACTS, EVENTUAL, WAITING, functions};
use super::crash::{KINDS, KINDS_OF_CALLS, Moment};
use super::events::{Action, Inject, RecordEdit};
use super::expect::{Bound, FIGURES};
use super::script::{Cued, MILESTONES};
use super::time::{Length, Offset};
use super::{Scenario, ScenarioError, cluster::node_name};
use crate::call::CallKind;
use crate::name::SiteName;
use toml::Spanned;

/// Most TTLs that a cache overstays.
const MAX_OVERSTAY: f64 = 1_000.0;
/// Fastest that a replica that is behind processes the past.
const MAX_CATCH_UP: f64 = 10_000.0;
/// Recovery points closer together would be most of what happens.
const MIN_BACKUPS_APART: Length = Length::seconds(60);

impl Scenario {
    pub(super) fn check_names(&self, sites: &[SiteName]) -> Result<(), ScenarioError> {
        known("site", &self.world.primary, sites.iter(), None)?;
        for (contract, site) in &self.control_planes {
            let span = Some(site.span());
            known("contract", contract, CONTRACTS.iter(), span.clone())?;
            known("site", site.as_ref(), sites.iter(), span)?;
        }
        for (contract, length) in &self.eventual_consistency {
            let span = Some(length.span());
            known(
                "contract with a control plane",
                contract,
                EVENTUAL.iter(),
                span,
            )?;
        }
        for start in self.sites.values() {
            for name in start.as_ref().databases.keys() {
                known("database", name, self.databases.keys(), Some(start.span()))?;
            }
            let (namespaces, apps) = (&start.as_ref().namespaces, &start.as_ref().apps);
            for app in namespaces.values().flat_map(|namespace| &namespace.apps) {
                let span = Some(start.span());
                known("application at this site", app, apps.keys(), span)?;
            }
        }
        for stack in self.stacks.values() {
            let settings = stack.as_ref();
            let named = settings.drifted.keys().chain(settings.locked.keys());
            let named = named.chain(settings.pending.keys()).chain(&settings.absent);
            for site in settings.sites.iter().chain(named) {
                known("site", site, sites.iter(), Some(stack.span()))?;
            }
        }
        self.injects
            .iter()
            .try_for_each(|inject| self.check_inject(inject, sites))
    }

    fn check_inject(&self, inject: &Inject, sites: &[SiteName]) -> Result<(), ScenarioError> {
        let site = |site: &Spanned<SiteName>| {
            known("site", site.as_ref(), sites.iter(), Some(site.span()))
        };
        let database = |name: &Spanned<String>| {
            let span = Some(name.span());
            known("database", name.as_ref(), self.databases.keys(), span)
        };
        match &inject.action {
            Action::FailSite(name)
            | Action::HealSite(name)
            | Action::PartitionSite(name)
            | Action::StallReplication(name)
            | Action::ResumeReplication(name)
            | Action::ExpireCertificate { site: name, .. } => site(name),
            Action::CorruptLatestBackup(name) => {
                database(name)?;
                self.check_backups(name)
            }
            Action::DamageDatabase {
                database: name,
                tables,
            } => {
                database(name)?;
                self.check_damage(name.as_ref(), tables)
            }
            Action::LimitIssuer { issuer, .. } => {
                let span = Some(issuer.span());
                known("issuer", issuer.as_ref(), self.issuers.keys(), span)
            }
            Action::FailApi(api) | Action::HealApi(api) => {
                known("contract", api.as_ref(), CONTRACTS.iter(), Some(api.span()))
            }
            Action::LagApi { api, .. } => {
                let span = Some(api.span());
                known(
                    "contract with a control plane",
                    api.as_ref(),
                    EVENTUAL.iter(),
                    span,
                )
            }
            Action::ReadOnly {
                site: name,
                database: which,
                ..
            } => {
                site(name)?;
                which.as_ref().map_or(Ok(()), database)
            }
            Action::Node { site: at, name, .. } => {
                site(at)?;
                self.check_node(at.as_ref(), name)
            }
            Action::EditRecord(edit) => self.check_edit(edit),
            Action::CrashLoop {
                site: name, app, ..
            } => {
                site(name)?;
                self.check_app(name.as_ref(), app)
            }
        }
    }

    fn check_node(&self, site: &SiteName, name: &Spanned<String>) -> Result<(), ScenarioError> {
        let nodes = self.sites.get(site);
        let nodes = (1..=nodes.map_or(0, |start| start.as_ref().nodes))
            .map(|number| node_name(site, number));
        let nodes: Vec<String> = nodes.collect();
        let span = Some(name.span());
        known("node of this site", name.as_ref(), nodes.iter(), span)
    }

    fn check_app(&self, site: &SiteName, app: &Spanned<String>) -> Result<(), ScenarioError> {
        let start = self.sites.get(site);
        let apps = start.map(|start| start.as_ref().apps.keys());
        let (apps, span) = (apps.unwrap_or_default(), Some(app.span()));
        known("application at this site", app.as_ref(), apps, span)
    }

    fn check_edit(&self, edit: &RecordEdit) -> Result<(), ScenarioError> {
        let span = || Some(edit.record.span());
        let records = self.dns.records.iter();
        let records = records.filter(|record| record.kind == edit.kind);
        let names = records.map(|record| &record.name);
        known("record of this type", edit.record.as_ref(), names, span())?;
        if edit.values.is_none() && edit.ttl_seconds.is_none() {
            return impossible("an edit has `values`, `ttl-seconds` or both", span());
        }
        if edit.values.as_ref().is_some_and(Vec::is_empty) {
            return impossible("a record holds one value or more", span());
        }
        let least = self.dns.min_ttl_seconds;
        match edit.ttl_seconds {
            Some(ttl_seconds) if ttl_seconds < least => {
                let problem = format!("the zone takes no TTL below {least} s");
                impossible(&problem, span())
            }
            _ => Ok(()),
        }
    }

    fn check_backups(&self, name: &Spanned<String>) -> Result<(), ScenarioError> {
        let settings = self.databases.get(name.as_ref());
        match settings.is_some_and(|settings| settings.as_ref().backups.is_some()) {
            true => Ok(()),
            false => impossible("the database keeps no `backups`", Some(name.span())),
        }
    }

    fn check_damage(&self, database: &str, tables: &Spanned<u32>) -> Result<(), ScenarioError> {
        let settings = self.databases.get(database);
        let all = settings.map_or(0, |settings| settings.as_ref().tables);
        if (1..=all).contains(tables.as_ref()) {
            return Ok(());
        }
        let problem = format!("the database has {all} tables: damage 1 to {all} of them");
        impossible(&problem, Some(tables.span()))
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

    pub(super) fn check_edge_cache(&self, sites: &[SiteName]) -> Result<(), ScenarioError> {
        let Some(spanned) = &self.edge_cache else {
            return Ok(());
        };
        let (span, edge) = (Some(spanned.span()), spanned.as_ref());
        if let Some(holds) = &edge.holds {
            known("site", holds, sites.iter(), span.clone())?;
        }
        if (0.0..=1.0).contains(&edge.share) && edge.keeps > Length::default() {
            return Ok(());
        }
        impossible(
            "a cache answers a share of the reads between 0 and 1, and keeps an answer for a while",
            span,
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
        let earliest = self.outage_before();
        if let Some(limit) = &self.expect.rto_at_most
            && *limit.as_ref() <= earliest
        {
            let problem = if earliest == Length::default() {
                "nobody is served again in no time"
            } else {
                "the outage begins longer than that before the run does"
            };
            return impossible(problem, Some(limit.span()));
        }
        for (name, bound) in &self.expect.figures {
            known("figure", name, FIGURES.iter(), Some(bound.span()))?;
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

    /// How long before the run its primary site dies; zero where it does not before.
    fn outage_before(&self) -> Length {
        let before = self.injects.iter().filter_map(|inject| match inject {
            Inject {
                at: Offset::Before(length),
                action: Action::FailSite(site),
            } if *site.as_ref() == self.world.primary => Some(*length),
            _ => None,
        });
        before.max().unwrap_or_default()
    }

    pub(super) fn check_script(&self) -> Result<(), ScenarioError> {
        let mut above = Length::default();
        for cue in &self.script {
            let cue = cue.as_ref();
            let by = &cue.by;
            let Offset::After(due) = *by.as_ref() else {
                return impossible("it is due before the run starts", Some(by.span()));
            };
            if due == Length::default() {
                return impossible("it is due when the run starts", Some(by.span()));
            }
            if due < above {
                let problem = "it is due before what stands above it and comes first";
                return impossible(problem, Some(by.span()));
            }
            above = due;
            if let Cued::Mark { name, site } = &cue.what {
                let span = Some(name.span());
                known("milestone", name.as_ref(), MILESTONES.iter(), span)?;
                if let Some(site) = site {
                    let span = Some(site.span());
                    known("site", site.as_ref(), self.sites.keys(), span)?;
                }
            }
        }
        Ok(())
    }

    /// Whether the world, or a stand-in, has the function `contract/function`.
    fn check_call(&self, call: &Spanned<String>) -> Result<(), ScenarioError> {
        let span = || Some(call.span());
        let (contract, function) = call.as_ref().split_once('/').unwrap_or((call.as_ref(), ""));
        let own = self.stand_ins.iter();
        let own: Vec<&str> = own
            .filter(|own| own.contract.short() == contract)
            .map(|own| own.function.as_str())
            .collect();
        if !own.is_empty() {
            return known("function of this contract", function, own.iter(), span());
        }
        known("contract", contract, CONTRACTS.iter(), span())?;
        let functions = functions(contract).iter();
        known("function of this contract", function, functions, span())
    }

    pub(super) fn check_timings(&self) -> Result<(), ScenarioError> {
        for timing in &self.timings {
            self.check_call(&timing.call)?;
            if let Some(site) = &timing.site {
                known("site", site.as_ref(), self.sites.keys(), Some(site.span()))?;
            }
            let name = timing.call.as_ref();
            let function = name.split_once('/').map_or("", |(_, function)| function);
            let begins = CallKind::of(function).is_effect() && !WAITING.contains(&name.as_str());
            let problem = match timing {
                timing if timing.is_empty() => {
                    "a timing has `answer`, `work`, `look` or `given-up`"
                }
                timing if timing.work.is_some() && !begins => {
                    "this function begins no work; `look` says when to come back"
                }
                _ => continue,
            };
            return impossible(problem, Some(timing.call.span()));
        }
        Ok(())
    }

    pub(super) fn check_faults(&self) -> Result<(), ScenarioError> {
        for fault in &self.faults {
            self.check_call(&fault.call)?;
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
            return impossible(problem, Some(fault.call.span()));
        }
        Ok(())
    }

    pub(super) fn check_crashes(&self) -> Result<(), ScenarioError> {
        for spanned in &self.crashes {
            let (crash, span) = (spanned.as_ref(), Some(spanned.span()));
            if let Some(kind) = crash.moment.kind() {
                known(
                    "kind of record",
                    kind.as_ref(),
                    KINDS.iter(),
                    Some(kind.span()),
                )?;
            }
            if let Some(call) = &crash.call {
                self.check_call(call)?;
                let kind = crash.moment.kind().map(|kind| kind.as_ref().as_str());
                if !kind.is_some_and(|kind| KINDS_OF_CALLS.contains(&kind)) {
                    let kinds = KINDS_OF_CALLS.join(", ");
                    let problem = format!("only these records are about a call: {kinds}");
                    return impossible(&problem, Some(call.span()));
                }
            }
            if crash.moment == Moment::Records(0) {
                return impossible(
                    "a host that dies has begun: `after-records` counts from 1",
                    span,
                );
            }
            if crash.nth == 0 {
                return impossible("`nth` counts from 1", span);
            }
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
