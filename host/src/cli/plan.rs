//! `understudy plan RUNBOOK`: the merged plan of a procedure, and the safety rules it keeps or breaks.

use std::sync::Arc;

use serde_json::json;

use super::Context;
use super::error::CommandError;
use super::output::Table;
use super::rehearse::block_on;
use super::stage;
use super::wanted::Wanted;
use understudy::prepare::{Order, Prepared, prepare};
use understudy::report::units::duration;

/// Show the merged plan of a procedure: steps in order, needs, roles, budgets, gates, and broken safety rules.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) wanted: Wanted,
}

impl Args {
    /// Shows it.
    pub(super) fn run(&self, context: &Context) -> Result<(), CommandError> {
        let runbook = self.wanted.load()?;
        let order = Order {
            procedure: self.wanted.strategies(&runbook)?,
            mode: self.wanted.mode_or(None),
            run: stage::new_run(context, &runbook.name)?,
            started_by: stage::person(context, None),
        };
        let engines = context.engines()?;
        let prepared = block_on(prepare(&engines, Arc::new(runbook), order))??;
        show(context, &prepared)?;
        stage::refuse_unsafe(&prepared)
    }
}

fn show(context: &Context, prepared: &Prepared) -> Result<(), CommandError> {
    if context.output.is_json() {
        return context.output.json(&json!({
            "digest": prepared.plan.digest(),
            "steps": prepared.plan.steps,
            "violations": prepared.violations,
            "contracts": prepared.contracts,
        }));
    }
    let mut table = Table::new(&["STEP", "ROLE", "BUDGET", "GATES", "NEEDS"]);
    for step in &prepared.plan.steps {
        let gate = |gate: &Option<understudy::runbook::types::Gate>, when: &str| {
            gate.as_ref().map(|gate| format!("{when}: {}", gate.role))
        };
        let gates: Vec<String> = [
            gate(&step.gate_before, "before"),
            gate(&step.gate_after, "after"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let needs: Vec<&str> = step.needs.iter().map(|need| need.as_str()).collect();
        table.row([
            (step.id.as_str(), None),
            (step.role.as_str(), None),
            (&duration(step.budget_ms), None),
            (&gates.join(", "), None),
            (&needs.join(", "), None),
        ]);
    }
    context.output.data(&table.render(&context.output))?;
    context
        .output
        .say(&format!("plan {}", prepared.plan.digest()));
    Ok(())
}
