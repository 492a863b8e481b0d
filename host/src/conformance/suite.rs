//! The suites: cases of each contract, with the things that whoever tests must name. Data, in `suites/*.toml`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::scope;
use crate::name::InterfaceName;
use crate::runbook::against::{Call, Cases, Effect, Read, Refusal, Vocabulary, Wait};

/// The suites that come with the host, by contract. A contract that is not here is tested by the cases that an
/// organisation writes for it.
const SHIPPED: [(&str, &str); 11] = [
    (
        "understudy:certificates/certificates",
        include_str!("suites/certificates.toml"),
    ),
    (
        "understudy:database/database",
        include_str!("suites/database.toml"),
    ),
    ("understudy:dns/dns", include_str!("suites/dns.toml")),
    (
        "understudy:edge-cache/edge-cache",
        include_str!("suites/edge-cache.toml"),
    ),
    (
        "understudy:infrastructure/infrastructure",
        include_str!("suites/infrastructure.toml"),
    ),
    (
        "understudy:ingress/ingress",
        include_str!("suites/ingress.toml"),
    ),
    (
        "understudy:kubernetes/kubernetes",
        include_str!("suites/kubernetes.toml"),
    ),
    (
        "understudy:metrics/metrics",
        include_str!("suites/metrics.toml"),
    ),
    (
        "understudy:notify/notify",
        include_str!("suites/notify.toml"),
    ),
    (
        "understudy:storage/storage",
        include_str!("suites/storage.toml"),
    ),
    (
        "understudy:workload/workload",
        include_str!("suites/workload.toml"),
    ),
];

/// A suite that comes with the host and cannot be read: a bug of this program.
#[derive(Debug, thiserror::Error)]
#[error("the suite of `{contract}` cannot be read")]
pub struct SuiteError {
    contract: String,
    #[source]
    source: toml::de::Error,
}

/// A suite as its file has it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Written {
    things: BTreeMap<String, String>,
    reads: Vec<Read>,
    effects: Vec<Effect>,
    refusals: Vec<Refusal>,
    waits: Vec<Wait>,
    cleanup: Vec<Call>,
}

/// What a contract is held to.
#[derive(Debug, Clone)]
pub struct Suite {
    /// The contract.
    pub contract: InterfaceName,
    /// What each thing is that whoever tests must name.
    pub things: BTreeMap<String, String>,
    /// The cases.
    pub cases: Cases,
    /// Calls that leave the world as it should be left, after everything.
    pub cleanup: Vec<Call>,
}

impl Suite {
    /// The suite of a contract, with the cases that the file adds; for a contract without a suite, those alone.
    ///
    /// # Errors
    /// [`SuiteError`].
    pub fn of(contract: &InterfaceName, added: &Cases) -> Result<Self, SuiteError> {
        let shipped = SHIPPED
            .iter()
            .find(|(name, _)| *name == contract.unversioned());
        let written = shipped.map_or_else(
            || Ok(Written::default()),
            |(name, text)| {
                toml::from_str::<Written>(text).map_err(|source| SuiteError {
                    contract: (*name).to_owned(),
                    source,
                })
            },
        )?;
        let mut cases = Cases {
            reads: written.reads,
            effects: written.effects,
            refusals: written.refusals,
            waits: written.waits,
        };
        let added = added.clone();
        cases.reads.extend(added.reads);
        cases.effects.extend(added.effects);
        cases.refusals.extend(added.refusals);
        cases.waits.extend(added.waits);
        Ok(Self {
            contract: contract.clone(),
            things: written.things,
            cases,
            cleanup: written.cleanup,
        })
    }

    /// Functions that a case is about.
    pub fn calls(&self) -> impl Iterator<Item = &str> {
        let reads = self.cases.reads.iter().map(|case| case.call.as_str());
        let effects = self.cases.effects.iter().map(|case| case.call.as_str());
        let refusals = self.cases.refusals.iter().map(|case| case.call.as_str());
        let waits = self.cases.waits.iter().map(|case| case.call.as_str());
        reads.chain(effects).chain(refusals).chain(waits)
    }

