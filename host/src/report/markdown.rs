//! The postmortem template filled in, as Markdown that people go on editing.
//!
//! Every field of the template is there, in its order; what only people know is a blank to fill. Text from plugins
//! and people is escaped: it can neither format the page nor break out of a table.

mod record;

use std::fmt::{self, Write as _};

use super::account::{GateResult, Severity, StepLine};
use super::events;
use super::model::{Comparison, Leg, LegStart, Objective, Report, Standing, Verdict};
use super::units::{date_time, duration, duration_or_dash, figure, offset, one_line};
use crate::journal::record::{AnswerSource, Mode, Stage};

/// What people fill in.
const BLANK: &str = "_to be filled in_";

/// The report as Markdown.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    if page(&mut text, report).is_err() {
        text.push_str("\n(the report is cut here)\n");
    }
    text
}

fn page(out: &mut String, report: &Report) -> fmt::Result {
    head(out, report)?;
    scope(out, report)?;
    rto(out, report)?;
    rpo(out, report)?;
    convergence(out, report)?;
    truth(out, report)?;
    steps(out, report)?;
    gates(out, report)?;
    issues(out, report)?;
    for_people(out, report)?;
    record::criteria(out, report)?;
    record::appendix(out, report)
}

/// Other people's text inside a paragraph or a table cell.
fn text(raw: &str) -> String {
    let mut escaped = String::with_capacity(raw.len());
    for c in one_line(raw).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' => {
                escaped.push('\\');
                escaped.push(c);
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// A name in code; text where it holds anything that no name does.
fn code(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_/.:@+ ".contains(c);
    if !name.is_empty() && name.chars().all(plain) {
        format!("`{name}`")
    } else {
        text(name)
    }
}

fn head(out: &mut String, report: &Report) -> fmt::Result {
    let run = &report.run;
    writeln!(out, "# Postmortem: {}\n", text(&run.runbook))?;
    writeln!(
        out,
        "**{}** — {}\n",
        standing(report.conclusion.ending),
        text(&report.conclusion.detail)
    )?;
    if report.scope.stage != Stage::Live {
        writeln!(
            out,
            "> A rehearsal in a simulated world: nothing real was touched.\n"
        )?;
    }
    writeln!(out, "## Date/Time (UTC)\n")?;
    writeln!(
        out,
        "- Started: {} by {}",
        date_time(run.started_at),
        text(&run.started_by)
    )?;
    match report.conclusion.at {
        Some(at) => writeln!(out, "- Ended: {}", date_time(at))?,
        None => writeln!(
            out,
            "- Last record: {} (no ending yet)",
            date_time(run.last_record_at)
        )?,
    }
    writeln!(out, "- Elapsed: {}", duration(run.elapsed_ms))?;
    if run.resumes > 0 {
        writeln!(out, "- Taken over by a host: {} time(s)", run.resumes)?;
    }
    writeln!(out)
}

fn scope(out: &mut String, report: &Report) -> fmt::Result {
    let scope = &report.scope;
    writeln!(out, "## Scope\n")?;
    match &scope.stage {
        Stage::Live => writeln!(out, "- Stage: live")?,
        Stage::Rehearsal { seed, scenario, .. } => writeln!(
            out,
            "- Stage: rehearsal of scenario {} with seed {seed}",
            code(scenario)
        )?,
    }
    let mode = match scope.mode {
        Mode::Graceful => "graceful (the site that is left answers)",
        Mode::Ungraceful => "ungraceful (the site that is left may be dead)",
    };
    writeln!(out, "- Mode: {mode}")?;
    let strategies: Vec<String> = scope.strategies.iter().map(|s| code(s.as_str())).collect();
    writeln!(out, "- Strategies: {}", strategies.join(", then "))?;
    let sites: Vec<String> = scope.sites.iter().map(|site| code(site)).collect();
    writeln!(out, "- Sites: {}", sites.join(", "))?;
    writeln!(
        out,
        "- Included: {} of {} planned steps",
        scope.steps_begun, scope.steps_planned
    )?;
    if scope.excluded.is_empty() {
        return writeln!(out, "- Excluded: nothing of the plan\n");
    }
    writeln!(out, "- Excluded:")?;
    for exclusion in &scope.excluded {
        let (step, title) = (code(exclusion.step.as_str()), text(&exclusion.title));
        let space = if title.is_empty() { "" } else { " " };
        let reason = text(&exclusion.reason);
        writeln!(out, "  - {step}{space}{title}: {reason}")?;
    }
    writeln!(out)
}

fn rto(out: &mut String, report: &Report) -> fmt::Result {
    writeln!(out, "## RTO observed\n")?;
    for leg in &report.legs {
        writeln!(out, "- {}: {}", leg_name(leg), objective(&leg.rto))?;
        let judged = duration_or_dash(leg.rto.achieved_ms);
        if let Some(ms) = leg.begun_to_served_ms.filter(|ms| duration(*ms) != judged) {
            writeln!(out, "  - From its beginning until served: {}", duration(ms))?;
        }
        if let Some(ms) = leg.rto_from_detection_ms {
            writeln!(
                out,
                "  - From the detection of the outage: {}",
                duration(ms)
            )?;
        }
        if let Some(ms) = leg.writes_stopped_ms.filter(|ms| duration(*ms) != judged) {
            writeln!(out, "  - Writes stopped for: {}", duration(ms))?;
        }
    }
    writeln!(out)
}

fn rpo(out: &mut String, report: &Report) -> fmt::Result {
    writeln!(out, "## RPO observed\n")?;
    for leg in &report.legs {
        writeln!(out, "- {}: {}", leg_name(leg), objective(&leg.rpo))?;
        if let Some(ms) = leg.replication_lag_ms {
            writeln!(out, "  - Replication lag: {}", duration(ms))?;
        }
        if let Some(ms) = leg.backup_age_ms {
            writeln!(out, "  - Age of the backup: {}", duration(ms))?;
        }
    }
    writeln!(out)
}

fn convergence(out: &mut String, report: &Report) -> fmt::Result {
    writeln!(out, "## DNS convergence\n")?;
    for leg in &report.legs {
        let line = match &leg.dns {
            None => "no flip".to_owned(),
            Some(dns) => match dns.took_ms {
                Some(ms) => format!("{} from the flip until clients followed it", duration(ms)),
                None => format!(
                    "flipped {}, not seen to converge",
                    date_time(dns.flipped_at)
                ),
            },
        };
        writeln!(out, "- {}: {line}", leg_name(leg))?;
    }
    writeln!(out)
}

fn truth(out: &mut String, report: &Report) -> fmt::Result {
    let Some(truth) = &report.truth else {
        return Ok(());
    };
    writeln!(out, "## Reported and true\n")?;
    writeln!(
        out,
        "What the runbook reports, beside what the simulated clients and data say.\n"
    )?;
    writeln!(out, "| Figure | Reported | True | Difference | |")?;
    writeln!(out, "|---|---|---|---|---|")?;
    for (name, comparison) in [("RTO", &truth.rto), ("RPO", &truth.rpo)] {
        if let Some(comparison) = comparison {
            writeln!(out, "{}", truth_row(name, comparison))?;
        }
    }
    writeln!(
        out,
        "\n{} of {} acknowledged writes are missing.\n",
        truth.lost_writes, truth.acknowledged_writes
    )?;
    for (name, value) in &truth.figures {
        writeln!(out, "- {}: {}", code(name), figure(name, *value))?;
    }
    if !truth.figures.is_empty() {
        writeln!(out)?;
    }
    Ok(())
}

fn truth_row(name: &str, comparison: &Comparison) -> String {
    let percent = comparison
        .difference_percent
        .map_or_else(|| "–".to_owned(), |percent| format!("{percent:+.1} %"));
    format!(
        "| {name} ({}) | {} | {} | {percent} | {} |",
        text(&comparison.basis),
        duration_or_dash(comparison.reported_ms),
        duration_or_dash(comparison.truth_ms),
        if comparison.flagged {
            "**differs**"
        } else {
            "agrees"
        }
    )
}

fn steps(out: &mut String, report: &Report) -> fmt::Result {
    let zero = report.zero();
    writeln!(out, "## Steps timeline\n")?;
    let from = match report.legs.iter().find(|leg| leg.begun_at.is_some()) {
        Some(leg) if leg.begun_by == LegStart::Declared => "the declaration",
        Some(_) => "the first step",
        None => "the first record",
    };
    writeln!(out, "T is counted from {from}, {}.\n", date_time(zero))?;
    writeln!(
        out,
        "| Started (UTC) | T | Step | Role | State | Took | Budget | Attempts | Result |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|---|")?;
    for step in &report.steps {
        let (at, t) = step.started_at.map_or_else(
            || ("–".to_owned(), "–".to_owned()),
            |at| (date_time(at), offset(zero, at)),
        );
        writeln!(
            out,
            "| {at} | {t} | {} {} | {} | {} | {} | {} | {} | {} |",
            code(step.id.as_str()),
            text(&step.title),
            text(step.role.as_str()),
            events::state(step.state),
            took(step),
            duration(step.budget_ms),
            step.attempts,
            text(&step.detail)
        )?;
    }
    writeln!(out)?;
    marks(out, report)
}

fn took(step: &StepLine) -> String {
    let took = duration_or_dash(step.took_ms);
    match step.over_budget_ms {
        Some(over) => format!("{took}, **over by {}**", duration(over)),
        None => took,
    }
}

fn marks(out: &mut String, report: &Report) -> fmt::Result {
    writeln!(out, "### Milestones\n")?;
    if report.marks.is_empty() {
        return writeln!(out, "None was set.\n");
    }
    writeln!(out, "| At (UTC) | T | Milestone | Site | Step |")?;
    writeln!(out, "|---|---|---|---|---|")?;
    for mark in &report.marks {
        writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            date_time(mark.at),
            offset(report.zero(), mark.at),
            text(&mark.name),
            text(mark.site.as_deref().unwrap_or("–")),
            code(mark.step.as_str())
        )?;
    }
    writeln!(out)
}

