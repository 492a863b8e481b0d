//! What a provider is tested against: its bindings as in a runbook, and for each contract the things that the suite may
//! touch. Also the shape of a suite's cases, which an organisation writes for its own contracts.
//!
//! Start at [`Against::load`]. What is not here: what a case is for and how it is judged (`conformance`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::types::{Binding, Plugin, Probe, Runbook, Site, Targets};
use crate::name::{InterfaceName, PluginName, SiteName};

/// How long one call may take where the file does not say.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A provider under test.
#[derive(Debug, Clone)]
pub struct Against {
    /// What the bindings call it.
    pub plugin: PluginName,
    /// Where relative paths start: the folder of the file.
    pub folder: PathBuf,
    /// SHA-256 of the file's bytes, lower-case hexadecimal.
    pub digest: String,
    /// How long one call may take, waits and repetitions included.
    pub patience: Duration,
    /// Sites by name.
    pub sites: BTreeMap<SiteName, Site>,
    /// The provider's bindings.
    pub bindings: Vec<Binding>,
    /// What the suites may do.
    pub suites: Vec<Leave>,
}

/// What the suite of one contract may do.
#[derive(Debug, Clone)]
pub struct Leave {
    /// The contract.
    pub contract: InterfaceName,
    /// Things it may touch, by name.
    pub things: Map<String, Value>,
    /// Destructive cases that may be run.
    pub allow: BTreeSet<String>,
    /// Cases that must not be run, with the reason.
    pub skip: BTreeMap<String, String>,
    /// Cases besides those of the contract's own suite.
    pub cases: Cases,
}

impl Leave {
    /// Leave to touch these things of a contract and nothing more.
    #[must_use]
    pub fn to_touch(contract: InterfaceName, things: Map<String, Value>) -> Self {
        Self {
            contract,
            things,
            allow: BTreeSet::new(),
            skip: BTreeMap::new(),
            cases: Cases::default(),
        }
    }
}

/// The cases of a suite. In arguments and expectations `$name` stands for the thing of that name, as does `${name}` inside
/// a text. Two are always there: `$token`, another one for each check, and `$now`, milliseconds since the epoch.
#[derive(Debug, Clone, Default)]
pub struct Cases {
    /// Calls that read.
    pub reads: Vec<Read>,
    /// Calls that change something.
    pub effects: Vec<Effect>,
    /// Calls that must be refused.
    pub refusals: Vec<Refusal>,
    /// Calls that cannot be done yet.
    pub waits: Vec<Wait>,
}

/// A function and its arguments. An argument that is left out is none.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Call {
    /// The function.
    pub call: String,
    /// Arguments by parameter name.
    #[serde(default)]
    pub args: Map<String, Value>,
    /// What the answer must hold: keys of records with their values; `$any` is anything but nothing.
    #[serde(default)]
    pub is: Map<String, Value>,
    /// Parts of the answer that later calls of the case need: name of the thing by path (`replication/received`).
    #[serde(default)]
    pub keep: BTreeMap<String, String>,
}

/// A call that reads.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Read {
    /// Name of the case; the function's where left out.
    pub id: Option<String>,
    /// The function.
    pub call: String,
    /// Arguments by parameter name.
    #[serde(default)]
    pub args: Map<String, Value>,
    /// What there must be before.
    #[serde(default)]
    pub before: Vec<Call>,
    /// What the answer must hold, as in [`Call::is`].
    #[serde(default)]
    pub is: Map<String, Value>,
    /// Why it changes something although it reads; empty where it does not.
    #[serde(default)]
    pub writes: String,
}

/// A call that changes something.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Effect {
    /// Name of the case; the function's where left out.
    pub id: Option<String>,
    /// The function.
    pub call: String,
    /// Arguments by parameter name.
    #[serde(default)]
    pub args: Map<String, Value>,
    /// Calls after which this one has something to do. None: it does something once for each token.
    #[serde(default)]
    pub before: Vec<Call>,
    /// What must be seen afterwards.
    #[serde(default)]
    pub shows: Vec<Call>,
    /// Why it is only run where the file allows it; empty where it always is.
    #[serde(default)]
    pub destructive: String,
    /// Why it changes something although there is nothing to do; empty where it does not.
    #[serde(default)]
    pub writes: String,
    /// Why it is done once more when it is asked for again, so that it may answer `changed`; empty where it is not.
    #[serde(default)]
    pub repeats: String,
    /// It waits for something that may have come by itself: `unchanged` is as good as `changed`.
    #[serde(default)]
    pub waits: bool,
}

/// A call that must be refused.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Refusal {
    /// Name of the case.
    pub id: String,
    /// The function.
    pub call: String,
    /// Arguments by parameter name.
    #[serde(default)]
    pub args: Map<String, Value>,
    /// What there must be before.
    #[serde(default)]
    pub before: Vec<Call>,
    /// Cases of `error` that say so.
    pub errors: Vec<String>,
    /// What must be seen afterwards: that nothing was done.
    #[serde(default)]
    pub shows: Vec<Call>,
    /// As in [`Effect::destructive`].
    #[serde(default)]
    pub destructive: String,
}

/// A call that cannot be done yet: it says so and comes back.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Wait {
    /// Name of the case.
    pub id: String,
    /// The function.
    pub call: String,
    /// Arguments by parameter name.
    #[serde(default)]
    pub args: Map<String, Value>,
    /// What there must be before.
    #[serde(default)]
    pub before: Vec<Call>,
    /// As in [`Effect::destructive`].
    #[serde(default)]
    pub destructive: String,
}

impl Read {
    /// Name of the case.
    #[must_use]
    pub fn id(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.call)
    }
}

impl Effect {
    /// Name of the case.
    #[must_use]
    pub fn id(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.call)
    }
}

impl Cases {
    /// Names of all cases.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        let effects = self.effects.iter().map(Effect::id);
        let refusals = self.refusals.iter().map(|case| case.id.as_str());
        let waits = self.waits.iter().map(|case| case.id.as_str());
        self.reads
            .iter()
            .map(Read::id)
            .chain(effects)
            .chain(refusals)
            .chain(waits)
    }
}

/// What a suite knows, so that a file that speaks of anything else is refused at its place.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    /// Names of the things.
    pub things: BTreeSet<String>,
    /// Names of the cases.
    pub cases: BTreeSet<String>,
}

impl Against {
    /// The bindings as a runbook without a plan, with the provider at this path: what a live run would bind.
    #[must_use]
    pub fn runbook(&self, component: &Path) -> Runbook {
        let plugin = Plugin {
            path: component.to_owned(),
            digest: None,
        };
        Runbook {
            name: self.plugin.to_string(),
            summary: String::new(),
            folder: self.folder.clone(),
            digest: self.digest.clone(),
            targets: Targets {
                rto: Duration::ZERO,
                rpo: Duration::ZERO,
            },
            sites: self.sites.clone(),
            plugins: [(self.plugin.clone(), plugin)].into(),
            strategies: BTreeMap::new(),
            bindings: self.bindings.clone(),
            grants: Vec::new(),
            steps: Vec::new(),
            procedures: BTreeMap::new(),
            probe: Probe::default(),
        }
    }
}
