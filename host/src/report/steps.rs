//! The steps of the plan with what became of them, the scope they make, and the items they cover.

use std::collections::{BTreeMap, BTreeSet};

use super::account::{CoveredItem, Mark, Period, StepLine};
use super::model::{Exclusion, Scope};
use super::units;
use crate::clock::{Instant, millis};
use crate::journal::record::{Entry, Header, Record};
use crate::name::{ItemId, StepId};
use crate::plan::{Reversal, Step};
use crate::run::state::StepState;

/// Every step of the plan; what has not ended is measured until `until`.
pub(super) fn lines(entries: &[Entry], header: &Header, until: Instant) -> Vec<StepLine> {
    let mut lives: BTreeMap<&StepId, Life> = BTreeMap::new();
    for entry in entries {
        if let Record::StepChanged {
            step,
            attempt,
            to,
            detail,
            ..
        } = &entry.record
        {
            lives
                .entry(step)
                .or_default()
                .enter(entry.at, *attempt, *to, detail);
        }
    }
    let steps = header.plan.steps.iter();
    steps
        .map(|step| line(step, lives.remove(&step.id).unwrap_or_default(), until))
        .collect()
}

/// What one step went through.
#[derive(Default)]
struct Life {
    periods: Vec<Period>,
    open: Option<(StepState, u32, Instant)>,
    ended_at: Option<Instant>,
    attempts: u32,
    detail: String,
}

impl Life {
    fn enter(&mut self, at: Instant, attempt: u32, state: StepState, detail: &str) {
        self.close(at);
        self.open = Some((state, attempt, at));
        self.attempts = self.attempts.max(attempt);
        units::one_line(detail).clone_into(&mut self.detail);
        self.ended_at = is_rest(state).then_some(at);
    }

    fn close(&mut self, until: Instant) {
        if let Some((state, attempt, from)) = self.open
            && !is_rest(state)
        {
            self.periods.push(Period {
                state,
                attempt,
                from,
                until,
            });
        }
    }

    fn time_in(&self, wanted: impl Fn(&Period) -> bool) -> u64 {
        let periods = self.periods.iter().filter(|period| wanted(period));
        periods
            .map(|period| millis(period.until.since(period.from)))
            .sum()
    }
}

/// True where nothing goes on any more, or not yet.
fn is_rest(state: StepState) -> bool {
    matches!(
        state,
        StepState::Pending
            | StepState::Done
            | StepState::Undone
            | StepState::Skipped
            | StepState::Superseded
    )
}

/// True where a step stands because people are asked.
pub(super) fn waits_for_people(state: StepState) -> bool {
    matches!(
        state,
        StepState::AwaitingGo
            | StepState::AwaitingAcceptance
            | StepState::Failed
            | StepState::Stuck
    )
}

fn line(step: &Step, mut life: Life, until: Instant) -> StepLine {
    life.close(until);
    let ran = |period: &Period| period.state == StepState::Running;
    let started_at = life.periods.iter().find(|p| ran(p)).map(|p| p.from);
    let longest = (1..=life.attempts)
        .map(|attempt| life.time_in(|p| ran(p) && p.attempt == attempt))
        .max()
        .unwrap_or(0);
    let over = longest.saturating_sub(step.budget_ms);
    StepLine {
        id: step.id.clone(),
        title: units::one_line(&step.title),
        role: step.role.clone(),
        state: life.open.map_or(StepState::Pending, |(state, ..)| state),
        started_at,
        ended_at: life.ended_at,
        budget_ms: step.budget_ms,
        took_ms: started_at.map(|_| life.time_in(ran)),
        over_budget_ms: (over > 0).then_some(over),
        waited_for_people_ms: life.time_in(|p| waits_for_people(p.state)),
        attempts: if started_at.is_some() {
            life.attempts
        } else {
            0
        },
        point_of_no_return: step.reversal == Reversal::PointOfNoReturn,
        acts: step.acts.clone(),
        covers: step.covers.clone(),
        detail: life.detail,
        periods: life.periods,
    }
}

/// What was in the run and what was not.
pub(super) fn scope(header: &Header, steps: &[StepLine], marks: &[Mark]) -> Scope {
    let acted = steps.iter().flat_map(|step| &step.acts);
    let sites: BTreeSet<String> = acted
        .map(|act| act.site.clone())
        .chain(marks.iter().filter_map(|mark| mark.site.clone()))
        .filter(|site| !site.is_empty())
        .collect();
    let begun = steps.iter().filter(|step| step.started_at.is_some());
    let excluded = steps.iter().filter(|step| step.started_at.is_none());
    Scope {
        stage: header.stage.clone(),
        mode: header.mode,
        strategies: header.strategies.clone(),
        sites: sites.into_iter().collect(),
        steps_begun: units::count(begun.count()),
        steps_planned: units::count(steps.len()),
        excluded: header
            .dropped
            .iter()
            .map(dropped)
            .chain(excluded.map(exclusion))
            .collect(),
    }
}

/// A step that is in no plan, so that nothing but its name is known.
fn dropped(step: &StepId) -> Exclusion {
    Exclusion {
        step: step.clone(),
        title: String::new(),
        reason: "taken out by the runbook".to_owned(),
    }
}

fn exclusion(step: &StepLine) -> Exclusion {
    let reason = match step.state {
        StepState::Skipped => "skipped, as the run was taken back",
        StepState::Superseded => "given up, as another strategy took over",
        StepState::AwaitingGo => "not begun: the gate before it is open",
        _ => "not begun",
    };
    Exclusion {
        step: step.id.clone(),
        title: step.title.clone(),
        reason: reason.to_owned(),
    }
}

/// Which items of source runbooks the steps cover.
pub(super) fn items(steps: &[StepLine]) -> Vec<CoveredItem> {
    let mut items: BTreeMap<&ItemId, CoveredItem> = BTreeMap::new();
    for step in steps {
        for item in &step.covers {
            let covered = items.entry(item).or_insert_with(|| CoveredItem {
                item: item.clone(),
                done_by: Vec::new(),
                open_in: Vec::new(),
            });
            if step.state == StepState::Done {
                covered.done_by.push(step.id.clone());
            } else {
                covered.open_in.push(step.id.clone());
            }
        }
    }
    items.into_values().collect()
}
