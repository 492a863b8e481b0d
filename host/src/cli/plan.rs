//! `understudy plan RUNBOOK`: the merged plan of a procedure, the safety rules it keeps or breaks, and how long it is
//! likely to take.

use std::sync::Arc;

use serde_json::json;

use super::Context;
use super::error::CommandError;
use super::estimate::{EstimateArgs, Estimated, Source};
use super::output::Table;
use super::rehearse::block_on;
use super::stage;
use super::wanted::Wanted;
use understudy::prepare::{Order, Prepared, prepare};
use understudy::report::units::duration;

/// Show the merged plan of a procedure: steps in order, needs, roles, budgets, gates, broken safety rules, and the
/// critical path with the times it is likely to take.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) wanted: Wanted,
    #[command(flatten)]
    pub(super) estimate: EstimateArgs,
}

impl Args {
    /// Shows it.
    pub(super) fn run(&self, context: &Context) -> Result<(), CommandError> {
        let runbook = self.wanted.load()?;
        let source = self.estimate.source(&runbook.folder)?;
        let scenario = match &source {
            Source::Scenario(written) => Some(&written.scenario),
            _ => None,
        };
        let named = scenario.and_then(|scenario| scenario.procedure.as_deref());
        let order = Order {
            procedure: self.wanted.strategies_or(&runbook, named)?,
            mode: self
                .wanted
                .mode_or(scenario.and_then(|scenario| scenario.mode)),
            run: stage::new_run(context, &runbook.name)?,
            started_by: stage::person(context, None),
        };
        let engines = context.engines()?;
        let prepared = block_on(prepare(&engines, Arc::new(runbook), order))??;
        if !prepared.violations.is_empty() {
            // A plan that is not run takes no time.
            show(context, &prepared, None)?;
            return stage::refuse_unsafe(&prepared);
        }
        let estimated = self.estimate.estimate(context, &prepared, source)?;
        show(context, &prepared, estimated.as_ref())
    }
}

fn show(
    context: &Context,
    prepared: &Prepared,
    estimated: Option<&Estimated>,
) -> Result<(), CommandError> {
    if context.output.is_json() {
        return context.output.json(&json!({
            "digest": prepared.plan.digest(),
            "steps": prepared.plan.steps,
            "violations": prepared.violations,
            "contracts": prepared.contracts,
            "estimate": estimated,
        }));
    }
    let mut table = Table::new(&["STEP", "ROLE", "BUDGET", "TAKES", "GATES", "NEEDS"]);
    for (place, step) in prepared.plan.steps.iter().enumerate() {
        let takes = estimated.map_or_else(String::new, |estimated| estimated.step(place));
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
            (&takes, None),
            (&gates.join(", "), None),
            (&needs.join(", "), None),
        ]);
    }
    let mut text = table.render(&context.output);
    if let Some(estimated) = estimated {
        text.push_str(&estimated.render(prepared, &context.output));
    }
    context.output.data(&text)?;
    context
        .output
        .say(&format!("plan {}", prepared.plan.digest()));
    Ok(())
}
