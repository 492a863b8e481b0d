//! A suite is run: every case, every check that is held against it, in the order of [`super::check`].
//!
//! [`round`] is one check; here is which are made, what one tells the next, and what becomes of those that are not made.

mod round;

use serde_json::Map;

use self::round::{Round, Wrong};
use super::Kit;
use super::check::{Check, OF_EFFECTS, OF_READS};
use super::scope::Scope;
use super::seam::Attempt;
use super::suite::Suite;
use super::verdict::{Came, Verdict};
use crate::clock::{Instant, millis};
use crate::plugin::error::PluginError;
use crate::runbook::against::{Call, Effect, Leave, Read, Refusal, Wait};

/// Name of the case in which the world is left as it should be.
const CLEANUP: &str = "cleanup";

/// A case, whatever its kind.
#[derive(Clone, Copy)]
struct Subject<'s> {
    id: &'s str,
    call: &'s str,
    args: &'s Map<String, serde_json::Value>,
    before: &'s [Call],
    shows: &'s [Call],
    /// What the answer must hold.
    is: Option<&'s Map<String, serde_json::Value>>,
    /// Cases of `error` that are a refusal.
    errors: &'s [String],
    destructive: &'s str,
    writes: &'s str,
    /// Why it is done once more when it is asked for again.
    repeats: &'s str,
    /// What it is for may have come by itself.
    waits: bool,
}

/// What the checks of a case tell the later ones.
#[derive(Default)]
struct Noted {
    /// What stood for what when the case first took effect.
    scope: Option<Scope>,
    /// Uses of capabilities that it took.
    uses: u32,
    /// Those of them that may have changed something.
    changes: u32,
    /// The same where there was nothing left to do.
    idle_changes: Option<u32>,
    /// Every attempt at the case's call.
    attempts: Vec<Attempt>,
}

/// One run of a suite.
pub(super) struct Trial<'k> {
    kit: &'k Kit,
    suite: &'k Suite,
    leave: &'k Leave,
    verdicts: Vec<Verdict>,
}

impl<'k> Trial<'k> {
    pub(super) fn new(kit: &'k Kit, suite: &'k Suite, leave: &'k Leave) -> Self {
        Self {
            kit,
            suite,
            leave,
            verdicts: Vec::new(),
        }
    }

    /// Every case, then the world is left as it should be.
    pub(super) async fn run(mut self) -> Vec<Verdict> {
        let suite = self.suite;
        for case in &suite.cases.reads {
            self.case(read(case), &OF_READS).await;
        }
        for case in &suite.cases.effects {
            self.case(effect(case), &OF_EFFECTS).await;
        }
        for case in &suite.cases.refusals {
            self.case(refusal(case), &[Check::Refused]).await;
        }
        for case in &suite.cases.waits {
            self.case(wait(case), &[Check::NotYet]).await;
        }
        if !self.leave.allow.is_empty() && !suite.cleanup.is_empty() {
            self.clean_up().await;
        }
        self.verdicts
    }

    async fn case(&mut self, subject: Subject<'k>, checks: &[Check]) {
        let mut noted = Noted::default();
        let withheld = self.withheld(&subject);
        for check in checks {
            let begun = self.kit.clock.now();
            let came = match &withheld {
                Some(why) => Err(Wrong::NotRun(why.clone())),
                None => self.round(&subject, *check, &mut noted).await,
            };
            self.note(subject.id, *check, begun, came);
        }
        let came = match (&withheld, comes_back(&noted.attempts)) {
            (Some(why), _) => Err(Wrong::NotRun(why.clone())),
            (None, came) => came,
        };
        let now = self.kit.clock.now();
        self.note(subject.id, Check::ComesBack, now, came);
    }

    async fn round(
        &self,
        subject: &Subject<'k>,
        check: Check,
        noted: &mut Noted,
    ) -> Result<(), Wrong> {
        let things = &self.leave.things;
        let mut round = Round::new(self.kit, self.suite, *subject, check, things)?;
        let came = round.hold(check, noted).await;
        noted.attempts.append(&mut round.attempts);
        came
    }

    /// Why none of a case is run here.
    fn withheld(&self, subject: &Subject<'_>) -> Option<String> {
        if let Some(reason) = self.leave.skip.get(subject.id) {
            return Some(format!("not here: {reason}"));
        }
        let allowed = subject.destructive.is_empty() || self.leave.allow.contains(subject.id);
        (!allowed).then(|| {
            format!(
                "not allowed here: {}; `allow = [\"{}\"]` would",
                subject.destructive, subject.id
            )
        })
    }

