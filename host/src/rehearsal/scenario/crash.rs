//! `[[crashes]]`: the host dies, and another one goes on from the journal. The world does not notice.
//!
//! A death is placed by how many records there are, or by what a record is. Between an effect and its record lies what
//! makes a crash dangerous, so both sides of it can be asked for: `after = "intent"` dies with nothing sent,
//! `before = "outcome"` with everything done and nobody knowing.

use serde::Deserialize;
use toml::Spanned;

use crate::name::StepId;

/// Kinds of records at which a host may die: all but those that begin and end a run or follow a death.
pub const KINDS: [&str; 14] = [
    "step-changed",
    "intent",
    "retried",
    "waiting",
    "outcome",
    "marked",
    "measured",
    "attached",
    "logged",
    "gate-opened",
    "gate-answered",
    "strategy-switched",
    "budget-exceeded",
    "abort-asked",
];

/// Kinds among them that are about a call.
pub const KINDS_OF_CALLS: [&str; 4] = ["intent", "retried", "waiting", "outcome"];

/// A death of the host. A run that never comes to it has none.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawCrash")]
pub struct Crash {
    /// When.
    pub moment: Moment,
    /// Only records about a call of this function, for example `dns/ensure-record`.
    pub call: Option<Spanned<String>>,
    /// Only records about this step.
    pub step: Option<Spanned<StepId>>,
    /// The how manieth of these records, from 1.
    pub nth: u32,
}

/// The moment of a death.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moment {
    /// Once the journal holds this many records.
    Records(u64),
    /// When a record of this kind is about to be written: what it tells of has happened, and is not on record.
    Before(Spanned<String>),
    /// When a record of this kind has been written: what was to follow has not begun.
    After(Spanned<String>),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawCrash {
    after_records: Option<u64>,
    before: Option<Spanned<String>>,
    after: Option<Spanned<String>>,
    call: Option<Spanned<String>>,
    step: Option<Spanned<StepId>>,
    nth: Option<u32>,
}

impl TryFrom<RawCrash> for Crash {
    type Error = &'static str;

    fn try_from(raw: RawCrash) -> Result<Self, Self::Error> {
        let chosen = raw.call.is_some() || raw.step.is_some() || raw.nth.is_some();
        let moment = match (raw.after_records, raw.before, raw.after) {
            (Some(records), None, None) if !chosen => Moment::Records(records),
            (Some(_), None, None) => {
                return Err(
                    "`call`, `step` and `nth` choose among records of a kind: they go with `before` or `after`",
                );
            }
            (None, Some(kind), None) => Moment::Before(kind),
            (None, None, Some(kind)) => Moment::After(kind),
            _ => return Err("a crash has one of `after-records`, `before` and `after`"),
        };
        Ok(Self {
            moment,
            call: raw.call,
            step: raw.step,
            nth: raw.nth.unwrap_or(1),
        })
    }
}

impl Moment {
    /// The kind of record it is about.
    #[must_use]
    pub fn kind(&self) -> Option<&Spanned<String>> {
        match self {
            Self::Records(_) => None,
            Self::Before(kind) | Self::After(kind) => Some(kind),
        }
    }
}
