//! The bars of the timeline: steps with budgets and waits, and the stretches that the figures stand for.

use maud::{Markup, html};

use super::super::account::{GateLine, Mark, Period, StepLine};
use super::super::events;
use super::super::model::{Leg, Objective, Report, Verdict};
use super::super::steps::waits_for_people;
use super::super::units::{duration, shortened};
use super::scale::Scale;
use super::{CHAR, LEFT, MAX_TITLE_CHARS, ROW, WIDTH, px};
use crate::clock::Instant;
use crate::journal::record::GateKind;
use crate::run::state::StepState;

/// Narrowest bar: what happened is seen, however short it was.
const MIN_BAR: f64 = 3.0;

/// Room between a bar and its text.
const GAP: f64 = 7.0;

/// A row to be drawn at a height.
type Row = Box<dyn Fn(f64) -> Markup>;

/// The row of a step.
pub(super) fn step(report: &Report, step: &StepLine, scale: &Scale, y: f64) -> Markup {
    let extent = extent(step, scale);
    html! {
        g {
            title { (hover(step)) }
            (title(&step.title, y))
            @if let Some(begun) = step.started_at {
                (budget(scale, begun, step.budget_ms, y))
            }
            @for period in &step.periods { (bar(step, period, scale, y)) }
            @for gate in report.gates.iter().filter(|gate| gate.step == step.id) {
                (asked(gate, report.run.last_record_at, scale, y))
            }
            (label(&summary(step), extent, y, step.periods.is_empty()))
        }
    }
}

/// Where the bars of a step begin and end.
fn extent(step: &StepLine, scale: &Scale) -> (f64, f64) {
    let (Some(first), Some(last)) = (step.periods.first(), step.periods.last()) else {
        return (LEFT, LEFT);
    };
    let from = scale.x(first.from);
    (from, scale.x(last.until).max(scale.x(last.from) + MIN_BAR))
}

fn title(text: &str, y: f64) -> Markup {
    html! { text class="title" x="16" y=(px(y + 17.0)) { (shortened(text, MAX_TITLE_CHARS)) } }
}

/// The text right of a bar, or left of it where the page ends.
fn label(text: &str, (from, until): (f64, f64), y: f64, muted: bool) -> Markup {
    let width = text.chars().count() as f64 * CHAR;
    let class = if muted { "value muted" } else { "value" };
    let (x, anchor) = if until + GAP + width <= WIDTH {
        (until + GAP, "start")
    } else if from - GAP - width >= LEFT {
        (from - GAP, "end")
    } else {
        (WIDTH - 2.0, "end")
    };
    html! {
        text class=(class) x=(px(x)) y=(px(y + 17.0)) text-anchor=(anchor) { (text) }
    }
}

/// The budget as an empty frame that the bar should not outgrow; open where it goes on beyond the plot.
fn budget(scale: &Scale, begun: Instant, budget_ms: u64, y: f64) -> Markup {
    let end = Instant(begun.0.saturating_add(budget_ms));
    let from = scale.x(begun);
    let until = scale.x(end).max(from + MIN_BAR);
    let (top, bottom) = (px(y + 3.5), px(y + ROW - 3.5));
    let close = if scale.shows(end) { "Z" } else { "" };
    let frame = format!("M{until:.1} {top} H{from:.1} V{bottom} H{until:.1} {close}");
    html! { path class="budget" d=(frame) {} }
}

fn bar(step: &StepLine, period: &Period, scale: &Scale, y: f64) -> Markup {
    let (from, until) = (scale.x(period.from), scale.x(period.until));
    let width = (until - from).max(MIN_BAR);
    let over_from = Instant(period.from.0.saturating_add(step.budget_ms));
    let over = period.state == StepState::Running && over_from < period.until;
    let (class, inset) = match period.state {
        state if waits_for_people(state) && state != StepState::Stuck => ("wait", 9.0),
        StepState::Stuck => ("stuck", 6.0),
        StepState::Undoing => ("undo", 6.0),
        _ if failed(step, period) => ("run failed", 6.0),
        _ => ("run", 6.0),
    };
    html! {
        rect class=(class) x=(px(from)) y=(px(y + inset)) rx="2" width=(px(width))
            height=(px(2.0f64.mul_add(-inset, ROW))) {}
        @if over {
            @let over_x = scale.x(over_from);
            rect class="over" x=(px(over_x)) y=(px(y + inset)) rx="2"
                width=(px((until - over_x).max(MIN_BAR))) height=(px(2.0f64.mul_add(-inset, ROW))) {}
        }
    }
}

/// True for a running period after which the step failed.
fn failed(step: &StepLine, period: &Period) -> bool {
    let next = step
        .periods
        .iter()
        .find(|next| next.from >= period.until && next.state != period.state);
    let after = next.map_or(step.state, |next| next.state);
    period.state == StepState::Running && matches!(after, StepState::Failed | StepState::Stuck)
}

