//! One leg of a run as an SVG drawing: lanes by role, a bar per step with its budget, waits for people, milestones,
//! and the stretches that RTO, RPO and DNS convergence stand for.
//!
//! Start at [`draw`]. Colours come from the page's style sheet; what a colour says, a pattern, a symbol or a word
//! says too. The tables of the page hold the same facts as text.

mod bars;
mod scale;

use maud::{Markup, html};

use super::account::{Mark, StepLine};
use super::model::{Leg, LegStart, Report};
use super::units::{duration, offset, shortened, time_of_day};
use crate::clock::Instant;
use scale::Scale;

/// Width of the drawing in its own pixels; the page scales it.
const WIDTH: f64 = 1240.0;
/// Where the plot begins: left of it are the titles.
const LEFT: f64 = 316.0;
/// Room on the right for labels of what ends late.
const RIGHT: f64 = 186.0;
/// Height of a row with a bar.
const ROW: f64 = 26.0;
/// Height of a lane's heading.
const HEADING: f64 = 24.0;
/// Height of a row of milestone labels.
const LABEL_ROW: f64 = 17.0;
/// Width of a character of a label, rounded up: labels are placed by it.
const CHAR: f64 = 6.4;
/// Longest title left of the plot, in characters.
const MAX_TITLE_CHARS: usize = 46;
/// Longest label of a milestone, in characters.
const MAX_MARK_CHARS: usize = 26;

/// The drawing of this leg; `None` where no step of it was begun.
pub(super) fn draw(report: &Report, leg: &Leg) -> Option<Markup> {
    let zero = leg.begun_at?;
    let own = |strategy: &str| strategy == leg.strategy.as_str();
    let steps: Vec<&StepLine> = report
        .steps
        .iter()
        .filter(|step| own(step.id.strategy()))
        .collect();
    let marks: Vec<&Mark> = report
        .marks
        .iter()
        .filter(|mark| own(mark.step.strategy()))
        .collect();
    let (from, to) = span(report, leg, &steps, &marks)?;
    let drawing = Drawing {
        report,
        leg,
        zero,
        scale: Scale::new(from, to, LEFT, WIDTH - LEFT - RIGHT),
        lanes: lanes(&steps),
        marks,
    };
    Some(drawing.svg())
}

/// From the first thing that happened to the last, with the beginning of the outage and the lost stretch of data where they
/// are in proportion.
fn span(
    report: &Report,
    leg: &Leg,
    steps: &[&StepLine],
    marks: &[&Mark],
) -> Option<(Instant, Instant)> {
    let periods = || steps.iter().flat_map(|step| &step.periods);
    let begun = periods().map(|period| period.from);
    let first = begun.chain(marks.iter().map(|m| m.at)).min()?;
    let ended = periods().map(|period| period.until);
    let last = ended.chain(marks.iter().map(|m| m.at)).max()?;
    let last = last.min(report.run.last_record_at).max(first);
    let in_proportion = |at: &Instant| first.0.saturating_sub(at.0) * 4 <= last.0 - first.0;
    let lost_from = bars::lost(leg, marks).map(|(from, _)| from);
    let before = [lost_from, leg.rto_from].into_iter().flatten();
    let from = before.filter(in_proportion).min().unwrap_or(first);
    Some((from.min(first), last))
}

/// Roles in the order of their first step, each with its steps in the order of their beginning.
fn lanes<'a>(steps: &[&'a StepLine]) -> Vec<(&'a str, Vec<&'a StepLine>)> {
    let mut ordered: Vec<&StepLine> = steps.to_vec();
    let begun = |step: &StepLine| step.periods.first().map(|period| period.from);
    ordered.sort_by_key(|step| (begun(step).is_none(), begun(step)));
    let mut lanes: Vec<(&str, Vec<&StepLine>)> = Vec::new();
    for step in ordered {
        let role = step.role.as_str();
        match lanes.iter_mut().find(|(known, _)| *known == role) {
            Some((_, steps)) => steps.push(step),
            None => lanes.push((role, vec![step])),
        }
    }
    lanes
}

struct Drawing<'a> {
    report: &'a Report,
    leg: &'a Leg,
    zero: Instant,
    scale: Scale,
    lanes: Vec<(&'a str, Vec<&'a StepLine>)>,
    marks: Vec<&'a Mark>,
}

