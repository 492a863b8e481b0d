//! Runs the step graph: everything whose needs are done runs at once, budgets are watched, people are asked.
//!
//! One task drives it all and every happening comes to one place, so that with a virtual clock the same world gives the
//! same order of events. States live on the [`Board`]; this file decides which event happens next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{AbortHandle, Abortable};
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use super::attempt::{Actors, Verdict, attempt};
use super::board::Board;
use super::error::RunError;
use super::gate::{AbortRequest, Decision, Gates};
use super::state::{Event, StepState};
use super::switch::{Alternatives, Switch};
use crate::call::Direction;
use crate::clock::{BoxFuture, Instant};
use crate::journal::Durability;
use crate::journal::record::{Choice, Ending, GateKind, Record};
use crate::mediation::Mediation;
use crate::mediation::deadline::Deadline;
use crate::name::{RoleName, StepId};
use crate::plan::{Plan, Step};
use crate::plugin::error::Halt;

/// A step's deadline is its budget times this, until people extend it: a budget is a time to look, not to stop.
pub const PATIENCE: u32 = 4;

/// Who is asked about budgets and failures.
pub const COMMANDER: &str = "incident-commander";

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub ending: Ending,
    /// One line.
    pub detail: String,
}

/// A run, ready to be executed or resumed.
pub struct Run {
    /// The path of its calls.
    pub mediation: Arc<Mediation>,
    /// The way to people.
    pub gates: Gates,
    /// The graph it begins with.
    pub plan: Arc<Plan>,
    /// The graphs it may go on with, where one strategy takes the place of another.
    pub alternatives: Alternatives,
    /// Recovery point objective in milliseconds.
    pub rpo_target_ms: u64,
    /// Who performs steps.
    pub actors: Actors,
}

/// What a happening means for the run as a whole.
pub(super) enum Turn {
    /// It goes on.
    GoOn,
    /// It is taken back.
    TakeBack(AbortRequest),
    /// Another strategy takes over.
    Switch(Switch),
}

/// Something that comes to the scheduler.
pub(super) enum Happening {
    Attempted {
        step: StepId,
        attempt: u32,
        verdict: Result<Verdict, RunError>,
    },
    Decided {
        step: StepId,
        kind: GateKind,
        decision: Result<Decision, Halt>,
    },
    OverBudget {
        step: StepId,
        attempt: u32,
    },
    Abort(AbortRequest),
}

/// A run being executed.
pub(super) struct Execution<'a> {
    pub(super) run: &'a Run,
    /// The graph as it is now.
    pub(super) plan: Arc<Plan>,
    pub(super) board: Board,
    /// What goes on; a task that was withdrawn, because the step it was about is over, comes back with nothing.
    tasks: FuturesUnordered<BoxFuture<'a, Option<Happening>>>,
    /// Tasks that will come back by themselves; the wait for an abort is not one.
    active: usize,
    /// What can be withdrawn, by step: its attempt, its budget and its gates.
    handles: BTreeMap<StepId, Vec<AbortHandle>>,
    deadlines: BTreeMap<StepId, Deadline>,
    /// A step is stuck: what runs may finish, nothing new starts.
    pub(super) stuck: Option<String>,
    pub(super) commander: RoleName,
}

impl Run {
    /// Executes the run from wherever its journal leaves it.
    ///
    /// # Errors
    /// [`RunError`] if it stopped where it stood; `resume` goes on from there.
    pub async fn execute(&self) -> Result<Ended, RunError> {
        let journal = &self.mediation.journal;
        let mut execution = Execution {
            run: self,
            plan: journal.read(|entries| self.plan_after(entries))?,
            board: journal.read(|entries| Board::new(&self.plan, entries)),
            tasks: FuturesUnordered::new(),
            active: 0,
            handles: BTreeMap::new(),
            deadlines: BTreeMap::new(),
            stuck: None,
            commander: COMMANDER.parse()?,
        };
        let ended = execution.drive().await?;
        let record = Record::RunEnded {
            ending: ended.ending,
            detail: ended.detail.clone(),
        };
        execution.append(record).await?;
        Ok(ended)
    }
}

impl<'a> Execution<'a> {
    async fn drive(&mut self) -> Result<Ended, RunError> {
        if self.board.is_rolling_back() {
            return self.roll_back().await;
        }
        self.listen();
        self.pick_up().await?;
        loop {
            if self.stuck.is_none() {
                self.start_ready().await?;
            }
            let Some(happening) = self.next().await else {
                return Ok(self.rest());
            };
            match self.handle(happening).await? {
                Turn::GoOn => {}
                Turn::Switch(switch) => self.switch(switch).await?,
                Turn::TakeBack(abort) => {
                    let record = Record::AbortAsked {
                        by: abort.by,
                        reason: abort.reason,
                    };
                    self.append(record).await?;
                    self.board.roll_back();
                    return self.roll_back().await;
                }
            }
        }
    }

