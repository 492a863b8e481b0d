//! One check of one case: what is called, with what trouble, and what must come of it.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Noted, Subject};
use crate::call::{CallError, Reply};
use crate::clock::millis;
use crate::conformance::Kit;
use crate::conformance::caller::{Called, Caller};
use crate::conformance::check::Check;
use crate::conformance::expect::{holds, part};
use crate::conformance::scope::{Scope, Unnamed};
use crate::conformance::seam::{Attempt, BUSY_FOR, Trouble};
use crate::conformance::suite::Suite;
use crate::plugin::error::{Halt, PluginError};
use crate::report::units::shortened;
use crate::runbook::against::Call;

/// How long an attempt may take that cannot succeed, and how long what cannot be done yet is waited for.
const QUICK: Duration = Duration::from_secs(3);

/// Changes of one call of which each is the last before an answer is lost or the host dies. A call that makes more is
/// cut off at the first so many.
const MAX_CUTS: u32 = 3;

/// Longest part of an answer that is quoted, in characters.
const QUOTED: usize = 300;

/// Why a check did not pass.
pub(super) enum Wrong {
    /// It does not hold.
    Failed(String),
    /// It could not be tried.
    NotRun(String),
}

impl From<Halt> for Wrong {
    fn from(halt: Halt) -> Self {
        Self::Failed(halt.to_string())
    }
}

fn failed<T>(why: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong::Failed(why.into()))
}

fn not_run<T>(why: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong::NotRun(why.into()))
}

/// A check under way.
pub(super) struct Round<'k> {
    kit: &'k Kit,
    suite: &'k Suite,
    subject: Subject<'k>,
    caller: Caller<'k>,
    things: &'k Map<String, Value>,
    scope: Scope,
    tokens: u32,
    /// Attempts at the case's own call.
    pub(super) attempts: Vec<Attempt>,
}

impl<'k> Round<'k> {
    pub(super) fn new(
        kit: &'k Kit,
        suite: &'k Suite,
        subject: Subject<'k>,
        check: Check,
        things: &'k Map<String, Value>,
    ) -> Result<Self, Wrong> {
        let caller = Caller::new(kit, &suite.contract, subject.id, check.name())
            .map_err(|error| Wrong::Failed(error.to_string()))?;
        let mut round = Self {
            kit,
            suite,
            subject,
            caller,
            things,
            scope: Scope::new(things, "", kit.clock.now()),
            tokens: 0,
            attempts: Vec::new(),
        };
        round.renew(check);
        Ok(round)
    }

    /// Another token: what an earlier call with it did is not what this one does.
    fn renew(&mut self, check: Check) {
        self.tokens += 1;
        let (id, name) = (self.subject.id, check.name());
        let token = format!("{}-{id}-{name}-{}", self.kit.run, self.tokens);
        self.scope = Scope::new(self.things, &token, self.kit.clock.now());
    }

    /// Holds the check against the case.
    pub(super) async fn hold(&mut self, check: Check, noted: &mut Noted) -> Result<(), Wrong> {
        match check {
            Check::Answers => self.answers(noted).await,
            Check::ChangesNothing => self.changes_nothing(noted),
            Check::TakesEffect => self.takes_effect(noted).await,
            Check::OtherKey => self.other_key(noted).await,
            Check::Quiet => self.quiet(noted),
            Check::SameKey => self.same_key().await,
            Check::LostAnswer | Check::DiedHalfway => self.cut_off(check, noted).await,
            Check::Throttled => self.throttled(noted).await,
            Check::Unreachable => self.misses(Trouble::Unreachable, noted).await,
            Check::Denied => self.misses(Trouble::Denied, noted).await,
            Check::Silent => self.misses(Trouble::Silent, noted).await,
            Check::Stranger => self.misses(Trouble::Stranger, noted).await,
            Check::Refused => self.refused().await,
            Check::NotYet => self.not_yet().await,
            // Judged from all the attempts, once they are made.
            Check::ComesBack => Ok(()),
        }
    }

