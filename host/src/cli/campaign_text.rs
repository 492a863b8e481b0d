//! The result of a campaign as text for a terminal.

use std::fmt::Write as _;

use super::output::{Output, Table, Tone};
use understudy::rehearsal::campaign::html::{difference, interval, or_never, percent};
use understudy::rehearsal::campaign::summary::{BrokenRule, Share, Summary, Target};
use understudy::report::units::{duration, one_line};
use understudy::statistics::{Distribution, Probability};

/// Longest bar of a histogram, in characters.
const BAR: u64 = 40;

/// Steps shown of a critical path: the rest is in the other formats.
const PATH_STEPS: usize = 8;

/// How fast it went.
pub(super) fn pace(runs: u64, took_ms: u64) -> String {
    let seconds = took_ms.max(1) as f64 / 1_000.0;
    format!(
        "{runs} rehearsals in {}, {:.1} per second",
        duration(took_ms),
        runs as f64 / seconds
    )
}

/// Everything, scenario by scenario.
pub(super) fn render(
    summaries: &[Summary],
    reproduce: &dyn Fn(&Summary, u64) -> String,
    output: &Output,
) -> String {
    let mut text = String::new();
    for (place, summary) in summaries.iter().enumerate() {
        if place > 0 {
            text.push('\n');
        }
        scenario(&mut text, summary, reproduce, output);
    }
    text
}

fn scenario(
    text: &mut String,
    summary: &Summary,
    reproduce: &dyn Fn(&Summary, u64) -> String,
    output: &Output,
) {
    let strategies: Vec<&str> = summary.procedure.iter().map(|name| name.as_str()).collect();
    let endings = summary.endings;
    // Writing to a string cannot fail.
    writeln!(
        text,
        "{}: {}, {} runs, seeds {} to {}",
        one_line(&summary.scenario),
        strategies.join(" then "),
        summary.runs,
        summary.first_seed,
        summary.first_seed + summary.runs.saturating_sub(1)
    )
    .ok();
    writeln!(
        text,
        "ended: {} recovered, {} undone, {} stuck, {} without an outcome\n",
        endings.recovered, endings.undone, endings.stuck, endings.none
    )
    .ok();
    if summary.is_a_move {
        text.push_str(&figures(summary, output));
        for (name, target) in [("RTO", &summary.rto), ("RPO", &summary.rpo)] {
            histogram(text, name, target);
        }
        for (name, target) in [("RTO", &summary.rto), ("RPO", &summary.rpo)] {
            if target.difference.runs > 0 {
                writeln!(text, "{name}: {}", difference(target)).ok();
            }
        }
    } else {
        text.push_str("no step moves the service: there is no recovery to time\n");
    }
    writeln!(
        text,
        "lost writes: at most {} in half of the runs, {} in 95 %, {} in 99 %, {} in any",
        summary.lost_writes.p50,
        summary.lost_writes.p95,
        summary.lost_writes.p99,
        summary.lost_writes.max
    )
    .ok();
    path(text, "time until served", &summary.path_to_served, output);
    path(text, "whole time", &summary.path_to_end, output);
    for (key, runs) in &summary.missed {
        writeln!(
            text,
            "expectation `{}` missed in {runs} runs",
            one_line(key)
        )
        .ok();
    }
    if summary.broken.is_empty() {
        writeln!(text, "\n{}", output.paint(Tone::Good, "no rule was broken")).ok();
    }
    for rule in &summary.broken {
        broken(text, summary, rule, reproduce, output);
    }
}

