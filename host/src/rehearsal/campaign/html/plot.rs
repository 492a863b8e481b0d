//! The drawings of a campaign's page as SVG: histograms and bars.

use maud::{Markup, html};

use crate::rehearsal::campaign::summary::{Share, Target};
use crate::report::units::{duration, shortened};
use crate::statistics::Distribution;

/// Size of a histogram in its own pixels; the page scales it.
const WIDTH: f64 = 620.0;
const HEIGHT: f64 = 230.0;
/// Room around its plot.
const LEFT: f64 = 24.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 30.0;

/// Size of the bars of shares.
const SHARE_WIDTH: f64 = 1240.0;
const SHARE_LEFT: f64 = 280.0;
const SHARE_RIGHT: f64 = 240.0;
const SHARE_ROW: f64 = 22.0;

/// Most bars: what is left is in the JSON.
const MAX_SHARES: usize = 14;

/// Longest name of a step left of its bar, in characters.
const MAX_NAME_CHARS: usize = 40;

/// The patterns that other drawings use.
pub(super) fn patterns() -> Markup {
    html! {
        svg width="0" height="0" aria-hidden="true" style="position:absolute" {
            defs {
                pattern id="hatch-bad" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect width="5" height="5" fill="var(--card)" {}
                    rect width="2.6" height="5" fill="var(--bad)" {}
                }
            }
        }
    }
}

/// How often a figure was what: the truth as bars, hatched where the objective is missed.
pub(super) fn histogram(name: &str, target: &Target) -> Markup {
    let truth = &target.truth;
    let Some(axis) = Axis::of(truth) else {
        return html! { p.soft { "It never happened." } };
    };
    let most = truth
        .bins
        .iter()
        .map(|bin| bin.runs)
        .max()
        .unwrap_or(1)
        .max(1);
    let height = |runs: u64| (HEIGHT - TOP - BOTTOM) * runs as f64 / most as f64;
    let base = HEIGHT - BOTTOM;
    let label = format!(
        "Histogram of the {name} of {} runs, from {} to {}",
        truth.runs,
        duration(axis.from_ms),
        duration(axis.to_ms)
    );
    html! {
        svg.histogram viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(label) {
            @for bin in &truth.bins {
                @let (x, next) = (axis.x(bin.from_ms), axis.x(bin.from_ms + truth.bin_ms));
                @let over = bin.from_ms >= target.target_ms;
                rect class=(if over { "bin over" } else { "bin" }) x=(px(x + 1.0)) y=(px(base - height(bin.runs)))
                    width=(px((next - x - 2.0).max(1.0))) height=(px(height(bin.runs))) {
                    title { (duration(bin.from_ms)) " to " (duration(bin.from_ms + truth.bin_ms)) ": " (bin.runs) " runs" }
                }
                @if bin.runs > 0 {
                    text.count x=(px(x.midpoint(next))) y=(px(base - height(bin.runs) - 4.0)) { (bin.runs) }
                }
            }
            line.grid x1=(px(LEFT)) x2=(px(WIDTH - RIGHT)) y1=(px(base)) y2=(px(base)) {}
            @for ms in axis.ticks() {
                text.tick x=(px(axis.x(ms))) y=(px(base + 16.0)) { (duration(ms)) }
            }
            @if target.target_ms > axis.from_ms && target.target_ms < axis.to_ms {
                @let x = axis.x(target.target_ms);
                line.target x1=(px(x)) x2=(px(x)) y1="14" y2=(px(base)) {}
                text.target-label x=(px(x + 4.0)) y="12" { "objective " (duration(target.target_ms)) }
            } @else {
                text.target-label x=(px(WIDTH - RIGHT)) y="12" text-anchor="end" { "objective " (duration(target.target_ms)) }
            }
            @if truth.never > 0 { text.target-label x=(px(LEFT)) y="12" { "never: " (truth.never) } }
        }
    }
}

/// Times on the width of a histogram.
struct Axis {
    from_ms: u64,
    to_ms: u64,
    step_ms: u64,
}

impl Axis {
    fn of(times: &Distribution) -> Option<Self> {
        let (first, last) = (times.bins.first()?, times.bins.last()?);
        let bins = u64::try_from(times.bins.len()).unwrap_or(u64::MAX);
        Some(Self {
            from_ms: first.from_ms,
            to_ms: last.from_ms + times.bin_ms,
            step_ms: times.bin_ms * bins.div_ceil(8).max(1),
        })
    }

    fn x(&self, ms: u64) -> f64 {
        let part = (ms - self.from_ms.min(ms)) as f64 / (self.to_ms - self.from_ms).max(1) as f64;
        LEFT + part * (WIDTH - LEFT - RIGHT)
    }

    fn ticks(&self) -> impl Iterator<Item = u64> + '_ {
        let step = usize::try_from(self.step_ms.max(1)).unwrap_or(usize::MAX);
        (self.from_ms..=self.to_ms).step_by(step)
    }
}

/// The largest shares of the critical path as bars.
pub(super) fn shares(name: &str, shares: &[Share]) -> Markup {
    let shown = shares
        .get(..MAX_SHARES.min(shares.len()))
        .unwrap_or_default();
    let height = SHARE_ROW * shown.len() as f64 + 8.0;
    let most = shown.iter().map(|share| share.share).fold(0.0001, f64::max);
    let wide = SHARE_WIDTH - SHARE_LEFT - SHARE_RIGHT;
    html! {
        svg.bars viewBox=(format!("0 0 {SHARE_WIDTH} {height}")) role="img" aria-label=(name) {
            @for (share, row) in shown.iter().zip(0_u32..) {
                @let y = f64::from(row) * SHARE_ROW + 4.0;
                @let width = wide * share.share / most;
                text.title x="4" y=(px(y + 14.0)) { (shortened(share.step.as_str(), MAX_NAME_CHARS)) }
                rect.run x=(px(SHARE_LEFT)) y=(px(y)) width=(px(width.max(1.0))) height=(px(SHARE_ROW - 6.0)) rx="2" {}
                text.share x=(px(SHARE_LEFT + width + 6.0)) y=(px(y + 13.0)) {
                    (format!("{:.1} %, {} on average in {} runs", share.share * 100.0, duration(share.mean_ms), share.runs))
                }
            }
        }
    }
}

/// A place on a drawing, to a tenth of a pixel.
fn px(value: f64) -> String {
    format!("{value:.1}")
}
