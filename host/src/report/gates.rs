//! Human decisions: what was asked of whom, who answered what, and how long it took.

use std::collections::BTreeSet;

use super::account::{Answer, GateLine, GateResult};
use super::units;
use crate::clock::millis;
use crate::journal::record::{AnswerSource, Choice, Entry, Record};

/// Every gate in the order of opening.
pub(super) fn lines(entries: &[Entry]) -> Vec<GateLine> {
    let mut gates: Vec<GateLine> = Vec::new();
    for entry in entries {
        match &entry.record {
            // A resume may open the same gate again: it keeps its identity and its first question.
            Record::GateOpened { gate, .. } if gates.iter().any(|known| &known.gate == gate) => {}
            Record::GateOpened {
                gate,
                step,
                kind,
                rule,
                title,
                detail,
                alternatives,
                ..
            } => gates.push(GateLine {
                gate: gate.clone(),
                step: step.clone(),
                kind: *kind,
                role: rule.role.clone(),
                quorum: rule.quorum,
                title: units::one_line(title),
                detail: units::lines(detail),
                opened_at: entry.at,
                result: GateResult::Open,
                took_ms: None,
                alternatives: alternatives.clone(),
                answers: Vec::new(),
            }),
            Record::GateAnswered {
                gate,
                choice,
                by,
                role,
                note,
                source,
            } => {
                if let Some(line) = gates.iter_mut().find(|known| &known.gate == gate) {
                    let after_ms = millis(entry.at.since(line.opened_at));
                    line.answers.push(Answer {
                        at: entry.at,
                        choice: choice.clone(),
                        by: units::one_line(by),
                        role: role.clone(),
                        note: units::one_line(note),
                        source: *source,
                        after_ms,
                    });
                    settle(line, after_ms);
                }
            }
            _ => {}
        }
    }
    gates
}

/// One no-go stops; go, or a switch, needs as many different people as the gate says; the default counts at once.
fn settle(line: &mut GateLine, after_ms: u64) {
    if line.result != GateResult::Open {
        return;
    }
    let decides = |choice: &Choice| {
        let agreed = || {
            line.answers
                .iter()
                .filter(|answer| answer.choice == *choice)
        };
        let people: BTreeSet<&str> = agreed().map(|answer| answer.by.as_str()).collect();
        let by_default = agreed().any(|answer| answer.source == AnswerSource::Timeout);
        by_default || units::count(people.len()) >= u64::from(line.quorum)
    };
    let decided = line
        .answers
        .iter()
        .map(|answer| &answer.choice)
        .find(|choice| decides(choice));
    let result = if line
        .answers
        .iter()
        .any(|answer| answer.choice == Choice::NoGo)
    {
        GateResult::NoGo
    } else {
        match decided {
            Some(Choice::Switch(_)) => GateResult::Switched,
            Some(_) => GateResult::Go,
            None => return,
        }
    };
    line.result = result;
    line.took_ms = Some(after_ms);
}