fn figures(summary: &Summary, output: &Output) -> String {
    let mut table = Table::new(&[
        "",
        "OBJECTIVE",
        "MET",
        "95 % INTERVAL",
        "P50",
        "P95",
        "P99",
        "LONGEST",
        "NEVER",
    ]);
    let mut row = |name: &str, target_ms: u64, met: Option<&Probability>, times: &Distribution| {
        let tone = met.map(|met| {
            if met.share >= 0.95 {
                Tone::Good
            } else {
                Tone::Warn
            }
        });
        table.row([
            (name, None),
            (&duration(target_ms), None),
            (
                &met.map_or_else(String::new, |met| percent(met.share)),
                tone,
            ),
            (&met.map_or_else(String::new, interval), None),
            (&or_never(times.p50_ms), None),
            (&or_never(times.p95_ms), None),
            (&or_never(times.p99_ms), None),
            (&or_never(times.max_ms), None),
            (&times.never.to_string(), None),
        ]);
    };
    for (name, target) in [("RTO", &summary.rto), ("RPO", &summary.rpo)] {
        let met = Some(&target.met);
        row(
            &format!("{name} true"),
            target.target_ms,
            met,
            &target.truth,
        );
        row(
            &format!("{name} reported"),
            target.target_ms,
            None,
            &target.reported,
        );
    }
    for leg in &summary.legs {
        let name = leg.strategy.as_str();
        let (rto, rpo) = (summary.rto.target_ms, summary.rpo.target_ms);
        row(
            &format!("{name} RTO reported"),
            rto,
            Some(&leg.rto_met),
            &leg.rto,
        );
        row(
            &format!("{name} RPO reported"),
            rpo,
            Some(&leg.rpo_met),
            &leg.rpo,
        );
    }
    table.render(output)
}

fn histogram(text: &mut String, name: &str, target: &Target) {
    let times = &target.truth;
    let most = times
        .bins
        .iter()
        .map(|bin| bin.runs)
        .max()
        .unwrap_or(0)
        .max(1);
    writeln!(text, "\n{name}, true").ok();
    for bin in &times.bins {
        let until = bin.from_ms + times.bin_ms;
        let length = (bin.runs * BAR).div_ceil(most);
        let bar = match usize::try_from(length).unwrap_or(0) {
            0 => String::new(),
            length => "#".repeat(length) + " ",
        };
        let over = if bin.from_ms >= target.target_ms {
            " over the objective"
        } else {
            ""
        };
        let range = format!("{} to {}", duration(bin.from_ms), duration(until));
        let line = format!("  {range:<20} {bar}{}{over}", bin.runs);
        writeln!(text, "{}", line.trim_end()).ok();
    }
    if times.never > 0 {
        writeln!(text, "  {:<20} {}", "never", times.never).ok();
    }
}

fn path(text: &mut String, what: &str, shares: &[Share], output: &Output) {
    if shares.is_empty() {
        return;
    }
    writeln!(text, "\ncritical path, {what}").ok();
    let mut table = Table::new(&["  SHARE", "ON AVERAGE", "RUNS", "STEP"]);
    for share in shares.iter().take(PATH_STEPS) {
        table.row([
            (&format!("  {}", percent(share.share)), None),
            (&duration(share.mean_ms), None),
            (&share.runs.to_string(), None),
            (share.step.as_str(), None),
        ]);
    }
    text.push_str(&table.render(output));
}

fn broken(
    text: &mut String,
    summary: &Summary,
    rule: &BrokenRule,
    reproduce: &dyn Fn(&Summary, u64) -> String,
    output: &Output,
) {
    let seeds: Vec<String> = rule.seeds.iter().map(u64::to_string).collect();
    let first = rule.seeds.first().copied().unwrap_or(summary.first_seed);
    let head = format!("{} {} was broken", rule.code, rule.name);
    writeln!(
        text,
        "\n{} in {} of {} runs, seeds {}\n  seed {first}: {}\n  repeat: {}",
        output.paint(Tone::Bad, &head),
        rule.runs,
        summary.runs,
        seeds.join(" "),
        one_line(&rule.message),
        reproduce(summary, first)
    )
    .ok();
    for trouble in &rule.minimal.troubles {
        writeln!(text, "  it takes: {}", one_line(&trouble.name)).ok();
    }
    writeln!(
        text,
        "  the smallest scenario that breaks it, for `--scenario FILE --seed {first}`:\n"
    )
    .ok();
    for line in understudy::report::units::lines(&rule.minimal.scenario_toml).lines() {
        writeln!(text, "{}", format!("    {line}").trim_end()).ok();
    }
}
