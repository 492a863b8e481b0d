//! What is wanted of a runbook: which file with which overlays, which strategies in which order, and how.
//!
//! Shared by the commands that plan, rehearse and run.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::error::CommandError;
use understudy::journal::record;
use understudy::name::{InvalidName, RoleName, StrategyName};
use understudy::runbook::lock::Lock;
use understudy::runbook::types::Runbook;

/// A runbook and what is wanted of it.
#[derive(Debug, clap::Args)]
pub(super) struct Wanted {
    /// The runbook
    #[arg(value_name = "RUNBOOK")]
    pub(super) runbook: PathBuf,
    /// Files laid over it, in order
    #[arg(long, value_name = "FILE")]
    pub(super) overlay: Vec<PathBuf>,
    /// Procedure of the runbook [default: its only one]
    #[arg(long, value_name = "NAME", conflicts_with = "strategy")]
    pub(super) procedure: Option<String>,
    /// Strategies instead of a procedure, in order
    #[arg(long, value_name = "STRATEGY", num_args = 1..)]
    pub(super) strategy: Vec<StrategyName>,
    /// Whether the site that is left still answers
    #[arg(long, value_enum, default_value_t = Mode::Ungraceful)]
    pub(super) mode: Mode,
}

/// Whether the site that is left still answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Mode {
    /// It answers: nothing needs to be lost
    Graceful,
    /// It may be dead
    Ungraceful,
}

impl From<Mode> for record::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Graceful => Self::Graceful,
            Mode::Ungraceful => Self::Ungraceful,
        }
    }
}

impl Wanted {
    /// The runbook with its overlays, every plugin tied to its locked digest.
    ///
    /// # Errors
    /// Everything that is wrong with the files, or plugins that are not locked.
    #[expect(dead_code, reason = "called by the commands that load plugins")]
    pub(super) fn load(&self) -> Result<Runbook, CommandError> {
        load(&self.runbook, &self.overlay)
    }

    /// The strategies wanted, in order.
    ///
    /// # Errors
    /// A procedure there is not, or none named where there are several.
    #[expect(dead_code, reason = "called by the commands that load plugins")]
    pub(super) fn strategies(&self, runbook: &Runbook) -> Result<Vec<StrategyName>, CommandError> {
        choose(self.procedure.as_deref(), &self.strategy, runbook)
    }
}

/// A runbook with its overlays and its lock.
///
/// # Errors
/// Everything that is wrong with the files, or plugins that are not locked.
pub(super) fn load(path: &Path, overlays: &[PathBuf]) -> Result<Runbook, CommandError> {
    let overlays: Vec<&Path> = overlays.iter().map(PathBuf::as_path).collect();
    let mut runbook = Runbook::load(path, &overlays)?;
    Lock::load(path)?.fill(&mut runbook, path)?;
    Ok(runbook)
}

fn choose(
    procedure: Option<&str>,
    strategies: &[StrategyName],
    runbook: &Runbook,
) -> Result<Vec<StrategyName>, CommandError> {
    if !strategies.is_empty() {
        return Ok(strategies.to_vec());
    }
    let mut known = runbook.procedures.iter();
    let chosen = match (procedure, known.next(), known.next()) {
        (Some(name), ..) => runbook.procedures.get(name),
        (None, Some((_, only)), None) => Some(only),
        (None, ..) => None,
    };
    chosen.cloned().ok_or_else(|| {
        let names: Vec<&str> = runbook.procedures.keys().map(String::as_str).collect();
        let error = match procedure {
            Some(name) => format!("runbook `{}` has no procedure `{name}`", runbook.name),
            None => format!(
                "runbook `{}` has {} procedures: name one",
                runbook.name,
                names.len()
            ),
        };
        let error = CommandError::invalid(error);
        if names.is_empty() {
            error.hint("it has none at all: name strategies with `--strategy`")
        } else {
            error.hint(format!("`--procedure` takes: {}", names.join(", ")))
        }
    })
}

/// An answer given beforehand: `ROLE=go` or `ROLE=no-go`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GivenAnswer {
    /// Who would be asked.
    pub(super) role: RoleName,
    /// True for go.
    pub(super) go: bool,
}

impl std::str::FromStr for GivenAnswer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (role, answer) = text
            .split_once('=')
            .ok_or("give `ROLE=go` or `ROLE=no-go`")?;
        let go = match answer {
            "go" => true,
            "no-go" => false,
            other => return Err(format!("`{other}` is not an answer: give go or no-go")),
        };
        let role = role
            .parse()
            .map_err(|error: InvalidName| error.to_string())?;
        Ok(Self { role, go })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_names_a_role() {
        let given: GivenAnswer = "db-lead=no-go".parse().unwrap();
        assert_eq!((given.role.as_str(), given.go), ("db-lead", false));
        for bad in ["go", "db-lead=yes", "DB=go"] {
            assert!(bad.parse::<GivenAnswer>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_only_procedure_needs_no_name_and_several_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runbook.toml");
        let text = "[runbook]\nname = \"wordpress\"\nsummary = \"A blog\"\nformat = 1\n\
                    [targets]\nrto = \"30m\"\nrpo = \"5m\"\n";
        std::fs::write(&path, text).unwrap();
        let mut runbook = Runbook::load(&path, &[]).unwrap();
        let name = |text: &str| text.parse::<StrategyName>().unwrap();
        assert!(choose(None, &[], &runbook).is_err(), "there is none");
        assert_eq!(
            choose(None, &[name("restore")], &runbook).unwrap(),
            [name("restore")]
        );
        runbook
            .procedures
            .insert("over".to_owned(), vec![name("replica")]);
        assert_eq!(choose(None, &[], &runbook).unwrap(), [name("replica")]);
        runbook
            .procedures
            .insert("back".to_owned(), vec![name("failback")]);
        assert!(choose(None, &[], &runbook).is_err(), "which of two?");
        assert_eq!(
            choose(Some("back"), &[], &runbook).unwrap(),
            [name("failback")]
        );
        assert!(choose(Some("sideways"), &[], &runbook).is_err());
    }
}
