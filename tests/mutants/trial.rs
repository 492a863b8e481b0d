//! Every shipped scenario with a few seeds, by the host that rehearses for users; and what it says of them.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use understudy::clock::{Instant, VirtualClock};
use understudy::journal::record::Record;
use understudy::plugin::Engines;
use understudy::prepare::{Order, prepare};
use understudy::rehearsal::campaign::Campaign;
use understudy::rehearsal::campaign::trouble::Troubles;
use understudy::rehearsal::driver::{Rehearsal, Rehearsed, run_id};
use understudy::rehearsal::scenario::Scenario;
use understudy::rehearsal::trace::{EXPECTATION, OUTCOME};
use understudy::run::state::StepState;
use understudy::runbook::types::Runbook;

use crate::mutant::Mutant;
use crate::root;

/// What was said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Codes of rules that were broken, or that stopped a run.
    pub(crate) codes: BTreeSet<String>,
    /// The first that was said with each, by code.
    pub(crate) said: BTreeMap<String, String>,
}

impl Verdict {
    fn add(&mut self, code: &str, scenario: &str, message: &str) {
        self.codes.insert(code.to_owned());
        let said = || format!("{scenario}: {}", message.lines().next().unwrap_or_default());
        self.said.entry(code.to_owned()).or_insert_with(said);
    }

    /// For people.
    pub(crate) fn in_one_line(&self) -> String {
        let said = self
            .said
            .iter()
            .map(|(code, said)| format!("{code} ({said})"));
        let said: Vec<String> = said.collect();
        if said.is_empty() {
            "nothing was said".to_owned()
        } else {
            said.join(", ")
        }
    }
}

/// The shipped runbook and its scenarios.
pub(crate) struct Trials {
    folder: PathBuf,
    runbook: String,
    scenarios: Vec<String>,
    seeds: u64,
}

impl Trials {
    /// Runbooks with other plugins are written below `folder`.
    pub(crate) fn new(folder: &Path, seeds: u64) -> Self {
        let shipped = root().join("runbooks/wordpress");
        let scenarios = std::fs::read_dir(shipped.join("scenarios")).unwrap();
        let mut paths: Vec<_> = scenarios.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
        Self {
            folder: folder.join("runbooks"),
            runbook: read(shipped.join("runbook.toml")),
            scenarios: paths.into_iter().map(read).collect(),
            seeds,
        }
    }

    /// What the host says of the strategies in `plugins`, which are a mutant's or the shipped ones: in every scenario, or
    /// until what must catch the mutant has.
    pub(crate) fn judge(
        &self,
        engines: &Engines,
        plugins: &Path,
        mutant: Option<&Mutant>,
        all: bool,
    ) -> Verdict {
        let folder = self.folder.join(plugins.file_name().unwrap());
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("runbook.toml");
        let changed = mutant.map(|mutant| mutant.runbook(&self.runbook));
        let text = changed
            .as_ref()
            .unwrap_or(&self.runbook)
            .replace("../../target/plugins", &plugins.display().to_string());
        std::fs::write(&path, text).unwrap();
        let mut verdict = Verdict::default();
        for text in &self.scenarios {
            self.rehearse(engines, &path, text, &mut verdict);
            if !all && mutant.is_some_and(|mutant| mutant.is_caught(&verdict)) {
                break;
            }
        }
        verdict
    }

    fn rehearse(&self, engines: &Engines, runbook: &Path, text: &str, verdict: &mut Verdict) {
        let scenario = Scenario::parse(text).unwrap();
        let name = scenario.name.clone();
        let shipped = root().join("runbooks/wordpress");
        let overlays = scenario.overlays.iter().map(|path| shipped.join(path));
        let overlays: Vec<PathBuf> = overlays.collect();
        let overlays: Vec<&Path> = overlays.iter().map(PathBuf::as_path).collect();
        let runbook = Arc::new(Runbook::load(runbook, &overlays).unwrap());
        let campaign = match campaign(engines, &runbook, scenario, text) {
            Ok(campaign) => campaign,
            Err(error) => return verdict.add(OUTCOME.0, &name, &error),
        };
        let violations = &campaign.rehearsal.prepared.violations;
        for violation in violations {
            verdict.add(&violation.code, &name, &violation.message);
        }
        if !violations.is_empty() {
            // Such a plan is never run.
            return;
        }
        for seed in 1..=self.seeds {
            match campaign.rehearse(seed, &[]) {
                Ok(rehearsed) => note(&rehearsed, &name, verdict),
                Err(error) => verdict.add(OUTCOME.0, &name, &error.to_string()),
            }
        }
    }
}

fn note(rehearsed: &Rehearsed, scenario: &str, verdict: &mut Verdict) {
    for missed in &rehearsed.missed {
        verdict.add(EXPECTATION.0, scenario, &missed.to_string());
    }
    for broken in &rehearsed.broken {
        verdict.add(broken.code, scenario, &broken.message);
    }
    for entry in &rehearsed.entries {
        // What rules on runs hold back says so.
        let said = match &entry.record {
            Record::StepChanged { to, detail, .. } if *to == StepState::Failed => detail,
            Record::RunEnded { detail, .. } => detail,
            _ => continue,
        };
        if let Some((rule, message)) = said.split_once(": ")
            && let Some((code, _)) = rule.split_once(' ').filter(|_| rule.starts_with("SR"))
        {
            verdict.add(code, scenario, message);
        }
    }
}

fn campaign(
    engines: &Engines,
    runbook: &Arc<Runbook>,
    scenario: Scenario,
    text: &str,
) -> Result<Campaign, String> {
    let procedure = runbook.procedures[scenario.procedure.as_ref().unwrap()].clone();
    let order = Order {
        run: run_id(&runbook.name, &procedure, &scenario.name, 1).unwrap(),
        procedure,
        mode: scenario.mode.unwrap(),
        started_by: "tester".to_owned(),
    };
    let preparing = prepare(engines, Arc::clone(runbook), order);
    let prepared = VirtualClock::starting_at(Instant(0)).block_on(preparing);
    let prepared = prepared.unwrap().map_err(|error| error.to_string())?;
    Ok(Campaign {
        rehearsal: Rehearsal {
            prepared,
            scenario_name: scenario.name.clone(),
            scenario: Arc::new(scenario),
            seed: 1,
            runbook_path: "runbook.toml".to_owned(),
            overlays: Vec::new(),
            host_version: "test".to_owned(),
        },
        scenario_text: text.to_owned(),
        seeds: 1..2,
        threads: NonZeroUsize::MIN,
        troubles: Troubles::None,
    })
}
