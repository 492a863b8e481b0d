//! From what is written to what is meant: every name, duration, address and reference is checked here, once.
//!
//! Start at [`Runbook::load`]. All problems are collected; a runbook comes out only where there is none.

mod against;
mod binding;
mod door;
mod issuer;
mod kubernetes;
mod name_server;
mod origin;
mod probe;
mod program;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};

use self::door::Door;
use super::error::{RunbookError, RunbookErrors};
use super::problem::Problem;
use super::raw::{At, RawGrant, RawRunbook, RawSite, RawStrategy, Text};
use super::shape;
use super::source::{MAX_OVERLAYS, Sources};
use super::types::{Grant, Plugin, Probe, Runbook, Site, Strategy, Targets};
use crate::name::{PluginName, SiteName, StrategyName};

/// The format this host knows.
pub const FORMAT: i64 = 1;

impl Runbook {
    /// Reads a runbook from its file.
    ///
    /// Overlays are put on top in order: tables are merged key by key, `bindings` with the same contract and sites and
    /// `steps` with the same step are merged into each other, and any other value or list takes the place of the one
    /// below it. A path in an overlay starts at the overlay's own folder.
    ///
    /// # Errors
    /// Everything that is wrong with the files, each with its place and a way out.
    pub fn load(path: &Path, overlays: &[&Path]) -> Result<Self, RunbookErrors> {
        let mut sources = Sources::default();
        let mut errors = Vec::new();
        if overlays.len() > MAX_OVERLAYS {
            let problem = Problem::TooManyOverlays {
                count: overlays.len(),
            };
            return Err(RunbookErrors::new(
                vec![RunbookError::new(problem, None)],
                sources,
            ));
        }
        for file in std::iter::once(path).chain(overlays.iter().copied()) {
            errors.extend(sources.read(file).err());
        }
        if errors.is_empty() {
            Self::read(sources)
        } else {
            Err(RunbookErrors::new(errors, sources))
        }
    }

    /// Reads a runbook from texts at hand, the runbook's own first. Nothing is read from a disk.
    ///
    /// # Errors
    /// Everything that is wrong with the texts, each with its place and a way out.
    pub fn read(sources: Sources) -> Result<Self, RunbookErrors> {
        let read = shape::read(&sources).and_then(|shaped| {
            let mut door = Door::new(&sources, shaped.unknown);
            let runbook = door.runbook(&shaped.raw);
            match runbook {
                Some(runbook) if door.errors.is_empty() => Ok(runbook),
                _ => Err(door.errors),
            }
        });
        read.map_err(|errors| RunbookErrors::new(errors, sources))
    }
}

/// Everything that can be referred to.
struct Declared<'r> {
    sites: BTreeSet<&'r str>,
    plugins: BTreeSet<&'r str>,
    strategies: BTreeSet<&'r str>,
}

fn keys<T>(table: &BTreeMap<Text, T>) -> BTreeSet<&str> {
    table.keys().map(|key| key.value().as_str()).collect()
}

