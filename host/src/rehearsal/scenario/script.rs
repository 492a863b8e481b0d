//! `[[script]]`: the times of a drill. What must have been reached by when, in the order in which it is written.
//!
//! A cue is judged by the journal alone: by when a milestone was set, or a step begun or done.

use std::fmt;

use serde::Deserialize;
use toml::Spanned;

use super::time::Offset;
use crate::clock::Instant;
use crate::journal::record::{Entry, Missed, Record};
use crate::name::{SiteName, StepId};
use crate::report::units;
use crate::run::state::StepState;

/// Milestones that every strategy may set (`wit/control`). What only an organisation's own strategy sets is cued by the
/// step that sets it.
pub const MILESTONES: [&str; 10] = [
    "outage-detected",
    "declared",
    "frozen",
    "fenced",
    "writable",
    "flipped",
    "served",
    "converged",
    "protected",
    "recovered",
];

/// A line of the script.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawCue")]
pub struct Cue {
    /// What is to be reached.
    pub what: Cued,
    /// By then at the latest.
    pub by: Spanned<Offset>,
}

/// What a cue waits for.
#[derive(Debug, Clone)]
pub enum Cued {
    /// A milestone.
    Mark {
        /// One of [`MILESTONES`].
        name: Spanned<String>,
        /// At this site; at any, where it is left out.
        site: Option<Spanned<SiteName>>,
    },
    /// A step has begun.
    Begun(Spanned<StepId>),
    /// A step is done.
    Done(Spanned<StepId>),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawCue {
    reached: Option<Spanned<String>>,
    site: Option<Spanned<SiteName>>,
    begun: Option<Spanned<StepId>>,
    done: Option<Spanned<StepId>>,
    by: Spanned<Offset>,
}

impl TryFrom<RawCue> for Cue {
    type Error = &'static str;

    fn try_from(raw: RawCue) -> Result<Self, Self::Error> {
        let what = match (raw.reached, raw.begun, raw.done, raw.site) {
            (Some(name), None, None, site) => Cued::Mark { name, site },
            (None, Some(step), None, None) => Cued::Begun(step),
            (None, None, Some(step), None) => Cued::Done(step),
            (None, _, _, Some(_)) => return Err("`site` goes with `reached`"),
            _ => return Err("a line of the script has one of `reached`, `begun` and `done`"),
        };
        Ok(Self { what, by: raw.by })
    }
}

impl fmt::Display for Cued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mark { name, site: None } => f.write_str(name.as_ref()),
            Self::Mark {
                name,
                site: Some(site),
            } => write!(f, "{} at {}", name.as_ref(), site.as_ref()),
            Self::Begun(step) => write!(f, "{} begun", step.as_ref()),
            Self::Done(step) => write!(f, "{} done", step.as_ref()),
        }
    }
}

impl Cued {
    /// The step it names.
    pub(super) fn step(&self) -> Option<&Spanned<StepId>> {
        match self {
            Self::Mark { .. } => None,
            Self::Begun(step) | Self::Done(step) => Some(step),
        }
    }

    /// When it was first reached.
    fn reached(&self, entries: &[Entry]) -> Option<Instant> {
        let is_it = |record: &Record| match (self, record) {
            (
                Self::Mark { name, site },
                Record::Marked {
                    name: set,
                    site: at,
                    ..
                },
            ) => {
                let there = site.as_ref().map(|site| site.as_ref().as_str());
                set == name.as_ref() && (there.is_none() || at.as_deref() == there)
            }
            (
                Self::Begun(step),
                Record::StepChanged {
                    step: changed, to, ..
                },
            ) => changed == step.as_ref() && *to == StepState::Running,
            (
                Self::Done(step),
                Record::StepChanged {
                    step: changed, to, ..
                },
            ) => changed == step.as_ref() && *to == StepState::Done,
            _ => false,
        };
        let mut entries = entries.iter();
        entries
            .find(|entry| is_it(&entry.record))
            .map(|entry| entry.at)
    }
}

/// Every cue that was missed: never reached, reached too late, or reached before one that stands above it.
#[must_use]
pub fn missed(script: &[Spanned<Cue>], start: Instant, entries: &[Entry]) -> Vec<Missed> {
    let mut missed = Vec::new();
    let mut above: Option<(String, Instant)> = None;
    for cue in script {
        let cue = cue.as_ref();
        let mut miss = |expected: String, found: String| {
            missed.push(Missed {
                what: format!("script: {}", cue.what),
                expected,
                found,
            });
        };
        let due = cue.by.as_ref().from_start(start);
        let Some(at) = cue.what.reached(entries) else {
            miss(
                format!("reached by {}", units::offset(start, due)),
                "never".to_owned(),
            );
            continue;
        };
        if at > due {
            miss(
                format!("reached by {}", units::offset(start, due)),
                units::offset(start, at),
            );
        }
        if let Some((before, earlier)) = above.as_ref().filter(|(_, earlier)| *earlier > at) {
            miss(
                format!("after `{before}` at {}", units::offset(start, *earlier)),
                units::offset(start, at),
            );
        }
        if above.as_ref().is_none_or(|(_, earlier)| *earlier <= at) {
            above = Some((cue.what.to_string(), at));
        }
    }
    missed
}
