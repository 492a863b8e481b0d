//! A campaign as one self-contained page: no script, nothing fetched, light and dark, fit to be printed and to be read
//! aloud. Its style is that of the reports, and so are its rules on other people's text.
//!
//! Start at [`render`]; the drawings are in `html/plot.rs`. Everything a drawing says, a table says too.

mod plot;

use maud::{Markup, html};

use super::summary::{BrokenRule, LegSummary, Summary, Target};
use crate::report::html::page;
use crate::report::units::duration;
use crate::statistics::{Distribution, Probability};

/// What this page has beyond a report.
const OWN_STYLE: &str = include_str!("html/style.css");

/// The page. `reproduce` is the command that repeats the run of a seed.
#[must_use]
pub fn render(summaries: &[Summary], reproduce: &dyn Fn(&Summary, u64) -> String) -> String {
    let runbook = summaries.first().map_or("", |summary| &summary.runbook);
    let body = html! {
        (head(runbook, summaries))
        main {
            @for summary in summaries { (scenario(summary, reproduce)) }
        }
        footer {
                    "Percentiles are by nearest rank; a time that never came counts as longer than any other. Intervals are "
                    "95 % score intervals (Wilson). The same seeds give the same page."
                }
    };
    page(&format!("Campaign: {runbook}"), OWN_STYLE, &body)
}

fn head(runbook: &str, summaries: &[Summary]) -> Markup {
    let runs: u64 = summaries.iter().map(|summary| summary.runs).sum();
    let broken = summaries.iter().any(|summary| !summary.broken.is_empty());
    html! {
        header.page {
            p {
                @if broken { span class="badge bad" { "✗ rules were broken" } }
                @else { span class="badge good" { "✓ no rule was broken" } }
                " " span.soft { "Simulated worlds: nothing real was touched." }
            }
            h1 { "Campaign: " (runbook) }
            p.soft { (runs) " rehearsals of " (summaries.len()) " scenario(s)" }
            (plot::patterns())
            nav aria-label="Scenarios" {
                @for summary in summaries {
                    a href=(format!("#{}", anchor(summary))) { (summary.scenario) }
                }
            }
        }
    }
}

/// An id that is one, whatever the scenario is called.
fn anchor(summary: &Summary) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    format!(
        "scenario-{}",
        summary.scenario.chars().map(safe).collect::<String>()
    )
}

fn scenario(summary: &Summary, reproduce: &dyn Fn(&Summary, u64) -> String) -> Markup {
    let strategies: Vec<&str> = summary.procedure.iter().map(|name| name.as_str()).collect();
    let endings = summary.endings;
    html! {
        section id=(anchor(summary)) {
            h2 { (summary.scenario) }
            p { (summary.about) }
            p.soft {
                (strategies.join(", then ")) "; " (summary.runs) " runs, seeds from " (summary.first_seed) ". Ended: "
                (endings.recovered) " recovered, " (endings.undone) " undone, " (endings.stuck) " stuck"
                @if endings.none > 0 { ", " (endings.none) " without an outcome" } "."
            }
            div.cards {
                (card("RTO", &summary.rto, summary.is_to_recover))
                (card("RPO", &summary.rpo, summary.is_to_recover))
                div.card {
                    h3 { "Lost writes" }
                    div.big { (summary.lost_writes.p95) }
                    div.small { "at most, in 95 of 100 runs; half of the runs " (summary.lost_writes.p50) ", worst " (summary.lost_writes.max) }
                }
            }
            div.pair {
                div.figure-box { h3 { "RTO, outage to served" } (plot::histogram("RTO", &summary.rto)) }
                div.figure-box { h3 { "RPO, age of what is lost" } (plot::histogram("RPO", &summary.rpo)) }
            }
            (figures(summary))
            @for (title, shares) in [
                ("What the time until served was made of", &summary.path_to_served),
                ("What the whole time was made of", &summary.path_to_end),
            ] {
                @if !shares.is_empty() {
                    h3 { (title) }
                    div.figure-box { (plot::shares(title, shares)) }
                }
            }
            h3 { "Broken rules" }
            @if summary.broken.is_empty() { p { "None." } }
            @for broken in &summary.broken { (broken_rule(summary, broken, reproduce)) }
            @if !summary.missed.is_empty() {
                h3 { "Expectations of the scenario that were missed" }
                ul { @for (what, runs) in &summary.missed { li { code { (what) } " in " (runs) " of " (summary.runs) " runs" } } }
            }
        }
    }
}

