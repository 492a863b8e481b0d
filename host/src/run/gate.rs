//! Human decisions: asked once, answered by roles, counted, recorded, and still there after a crash.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{BoxFuture, Clock, Instant, timeout_at};
use crate::journal::record::{AnswerSource, Choice, Entry, GateKind, Record};
use crate::journal::{Durability, Journal};
use crate::name::{RoleName, StepId, StrategyName};
use crate::plugin::error::Halt;
use crate::runbook::types::Gate;

/// Answers that one gate takes before it gives up counting; far above any quorum.
const ANSWERS: u32 = 100;

/// Name under which a gate's default answers.
const NOBODY: &str = "timeout";

/// A question as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Identity within the run, stable over a crash: `replica/flip:before:1`.
    pub gate: String,
    /// The step it is about.
    pub step: StepId,
    /// What it is about.
    pub kind: GateKind,
    /// What it has taken so far: attempts that failed, or times the budget was given once more; 0 for other kinds.
    pub tries: u32,
    /// Who may answer, how many, for how long.
    pub rule: Gate,
    /// The question in one line.
    pub title: String,
    /// What the person needs to know.
    pub detail: String,
    /// Strategies that may take the place of the step's own.
    pub alternatives: Vec<StrategyName>,
    /// A point of no return has begun: no-go leaves the run to people.
    pub no_way_back: bool,
}

/// One person's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What was said.
    pub choice: Choice,
    /// Who.
    pub by: String,
    /// As which role.
    pub role: RoleName,
    /// Why; may be empty.
    pub note: String,
    /// By which way.
    pub source: AnswerSource,
}

/// Somebody wants the run taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbortRequest {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// How a question stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// When it was first asked.
    pub at: Instant,
    /// Answers it has had.
    pub answers: u32,
}

/// The way to people: a terminal and a mailbox, or simulated ones.
pub trait Gatekeeper: Send + Sync {
    /// The next answer to this question, by anybody. Called again while more are needed.
    fn answer<'a>(&'a self, question: &'a Question, asked: Asked) -> BoxFuture<'a, Answer>;

    /// Resolves when somebody wants the run taken back.
    fn abort(&self) -> BoxFuture<'_, AbortRequest>;
}

/// What came of a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What was decided.
    pub choice: Choice,
    /// Who decided; all of them, for a quorum.
    pub by: String,
    /// Their reasons.
    pub note: String,
}

/// Digest of the plan that is being executed, shared by whoever asks people.
#[derive(Clone)]
pub struct CurrentPlan(Arc<Mutex<String>>);

impl CurrentPlan {
    /// This plan, until another one takes its place.
    #[must_use]
    pub fn new(digest: String) -> Self {
        Self(Arc::new(Mutex::new(digest)))
    }

    /// Another plan from now on.
    pub fn replace(&self, digest: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = digest;
    }

