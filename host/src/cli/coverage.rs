//! `understudy coverage RUNBOOK --items FILE`: which rows of a checklist a runbook covers, and which of them runs carried
//! out.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Context;
use super::error::CommandError;
use super::output::{Format, Table, Tone};
use super::recorded::Recorded;
use super::rehearse::block_on;
use super::{stage, wanted};
use understudy::coverage::checklist::{self, Row};
use understudy::coverage::declared::{Declared, FILE};
use understudy::coverage::{Carried, Coverage, CoveredRow, coverage};
use understudy::journal::record::{Header, Record};
use understudy::name::{ItemId, StepId};
use understudy::prepare::check::every_plan;
use understudy::report::model::Report;
use understudy::runbook::types::Runbook;

/// Name of the runbook in its folder.
const RUNBOOK_FILE: &str = "runbook.toml";

/// Show which rows of a checklist a runbook covers, and which were carried out in the runs in the folder of runs.
///
/// A row is covered by the steps that say so, or as `coverage.toml` beside the runbook says. Rows that nothing covers are
/// named with the reason; a row without one is an error.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The runbook, or its folder
    #[arg(value_name = "RUNBOOK")]
    runbook: PathBuf,
    /// Files laid over it, in order
    #[arg(long, value_name = "FILE")]
    overlay: Vec<PathBuf>,
    /// The checklist: tab-separated, with a line of headings, `id`, `kind` and `item` among them
    #[arg(long, value_name = "FILE")]
    items: PathBuf,
    /// Only rows of these kinds
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    kind: Vec<String>,
}

impl Args {
    /// Shows it.
    ///
    /// # Errors
    /// Files that cannot be read, a runbook that cannot be planned, and rows that are neither covered nor explained.
    pub(super) fn run(&self, context: &Context) -> Result<(), CommandError> {
        let file = if self.runbook.is_dir() {
            self.runbook.join(RUNBOOK_FILE)
        } else {
            self.runbook.clone()
        };
        let runbook = Arc::new(wanted::load(&file, &self.overlay)?);
        let checklist = self.checklist()?;
        let declared = declared(&runbook)?;
        let planned = planned(context, &runbook)?;
        let runs = runs_of(context, &runbook)?;
        let carried: Vec<Carried<'_>> = runs.iter().map(Run::carried).collect();
        let mut coverage = coverage(&checklist, &declared, &planned, &carried);
        coverage.rows.retain(|row| self.is_wanted(&row.row));
        if !coverage.unknown.is_empty() {
            let unknown: Vec<&str> = coverage.unknown.iter().map(AsRef::as_ref).collect();
            let text = format!("the checklist has no row {}", unknown.join(", "));
            context.output.say(&text);
        }
        match context.output.format() {
            Format::Json => context.output.json(&coverage)?,
            Format::Text => tell(context, &coverage, &runs)?,
        }
        complete(&coverage)
    }

    fn checklist(&self) -> Result<Vec<Row>, CommandError> {
        let rows = checklist::read(&read(&self.items)?).map_err(|error| {
            CommandError::invalid(format!("`{}`: {error}", self.items.display()))
        })?;
        let kinds: BTreeSet<&str> = rows.iter().map(|row| row.kind.as_str()).collect();
        match self.kind.iter().find(|kind| !kinds.contains(kind.as_str())) {
            None => Ok(rows),
            Some(unknown) => {
                let kinds: Vec<&str> = kinds.into_iter().collect();
                let text = format!("no row is of the kind `{unknown}`");
                Err(CommandError::invalid(text).hint(format!("kinds: {}", kinds.join(", "))))
            }
        }
    }

    fn is_wanted(&self, row: &Row) -> bool {
        self.kind.is_empty() || self.kind.contains(&row.kind)
    }
}

fn read(path: &Path) -> Result<String, CommandError> {
    std::fs::read_to_string(path).map_err(|error| CommandError::file("read", path, &error))
}

/// What is declared beside the runbook; nothing where no such file is.
fn declared(runbook: &Runbook) -> Result<Declared, CommandError> {
    let path = runbook.folder.join(FILE);
    if !path.exists() {
        return Ok(Declared::default());
    }
    Declared::read(&read(&path)?)
        .map_err(|error| CommandError::invalid(format!("`{}`: {error}", path.display())))
}

