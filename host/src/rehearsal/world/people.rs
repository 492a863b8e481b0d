//! People who answer gates after a while, or not.

use std::time::Duration;

use super::World;
use crate::clock::Instant;
use crate::journal::record::Choice;
use crate::name::{RoleName, StrategyName};
use crate::rehearsal::scenario::events::PersonSays;

/// A question to people of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateQuestion {
    /// Identity of the gate within the run.
    pub gate: String,
    /// Who is asked.
    pub role: RoleName,
    /// Which person of that role, from 0: a gate with a quorum asks several.
    pub person: u32,
    /// Strategies that may be switched to.
    pub alternatives: Vec<StrategyName>,
}

/// What a simulated person does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonAnswer {
    /// Time until the answer; `None` for never.
    pub after: Option<Duration>,
    /// What is said.
    pub choice: Choice,
    /// Who it is.
    pub by: String,
    /// Why; may be empty.
    pub note: String,
}

impl World {
    /// What a person does about a question asked at `now`. The same person answers the same question the same way.
    pub fn answer(&mut self, now: Instant, question: &GateQuestion) -> PersonAnswer {
        self.advance(now);
        let person = self.people.get(&question.role).cloned().unwrap_or_default();
        let after = self.draws.within(
            person.after,
            "person",
            &question.gate,
            u64::from(question.person),
        );
        let by = format!("{}-{}", question.role, question.person + 1);
        let tried = failed_attempts(&question.gate);
        let other = person.switch_to.as_ref();
        let other = other.filter(|other| question.alternatives.contains(other));
        let (after, choice, note) = match (person.answer, other) {
            (PersonSays::Go, Some(other))
                if tried.max(times_over_budget(&question.gate)) >= person.patience =>
            {
                (Some(after), Choice::Switch(other.clone()), String::new())
            }
            (PersonSays::Go, _) if tried >= person.patience => {
                let note = format!("{tried} attempts are enough");
                (Some(after), Choice::NoGo, note)
            }
            (PersonSays::Go, _) => (Some(after), Choice::Go, String::new()),
            (PersonSays::NoGo, _) => (
                Some(after),
                Choice::NoGo,
                "the scenario says no-go".to_owned(),
            ),
            (PersonSays::Silent, _) => (None, Choice::NoGo, String::new()),
        };
        PersonAnswer {
            after,
            choice,
            by,
            note,
        }
    }
}

/// How often people have been asked, with this time, about a step over its budget: from the gate's form
/// `STEP:over-budget:ATTEMPT:EXTENSIONS`; 0 for other gates.
fn times_over_budget(gate: &str) -> u32 {
    let place = gate.split_once(":over-budget:").map(|(_, place)| place);
    place
        .and_then(|place| place.split_once(':')?.1.parse::<u32>().ok())
        .map_or(0, |extensions| extensions.saturating_add(1))
}

/// Attempts at the step that a gate of the form `STEP:failed:ATTEMPTS` is about; 0 for other gates.
fn failed_attempts(gate: &str) -> u32 {
    let attempts = gate.rsplit_once(":failed:").map(|(_, attempts)| attempts);
    attempts
        .and_then(|attempts| attempts.parse().ok())
        .unwrap_or(0)
}