    fn digest(&self) -> String {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Asks, counts and records.
#[derive(Clone)]
pub struct Gates {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The record.
    pub journal: Journal,
    /// The way to people.
    pub keeper: Arc<dyn Gatekeeper>,
    /// Answers are for this plan.
    pub plan: CurrentPlan,
    /// Who started the run: cannot be the second approver of their own request.
    pub started_by: String,
}

impl Gates {
    /// Asks and waits for a decision. After a crash the same question goes on where it was: people are not asked twice.
    ///
    /// # Errors
    /// [`Halt::Journal`] if it cannot be recorded.
    pub async fn ask(&self, question: &Question) -> Result<Decision, Halt> {
        let (asked_at, mut answers) = self.open(question).await?;
        let mut tally = Tally::new(question, &self.started_by);
        answers.drain(..).for_each(|answer| tally.count(answer));
        let known = u32::try_from(tally.approvers.len()).unwrap_or(ANSWERS);
        for answers in known..ANSWERS {
            if let Some(decision) = tally.decision() {
                return Ok(decision);
            }
            let answer = self
                .next_answer(
                    question,
                    Asked {
                        at: asked_at,
                        answers,
                    },
                )
                .await;
            if answer.role != question.rule.role && answer.source != AnswerSource::Timeout {
                continue;
            }
            if let Choice::Switch(to) = &answer.choice
                && !question.alternatives.contains(to)
            {
                tracing::warn!(gate = question.gate, strategy = %to, "gate.not-offered");
                continue;
            }
            let record = Record::GateAnswered {
                gate: question.gate.clone(),
                choice: answer.choice.clone(),
                by: answer.by.clone(),
                role: answer.role.clone(),
                note: answer.note.clone(),
                source: answer.source,
            };
            self.append(record).await?;
            tally.count(answer);
        }
        Ok(Decision {
            choice: Choice::NoGo,
            by: NOBODY.to_owned(),
            note: format!("no decision after {ANSWERS} answers"),
        })
    }

    /// Records the question unless it already is; answers when it was asked, and what was answered so far.
    async fn open(&self, question: &Question) -> Result<(Instant, Vec<Answer>), Halt> {
        if let Some(known) = self.journal.read(|entries| known(entries, &question.gate)) {
            return Ok(known);
        }
        let record = Record::GateOpened {
            gate: question.gate.clone(),
            step: question.step.clone(),
            kind: question.kind,
            rule: question.rule.clone(),
            title: question.title.clone(),
            detail: question.detail.clone(),
            plan_digest: self.plan.digest(),
            alternatives: question.alternatives.clone(),
        };
        Ok((self.append(record).await?, Vec::new()))
    }

    async fn next_answer(&self, question: &Question, asked: Asked) -> Answer {
        let asking = self.keeper.answer(question, asked);
        let Some(timeout_ms) = question.rule.timeout_ms else {
            return asking.await;
        };
        let until = asked.at.after(Duration::from_millis(timeout_ms));
        match (
            timeout_at(&*self.clock, until, asking).await,
            question.rule.default,
        ) {
            (Some(answer), _) => answer,
            (None, Some(go)) => Answer {
                choice: Choice::of(go),
                by: NOBODY.to_owned(),
                role: question.rule.role.clone(),
                note: format!("nobody answered for {} s", timeout_ms / 1000),
                source: AnswerSource::Timeout,
            },
            // No default: it stays a person's decision, however late.
            (None, None) => self.keeper.answer(question, asked).await,
        }
    }

    async fn append(&self, record: Record) -> Result<Instant, Halt> {
        let appended = self.journal.append(record, Durability::Durable).await;
        appended
            .map(|place| place.at)
            .map_err(|error| Halt::Journal(error.with_cause()))
    }
}

/// What the journal knows of a gate.
fn known(entries: &[Entry], wanted: &str) -> Option<(Instant, Vec<Answer>)> {
    let mut found: Option<(Instant, Vec<Answer>)> = None;
    for entry in entries {
        match (&entry.record, &mut found) {
            (Record::GateOpened { gate, .. }, None) if gate == wanted => {
                found = Some((entry.at, Vec::new()))
            }
            (
                Record::GateAnswered {
                    gate,
                    choice,
                    by,
                    role,
                    note,
                    source,
                },
                Some((_, answers)),
            ) if gate == wanted => {
                answers.push(Answer {
                    choice: choice.clone(),
                    by: by.clone(),
                    role: role.clone(),
                    note: note.clone(),
                    source: *source,
                });
            }
            _ => {}
        }
    }
    found
}

/// Counts answers: one no-go stops; otherwise `quorum` different people decide who say the same.
struct Tally<'a> {
    quorum: usize,
    started_by: &'a str,
    approvers: Vec<Answer>,
    refusal: Option<Answer>,
}

impl<'a> Tally<'a> {
    fn new(question: &Question, started_by: &'a str) -> Self {
        let quorum = usize::try_from(question.rule.quorum.max(1)).unwrap_or(usize::MAX);
        Self {
            quorum,
            started_by,
            approvers: Vec::new(),
            refusal: None,
        }
    }

