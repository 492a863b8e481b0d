//! What is held against each case, for every contract alike. The names are what a failed provider fails by.

use serde::Serialize;

use crate::call::CallKind;

/// One check of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// A read answers what is there.
    Answers,
    /// A read sends nothing that changes anything.
    ChangesNothing,
    /// What was asked for is what the reading functions show afterwards.
    TakesEffect,
    /// Asked again with another key there is nothing left to do, and it says so.
    OtherKey,
    /// What answers `unchanged` has sent nothing that changes anything.
    Quiet,
    /// The host died before it had written the answer down: the call is made again with the same key.
    SameKey,
    /// A change took effect and its answer was lost on the way: the call is made again with the same key.
    LostAnswer,
    /// The host died after a change took effect: the call is made again with the same key.
    DiedHalfway,
    /// The other side asks for patience, and says for how long: the call waits and gets there.
    Throttled,
    /// The other side is not reached: `unavailable`.
    Unreachable,
    /// The host does not let the provider out: `denied`.
    Denied,
    /// The other side takes the request and never answers: an error that says so, in time.
    Silent,
    /// Something else answers in the place of the other side: an error, and no effect is claimed.
    Stranger,
    /// What must not be done is refused with the contract's own error, and nothing is done.
    Refused,
    /// What cannot be done yet is in progress, and the provider comes back to say so.
    NotYet,
    /// Every attempt at the case's calls came back by itself, with an answer of the contract.
    ComesBack,
}

/// What is held against a read.
pub const OF_READS: [Check; 7] = [
    Check::Answers,
    Check::ChangesNothing,
    Check::Throttled,
    Check::Unreachable,
    Check::Denied,
    Check::Silent,
    Check::Stranger,
];

/// What is held against an effect. The second and third belong to the world as the first leaves it.
pub const OF_EFFECTS: [Check; 11] = [
    Check::TakesEffect,
    Check::OtherKey,
    Check::Quiet,
    Check::SameKey,
    Check::LostAnswer,
    Check::DiedHalfway,
    Check::Throttled,
    Check::Unreachable,
    Check::Denied,
    Check::Silent,
    Check::Stranger,
];

impl Check {
    /// The name, in kebab-case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Answers => "answers",
            Self::ChangesNothing => "changes-nothing",
            Self::TakesEffect => "takes-effect",
            Self::OtherKey => "other-key",
            Self::Quiet => "quiet",
            Self::SameKey => "same-key",
            Self::LostAnswer => "lost-answer",
            Self::DiedHalfway => "died-halfway",
            Self::Throttled => "throttled",
            Self::Unreachable => "unreachable",
            Self::Denied => "denied",
            Self::Silent => "silent",
            Self::Stranger => "stranger",
            Self::Refused => "refused",
            Self::NotYet => "not-yet",
            Self::ComesBack => "comes-back",
        }
    }

    /// The first check of a function that no case calls.
    pub(super) fn first_of(function: &str) -> Self {
        match CallKind::of(function) {
            CallKind::Read => Self::Answers,
            CallKind::Ensure | CallKind::Once => Self::TakesEffect,
        }
    }
}