/// A question during the bar: a diamond where it was asked, a line until it was answered. Gates before and after a
/// step, and after a failure, are periods of their own.
fn asked(gate: &GateLine, last: Instant, scale: &Scale, y: f64) -> Markup {
    if !matches!(gate.kind, GateKind::Question | GateKind::OverBudget) {
        return html! {};
    }
    let until = gate
        .took_ms
        .map_or(last, |ms| Instant(gate.opened_at.0.saturating_add(ms)));
    let (from, until) = (scale.x(gate.opened_at), scale.x(until));
    let line_y = y + ROW - 3.0;
    let diamond = format!("M{} {line_y:.1} l4 -4 l4 4 l-4 4 z", px(from - 4.0));
    html! {
        line class="asked" x1=(px(from)) x2=(px(until)) y1=(px(line_y)) y2=(px(line_y)) {}
        path class="asked-dot" d=(diamond) {}
    }
}

/// What is written beside the bar: short, as the bar itself shows waits and attempts.
fn summary(step: &StepLine) -> String {
    let took = duration(step.took_ms.unwrap_or(0));
    let mut text = match step.state {
        StepState::Done => format!("✓ {took}"),
        StepState::Failed | StepState::Stuck if step.took_ms.is_some() => {
            format!("✗ {}, {took}", events::state(step.state))
        }
        StepState::Running => format!("… running, {took}"),
        state => events::state(state).to_owned(),
    };
    if let Some(over) = step.over_budget_ms {
        text.push_str(&format!(", {} over", duration(over)));
    }
    text
}

fn hover(step: &StepLine) -> String {
    format!(
        "{} ({}): {}; budget {}, {} attempt(s), {} of waiting for people. {}",
        step.title,
        step.id,
        summary(step),
        duration(step.budget_ms),
        step.attempts,
        duration(step.waited_for_people_ms),
        step.detail
    )
}

/// The stretch of time whose writes are lost: it ends at the outage, as far as that is known.
pub(super) fn lost(leg: &Leg, marks: &[&Mark]) -> Option<(Instant, Instant)> {
    let loss = leg.rpo.achieved_ms?;
    let at = |name: &str| {
        marks
            .iter()
            .find(|mark| mark.name == name)
            .map(|mark| mark.at)
    };
    let end = leg
        .outage_began_at
        .or(at("outage-detected"))
        .or(at("frozen"))
        .or(leg.begun_at)?;
    Some((Instant(end.0.saturating_sub(loss)), end))
}

/// The rows for recovery time, recovery point and DNS convergence.
pub(super) fn figures(leg: &Leg, marks: &[&Mark], scale: &Scale) -> Vec<Row> {
    let rto = leg.rto_from.zip(leg.served_at);
    let rto_from = leg.rto_from.filter(|_| leg.served_at.is_some());
    let flip = leg
        .dns
        .as_ref()
        .map(|dns| (dns.flipped_at, dns.converged_at));
    let converged = flip.and_then(|(from, until)| Some((from, until?)));
    let dns = leg.dns.as_ref().map_or_else(
        || "no flip".to_owned(),
        |dns| match dns.took_ms {
            Some(ms) => format!("clients followed in {}", duration(ms)),
            None => "flipped, not seen to converge".to_owned(),
        },
    );
    vec![
        figure("Recovery time (RTO)", rto, rto_from, &leg.rto, scale),
        figure("Lost data (RPO)", lost(leg, marks), None, &leg.rpo, scale),
        stretch("DNS convergence", converged, None, "dns", dns, scale),
    ]
}

fn figure(
    name: &'static str,
    stretch_of: Option<(Instant, Instant)>,
    target_from: Option<Instant>,
    objective: &Objective,
    scale: &Scale,
) -> Row {
    let target = duration(objective.target_ms);
    let (class, text) = match (objective.verdict, objective.achieved_ms) {
        (Verdict::Met, Some(ms)) => ("met", format!("✓ {} of {target}", duration(ms))),
        (_, Some(ms)) => ("missed", format!("✗ {} of {target}, missed", duration(ms))),
        (_, None) => ("missed", format!("no figure, objective {target}")),
    };
    let budget = target_from.map(|from| (from, objective.target_ms));
    stretch(name, stretch_of, budget, class, text, scale)
}

fn stretch(
    name: &'static str,
    stretch_of: Option<(Instant, Instant)>,
    target: Option<(Instant, u64)>,
    class: &'static str,
    text: String,
    scale: &Scale,
) -> Row {
    let scale = *scale;
    Box::new(move |y| {
        let at = stretch_of.map(|(from, until)| (scale.x(from), scale.x(until)));
        html! {
            (title(name, y))
            @if let Some((from, ms)) = target { (budget(&scale, from, ms, y)) }
            @if let Some((from, until)) = at {
                rect class=(format!("figure {class}")) x=(px(from)) y=(px(y + 6.0)) rx="2"
                    width=(px((until - from).max(MIN_BAR))) height=(px(ROW - 12.0)) {}
            }
            (label(&text, at.map_or((LEFT, LEFT), |(from, until)| (from, until.max(from + MIN_BAR))), y, at.is_none()))
        }
    })
}
