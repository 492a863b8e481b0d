//! The report as one self-contained page: no script, nothing fetched, light and dark, fit to be printed and to be read
//! aloud.
//!
//! Start at [`render`]. Every text is escaped by the templates; the page also forbids scripts and loading for itself,
//! so that even a mistake in here could not make evidence run.

mod record;
mod story;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::model::{Comparison, Leg, Objective, Report, Standing, Truth, Verdict};
use super::timeline;
use super::units::{date_time, duration, duration_or_dash, figure, lines, time_of_day};
use crate::journal::record::{Mode, Stage};

/// The style sheet, written into the page.
const STYLE: &str = include_str!("html/style.css");

/// What the page may load: nothing; its own style sheet is the exception.
const CONTENT_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// A page with this title and body; `own_style` comes after the style sheet that all pages share.
pub(crate) fn page(title: &str, own_style: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(CONTENT_POLICY);
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(own_style)) }
            }
            body { (body) }
        }
    };
    // Whatever part a text came from, nothing in the page steers the reader's screen.
    let mut text = lines(&page.into_string());
    text.push('\n');
    text
}

/// The report as an HTML page.
#[must_use]
pub fn render(report: &Report) -> String {
    let title = format!("{}: {}", report.run.runbook, standing(report).1);
    let body = html! {
        (head(report))
        main {
            @for leg in &report.legs { (leg_section(report, leg)) }
            @if let Some(truth) = &report.truth { (truth_section(truth)) }
            (story::sections(report))
            (record::section(report))
        }
        (foot(report))
    };
    page(&title, "", &body)
}

/// Badge class and words for how the run stands.
fn standing(report: &Report) -> (&'static str, &'static str) {
    match report.conclusion.ending {
        Standing::Recovered => ("badge good", "✓ recovered"),
        Standing::Undone => ("badge warn", "↶ failed and taken back"),
        Standing::Stuck => ("badge bad", "✗ stuck, a human is needed"),
        Standing::Ready => ("badge good", "✓ ready"),
        Standing::NotReady => ("badge bad", "✗ not ready"),
        Standing::Unfinished => ("badge warn", "… unfinished"),
    }
}

fn head(report: &Report) -> Markup {
    let run = &report.run;
    let (class, words) = standing(report);
    html! {
        header.page {
            p { span class=(class) { (words) } " " (stage(report)) }
            h1 { "Postmortem: " (run.runbook) }
            p.soft { (report.conclusion.detail) }
            dl.facts {
                dt { "Date and time" }
                dd {
                    (date_time(run.started_at)) " to " (date_time(report.conclusion.at.unwrap_or(run.last_record_at)))
                    " UTC, " (duration(run.elapsed_ms)) ", started by " (run.started_by)
                    @if run.resumes > 0 { ", taken over by a host " (run.resumes) " time(s)" }
                }
                dt { "Scope" }
                dd { (scope(report)) }
                @if !report.scope.excluded.is_empty() {
                    dt { "Excluded" }
                    dd { (excluded(report)) }
                }
            }
            nav aria-label="Sections" {
                @for (place, name) in [
                    ("steps", "Steps"), ("decisions", "Decisions"), ("issues", "Issues"), ("actions", "Fixes and actions"),
                    ("criteria", "Exit criteria"), ("record", "Record"),
                ] { a href=(format!("#{place}")) { (name) } }
            }
        }
    }
}

fn stage(report: &Report) -> Markup {
    html! {
        @match &report.scope.stage {
            Stage::Live => span class="badge plain" { "live" },
            Stage::Rehearsal { seed, scenario, .. } => {
                span class="badge plain" { "rehearsal" }
                span.soft { " scenario " (scenario) ", seed " (seed) ". A simulated world: nothing real was touched." }
            }
        }
    }
}

fn scope(report: &Report) -> String {
    let scope = &report.scope;
    let strategies: Vec<&str> = scope.strategies.iter().map(|name| name.as_str()).collect();
    let mode = match scope.mode {
        Mode::Graceful => "graceful, the site that is left answers",
        Mode::Ungraceful => "ungraceful, the site that is left may be dead",
    };
    format!(
        "{}; sites {}; {mode}; {} of {} planned steps were begun",
        strategies.join(", then "),
        scope.sites.join(" and "),
        scope.steps_begun,
        scope.steps_planned
    )
}

fn excluded(report: &Report) -> Markup {
    let excluded = &report.scope.excluded;
    html! {
        details open[excluded.len() <= 4] {
            summary { (excluded.len()) " step(s)" }
            ul {
                @for step in excluded { li { code { (step.step.as_str()) } @if !step.title.is_empty() { " " (step.title) } ": " (step.reason) } }
            }
        }
    }
}

fn leg_section(report: &Report, leg: &Leg) -> Markup {
    let site = leg
        .to_site
        .as_ref()
        .map_or(String::new(), |site| format!(" to {site}"));
    html! {
        section {
            h2 { (leg.strategy.as_str()) (site) }
            div.cards {
                (objective_card("RTO observed", &leg.rto, &rto_notes(leg)))
                (objective_card("RPO observed", &leg.rpo, &rpo_notes(leg)))
                (dns_card(leg))
            }
            @if let Some(drawing) = timeline::draw(report, leg) {
                div.figure-box { (drawing) (legend()) }
            } @else {
                p.soft { "No step of this strategy was begun." }
            }
        }
    }
}