fn gates(out: &mut String, report: &Report) -> fmt::Result {
    writeln!(out, "### Decisions\n")?;
    if report.gates.is_empty() {
        return writeln!(out, "Nobody was asked.\n");
    }
    writeln!(
        out,
        "| Asked (UTC) | Question | Role | Result | Took | Answers |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|")?;
    for gate in &report.gates {
        let answers: Vec<String> = gate.answers.iter().map(answer).collect();
        writeln!(
            out,
            "| {} | {} ({}) | {} | {} | {} | {} |",
            date_time(gate.opened_at),
            text(&gate.title),
            code(gate.step.as_str()),
            text(gate.role.as_str()),
            match gate.result {
                GateResult::Go => "go",
                GateResult::NoGo => "**no-go**",
                GateResult::Switched => "**switched**",
                GateResult::Open => "**open**",
            },
            duration_or_dash(gate.took_ms),
            if answers.is_empty() {
                "–".to_owned()
            } else {
                answers.join("; ")
            }
        )?;
    }
    writeln!(out)
}

fn answer(answer: &super::account::Answer) -> String {
    let word = &answer.choice;
    let who = if answer.source == AnswerSource::Timeout {
        "default, nobody answered".to_owned()
    } else {
        format!("{} as {}", text(&answer.by), text(answer.role.as_str()))
    };
    let note = if answer.note.is_empty() {
        String::new()
    } else {
        format!(": {}", text(&answer.note))
    };
    format!("{word} by {who} after {}{note}", duration(answer.after_ms))
}

