//! The calls of a run with the time that each attempt at them took, and what that comes to by function and site.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::spread::Spread;
use crate::call::{Arguments, CallError, CallKind, Reply};
use crate::clock::Instant;
use crate::journal::record::{Entry, Record};
use crate::mediation::{CONTROL, poll_pause};
use crate::name::{SiteName, StepId};

/// Functions of the host itself whose time is not its own: people answer, or it waits on purpose.
const WAITS: [&str; 2] = ["control/decide", SLEEP];

/// The one that waits on purpose.
pub(super) const SLEEP: &str = "control/sleep";

/// Function that waits until a journey passes.
const JOURNEY: &str = "probe/ensure-journey";

/// What was asked: a function, of a site where it has one, by any step or by one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Asked {
    /// `contract/function`.
    pub(super) call: String,
    /// The argument `site`.
    pub(super) site: Option<SiteName>,
    /// The step that asked; `None` for any.
    pub(super) step: Option<StepId>,
}

/// A call of a strategy to the world.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    /// By any step.
    pub(super) asked: Asked,
    step: StepId,
    /// When its intent was recorded.
    since: Instant,
    pub(super) args: Arguments,
    pub(super) kind: CallKind,
    pub(super) tries: Vec<Try>,
    pub(super) reply: Option<Reply>,
    /// What the host took after it until the step was over.
    after: Duration,
}

/// An attempt at a call, or a look at what it waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Try {
    pub(super) from: Instant,
    until: Instant,
    came: Came,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Came {
    /// It is worked on; when to come back.
    Wait(Duration),
    /// Nobody answered.
    Nothing,
    /// An answer.
    Answer,
}

impl Call {
    /// When it was first made.
    pub(super) fn begun(&self) -> Option<Instant> {
        self.tries.first().map(|first| first.from)
    }

    /// When what it waited for was there: in the middle between the last look that did not find it and the one that did.
    /// `None` where nothing was waited for.
    pub(super) fn found_at(&self) -> Option<Instant> {
        let [.., before, last] = self.tries.as_slice() else {
            return None;
        };
        Some(before.from.after(last.from.since(before.from) / 2))
    }

    /// By when attempts at it had got no answer, and since when one was made that got one.
    pub(super) fn reached(&self) -> impl Iterator<Item = (Instant, bool)> {
        self.tries.iter().map(|tried| match tried.came {
            Came::Nothing => (tried.until, false),
            Came::Wait(_) | Came::Answer => (tried.from, true),
        })
    }

    /// What its times are the times of: the function at its site, and the same in its step.
    fn kinds(&self) -> [Asked; 2] {
        let step = Some(self.step.clone());
        let here = Asked {
            step,
            ..self.asked.clone()
        };
        [self.asked.clone(), here]
    }

    /// What it took until the answer was the one that was waited for, where no world knows of that while: the answer is as late
    /// as that. So it is with a read that was made again after a pause, and with a journey straight to a site that was to pass
    /// once and did not at first: the way in follows an application that has become ready.
    fn awaited(&self) -> Option<Duration> {
        let answered = |tried: &Try| tried.came != Came::Nothing;
        let waited = self.tries.len() > 1 && self.tries.iter().all(answered);
        let (first, last) = (self.tries.first()?, self.tries.last()?);
        let late = self.kind == CallKind::Read || self.lets_in();
        (late && waited).then(|| last.until.since(first.from) + self.after)
    }

    /// Waits until a site itself lets users in.
    fn lets_in(&self) -> bool {
        self.asked.call == JOURNEY
            && self.args.get("entry").and_then(Value::as_str) == Some("direct")
            && self.args.get("consecutive").and_then(Value::as_u64) == Some(1)
    }

    /// A read with an answer, in the same words.
    fn is_asked_again(&self, call: &str, args: &Arguments) -> bool {
        self.kind == CallKind::Read
            && matches!(self.reply, Some(Ok(_)))
            && self.asked.call == call
            && self.args == *args
    }

    fn has_changed(&self) -> bool {
        matches!(&self.reply, Some(Ok(Value::String(outcome))) if outcome == "changed")
    }
}

/// What the times of all calls come to.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Measured {
    pub(super) by_asked: BTreeMap<Asked, Times>,
    pub(super) reads: Spread,
    pub(super) given_up: Spread,
}

/// Times of the calls of a function at a site.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Times {
    /// Until an answer came.
    pub(super) answer: Spread,
    /// Until what it began was done.
    pub(super) work: Spread,
    /// When it asked to come back.
    pub(super) look: Spread,
    /// Until a place that does not answer is given up.
    pub(super) given_up: Spread,
}

/// The times of calls, by function and site.
pub(super) fn times(calls: &[Call]) -> Measured {
    let mut measured = Measured::default();
    for call in calls {
        if let Some(late) = call.awaited() {
            for asked in call.kinds() {
                let times = measured.by_asked.entry(asked).or_default();
                times.answer.add(late);
            }
            continue;
        }
        for (place, tried) in call.tries.iter().enumerate() {
            let mut took = tried.until.since(tried.from);
            if tried.came == Came::Nothing {
                measured.given_up.add(took);
                for asked in call.kinds() {
                    let times = measured.by_asked.entry(asked).or_default();
                    times.given_up.add(took);
                }
                continue;
            }
            if place + 1 == call.tries.len() {
                took += call.after;
            }
            for asked in call.kinds() {
                let times = measured.by_asked.entry(asked).or_default();
                times.answer.add(took);
                if let Came::Wait(pause) = tried.came {
                    times.look.add(pause);
                }
            }
            if call.kind == CallKind::Read {
                measured.reads.add(took);
            }
        }
        if let (true, Some(work)) = (call.has_changed(), work(call)) {
            for asked in call.kinds() {
                measured.by_asked.entry(asked).or_default().work.add(work);
            }
        }
    }
    measured
}

