//! People who answer gates after a while, or not.

use std::time::Duration;

use super::World;
use crate::clock::Instant;
use crate::journal::record::{Choice, GateKind};
use crate::name::{RoleName, StrategyName};
use crate::rehearsal::scenario::events::{PAST_NO_RETURN, PersonSays};

/// How often a person lets a step go on over its budget: no rehearsal waits for ever.
const EXTENSIONS: u32 = 20;

/// A question to people of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateQuestion {
    /// Identity of the gate within the run.
    pub gate: String,
    /// What it is about.
    pub kind: GateKind,
    /// What it has taken so far: attempts that failed, or times the budget was given once more.
    pub tries: u32,
    /// Who is asked.
    pub role: RoleName,
    /// Which person of that role, from 0: a gate with a quorum asks several.
    pub person: u32,
    /// Strategies that may be switched to.
    pub alternatives: Vec<StrategyName>,
    /// The run cannot be taken back any more.
    pub no_way_back: bool,
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
        let (failed, extended, asked) = match question.kind {
            GateKind::Failed => (question.tries, 0, question.tries),
            GateKind::OverBudget => (0, question.tries, question.tries.saturating_add(1)),
            GateKind::Before | GateKind::After | GateKind::Question => (0, 0, 0),
        };
        let patience = if question.no_way_back {
            person.patience.saturating_mul(PAST_NO_RETURN)
        } else {
            person.patience
        };
        let switch_after = person.switch_after.unwrap_or(person.patience);
        let other = person.switch_to.as_ref().map(|other| other.as_ref());
        let other = other.filter(|other| question.alternatives.contains(*other));
        let (after, choice, note) = match (person.answer, other) {
            (PersonSays::Go, Some(other)) if asked >= switch_after => {
                (Some(after), Choice::Switch(other.clone()), String::new())
            }
            (PersonSays::Go, _) if failed >= patience => {
                let note = format!("{failed} attempts are enough");
                (Some(after), Choice::NoGo, note)
            }
            (PersonSays::Go, _) if extended >= EXTENSIONS => {
                let note = format!("{extended} extensions are enough");
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
