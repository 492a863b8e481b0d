//! Where every step of a run stands: derived from the journal, changed through the one table, written back to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::error::RunError;
use super::state::{Event, StepState, next};
use crate::clock::Instant;
use crate::journal::record::{Choice, Entry, GateKind, Record};
use crate::journal::{Durability, Journal};
use crate::name::StepId;
use crate::plan::{Plan, Reversal, Step};

/// One step on the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Square {
    /// Where it stands.
    pub state: StepState,
    /// Attempts begun; 0 before the first.
    pub attempt: u32,
    /// Since when its budget counts: the current attempt began then, or was given its budget once more.
    pub since: Option<Instant>,
    /// Times the current attempt was given its budget once more.
    pub extensions: u32,
    /// It is over its budget, and nobody has given it another yet.
    pub over_budget: bool,
}

impl Square {
    const fn fresh(state: StepState) -> Self {
        Self {
            state,
            attempt: 0,
            since: None,
            extensions: 0,
            over_budget: false,
        }
    }
}

/// The steps of a run.
#[derive(Debug, Clone)]
pub struct Board {
    /// Every step that is or was in the plan.
    steps: Vec<Arc<Step>>,
    /// Where each of them stands.
    squares: Vec<Square>,
    /// Their places in both, by their ids.
    places: BTreeMap<StepId, usize>,
    /// The plan in its order.
    plan: Vec<Planned>,
    /// Steps that have begun, in the order they last began.
    begun: Vec<StepId>,
    /// The run is being taken back.
    rolling_back: bool,
}

/// A step of the plan, by its place.
#[derive(Debug, Clone)]
struct Planned {
    place: usize,
    /// Places of what it needs; `None` where one of them is nowhere, and never done.
    needs: Option<Vec<usize>>,
}

impl Board {
    /// The board of a plan as a journal leaves it.
    #[must_use]
    pub fn new(plan: &Plan, entries: &[Entry]) -> Self {
        let mut board = Self {
            steps: Vec::new(),
            squares: Vec::new(),
            places: BTreeMap::new(),
            plan: Vec::new(),
            begun: Vec::new(),
            rolling_back: false,
        };
        board.lay_out(plan);
        let mut of_budgets: BTreeMap<&str, &StepId> = BTreeMap::new();
        for entry in entries {
            match &entry.record {
                Record::StepChanged {
                    step, attempt, to, ..
                } => board.set(step, *to, *attempt, entry.at),
                Record::BudgetExceeded { step, .. } => board.exceed(step),
                Record::GateOpened {
                    gate,
                    step,
                    kind: GateKind::OverBudget,
                    ..
                } => {
                    of_budgets.insert(gate, step);
                }
                Record::GateAnswered {
                    gate,
                    choice: Choice::Go,
                    ..
                } => {
                    if let Some(step) = of_budgets.get(gate.as_str()) {
                        board.extend(step, entry.at);
                    }
                }
                Record::AbortAsked { .. } => board.rolling_back = true,
                Record::StrategySwitched { plan, .. } => board.lay_out(plan),
                _ => {}
            }
        }
        board
    }

    /// Puts the steps of a plan on the board. Those that are there already stand where they stand.
    pub fn lay_out(&mut self, plan: &Plan) {
        for step in &plan.steps {
            let place = self.place(&step.id);
            match place.and_then(|place| self.steps.get_mut(place)) {
                Some(known) => *known = Arc::new(step.clone()),
                None => {
                    self.places.insert(step.id.clone(), self.steps.len());
                    self.steps.push(Arc::new(step.clone()));
                    self.squares.push(Square::fresh(StepState::Pending));
                }
            }
        }
        let planned = plan.steps.iter().filter_map(|step| {
            Some(Planned {
                place: self.place(&step.id)?,
                needs: step.needs.iter().map(|need| self.place(need)).collect(),
            })
        });
        self.plan = planned.collect();
    }

    fn place(&self, step: &StepId) -> Option<usize> {
        self.places.get(step).copied()
    }

    fn square_mut(&mut self, step: &StepId) -> Option<&mut Square> {
        let place = self.place(step)?;
        self.squares.get_mut(place)
    }

    fn set(&mut self, step: &StepId, state: StepState, attempt: u32, at: Instant) {
        let Some(square) = self.square_mut(step) else {
            return;
        };
        square.state = state;
        if state == StepState::Running {
            *square = Square {
                attempt,
                since: Some(at),
                ..Square::fresh(state)
            };
            self.begun.retain(|begun| begun != step);
            self.begun.push(step.clone());
        }
    }

    /// Notes that a step is over its budget.
    pub fn exceed(&mut self, step: &StepId) {
        if let Some(square) = self.square_mut(step) {
            square.over_budget = true;
        }
    }

    /// Gives a step its budget once more, from now on.
    pub fn extend(&mut self, step: &StepId, now: Instant) {
        if let Some(square) = self.square_mut(step) {
            square.since = Some(now);
            square.extensions += 1;
            square.over_budget = false;
        }
    }