    /// What a file may speak of: the things that the cases do, and the cases themselves.
    #[must_use]
    pub fn vocabulary(&self) -> Vocabulary {
        let mut things = BTreeSet::new();
        self.tables()
            .for_each(|table| scope::named_in(table, &mut things));
        let kept = self.side_calls().flat_map(|call| call.keep.keys());
        for known in kept.map(String::as_str).chain([scope::TOKEN, scope::NOW]) {
            things.remove(known);
        }
        Vocabulary {
            things,
            cases: self.cases.ids().map(str::to_owned).collect(),
        }
    }

    /// Every table in which a thing may stand.
    fn tables(&self) -> impl Iterator<Item = &Map<String, Value>> {
        let cases = &self.cases;
        let own = (cases.reads.iter().flat_map(|case| [&case.args, &case.is]))
            .chain(cases.effects.iter().map(|case| &case.args))
            .chain(cases.refusals.iter().map(|case| &case.args))
            .chain(cases.waits.iter().map(|case| &case.args));
        own.chain(self.side_calls().flat_map(|call| [&call.args, &call.is]))
    }

    /// Every call besides those that the cases are about.
    fn side_calls(&self) -> impl Iterator<Item = &Call> {
        let cases = &self.cases;
        let effects = cases.effects.iter();
        let refusals = cases.refusals.iter();
        (cases.reads.iter().flat_map(|case| &case.before))
            .chain(effects.flat_map(|case| case.before.iter().chain(&case.shows)))
            .chain(refusals.flat_map(|case| case.before.iter().chain(&case.shows)))
            .chain(cases.waits.iter().flat_map(|case| &case.before))
            .chain(&self.cleanup)
    }
}

/// What a file may speak of where it tests `contract` by `cases` of its own besides the suite's. A suite that cannot be
/// read is told when it is run.
#[must_use]
pub fn vocabulary(contract: &InterfaceName, cases: &Cases) -> Vocabulary {
    Suite::of(contract, cases).map_or_else(|_| Vocabulary::default(), |suite| suite.vocabulary())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::is_kebab;

    #[test]
    fn every_suite_can_be_read_and_names_what_it_needs() {
        for (contract, _) in SHIPPED {
            let contract: InterfaceName = format!("{contract}@0.1.0").parse().unwrap();
            let suite = Suite::of(&contract, &Cases::default()).unwrap();
            let declared: BTreeSet<String> = suite.things.keys().cloned().collect();
            assert_eq!(suite.vocabulary().things, declared, "{contract}");
            let ids: Vec<&str> = suite.cases.ids().collect();
            assert!(!ids.is_empty());
            for id in &ids {
                assert!(is_kebab(id), "{contract}: {id}");
                let same = ids.iter().filter(|other| other == &id).count();
                assert_eq!(same, 1, "{contract}: two cases are called `{id}`");
            }
        }
    }

    #[test]
    fn every_function_of_a_contract_has_a_case() {
        for (contract, _) in SHIPPED {
            let (package, interface) = contract.split_once('/').unwrap();
            let package = package.strip_prefix("understudy:").unwrap();
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../wit");
            let path = format!("{folder}/{package}/{interface}.wit");
            let text = std::fs::read_to_string(&path).unwrap();
            let functions = text.lines().filter_map(|line| {
                let (name, rest) = line.trim().split_once(": func(")?;
                assert!(rest.contains("->"), "{line}");
                Some(name.to_owned())
            });
            let contract: InterfaceName = format!("{contract}@0.1.0").parse().unwrap();
            let suite = Suite::of(&contract, &Cases::default()).unwrap();
            let mut count = 0;
            for function in functions {
                count += 1;
                assert!(
                    suite.calls().any(|called| called == function),
                    "no case calls `{contract}.{function}`"
                );
            }
            assert!(count > 0, "{path} has no functions");
        }
    }
}
