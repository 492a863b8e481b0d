//! Rules that no rehearsed run may break, whatever goes wrong in its world: what is known of the trace at its end.
//!
//! Start at [`broken`] and the table [`RULES`]; another rule is another line of it. A run that stops because people are
//! needed breaks none of them. The rules on plans are in [`crate::rules`].

mod effects;
mod milestones;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use super::scenario::Scenario;
use super::truth::Truth;
use super::world::Sighting;
use crate::call::CallSite;
use crate::journal::record::{Ending, Entry, Record};
use crate::name::StepId;
use crate::plan::Plan;
use crate::report::units::{duration, one_line};
use crate::run::state::StepState;

/// Pages of this module's codes.
pub const PAGES: &[(&str, &str)] = crate::explain::pages![
    "TR0001", "TR0002", "TR0003", "TR0004", "TR0005", "TR0006", "TR0007", "TR0008", "TR0009",
    "TR0010", "TR0011", "TR0012", "TR0013", "TR0014", "TR0015", "TR0016", "TR0017", "TR0018",
    "TR0019", "TR0020", "TR0021", "TR0022", "TR0023", "TR0024", "TR0025", "TR0026", "TR0027",
    "TR0028",
];

/// What there is to judge.
#[derive(Debug, Clone, Copy)]
pub struct Trace<'a> {
    /// The journal.
    pub entries: &'a [Entry],
    /// The plan it began with.
    pub plan: &'a Plan,
    /// What was to go wrong, and what may.
    pub scenario: &'a Scenario,
    /// What clients saw.
    pub truth: &'a Truth,
    /// What effects did to them and their data, in order of time.
    pub seen: &'a [Sighting],
    /// Recovery point objective in milliseconds.
    pub rpo_target_ms: u64,
    /// How the run ended.
    pub ending: Ending,
}

/// A rule that a trace breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Broken {
    /// Code of the rule, with a page in `docs/codes`.
    pub code: &'static str,
    /// Name of the rule.
    pub name: &'static str,
    /// What happened.
    pub message: String,
}