impl Door<'_> {
    fn runbook(&mut self, raw: &RawRunbook) -> Option<Runbook> {
        let declared = Declared {
            sites: keys(&raw.sites),
            plugins: keys(&raw.plugins),
            strategies: keys(&raw.strategies),
        };
        let header = raw.runbook.value();
        let name = self.kebab("runbook name", &header.name);
        if *header.format.value() != FORMAT {
            self.report(
                &header.format.span(),
                Problem::Format {
                    found: *header.format.value(),
                },
            );
        }
        let targets = self.targets(&raw.targets.value().rto, &raw.targets.value().rpo);
        let sites = self.sites(&raw.sites);
        let plugins = self.plugins(raw);
        let strategies = self.strategies(raw, &declared);
        let bindings = self.bindings(&raw.bindings, &declared);
        let grants = raw
            .grants
            .iter()
            .filter_map(|grant| self.grant(grant, &declared))
            .collect();
        let steps = self.steps(&raw.steps, &declared);
        let procedures = self.procedures(raw, &declared);
        let probe = raw
            .probe
            .as_ref()
            .map(|probe| self.probe(probe.value(), &declared));
        Some(Runbook {
            name: name?,
            summary: header.summary.clone(),
            folder: self.sources.folder(),
            digest: self.sources.digest(),
            targets: targets?,
            sites,
            plugins,
            strategies,
            bindings,
            grants,
            steps,
            procedures,
            probe: match probe {
                Some(read) => read?,
                None => Probe::default(),
            },
        })
    }

    fn targets(&mut self, rto: &Text, rpo: &Text) -> Option<Targets> {
        let (rto, rpo) = (self.positive(rto), self.duration(rpo));
        Some(Targets {
            rto: rto?,
            rpo: rpo?,
        })
    }

    fn sites(&mut self, raw: &BTreeMap<Text, At<RawSite>>) -> BTreeMap<SiteName, Site> {
        raw.iter()
            .filter_map(|(name, site)| {
                Some((
                    self.name(name)?,
                    Site {
                        title: site.value().title.clone(),
                    },
                ))
            })
            .collect()
    }

    fn plugins(&mut self, raw: &RawRunbook) -> BTreeMap<PluginName, Plugin> {
        raw.plugins
            .iter()
            .filter_map(|(name, plugin)| {
                let path = self.path("path of a component", &plugin.value().path);
                Some((
                    self.name(name)?,
                    Plugin {
                        path: path?,
                        digest: None,
                    },
                ))
            })
            .collect()
    }

    fn strategies(
        &mut self,
        raw: &RawRunbook,
        declared: &Declared<'_>,
    ) -> BTreeMap<StrategyName, Strategy> {
        raw.strategies
            .iter()
            .filter_map(|(name, strategy)| {
                let read = self.strategy(name, strategy, declared);
                Some((self.name(name)?, read?))
            })
            .collect()
    }

    fn strategy(
        &mut self,
        name: &Text,
        strategy: &At<RawStrategy>,
        declared: &Declared<'_>,
    ) -> Option<Strategy> {
        let raw = strategy.value();
        let plugin = self.reference("plugin", &raw.plugin, &declared.plugins);
        let parameters = self.object("parameters", &strategy.span(), &raw.parameters);
        for own in raw
            .alternatives
            .iter()
            .filter(|own| own.value() == name.value())
        {
            let problem = Problem::Contradiction {
                message: format!("strategy `{}` is its own alternative", name.value()),
                help: "name another strategy".to_owned(),
            };
            self.report(&own.span(), problem);
        }
        let alternatives = raw
            .alternatives
            .iter()
            .filter_map(|other| self.reference("strategy", other, &declared.strategies))
            .collect();
        Some(Strategy {
            plugin: plugin?,
            parameters: parameters?,
            alternatives,
        })
    }

    fn grant(&mut self, grant: &At<RawGrant>, declared: &Declared<'_>) -> Option<Grant> {
        let raw = grant.value();
        let strategy = self.reference("strategy", &raw.strategy, &declared.strategies);
        if !is_allowance(raw.allow.value()) {
            self.invalid(
                "grant",
                &raw.allow,
                "use `contract/function` or `contract/*`, such as `dns/ensure-record`; the contract is an \
                 interface's short name or its full name without version",
            );
        }
        let mut only = BTreeMap::new();
        for (argument, values) in &raw.only {
            let values: Option<Vec<Value>> = values
                .iter()
                .map(|value| self.json("value", &grant.span(), value))
                .collect();
            only.insert(argument.clone(), values?);
        }
        Some(Grant {
            strategy: strategy?,
            allow: raw.allow.value().clone(),
            only,
        })
    }

    fn procedures(
        &mut self,
        raw: &RawRunbook,
        declared: &Declared<'_>,
    ) -> BTreeMap<String, Vec<StrategyName>> {
        let mut procedures = BTreeMap::new();
        for (name, sequence) in &raw.procedures {
            let key = self.kebab("procedure name", name);
            if sequence.value().is_empty() {
                self.report(
                    &sequence.span(),
                    Problem::Contradiction {
                        message: format!("procedure `{}` is empty", name.value()),
                        help: "name at least one strategy".to_owned(),
                    },
                );
            }
            let mut seen: BTreeMap<&str, &Text> = BTreeMap::new();
            for strategy in sequence.value() {
                if let Some(first) = seen.insert(strategy.value(), strategy) {
                    self.duplicate("strategy of a procedure", strategy, &first.span());
                }
            }
            let strategies: Vec<StrategyName> = sequence
                .value()
                .iter()
                .filter_map(|strategy| self.reference("strategy", strategy, &declared.strategies))
                .collect();
            procedures.extend(key.map(|key| (key, strategies)));
        }
        procedures
    }

    fn positive(&mut self, text: &Text) -> Option<Duration> {
        let duration = self.duration(text)?;
        if duration.is_zero() {
            self.invalid(
                "duration here",
                text,
                "use more than nothing, such as `30m`",
            );
            return None;
        }
        Some(duration)
    }

    fn object(
        &mut self,
        what: &'static str,
        span: &std::ops::Range<usize>,
        table: &toml::Table,
    ) -> Option<Map<String, Value>> {
        table
            .iter()
            .map(|(key, value)| Some((key.clone(), self.json(what, span, value)?)))
            .collect()
    }
}

/// Whether `text` is `contract/function` or `contract/*`.
fn is_allowance(text: &str) -> bool {
    let Some((contract, function)) = text.rsplit_once('/') else {
        return false;
    };
    let contract_ok = match contract.split_once(':') {
        None => crate::name::is_kebab(contract),
        Some(_) => {
            !contract.contains('@') && contract.parse::<crate::name::InterfaceName>().is_ok()
        }
    };
    contract_ok && (function == "*" || crate::name::is_kebab(function))
}
