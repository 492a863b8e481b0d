//! The middle of the page: steps, decisions, issues, and what people fill in.

use maud::{Markup, html};

use super::super::account::{Answer, EventKind, GateLine, GateResult, Severity, StepLine};
use super::super::events;
use super::super::model::Report;
use super::super::units::{date_time, duration, duration_or_dash, offset, time_of_day};
use crate::journal::record::AnswerSource;
use crate::run::state::StepState;

/// Steps, decisions, issues, fixes, actions and exit criteria.
pub(super) fn sections(report: &Report) -> Markup {
    html! {
        (steps(report))
        (happened(report))
        (decisions(report))
        (issues(report))
        (actions(report))
        (criteria(report))
    }
}

fn steps(report: &Report) -> Markup {
    html! {
        section id="steps" {
            h2 { "Steps timeline" }
            div.table-box {
                table {
                    caption { "T is counted from " (date_time(report.zero())) " UTC" }
                    thead { tr {
                        @for name in ["Started (UTC)", "T", "Step", "Role", "State", "Took", "Budget", "Result"] {
                            th scope="col" { (name) }
                        }
                    } }
                    tbody { @for step in &report.steps { (step_row(report, step)) } }
                }
            }
        }
    }
}

fn step_row(report: &Report, step: &StepLine) -> Markup {
    html! {
        tr {
            td.time { (step.started_at.map_or_else(|| "–".to_owned(), date_time)) }
            td.time { (step.started_at.map_or_else(|| "–".to_owned(), |at| offset(report.zero(), at))) }
            th scope="row" {
                (step.title)
                code.id { (step.id.as_str()) @if step.point_of_no_return { ", no way back" } }
            }
            td.word { (step.role.as_str()) }
            td { span class=(state_class(step.state)) { (state_sign(step.state)) " " (events::state(step.state)) } }
            td.number {
                (duration_or_dash(step.took_ms))
                @if let Some(over) = step.over_budget_ms {
                    div { span class="badge warn" { "over by " (duration(over)) } }
                }
                @if step.waited_for_people_ms > 0 {
                    div.soft { "people " (duration(step.waited_for_people_ms)) }
                }
                @if step.attempts > 1 { div.soft { (step.attempts) " attempts" } }
            }
            td.number { (duration(step.budget_ms)) }
            td { (step.detail) }
        }
    }
}

fn state_class(state: StepState) -> &'static str {
    match state {
        StepState::Done => "badge good",
        StepState::Failed | StepState::Stuck => "badge bad",
        StepState::Undoing | StepState::Undone => "badge warn",
        StepState::Pending | StepState::Skipped | StepState::Superseded => "badge plain",
        StepState::AwaitingGo | StepState::Running | StepState::AwaitingAcceptance => "badge warn",
    }
}

fn state_sign(state: StepState) -> &'static str {
    match state {
        StepState::Done => "✓",
        StepState::Failed | StepState::Stuck => "✗",
        StepState::Undoing | StepState::Undone => "↶",
        StepState::Pending | StepState::Skipped | StepState::Superseded => "–",
        StepState::AwaitingGo | StepState::Running | StepState::AwaitingAcceptance => "…",
    }
}

