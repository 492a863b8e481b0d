//! Safety rules on what a run has really come to: asked right before a step does what is hard to take back, and before a
//! run may call itself recovered.
//!
//! The rules on the plan ([`super::check`]) know the order of the steps; these know what came of them. Both live runs and
//! rehearsals are held to them. They read milestones and measurements, which strategies record (`understudy:control`),
//! and the answers of people; a strategy that records none is stopped.

use super::{Violation, infrastructure};
use crate::clock::Instant;
use crate::journal::record::{Choice, Entry, GateKind, Record};
use crate::name::StepId;
use crate::plan::{Plan, Step};

/// A rule on a run.
pub struct StandingRule {
    /// Its code, with a page in `docs/codes`.
    pub code: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What to do where it is broken.
    pub way_out: &'static str,
    check: fn(&Step, &Standing<'_>) -> Option<String>,
}

/// Asked before a step begins, in the order of its code.
pub const BEFORE_STEP: [StandingRule; 4] = [
    StandingRule {
        code: "SR0012",
        name: "fenced-before-promote",
        way_out: "fence the other site, or let a person answer for it in the step that fences; then try this step again",
        check: fenced_before_promote,
    },
    StandingRule {
        code: "SR0013",
        name: "loss-weighed-before-promote",
        way_out: "measure what will be lost, and let a person accept what is beyond the objective; then try this step again",
        check: loss_weighed_before_promote,
    },
    StandingRule {
        code: "SR0014",
        name: "old-ttl-passed-before-flip",
        way_out: "wait until one old time to live has passed since it was lowered; then try this step again",
        check: old_ttl_passed_before_flip,
    },
    StandingRule {
        code: "SR0020",
        name: "infrastructure-unchanged-until-settled",
        way_out: "wait until the name has converged and the data is protected again, or skip this step; then try again",
        check: infrastructure::no_change_before_settled,
    },
];

/// Asked before a run ends recovered.
pub const BEFORE_RECOVERED: (&str, &str, &str) = (
    "SR0015",
    "protected-before-recovered",
    "set up a replica or take a backup at the site that serves now; the strategy must set the milestone `protected`",
);

/// A run as its journal has it.
pub struct Standing<'a> {
    /// The plan in force.
    pub plan: &'a Plan,
    /// What is recorded.
    pub entries: &'a [Entry],
    /// Recovery point objective in milliseconds.
    pub rpo_target_ms: u64,
    /// Now.
    pub now: Instant,
}

