//! How long a plan is likely to take: which past runs say so, and how it is shown.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::sync::Arc;

use serde::Serialize;

use super::Context;
use super::error::CommandError;
use super::output::{Output, Table};
use super::rehearse::{DEFAULT_SCENARIO, Written};
use super::stage;
use understudy::clock::{Instant, millis};
use understudy::estimate::{Estimate, Link, Sample};
use understudy::journal::record::{Ending, Mode, Stage};
use understudy::prepare::Prepared;
use understudy::rehearsal::campaign::Campaign;
use understudy::rehearsal::campaign::trouble::Troubles;
use understudy::rehearsal::driver::Rehearsal;
use understudy::report::units::{duration, duration_or_dash, offset};
use understudy::statistics::Distribution;

/// Most past runs that are read: the newest ones. A team's exercises of some years.
const MAX_PAST: usize = 50;

/// The word for past live runs.
const PAST: &str = "past";

/// The word for no estimate.
const NONE: &str = "none";

/// Where an estimate comes from.
#[derive(Debug, clap::Args)]
pub(super) struct EstimateArgs {
    /// Estimate times from rehearsals in this scenario, from `past` live runs, or `none` at all [default: past live runs
    /// that recovered, else a scenario beside the runbook that rehearses the same strategies in the same mode]
    #[arg(long, value_name = "past|none|SCENARIO")]
    estimate_from: Option<String>,
    /// How many rehearsals to estimate from
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    rehearsals: u64,
}

/// Where an estimate is to come from.
pub(super) enum Source {
    /// Whatever fits best.
    Any,
    /// Past live runs.
    Past,
    /// Rehearsals in this scenario.
    Scenario(Box<Written>),
    /// No estimate is wanted.
    None,
}

/// An estimate, and where it comes from.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Estimated {
    /// In words, for example `20 rehearsals of primary-lost`.
    from: String,
    #[serde(flatten)]
    estimate: Estimate,
}

impl EstimateArgs {
    /// Where the estimate is to come from.
    ///
    /// # Errors
    /// A scenario that cannot be read.
    pub(super) fn source(&self, runbook: &std::path::Path) -> Result<Source, CommandError> {
        Ok(match self.estimate_from.as_deref() {
            None => Source::Any,
            Some(PAST) => Source::Past,
            Some(NONE) => Source::None,
            Some(name) => Source::Scenario(Box::new(Written::read(runbook, name)?)),
        })
    }

    /// The estimate for a plan; `None` where none is wanted, or nothing says anything about it.
    ///
    /// # Errors
    /// Journals that cannot be read, no past run where those were asked for, or a scenario in which the plan cannot be
    /// rehearsed.
    pub(super) fn estimate(
        &self,
        context: &Context,
        prepared: &Prepared,
        source: Source,
    ) -> Result<Option<Estimated>, CommandError> {
        match source {
            Source::None => Ok(None),
            Source::Past => match past(context, prepared)? {
                Some(estimated) => Ok(Some(estimated)),
                None => Err(nothing_past(context, prepared)),
            },
            Source::Scenario(written) => Ok(Some(self.rehearsed(prepared, &written)?)),
            Source::Any => {
                if let Some(estimated) = past(context, prepared)? {
                    return Ok(Some(estimated));
                }
                let fitting = fitting(prepared)?;
                fitting
                    .map(|written| self.rehearsed(prepared, &written))
                    .transpose()
            }
        }
    }

    /// From rehearsals in a scenario.
    fn rehearsed(&self, prepared: &Prepared, written: &Written) -> Result<Estimated, CommandError> {
        let campaign = Campaign {
            rehearsal: Rehearsal {
                prepared: prepared.clone(),
                scenario: Arc::new(written.scenario.clone()),
                seed: 1,
                runbook_path: String::new(),
                overlays: Vec::new(),
                scenario_name: written.name.clone(),
                host_version: stage::VERSION.to_owned(),
            },
            scenario_text: written.text.clone(),
            seeds: 1..self.rehearsals + 1,
            threads: NonZeroUsize::MIN,
            troubles: Troubles::None,
        };
        campaign.check()?;
        let samples = campaign.seeds.clone().map(|seed| {
            let rehearsed = campaign.rehearse(seed, &[])?;
            Ok(Sample::of(&rehearsed.entries)?)
        });
        let samples = samples.collect::<Result<Vec<_>, CommandError>>()?;
        let from = format!("{} rehearsals of {}", samples.len(), written.name);
        Ok(Estimated::of(prepared, &samples, from))
    }
}

