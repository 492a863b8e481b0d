//! Control planes that are eventually consistent: a change is accepted at once, and reads show the old state for a while.
//!
//! Only reads lie. What an `ensure-*` compares with and converges to is the state as it is, and so is what clients get.

use std::collections::BTreeMap;

use super::database::Database;
use super::resolver::Zone;
use super::site::Site;
use super::{IssuerState, World};
use crate::call::{CallKind, Reply, Request};
use crate::clock::Instant;
use crate::name::SiteName;
use crate::rehearsal::scenario::time::Range;

/// Reads that look at the thing itself and not at what a control plane keeps of it.
const DIRECT: [(&str, &str); 1] = [("certificates", "observe-served")];

/// What control planes keep.
#[derive(Debug, Clone)]
struct Kept {
    sites: BTreeMap<SiteName, Site>,
    databases: BTreeMap<String, Database>,
    zone: Zone,
    issuers: BTreeMap<String, IssuerState>,
}

/// How things were before a change.
#[derive(Debug, Clone)]
struct Before {
    /// From then on reads show the change.
    visible_at: Instant,
    kept: Box<Kept>,
}

/// What is not visible yet, by contract.
#[derive(Debug, Default)]
pub(crate) struct Staleness {
    /// How long changes stay hidden, and until when that is so.
    lengths: BTreeMap<String, (Range, Instant)>,
    /// Oldest change first; a later one is never visible before an earlier one.
    hidden: BTreeMap<String, Vec<Before>>,
}

impl Staleness {
    /// These contracts lag from the beginning to the end.
    pub(crate) fn new(lengths: impl Iterator<Item = (String, Range)>) -> Self {
        let for_ever = Instant(u64::MAX);
        Self {
            lengths: lengths
                .map(|(contract, by)| (contract, (by, for_ever)))
                .collect(),
            hidden: BTreeMap::new(),
        }
    }

    /// A contract lags by so much until then.
    pub(crate) fn lag(&mut self, contract: String, by: Range, until: Instant) {
        self.lengths.insert(contract, (by, until));
    }
}

/// Contracts that show what an effect of this one, or work on such a subject, changes.
fn shown_by(changed: &str) -> &'static [&'static str] {
    match changed {
        "workload" | "kubernetes" | "app" => &["workload", "kubernetes"],
        "ingress" => &["ingress", "kubernetes"],
        "certificates" | "certificate" | "test-certificate" => &["certificates", "kubernetes"],
        "database" => &["database"],
        "dns" => &["dns"],
        _ => &[],
    }
}

impl World {
    /// Serves a call of a contract: a read as its control plane shows things.
    pub(crate) fn serve(&mut self, request: &Request, short: &str) -> Reply {
        let function = request.function.function.as_str();
        if self.stale.lengths.is_empty() {
            return self.answer_call(request, short);
        }
        if CallKind::of(function) == CallKind::Read {
            return match self.hidden_from(short) {
                Some(before) if !DIRECT.contains(&(short, function)) => {
                    self.as_it_was(before, |world| world.answer_call(request, short))
                }
                _ => self.answer_call(request, short),
            };
        }
        let shows = self.lagging(short);
        let before = (!shows.is_empty()).then(|| self.kept());
        let reply = self.answer_call(request, short);
        let first = !self.asked.waiting.contains(&self.key);
        let accepted = reply
            .as_ref()
            .is_ok_and(|value| *value == "changed" || first && value.get("in-progress").is_some());
        if let Some(before) = before.filter(|_| accepted) {
            self.hide(&shows, &before);
        }
        reply
    }

    /// Remembers how things were before work on a subject of this kind is done.
    pub(crate) fn hide_work(&mut self, kind: &'static str) {
        let shows = self.lagging(kind);
        if !shows.is_empty() {
            let before = self.kept();
            self.hide(&shows, &before);
        }
    }

    fn lagging(&self, changed: &str) -> Vec<(&'static str, Range)> {
        let shows = shown_by(changed).iter();
        shows
            .filter_map(|contract| {
                let (by, until) = self.stale.lengths.get(*contract)?;
                (*until > self.now).then_some((*contract, *by))
            })
            .collect()
    }

    fn hide(&mut self, shows: &[(&'static str, Range)], before: &Kept) {
        for (contract, length) in shows {
            let length = self.draws.within(*length, "stale", contract, self.now.0);
            let hidden = self.stale.hidden.entry((*contract).to_owned()).or_default();
            hidden.retain(|before| before.visible_at > self.now);
            let earlier = hidden.last().map_or(self.now, |before| before.visible_at);
            hidden.push(Before {
                visible_at: self.now.after(length).max(earlier),
                kept: Box::new(before.clone()),
            });
        }
    }

    /// What a contract's reads show instead of how things are.
    fn hidden_from(&self, short: &str) -> Option<Kept> {
        let hidden = self.stale.hidden.get(short)?.iter();
        let mut hidden = hidden.filter(|before| before.visible_at > self.now);
        hidden.next().map(|before| (*before.kept).clone())
    }

    fn kept(&self) -> Kept {
        Kept {
            sites: self.sites.clone(),
            databases: self.databases.clone(),
            zone: self.zone.clone(),
            issuers: self.issuers.clone(),
        }
    }

    /// Reads with the control planes' state in the place of the world's. Whether a site answers is no matter of state.
    fn as_it_was(&mut self, mut before: Kept, read: impl FnOnce(&mut Self) -> Reply) -> Reply {
        for (name, site) in &mut before.sites {
            if let Some(now) = self.sites.get(name) {
                site.condition = now.condition;
            }
        }
        self.swap(&mut before);
        let reply = read(self);
        self.swap(&mut before);
        reply
    }

    fn swap(&mut self, kept: &mut Kept) {
        std::mem::swap(&mut self.sites, &mut kept.sites);
        std::mem::swap(&mut self.databases, &mut kept.databases);
        std::mem::swap(&mut self.zone, &mut kept.zone);
        std::mem::swap(&mut self.issuers, &mut kept.issuers);
    }
}
