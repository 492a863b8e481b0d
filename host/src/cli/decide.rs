//! `understudy decide RUN STEP go|no-go --as ROLE`: a person's answer, from anywhere that reaches the run's folder.

use clap::ValueEnum;
use serde_json::json;

use super::Context;
use super::error::CommandError;
use super::output::Format;
use super::recorded::{Recorded, answer_command, open_gates};
use understudy::clock::Clock as _;
use understudy::journal::mailbox::{self, Message, Target};
use understudy::name::RoleName;
use understudy::report::account::GateLine;
use understudy::report::model::Report;

/// Answer a question of a run.
///
/// The answer is kept until the host at the run takes it; also when no host is at it and the run is resumed later.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run: as much of its name as is needed, or its folder
    run: String,
    /// The step that is asked about, or the gate itself, as `understudy show` prints them
    step: String,
    /// The answer
    #[arg(value_enum)]
    answer: Decision,
    /// Role in which you answer
    #[arg(long = "as", value_name = "ROLE")]
    role: RoleName,
    /// Your name [default: the user's]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Why; goes into the report
    #[arg(long, default_value = "", value_name = "TEXT")]
    note: String,
}

/// The two answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Decision {
    /// Go on
    Go,
    /// Do not
    NoGo,
}

impl Args {
    /// Posts the answer.
    ///
    /// # Errors
    /// No such run or question, another role is asked, or the mailbox cannot be used.
    pub(super) fn run(&self, context: &Context) -> Result<(), CommandError> {
        let recorded = Recorded::load(context, &self.run)?;
        let folder = recorded.folder()?;
        let report = recorded.report()?;
        let gate = self.gate(&report)?;
        let by = name(self.by.as_ref(), context)?;
        let message = Message::Decide {
            target: Target::Gate(gate.gate.clone()),
            go: self.answer == Decision::Go,
            by: by.clone(),
            role: self.role.clone(),
            note: self.note.clone(),
        };
        mailbox::post(folder, context.clock.now(), &message)?;
        let held_by = recorded.held_by();
        if held_by.is_none() {
            context.output.say(&format!(
                "no host is at the run; `understudy resume {}` takes the answer",
                report.run.id
            ));
        }
        let word = if self.answer == Decision::Go {
            "go"
        } else {
            "no-go"
        };
        match context.output.format() {
            Format::Json => context.output.json(&json!({
                "run": report.run.id, "gate": gate.gate, "step": gate.step, "go": self.answer == Decision::Go,
                "by": by, "role": self.role, "held-by": held_by,
            })),
            Format::Text => context.output.data(&format!(
                "{word} by {by} as {} for {}: {}\n",
                self.role, gate.step, gate.title
            )),
        }
    }

    /// The open gate that is meant.
    fn gate<'a>(&self, report: &'a Report) -> Result<&'a GateLine, CommandError> {
        let concerned: Vec<&GateLine> = open_gates(report)
            .filter(|gate| gate.step.as_str() == self.step || gate.gate == self.step)
            .collect();
        let mut fitting = concerned.iter().filter(|gate| gate.role == self.role);
        match (fitting.next(), fitting.next()) {
            (Some(gate), None) => Ok(gate),
            (Some(_), Some(_)) => {
                let error = format!("several questions about `{}` are open", self.step);
                let gates = concerned
                    .iter()
                    .map(|gate| format!("`{}`: {}", gate.gate, gate.title));
                Err(gates.fold(CommandError::invalid(error), CommandError::hint))
            }
            (None, _) => Err(self.refused(report, &concerned)),
        }
    }

    fn refused(&self, report: &Report, concerned: &[&GateLine]) -> CommandError {
        let run = report.run.id.as_str();
        if let Some(gate) = concerned.first() {
            let error = format!(
                "`{}` is asked of {}, not of {}",
                self.step, gate.role, self.role
            );
            return CommandError::invalid(error).hint(answer_command(run, &gate.step, &gate.role));
        }
        let error =
            CommandError::invalid(format!("run `{run}` asks nothing about `{}`", self.step));
        let mut open = open_gates(report).peekable();
        if open.peek().is_none() {
            return error.hint(format!(
                "it asks nothing at all now; `understudy show {run}` tells where it stands"
            ));
        }
        open.fold(error, |error, gate| {
            error.hint(format!(
                "open: {}",
                answer_command(run, &gate.step, &gate.role)
            ))
        })
    }
}

/// Who speaks: as said, else the user.
///
/// # Errors
/// Neither is known.
pub(super) fn name(said: Option<&String>, context: &Context) -> Result<String, CommandError> {
    let name = said
        .or(context.environment.user.as_ref())
        .map(|name| name.trim().to_owned());
    name.filter(|name| !name.is_empty()).ok_or_else(|| {
        CommandError::invalid("nobody knows who you are").hint("give your name with `--by NAME`")
    })
}
