//! `understudy rehearse RUNBOOK --runs N`: a campaign over one or more scenarios, in numbers.
//!
//! What is counted and drawn is the library's (`rehearsal/campaign`); here are the options, the text and the exit code.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::campaign_text as text;
use super::error::{CommandError, Kind};
use super::rehearse::{Args, Written};
use super::{Context, report, stage};
use understudy::clock::{Clock as _, millis};
use understudy::plugin::Engines;
use understudy::rehearsal::campaign::html::{interval, percent};
use understudy::rehearsal::campaign::junit::{self, Requirement};
use understudy::rehearsal::campaign::random::Palette;
use understudy::rehearsal::campaign::summary::{SUMMARY_VERSION, Summary, Target};
use understudy::rehearsal::campaign::trouble::Troubles;
use understudy::rehearsal::campaign::{Campaign, MAX_RUNS, html};
use understudy::rehearsal::driver::Rehearsal;
use understudy::runbook::types::Runbook;

/// How often, and what must come of it.
#[derive(Debug, clap::Args)]
pub(super) struct Many {
    /// Rehearse so many times, with a seed each, and show what came of it in numbers
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MAX_RUNS))]
    pub(super) runs: Option<u64>,
    /// Rehearsals that go on at once [default: one per core]
    #[arg(long, value_name = "T", requires = "runs")]
    pub(super) threads: Option<NonZeroUsize>,
    /// Write the result as JUnit XML too
    #[arg(long, value_name = "FILE", requires = "runs")]
    pub(super) junit: Option<PathBuf>,
    /// Write the result as a page with plots too
    #[arg(long, value_name = "FILE", requires = "runs")]
    pub(super) html: Option<PathBuf>,
    /// Share of the runs, 0 to 1, that must meet the recovery time objective
    #[arg(long, value_name = "SHARE", requires = "runs", value_parser = share)]
    pub(super) require_rto: Option<f64>,
    /// Share of the runs, 0 to 1, that must meet the recovery point objective
    #[arg(long, value_name = "SHARE", requires = "runs", value_parser = share)]
    pub(super) require_rpo: Option<f64>,
    /// Reported RTO and RPO must agree with what the simulated clients saw: within 5 % over all runs of a scenario that
    /// is to recover
    #[arg(long, requires = "runs")]
    pub(super) require_agreement: bool,
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "give a share such as 0.95")?;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err("a share is between 0 and 1, for example 0.95".to_owned())
    }
}

/// The result as JSON.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Document<'a> {
    summary_version: u32,
    scenarios: &'a [Summary],
}

/// Runs the campaign that the arguments ask for.
pub(super) fn run(
    args: &Args,
    context: &Context,
    engines: &Engines,
    runbook: &Arc<Runbook>,
) -> Result<(), CommandError> {
    let mut campaigns = Vec::new();
    for name in names(args, runbook)? {
        let written = Written::read(&runbook.folder, &name)?;
        campaigns.push(campaign(args, context, engines, runbook, &written)?);
    }
    let began = context.clock.now();
    let bar = bar(context, &campaigns);
    let summaries = campaigns.iter().map(|campaign| summary(campaign, &bar));
    let summaries: Result<Vec<Summary>, CommandError> = summaries.collect();
    // Whatever is said next goes to the terminal itself.
    bar.finish_and_clear();
    let summaries = summaries?;
    let took = millis(context.clock.now().since(began));
    let runs: u64 = summaries.iter().map(|summary| summary.runs).sum();
    context.output.say(&text::pace(runs, took));
    tell(args, context, &summaries)
}

/// Runs one campaign and adds it up.
fn summary(campaign: &Campaign, bar: &ProgressBar) -> Result<Summary, CommandError> {
    let mut outcomes = Vec::new();
    bar.set_message(campaign.rehearsal.scenario_name.clone());
    campaign.run(&mut |outcome| {
        bar.inc(1);
        outcomes.push(outcome);
    })?;
    Ok(Summary::of(campaign, outcomes))
}

/// The scenarios that are wanted: those named, else all that stand beside the runbook.
fn names(args: &Args, runbook: &Runbook) -> Result<Vec<String>, CommandError> {
    if !args.scenario.is_empty() {
        return Ok(args.scenario.clone());
    }
    let folder = runbook.folder.join("scenarios");
    let names = stage::names_in(&folder);
    if names.is_empty() {
        let error = format!("there is no scenario in `{}`", folder.display());
        return Err(CommandError::invalid(error));
    }
    Ok(names.split(", ").map(str::to_owned).collect())
}

