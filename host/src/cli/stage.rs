//! What the commands that bring a run about share: names, identities, the closing report.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};

use super::Context;
use super::error::{CommandError, Kind};
use super::{report, show};
use understudy::clock::Clock as _;
use understudy::journal::lease::Lease;
use understudy::journal::record::{Ending, Entry, Mode};
use understudy::journal::runs::new_run_id;
use understudy::name::RunId;
use understudy::prepare::{Order, Prepared};
use understudy::report::account::{IssueKind, Severity};
use understudy::report::model::Report;
use understudy::rules::Violation;
use understudy::run::Ended;
use understudy::runbook::types::Runbook;

/// Version of the host, for journals.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A number that nobody can foresee: for run ids, not for secrets.
fn random() -> u64 {
    RandomState::new().hash_one(VERSION)
}

/// An id for a new run.
pub(super) fn new_run(context: &Context, runbook: &str) -> Result<RunId, CommandError> {
    new_run_id(context.clock.now(), runbook, random())
        .map_err(|error| CommandError::new(Kind::Bug, error))
}

/// The empty folder of a rehearsal. One that is there already is replaced, unless a host is at it.
pub(super) fn replace(context: &Context, run: &RunId) -> Result<PathBuf, CommandError> {
    let folder = context.runs().folder(run);
    if folder.exists() {
        drop(Lease::acquire(&folder)?);
        std::fs::remove_dir_all(&folder)
            .map_err(|error| CommandError::file("replace", &folder, &error))?;
    }
    Ok(context.runs().create(run)?)
}

/// Who does this: as given, else the user.
pub(super) fn person(context: &Context, given: Option<&str>) -> String {
    given
        .map(str::to_owned)
        .or_else(|| context.environment.user.clone())
        .unwrap_or_else(|| "unknown".to_owned())
}

/// An order for looking at plans: of no procedure yet, and nothing will be run.
pub(super) fn order_to_look(context: &Context, runbook: &Runbook) -> Result<Order, CommandError> {
    Ok(Order {
        procedure: Vec::new(),
        mode: Mode::Ungraceful,
        run: new_run(context, &runbook.name)?,
        started_by: person(context, None),
    })
}

/// A path that still leads there from another folder.
pub(super) fn absolute(path: &Path) -> String {
    std::path::absolute(path)
        .unwrap_or_else(|_| path.to_owned())
        .display()
        .to_string()
}

/// Names of the TOML files in a folder, sorted.
pub(super) fn names_in(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    names.join(", ")
}

/// A plan that breaks a safety rule is not run.
pub(super) fn refuse_unsafe(prepared: &Prepared) -> Result<(), CommandError> {
    refuse_broken(&prepared.violations.iter().collect::<Vec<_>>())
}

/// Rules that plans break, each once; an error if there are any.
pub(super) fn refuse_broken(broken: &[&Violation]) -> Result<(), CommandError> {
    if broken.is_empty() {
        return Ok(());
    }
    let lines: BTreeSet<String> = broken
        .iter()
        .map(|broken| {
            format!(
                "{} {} at `{}`: {}\n  help: {}",
                broken.code, broken.name, broken.step, broken.message, broken.way_out
            )
        })
        .collect();
    let lines: Vec<String> = lines.into_iter().collect();
    Err(CommandError::invalid(format!(
        "the plan breaks safety rules; nothing was run\n{}",
        lines.join("\n")
    )))
}

/// What an ending other than recovered means for the caller.
pub(super) fn ended_error(ended: &Ended) -> CommandError {
    match ended.ending {
        Ending::Undone => CommandError::new(
            Kind::Undone,
            format!("the run was taken back: {}", ended.detail),
        ),
        Ending::Stuck | Ending::Recovered | Ending::Ready | Ending::NotReady => {
            CommandError::new(Kind::Stuck, format!("the run is stuck: {}", ended.detail)).hint(
                "`understudy show RUN` tells where it stands, `understudy resume RUN` goes on",
            )
        }
    }
}

/// The report of a run, written in every format.
pub(super) struct Told {
    report: Report,
    html: PathBuf,
}

impl Told {
    /// Writes it.
    pub(super) fn write(entries: &[Entry], folder: &Path) -> Result<Self, CommandError> {
        let report = Report::of(entries)?;
        let html = folder.join("report.html");
        let files = [
            (html.clone(), understudy::report::html::render(&report)),
            (
                folder.join("report.md"),
                understudy::report::markdown::render(&report),
            ),
            (
                folder.join("report.json"),
                understudy::report::json::render(&report)?,
            ),
        ];
        for (path, text) in files {
            report::write(&path, &text)?;
        }
        Ok(Self { report, html })
    }

    /// One line for every step that failed or is stuck, as it last was, also where it was taken back since.
    pub(super) fn failures(&self) -> impl Iterator<Item = String> {
        let issues = self.report.issues.iter().filter(|issue| {
            issue.severity == Severity::Problem
                && matches!(issue.kind, IssueKind::StepFailed | IssueKind::Stuck)
        });
        let last: BTreeMap<_, _> = issues.map(|issue| (&issue.step, &issue.text)).collect();
        last.into_iter()
            .filter_map(|(step, text)| Some(format!("`{}` {text}", step.as_ref()?)))
    }

    /// Says what was achieved, and where the report is.
    pub(super) fn say(&self, context: &Context) -> Result<(), CommandError> {
        let output = &context.output;
        if output.is_json() {
            return output.data(&understudy::report::json::render(&self.report)?);
        }
        output.data(&show::head(&self.report, None, output))?;
        output.data(&format!("report {}\n", self.html.display()))
    }
}
