//! People who answer gates after a while, or not.

use std::time::Duration;

use super::World;
use crate::clock::Instant;
use crate::name::RoleName;
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
}

/// What a simulated person does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonAnswer {
    /// Time until the answer; `None` for never.
    pub after: Option<Duration>,
    /// True for go.
    pub go: bool,
    /// Who it is.
    pub by: String,
    /// Why; may be empty.
    pub note: String,
}

impl World {
    /// What a person does about a question asked at `now`. The same person answers the same question the same way.
    pub fn answer(&mut self, now: Instant, question: &GateQuestion) -> PersonAnswer {
        self.advance(now);
        let person = self.people.get(&question.role).copied().unwrap_or_default();
        let after = self.draws.within(
            person.after,
            "person",
            &question.gate,
            u64::from(question.person),
        );
        let by = format!("{}-{}", question.role, question.person + 1);
        let tried = failed_attempts(&question.gate);
        let (after, go, note) = match person.answer {
            PersonSays::Go if tried >= person.patience => {
                let note = format!("{tried} attempts are enough");
                (Some(after), false, note)
            }
            PersonSays::Go => (Some(after), true, String::new()),
            PersonSays::NoGo => (Some(after), false, "the scenario says no-go".to_owned()),
            PersonSays::Silent => (None, false, String::new()),
        };
        PersonAnswer {
            after,
            go,
            by,
            note,
        }
    }
}

/// Attempts at the step that a gate of the form `STEP:failed:ATTEMPTS` is about; 0 for other gates.
fn failed_attempts(gate: &str) -> u32 {
    let attempts = gate.rsplit_once(":failed:").map(|(_, attempts)| attempts);
    attempts
        .and_then(|attempts| attempts.parse().ok())
        .unwrap_or(0)
}