/// From live runs of this runbook in this mode that recovered.
fn past(context: &Context, prepared: &Prepared) -> Result<Option<Estimated>, CommandError> {
    let runs = context.runs();
    let mut samples = Vec::new();
    for run in runs.list()?.iter().rev() {
        let Ok(glance) = &run.glance else { continue };
        let fits = glance.header.stage == Stage::Live
            && glance.header.runbook == prepared.runbook.name
            && glance.header.mode == prepared.order.mode
            && glance.ending == Some(Ending::Recovered);
        if !fits || samples.len() == MAX_PAST {
            continue;
        }
        let (entries, _) = runs.load(&run.run)?;
        let sample = Sample::of(&entries)?;
        if sample.knows_any(&prepared.plan) {
            samples.push(sample);
        }
    }
    let from = match samples.len() {
        1 => "1 past live run".to_owned(),
        runs => format!("{runs} past live runs"),
    };
    Ok((!samples.is_empty()).then(|| Estimated::of(prepared, &samples, from)))
}

fn nothing_past(context: &Context, prepared: &Prepared) -> CommandError {
    CommandError::invalid(format!(
        "no {} live run of `{}` with these steps has recovered in `{}`",
        words(prepared.order.mode),
        prepared.runbook.name,
        context.runs.display()
    ))
    .hint("`--estimate-from SCENARIO` estimates from rehearsals")
}

fn words(mode: Mode) -> &'static str {
    match mode {
        Mode::Graceful => "graceful",
        Mode::Ungraceful => "ungraceful",
    }
}

/// The first scenario beside the runbook that means to recover by the same strategies in the same mode.
fn fitting(prepared: &Prepared) -> Result<Option<Written>, CommandError> {
    let runbook = &prepared.runbook;
    let names = stage::names_in(&runbook.folder.join("scenarios"));
    let mut names: Vec<&str> = names.split(", ").filter(|name| !name.is_empty()).collect();
    // The usual one first.
    names.sort_by_key(|name| *name != DEFAULT_SCENARIO);
    for name in names {
        let written = Written::read(&runbook.folder, name)?;
        let scenario = &written.scenario;
        let named = scenario.procedure.as_ref();
        let same_strategies = named
            .is_some_and(|named| runbook.procedures.get(named) == Some(&prepared.order.procedure));
        let same_mode = scenario.mode == Some(prepared.order.mode);
        let same_runbook = scenario.overlays.is_empty();
        if same_runbook
            && same_strategies
            && same_mode
            && scenario.expect.ending == Some(Ending::Recovered)
        {
            return Ok(Some(written));
        }
    }
    Ok(None)
}

impl Estimated {
    fn of(prepared: &Prepared, samples: &[Sample], from: String) -> Self {
        Self {
            from,
            estimate: Estimate::of(&prepared.plan, &prepared.order.procedure, samples),
        }
    }

    /// What a step takes, for the table of the plan: the middle, and from the shortest to the longest.
    pub(super) fn step(&self, place: usize) -> String {
        let step = self.estimate.steps.get(place);
        step.map_or_else(String::new, |step| match step.takes.runs {
            0 => "unknown".to_owned(),
            _ => range(&step.takes),
        })
    }

    /// The critical paths and what they come to.
    pub(super) fn render(&self, prepared: &Prepared, output: &Output) -> String {
        let estimate = &self.estimate;
        let mut text = format!("\nestimated from {}\n", self.from);
        for leg in &estimate.legs {
            let target = duration(millis(prepared.runbook.targets.rto));
            let never = match leg.rto.never {
                0 => String::new(),
                never => format!(", never in {never} of {} runs", leg.rto.all()),
            };
            // Writing to a string cannot fail.
            writeln!(
                text,
                "{}: RTO {} of {target}{never}",
                leg.strategy,
                range(&leg.rto)
            )
            .ok();
        }
        writeln!(text, "until the end: {}", range(&estimate.whole)).ok();
        for leg in &estimate.legs {
            let title = format!("until clients are served, {}", leg.strategy);
            self.path(&mut text, &title, &leg.critical_path, output);
        }
        self.path(&mut text, "until the end", &estimate.critical_path, output);
        text
    }

    fn path(&self, text: &mut String, title: &str, path: &[Link], output: &Output) {
        if path.is_empty() {
            return;
        }
        writeln!(text, "\ncritical path {title}").ok();
        let mut table = Table::new(&["BEGINS", "ADDS", "STEP", "STEP TAKES"]);
        let zero = Instant(0);
        for link in path {
            let steps = self.estimate.steps.iter();
            let place = steps.clone().position(|step| step.step == link.step);
            table.row([
                (&offset(zero, Instant(link.begins_ms)), None),
                (&duration(link.adds_ms), None),
                (link.step.as_str(), None),
                (
                    &place.map_or_else(String::new, |place| self.step(place)),
                    None,
                ),
            ]);
        }
        text.push_str(&table.render(output));
    }
}

/// The middle of a distribution, and from the shortest to the longest where they differ.
fn range(times: &Distribution) -> String {
    match (times.min_ms, times.max_ms) {
        (Some(min), Some(max)) if duration(min) != duration(max) => format!(
            "{} ({}–{})",
            duration_or_dash(times.p50_ms),
            duration(min),
            duration(max)
        ),
        _ => duration_or_dash(times.p50_ms),
    }
}