    /// Waits for somebody who wants the run taken back.
    pub(super) fn listen(&mut self) {
        let keeper = &self.run.gates.keeper;
        self.tasks.push(Box::pin(async {
            Some(Happening::Abort(keeper.abort().await))
        }));
    }

    /// The next happening; `None` once nothing is under way.
    async fn next(&mut self) -> Option<Happening> {
        while self.active > 0 {
            if let Some(happening) = self.tasks.next().await? {
                return Some(happening);
            }
            self.active -= 1;
        }
        None
    }

    /// Nothing is under way and nothing can start.
    fn rest(&self) -> Ended {
        if self.board.is_done(&self.plan) {
            if let Some(detail) = self.not_yet_recovered() {
                return Ended {
                    ending: Ending::Stuck,
                    detail,
                };
            }
            return Ended {
                ending: Ending::Recovered,
                detail: "every step is done".to_owned(),
            };
        }
        let waiting: Vec<&str> = self
            .board
            .in_state(StepState::Stuck)
            .map(StepId::as_str)
            .collect();
        let detail = self
            .stuck
            .clone()
            .unwrap_or_else(|| format!("nothing can go on: {}", waiting.join(", ")));
        Ended {
            ending: Ending::Stuck,
            detail,
        }
    }

    /// Continues what a crash or an earlier end left under way.
    async fn pick_up(&mut self) -> Result<(), RunError> {
        self.finish_switch().await?;
        let steps: Vec<Arc<Step>> = self.board.in_plan().cloned().collect();
        for step in steps {
            match self.board.square(&step.id).state {
                StepState::AwaitingGo => self.ask_before(&step),
                StepState::Running => self.launch(&step)?,
                StepState::AwaitingAcceptance => self.ask_after(&step, String::new()),
                StepState::Failed | StepState::Stuck => {
                    self.ask_failed(&step, "it had failed before")
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn start_ready(&mut self) -> Result<(), RunError> {
        let ready: Vec<Arc<Step>> = self.board.ready().cloned().collect();
        for step in ready {
            if step.gate_before.is_some() {
                self.happen(&step.id, Event::Ask, "").await?;
                self.ask_before(&step);
            } else {
                self.happen(&step.id, Event::Start, "").await?;
                self.launch(&step)?;
            }
        }
        Ok(())
    }

    /// What a happening means.
    async fn handle(&mut self, happening: Happening) -> Result<Turn, RunError> {
        if !matches!(happening, Happening::Abort(_)) {
            self.active -= 1;
        }
        match happening {
            Happening::Abort(request) => Ok(Turn::TakeBack(request)),
            Happening::Attempted {
                step,
                attempt,
                verdict,
            } => {
                let current = self.board.square(&step);
                if current.state == StepState::Running && current.attempt == attempt {
                    self.attempted(&step, verdict?).await?;
                }
                Ok(Turn::GoOn)
            }
            Happening::OverBudget { step, attempt } => {
                let current = self.board.square(&step);
                if current.state == StepState::Running && current.attempt == attempt {
                    self.over_budget(&step).await?;
                }
                Ok(Turn::GoOn)
            }
            Happening::Decided {
                step,
                kind,
                decision,
            } => {
                let decision = decision.map_err(|halt| RunError::Parked(halt.to_string()))?;
                self.decided(&step, kind, decision).await
            }
        }
    }

    async fn attempted(&mut self, id: &StepId, verdict: Verdict) -> Result<(), RunError> {
        let Some(step) = self.step(id) else {
            return Ok(());
        };
        self.withdraw(id);
        match verdict {
            Verdict::Done(line) if step.gate_after.is_some() => {
                self.happen(id, Event::Review, line.clone()).await?;
                self.ask_after(&step, line);
            }
            Verdict::Done(line) => self.happen(id, Event::Succeed, line).await?,
            Verdict::Failed(reason) => {
                self.happen(id, Event::Fail, reason.clone()).await?;
                self.ask_failed(&step, &reason);
            }
            Verdict::Unclear(reason) => {
                self.happen(id, Event::Park, reason.clone()).await?;
                self.stuck.get_or_insert(reason);
            }
            Verdict::Unrecorded(reason) => return Err(RunError::Parked(reason)),
        }
        Ok(())
    }

    async fn decided(
        &mut self,
        id: &StepId,
        kind: GateKind,
        decision: Decision,
    ) -> Result<Turn, RunError> {
        let Some(step) = self.step(id) else {
            return Ok(Turn::GoOn);
        };
        let state = self.board.square(id).state;
        match decision.choice {
            Choice::Go => {}
            Choice::NoGo => {
                let reason = match decision.note.as_str() {
                    "" => format!("no-go for `{id}`"),
                    note => format!("no-go for `{id}`: {note}"),
                };
                return Ok(Turn::TakeBack(AbortRequest {
                    by: decision.by,
                    reason,
                }));
            }
            Choice::Switch(to) => {
                return Ok(Turn::Switch(Switch {
                    from: id.strategy().parse()?,
                    to,
                    by: decision.by,
                    note: decision.note,
                }));
            }
        }
        match (kind, state) {
            (GateKind::Before, StepState::AwaitingGo) => {
                self.happen(id, Event::Start, format!("go by {}", decision.by))
                    .await?;
                self.launch(&step)?;
            }
            (GateKind::After, StepState::AwaitingAcceptance) => {
                self.happen(id, Event::Accept, format!("accepted by {}", decision.by))
                    .await?;
            }
            (GateKind::Failed, StepState::Failed | StepState::Stuck) => {
                self.happen(id, Event::Retry, format!("retry by {}", decision.by))
                    .await?;
                self.launch(&step)?;
            }
            (GateKind::OverBudget, StepState::Running) => {
                let now = self.now();
                self.board.extend(id, now);
                if let Some(deadline) = self.deadlines.get(id) {
                    deadline.extend(now.after(step.budget() * PATIENCE));
                }
                let attempt = self.board.square(id).attempt;
                self.watch_budget(&step, attempt, now.after(step.budget()));
            }
            // The step went on without the answer.
            _ => {}
        }
        Ok(Turn::GoOn)
    }

    /// Begins (or, after a crash, continues) the current attempt.
    fn launch(&mut self, step: &Arc<Step>) -> Result<(), RunError> {
        let square = self.board.square(&step.id);
        let since = square.since.unwrap_or_else(|| self.now());
        let deadline = Deadline::at(since.after(step.budget() * PATIENCE));
        // After a crash the time the host was away does not count against the step.
        deadline.extend(self.now().after(step.budget()));
        self.deadlines.insert(step.id.clone(), deadline.clone());
        let number = square.attempt;
        if let Some(reason) = self.held_back(step) {
            let refused = Happening::Attempted {
                step: step.id.clone(),
                attempt: number,
                verdict: Ok(Verdict::Failed(reason)),
            };
            self.spawn(&step.id, async { refused });
            return Ok(());
        }
        self.watch_budget(step, number, since.after(step.budget()));
        let (run, shared, id) = (self.run, Arc::clone(step), step.id.clone());
        let attempting = async move {
            let mediation = Arc::clone(&run.mediation);
            let verdict = attempt(
                mediation,
                &run.actors,
                shared,
                Direction::Run,
                number,
                deadline,
            )
            .await;
            Happening::Attempted {
                step: id,
                attempt: number,
                verdict,
            }
        };
        self.spawn(&step.id, attempting);
        Ok(())
    }

    fn watch_budget(&mut self, step: &Step, attempt: u32, at: Instant) {
        let sleep = self.run.mediation.clock.sleep_until(at);
        let id = step.id.clone();
        let watching = async move {
            sleep.await;
            Happening::OverBudget { step: id, attempt }
        };
        self.spawn(&step.id, watching);
    }

    pub(super) fn spawn(
        &mut self,
        step: &StepId,
        task: impl Future<Output = Happening> + Send + 'a,
    ) {
        let (handle, registration) = AbortHandle::new_pair();
        self.handles.entry(step.clone()).or_default().push(handle);
        self.active += 1;
        let task = Abortable::new(task, registration);
        self.tasks.push(Box::pin(async { task.await.ok() }));
    }

    /// Ends everything that is under way about a step.
    pub(super) fn withdraw(&mut self, step: &StepId) {
        self.handles
            .remove(step)
            .into_iter()
            .flatten()
            .for_each(|handle| handle.abort());
        self.deadlines.remove(step);
    }

    /// Ends everything that is under way. What was sent and has no outcome is in doubt, and the journal says so.
    pub(super) fn withdraw_all(&mut self) {
        let steps: Vec<StepId> = self.handles.keys().cloned().collect();
        steps.iter().for_each(|step| self.withdraw(step));
        self.tasks = FuturesUnordered::new();
        self.active = 0;
    }

    pub(super) fn step(&self, id: &StepId) -> Option<Arc<Step>> {
        self.board.planned(id).cloned()
    }

    pub(super) fn now(&self) -> Instant {
        self.run.mediation.clock.now()
    }

    pub(super) async fn happen(
        &mut self,
        step: &StepId,
        event: Event,
        detail: impl Into<String>,
    ) -> Result<(), RunError> {
        self.board
            .happen(&self.run.mediation.journal, step, event, detail)
            .await
    }

    pub(super) async fn append(&self, record: Record) -> Result<(), RunError> {
        let appended = self
            .run
            .mediation
            .journal
            .append(record, Durability::Durable)
            .await;
        appended
            .map(drop)
            .map_err(|error| RunError::Parked(error.with_cause()))
    }
}

/// The time a step may take before people are asked, at most.
#[must_use]
pub fn deadline_of(step: &Step) -> Duration {
    step.budget() * PATIENCE
}