    fn count(&mut self, answer: Answer) {
        if answer.choice == Choice::NoGo {
            self.refusal.get_or_insert(answer);
            return;
        }
        // With a quorum, whoever asked cannot approve their own request, and nobody counts twice.
        let own = self.quorum > 1 && answer.by == self.started_by;
        let again = self.approvers.iter().any(|known| known.by == answer.by);
        if answer.source == AnswerSource::Timeout || (!own && !again) {
            self.approvers.push(answer);
        }
    }

    fn decision(&self) -> Option<Decision> {
        if let Some(refusal) = &self.refusal {
            return Some(Decision {
                choice: Choice::NoGo,
                by: refusal.by.clone(),
                note: refusal.note.clone(),
            });
        }
        let agree = |choice: &Choice| {
            let same = self
                .approvers
                .iter()
                .filter(|answer| answer.choice == *choice);
            same.collect::<Vec<_>>()
        };
        let decides = |agreed: &[&Answer]| {
            let by_default = agreed
                .iter()
                .any(|answer| answer.source == AnswerSource::Timeout);
            agreed.len() >= self.quorum || by_default
        };
        let (choice, agreed) = self
            .approvers
            .iter()
            .map(|answer| (&answer.choice, agree(&answer.choice)))
            .find(|(_, agreed)| decides(agreed))?;
        let join = |text: fn(&Answer) -> &str| {
            let parts: Vec<&str> = agreed
                .iter()
                .map(|answer| text(answer))
                .filter(|part| !part.is_empty())
                .collect();
            parts.join(", ")
        };
        Some(Decision {
            choice: choice.clone(),
            by: join(|answer| &answer.by),
            note: join(|answer| &answer.note),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(quorum: u32) -> Question {
        let role: RoleName = "incident-commander".parse().unwrap();
        Question {
            gate: "replica/flip:before:1".into(),
            step: "replica/flip".parse().unwrap(),
            kind: GateKind::Before,
            tries: 0,
            rule: Gate {
                role,
                quorum,
                timeout_ms: None,
                default: None,
            },
            title: "Flip?".into(),
            detail: String::new(),
            alternatives: vec!["restore".parse().unwrap()],
            no_way_back: false,
        }
    }

    fn answer(choice: Choice, by: &str) -> Answer {
        let role = "incident-commander".parse().unwrap();
        Answer {
            choice,
            by: by.into(),
            role,
            note: String::new(),
            source: AnswerSource::Terminal,
        }
    }

    fn decide(quorum: u32, answers: &[(bool, &str)]) -> Option<bool> {
        let answers = answers.iter().map(|(go, by)| (Choice::of(*go), *by));
        choose(quorum, answers.collect()).map(|choice| choice == Choice::Go)
    }

    fn choose(quorum: u32, answers: Vec<(Choice, &str)>) -> Option<Choice> {
        let question = question(quorum);
        let mut tally = Tally::new(&question, "ada");
        answers
            .into_iter()
            .for_each(|(choice, by)| tally.count(answer(choice, by)));
        tally.decision().map(|decision| decision.choice)
    }

    #[test]
    fn a_quorum_needs_different_people_and_not_the_one_who_asked() {
        assert_eq!(decide(1, &[(true, "ada")]), Some(true));
        assert_eq!(decide(2, &[(true, "ada"), (true, "bob")]), None);
        assert_eq!(decide(2, &[(true, "bob"), (true, "bob")]), None);
        assert_eq!(decide(2, &[(true, "bob"), (true, "cyd")]), Some(true));
    }

    #[test]
    fn a_quorum_must_say_the_same() {
        let switch = || Choice::Switch("restore".parse().unwrap());
        assert_eq!(
            choose(2, vec![(Choice::Go, "bob"), (switch(), "cyd")]),
            None
        );
        let agreed = choose(
            2,
            vec![(Choice::Go, "bob"), (switch(), "cyd"), (switch(), "dee")],
        );
        assert_eq!(agreed, Some(switch()));
    }

    #[test]
    fn one_no_go_stops() {
        assert_eq!(decide(3, &[(true, "bob"), (false, "cyd")]), Some(false));
    }
}
