//! `understudy calibrate RUN`: a scenario with the times of a run that was made, and how a rehearsal in it compares.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Context;
use super::error::{CommandError, Kind};
use super::output::{Output, Table, Tone};
use super::recorded::Recorded;
use super::rehearse::{Written, block_on};
use super::{report, stage, wanted};
use understudy::calibrate::Calibration;
use understudy::calibrate::fidelity::{Course, Fidelity, Pair, StepPair};
use understudy::journal::memory::MemoryStore;
use understudy::journal::record::{Entry, Header, Record};
use understudy::mediation::seed_of;
use understudy::prepare::{Order, prepare};
use understudy::rehearsal::driver::{Rehearsal, Switches};
use understudy::report::units::{duration, duration_or_dash};

/// Fit a scenario to a run: its calls, rollouts, promotions, resolvers and people take as long as they did there.
///
/// With `--compare` the run is rehearsed in it at once and the two are laid side by side: the order of the steps, their
/// attempts and calls, RTO and RPO. Exit code 1 where one of the first three differs, or an RTO by more than 20 %.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run: as much of its name as is needed, its folder, or an exported journal
    run: String,
    /// What the world is like otherwise: name of a scenario beside the run's runbook, or a file
    #[arg(long, value_name = "NAME|FILE")]
    scenario: String,
    /// File for the fitted scenario [default: stdout; with `--compare` nowhere]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Rehearse the run in the fitted scenario and show how the two compare
    #[arg(long)]
    compare: bool,
    /// Seed of that rehearsal's world, and of its pauses between attempts [default: what the run drew its own from]
    #[arg(long, value_name = "N", requires = "compare")]
    seed: Option<u64>,
}

impl Args {
    /// Fits, and compares.
    ///
    /// # Errors
    /// A run or a scenario that cannot be read, or that do not go together; a rehearsal that is not to be believed.
    pub(super) fn run(&self, context: &Context) -> Result<(), CommandError> {
        let recorded = Recorded::load(context, &self.run)?;
        let Some(Record::RunStarted(header)) = recorded.entries.first().map(|entry| &entry.record)
        else {
            return Err(CommandError::invalid(
                "the journal does not begin with a run",
            ));
        };
        let beside = Path::new(&header.runbook_path).parent();
        let base = Written::read(beside.unwrap_or(Path::new("")), &self.scenario)?;
        let calibration = Calibration::of(&recorded.entries).map_err(CommandError::invalid)?;
        let fitted = calibration.fit(&base.text).map_err(CommandError::invalid)?;
        match &self.out {
            Some(path) => report::write(path, &fitted)?,
            None if self.compare => {}
            None => context.output.data(&fitted)?,
        }
        if !self.compare {
            return Ok(());
        }
        let rehearsed = self.rehearse(context, header, base.with_text(fitted)?)?;
        let fidelity = Fidelity::of(&recorded.entries, &rehearsed)?;
        if context.output.is_json() {
            context.output.json(&fidelity)?;
        } else {
            context.output.data(&render(&fidelity, &context.output))?;
        }
        for difference in &fidelity.differences {
            context.output.say(&format!("differs: {difference}"));
        }
        match fidelity.differences.len() {
            0 => Ok(()),
            count => Err(CommandError::new(
                Kind::Undone,
                format!("the rehearsal differs from the run in {count} way(s)"),
            )),
        }
    }

    /// The records of the same strategies in the fitted scenario.
    fn rehearse(
        &self,
        context: &Context,
        header: &Header,
        written: Written,
    ) -> Result<Vec<Entry>, CommandError> {
        let overlays: Vec<PathBuf> = header.overlays.iter().map(PathBuf::from).collect();
        let runbook = wanted::load(Path::new(&header.runbook_path), &overlays)?;
        if runbook.digest != header.runbook_digest {
            let text = format!(
                "the runbook `{}` is not what it was when the run was made",
                header.runbook_path
            );
            context.output.say(&text);
        }
        let order = Order {
            // The same name: keys, and what is drawn for each, are those of the run.
            run: header.run.clone(),
            procedure: header.strategies.clone(),
            mode: header.mode,
            started_by: stage::person(context, None),
        };
        let engines = context.engines()?;
        let prepared = block_on(prepare(&engines, Arc::new(runbook), order))??;
        stage::refuse_unsafe(&prepared)?;
        written.fits(&prepared)?;
        let rehearsal = Rehearsal {
            prepared,
            scenario: Arc::new(written.scenario),
            seed: self.seed.unwrap_or_else(|| seed_of(&header.run)),
            runbook_path: header.runbook_path.clone(),
            overlays: header.overlays.clone(),
            scenario_name: written.name,
            host_version: stage::VERSION.to_owned(),
        };
        let store = MemoryStore::new();
        let mut open = || Ok(Box::new(store.clone()) as _);
        Ok(rehearsal.perform(&mut open, &Switches::default())?.entries)
    }
}

fn render(fidelity: &Fidelity, output: &Output) -> String {
    let mut steps = Table::new(&[
        "STEP",
        "ORDER",
        "REHEARSED",
        "BEGAN",
        "REHEARSED",
        "TOOK",
        "REHEARSED",
        "CALLS",
        "REHEARSED",
    ]);
    for step in &fidelity.steps {
        let both = |figure: fn(&Course) -> String| {
            let one = |course: &Option<Course>| course.as_ref().map_or("–".to_owned(), figure);
            (one(&step.live), one(&step.rehearsed))
        };
        let place = both(|course| course.place.to_string());
        let begun = both(|course| duration(course.begun_ms));
        let took = both(|course| duration(course.took_ms));
        let calls = both(|course| course.calls.to_string());
        let (order, same) = tones(step);
        steps.row([
            (step.step.as_str(), None),
            (&place.0, None),
            (&place.1, order),
            (&begun.0, None),
            (&begun.1, None),
            (&took.0, None),
            (&took.1, None),
            (&calls.0, None),
            (&calls.1, same),
        ]);
    }
    let mut legs = Table::new(&["STRATEGY", "FIGURE", "LIVE", "REHEARSED", "DIFFERENCE"]);
    for leg in &fidelity.legs {
        for (name, pair) in [("RTO", &leg.rto), ("RPO", &leg.rpo)] {
            legs.row([
                (leg.strategy.as_str(), None),
                (name, None),
                (&duration_or_dash(pair.live_ms), None),
                (&duration_or_dash(pair.rehearsed_ms), None),
                (&difference(pair), None),
            ]);
        }
    }
    let verdict = match fidelity.differences.len() {
        0 => output.paint(Tone::Good, "the rehearsal went as the run did"),
        count => output.paint(Tone::Bad, &format!("{count} difference(s)")),
    };
    format!(
        "{}\n{}\n{verdict}\n",
        steps.render(output),
        legs.render(output)
    )
}

fn tones(step: &StepPair) -> (Option<Tone>, Option<Tone>) {
    let tone = |same: bool| (!same).then_some(Tone::Bad);
    (tone(step.same_order), tone(step.same_calls))
}

/// By how much the rehearsed figure is longer, in time and in per cent.
fn difference(pair: &Pair) -> String {
    let (Some(live), Some(rehearsed)) = (pair.live_ms, pair.rehearsed_ms) else {
        return "–".to_owned();
    };
    let sign = if rehearsed < live { "-" } else { "+" };
    let time = duration(rehearsed.abs_diff(live));
    match pair.difference_percent {
        Some(percent) => format!("{sign}{time}, {percent:+} %"),
        None => format!("{sign}{time}"),
    }
}
