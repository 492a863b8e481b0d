//! A campaign as JUnit XML, for the CI systems that show it: one suite per scenario, one case per rule and per
//! required probability.

use super::summary::{BrokenRule, Summary};
use crate::junit::{self, Case, Judged, Suite};
use crate::rehearsal::trace;

/// Something that was required beside the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Which scenario.
    pub scenario: String,
    /// What, for example `rto met in 95 % of the runs`.
    pub name: String,
    /// Why it is not met; `None` where it is.
    pub failure: Option<String>,
    /// Seed of the run that shows it best.
    pub seed: u64,
}

/// The document. `reproduce` is the command that repeats the run of a seed.
#[must_use]
pub fn render(
    summaries: &[Summary],
    requirements: &[Requirement],
    reproduce: &dyn Fn(&Summary, u64) -> String,
) -> String {
    let suites: Vec<Suite> = summaries
        .iter()
        .map(|summary| suite(summary, requirements, reproduce))
        .collect();
    junit::render(&suites)
}

fn suite(
    summary: &Summary,
    requirements: &[Requirement],
    reproduce: &dyn Fn(&Summary, u64) -> String,
) -> Suite {
    let rules = trace::names().into_iter().map(|(code, name)| {
        let broken = summary.broken.iter().find(|broken| broken.code == code);
        Case {
            name: format!("{code} {name}"),
            judged: broken.map_or(Judged::Passed, |broken| failure(summary, broken, reproduce)),
        }
    });
    let required = requirements
        .iter()
        .filter(|requirement| requirement.scenario == summary.scenario)
        .map(|requirement| Case {
            name: requirement.name.clone(),
            judged: match requirement.failure.clone() {
                Some(why) => Judged::Failed {
                    message: why.clone(),
                    text: why,
                },
                None => Judged::Passed,
            },
        });
    Suite {
        name: format!("{}.{}", summary.runbook, summary.scenario),
        cases: rules.chain(required).collect(),
    }
}

fn failure(
    summary: &Summary,
    broken: &BrokenRule,
    reproduce: &dyn Fn(&Summary, u64) -> String,
) -> Judged {
    let first = broken.seeds.first().copied().unwrap_or(summary.first_seed);
    let message = format!(
        "{} of {} runs, first with seed {first}: {}",
        broken.runs, summary.runs, broken.message
    );
    let seeds: Vec<String> = broken.seeds.iter().map(u64::to_string).collect();
    let text = format!(
        "seeds {}\nreproduce: {}\n\n{}",
        seeds.join(", "),
        reproduce(summary, first),
        broken.minimal.scenario_toml
    );
    Judged::Failed { message, text }
}
