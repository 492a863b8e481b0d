//! Milestones are earned: what a strategy says has come about, a call of the same step has brought about before.

use std::collections::HashSet;

use super::Trace;
use crate::call::{CallSite, FunctionName};
use crate::journal::record::{Choice, Record};
use crate::name::StepId;

/// Milestones, and the calls that earn them: one that came back without an error, in the same step, is enough. So is a
/// call of an organisation's own contract, which the host cannot judge, and so is a person's go where that may stand for
/// a site that does not answer.
pub(super) const EARNED_BY: [(&str, &[&str], bool); 8] = [
    ("ttl-lowered", &["dns/ensure-record"], false),
    ("frozen", &["workload/ensure-maintenance"], false),
    ("fenced", &["database/ensure-fenced"], true),
    ("writable", &["database/ensure-write-probe"], false),
    ("flipped", &["dns/ensure-record"], false),
    (
        "served",
        &["probe/ensure-journey", "probe/ensure-served"],
        false,
    ),
    ("converged", &["probe/ensure-converged"], false),
    (
        "protected",
        &[
            "database/ensure-backup",
            "database/ensure-caught-up",
            "database/list-recovery-points",
        ],
        false,
    ),
];

/// Contracts of this namespace are the ones that the table above knows.
const OWN: &str = "understudy";

pub(super) fn milestones_are_earned(trace: &Trace<'_>) -> Option<String> {
    let mut asked: Vec<(&CallSite, &FunctionName)> = Vec::new();
    let mut questions: Vec<(&String, &StepId)> = Vec::new();
    let mut done: Vec<(&StepId, &FunctionName)> = Vec::new();
    let mut answered: HashSet<&StepId> = HashSet::new();
    for entry in trace.entries {
        match &entry.record {
            Record::Intent { site, function, .. } => asked.push((site, function)),
            Record::Outcome { site, reply, .. } if reply.is_ok() => {
                let call = asked.iter().rev().find(|(other, _)| *other == site);
                done.extend(call.map(|(site, function)| (&site.step, *function)));
            }
            Record::GateOpened { gate, step, .. } => questions.push((gate, step)),
            Record::GateAnswered {
                gate,
                choice: Choice::Go,
                ..
            } => {
                let question = questions.iter().find(|(other, _)| *other == gate);
                answered.extend(question.map(|(_, step)| *step));
            }
            Record::Marked { step, name, .. } => {
                let row = EARNED_BY.iter().find(|(mark, ..)| mark == name);
                let Some((_, calls, may_be_answered)) = row else {
                    continue;
                };
                let mut calls_done = done.iter().filter(|(other, _)| *other == step);
                let earned = calls_done.any(|(_, function)| earns(function, calls));
                let is_answered = *may_be_answered && answered.contains(step);
                if !earned && !is_answered {
                    return Some(format!(
                        "`{step}` set the milestone `{name}` before {} came back without an error",
                        calls.join(" or ")
                    ));
                }
            }
            _ => {}
        }
    }
    None
}

/// One of these calls, or any of an organisation's own contract.
fn earns(function: &FunctionName, calls: &[&str]) -> bool {
    function.interface.namespace() != OWN || calls.iter().any(|call| function.is(call))
}
