//! `understudy runs`: the runs in the folder of runs.

use serde::Serialize;

use super::Context;
use super::error::CommandError;
use super::output::{Format, Table, Tone};
use understudy::journal::record::{Ending, Stage};
use understudy::journal::runs::{Glance, Summary};
use understudy::name::RunId;
use understudy::report::units::date_time;

/// List runs, oldest first.
///
/// A run whose journal cannot be read is in the list, with the reason.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only runs that have not come to an end: running, stuck or left by their host
    #[arg(long)]
    open: bool,
}

/// A run as JSON.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Line<'a> {
    run: &'a RunId,
    standing: &'static str,
    held_by: Option<u32>,
    glance: Option<&'a Glance>,
    error: Option<String>,
}

impl Args {
    /// Lists them.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(super) fn run(&self, context: &Context) -> Result<(), CommandError> {
        let mut runs = context.runs().list()?;
        runs.retain(|run| !self.open || !is_over(run));
        match context.output.format() {
            Format::Json => {
                let lines: Vec<Line<'_>> = runs.iter().map(line).collect();
                context.output.json(&lines)
            }
            Format::Text if runs.is_empty() => {
                context
                    .output
                    .say(&format!("no runs in `{}`", context.runs.display()));
                Ok(())
            }
            Format::Text => context.output.data(&table(&runs).render(&context.output)),
        }
    }
}

fn is_over(run: &Summary) -> bool {
    let ending = run.glance.as_ref().ok().and_then(|glance| glance.ending);
    matches!(ending, Some(ending) if ending != Ending::Stuck)
}

fn line(run: &Summary) -> Line<'_> {
    Line {
        run: &run.run,
        standing: standing(run).0,
        held_by: run.held_by,
        glance: run.glance.as_ref().ok(),
        error: run.glance.as_ref().err().map(ToString::to_string),
    }
}

/// Where a run stands, in a word.
fn standing(run: &Summary) -> (&'static str, Tone) {
    match (&run.glance, run.held_by) {
        (Err(_), _) => ("unreadable", Tone::Bad),
        (Ok(_), Some(_)) if !is_over(run) => ("running", Tone::Warn),
        (Ok(glance), _) => match glance.ending {
            Some(Ending::Recovered) => ("recovered", Tone::Good),
            Some(Ending::Undone) => ("undone", Tone::Warn),
            Some(Ending::Stuck) => ("stuck", Tone::Bad),
            Some(Ending::Ready) => ("ready", Tone::Good),
            Some(Ending::NotReady) => ("not ready", Tone::Bad),
            None => ("left", Tone::Bad),
        },
    }
}

fn table(runs: &[Summary]) -> Table {
    let mut table = Table::new(&[
        "RUN",
        "RUNBOOK",
        "STAGE",
        "STANDING",
        "STARTED (UTC)",
        "LAST RECORD",
        "RECORDS",
    ]);
    for run in runs {
        let (word, tone) = standing(run);
        match &run.glance {
            Ok(glance) => table.row([
                (run.run.as_str(), None),
                (&glance.header.runbook, None),
                (&stage(&glance.header.stage), None),
                (word, Some(tone)),
                (&date_time(glance.started_at), None),
                (&date_time(glance.last_at), None),
                (&glance.records.to_string(), None),
            ]),
            Err(error) => table.row([
                (run.run.as_str(), None),
                ("–", None),
                ("–", None),
                (word, Some(tone)),
                (&error.to_string(), None),
            ]),
        }
    }
    table
}

fn stage(stage: &Stage) -> String {
    match stage {
        Stage::Live => "live".to_owned(),
        Stage::Rehearsal { scenario, seed, .. } => format!("{scenario}, seed {seed}"),
    }
}