    async fn answers(&mut self, noted: &mut Noted) -> Result<(), Wrong> {
        self.prepare().await?;
        let called = self.call(Trouble::None, self.kit.patience).await?;
        noted.scope = Some(self.scope.clone());
        (noted.uses, noted.changes) = (called.seen.uses, called.seen.changes);
        let answer = fine(called.reply)?;
        let Some(expected) = self.subject.is else {
            return Ok(());
        };
        let expected = self.filled(expected)?;
        holds(&expected, &answer).or_else(|place| failed(format!("the answer's {place}")))
    }

    fn changes_nothing(&self, noted: &Noted) -> Result<(), Wrong> {
        self.beneath()?;
        if !self.subject.writes.is_empty() {
            return not_run(self.subject.writes);
        }
        match (&noted.scope, noted.changes) {
            (None, _) => not_run("it was never called"),
            (Some(_), 0) => Ok(()),
            (Some(_), sent) => failed(format!("sent {sent} requests that change something")),
        }
    }

    async fn takes_effect(&mut self, noted: &mut Noted) -> Result<(), Wrong> {
        self.prepare().await?;
        let called = self.call(Trouble::None, self.kit.patience).await?;
        noted.scope = Some(self.scope.clone());
        (noted.uses, noted.changes) = (called.seen.uses, called.seen.changes);
        let answer = fine(called.reply)?;
        let idle = answer == "unchanged" && !self.subject.waits;
        if idle && !self.subject.before.is_empty() {
            return failed("answered `unchanged`, and the world was another before");
        }
        self.shows().await
    }

    async fn other_key(&mut self, noted: &mut Noted) -> Result<(), Wrong> {
        self.settled(noted)?;
        let called = self.call(Trouble::None, self.kit.patience).await?;
        let changes = called.seen.changes;
        let answer = fine(called.reply)?;
        if answer == "changed" && self.subject.repeats.is_empty() {
            return failed("answered `changed` where nothing was left to do");
        }
        noted.idle_changes = Some(changes);
        self.shows().await
    }

    fn quiet(&self, noted: &Noted) -> Result<(), Wrong> {
        self.beneath()?;
        for why in [self.subject.writes, self.subject.repeats] {
            if !why.is_empty() {
                return not_run(why);
            }
        }
        match noted.idle_changes {
            None => not_run("`other-key` did not get that far"),
            Some(0) => Ok(()),
            Some(sent) => failed(format!(
                "answered `unchanged` and had sent {sent} requests that change something"
            )),
        }
    }

    async fn same_key(&mut self) -> Result<(), Wrong> {
        self.prepare().await?;
        let called = self
            .call(Trouble::DeathAfterAnswer, self.kit.patience)
            .await?;
        if called.reply.is_some() {
            fine(called.reply)?;
        }
        fine(self.again().await?.reply)?;
        self.shows().await
    }

    /// At each change that the call makes: it takes effect and the answer is lost, or the host dies.
    async fn cut_off(&mut self, check: Check, noted: &Noted) -> Result<(), Wrong> {
        if check == Check::DiedHalfway {
            self.beneath()?;
        }
        if noted.changes == 0 {
            return not_run("the call sent nothing that changes anything");
        }
        for cut in 1..=noted.changes.min(MAX_CUTS) {
            if cut > 1 {
                self.renew(check);
            }
            let at = |wrong: Wrong| match wrong {
                Wrong::Failed(why) => Wrong::Failed(format!("at change {cut}: {why}")),
                not_run @ Wrong::NotRun(_) => not_run,
            };
            self.cut_off_at(check, cut).await.map_err(at)?;
        }
        Ok(())
    }

    async fn cut_off_at(&mut self, check: Check, cut: u32) -> Result<(), Wrong> {
        self.prepare().await?;
        let trouble = match check {
            Check::DiedHalfway => Trouble::Death(cut),
            _ => Trouble::AnswerLost(cut),
        };
        let mut called = self.call(trouble, self.kit.patience).await?;
        if called.reply.is_none() {
            called = self.again().await?;
        }
        fine(called.reply)?;
        self.shows().await
    }

