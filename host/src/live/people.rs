//! Real people: answers given beforehand, at the run's own terminal, or by `understudy decide` from anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};

use crate::clock::{BoxFuture, Clock};
use crate::journal::mailbox::{Mailbox, Message, Target};
use crate::journal::record::{AnswerSource, Choice, GateKind};
use crate::name::RoleName;
use crate::run::gate::{AbortRequest, Answer, Asked, Gatekeeper, Question};

/// How often the mailbox is looked at: soon for a person, nothing for a disk.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// How often a failing step is tried again where the answers were given beforehand. What a few attempts do not mend
/// needs a person, and without a bound the run would never end.
const RETRIES_WITHOUT_PEOPLE: u32 = 3;

/// How often a step over its budget is let go on where the answers were given beforehand: a step that never ends would
/// never be stopped.
const EXTENSIONS_WITHOUT_PEOPLE: u32 = 20;

/// Pause before the first of these attempts; each further one waits [`RETRY_FACTOR`] times as long. Together they take a
/// minute, for which resolvers remember that a name server did not answer (PowerDNS' `packetcache-servfail-ttl`; RFC
/// 2308, 7.1 allows five).
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// How many times longer each of them waits than the one before.
const RETRY_FACTOR: u32 = 5;

/// The way to real people.
pub struct People {
    inbox: Mutex<Inbox>,
    clock: Arc<dyn Clock>,
    terminal: Option<Arc<dyn Gatekeeper>>,
    given: BTreeMap<RoleName, bool>,
}

struct Inbox {
    folder: PathBuf,
    /// Opened at the first look: a mailbox lies beside a journal, and a run has none before it has begun.
    mailbox: Option<Mailbox>,
    /// Messages that were handed on; they are marked as taken at the next look, when they have been journaled.
    handed_on: BTreeSet<u64>,
}

impl Inbox {
    /// The oldest waiting message that `wanted` makes something of.
    fn take<T>(&mut self, wanted: impl Fn(&Message) -> Option<T>) -> Option<T> {
        let mailbox = match &mut self.mailbox {
            Some(mailbox) => mailbox,
            closed => closed.insert(
                Mailbox::open(&self.folder)
                    .map_err(|error| tracing::warn!(%error, "mailbox.open"))
                    .ok()?,
            ),
        };
        let handed_on: Vec<u64> = std::mem::take(&mut self.handed_on).into_iter().collect();
        if let Err(error) = mailbox.mark_taken(&handed_on) {
            self.handed_on.extend(handed_on);
            tracing::warn!(%error, "mailbox.mark");
            return None;
        }
        let waiting = mailbox
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
    /// `given` have answered beforehand. Nothing is opened before somebody is asked.
    #[must_use]
    pub fn new(
        folder: &Path,
        clock: Arc<dyn Clock>,
        terminal: Option<Arc<dyn Gatekeeper>>,
        given: BTreeMap<RoleName, bool>,
    ) -> Self {
        let inbox = Mutex::new(Inbox {
            folder: folder.to_owned(),
            mailbox: None,
            handed_on: BTreeSet::new(),
        });
        Self {
            inbox,
            clock,
            terminal,
            given,
        }
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer given beforehand. A step that keeps failing is tried again a few times, later each time: nobody
    /// looks at why it fails.
    async fn as_given(&self, go: bool, question: &Question) -> Answer {
        let tries = question.tries;
        let (failed, enough, what) = match question.kind {
            GateKind::Failed => (tries, tries > RETRIES_WITHOUT_PEOPLE, "attempts"),
            GateKind::OverBudget => (0, tries >= EXTENSIONS_WITHOUT_PEOPLE, "extensions"),
            _ => (0, false, ""),
        };
        if go && !enough {
            let longer = failed
                .checked_sub(1)
                .map(|again| RETRY_FACTOR.saturating_pow(again));
            let pause = RETRY_PAUSE.saturating_mul(longer.unwrap_or(0));
            self.clock.sleep_until(self.clock.now().after(pause)).await;
        }
        Answer {
            choice: Choice::of(go && !enough),
            by: "command line".to_owned(),
            role: question.rule.role.clone(),
            note: match go && enough {
                true => format!("{tries} {what} without people are enough"),
                false => String::new(),
            },
            source: AnswerSource::CommandLine,
        }
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
        choice,
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
        choice: choice.clone(),
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
                return self.as_given(*go, question).await;
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