fn card(name: &str, target: &Target, is_to_recover: bool) -> Markup {
    let (class, word) = match target.met.share {
        _ if !is_to_recover => ("badge plain", "no recovery is meant"),
        share if share >= 0.95 => ("badge good", "✓ in 95 of 100 runs or more"),
        share if share >= 0.5 => ("badge warn", "– in less than 95 of 100 runs"),
        _ => ("badge bad", "✗ in less than half of the runs"),
    };
    html! {
        div.card {
            h3 { (name) " within " (duration(target.target_ms)) }
            div.big { (percent(target.met.share)) }
            div { span class=(class) { (word) } }
            div.small { (interval(&target.met)) }
            div.small { "p50 " (or_never(target.truth.p50_ms)) ", p95 " (or_never(target.truth.p95_ms)) ", p99 " (or_never(target.truth.p99_ms)) }
        }
    }
}

fn figures(summary: &Summary) -> Markup {
    html! {
        div.table-box {
            table {
                caption { "What clients and data say, and what the strategies report" }
                thead { tr {
                    th scope="col" { "Figure" } th scope="col" { "Met" } th scope="col" { "p50" } th scope="col" { "p95" }
                    th scope="col" { "p99" } th scope="col" { "Longest" } th scope="col" { "Never" }
                } }
                tbody {
                    (row("RTO, true", Some(&summary.rto.met), &summary.rto.truth))
                    (row("RTO, reported", None, &summary.rto.reported))
                    (row("RPO, true", Some(&summary.rpo.met), &summary.rpo.truth))
                    (row("RPO, reported", None, &summary.rpo.reported))
                    @for leg in &summary.legs { (leg_rows(leg)) }
                }
            }
        }
        @for (name, target) in [("RTO", &summary.rto), ("RPO", &summary.rpo)] {
            @if target.difference.runs > 0 { p.soft { (name) ": " (difference(target)) } }
        }
    }
}

fn leg_rows(leg: &LegSummary) -> Markup {
    let name = leg.strategy.as_str();
    html! {
        (row(&format!("{name}: RTO, reported"), Some(&leg.rto_met), &leg.rto))
        (row(&format!("{name}: RPO, reported"), Some(&leg.rpo_met), &leg.rpo))
    }
}

fn row(name: &str, met: Option<&Probability>, times: &Distribution) -> Markup {
    html! {
        tr {
            th scope="row" { (name) }
            td.number { @if let Some(met) = met { (percent(met.share)) " " span.soft { (interval(met)) } } @else { "–" } }
            @for time in [times.p50_ms, times.p95_ms, times.p99_ms, times.max_ms] { td.number { (or_never(time)) } }
            td.number { (times.never) }
        }
    }
}

fn broken_rule(
    summary: &Summary,
    broken: &BrokenRule,
    reproduce: &dyn Fn(&Summary, u64) -> String,
) -> Markup {
    let seeds: Vec<String> = broken.seeds.iter().map(u64::to_string).collect();
    let more = if broken.seeds.len() < usize::try_from(broken.runs).unwrap_or(usize::MAX) {
        ", …"
    } else {
        ""
    };
    let first = broken.seeds.first().copied().unwrap_or(summary.first_seed);
    html! {
        div.card {
            p { span class="badge bad" { "✗ " (broken.code) " " (broken.name) } " in " (broken.runs) " of " (summary.runs) " runs" }
            p { "Seed " (first) ": " (broken.message) }
            p.soft { "Seeds " (seeds.join(", ")) (more) }
            p { code { (reproduce(summary, first)) } }
            @if broken.minimal.troubles.is_empty() { p { "The scenario alone breaks it." } }
            @else {
                p { "It takes:" }
                ul { @for trouble in &broken.minimal.troubles { li { (trouble.name) } } }
            }
            details {
                summary { "The smallest scenario that breaks it" }
                pre { (broken.minimal.scenario_toml) }
            }
        }
    }
}

/// How far reported figures are from the truth, in a sentence.
#[must_use]
pub fn difference(target: &Target) -> String {
    let difference = &target.difference;
    let percent_of =
        |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |p| format!("{p:.1} %"));
    format!(
        "reported and true differ by {} over all runs together, by {} in the middle and {} at most ({}); by more than 5 % in {} of the runs; {} of the runs look better than they were",
        percent_of(difference.mean_percent),
        percent_of(difference.median_percent),
        percent_of(difference.max_percent),
        difference.max_ms.map_or_else(|| "–".to_owned(), duration),
        percent(difference.flagged_share),
        percent(difference.too_good_share)
    )
}

/// A share in per cent.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// The interval of a probability in per cent.
#[must_use]
pub fn interval(probability: &Probability) -> String {
    format!(
        "{:.1} to {:.1} %",
        probability.low * 100.0,
        probability.high * 100.0
    )
}

/// A time, or that it never comes.
#[must_use]
pub fn or_never(ms: Option<u64>) -> String {
    ms.map_or_else(|| "never".to_owned(), duration)
}