fn happened(report: &Report) -> Markup {
    html! {
        details {
            summary { "All " (report.timeline.len()) " events, with absolute times" }
            div.table-box {
                table {
                    thead { tr {
                        @for name in ["At (UTC)", "T", "Step", "What"] { th scope="col" { (name) } }
                    } }
                    tbody {
                        @for event in &report.timeline {
                            tr {
                                td.time { (date_time(event.at)) }
                                td.time { (offset(report.zero(), event.at)) }
                                td.word { @if let Some(step) = &event.step { code { (step.as_str()) } } }
                                td { (kind(event.kind)) (event.text) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn kind(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Mark => "milestone: ",
        EventKind::Log => "log: ",
        _ => "",
    }
}

fn decisions(report: &Report) -> Markup {
    html! {
        section id="decisions" {
            h2 { "Decisions" }
            @if report.gates.is_empty() { p.soft { "Nobody was asked." } }
            @else {
                div.table-box {
                    table {
                        thead { tr {
                            @for name in ["Asked (UTC)", "Question", "Role", "Result", "Took", "Answers"] {
                                th scope="col" { (name) }
                            }
                        } }
                        tbody { @for gate in &report.gates { (gate_row(gate)) } }
                    }
                }
            }
        }
    }
}

fn gate_row(gate: &GateLine) -> Markup {
    let (class, word) = match gate.result {
        GateResult::Go => ("badge good", "✓ go"),
        GateResult::NoGo => ("badge bad", "✗ no-go"),
        GateResult::Switched => ("badge plain", "→ switched"),
        GateResult::Open => ("badge warn", "… open"),
    };
    html! {
        tr {
            td.time { (date_time(gate.opened_at)) }
            th scope="row" { (gate.title) code.id { (gate.step.as_str()) } }
            td.word { (gate.role.as_str()) @if gate.quorum > 1 { " (" (gate.quorum) " people)" } }
            td { span class=(class) { (word) } }
            td.number { (duration_or_dash(gate.took_ms)) }
            td { @for answer in &gate.answers { div { (said(answer)) } } }
        }
    }
}

fn said(answer: &Answer) -> Markup {
    html! {
        (time_of_day(answer.at)) ": " (answer.choice)
        @if answer.source == AnswerSource::Timeout { " by default, nobody answered" }
        @else { " by " b { (answer.by) } " as " (answer.role.as_str()) }
        " after " (duration(answer.after_ms))
        @if !answer.note.is_empty() { ": “" (answer.note) "”" }
    }
}

fn issues(report: &Report) -> Markup {
    html! {
        section id="issues" {
            h2 { "Issues found" }
            @if report.issues.is_empty() { p.soft { "The journal knows of none." } }
            @else {
                div.table-box {
                    table {
                        thead { tr {
                            @for name in ["#", "At (UTC)", "Weight", "Step", "Issue"] { th scope="col" { (name) } }
                        } }
                        tbody {
                            @for (place, issue) in report.issues.iter().enumerate() {
                                tr {
                                    td.number { (place + 1) }
                                    td.time { (date_time(issue.at)) }
                                    td { (weight(issue.severity)) }
                                    td.word { @if let Some(step) = &issue.step { code { (step.as_str()) } } }
                                    td { (issue.text) }
                                }
                            }
                        }
                    }
                }
            }
            dl.facts {
                dt { "Root causes" } dd { (blank(report.for_people.root_causes.as_deref())) }
                dt { "Contributing factors" } dd { (blank(report.for_people.contributing_factors.as_deref())) }
            }
        }
    }
}

fn weight(severity: Severity) -> Markup {
    let (class, word) = match severity {
        Severity::Note => ("badge plain", "note"),
        Severity::Warning => ("badge warn", "! warning"),
        Severity::Problem => ("badge bad", "✗ problem"),
    };
    html! { span class=(class) { (word) } }
}

fn blank(filled: Option<&str>) -> Markup {
    html! { span.blank { (filled.unwrap_or("to be filled in")) } }
}

fn actions(report: &Report) -> Markup {
    let people = &report.for_people;
    html! {
        section id="actions" {
            h2 { "Fixes and improvements" }
            dl.facts {
                dt { "Runbook" } dd { (blank(people.fixes_runbook.as_deref())) }
                dt { "Automation" } dd { (blank(people.fixes_automation.as_deref())) }
                dt { "Alerts" } dd { (blank(people.fixes_alerts.as_deref())) }
            }
            h3 { "Action items" }
            div.table-box {
                table {
                    thead { tr {
                        @for name in ["Issue", "Action", "Owner", "Due date"] { th scope="col" { (name) } }
                    } }
                    tbody {
                        @for item in &people.action_items {
                            tr {
                                td.number { (item.issue.map_or_else(|| "–".to_owned(), |number| format!("#{number}"))) }
                                td { (blank(item.action.as_deref())) }
                                td { (blank(item.owner.as_deref())) }
                                td { (blank(item.due.as_deref())) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn criteria(report: &Report) -> Markup {
    html! {
        section id="criteria" {
            h2 { "Exit criteria" }
            div.table-box {
                table {
                    thead { tr { @for name in ["Criterion", "Met", "Because"] { th scope="col" { (name) } } } }
                    tbody {
                        @for criterion in &report.exit_criteria {
                            tr {
                                th scope="row" { (criterion.text) }
                                td { (met(criterion.met)) }
                                td { (criterion.because) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn met(met: Option<bool>) -> Markup {
    let (class, word) = match met {
        Some(true) => ("badge good", "✓ met"),
        Some(false) => ("badge bad", "✗ not met"),
        None => ("badge plain", "☐ open"),
    };
    html! { span class=(class) { (word) } }
}
