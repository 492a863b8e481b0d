//! How long the call at hand takes, where the scenario has it measured (`[[timings]]`).

use serde_json::Value;

use super::World;
use crate::call::{CallError, Operation, Outcome, Reply, Request};
use crate::rehearsal::scenario::time::{Length, Range};
use crate::rehearsal::scenario::timing::Timing;

/// How often a control plane looks at its work, in milliseconds: callers are asked to come back at a multiple of it.
pub(crate) const LOOK_EVERY_MS: u64 = 5_000;

/// What was measured of calls like the one at hand.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    /// Until an answer comes.
    answer: Option<Range>,
    /// Until what it begins is done.
    pub(crate) work: Option<Range>,
    /// When callers are asked to come back.
    look: Option<Length>,
    /// Until a place that cannot be reached is given up.
    pub(crate) given_up: Option<Range>,
}

impl World {
    /// The pace of a call: that of its step before that of its site, and that before the one of its function.
    pub(crate) fn pace_of(&self, request: &Request) -> Pace {
        if self.timings.is_empty() {
            return Pace::default();
        }
        let name = request.function.to_string();
        let site = request.args.get("site").and_then(Value::as_str);
        let of_function = || {
            let timings = self.timings.iter();
            timings.filter(|timing| *timing.call.as_ref() == name)
        };
        let named = |timing: &Timing| {
            let named = timing.site.as_ref().map(|named| named.as_ref().as_str());
            (named.is_some(), named.is_none() || named == site)
        };
        // How much of the call an entry names: its step, then its site.
        let fit = |timing: &&Timing| {
            let (has_site, fits_site) = named(timing);
            let fits_step = timing.step.iter().all(|step| *step == request.site.step);
            (fits_site && fits_step).then_some((timing.step.is_some(), has_site))
        };
        let found = of_function()
            .filter_map(|timing| Some((fit(&timing)?, timing)))
            .max_by_key(|(fit, _)| *fit)
            .map(|(_, timing)| timing);
        found.map_or_else(Pace::default, |timing| Pace {
            answer: timing.answer,
            work: timing.work,
            look: timing.look,
            given_up: timing.given_up,
        })
    }

    /// Has the answer to the call at hand take as long as was measured. A place that is away does not answer.
    pub(crate) fn keep_pace(&mut self, reply: &Reply, poll: u32) {
        if let (Some(range), false) = (self.pace.answer, is_away(reply)) {
            self.took = self
                .draws
                .within(range, "answer", &self.key, u64::from(poll));
        }
    }

    /// When to look again at what nobody knows the length of, in milliseconds.
    pub(crate) fn look_ms(&self, otherwise: u64) -> u64 {
        self.pace.look.map_or(otherwise, Length::ms)
    }

    /// Something an `ensure-*` function waits for that is nobody's job: nobody knows how long it takes.
    pub(crate) fn wait(&self, id: String, description: String) -> Outcome {
        Outcome::InProgress(Operation {
            id,
            description,
            poll_after_ms: self.look_ms(LOOK_EVERY_MS),
        })
    }

    /// When to ask again about work that has so much left, both in milliseconds: at the first look that can find it done,
    /// and at once where the work was measured. A site that dies meanwhile is found out then, and by the host's own
    /// longest pause before.
    pub(crate) fn look_after_ms(&self, left_ms: u64) -> u64 {
        match self.pace.work {
            Some(_) => left_ms.max(1),
            None => left_ms.div_ceil(LOOK_EVERY_MS).max(1) * LOOK_EVERY_MS,
        }
    }
}

fn is_away(reply: &Reply) -> bool {
    matches!(
        reply,
        Err(CallError::Unavailable(_) | CallError::TimedOut(_))
    )
}