impl Standing<'_> {
    /// Every rule that beginning this step would break.
    #[must_use]
    pub fn before(&self, step: &Step) -> Vec<Violation> {
        let broken = BEFORE_STEP.iter().filter_map(|rule| {
            Some(Violation {
                code: rule.code.to_owned(),
                name: rule.name.to_owned(),
                step: step.id.clone(),
                message: (rule.check)(step, self)?,
                way_out: rule.way_out.to_owned(),
            })
        });
        broken.collect()
    }

    /// Users fail: an outage was detected, and no site has been seen to serve them since.
    pub(super) fn is_out(&self) -> bool {
        let mut newest = self.entries.iter().rev();
        let mark = newest.find_map(|entry| match &entry.record {
            Record::Marked { name, .. } if name == "outage-detected" || name == "served" => {
                Some(name)
            }
            _ => None,
        });
        mark.is_some_and(|name| name == "outage-detected")
    }

    /// The rule that calling the run recovered would break.
    #[must_use]
    pub fn before_recovered(&self) -> Option<Violation> {
        let flip = self
            .entries
            .iter()
            .rev()
            .find_map(|entry| match &entry.record {
                Record::Marked { name, site, step } if name == "flipped" => {
                    Some((site.clone(), step))
                }
                _ => None,
            });
        let (site, step) = flip?;
        if self.marked_at("protected", site.as_deref()).is_some() {
            return None;
        }
        let (code, name, way_out) = BEFORE_RECOVERED;
        Some(Violation {
            code: code.to_owned(),
            name: name.to_owned(),
            step: step.clone(),
            message: format!(
                "the name was flipped to {}, and nothing says that its data is protected again",
                site.as_deref().unwrap_or("another site")
            ),
            way_out: way_out.to_owned(),
        })
    }

    fn marked_at(&self, wanted: &str, at_site: Option<&str>) -> Option<Instant> {
        self.entries.iter().find_map(|entry| match &entry.record {
            Record::Marked { name, site, .. } if name == wanted && site.as_deref() == at_site => {
                Some(entry.at)
            }
            _ => None,
        })
    }

    /// A step weighs a loss that says so in the plan, or that has measured one.
    fn weighs_loss(&self, step: &StepId) -> bool {
        let mut acts = self.plan.step(step).into_iter().flat_map(|step| &step.acts);
        acts.any(|act| WEIGHING.contains(&act.verb.as_str()))
            || self.entries.iter().any(|entry| match &entry.record {
                Record::Measured { step: by, name, .. } => {
                    by == step && LOSSES.iter().any(|word| is_word(name, word))
                }
                _ => false,
            })
    }

    /// Durations in milliseconds that were measured under one of these names or, with a suffix, under one that begins so;
    /// each with its place in the journal.
    fn measured(
        &self,
        wanted: &'static [&'static str],
    ) -> impl DoubleEndedIterator<Item = (usize, u64)> {
        let all = self.entries.iter().enumerate();
        all.filter_map(move |(place, entry)| match &entry.record {
            Record::Measured { name, quantity, .. }
                if wanted.iter().any(|word| is_word(name, word)) =>
            {
                Some((place, quantity.get("duration-ms")?.as_u64()?))
            }
            _ => None,
        })
    }

    /// True where somebody said go, after this place in the journal, to a question of a step that weighs a loss.
    pub(crate) fn accepted_after(&self, place: usize) -> bool {
        let later = || self.entries.iter().skip(place);
        let questions: Vec<&String> = later()
            .filter_map(|entry| match &entry.record {
                Record::GateOpened {
                    gate, kind, step, ..
                } if *kind == GateKind::Question && self.weighs_loss(step) => Some(gate),
                _ => None,
            })
            .collect();
        later().any(|entry| match &entry.record {
            Record::GateAnswered { gate, choice, .. } => {
                *choice == Choice::Go && questions.contains(&gate)
            }
            _ => false,
        })
    }
}

/// Acts of steps that know what is lost.
const WEIGHING: [&str; 3] = ["measure-lag", "choose-recovery-point", "restore"];

