//! `understudy report RUN`: the postmortem, in the format wanted, to stdout or to a file.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::Context;
use super::error::CommandError;
use super::output::Format;
use super::recorded::Recorded;
use understudy::report::model::Report;
use understudy::report::{html, json, markdown};

/// Write the postmortem of a run: of a finished one, a stuck one, or one that still runs.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run: as much of its name as is needed, its folder, or an exported journal
    run: String,
    /// Format [default: by the ending of --out, else md, or json with -o json]
    #[arg(long, value_enum)]
    format: Option<ReportFormat>,
    /// File to write instead of stdout; replaced if it is there
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Formats of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportFormat {
    /// Markdown: the postmortem template, to be completed by people
    Md,
    /// JSON: every figure, for programs
    Json,
    /// One self-contained page with a timeline
    Html,
    /// The journal itself as JSON Lines, for `understudy verify FILE`
    Journal,
}

impl ReportFormat {
    /// The format that a file name asks for.
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "md" => Some(Self::Md),
            "json" => Some(Self::Json),
            "html" | "htm" => Some(Self::Html),
            "jsonl" => Some(Self::Journal),
            _ => None,
        }
    }
}

impl Args {
    /// Writes it.
    ///
    /// # Errors
    /// No such run, a journal that cannot be read, or a file that cannot be written.
    pub(super) fn run(&self, context: &Context) -> Result<(), CommandError> {
        let recorded = Recorded::load(context, &self.run)?;
        let text = match self.chosen(context.output.format()) {
            ReportFormat::Journal => recorded.export(),
            format => render(&recorded.report()?, format)?,
        };
        match &self.out {
            None => context.output.data(&text),
            Some(path) => {
                write(path, &text)?;
                context.output.say(&format!("wrote `{}`", path.display()));
                Ok(())
            }
        }
    }

    fn chosen(&self, format: Format) -> ReportFormat {
        let by_name = || self.out.as_deref().and_then(ReportFormat::of);
        self.format.or_else(by_name).unwrap_or(match format {
            Format::Text => ReportFormat::Md,
            Format::Json => ReportFormat::Json,
        })
    }
}

/// The report in a format; the journal is not one.
fn render(report: &Report, format: ReportFormat) -> Result<String, CommandError> {
    Ok(match format {
        ReportFormat::Html => html::render(report),
        ReportFormat::Json => json::render(report)?,
        ReportFormat::Md | ReportFormat::Journal => markdown::render(report),
    })
}

/// Writes a file whole or not at all, in a folder that is made where it is missing.
///
/// # Errors
/// What the system says.
pub(super) fn write(path: &Path, text: &str) -> Result<(), CommandError> {
    let failed = |error| CommandError::file("write", path, &error);
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    understudy::file::replace(path, text).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(format: Option<ReportFormat>, out: Option<&str>) -> Args {
        Args {
            run: String::new(),
            format,
            out: out.map(PathBuf::from),
        }
    }

    #[test]
    fn the_format_is_what_was_said_then_what_the_name_says() {
        use ReportFormat as F;
        assert_eq!(args(None, None).chosen(Format::Text), F::Md);
        assert_eq!(args(None, None).chosen(Format::Json), F::Json);
        assert_eq!(args(None, Some("a.html")).chosen(Format::Text), F::Html);
        assert_eq!(
            args(Some(F::Md), Some("a.html")).chosen(Format::Json),
            F::Md
        );
    }

    #[test]
    fn a_file_is_written_where_no_folder_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/report.md");
        write(&path, "one").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
        assert!(write(folder.path(), "a folder").is_err());
    }
}
