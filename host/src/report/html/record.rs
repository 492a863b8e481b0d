//! The end of the page: milestones, measurements, effects, requests, evidence, items and the run's own facts.

use maud::{Markup, html};

use super::super::account::{Effect, EffectOutcome};
use super::super::model::Report;
use super::super::units::{date_time, duration, duration_or_dash, offset, quantity, shortened};

/// Longest arguments shown in the effects table, in characters; JSON has them in full.
const MAX_ARGS_CHARS: usize = 200;

/// The record that the postmortem rests on.
pub(super) fn section(report: &Report) -> Markup {
    html! {
        section id="record" {
            h2 { "Record" }
            (marks(report))
            (measurements(report))
            (effects(report))
            (egress(report))
            (evidence(report))
            (items(report))
            (facts(report))
        }
    }
}

fn marks(report: &Report) -> Markup {
    html! {
        h3 { "Milestones" }
        @if report.marks.is_empty() { p.soft { "None was set." } }
        @else {
            div.table-box {
                table {
                    thead { tr {
                        @for name in ["At (UTC)", "T", "Milestone", "Site", "Step"] { th scope="col" { (name) } }
                    } }
                    tbody {
                        @for mark in &report.marks {
                            tr {
                                td.time { (date_time(mark.at)) }
                                td.time { (offset(report.zero(), mark.at)) }
                                th scope="row" { (mark.name) }
                                td { (mark.site.as_deref().unwrap_or("–")) }
                                td.word { code { (mark.step.as_str()) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn measurements(report: &Report) -> Markup {
    html! {
        h3 { "Measurements" }
        @if report.measurements.is_empty() { p.soft { "None." } }
        @else {
            div.table-box {
                table {
                    thead { tr {
                        @for name in ["At (UTC)", "Name", "Value", "Step"] { th scope="col" { (name) } }
                    } }
                    tbody {
                        @for m in &report.measurements {
                            tr {
                                td.time { (date_time(m.at)) }
                                th scope="row" { (m.name) }
                                td { (quantity(&m.quantity)) }
                                td.word { code { (m.step.as_str()) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn effects(report: &Report) -> Markup {
    html! {
        h3 { "Effects" }
        p.soft {
            "Calls that could change the world: " (report.effects.len()) "; calls that only read: " (report.run.reads) "."
        }
        @if !report.effects.is_empty() {
            div.table-box {
                table {
                    thead { tr {
                        @for name in ["At (UTC)", "Step", "Call", "Outcome", "Attempts", "Took", "Arguments"] {
                            th scope="col" { (name) }
                        }
                    } }
                    tbody { @for effect in &report.effects { (effect_row(effect)) } }
                }
            }
        }
    }
}

fn effect_row(effect: &Effect) -> Markup {
    let (class, word) = match effect.outcome {
        EffectOutcome::Changed => ("badge good", "✓ changed"),
        EffectOutcome::Unchanged => ("badge plain", "= unchanged"),
        EffectOutcome::Answered => ("badge good", "✓ answered"),
        EffectOutcome::Failed => ("badge bad", "✗ failed"),
        EffectOutcome::Denied => ("badge bad", "⊘ denied"),
        EffectOutcome::InDoubt => ("badge warn", "? in doubt"),
    };
    html! {
        tr {
            td.time { (date_time(effect.at)) }
            td.word { code { (effect.step.as_str()) } }
            th scope="row" { code { (effect.call) } }
            td { span class=(class) { (word) } @if !effect.detail.is_empty() { div.soft { (effect.detail) } } }
            td.number { (effect.attempts) }
            td.number { (duration_or_dash(effect.took_ms)) }
            td { code { (shortened(&effect.args.to_string(), MAX_ARGS_CHARS)) } }
        }
    }
}

fn egress(report: &Report) -> Markup {
    html! {
        @if !report.egress.is_empty() {
            h3 { "Requests of providers" }
            div.table-box {
                table {
                    thead { tr {
                        @for name in ["Provider", "What", "Result", "Times", "Took in all"] { th scope="col" { (name) } }
                    } }
                    tbody {
                        @for line in &report.egress {
                            tr {
                                th scope="row" { (line.plugin.as_str()) }
                                td { code { (line.action) } }
                                td { (line.result) }
                                td.number { (line.count) }
                                td.number { (duration(line.took_ms)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn evidence(report: &Report) -> Markup {
    html! {
        h3 { "Evidence" }
        @if report.evidence.is_empty() { p.soft { "None was attached." } }
        @for item in &report.evidence {
            details {
                summary {
                    (item.name) " " span.soft {
                        (item.media_type) ", " (item.content.len()) " bytes, " code { (item.step.as_str()) } ", "
                        (date_time(item.at)) " UTC"
                    }
                }
                pre { (item.content) }
            }
        }
    }
}

fn items(report: &Report) -> Markup {
    let (done, open): (Vec<_>, Vec<_>) = report
        .items
        .iter()
        .partition(|item| !item.done_by.is_empty());
    html! {
        h3 { "Items of source runbooks" }
        @for (word, items) in [("Covered", done), ("Not covered", open)] {
            p {
                (word) ": "
                @if items.is_empty() { "none" }
                @for (place, item) in items.iter().enumerate() {
                    @if place > 0 { ", " }
                    code { (item.item.as_str()) }
                }
            }
        }
    }
}

fn facts(report: &Report) -> Markup {
    let run = &report.run;
    html! {
        h3 { "Run" }
        dl.facts {
            dt { "Run" } dd { code { (run.id.as_str()) } }
            dt { "Runbook" } dd { code { (run.runbook_digest) } }
            dt { "Plan" } dd { code { (run.plan_digest) } }
            dt { "Policy" } dd { code { (run.policy_digest) } }
            @for (name, digest) in &run.plugins {
                dt { "Plugin " (name.as_str()) } dd { code { (digest.as_str()) } }
            }
            dt { "Host" } dd { (run.host_versions.join(", ")) }
        }
    }
}
