//! Real people: answers given beforehand, at the run's own terminal, or by `understudy decide` from anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};

use crate::clock::{BoxFuture, Clock};
use crate::journal::JournalError;
use crate::journal::mailbox::{Mailbox, Message, Target};
use crate::journal::record::AnswerSource;
use crate::name::RoleName;
use crate::run::gate::{AbortRequest, Answer, Asked, Gatekeeper, Question};

/// How often the mailbox is looked at: soon for a person, nothing for a disk.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// The way to real people.
pub struct People {
    inbox: Mutex<Inbox>,
    clock: Arc<dyn Clock>,
    terminal: Option<Arc<dyn Gatekeeper>>,
    given: BTreeMap<RoleName, bool>,
}

struct Inbox {
    mailbox: Mailbox,
    /// Messages that were handed on; they are marked as taken at the next look, when they have been journaled.
    handed_on: BTreeSet<u64>,
}

impl Inbox {
    /// The oldest waiting message that `wanted` makes something of.
    fn take<T>(&mut self, wanted: impl Fn(&Message) -> Option<T>) -> Option<T> {
        let handed_on: Vec<u64> = std::mem::take(&mut self.handed_on).into_iter().collect();
        if let Err(error) = self.mailbox.mark_taken(&handed_on) {
            self.handed_on.extend(handed_on);
            tracing::warn!(%error, "mailbox.mark");
            return None;
        }
        let waiting = self
            .mailbox
            .unread()
            .map_err(|error| tracing::warn!(%error, "mailbox.read"))
            .ok()?;
        let (id, found) = waiting
            .iter()
            .find_map(|mail| Some((mail.id, wanted(mail.message.as_ref().ok()?)?)))?;
        self.handed_on.insert(id);
        Some(found)
    }
}

impl People {
    /// People who reach the run through the mailbox in its folder, and through `terminal` where there is one. Roles in
    /// `given` have answered beforehand.
    ///
    /// # Errors
    /// [`JournalError`] if the mailbox cannot be opened.
    pub fn new(
        folder: &std::path::Path,
        clock: Arc<dyn Clock>,
        terminal: Option<Arc<dyn Gatekeeper>>,
        given: BTreeMap<RoleName, bool>,
    ) -> Result<Self, JournalError> {
        let inbox = Mutex::new(Inbox {
            mailbox: Mailbox::open(folder)?,
            handed_on: BTreeSet::new(),
        });
        Ok(Self {
            inbox,
            clock,
            terminal,
            given,
        })
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn mail<T>(&self, wanted: impl Fn(&Message) -> Option<T> + Send + Sync) -> T {
        loop {
            let found = self.inbox().take(&wanted);
            if let Some(found) = found {
                return found;
            }
            self.clock
                .sleep_until(self.clock.now().after(LOOK_EVERY))
                .await;
        }
    }
}

/// A decision by mail as an answer to this question; `None` if it is about another.
fn answer_in(message: &Message, question: &Question) -> Option<Answer> {
    let Message::Decide {
        target,
        go,
        by,
        role,
        note,
    } = message
    else {
        return None;
    };
    let concerns = match target {
        Target::Gate(gate) => *gate == question.gate,
        Target::Step(step) => *step == question.step,
    };
    (concerns && *role == question.rule.role).then(|| Answer {
        go: *go,
        by: by.clone(),
        role: role.clone(),
        note: note.clone(),
        source: AnswerSource::Mailbox,
    })
}

impl Gatekeeper for People {
    fn answer<'a>(&'a self, question: &'a Question, asked: Asked) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            if let Some(go) = self.given.get(&question.rule.role) {
                return Answer {
                    go: *go,
                    by: "command line".to_owned(),
                    role: question.rule.role.clone(),
                    note: String::new(),
                    source: AnswerSource::CommandLine,
                };
            }
            let mail = std::pin::pin!(self.mail(|message| answer_in(message, question)));
            let Some(terminal) = &self.terminal else {
                return mail.await;
            };
            match select(mail, terminal.answer(question, asked)).await {
                Either::Left((answer, _)) | Either::Right((answer, _)) => answer,
            }
        })
    }

    fn abort(&self) -> BoxFuture<'_, AbortRequest> {
        Box::pin(self.mail(|message| match message {
            Message::Abort { by, reason } => Some(AbortRequest {
                by: by.clone(),
                reason: reason.clone(),
            }),
            Message::Decide { .. } => None,
        }))
    }
}
