//! What a provider is tested against: bindings as in a runbook, and what each suite may touch.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::door::Door;
use super::{Declared, FORMAT, keys};
use crate::name::InterfaceName;
use crate::runbook::against::{Against, Cases, Leave, PATIENCE, Vocabulary};
use crate::runbook::error::RunbookErrors;
use crate::runbook::problem::Problem;
use crate::runbook::raw::{At, Text};
use crate::runbook::raw_against::{RawAgainst, RawSuite};
use crate::runbook::shape;
use crate::runbook::source::Sources;

/// The suites there are: the vocabulary of a contract that has one, with the cases that the file itself adds.
pub(crate) type Suites<'s> = dyn Fn(&InterfaceName, &Cases) -> Vocabulary + 's;

impl Against {
    /// Reads the file. `suites` says what the suite of a contract knows.
    ///
    /// # Errors
    /// Everything that is wrong with the file, each with its place and a way out.
    pub fn load(
        path: &Path,
        suites: &dyn Fn(&InterfaceName, &Cases) -> Vocabulary,
    ) -> Result<Self, RunbookErrors> {
        let mut sources = Sources::default();
        match sources.read(path) {
            Ok(()) => Self::read(sources, suites),
            Err(error) => Err(RunbookErrors::new(vec![error], sources)),
        }
    }

    /// The same from a text at hand.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn read(
        sources: Sources,
        suites: &dyn Fn(&InterfaceName, &Cases) -> Vocabulary,
    ) -> Result<Self, RunbookErrors> {
        let read = shape::read_against(&sources).and_then(|shaped| {
            let mut door = Door::new(&sources, shaped.unknown);
            let against = door.against(&shaped.raw, suites);
            match against {
                Some(against) if door.errors.is_empty() => Ok(against),
                _ => Err(door.errors),
            }
        });
        read.map_err(|errors| RunbookErrors::new(errors, sources))
    }
}

impl Door<'_> {
    fn against(&mut self, raw: &RawAgainst, suites: &Suites<'_>) -> Option<Against> {
        let header = raw.conformance.value();
        if *header.format.value() != FORMAT {
            let found = *header.format.value();
            self.report(&header.format.span(), Problem::Format { found });
        }
        let plugin = self.name(&header.plugin);
        let declared = Declared {
            sites: keys(&raw.sites),
            plugins: BTreeSet::from([header.plugin.value().as_str()]),
            strategies: BTreeSet::new(),
        };
        let patience = match &header.patience {
            Some(patience) => self.positive(patience),
            None => Some(PATIENCE),
        };
        let sites = self.sites(&raw.sites);
        let bindings = self.bindings(&raw.bindings, &declared);
        let bound = raw
            .bindings
            .iter()
            .map(|binding| binding.value().contract.value().as_str())
            .collect();
        let mut seen: BTreeMap<&str, &Text> = BTreeMap::new();
        for suite in &raw.suites {
            let contract = &suite.value().contract;
            if let Some(first) = seen.insert(contract.value(), contract) {
                self.duplicate("suite of", contract, &first.span());
            }
        }
        let leaves = raw
            .suites
            .iter()
            .filter_map(|suite| self.leave(suite, &bound, suites))
            .collect();
        Some(Against {
            plugin: plugin?,
            folder: self.sources.folder(),
            digest: self.sources.digest(),
            patience: patience?,
            sites,
            bindings,
            suites: leaves,
        })
    }

    fn leave(
        &mut self,
        suite: &At<RawSuite>,
        bound: &BTreeSet<&str>,
        suites: &Suites<'_>,
    ) -> Option<Leave> {
        let raw = suite.value();
        let contract: InterfaceName = self.reference("bound contract", &raw.contract, bound)?;
        let cases = Cases {
            reads: raw.reads.clone(),
            effects: raw.effects.clone(),
            refusals: raw.refusals.clone(),
            waits: raw.waits.clone(),
        };
        let known = suites(&contract, &cases);
        let names = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>();
        let mut things = serde_json::Map::new();
        for (name, value) in &raw.things {
            if !known.things.contains(name.value()) {
                let problem = Problem::UnknownKey {
                    key: name.value().clone(),
                    known: names(&known.things),
                };
                self.report(&name.span(), problem);
            }
            let value = self.json("thing", &name.span(), value);
            things.extend(value.map(|value| (name.value().clone(), value)));
        }
        let case_names: BTreeSet<&str> = known.cases.iter().map(String::as_str).collect();
        for case in raw.allow.iter().chain(raw.skip.keys()) {
            self.declared("case", case, &case_names);
        }
        let skip = raw.skip.iter();
        Some(Leave {
            contract,
            things,
            allow: raw.allow.iter().map(|case| case.value().clone()).collect(),
            skip: skip
                .map(|(case, reason)| (case.value().clone(), reason.clone()))
                .collect(),
            cases,
        })
    }
}