/// A rule.
pub struct Rule {
    /// Its code, with a page in `docs/codes`.
    pub code: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What happened that must not; `None` where the trace keeps the rule.
    check: fn(&Trace<'_>) -> Option<String>,
}

/// Every rule on a trace, in the order of its code.
pub const RULES: [Rule; 26] = [
    Rule {
        code: "TR0001",
        name: "two-writers",
        check: two_writers,
    },
    Rule {
        code: "TR0002",
        name: "failback-loses-nothing",
        check: failback_loses_nothing,
    },
    Rule {
        code: "TR0003",
        name: "one-intent-one-outcome",
        check: one_intent_one_outcome,
    },
    Rule {
        code: "TR0004",
        name: "every-effect-has-an-outcome",
        check: every_effect_has_an_outcome,
    },
    Rule {
        code: "TR0005",
        name: "recovered-means-protected",
        check: recovered_means_protected,
    },
    Rule {
        code: "TR0007",
        name: "recovered-means-served",
        check: recovered_means_served,
    },
    Rule {
        code: "TR0009",
        name: "replay-does-not-diverge",
        check: replay_does_not_diverge,
    },
    Rule {
        code: "TR0010",
        name: "one-writer-when-promoted",
        check: effects::one_writer_when_promoted,
    },
    Rule {
        code: "TR0011",
        name: "loss-accepted-before-promote",
        check: effects::loss_accepted_before_promote,
    },
    Rule {
        code: "TR0012",
        name: "flip-to-a-serving-site",
        check: effects::flip_to_a_serving_site,
    },
    Rule {
        code: "TR0013",
        name: "flip-to-a-valid-certificate",
        check: effects::flip_to_a_valid_certificate,
    },
    Rule {
        code: "TR0014",
        name: "flip-to-a-writer",
        check: effects::flip_to_a_writer,
    },
    Rule {
        code: "TR0015",
        name: "flip-by-the-active-record",
        check: effects::flip_by_the_active_record,
    },
    Rule {
        code: "TR0016",
        name: "compare-and-set",
        check: effects::compare_and_set,
    },
    Rule {
        code: "TR0017",
        name: "old-ttl-forgotten-at-flip",
        check: effects::old_ttl_forgotten_at_flip,
    },
    Rule {
        code: "TR0018",
        name: "open-on-a-writer",
        check: effects::open_on_a_writer,
    },
    Rule {
        code: "TR0019",
        name: "independent-of-the-dead",
        check: effects::independent_of_the_dead,
    },
    Rule {
        code: "TR0020",
        name: "no-infrastructure-change",
        check: effects::no_infrastructure_change,
    },
    Rule {
        code: "TR0021",
        name: "recovered-means-copied",
        check: effects::recovered_means_copied,
    },
    Rule {
        code: "TR0022",
        name: "outage-is-dated",
        check: effects::outage_is_dated,
    },
    Rule {
        code: "TR0023",
        name: "convergence-is-seen",
        check: effects::convergence_is_seen,
    },
    Rule {
        code: "TR0024",
        name: "milestones-are-earned",
        check: milestones::milestones_are_earned,
    },
    Rule {
        code: "TR0025",
        name: "nothing-discarded-unkept",
        check: effects::nothing_discarded_unkept,
    },
    Rule {
        code: "TR0026",
        name: "media-reached-after-flip",
        check: effects::media_reached_after_flip,
    },
    Rule {
        code: "TR0027",
        name: "recovered-means-ttl-restored",
        check: effects::recovered_means_ttl_restored,
    },
    Rule {
        code: "TR0028",
        name: "requests-end-before-the-fence",
        check: effects::requests_end_before_the_fence,
    },
];

/// Code and name of the rule that a campaign adds: what a scenario expects holds, where nothing was drawn beyond it.
pub const EXPECTATION: (&str, &str) = ("TR0006", "expectations-hold");

/// Code and name of the rule that a campaign adds: a rehearsal has an outcome.
pub const OUTCOME: (&str, &str) = ("TR0008", "a-rehearsal-has-an-outcome");

/// Code and name of every rule, in order.
#[must_use]
pub fn names() -> Vec<(&'static str, &'static str)> {
    let own = RULES.iter().map(|rule| (rule.code, rule.name));
    let mut names: Vec<_> = own.chain([EXPECTATION, OUTCOME]).collect();
    names.sort_unstable();
    names
}

/// Every rule that a trace breaks, in the order of the rules' codes.
#[must_use]
pub fn broken(trace: &Trace<'_>) -> Vec<Broken> {
    let judged = RULES.iter().filter_map(|rule| {
        Some(Broken {
            code: rule.code,
            name: rule.name,
            message: (rule.check)(trace)?,
        })
    });
    judged.collect()
}

impl Trace<'_> {
    /// A figure of the world, where it is over what the scenario allows: nothing, unless `[expect]` says how much.
    fn over(&self, figure: &str) -> Option<f64> {
        let bound = self.scenario.expect.figures.get(figure);
        let allowed = bound.and_then(|bound| bound.as_ref().at_most);
        let value = *self.truth.figures.get(figure)?;
        (value > allowed.unwrap_or(0.0)).then_some(value)
    }

    /// The plan in force at the end.
    fn last_plan(&self) -> &Plan {
        let switched = self.entries.iter().rev();
        let mut plans = switched.filter_map(|entry| match &entry.record {
            Record::StrategySwitched { plan, .. } => Some(&**plan),
            _ => None,
        });
        plans.next().unwrap_or(self.plan)
    }

    /// Where each step stands at the end.
    fn states(&self) -> BTreeMap<&StepId, StepState> {
        let changes = self.entries.iter().filter_map(|entry| match &entry.record {
            Record::StepChanged { step, to, .. } => Some((step, *to)),
            _ => None,
        });
        changes.collect()
    }
}

fn two_writers(trace: &Trace<'_>) -> Option<String> {
    let ms = trace.over("two-writers-ms")?;
    Some(format!(
        "two copies of one database took clients' writes at the same time for {}",
        duration(whole(ms))
    ))
}

