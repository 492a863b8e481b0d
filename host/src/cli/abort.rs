//! `understudy abort RUN`: ask for a run to be taken back.

use serde_json::json;

use super::Context;
use super::decide;
use super::error::CommandError;
use super::output::Format;
use super::recorded::Recorded;
use understudy::clock::Clock as _;
use understudy::journal::mailbox::{self, Message};

/// Ask a run to be taken back: undo in reverse, up to the point of no return.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run: as much of its name as is needed, or its folder
    run: String,
    /// Your name [default: the user's]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Why; goes into the report
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

impl Args {
    /// Posts the request.
    ///
    /// # Errors
    /// No such run, a run that is over, or a mailbox that cannot be used.
    pub(super) fn run(&self, context: &Context) -> Result<(), CommandError> {
        let recorded = Recorded::load(context, &self.run)?;
        let folder = recorded.folder()?;
        let run = recorded.report()?.run.id;
        if recorded.is_over() {
            let error = format!("run `{run}` is over, so there is nothing to take back");
            return Err(CommandError::invalid(error)
                .hint(format!("`understudy show {run}` tells how it ended")));
        }
        let by = decide::name(self.by.as_ref(), context)?;
        let message = Message::Abort {
            by: by.clone(),
            reason: self.reason.clone(),
        };
        mailbox::post(folder, context.clock.now(), &message)?;
        let held_by = recorded.held_by();
        if held_by.is_none() {
            let text = format!("no host is at the run; `understudy resume {run}` takes it back");
            context.output.say(&text);
        }
        match context.output.format() {
            Format::Json => context
                .output
                .json(&json!({"run": run, "by": by, "held-by": held_by})),
            Format::Text => context
                .output
                .data(&format!("asked for {run} to be taken back\n")),
        }
    }
}