    /// Where a step stands.
    #[must_use]
    pub fn square(&self, step: &StepId) -> Square {
        let place = self.place(step);
        let square = place.and_then(|place| self.squares.get(place));
        square.copied().unwrap_or(Square::fresh(StepState::Skipped))
    }

    /// Steps in this state, in order of their ids.
    pub fn in_state(&self, state: StepState) -> impl Iterator<Item = &StepId> {
        self.places
            .iter()
            .filter(move |(_, place)| self.is_in(**place, state))
            .map(|(step, _)| step)
    }

    fn is_in(&self, place: usize, state: StepState) -> bool {
        self.squares
            .get(place)
            .is_some_and(|square| square.state == state)
    }

    /// Every step of the plan is done.
    #[must_use]
    pub fn is_done(&self, plan: &Plan) -> bool {
        plan.steps
            .iter()
            .all(|step| self.square(&step.id).state == StepState::Done)
    }

    /// Every step that is or was in the plan.
    #[must_use]
    pub fn steps(&self) -> &[Arc<Step>] {
        &self.steps
    }

    /// The steps of the plan, in its order.
    pub fn in_plan(&self) -> impl Iterator<Item = &Arc<Step>> {
        let places = self.plan.iter().map(|planned| planned.place);
        places.filter_map(|place| self.steps.get(place))
    }

    /// The step of this id, if it is in the plan.
    #[must_use]
    pub fn planned(&self, id: &StepId) -> Option<&Arc<Step>> {
        let place = self.place(id)?;
        let mut plan = self.plan.iter();
        let planned = plan.any(|planned| planned.place == place);
        self.steps.get(place).filter(|_| planned)
    }

    /// The run is being taken back.
    #[must_use]
    pub fn is_rolling_back(&self) -> bool {
        self.rolling_back
    }

    /// Notes that the run is being taken back.
    pub fn roll_back(&mut self) {
        self.rolling_back = true;
    }

    /// Pending steps whose needs are all done, in plan order.
    pub fn ready(&self) -> impl Iterator<Item = &Arc<Step>> {
        let done = |place: &usize| self.is_in(*place, StepState::Done);
        let ready = self.plan.iter().filter(move |step| {
            let needs = step.needs.as_ref();
            self.is_in(step.place, StepState::Pending)
                && needs.is_some_and(|needs| needs.iter().all(done))
        });
        ready.filter_map(|step| self.steps.get(step.place))
    }

    /// Begun steps that can be taken back, last begun first. What a point of no return that has begun relies on
    /// stays: taking back the fence under a promotion would make two writers.
    #[must_use]
    pub fn reversible(&self) -> Vec<&Arc<Step>> {
        let kept = self.behind_no_return();
        self.begun
            .iter()
            .rev()
            .filter(|step| !kept.contains(*step) && self.square(step).state != StepState::Undone)
            .filter_map(|step| self.step(step))
            .filter(|step| step.reversal == Reversal::Undo)
            .collect()
    }

    /// Points of no return that have begun, in plan order.
    #[must_use]
    pub fn passed_no_return(&self) -> Vec<&Arc<Step>> {
        let is_passed = |step: &&Arc<Step>| {
            step.reversal == Reversal::PointOfNoReturn && self.begun.contains(&step.id)
        };
        self.steps.iter().filter(is_passed).collect()
    }

    fn step(&self, id: &StepId) -> Option<&Arc<Step>> {
        self.steps.get(self.place(id)?)
    }

    /// Points of no return that have begun, and everything they need, directly or not.
    fn behind_no_return(&self) -> BTreeSet<StepId> {
        let mut kept = BTreeSet::new();
        let mut open: Vec<StepId> = self
            .passed_no_return()
            .into_iter()
            .map(|step| step.id.clone())
            .collect();
        while let Some(id) = open.pop() {
            if let Some(step) = self.step(&id)
                && kept.insert(id)
            {
                open.extend(step.needs.iter().cloned());
            }
        }
        kept
    }

    /// Lets an event happen to a step, by the table, and records it.
    ///
    /// # Errors
    /// [`RunError::Impossible`] if the table has no such transition, [`RunError::Parked`] if it cannot be recorded.
    pub async fn happen(
        &mut self,
        journal: &Journal,
        step: &StepId,
        event: Event,
        detail: impl Into<String>,
    ) -> Result<(), RunError> {
        let square = self.square(step);
        let impossible = RunError::Impossible {
            step: step.clone(),
            state: square.state,
            event,
        };
        let to = next(square.state, event).ok_or(impossible)?;
        let begins = to == StepState::Running;
        let attempt = if begins {
            square.attempt + 1
        } else {
            square.attempt
        };
        let record = Record::StepChanged {
            step: step.clone(),
            attempt,
            from: square.state,
            to,
            detail: detail.into(),
        };
        let kept = journal.append(record, Durability::Buffered).await;
        let place = kept.map_err(|error| RunError::Parked(error.with_cause()))?;
        self.set(step, to, attempt, place.at);
        Ok(())
    }
}
