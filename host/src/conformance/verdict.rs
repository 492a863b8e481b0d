//! What came of each check, for people and for programs.

use serde::Serialize;

use super::check::Check;
use crate::junit::{self, Judged};
use crate::name::InterfaceName;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Came {
    /// It holds.
    Passed,
    /// It does not.
    Failed,
    /// It was not tried. Says nothing about the provider.
    NotRun,
}

/// One check of one case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Verdict {
    /// The contract.
    pub contract: InterfaceName,
    /// The case of its suite.
    pub case: String,
    /// What was held against it.
    pub check: Check,
    /// How it came out.
    pub came: Came,
    /// Why it failed or was not run; empty where it passed.
    pub why: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

impl Verdict {
    /// What people call it: `dns/ensure-record/same-key`.
    #[must_use]
    pub fn name(&self) -> String {
        format!(
            "{}/{}/{}",
            self.contract.short(),
            self.case,
            self.check.name()
        )
    }
}

/// How many verdicts came out this way.
#[must_use]
pub fn count(verdicts: &[Verdict], came: Came) -> usize {
    let mut came_so = verdicts.iter().filter(|verdict| verdict.came == came);
    came_so.by_ref().count()
}

/// The verdicts as JUnit XML: one suite for each contract of the plugin.
#[must_use]
pub fn junit(plugin: &str, verdicts: &[Verdict]) -> String {
    let mut suites: Vec<junit::Suite> = Vec::new();
    for verdict in verdicts {
        let name = format!("{plugin}.{}", verdict.contract.unversioned());
        let case = junit::Case {
            name: format!("{}/{}", verdict.case, verdict.check.name()),
            judged: match verdict.came {
                Came::Passed => Judged::Passed,
                Came::Failed => Judged::Failed {
                    message: verdict.why.clone(),
                    text: verdict.why.clone(),
                },
                Came::NotRun => Judged::Skipped {
                    message: verdict.why.clone(),
                },
            },
        };
        match suites.iter_mut().find(|suite| suite.name == name) {
            Some(suite) => suite.cases.push(case),
            None => suites.push(junit::Suite {
                name,
                cases: vec![case],
            }),
        }
    }
    junit::render(&suites)
}
