//! What people are asked about a step, and how a question is put.

use super::board::Square;
use super::error::RunError;
use super::gate::Question;
use super::scheduler::{Execution, Happening};
use crate::journal::record::{GateKind, Record};
use crate::name::StepId;
use crate::plan::Step;
use crate::runbook::types::Gate;

impl Execution<'_> {
    /// Records that a step takes too long, and asks whether it may.
    pub(super) async fn over_budget(&mut self, id: &StepId) -> Result<(), RunError> {
        let Some(step) = self.step(id) else {
            return Ok(());
        };
        // After a crash the same question goes on, and is no second excess.
        if !self.board.square(id).over_budget {
            self.append(Record::BudgetExceeded {
                step: id.clone(),
                budget_ms: step.budget_ms,
            })
            .await?;
            self.board.exceed(id);
        }
        let title = format!(
            "`{}` is over its budget of {} s. Go on?",
            step.title,
            step.budget_ms / 1000
        );
        let no_go = self.no_go();
        let detail =
            format!("It goes on while you decide. Go: it gets its budget once more. {no_go}");
        self.ask(&step, GateKind::OverBudget, title, detail);
        Ok(())
    }

    pub(super) fn ask_before(&mut self, step: &Step) {
        let title = format!("Start `{}`?", step.title);
        let detail = self.no_go();
        self.ask(step, GateKind::Before, title, detail);
    }

    pub(super) fn ask_after(&mut self, step: &Step, line: String) {
        let title = format!("Is `{}` good enough to go on?", step.title);
        self.ask(step, GateKind::After, title, line);
    }

    pub(super) fn ask_failed(&mut self, step: &Step, reason: &str) {
        let title = format!("`{}` failed. Try again?", step.title);
        let detail = format!("{reason}. {}", self.no_go());
        self.ask(step, GateKind::Failed, title, detail);
    }

    /// What no-go does as things stand.
    fn no_go(&self) -> String {
        match self.board.passed_no_return().first() {
            None => "No-go takes the run back.".to_owned(),
            Some(passed) => format!(
                "No-go takes back what can be and leaves the run to people: `{}` is a point of no return.",
                passed.id
            ),
        }
    }

    fn ask(&mut self, step: &Step, kind: GateKind, title: String, mut detail: String) {
        let alternatives = match kind {
            GateKind::OverBudget | GateKind::Failed => self.alternatives_to(step),
            GateKind::Before | GateKind::After | GateKind::Question => Vec::new(),
        };
        for other in &alternatives {
            detail.push_str(&format!(
                " Switch to {other}: what was done stays done, and {other} goes on from there."
            ));
        }
        let own = match kind {
            GateKind::Before => step.gate_before.clone(),
            GateKind::After => step.gate_after.clone(),
            _ => None,
        };
        let square = self.board.square(&step.id);
        let question = Question {
            gate: self.identity(step, kind),
            step: step.id.clone(),
            kind,
            tries: match kind {
                GateKind::Failed => square.attempt,
                GateKind::OverBudget => square.extensions,
                GateKind::Before | GateKind::After | GateKind::Question => 0,
            },
            rule: own.unwrap_or_else(|| self.commander_alone()),
            title,
            detail,
            alternatives,
            no_way_back: !self.board.passed_no_return().is_empty(),
        };
        let gates = self.run.gates.clone();
        let id = step.id.clone();
        self.spawn(&step.id, async move {
            Happening::Decided {
                step: id,
                kind,
                decision: gates.ask(&question).await,
            }
        });
    }

    fn commander_alone(&self) -> Gate {
        Gate {
            role: self.commander.clone(),
            quorum: 1,
            timeout_ms: None,
            default: None,
        }
    }

    /// Identity of a question within the run, stable over a crash.
    fn identity(&self, step: &Step, kind: GateKind) -> String {
        let Square {
            attempt,
            extensions,
            ..
        } = self.board.square(&step.id);
        match kind {
            GateKind::Before => format!("{}:before:{}", step.id, attempt + 1),
            GateKind::After => format!("{}:after:{attempt}", step.id),
            GateKind::Failed => format!("{}:failed:{attempt}", step.id),
            GateKind::OverBudget | GateKind::Question => {
                format!("{}:over-budget:{attempt}:{extensions}", step.id)
            }
        }
    }
}
