//! A recorded run, wherever its journal lies: in the folder of runs, in a folder of its own, or in an exported file.

use std::path::{Path, PathBuf};

use super::Context;
use super::error::CommandError;
use understudy::journal::chain::{self, ChainError, Verified};
use understudy::journal::lease::Lease;
use understudy::journal::record::{Entry, GateKind, Record};
use understudy::journal::store::StoredEntry;
use understudy::journal::{self, JournalError, sqlite};
use understudy::name::{RoleName, StepId, StrategyName};
use understudy::report::account::{GateLine, GateResult};
use understudy::report::model::Report;

/// Largest exported journal that is read, in bytes: far above the longest run, far below the memory of a machine.
const MAX_EXPORT_BYTES: u64 = 1 << 30;

/// A journal that was read and whose chain holds.
pub(super) struct Recorded {
    source: Source,
    /// Its entries.
    pub(super) entries: Vec<Entry>,
    /// What was checked.
    pub(super) verified: Verified,
}

/// Where it was read from.
enum Source {
    /// The run's folder, with the lines as they are kept.
    Folder(PathBuf, Vec<StoredEntry>),
    /// The text of an exported file.
    Export(String),
}

impl Recorded {
    /// The run that `wanted` means: a path to an export or a run's folder, else the beginning of a run's name.
    ///
    /// # Errors
    /// No such run, several, or a journal that cannot be read or was changed.
    pub(super) fn load(context: &Context, wanted: &str) -> Result<Self, CommandError> {
        let path = Path::new(wanted);
        if path.is_file() && !path.ends_with(sqlite::JOURNAL_FILE) {
            return Self::exported(path);
        }
        let folder = if path.is_file() {
            path.parent().unwrap_or(path).to_owned()
        } else if path.join(sqlite::JOURNAL_FILE).is_file() {
            path.to_owned()
        } else {
            let runs = context.runs();
            runs.folder(&runs.find(wanted)?)
        };
        let lines = sqlite::read(&folder)?;
        let (entries, verified) = chain::read(&lines).map_err(|error| broken(&folder, error))?;
        Ok(Self {
            source: Source::Folder(folder, lines),
            entries,
            verified,
        })
    }

    fn exported(path: &Path) -> Result<Self, CommandError> {
        let unreadable = |error| CommandError::file("read", path, &error);
        let size = path.metadata().map_err(unreadable)?.len();
        if size > MAX_EXPORT_BYTES {
            let text = format!(
                "`{}` has {size} bytes, and an export of a run has at most {MAX_EXPORT_BYTES}",
                path.display()
            );
            return Err(CommandError::invalid(text));
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        let text = String::from_utf8(bytes).map_err(|_| {
            CommandError::invalid(format!(
                "`{}` is no exported journal: it is not text",
                path.display()
            ))
            .hint("`understudy report RUN --format journal --out FILE` exports one")
        })?;
        let (entries, verified) = journal::import(&text)?;
        Ok(Self {
            source: Source::Export(text),
            entries,
            verified,
        })
    }

    /// The report of it.
    ///
    /// # Errors
    /// A journal that is none.
    pub(super) fn report(&self) -> Result<Report, CommandError> {
        Ok(Report::of(&self.entries)?)
    }

    /// The folder, for what only a run in one can take.
    ///
    /// # Errors
    /// It is an exported file.
    pub(super) fn folder(&self) -> Result<&Path, CommandError> {
        match &self.source {
            Source::Folder(folder, _) => Ok(folder),
            Source::Export(_) => Err(CommandError::invalid(
                "this is an exported journal, which nobody can answer",
            )
            .hint("name the run itself; `understudy runs` lists them")),
        }
    }

    /// The process that is at the run, if one is.
    pub(super) fn held_by(&self) -> Option<u32> {
        match &self.source {
            Source::Folder(folder, _) => Lease::holder(folder),
            Source::Export(_) => None,
        }
    }

    /// The journal as JSON Lines: as it is kept, or as it was exported before.
    pub(super) fn export(&self) -> String {
        match &self.source {
            Source::Folder(_, lines) => journal::export(lines),
            Source::Export(text) => text.clone(),
        }
    }

    /// True once the run has come to an end that nothing changes any more.
    pub(super) fn is_over(&self) -> bool {
        use understudy::journal::record::Ending;
        let newest = self
            .entries
            .iter()
            .rev()
            .find_map(|entry| match &entry.record {
                Record::RunEnded { ending, .. } => Some(*ending != Ending::Stuck),
                Record::RunResumed { .. } => Some(false),
                _ => None,
            });
        newest.unwrap_or(false)
    }
}

/// A journal whose records cannot be followed.
fn broken(folder: &Path, error: ChainError) -> CommandError {
    let path = folder.join(sqlite::JOURNAL_FILE);
    if matches!(error, ChainError::Empty) {
        let text = format!(
            "the journal `{}` has no records: its host stopped before it did anything",
            path.display()
        );
        return CommandError::invalid(text)
            .hint("start the run again; this one has nothing to go on with");
    }
    CommandError::from(JournalError::from(error))
        .hint(format!("the journal is `{}`", path.display()))
}

/// Gates that wait for an answer.
pub(super) fn open_gates(report: &Report) -> impl Iterator<Item = &GateLine> {
    report
        .gates
        .iter()
        .filter(|gate| gate.result == GateResult::Open)
}

/// The command that answers a question.
pub(super) fn answer_command(run: &str, gate: &GateLine) -> String {
    decide_command(run, &gate.step, &gate.role, &gate.alternatives)
}

/// The command that answers a question about a step.
pub(super) fn decide_command(
    run: &str,
    step: &StepId,
    role: &RoleName,
    alternatives: &[StrategyName],
) -> String {
    let switches: String = alternatives
        .iter()
        .map(|other| format!("|switch --to {other}"))
        .collect();
    format!("understudy decide {run} {step} go|no-go{switches} --as {role}")
}

/// What an answer means, by what is asked.
pub(super) fn meaning(kind: GateKind) -> &'static str {
    match kind {
        GateKind::Before => "go starts the step, no-go takes the run back",
        GateKind::After => "go accepts the step, no-go fails it",
        GateKind::OverBudget => "go lets it go on, no-go takes the run back",
        GateKind::Failed => "go tries it again, no-go takes the run back",
        GateKind::Question => "the strategy goes by the answer",
    }
}
