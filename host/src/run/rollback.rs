//! Taking a run back: in reverse, one step at a time, up to the point of no return.

use std::sync::Arc;

use super::attempt::{Verdict, attempt};
use super::error::RunError;
use super::scheduler::{Ended, Execution, deadline_of};
use super::state::{Event, StepState};
use crate::call::Direction;
use crate::journal::record::Ending;
use crate::mediation::deadline::Deadline;
use crate::name::StepId;
use crate::plan::Step;

impl Execution<'_> {
    /// Stops what runs, skips what has not begun, takes back what can be, and says what is left.
    pub(super) async fn roll_back(&mut self) -> Result<Ended, RunError> {
        self.withdraw_all();
        self.settle().await?;
        let steps: Vec<Arc<Step>> = self.board.reversible().into_iter().cloned().collect();
        for step in steps {
            self.take_back(step).await?;
        }
        let left: Vec<&str> = self
            .board
            .in_state(StepState::Stuck)
            .map(StepId::as_str)
            .collect();
        if !left.is_empty() {
            let detail = format!("could not be taken back: {}", left.join(", "));
            return Ok(Ended {
                ending: Ending::Stuck,
                detail,
            });
        }
        let passed = self.board.passed_no_return();
        if let Some(step) = passed.first() {
            let detail = format!(
                "`{}` is a point of no return and has begun: what it relies on was kept; go forward by hand or with \
                 another strategy",
                step.id
            );
            return Ok(Ended {
                ending: Ending::Stuck,
                detail,
            });
        }
        Ok(Ended {
            ending: Ending::Undone,
            detail: "everything that was done was taken back".to_owned(),
        })
    }

    /// Leaves no step in the middle of anything.
    async fn settle(&mut self) -> Result<(), RunError> {
        let steps: Vec<StepId> = self
            .board
            .steps()
            .iter()
            .map(|step| step.id.clone())
            .collect();
        for step in &steps {
            match self.board.square(step).state {
                StepState::Pending | StepState::AwaitingGo => {
                    self.happen(step, Event::Skip, "").await?;
                }
                StepState::Running | StepState::AwaitingAcceptance => {
                    self.happen(step, Event::Fail, "stopped: the run is taken back")
                        .await?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn take_back(&mut self, step: Arc<Step>) -> Result<(), RunError> {
        let square = self.board.square(&step.id);
        if square.state != StepState::Undoing {
            self.happen(&step.id, Event::Undo, "").await?;
        }
        let deadline = Deadline::at(self.now().after(deadline_of(&step)));
        let id = step.id.clone();
        let mediation = Arc::clone(&self.run.mediation);
        match attempt(
            mediation,
            &self.run.actors,
            step,
            Direction::Undo,
            square.attempt,
            deadline,
        )
        .await?
        {
            Verdict::Done(line) => self.happen(&id, Event::UndoSucceed, line).await,
            Verdict::Failed(reason) | Verdict::Unclear(reason) => {
                self.happen(&id, Event::UndoFail, reason).await
            }
            Verdict::Unrecorded(reason) => Err(RunError::Parked(reason)),
        }
    }
}
