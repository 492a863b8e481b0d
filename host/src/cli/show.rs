//! `understudy show RUN`: where a run stands, what it waits for, and what happened.

use std::fmt::Write as _;

use serde_json::json;

use super::Context;
use super::error::CommandError;
use super::output::{Format, Output, Table, Tone};
use super::recorded::{Recorded, answer_command, meaning, open_gates};
use understudy::journal::record::Stage;
use understudy::report::account::{EventKind, StepLine};
use understudy::report::events;
use understudy::report::model::{Leg, Objective, Report, Standing, Verdict};
use understudy::report::units::{duration, duration_or_dash, offset, time_of_day};
use understudy::run::state::StepState;

/// Show where a run stands and what happened, also while it runs.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run: as much of its name as is needed, its folder, or an exported journal
    run: String,
    /// Only where it stands: steps and open questions, without the timeline
    #[arg(long)]
    short: bool,
}

impl Args {
    /// Shows it.
    ///
    /// # Errors
    /// No such run, or a journal that cannot be read.
    pub(super) fn run(&self, context: &Context) -> Result<(), CommandError> {
        let recorded = Recorded::load(context, &self.run)?;
        let report = recorded.report()?;
        let held_by = recorded.held_by();
        if context.output.format() == Format::Json {
            return context.output.json(&json!({
                "run": report.run,
                "scope": report.scope,
                "conclusion": report.conclusion,
                "held-by": held_by,
                "legs": report.legs,
                "steps": report.steps,
                "gates": report.gates,
                "timeline": report.timeline,
            }));
        }
        let mut text = head(&report, held_by, &context.output);
        text.push_str(&steps(&report, &context.output));
        text.push_str(&questions(&report, &context.output));
        if !self.short {
            text.push_str(&timeline(&report, &context.output));
        }
        context.output.data(&text)
    }
}

pub(super) fn head(report: &Report, held_by: Option<u32>, output: &Output) -> String {
    let run = &report.run;
    let (tone, word) = match (report.conclusion.ending, held_by) {
        (Standing::Recovered, _) => (Tone::Good, "recovered".to_owned()),
        (Standing::Undone, _) => (Tone::Warn, "undone".to_owned()),
        (Standing::Stuck, _) => (Tone::Bad, "stuck, a human is needed".to_owned()),
        (Standing::Ready, _) => (Tone::Good, "ready".to_owned()),
        (Standing::NotReady, _) => (Tone::Bad, "not ready".to_owned()),
        (Standing::Unfinished, Some(pid)) => (Tone::Warn, format!("running (pid {pid})")),
        (Standing::Unfinished, None) => (
            Tone::Bad,
            "left by its host; `understudy resume` goes on".to_owned(),
        ),
    };
    let stage = match &report.scope.stage {
        Stage::Live => "live".to_owned(),
        Stage::Rehearsal { scenario, seed, .. } => format!("rehearsal of {scenario}, seed {seed}"),
    };
    let mut text = String::new();
    // Writing to a string cannot fail.
    writeln!(text, "{}  {}, {stage}", run.id, run.runbook).ok();
    writeln!(
        text,
        "{}: {}",
        output.paint(tone, &word),
        report.conclusion.detail
    )
    .ok();
    for leg in &report.legs {
        writeln!(text, "{}", figures(leg, output)).ok();
    }
    text
}

fn figures(leg: &Leg, output: &Output) -> String {
    let site = leg
        .to_site
        .as_ref()
        .map_or(String::new(), |site| format!(" to {site}"));
    let dns = leg.dns.as_ref().and_then(|dns| dns.took_ms);
    format!(
        "{}{site}: RTO {}, RPO {}, DNS convergence {}",
        leg.strategy,
        objective(&leg.rto, output),
        objective(&leg.rpo, output),
        duration_or_dash(dns)
    )
}

fn objective(objective: &Objective, output: &Output) -> String {
    let target = duration(objective.target_ms);
    match objective.achieved_ms {
        None => format!("– of {target}"),
        Some(ms) => {
            let (tone, word) = if objective.verdict == Verdict::Met {
                (Tone::Good, "met")
            } else {
                (Tone::Bad, "missed")
            };
            format!("{} of {target} {}", duration(ms), output.paint(tone, word))
        }
    }
}

fn steps(report: &Report, output: &Output) -> String {
    let mut table = Table::new(&["STEP", "ROLE", "STATE", "TOOK", "BUDGET", "DETAIL"]);
    for step in &report.steps {
        table.row([
            (step.id.as_str(), None),
            (step.role.as_str(), None),
            (events::state(step.state), Some(tone(step.state))),
            (&took(step), step.over_budget_ms.map(|_| Tone::Warn)),
            (&duration(step.budget_ms), None),
            (&step.detail, None),
        ]);
    }
    format!("\n{}", table.render(output))
}

fn took(step: &StepLine) -> String {
    match step.over_budget_ms {
        Some(_) => format!("{} over", duration_or_dash(step.took_ms)),
        None => duration_or_dash(step.took_ms),
    }
}

fn tone(state: StepState) -> Tone {
    match state {
        StepState::Done => Tone::Good,
        StepState::Failed | StepState::Stuck => Tone::Bad,
        StepState::Pending | StepState::Skipped | StepState::Superseded => Tone::Soft,
        _ => Tone::Warn,
    }
}

fn questions(report: &Report, output: &Output) -> String {
    let mut text = String::new();
    for gate in open_gates(report) {
        let asked = output.paint(Tone::Warn, &format!("{} is asked", gate.role));
        let command = answer_command(report.run.id.as_str(), gate);
        writeln!(text, "\n{asked}: {}", gate.title).ok();
        if !gate.detail.is_empty() {
            writeln!(text, "  {}", gate.detail.replace('\n', "\n  ")).ok();
        }
        writeln!(text, "  {}\n  {command}", meaning(gate.kind)).ok();
    }
    text
}

fn timeline(report: &Report, output: &Output) -> String {
    let mut table = Table::new(&["AT (UTC)", "T", "STEP", "WHAT"]);
    for event in &report.timeline {
        let tone = match event.kind {
            EventKind::Budget | EventKind::Gate => Some(Tone::Warn),
            EventKind::Mark => Some(Tone::Good),
            _ => None,
        };
        table.row([
            (&time_of_day(event.at), None),
            (&offset(report.zero(), event.at), None),
            (event.step.as_ref().map_or("", |step| step.as_str()), None),
            (&event.text, tone),
        ]);
    }
    format!("\n{}", table.render(output))
}
