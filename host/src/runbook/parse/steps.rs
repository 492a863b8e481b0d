//! Changes to the plan. Whether a step exists is known only when the strategies have planned ([`crate::plan`]).

use std::collections::BTreeMap;

use super::Declared;
use super::door::Door;
use crate::clock::millis;
use crate::name::{ItemId, RoleName, StepId};
use crate::runbook::problem::Problem;
use crate::runbook::raw::{At, RawAnswer, RawGate, RawStep, Text};
use crate::runbook::types::{Gate, StepChange};

/// Most people that a gate asks for. More is a typing error, not a decision.
const MAX_QUORUM: u32 = 16;

impl Door<'_> {
    pub(super) fn steps(
        &mut self,
        raw: &[At<RawStep>],
        declared: &Declared<'_>,
    ) -> Vec<StepChange> {
        let mut first: BTreeMap<&str, &Text> = BTreeMap::new();
        for step in raw {
            let name = &step.value().step;
            if let Some(earlier) = first.get(name.value().as_str()) {
                self.duplicate("step", name, &earlier.span());
            } else {
                first.insert(name.value(), name);
            }
        }
        raw.iter()
            .filter_map(|step| self.step_change(step, declared))
            .collect()
    }

    fn step_change(&mut self, step: &At<RawStep>, declared: &Declared<'_>) -> Option<StepChange> {
        let raw = step.value();
        self.drops_only(step);
        let id = self.step_id(&raw.step, declared);
        let run = raw.run.as_ref().map(|run| self.step_id(run, declared));
        let needs = raw
            .needs
            .as_ref()
            .map(|needs| self.step_ids(needs, declared));
        let before = self.step_ids(&raw.before, declared);
        let budget = raw.budget.as_ref().map(|budget| self.positive(budget));
        let role: Option<Option<RoleName>> = raw.role.as_ref().map(|role| self.name(role));
        let gate_before = raw.gate.before.as_ref().map(|gate| self.gate(gate));
        let gate_after = raw.gate.after.as_ref().map(|gate| self.gate(gate));
        let covers: Vec<ItemId> = raw
            .covers
            .iter()
            .filter_map(|item| self.name(item))
            .collect();
        Some(StepChange {
            step: id?,
            drop: raw.drop,
            run: whole(run)?,
            needs,
            before,
            budget: whole(budget)?,
            role: whole(role)?,
            gate_before: whole(gate_before)?,
            gate_after: whole(gate_after)?,
            covers,
        })
    }

    /// A step that is taken out has nothing else to be said about.
    fn drops_only(&mut self, step: &At<RawStep>) {
        let raw = step.value();
        let other = raw.run.is_some()
            || raw.needs.is_some()
            || !raw.before.is_empty()
            || raw.budget.is_some()
            || raw.role.is_some()
            || raw.gate.before.is_some()
            || raw.gate.after.is_some()
            || !raw.covers.is_empty();
        if raw.drop && other {
            self.contradiction(
                &raw.step.span(),
                format!("step `{}` is dropped and changed", raw.step.value()),
                "take `drop = true` out, or everything beside it",
            );
        }
    }

    fn step_ids(&mut self, texts: &[Text], declared: &Declared<'_>) -> Vec<StepId> {
        texts
            .iter()
            .filter_map(|text| self.step_id(text, declared))
            .collect()
    }

    fn step_id(&mut self, text: &Text, declared: &Declared<'_>) -> Option<StepId> {
        let id: StepId = self.name(text)?;
        if declared.strategies.contains(id.strategy()) {
            return Some(id);
        }
        self.report(
            &text.span(),
            Problem::UnknownReference {
                kind: "strategy",
                name: id.strategy().to_owned(),
                known: declared
                    .strategies
                    .iter()
                    .map(|name| (*name).to_owned())
                    .collect(),
            },
        );
        None
    }

    fn gate(&mut self, raw: &RawGate) -> Option<Gate> {
        let role = self.name(&raw.role);
        let timeout = raw.timeout.as_ref().map(|timeout| self.positive(timeout));
        let quorum = raw.quorum.as_ref().map_or(1, |quorum| *quorum.value());
        if let Some(written) = raw
            .quorum
            .as_ref()
            .filter(|_| !(1..=MAX_QUORUM).contains(&quorum))
        {
            self.contradiction(
                &written.span(),
                format!("a quorum of {quorum} cannot be reached"),
                &format!("ask for 1 to {MAX_QUORUM} people"),
            );
        }
        if let (Some(default), None) = (&raw.default, &raw.timeout) {
            self.contradiction(
                &default.span(),
                "this default is never used: the gate has no timeout".to_owned(),
                "add `timeout = \"10m\"`, or leave `default` out",
            );
        }
        Some(Gate {
            role: role?,
            quorum,
            timeout_ms: whole(timeout)?.map(millis),
            default: raw
                .default
                .as_ref()
                .map(|default| *default.value() == RawAnswer::Go),
        })
    }
}

/// An optional key that was read: `None` only where it stands there and is wrong.
pub(super) fn whole<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    match read {
        None => Some(None),
        Some(Some(value)) => Some(Some(value)),
        Some(None) => None,
    }
}
