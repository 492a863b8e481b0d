//! The conformance kit: one suite of checks per contract, for any provider, before it is trusted in a disaster.
//!
//! A suite is data ([`suite`], `suites/*.toml`): calls, with arguments from the file that the provider is tested against,
//! and what must be seen afterwards. What is held against each case is the same for every contract ([`check`]): that it
//! takes effect, that it may be made again, with the same key and with another, that an answer may get lost and the host
//! may die, that patience is asked for and things are refused, and that it comes back. Every call takes the one path of a
//! live run ([`caller`] → `mediation`), with a journal; what goes wrong on purpose goes wrong where the provider's own
//! calls leave the host ([`seam`]), so it does against any server.
//!
//! Start at [`Kit::conform`]. What is not here: what a provider is bound to (`runbook::against`), and anything printed.

mod caller;
pub mod check;
mod expect;
mod scope;
pub mod seam;
pub mod suite;
#[cfg(test)]
mod tests;
mod trial;
pub mod verdict;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::journal::Journal;
use crate::journal::record::{Header, Mode, RECORD_VERSION, Stage};
use crate::mediation::routing::Route;
use crate::name::{InterfaceName, PluginDigest, PluginName, RunId};
use crate::plan::Plan;
use crate::runbook::against::{Against, Leave};
use check::Check;
use seam::Seam;
use suite::{Suite, SuiteError};
use trial::Trial;
use verdict::{Came, Verdict};

/// Pages of this module's codes.
pub const PAGES: &[(&str, &str)] = crate::explain::pages!["CK0001", "CK0002"];

/// Whoever is tested, and what the tests need.
pub struct Kit {
    /// The run that the calls are of.
    pub run: RunId,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The record of all calls.
    pub journal: Journal,
    /// Who serves, as a live run would have it, behind [`Seam::around`].
    pub routes: Vec<Route>,
    /// Where things go wrong on purpose.
    pub seam: Seam,
    /// How long one call may take, waits and repetitions included.
    pub patience: Duration,
}

impl Kit {
    /// Holds every contract served to its suite. `served` names each contract with its functions; `leaves` says what
    /// may be touched.
    ///
    /// # Errors
    /// [`SuiteError`] if a suite that comes with the host cannot be read.
    pub async fn conform(
        &self,
        served: &BTreeMap<InterfaceName, Vec<String>>,
        leaves: &[Leave],
    ) -> Result<Vec<Verdict>, SuiteError> {
        let mut verdicts = Vec::new();
        for (contract, functions) in served {
            let leave = leaves.iter().find(|leave| leave.contract == *contract);
            let leave = leave
                .cloned()
                .unwrap_or_else(|| Leave::to_touch(contract.clone(), serde_json::Map::new()));
            let suite = Suite::of(contract, &leave.cases)?;
            verdicts.extend(untried(contract, functions, &suite));
            verdicts.extend(Trial::new(self, &suite, &leave).run().await);
        }
        Ok(verdicts)
    }
}

/// Functions that no case of the suite calls: nobody knows how to.
fn untried<'a>(
    contract: &'a InterfaceName,
    functions: &'a [String],
    suite: &'a Suite,
) -> impl Iterator<Item = Verdict> + 'a {
    let untried = functions
        .iter()
        .filter(|function| !suite.calls().any(|called| called == function.as_str()));
    untried.map(|function| Verdict {
        contract: contract.clone(),
        case: function.clone(),
        check: Check::first_of(function),
        came: Came::NotRun,
        why:
            "no case calls it: give its arguments under `[[suites]]`, as docs/conformance.md tells"
                .to_owned(),
        took_ms: 0,
    })
}

/// The header of the journal of such a run.
#[must_use]
pub fn header<'d>(
    run: &RunId,
    against: &Against,
    path: &Path,
    digests: impl Iterator<Item = (&'d PluginName, &'d PluginDigest)>,
    (host_version, started_by): (&str, String),
) -> Header {
    Header {
        version: RECORD_VERSION,
        run: run.clone(),
        runbook: against.plugin.to_string(),
        runbook_digest: against.digest.clone(),
        runbook_path: path.display().to_string(),
        overlays: Vec::new(),
        strategies: Vec::new(),
        stage: Stage::Live,
        mode: Mode::Graceful,
        rto_target_ms: 0,
        rpo_target_ms: 0,
        plugins: digests
            .map(|(name, digest)| (name.clone(), digest.clone()))
            .collect(),
        policy_digest: String::new(),
        host_version: host_version.to_owned(),
        started_by,
        plan: Arc::new(Plan { steps: Vec::new() }),
        dropped: Vec::new(),
    }
}