fn campaign(
    args: &Args,
    context: &Context,
    engines: &Engines,
    runbook: &Arc<Runbook>,
    written: &Written,
) -> Result<Campaign, CommandError> {
    let rehearsal = args.rehearsal(context, engines, runbook, written)?;
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let campaign = Campaign {
        troubles: args.troubles(&rehearsal)?,
        rehearsal,
        scenario_text: written.text.clone(),
        seeds: args.seed..args.seed.saturating_add(args.many.runs.unwrap_or(1)),
        threads: args.many.threads.unwrap_or(cores),
    };
    campaign.check()?;
    Ok(campaign)
}

/// Where troubles beyond the scenario come from.
pub(super) fn troubles(
    faults: Option<&str>,
    rehearsal: &Rehearsal,
) -> Result<Troubles, CommandError> {
    match faults {
        None => Ok(Troubles::None),
        Some("random") => Ok(Troubles::Random(Palette::of(
            &rehearsal.prepared,
            &rehearsal.scenario,
        ))),
        Some(path) => {
            let path = Path::new(path);
            let text = std::fs::read_to_string(path).map_err(|error| {
                CommandError::file("read", path, &error).hint("`--faults` takes a file or `random`")
            })?;
            Ok(Troubles::parse(&text)?)
        }
    }
}