    async fn throttled(&mut self, noted: &Noted) -> Result<(), Wrong> {
        if !self.kit.seam.is_opaque() && noted.uses == 0 {
            return not_run("the call reaches nothing");
        }
        self.prepare().await?;
        let called = self.call(Trouble::Busy, self.kit.patience).await?;
        for attempt in called.seen.attempts.iter().filter(|attempt| attempt.busy) {
            passes_on(attempt.reply.as_ref())?;
        }
        fine(called.reply)?;
        self.shows().await
    }

    /// What cannot succeed ends with the error that says so.
    async fn misses(&mut self, trouble: Trouble, noted: &Noted) -> Result<(), Wrong> {
        self.beneath()?;
        self.settled(noted)?;
        if noted.uses == 0 {
            return not_run("the call reaches nothing");
        }
        let args = self.filled(self.subject.args)?;
        let function = self.subject.call;
        let called = self.caller.attempt(function, &args, trouble, QUICK).await?;
        self.attempts.extend(called.seen.attempts.iter().cloned());
        if called.seen.struck == 0 {
            return not_run("what it uses reads the other side's answers itself");
        }
        let fits = |error: &CallError| match trouble {
            Trouble::Unreachable => matches!(error, CallError::Unavailable(_)),
            Trouble::Denied => matches!(error, CallError::Denied(_)),
            Trouble::Silent => matches!(
                error,
                CallError::TimedOut(_) | CallError::Unavailable(_) | CallError::InDoubt(_)
            ),
            _ => !PluginError::told_by(error),
        };
        let wanted = match trouble {
            Trouble::Unreachable => "`unavailable`",
            Trouble::Denied => "`denied`",
            Trouble::Silent => "`timed-out`, `unavailable` or `in-doubt`",
            _ => "an error of the contract",
        };
        match called.seen.attempts.first().map(|first| &first.reply) {
            Some(Some(Err(error))) if fits(error) => Ok(()),
            Some(Some(reply)) => failed(format!("answered {}, not {wanted}", told(reply))),
            _ => failed("went on asking until its time was over"),
        }
    }

    async fn refused(&mut self) -> Result<(), Wrong> {
        self.prepare().await?;
        let called = self.call(Trouble::None, self.kit.patience).await?;
        let errors = self.subject.errors;
        match &called.reply {
            Some(Err(error)) if errors.iter().any(|case| *case == case_of(error)) => {}
            Some(reply) => {
                let wanted = errors.join("` or `");
                return failed(format!("answered {}, not `{wanted}`", told(reply)));
            }
            None => return failed("gave no answer"),
        }
        self.shows().await
    }

    async fn not_yet(&mut self) -> Result<(), Wrong> {
        self.prepare().await?;
        let called = self.call(Trouble::None, QUICK).await?;
        let waited = called.seen.attempts.iter().any(|attempt| {
            matches!(&attempt.reply, Some(Ok(value)) if value.get("in-progress").is_some())
        });
        match &called.reply {
            Some(Err(CallError::TimedOut(_))) if waited => Ok(()),
            Some(reply) => failed(format!("answered {}, not `in-progress`", told(reply))),
            None => failed("gave no answer"),
        }
    }

    /// Makes the calls after which the case's own has something to do.
    pub(super) async fn prepare(&mut self) -> Result<(), Wrong> {
        for call in self.subject.before {
            let answer = self.side_call(call, "could not be prepared").await?;
            for (name, path) in &call.keep {
                let Some(value) = part(&answer, path) else {
                    return failed(format!("`{}` answered nothing at `{path}`", call.call));
                };
                self.scope.keep(name, value.clone());
            }
        }
        Ok(())
    }

    /// Looks whether what must be seen is seen.
    async fn shows(&mut self) -> Result<(), Wrong> {
        for call in self.subject.shows {
            self.side_call(call, "afterwards").await?;
        }
        Ok(())
    }

