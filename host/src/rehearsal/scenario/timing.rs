//! `[[timings]]`: how long calls of a function take where that was measured, instead of what the world draws for them.
//!
//! Written by hand, or by `understudy calibrate` from a live run.

use serde::Deserialize;
use toml::Spanned;

use super::time::{Length, Range};
use crate::name::{SiteName, StepId};

/// How long calls of a function take.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Timing {
    /// `contract/function`, for example `database/ensure-promoted`.
    pub call: Spanned<String>,
    /// Only of calls about this site; left out, of all for which there is no entry with their site.
    pub site: Option<Spanned<SiteName>>,
    /// Only of calls of this step, which comes before the site; left out, of all for which there is no entry with their step.
    pub step: Option<StepId>,
    /// Until an answer comes, with everything that goes into it. Left out: as the world has it.
    pub answer: Option<Range>,
    /// Until what the call begins is done: a rollout, a promotion, an order. Callers are told how much of it is left;
    /// with `0s` it is done when the answer comes. Left out: as the world has it.
    pub work: Option<Range>,
    /// How soon callers are asked to come back about what nobody knows the length of. Left out: as the world has it.
    pub look: Option<Length>,
    /// Until a place that cannot be reached is given up: a port that nobody listens at says so at once, a machine that is gone
    /// never does. Left out: `connect-timeout` of `[durations]`.
    pub given_up: Option<Range>,
}

impl Timing {
    /// Whether it says anything at all.
    pub(super) fn is_empty(&self) -> bool {
        self.answer.is_none()
            && self.work.is_none()
            && self.look.is_none()
            && self.given_up.is_none()
    }
}