fn failback_loses_nothing(trace: &Trace<'_>) -> Option<String> {
    let writes = trace.over("failback-lost-writes")?;
    Some(format!(
        "{} acknowledged writes were lost on the way back",
        whole(writes)
    ))
}

fn one_intent_one_outcome(trace: &Trace<'_>) -> Option<String> {
    // A call is the intent and the outcome, and seldom more.
    let calls = trace.entries.len() / 2;
    let mut keys = HashSet::with_capacity(calls);
    let mut has_outcome = HashMap::with_capacity(calls);
    trace.entries.iter().find_map(|entry| match &entry.record {
        Record::Intent { site, key, .. } => {
            let is_new = keys.insert(key) && has_outcome.insert(site, false).is_none();
            (!is_new).then(|| format!("{} was issued twice under one key", place(site)))
        }
        Record::Outcome { site, .. } => match has_outcome.get_mut(site) {
            None => Some(format!("{} has an outcome and no intent", place(site))),
            Some(true) => Some(format!("{} has two outcomes", place(site))),
            Some(known) => {
                *known = true;
                None
            }
        },
        _ => None,
    })
}

fn every_effect_has_an_outcome(trace: &Trace<'_>) -> Option<String> {
    if trace.ending != Ending::Recovered {
        return None;
    }
    let mut open: Vec<&CallSite> = Vec::new();
    for entry in trace.entries {
        match &entry.record {
            Record::Intent { site, kind, .. } if kind.is_effect() => open.push(site),
            Record::Outcome { site, .. } => open.retain(|other| *other != site),
            _ => {}
        }
    }
    let states = trace.states();
    let given_up = |site: &&CallSite| states.get(&site.step) == Some(&StepState::Superseded);
    let lost = open.into_iter().find(|site| !given_up(site))?;
    Some(format!(
        "{} was sent, nobody knows what came of it, and the run says recovered",
        place(lost)
    ))
}

fn recovered_means_protected(trace: &Trace<'_>) -> Option<String> {
    if trace.ending != Ending::Recovered {
        return None;
    }
    let takes_over = |step: &StepId| {
        let step = trace.last_plan().step(step);
        let acts = step.map(|step| step.acts.as_slice()).unwrap_or_default();
        acts.iter()
            .any(|act| matches!(act.verb.as_str(), "promote" | "restore"))
    };
    let mut newest = trace.entries.iter().rev();
    let takeover = newest.find_map(|entry| match &entry.record {
        Record::StepChanged { step, to, .. } if *to == StepState::Done && takes_over(step) => {
            Some((entry.seq, step))
        }
        _ => None,
    });
    let (seq, step) = takeover?;
    let protected = trace.entries.iter().any(|entry| {
        entry.seq > seq
            && matches!(&entry.record, Record::Marked { name, .. } if name == "protected")
    });
    (!protected).then(|| {
        format!("after `{step}` no replica and no backup was made, and the run says recovered")
    })
}

fn recovered_means_served(trace: &Trace<'_>) -> Option<String> {
    if trace.ending != Ending::Recovered || trace.truth.rto.is_some() {
        return None;
    }
    let primary = trace.scenario.world.primary.as_str();
    let away = |act: &crate::plan::Act| act.verb == "flip" && act.site != primary;
    let plan = trace.last_plan();
    let flip = plan.steps.iter().find(|step| step.acts.iter().any(away))?;
    Some(format!(
        "the run says recovered, and most clients were never served after `{}`",
        flip.id
    ))
}

fn replay_does_not_diverge(trace: &Trace<'_>) -> Option<String> {
    trace.entries.iter().find_map(|entry| match &entry.record {
        Record::StepChanged { to, detail, .. }
            if *to == StepState::Stuck && detail.contains("RN0001") =>
        {
            Some(one_line(detail))
        }
        _ => None,
    })
}

/// A call by its place, for people.
fn place(site: &CallSite) -> String {
    format!(
        "call {} of attempt {} at `{}`",
        site.ordinal, site.attempt, site.step
    )
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count or a time of the world: whole, not negative, far below 2^53"
)]
fn whole(value: f64) -> u64 {
    value.max(0.0) as u64
}