    async fn side_call(&mut self, call: &Call, when: &str) -> Result<Value, Wrong> {
        let args = self.filled(&call.args)?;
        let patience = self.kit.patience;
        let made = self.caller.call(&call.call, &args, Trouble::None, patience);
        let answer = match fine(made.await?.reply) {
            Ok(answer) => answer,
            Err(Wrong::Failed(why)) => return failed(format!("{when}: `{}` {why}", call.call)),
            Err(not_run) => return Err(not_run),
        };
        let expected = self.filled(&call.is)?;
        holds(&expected, &answer)
            .or_else(|place| failed(format!("{when}: of `{}`, {place}", call.call)))?;
        Ok(answer)
    }

    async fn call(&mut self, trouble: Trouble, patience: Duration) -> Result<Called, Wrong> {
        let args = self.filled(self.subject.args)?;
        let function = self.subject.call;
        let called = self.caller.call(function, &args, trouble, patience).await?;
        let seen = &called.seen.attempts;
        let died = called.seen.died;
        // An attempt at which the host died came back to nobody.
        let told = seen
            .iter()
            .filter(|attempt| !died || attempt.reply.is_some());
        self.attempts.extend(told.cloned());
        Ok(called)
    }

    async fn again(&mut self) -> Result<Called, Wrong> {
        let args = self.filled(self.subject.args)?;
        let patience = self.kit.patience;
        let called = self
            .caller
            .again(self.subject.call, &args, patience)
            .await?;
        self.attempts.extend(called.seen.attempts.iter().cloned());
        Ok(called)
    }

    /// Goes on in the world as the first check left it.
    fn settled(&mut self, noted: &Noted) -> Result<(), Wrong> {
        let Some(scope) = &noted.scope else {
            return not_run("it was never called");
        };
        self.scope = scope.clone();
        Ok(())
    }

    /// What needs something beneath whoever serves is not tried where there is nothing.
    fn beneath(&self) -> Result<(), Wrong> {
        if self.kit.seam.is_opaque() {
            return not_run("nothing lies beneath whoever serves");
        }
        Ok(())
    }

    fn filled(&self, table: &Map<String, Value>) -> Result<Map<String, Value>, Wrong> {
        self.scope.fill(table).map_err(|Unnamed(name)| {
            let what = self.suite.things.get(&name);
            let what = what.map_or(String::new(), |what| format!(" ({what})"));
            Wrong::NotRun(format!("`things` names no `{name}`{what}"))
        })
    }
}

/// The answer, where it is one.
fn fine(reply: Option<Reply>) -> Result<Value, Wrong> {
    match reply {
        Some(Ok(answer)) => Ok(answer),
        Some(reply) => failed(format!("answered {}", told(&reply))),
        None => failed("gave no answer"),
    }
}

/// Whether a provider that was asked for patience tells the host for how long.
fn passes_on(reply: Option<&Reply>) -> Result<(), Wrong> {
    match reply {
        Some(Err(CallError::Unavailable(hint))) if hint.after_ms >= Some(millis(BUSY_FOR)) => {
            Ok(())
        }
        Some(Err(CallError::Unavailable(_))) => {
            failed("answered `unavailable` without the time that it was asked for")
        }
        Some(reply @ Err(_)) => failed(format!("answered {}, not `unavailable`", told(reply))),
        Some(Ok(_)) | None => Ok(()),
    }
}

/// The name of an error's case.
fn case_of(error: &CallError) -> String {
    let value = serde_json::to_value(error).unwrap_or_default();
    let case = value.as_object().and_then(|table| table.keys().next());
    case.cloned().unwrap_or_default()
}

fn told(reply: &Reply) -> String {
    match reply {
        Ok(Value::String(answer)) => format!("`{answer}`"),
        Ok(answer) => shortened(&answer.to_string(), QUOTED),
        Err(error) => format!(
            "`{}` ({})",
            case_of(error),
            shortened(&error.to_string(), QUOTED)
        ),
    }
}