/// Every step of every plan, with what it covers.
fn planned(
    context: &Context,
    runbook: &Arc<Runbook>,
) -> Result<Vec<(StepId, Vec<ItemId>)>, CommandError> {
    let order = stage::order_to_look(context, runbook)?;
    let engines = context.engines()?;
    let plans = block_on(every_plan(&engines, runbook, &order))??;
    let steps = plans.iter().flat_map(|(_, plan)| &plan.plan.steps);
    Ok(steps
        .map(|step| (step.id.clone(), step.covers.clone()))
        .collect())
}

/// A run of the runbook.
struct Run {
    header: Header,
    recorded: Recorded,
    report: Report,
}

impl Run {
    fn carried(&self) -> Carried<'_> {
        Carried {
            header: &self.header,
            entries: &self.recorded.entries,
            steps: &self.report.steps,
        }
    }
}

/// The runs of this runbook that can be read; of the others people are told.
fn runs_of(context: &Context, runbook: &Runbook) -> Result<Vec<Run>, CommandError> {
    let mut runs = Vec::new();
    for summary in context.runs().list()? {
        let read = Recorded::load(context, summary.run.as_str())
            .and_then(|recorded| Ok((recorded.report()?, recorded)));
        match read {
            Ok((report, recorded)) => {
                let header = match recorded.entries.first().map(|entry| &entry.record) {
                    Some(Record::RunStarted(header)) if header.runbook == runbook.name => {
                        header.as_ref().clone()
                    }
                    _ => continue,
                };
                runs.push(Run {
                    header,
                    recorded,
                    report,
                });
            }
            Err(_) => context
                .output
                .say(&format!("{} cannot be read and is left out", summary.run)),
        }
    }
    Ok(runs)
}

fn tell(context: &Context, coverage: &Coverage, runs: &[Run]) -> Result<(), CommandError> {
    let output = &context.output;
    let mut table = Table::new(&["ITEM", "KIND", "COVERED", "REHEARSED", "LIVE", "BY"]);
    for row in &coverage.rows {
        let covered = yes_or_no(row.covered());
        let (rehearsed, live) = (yes_or_no(row.rehearsed), yes_or_no(row.live));
        table.row([
            (row.row.id.as_str(), None),
            (&row.row.kind, None),
            (covered.0, Some(covered.1)),
            (rehearsed.0, Some(rehearsed.1)),
            (live.0, Some(live.1)),
            (&by(row), None),
        ]);
    }
    let mut text = table.render(output);
    let count = |of: fn(&CoveredRow) -> bool| coverage.rows.iter().filter(|row| of(row)).count();
    write!(
        text,
        "\n{} rows: {} covered, {} carried out in a rehearsal, {} live, in {} runs; {} rows of other sources left out\n",
        coverage.rows.len(),
        count(CoveredRow::covered),
        count(|row| row.rehearsed),
        count(|row| row.live),
        runs.len(),
        coverage.left_out,
    )
    .ok();
    output.data(&text)
}

fn yes_or_no(yes: bool) -> (&'static str, Tone) {
    if yes {
        ("yes", Tone::Good)
    } else {
        ("no", Tone::Soft)
    }
}

/// What covers a row, or why nothing does.
fn by(row: &CoveredRow) -> String {
    let steps = row.steps.iter().map(StepId::to_string);
    let by: Vec<String> = steps.chain(row.how.clone()).collect();
    match &row.why_not {
        Some(why) if by.is_empty() => format!("not covered: {why}"),
        _ => by.join(", "),
    }
}

/// # Errors
/// Rows that nobody speaks of.
fn complete(coverage: &Coverage) -> Result<(), CommandError> {
    let forgotten = coverage.rows.iter().filter(|row| row.forgotten());
    let forgotten: Vec<&str> = forgotten.map(|row| row.row.id.as_str()).collect();
    if !forgotten.is_empty() {
        return Err(CommandError::invalid(format!(
            "{} rows are neither covered nor explained: {}",
            forgotten.len(),
            forgotten.join(", ")
        ))
        .hint(format!(
            "let a step say that it covers the row (`covers`), or say in `{FILE}` beside the runbook `how` it is covered or \
             `why-not`"
        )));
    }
    Ok(())
}
