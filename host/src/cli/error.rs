//! The one error of the command line: what kind it is decides the exit code, what it says is for people.

use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;

use understudy::explain;
use understudy::journal::JournalError;
use understudy::live::LiveError;
use understudy::plugin::PluginError;
use understudy::plugin::build::BuildError;
use understudy::prepare::PrepareErrors;
use understudy::rehearsal::campaign::CampaignError;
use understudy::rehearsal::campaign::trouble::FaultsError;
use understudy::rehearsal::driver::RehearsalError;
use understudy::rehearsal::scenario::error::Refused;
use understudy::report::ReportError;
use understudy::run::RunError;
use understudy::runbook::RunbookErrors;

use super::output::{Output, Tone};

/// What an error means for the caller. Exit codes are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It failed, and everything that could be was taken back: exit code 1.
    Undone,
    /// The input is invalid and nothing ran: exit code 2.
    Invalid,
    /// A human is needed: exit code 3.
    Stuck,
    /// A bug of this program: exit code 255.
    Bug,
}

impl Kind {
    fn exit_code(self) -> u8 {
        match self {
            Self::Undone => 1,
            Self::Invalid => 2,
            Self::Stuck => 3,
            Self::Bug => 255,
        }
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) struct CommandError {
    kind: Kind,
    error: Box<dyn Error + Send + Sync>,
    hints: Vec<String>,
}

impl CommandError {
    /// An error of this kind.
    pub(crate) fn new(kind: Kind, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            kind,
            error: error.into(),
            hints: Vec::new(),
        }
    }

    /// Invalid input; nothing ran.
    pub(crate) fn invalid(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Kind::Invalid, error)
    }

    /// A file that cannot be read or written.
    pub(crate) fn file(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::invalid(format!("cannot {doing} `{}`: {error}", path.display()))
    }

    /// Adds a way out.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Says it on stderr and answers with the exit code.
    pub(crate) fn tell(&self, output: &Output) -> ExitCode {
        if let Some(errors) = self.error.downcast_ref::<RunbookErrors>() {
            output.say(&errors.render(output.colour_on_stderr()));
        } else if let Some(refused) = self.error.downcast_ref::<Refused>() {
            output.say(&refused.render(output.colour_on_stderr()));
        } else {
            let label = output.paint_on_stderr(Tone::Bad, "error");
            output.say(&format!("{label}: {}", self.text()));
        }
        for hint in self.hints.iter().chain(&self.explanation()) {
            let label = output.paint_on_stderr(Tone::Soft, "hint");
            output.say(&format!("{label}: {hint}"));
        }
        ExitCode::from(self.kind.exit_code())
    }

    /// The error and its causes, each once.
    fn text(&self) -> String {
        let mut text = self.error.to_string();
        let mut cause = self.error.source();
        while let Some(inner) = cause {
            // Some sources are part of their error's own message.
            let inner_text = inner.to_string();
            if !text.ends_with(&inner_text) {
                // Writing to a string cannot fail.
                write!(text, ": {inner_text}").ok();
            }
            cause = inner.source();
        }
        if let Some(error) = self.error.downcast_ref::<JournalError>()
            && !text.contains(error.code())
        {
            return format!("{}: {text}", error.code());
        }
        text
    }

    /// Where to read more, for the codes that the error names.
    fn explanation(&self) -> Option<String> {
        let text = self.text();
        let named: Vec<&str> = explain::codes()
            .filter(|code| text.contains(code))
            .collect();
        (!named.is_empty()).then(|| {
            let commands: Vec<String> = named
                .iter()
                .map(|code| format!("`understudy explain {code}`"))
                .collect();
            format!("{} tells more", commands.join(", "))
        })
    }
}

impl From<JournalError> for CommandError {
    fn from(error: JournalError) -> Self {
        let parked = matches!(
            error,
            JournalError::Fenced { .. }
                | JournalError::Full { .. }
                | JournalError::Cut { .. }
                | JournalError::Backlog { .. }
                | JournalError::WriterGone
        );
        Self::new(if parked { Kind::Stuck } else { Kind::Invalid }, error)
    }
}

impl From<RunError> for CommandError {
    fn from(error: RunError) -> Self {
        let kind = match error {
            RunError::Parked(_) => Kind::Stuck,
            RunError::NoStrategy { .. } => Kind::Invalid,
            RunError::Impossible { .. } | RunError::Name(_) => Kind::Bug,
        };
        Self::new(kind, error)
    }
}

impl From<PluginError> for CommandError {
    fn from(error: PluginError) -> Self {
        Self::invalid(error)
    }
}

impl From<BuildError> for CommandError {
    fn from(error: BuildError) -> Self {
        Self::invalid(error)
    }
}

impl From<PrepareErrors> for CommandError {
    fn from(errors: PrepareErrors) -> Self {
        Self::invalid(errors)
    }
}

impl From<RehearsalError> for CommandError {
    fn from(error: RehearsalError) -> Self {
        match error {
            RehearsalError::Prepare(errors) => errors.into(),
            RehearsalError::Journal(error) => error.into(),
            RehearsalError::Run(error) => error.into(),
        }
    }
}

impl From<CampaignError> for CommandError {
    fn from(error: CampaignError) -> Self {
        match error {
            CampaignError::Prepare(errors) => errors.into(),
            CampaignError::Rehearsal(error) => error.into(),
            CampaignError::Died { .. } | CampaignError::Panicked => Self::new(Kind::Bug, error),
            CampaignError::Scenario(_) | CampaignError::Name(_) | CampaignError::Thread(_) => {
                Self::invalid(error)
            }
        }
    }
}

impl From<FaultsError> for CommandError {
    fn from(error: FaultsError) -> Self {
        Self::invalid(error)
    }
}

impl From<LiveError> for CommandError {
    fn from(error: LiveError) -> Self {
        match error {
            LiveError::Prepare(errors) => errors.into(),
            LiveError::Journal(error) => error.into(),
            LiveError::Run(error) => error.into(),
        }
    }
}

impl From<RunbookErrors> for CommandError {
    fn from(errors: RunbookErrors) -> Self {
        Self::invalid(errors)
    }
}

impl From<ReportError> for CommandError {
    fn from(error: ReportError) -> Self {
        Self::invalid(error)
    }
}

impl From<serde_json::Error> for CommandError {
    fn from(error: serde_json::Error) -> Self {
        Self::new(Kind::Bug, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_decides_the_exit_code() {
        let codes = [Kind::Undone, Kind::Invalid, Kind::Stuck, Kind::Bug].map(Kind::exit_code);
        assert_eq!(codes, [1, 2, 3, 255]);
        let full = JournalError::Full {
            path: "j".to_owned(),
        };
        assert_eq!(CommandError::from(full).kind, Kind::Stuck);
        let missing = JournalError::NoSuchRun {
            folder: "f".to_owned(),
            wanted: "w".to_owned(),
        };
        assert_eq!(CommandError::from(missing).kind, Kind::Invalid);
    }

    #[test]
    fn a_code_leads_to_its_page_and_a_cause_is_told_once() {
        let error = CommandError::from(JournalError::NoSuchRun {
            folder: "f".to_owned(),
            wanted: "w".to_owned(),
        });
        assert_eq!(
            error.text().matches("JN0012").count(),
            1,
            "{}",
            error.text()
        );
        assert_eq!(
            error.explanation().unwrap(),
            "`understudy explain JN0012` tells more"
        );
        assert_eq!(CommandError::invalid("no code here").explanation(), None);
    }
}
