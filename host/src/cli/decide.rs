//! `understudy decide RUN STEP go|no-go --as ROLE`: a person's answer, from anywhere that reaches the run's folder.

use clap::ValueEnum;
use serde_json::json;

use super::Context;
use super::error::CommandError;
use super::output::Format;
use super::recorded::{Recorded, answer_command, open_gates};
use understudy::clock::Clock as _;
use understudy::journal::mailbox::{self, Message, Target};
use understudy::journal::record::Choice;
use understudy::name::{RoleName, StrategyName};
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
    /// Strategy to switch to
    #[arg(
        long = "to",
        value_name = "STRATEGY",
        required_if_eq("answer", "switch")
    )]
    to: Option<StrategyName>,
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

/// The answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Decision {
    /// Go on
    Go,
    /// Do not
    NoGo,
    /// Another strategy takes over
    Switch,
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
        let choice = self.choice(gate)?;
        let by = name(self.by.as_ref(), context)?;
        let message = Message::Decide {
            target: Target::Gate(gate.gate.clone()),
            choice: choice.clone(),
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
        match context.output.format() {
            Format::Json => context.output.json(&json!({
                "run": report.run.id, "gate": gate.gate, "step": gate.step, "choice": choice,
                "by": by, "role": self.role, "held-by": held_by,
            })),
            Format::Text => context.output.data(&format!(
                "{choice} by {by} as {} for {}: {}\n",
                self.role, gate.step, gate.title
            )),
        }
    }

    /// The answer, held to what the gate offers.
    fn choice(&self, gate: &GateLine) -> Result<Choice, CommandError> {
        let to = match (self.answer, &self.to) {
            (Decision::Go, None) => return Ok(Choice::Go),
            (Decision::NoGo, None) => return Ok(Choice::NoGo),
            (Decision::Go | Decision::NoGo, Some(_)) => {
                let error = "`--to` goes with `switch` alone";
                return Err(CommandError::invalid(error).hint("say `switch --to STRATEGY`"));
            }
            (Decision::Switch, to) => to.as_ref(),
        };
        if let Some(to) = to.filter(|to| gate.alternatives.contains(to)) {
            return Ok(Choice::Switch(to.clone()));
        }
        let offered: Vec<&str> = gate.alternatives.iter().map(AsRef::as_ref).collect();
        let error = match to {
            Some(to) => format!("`{}` does not offer a switch to `{to}`", gate.step),
            None => "a switch needs a strategy".to_owned(),
        };
        Err(CommandError::invalid(error).hint(match offered.as_slice() {
            [] => "it offers none: its strategy names no `alternatives`, or users may be at the new site already".to_owned(),
            offered => format!("it offers: {}", offered.join(", ")),
        }))
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
            return CommandError::invalid(error).hint(answer_command(run, gate));
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
            error.hint(format!("open: {}", answer_command(run, gate)))
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