/// From the first answer until it was asked for the last time: as long as callers had to be told to wait.
fn work(call: &Call) -> Option<Duration> {
    let (first, last) = (call.tries.first()?, call.tries.last()?);
    Some(last.from.since(first.until))
}

/// The calls of a run in the order in which they were made. One that a host's death interrupted is left out; a read that a step
/// made again in the same words after a pause, with nothing else between, is one call.
pub(super) fn read(entries: &[Entry]) -> Vec<Call> {
    let mut reader = Reader::default();
    for entry in entries {
        reader.read(entry);
    }
    reader.calls.retain(|call| call.reply.is_some());
    reader.calls
}

#[derive(Default)]
struct Reader {
    calls: Vec<Call>,
    /// Steps that run.
    at_work: BTreeMap<StepId, AtWork>,
}

/// A step between its calls, or during one.
struct AtWork {
    /// Since when the time counts to the call that comes next.
    since: Instant,
    /// The call it made last.
    last: Option<usize>,
    /// That call too, where nothing came after it but sleep.
    slept_on: Option<usize>,
    slept: bool,
    open: Open,
}

enum Open {
    Nothing,
    /// A call to the world, and since when the attempt at hand goes on.
    World(usize, Instant),
    /// One to the host that waits.
    Wait,
}

impl Reader {
    fn read(&mut self, entry: &Entry) {
        match &entry.record {
            Record::RunResumed { .. } => self.at_work.clear(),
            Record::StepChanged { step, .. } => self.change(step, entry.at),
            Record::Intent {
                site,
                function,
                kind,
                args,
                ..
            } => {
                let Some(step) = self.at_work.get_mut(&site.step) else {
                    return;
                };
                if function.interface.is(CONTROL) {
                    if WAITS.iter().any(|wait| function.is(wait)) {
                        step.open = Open::Wait;
                    }
                    step.slept = function.is(SLEEP);
                    step.slept_on = step.slept_on.filter(|_| step.slept);
                    return;
                }
                let before = step.slept_on.take().filter(|_| step.slept);
                let call = before.and_then(|place| Some((place, self.calls.get(place)?)));
                if let Some((place, call)) = call
                    && call.is_asked_again(&function.to_string(), args)
                {
                    step.open = Open::World(place, step.since);
                    return;
                }
                let named = args.get("site").and_then(Value::as_str);
                step.open = Open::World(self.calls.len(), step.since);
                self.calls.push(Call {
                    asked: Asked {
                        call: function.to_string(),
                        site: named.and_then(|named| named.parse().ok()),
                        step: None,
                    },
                    step: site.step.clone(),
                    since: entry.at,
                    args: args.clone(),
                    kind: *kind,
                    tries: Vec::new(),
                    reply: None,
                    after: Duration::ZERO,
                });
            }
            Record::Waiting { site, operation } => {
                let call = match self.at_work.get(&site.step).map(|step| &step.open) {
                    Some(Open::World(place, _)) => self.calls.get(*place),
                    _ => None,
                };
                let since = call.map_or(entry.at, |call| call.since);
                let pause = poll_pause(operation, entry.at.since(since));
                self.tried(
                    &site.step,
                    entry.at,
                    Came::Wait(pause),
                    entry.at.after(pause),
                );
            }
            Record::Retried { site, next_at, .. } => {
                self.tried(&site.step, entry.at, Came::Nothing, *next_at);
            }
            Record::Outcome {
                site,
                reply,
                attempts,
            } => self.conclude(&site.step, entry.at, reply, *attempts),
            _ => {}
        }
    }

    fn change(&mut self, step: &StepId, at: Instant) {
        if let Some(over) = self.at_work.remove(step)
            && let Some(call) = over.last.and_then(|last| self.calls.get_mut(last))
        {
            call.after = at.since(over.since);
        }
        let at_work = AtWork {
            since: at,
            last: None,
            slept_on: None,
            slept: false,
            open: Open::Nothing,
        };
        self.at_work.insert(step.clone(), at_work);
    }

    fn tried(&mut self, step: &StepId, at: Instant, came: Came, next: Instant) {
        if let Some(step) = self.at_work.get_mut(step)
            && let Open::World(place, from) = step.open
        {
            step.open = Open::World(place, next);
            if let Some(call) = self.calls.get_mut(place) {
                call.tries.push(Try {
                    from,
                    until: at,
                    came,
                });
            }
        }
    }

    fn conclude(&mut self, step: &StepId, at: Instant, reply: &Reply, attempts: u32) {
        let gone = matches!(
            reply,
            Err(CallError::Unavailable(_) | CallError::TimedOut(_) | CallError::InDoubt(_))
        );
        let came = if gone { Came::Nothing } else { Came::Answer };
        // What was refused, or what nobody serves, was never sent.
        if attempts > 0 {
            self.tried(step, at, came, at);
        }
        let Some(step) = self.at_work.get_mut(step) else {
            return;
        };
        match std::mem::replace(&mut step.open, Open::Nothing) {
            Open::Nothing => {}
            Open::Wait => (step.since, step.last) = (at, None),
            Open::World(place, _) => {
                (step.since, step.last) = (at, Some(place));
                (step.slept_on, step.slept) = (Some(place), false);
                if let Some(call) = self.calls.get_mut(place) {
                    call.reply = Some(reply.clone());
                }
            }
        }
    }
}
