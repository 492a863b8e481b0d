//! Errors of the contracts, as moves weigh them.

use crate::Error;

/// True where nothing is known about the other side: it may be dead, cut off, or busy.
#[must_use]
pub fn is_out_of_reach(error: &Error) -> bool {
    matches!(
        error,
        Error::Unavailable(_) | Error::TimedOut(_) | Error::InDoubt(_)
    )
}

/// True where the other side, though reachable, cannot do such a thing at all.
#[must_use]
pub fn is_unsupported(error: &Error) -> bool {
    matches!(
        error,
        Error::Invalid(_) | Error::NotFound(_) | Error::Other(_)
    )
}

/// The error in one line.
#[must_use]
pub fn say(error: &Error) -> String {
    match error {
        Error::Denied(denial) if denial.grant.is_empty() => format!("denied by {}", denial.rule),
        Error::Denied(denial) => format!(
            "denied by {}; what would allow it: {}",
            denial.rule, denial.grant
        ),
        Error::TimedOut(text) => format!("timed out: {text}"),
        Error::Unavailable(hint) => format!("unavailable: {}", hint.reason),
        Error::NotFound(text) => format!("not found: {text}"),
        Error::Conflict(text) => format!("conflict: {text}"),
        Error::Invalid(text) => format!("invalid: {text}"),
        Error::InDoubt(text) => format!("in doubt: {text}"),
        Error::Other(text) => text.clone(),
    }
}
