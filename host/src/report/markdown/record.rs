//! The end of the Markdown page: exit criteria, and the record that the postmortem rests on.

use std::fmt::{self, Write as _};

use super::super::account::EffectOutcome;
use super::super::model::Report;
use super::super::units::{date_time, duration_or_dash, offset, quantity, shortened};
use super::{code, text};

/// Longest arguments shown in the effects table, in characters; JSON has them in full.
const MAX_ARGS_CHARS: usize = 120;

pub(super) fn criteria(out: &mut String, report: &Report) -> fmt::Result {
    writeln!(out, "## Exit criteria\n")?;
    for criterion in &report.exit_criteria {
        let (tick, word) = match criterion.met {
            Some(true) => ("x", "met"),
            Some(false) => (" ", "**not met**"),
            None => (" ", "open"),
        };
        let (what, why) = (text(&criterion.text), text(&criterion.because));
        writeln!(out, "- [{tick}] {what}: {word} ({why})")?;
    }
    writeln!(out)
}

pub(super) fn appendix(out: &mut String, report: &Report) -> fmt::Result {
    writeln!(out, "## Record\n\n### Measurements\n")?;
    for m in &report.measurements {
        let (name, value) = (code(&m.name), text(&quantity(&m.quantity)));
        writeln!(
            out,
            "- {} {name} = {value} ({})",
            date_time(m.at),
            code(m.step.as_str())
        )?;
    }
    if report.measurements.is_empty() {
        writeln!(out, "None.")?;
    }
    effects(out, report)?;
    writeln!(out, "### Evidence\n")?;
    for e in &report.evidence {
        let (step, name, kind) = (code(e.step.as_str()), code(&e.name), code(&e.media_type));
        writeln!(
            out,
            "- {} {step} {name}, {kind}, {} bytes",
            date_time(e.at),
            e.content.len()
        )?;
    }
    if report.evidence.is_empty() {
        writeln!(out, "None was attached.")?;
    }
    writeln!(out, "\n### Items of source runbooks\n")?;
    let (done, open): (Vec<_>, Vec<_>) = report.items.iter().partition(|i| !i.done_by.is_empty());
    for (word, items) in [("Covered", done), ("Not covered", open)] {
        let names: Vec<String> = items.iter().map(|i| code(i.item.as_str())).collect();
        let names = if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        };
        writeln!(out, "- {word}: {names}")?;
    }
    facts(out, report)?;
    timeline(out, report)
}

fn effects(out: &mut String, report: &Report) -> fmt::Result {
    writeln!(out, "\n### Effects\n")?;
    if report.effects.is_empty() {
        return writeln!(out, "None.\n");
    }
    writeln!(
        out,
        "| At (UTC) | Step | Call | Outcome | Attempts | Took | Arguments |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|")?;
    for effect in &report.effects {
        let detail = if effect.detail.is_empty() {
            String::new()
        } else {
            format!(": {}", text(&effect.detail))
        };
        writeln!(
            out,
            "| {} | {} | {} | {}{detail} | {} | {} | {} |",
            date_time(effect.at),
            code(effect.step.as_str()),
            code(&effect.call),
            outcome(effect.outcome),
            effect.attempts,
            duration_or_dash(effect.took_ms),
            text(&shortened(&effect.args.to_string(), MAX_ARGS_CHARS))
        )?;
    }
    writeln!(out)
}

fn facts(out: &mut String, report: &Report) -> fmt::Result {
    let run = &report.run;
    writeln!(out, "\n### Run\n")?;
    writeln!(out, "- Run: {}", code(run.id.as_str()))?;
    writeln!(
        out,
        "- Runbook: {} {}",
        code(&run.runbook),
        code(&run.runbook_digest)
    )?;
    writeln!(out, "- Plan: {}", code(&run.plan_digest))?;
    writeln!(out, "- Policy: {}", code(&run.policy_digest))?;
    for (name, digest) in &run.plugins {
        writeln!(
            out,
            "- Plugin {}: {}",
            code(name.as_str()),
            code(digest.as_str())
        )?;
    }
    let versions: Vec<String> = run.host_versions.iter().map(|v| code(v)).collect();
    writeln!(out, "- Host: {}", versions.join(", "))?;
    writeln!(
        out,
        "- Records: {}, the last is {}",
        run.records,
        code(&run.last_hash)
    )
}

fn outcome(outcome: EffectOutcome) -> &'static str {
    use EffectOutcome as O;
    match outcome {
        O::Changed => "changed",
        O::Unchanged => "unchanged",
        O::Answered => "answered",
        O::Failed => "**failed**",
        O::Denied => "**denied**",
        O::InDoubt => "**in doubt**",
    }
}

fn timeline(out: &mut String, report: &Report) -> fmt::Result {
    writeln!(out, "\n### What happened\n")?;
    writeln!(out, "| At (UTC) | T | Step | What |")?;
    writeln!(out, "|---|---|---|---|")?;
    for event in &report.timeline {
        let step = event
            .step
            .as_ref()
            .map_or_else(String::new, |step| code(step.as_str()));
        writeln!(
            out,
            "| {} | {} | {step} | {} |",
            date_time(event.at),
            offset(report.zero(), event.at),
            text(&event.text)
        )?;
    }
    writeln!(out)
}