fn objective_card(name: &str, objective: &Objective, notes: &[String]) -> Markup {
    let (class, word) = match objective.verdict {
        Verdict::Met => ("badge good", "✓ met"),
        Verdict::Missed => ("badge bad", "✗ missed"),
        Verdict::Unknown => ("badge warn", "– no figure"),
    };
    html! {
        div.card {
            h3 { (name) }
            div.big { (duration_or_dash(objective.achieved_ms)) }
            div {
                span class=(class) { (word) } " "
                span.small { "objective " (duration(objective.target_ms)) }
            }
            div.small { (objective.basis) }
            @for note in notes { div.small { (note) } }
        }
    }
}

fn rto_notes(leg: &Leg) -> Vec<String> {
    let mut notes = Vec::new();
    let judged = duration_or_dash(leg.rto.achieved_ms);
    if let Some(ms) = leg.begun_to_served_ms.filter(|ms| duration(*ms) != judged) {
        notes.push(format!("{} from its beginning until served", duration(ms)));
    }
    if let Some(ms) = leg.rto_from_detection_ms {
        notes.push(format!("{} from the detection of the outage", duration(ms)));
    }
    if let Some(ms) = leg.writes_stopped_ms.filter(|ms| duration(*ms) != judged) {
        notes.push(format!("writes stopped for {}", duration(ms)));
    }
    notes
}

/// Measured figures besides the one that counts.
fn rpo_notes(leg: &Leg) -> Vec<String> {
    [
        ("replication lag", leg.replication_lag_ms),
        ("age of the backup", leg.backup_age_ms),
    ]
    .into_iter()
    .filter(|(name, _)| leg.rpo.basis != *name)
    .filter_map(|(name, ms)| Some(format!("{name} {}", duration(ms?))))
    .collect()
}

fn dns_card(leg: &Leg) -> Markup {
    html! {
        div.card {
            h3 { "DNS convergence" }
            @match &leg.dns {
                None => { div.big { "–" } div.small { "no flip" } },
                Some(dns) => {
                    div.big { (duration_or_dash(dns.took_ms)) }
                    div.small {
                        "flipped " (time_of_day(dns.flipped_at))
                        @match dns.converged_at {
                            Some(at) => { ", converged " (time_of_day(at)) " UTC" },
                            None => " UTC, not seen to converge",
                        }
                    }
                }
            }
        }
    }
}

/// What the drawing's shapes mean, with the patterns they use.
fn legend() -> Markup {
    let samples = [
        ("run", "runs"),
        ("wait", "waits for people"),
        ("over", "over its budget"),
        ("failed", "failed or stuck"),
        ("budget", "budget or objective"),
    ];
    html! {
        svg width="0" height="0" aria-hidden="true" style="position:absolute" {
            defs {
                (hatch("hatch-bad", "var(--bad)", "45"))
                (hatch("hatch-over", "var(--warn)", "-45"))
                (hatch("hatch-wait", "var(--wait)", "90"))
            }
        }
        ul.legend aria-label="Legend" {
            @for (class, words) in samples {
                li {
                    svg viewBox="0 0 26 12" aria-hidden="true" {
                        rect class=(class) x="1" y="1" width="24" height="10" rx="2" {}
                    }
                    (words)
                }
            }
            li { "◆ a question to people, the line ends with the answer" }
            li { "┊ milestone" }
        }
    }
}

fn hatch(id: &str, color: &str, angle: &str) -> Markup {
    html! {
        pattern id=(id) width="5" height="5" patternUnits="userSpaceOnUse" patternTransform=(format!("rotate({angle})")) {
            rect width="5" height="5" fill="var(--card)" {}
            rect width="2.6" height="5" fill=(color) {}
        }
    }
}

fn truth_section(truth: &Truth) -> Markup {
    html! {
        section {
            h2 { "Reported and true" }
            div.table-box {
                table {
                    caption { "What the runbook reports, beside what the simulated clients and data say" }
                    thead { tr {
                        th scope="col" { "Figure" } th scope="col" { "Reported" } th scope="col" { "True" }
                        th scope="col" { "Difference" } th scope="col" { "Verdict" }
                    } }
                    tbody {
                        @if let Some(rto) = &truth.rto { (comparison_row("RTO", rto)) }
                        @if let Some(rpo) = &truth.rpo { (comparison_row("RPO", rpo)) }
                    }
                }
            }
            p { (truth.lost_writes) " of " (truth.acknowledged_writes) " acknowledged writes are missing." }
            @if !truth.figures.is_empty() {
                dl.facts {
                    @for (name, value) in &truth.figures { dt { (name) } dd { (figure(name, *value)) } }
                }
            }
        }
    }
}

fn comparison_row(name: &str, comparison: &Comparison) -> Markup {
    let percent = comparison.difference_percent;
    html! {
        tr {
            th scope="row" { (name) " " span.soft { (comparison.basis) } }
            td.number { (duration_or_dash(comparison.reported_ms)) }
            td.number { (duration_or_dash(comparison.truth_ms)) }
            td.number { (percent.map_or_else(|| "–".to_owned(), |percent| format!("{percent:+.1} %"))) }
            td {
                @if comparison.flagged { span class="badge bad" { "✗ differs" } }
                @else { span class="badge good" { "✓ agrees" } }
            }
        }
    }
}

fn foot(report: &Report) -> Markup {
    html! {
        footer {
            "From the journal of run " code { (report.run.id.as_str()) } ", " (report.run.records)
            " records, the last is " code { (report.run.last_hash) } ". The same journal gives the same page."
        }
    }
}