/// How far it is, for people who watch.
fn bar(context: &Context, campaigns: &[Campaign]) -> ProgressBar {
    let runs = campaigns
        .iter()
        .map(|campaign| campaign.seeds.end - campaign.seeds.start);
    let runs = Some(runs.sum());
    if !context.environment.stderr_is_terminal {
        return ProgressBar::with_draw_target(runs, ProgressDrawTarget::hidden());
    }
    let bar = ProgressBar::with_draw_target(runs, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{pos} of {len} rehearsals  {msg}  {eta} left")
    {
        bar.set_style(style);
    }
    context.output.screen().attach(bar.clone());
    bar
}

/// Shows the result in every form that is wanted, and answers with the exit code.
fn tell(args: &Args, context: &Context, summaries: &[Summary]) -> Result<(), CommandError> {
    let reproduce = |summary: &Summary, seed: u64| command(args, &summary.scenario, seed);
    let requirements = requirements(args, summaries);
    if let Some(path) = &args.many.junit {
        report::write(path, &junit::render(summaries, &requirements, &reproduce))?;
    }
    if let Some(path) = &args.many.html {
        report::write(path, &html::render(summaries, &reproduce))?;
    }
    if let Some(folder) = &args.out {
        for summary in summaries {
            for broken in &summary.broken {
                let seed = broken.seeds.first().copied().unwrap_or_default();
                let name = format!("{}-{}-{seed}.toml", broken.code, summary.scenario);
                report::write(
                    &folder.join(name.replace('/', "-")),
                    &broken.minimal.scenario_toml,
                )?;
            }
        }
    }
    if context.output.is_json() {
        context.output.json(&Document {
            summary_version: SUMMARY_VERSION,
            scenarios: summaries,
        })?;
    } else {
        context
            .output
            .data(&text::render(summaries, &reproduce, &context.output))?;
    }
    verdict(args, summaries, &requirements)
}

/// What is required beside the rules, and whether it is met.
fn requirements(args: &Args, summaries: &[Summary]) -> Vec<Requirement> {
    let mut requirements = Vec::new();
    for summary in summaries {
        let wanted: [(&str, Option<f64>, &Target); 2] = [
            ("RTO", args.many.require_rto, &summary.rto),
            ("RPO", args.many.require_rpo, &summary.rpo),
        ];
        for (name, required, target) in wanted {
            if let Some(required) = required.filter(|_| summary.is_to_recover) {
                requirements.push(met(summary, name, target, required));
            }
            if args.many.require_agreement && summary.is_to_recover {
                requirements.push(agreement(summary, name, target));
            }
        }
    }
    requirements
}

/// An objective is met often enough. The share that was seen counts, not its interval.
fn met(summary: &Summary, name: &str, target: &Target, required: f64) -> Requirement {
    let (met, met_at_all) = (&target.met, target.met.met as f64);
    let seed = target.first_missed.unwrap_or(summary.first_seed);
    let failure = (met_at_all < required * met.of as f64).then(|| {
        format!(
            "{name} of {} is met in {} of the runs of {} (95 % interval {}), {} are required; first missed with seed {seed}",
            understudy::report::units::duration(target.target_ms),
            percent(met.share),
            summary.scenario,
            interval(met),
            percent(required),
        )
    });
    Requirement {
        scenario: summary.scenario.clone(),
        name: format!("{name} met in {} of the runs", percent(required)),
        failure,
        seed,
    }
}

/// What runs report of themselves is what their clients and data say.
fn agreement(summary: &Summary, name: &str, target: &Target) -> Requirement {
    let difference = &target.difference;
    let seed = difference.farthest.unwrap_or(summary.first_seed);
    let failure = (!difference.agrees()).then(|| {
        format!(
            "{name} of {}: {}; {} of {} runs have only one of the two; farthest off with seed {seed}",
            summary.scenario,
            html::difference(target),
            difference.one_sided,
            difference.runs,
        )
    });
    Requirement {
        scenario: summary.scenario.clone(),
        name: format!("{name} reported as the clients saw it"),
        failure,
        seed,
    }
}

/// Broken rules and missed requirements fail the command, each with the command that repeats its first run.
fn verdict(
    args: &Args,
    summaries: &[Summary],
    requirements: &[Requirement],
) -> Result<(), CommandError> {
    let (mut problems, mut hints) = (Vec::new(), Vec::new());
    for summary in summaries {
        for broken in &summary.broken {
            let seed = broken.seeds.first().copied().unwrap_or_default();
            problems.push(format!(
                "{} {} was broken in {} of {} runs of {}, first with seed {seed}: {}",
                broken.code,
                broken.name,
                broken.runs,
                summary.runs,
                summary.scenario,
                broken.message
            ));
            hints.push(command(args, &summary.scenario, seed));
        }
        let unmet = |requirement: &&Requirement| requirement.scenario == summary.scenario;
        for requirement in requirements.iter().filter(unmet) {
            if let Some(failure) = &requirement.failure {
                problems.push(failure.clone());
                hints.push(command(args, &summary.scenario, requirement.seed));
            }
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    hints.dedup();
    let error = CommandError::new(Kind::Undone, problems.join("\n"));
    Err(hints.into_iter().fold(error, |error, hint| {
        error.hint(format!("`{hint}` repeats it"))
    }))
}

/// The command that repeats the run of a seed.
fn command(args: &Args, scenario: &str, seed: u64) -> String {
    let wanted = &args.wanted;
    let mut words = vec![
        "understudy rehearse".to_owned(),
        quoted(&wanted.runbook.display()),
    ];
    for overlay in &wanted.overlay {
        words.push(format!("--overlay {}", quoted(&overlay.display())));
    }
    if let Some(procedure) = &wanted.procedure {
        words.push(format!("--procedure {}", quoted(procedure)));
    }
    if !wanted.strategy.is_empty() {
        let names: Vec<&str> = wanted.strategy.iter().map(|name| name.as_str()).collect();
        words.push(format!("--strategy {}", names.join(" ")));
    }
    if let Some(mode) = wanted.mode {
        words.push(format!("--mode {}", format!("{mode:?}").to_lowercase()));
    }
    words.push(format!("--scenario {}", quoted(&scenario)));
    if let Some(faults) = &args.faults {
        words.push(format!("--faults {}", quoted(faults)));
    }
    words.push(format!("--seed {seed}"));
    words.join(" ")
}

/// As a shell takes it for one word (POSIX 2.2.2).
fn quoted(text: &dyn std::fmt::Display) -> String {
    let text = text.to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_shares() {
        assert_eq!(share("0.95"), Ok(0.95));
        for bad in ["95", "-0.1", "nan", "95%", ""] {
            assert!(share(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn words_survive_a_shell() {
        assert_eq!(quoted(&"runbooks/a-b.toml"), "runbooks/a-b.toml");
        assert_eq!(quoted(&"it's here"), "'it'\\''s here'");
        assert_eq!(quoted(&""), "''");
    }
}