fn issues(out: &mut String, report: &Report) -> fmt::Result {
    writeln!(out, "## Issues found\n")?;
    if report.issues.is_empty() {
        writeln!(out, "The journal knows of none.\n")?;
    } else {
        writeln!(out, "| # | At (UTC) | Weight | Step | Issue |")?;
        writeln!(out, "|---|---|---|---|---|")?;
    }
    for (place, issue) in report.issues.iter().enumerate() {
        let weight = match issue.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Problem => "**problem**",
        };
        let step = issue
            .step
            .as_ref()
            .map_or_else(String::new, |step| code(step.as_str()));
        writeln!(
            out,
            "| {} | {} | {weight} | {step} | {} |",
            place + 1,
            date_time(issue.at),
            text(&issue.text)
        )?;
    }
    writeln!(out)?;
    let people = &report.for_people;
    writeln!(
        out,
        "- Root causes: {}",
        blank(people.root_causes.as_deref())
    )?;
    writeln!(
        out,
        "- Contributing factors: {}\n",
        blank(people.contributing_factors.as_deref())
    )
}

fn for_people(out: &mut String, report: &Report) -> fmt::Result {
    let people = &report.for_people;
    writeln!(out, "## Fixes & improvements\n")?;
    writeln!(out, "- Runbook: {}", blank(people.fixes_runbook.as_deref()))?;
    writeln!(
        out,
        "- Automation: {}",
        blank(people.fixes_automation.as_deref())
    )?;
    writeln!(out, "- Alerts: {}\n", blank(people.fixes_alerts.as_deref()))?;
    writeln!(out, "## Action items\n")?;
    writeln!(out, "| Issue | Action | Owner | Due date |")?;
    writeln!(out, "|---|---|---|---|")?;
    for item in &people.action_items {
        let issue = item
            .issue
            .map_or_else(|| "–".to_owned(), |number| format!("#{number}"));
        writeln!(
            out,
            "| {issue} | {} | {} | {} |",
            blank(item.action.as_deref()),
            blank(item.owner.as_deref()),
            blank(item.due.as_deref())
        )?;
    }
    writeln!(out)
}

fn blank(filled: Option<&str>) -> String {
    filled.map_or_else(|| BLANK.to_owned(), text)
}

/// How a run stands, in words.
fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Recovered => "Recovered",
        Standing::Undone => "Failed and taken back",
        Standing::Stuck => "Stuck: a human is needed",
        Standing::Ready => "Ready",
        Standing::NotReady => "Not ready",
        Standing::Unfinished => "Unfinished",
    }
}

fn leg_name(leg: &Leg) -> String {
    let site = leg
        .to_site
        .as_ref()
        .map_or(String::new(), |site| format!(" to {}", code(site)));
    format!("{}{site}", code(leg.strategy.as_str()))
}

fn objective(objective: &Objective) -> String {
    let target = duration(objective.target_ms);
    match (objective.achieved_ms, objective.verdict) {
        (Some(achieved), verdict) => format!(
            "**{}** ({}), objective {target}: {}",
            duration(achieved),
            text(&objective.basis),
            if verdict == Verdict::Met {
                "met"
            } else {
                "**missed**"
            }
        ),
        (None, _) => format!("no figure ({}), objective {target}", text(&objective.basis)),
    }
}
