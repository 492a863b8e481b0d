//! Simulated people: the way to them that a rehearsal has instead of a terminal.

use std::sync::{Arc, Mutex, PoisonError};

use super::world::GateQuestion;
use super::world::World;
use crate::clock::{BoxFuture, Clock};
use crate::journal::record::AnswerSource;
use crate::run::gate::{AbortRequest, Answer, Asked, Gatekeeper, Question};

/// Asks the people of a simulated world.
pub struct SimulatedPeople {
    /// The world they live in.
    pub world: Arc<Mutex<World>>,
    /// Its time.
    pub clock: Arc<dyn Clock>,
}

impl Gatekeeper for SimulatedPeople {
    fn answer<'a>(&'a self, question: &'a Question, asked: Asked) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let answer = {
                let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
                let person = GateQuestion {
                    gate: question.gate.clone(),
                    kind: question.kind,
                    tries: question.tries,
                    role: question.rule.role.clone(),
                    person: asked.answers,
                    alternatives: question.alternatives.clone(),
                    no_way_back: question.no_way_back,
                };
                world.answer(asked.at, &person)
            };
            let Some(after) = answer.after else {
                return std::future::pending().await;
            };
            self.clock.sleep_until(asked.at.after(after)).await;
            Answer {
                choice: answer.choice,
                by: answer.by,
                role: question.rule.role.clone(),
                note: answer.note,
                source: AnswerSource::Scenario,
            }
        })
    }

    fn abort(&self) -> BoxFuture<'_, AbortRequest> {
        Box::pin(std::future::pending())
    }
}