    async fn clean_up(&mut self) {
        let subject = Subject {
            id: CLEANUP,
            before: &self.suite.cleanup,
            ..blank(CLEANUP)
        };
        let begun = self.kit.clock.now();
        let things = &self.leave.things;
        let came = match Round::new(self.kit, self.suite, subject, Check::TakesEffect, things) {
            Ok(mut round) => round.prepare().await,
            Err(wrong) => Err(wrong),
        };
        self.note(CLEANUP, Check::TakesEffect, begun, came);
    }

    fn note(&mut self, case: &str, check: Check, begun: Instant, came: Result<(), Wrong>) {
        let (came, why) = match came {
            Ok(()) => (Came::Passed, String::new()),
            Err(Wrong::Failed(why)) => (Came::Failed, why),
            Err(Wrong::NotRun(why)) => (Came::NotRun, why),
        };
        let verdict = Verdict {
            contract: self.suite.contract.clone(),
            case: case.to_owned(),
            check,
            came,
            why,
            took_ms: millis(self.kit.clock.now().since(begun)),
        };
        tracing::info!(check = verdict.name(), came = ?verdict.came, "conformance.checked");
        self.verdicts.push(verdict);
    }
}

/// Least time that an attempt must have had before it is held against a provider that it did not come back.
const FAIR: std::time::Duration = std::time::Duration::from_secs(1);

/// Whether every attempt came back by itself, with an answer of the contract.
fn comes_back(attempts: &[Attempt]) -> Result<(), Wrong> {
    if attempts.is_empty() {
        return Err(Wrong::NotRun("nothing was called".to_owned()));
    }
    for attempt in attempts {
        match &attempt.reply {
            None if attempt.given >= FAIR => {
                return Err(Wrong::Failed(format!(
                    "gave no answer within {} s: what takes longer is `in-progress`",
                    attempt.given.as_secs()
                )));
            }
            Some(Err(error)) if PluginError::told_by(error) => {
                return Err(Wrong::Failed(error.to_string()));
            }
            _ => {}
        }
    }
    Ok(())
}

fn blank<'s>(id: &'s str) -> Subject<'s> {
    static NO_ARGUMENTS: std::sync::LazyLock<Map<String, serde_json::Value>> =
        std::sync::LazyLock::new(Map::new);
    Subject {
        id,
        call: "",
        args: &NO_ARGUMENTS,
        before: &[],
        shows: &[],
        is: None,
        errors: &[],
        destructive: "",
        writes: "",
        repeats: "",
        waits: false,
    }
}

fn read(case: &Read) -> Subject<'_> {
    Subject {
        call: &case.call,
        args: &case.args,
        before: &case.before,
        is: Some(&case.is),
        writes: &case.writes,
        ..blank(case.id())
    }
}

fn effect(case: &Effect) -> Subject<'_> {
    Subject {
        call: &case.call,
        args: &case.args,
        before: &case.before,
        shows: &case.shows,
        destructive: &case.destructive,
        writes: &case.writes,
        repeats: &case.repeats,
        waits: case.waits,
        ..blank(case.id())
    }
}

fn refusal(case: &Refusal) -> Subject<'_> {
    Subject {
        call: &case.call,
        args: &case.args,
        before: &case.before,
        shows: &case.shows,
        errors: &case.errors,
        destructive: &case.destructive,
        ..blank(&case.id)
    }
}

fn wait(case: &Wait) -> Subject<'_> {
    Subject {
        call: &case.call,
        args: &case.args,
        before: &case.before,
        destructive: &case.destructive,
        ..blank(&case.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::CallError;

    #[test]
    fn what_does_not_come_back_by_itself_is_told_and_what_had_no_time_is_not() {
        let attempt = |reply, seconds| Attempt {
            reply,
            given: std::time::Duration::from_secs(seconds),
            busy: false,
        };
        let judged = |attempts: &[Attempt]| match comes_back(attempts) {
            Ok(()) => "passed".to_owned(),
            Err(Wrong::Failed(why)) => why,
            Err(Wrong::NotRun(_)) => "not run".to_owned(),
        };
        assert_eq!(judged(&[]), "not run");
        let refused = Some(Err(CallError::Conflict("no".to_owned())));
        assert_eq!(judged(&[attempt(refused, 60), attempt(None, 0)]), "passed");
        assert!(judged(&[attempt(None, 60)]).starts_with("gave no answer within 60 s"));
        let stopped = CallError::InDoubt("PG0007: `x` was stopped in `y`: it panicked".to_owned());
        assert!(judged(&[attempt(Some(Err(stopped)), 60)]).contains("PG0007"));
    }
}