impl Drawing<'_> {
    fn svg(&self) -> Markup {
        let labels: Vec<(f64, String)> = self.marks.iter().map(|mark| self.label(mark)).collect();
        let extents: Vec<(f64, f64)> = labels
            .iter()
            .map(|(x, text)| (*x, (text.chars().count() as f64).mul_add(CHAR, 12.0)))
            .collect();
        let rows = scale::rows(&extents);
        let label_rows = rows.iter().max().map_or(0, |row| row + 1);
        let axis = 8.0 + label_rows as f64 * LABEL_ROW + 16.0;
        let top = axis + 8.0;
        let figures = bars::figures(self.leg, &self.marks, &self.scale);
        let mut body = Vec::new();
        let mut y = top;
        body.push(self.heading("objectives", y));
        y += HEADING;
        for figure in figures {
            body.push(figure(y));
            y += ROW;
        }
        for (role, steps) in &self.lanes {
            body.push(self.heading(role, y));
            y += HEADING;
            for step in steps {
                body.push(bars::step(self.report, step, &self.scale, y));
                y += ROW;
            }
        }
        let height = y + 34.0;
        let name = format!("timeline-{}", self.leg.strategy);
        html! {
            svg class="timeline" viewBox=(format!("0 0 {WIDTH} {height:.0}")) role="img"
                aria-labelledby=(format!("{name}-title {name}-text")) {
                title id=(format!("{name}-title")) { "Timeline of " (self.leg.strategy.as_str()) }
                desc id=(format!("{name}-text")) { (self.description()) }
                (self.grid(axis, y))
                @for ((x, _), row) in labels.iter().zip(&rows) {
                    line class="mark" x1=(px(*x)) x2=(px(*x)) y1=(px(label_y(*row))) y2=(px(y)) {}
                }
                (self.ticks(axis, y))
                @for part in body { (part) }
                @for ((x, text), row) in labels.iter().zip(&rows) {
                    circle class="mark-dot" cx=(px(*x)) cy=(px(label_y(*row) + 2.0)) r="2.5" {}
                    text class="mark-label" x=(px(x + 6.0)) y=(px(label_y(*row) + 6.0)) { (text) }
                }
                text class="axis-name" x=(px(LEFT)) y=(px(y + 30.0)) { (self.axis_name()) }
            }
        }
    }

    /// Where a milestone's label begins, and what it says.
    fn label(&self, mark: &Mark) -> (f64, String) {
        let site = mark
            .site
            .as_ref()
            .map_or(String::new(), |site| format!(" {site}"));
        let t = offset(self.zero, mark.at);
        let name = shortened(&format!("{}{site}", mark.name), MAX_MARK_CHARS);
        (
            self.scale.x(mark.at),
            format!("{name} {}", t.trim_start_matches('T')),
        )
    }

    fn heading(&self, role: &str, y: f64) -> Markup {
        html! {
            rect class="lane" x="0" y=(px(y + 3.0)) width=(px(WIDTH)) height=(px(HEADING - 5.0)) {}
            text class="lane-name" x="8" y=(px(y + 17.0)) { (role) }
        }
    }

    fn grid(&self, axis: f64, bottom: f64) -> Markup {
        html! {
            @for (at, _) in self.scale.ticks(self.zero) {
                @let x = px(self.scale.x(at));
                line class=(if at == self.zero { "zero" } else { "grid" }) x1=(x) x2=(x) y1=(px(axis)) y2=(px(bottom)) {}
            }
        }
    }

    fn ticks(&self, axis: f64, bottom: f64) -> Markup {
        html! {
            @for (at, label) in self.scale.ticks(self.zero) {
                @for y in [axis - 3.0, bottom + 14.0] {
                    text class="tick" x=(px(self.scale.x(at))) y=(px(y)) { (label) }
                }
            }
        }
    }

    fn axis_name(&self) -> String {
        let zero = match self.leg.begun_by {
            LegStart::Declared => "declared",
            LegStart::FirstStep | LegStart::NotBegun => "its first step",
        };
        format!("minutes since {zero}, {} UTC", time_of_day(self.zero))
    }

    fn description(&self) -> String {
        let steps: usize = self.lanes.iter().map(|(_, steps)| steps.len()).sum();
        let served = self.leg.begun_to_served_ms.map_or_else(
            || "not served".to_owned(),
            |ms| format!("served after {}", duration(ms)),
        );
        format!(
            "{steps} steps in {} lanes; {served}. The tables below hold the same facts.",
            self.lanes.len()
        )
    }
}

/// Where a row of milestone labels begins.
fn label_y(row: usize) -> f64 {
    8.0 + row as f64 * LABEL_ROW
}

/// A pixel with one decimal.
fn px(value: f64) -> String {
    format!("{value:.1}")
}