/// `old-ttl` stands for `old-ttl-pz-bz` too.
fn is_word(name: &str, word: &str) -> bool {
    name.strip_prefix(word)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn sites_of<'s>(step: &'s Step, verb: &'static str) -> impl Iterator<Item = &'s str> {
    let acts = step.acts.iter().filter(move |act| act.verb == verb);
    acts.map(|act| act.site.as_str())
}

/// Every site that the same strategy fences, other than the one promoted, is known to be fenced.
fn fenced_before_promote(step: &Step, standing: &Standing<'_>) -> Option<String> {
    let promoted: Vec<&str> = sites_of(step, "promote").collect();
    if promoted.is_empty() {
        return None;
    }
    let own = |other: &&Step| other.id.strategy() == step.id.strategy();
    let mut fenced = standing
        .plan
        .steps
        .iter()
        .filter(own)
        .flat_map(|other| sites_of(other, "fence"))
        .filter(|site| !promoted.contains(site));
    let open = fenced.find(|site| standing.marked_at("fenced", Some(site)).is_none())?;
    Some(format!(
        "nothing says that `{open}` refuses writes: two sites could take them"
    ))
}

/// What a strategy measures of a loss.
const LOSSES: [&str; 3] = ["rpo", "replication-lag", "backup-age"];

/// What the promotion will lose is within the objective, or was accepted.
fn loss_weighed_before_promote(step: &Step, standing: &Standing<'_>) -> Option<String> {
    sites_of(step, "promote").next()?;
    let target = standing.rpo_target_ms;
    let Some((_, loss)) = standing.measured(&LOSSES).next_back() else {
        return Some(
            "nothing says what is lost by it: no loss, lag or age of a backup was measured"
                .to_owned(),
        );
    };
    // Who accepted a loss at least this great has accepted this one.
    let known = standing.measured(&LOSSES).find(|(_, known)| *known >= loss);
    if loss <= target || known.is_some_and(|(place, _)| standing.accepted_after(place)) {
        return None;
    }
    Some(format!(
        "{loss} ms of writes would be lost, the objective is {target} ms, and nobody has accepted it"
    ))
}

/// Where the time to live was lowered in this run, one old time to live has passed since.
/// Waiting is for the users of a site that serves. Those of a site that fails keep its answer for as long as they keep it,
/// and everybody else is served the sooner.
fn old_ttl_passed_before_flip(step: &Step, standing: &Standing<'_>) -> Option<String> {
    sites_of(step, "flip").next()?;
    if standing.is_out() {
        return None;
    }
    let lowered = standing
        .entries
        .iter()
        .rev()
        .find_map(|entry| match &entry.record {
            Record::Marked { name, .. } if name == "ttl-lowered" => Some(entry.at),
            _ => None,
        })?;
    let (_, old_ttl) = standing.measured(&["old-ttl"]).next_back()?;
    let passed = standing.now.0.saturating_sub(lowered.0);
    (passed < old_ttl).then(|| {
        format!(
            "the time to live was lowered {passed} ms ago and was {old_ttl} ms: resolvers may still keep the old answer"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Act;
    use crate::report::fixture::{Journal, header, plain_step};
    use serde_json::json;

    fn step(id: &str, verb: &str, site: &str) -> Step {
        let act = Act {
            verb: verb.to_owned(),
            site: site.to_owned(),
        };
        Step {
            acts: vec![act],
            ..plain_step(id)
        }
    }

    /// Codes of what beginning `replica/promote` or `replica/flip` at this many seconds would break.
    fn broken(journal: &Journal, id: &str, seconds: u64) -> Vec<String> {
        let plan = Plan {
            steps: vec![
                step("replica/fence", "fence", "pz"),
                step("replica/weigh-loss", "measure-lag", "bz"),
                step("replica/promote", "promote", "bz"),
                step("replica/flip", "flip", "bz"),
                step("failback/fence", "fence", "bz"),
                step("failback/destroy", "destroy", "bz"),
            ],
        };
        let entries = journal.entries();
        let standing = Standing {
            plan: &plan,
            entries: &entries,
            rpo_target_ms: 60_000,
            now: Instant(entries[0].at.0 + seconds * 1000),
        };
        let step = plan.step(&id.parse().unwrap()).unwrap();
        standing
            .before(step)
            .into_iter()
            .map(|rule| rule.code)
            .collect()
    }

    fn journal() -> Journal {
        Journal::start(header(&["replica"], Vec::new()))
    }

    #[test]
    fn a_promotion_needs_the_fence_and_a_weighed_loss() {
        let mut journal = journal();
        assert_eq!(broken(&journal, "replica/promote", 0), ["SR0012", "SR0013"]);
        journal.mark("replica/fence", "fenced", Some("pz"));
        journal.measure(
            "replica/weigh-loss",
            "rpo",
            json!({ "duration-ms": 60_000 }),
        );
        assert_eq!(broken(&journal, "replica/promote", 0), [""; 0]);
    }

    #[test]
    fn a_loss_beyond_the_objective_needs_somebody_who_accepts_it() {
        let mut journal = journal();
        journal.mark("replica/fence", "fenced", Some("pz"));
        journal.ask("q:0", "replica/declare", GateKind::Question, "Move?");
        journal.answer("q:0", true, "sam", "");
        journal.measure(
            "replica/weigh-loss",
            "rpo",
            json!({ "duration-ms": 60_001 }),
        );
        assert_eq!(broken(&journal, "replica/promote", 0), ["SR0013"]);
        journal.ask("q:2", "replica/fence", GateKind::Question, "Is it dead?");
        journal.answer("q:2", true, "kim", "");
        assert_eq!(broken(&journal, "replica/promote", 0), ["SR0013"]);
        journal.ask("q:1", "replica/weigh-loss", GateKind::Question, "Accept?");
        journal.answer("q:1", false, "sam", "");
        assert_eq!(broken(&journal, "replica/promote", 0), ["SR0013"]);
        journal.answer("q:1", true, "kim", "");
        assert_eq!(broken(&journal, "replica/promote", 0), [""; 0]);
    }

    #[test]
    fn a_step_that_finds_a_greater_loss_asks_for_that_one() {
        let mut journal = journal();
        journal.mark("replica/fence", "fenced", Some("pz"));
        journal.measure(
            "replica/weigh-loss",
            "rpo",
            json!({ "duration-ms": 60_001 }),
        );
        journal.ask("q:1", "replica/weigh-loss", GateKind::Question, "Accept?");
        journal.answer("q:1", true, "kim", "");
        journal.measure("replica/promote", "rpo", json!({ "duration-ms": 90_000 }));
        assert_eq!(broken(&journal, "replica/promote", 0), ["SR0013"]);
        journal.ask(
            "q:2",
            "replica/promote",
            GateKind::Question,
            "All the same?",
        );
        journal.answer("q:2", true, "kim", "");
        assert_eq!(broken(&journal, "replica/promote", 0), [""; 0]);
    }

    #[test]
    fn a_flip_waits_for_one_old_time_to_live() {
        let mut journal = journal();
        assert_eq!(
            broken(&journal, "replica/flip", 0),
            [""; 0],
            "it was low already"
        );
        journal.measure(
            "replica/lower-ttl",
            "old-ttl-pz-bz",
            json!({ "duration-ms": 300_000 }),
        );
        journal.mark("replica/lower-ttl", "ttl-lowered", Some("pz"));
        assert_eq!(broken(&journal, "replica/flip", 299), ["SR0014"]);
        assert_eq!(broken(&journal, "replica/flip", 300), [""; 0]);
        journal.mark("replica/declare", "outage-detected", Some("pz"));
        assert_eq!(
            broken(&journal, "replica/flip", 1),
            [""; 0],
            "nobody is served meanwhile"
        );
        journal.mark("replica/validate-public", "served", Some("bz"));
        assert_eq!(
            broken(&journal, "replica/flip", 1),
            ["SR0014"],
            "the way back leaves a site that serves"
        );
    }

    #[test]
    fn infrastructure_waits_until_the_recovery_is_settled() {
        let mut journal = journal();
        assert_eq!(
            broken(&journal, "failback/destroy", 0),
            [""; 0],
            "nothing began"
        );
        journal.mark("failback/declare", "declared", Some("pz"));
        for milestone in ["flipped", "converged", "protected"] {
            assert_eq!(broken(&journal, "failback/destroy", 0), ["SR0020"]);
            journal.mark("failback/step", milestone, Some("pz"));
        }
        assert_eq!(broken(&journal, "failback/destroy", 0), [""; 0]);
        journal.mark("replica/declare", "outage-detected", Some("pz"));
        assert_eq!(
            broken(&journal, "failback/destroy", 0),
            ["SR0020"],
            "users wait"
        );
        journal.mark("replica/validate-public", "served", Some("bz"));
        assert_eq!(
            broken(&journal, "failback/destroy", 0),
            ["SR0020"],
            "not flipped since"
        );
    }

    #[test]
    fn a_run_is_recovered_when_the_new_site_is_protected() {
        let mut journal = journal();
        let plan = Plan { steps: Vec::new() };
        let code = |journal: &Journal| {
            let entries = journal.entries();
            let standing = Standing {
                plan: &plan,
                entries: &entries,
                rpo_target_ms: 0,
                now: Instant(0),
            };
            standing.before_recovered().map(|rule| rule.code)
        };
        assert_eq!(code(&journal), None, "nothing was flipped");
        journal.mark("replica/flip", "flipped", Some("bz"));
        assert_eq!(code(&journal).as_deref(), Some("SR0015"));
        journal.mark("replica/protect", "protected", Some("pz"));
        assert_eq!(code(&journal).as_deref(), Some("SR0015"), "another site");
        journal.mark("replica/protect", "protected", Some("bz"));
        assert_eq!(code(&journal), None);
    }
}
