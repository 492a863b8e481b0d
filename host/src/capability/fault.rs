//! Why a use of a capability did not do what was asked, and how that is told: to the caller and in the journal.

use serde_json::Value;

use super::credential::Redactor;
use super::network::NetworkError;
use super::{MAX_FOREIGN_TEXT_BYTES, Used};
use crate::call::{CallError, Denial, RetryHint};

/// Why a use did not do what was asked: the error for the caller and the line for the journal in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    class: Class,
    /// Empty where the contract fixes the text.
    code: &'static str,
    text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Class {
    Denied { grant: String },
    TimedOut,
    Unavailable { after_ms: Option<u64> },
    NotFound,
    Conflict,
    Invalid,
    InDoubt,
    Other,
}

impl Fault {
    fn new(class: Class, code: &'static str, text: impl Into<String>) -> Self {
        Self {
            class,
            code,
            text: text.into(),
        }
    }

    /// Refused; `grant` is the line that would allow it.
    pub(crate) fn denied(code: &'static str, text: impl Into<String>, grant: String) -> Self {
        Self::new(Class::Denied { grant }, code, text)
    }

    /// The deadline passed.
    pub(crate) fn timed_out(what: &str) -> Self {
        let text = format!("{what}: no answer by the deadline");
        Self::new(Class::TimedOut, "CP0015", text)
    }

    /// Stopped by the host because its time was over.
    pub(crate) fn over_time(code: &'static str, text: impl Into<String>) -> Self {
        Self::new(Class::TimedOut, code, text)
    }

    /// Not reached; nothing was sent.
    pub(crate) fn unavailable(code: &'static str, text: impl Into<String>) -> Self {
        Self::new(Class::Unavailable { after_ms: None }, code, text)
    }

    /// A host that cannot be connected to; `grant` is the line that would allow a private address.
    pub(crate) fn unreached(problem: &NetworkError, grant: String) -> Self {
        match problem {
            NetworkError::Refused { realm, .. } => {
                let allowed = realm.allowed(true).then_some(grant);
                Self::denied("CP0003", problem.to_string(), allowed.unwrap_or_default())
            }
            NetworkError::Unresolved { .. } | NetworkError::TooMany { .. } => {
                Self::unavailable("CP0013", problem.to_string())
            }
        }
    }

    /// Asked to come back, after this long where it says so.
    pub(crate) fn busy(code: &'static str, text: impl Into<String>, after_ms: Option<u64>) -> Self {
        Self::new(Class::Unavailable { after_ms }, code, text)
    }

    /// The same as something that passes.
    pub(crate) fn passing(self) -> Self {
        Self {
            class: Class::Unavailable { after_ms: None },
            ..self
        }
    }

    /// No such thing.
    pub(crate) fn not_found(code: &'static str, text: impl Into<String>) -> Self {
        Self::new(Class::NotFound, code, text)
    }

    /// Refused by the other side, in its own words.
    pub(crate) fn conflict(text: impl Into<String>) -> Self {
        Self::new(Class::Conflict, "", text)
    }

    /// The same where the contract leaves the text to the host.
    pub(crate) fn conflicting(code: &'static str, text: impl Into<String>) -> Self {
        Self::new(Class::Conflict, code, text)
    }

    /// Wrong arguments or configuration.
    pub(crate) fn invalid(code: &'static str, text: impl Into<String>) -> Self {
        Self::new(Class::Invalid, code, text)
    }

    /// Sent, fate unknown.
    pub(crate) fn in_doubt(code: &'static str, text: impl Into<String>) -> Self {
        Self::new(Class::InDoubt, code, text)
    }

    /// Anything else.
    pub(crate) fn other(code: &'static str, text: impl Into<String>) -> Self {
        Self::new(Class::Other, code, text)
    }

    /// A function that the interface does not have.
    pub(crate) fn no_function(interface: &str, function: &str) -> Self {
        let text = format!("`{interface}` has no function `{function}`");
        Self::invalid("CP0016", text)
    }

    /// The same, and before it what it was about.
    pub(crate) fn about(self, what: &str) -> Self {
        Self {
            text: format!("{what}: {}", self.text),
            ..self
        }
    }

    /// True where the thing asked for does not exist.
    pub(crate) fn is_not_found(&self) -> bool {
        self.class == Class::NotFound
    }

    /// True where this code says why.
    pub(crate) fn is_code(&self, code: &str) -> bool {
        self.code == code
    }

    fn coded(&self) -> String {
        if self.code.is_empty() {
            self.text.clone()
        } else {
            format!("{}: {}", self.code, self.text)
        }
    }

    fn line(&self) -> String {
        let class = match self.class {
            Class::Denied { .. } => return format!("denied {}", self.coded()),
            Class::TimedOut => "timed out",
            Class::Unavailable { .. } => "unavailable",
            Class::NotFound => "not found",
            Class::Conflict => "conflict",
            Class::Invalid => "invalid",
            Class::InDoubt => "in doubt",
            Class::Other => "failed",
        };
        format!("{class}, {}", self.coded())
    }

    fn into_error(self) -> CallError {
        let text = self.coded();
        match self.class {
            Class::Denied { grant } => CallError::Denied(Denial {
                rule: self.code.to_owned(),
                grant,
            }),
            Class::TimedOut => CallError::TimedOut(text),
            Class::Unavailable { after_ms } => CallError::Unavailable(RetryHint {
                reason: text,
                after_ms,
            }),
            Class::NotFound => CallError::NotFound(text),
            Class::Conflict => CallError::Conflict(text),
            Class::Invalid => CallError::Invalid(text),
            Class::InDoubt => CallError::InDoubt(text),
            Class::Other => CallError::Other(text),
        }
    }
}

impl Used {
    /// From what a capability did: the payload with the result line, or the fault. Both lose the secrets they hold.
    pub(super) fn of(
        action: &str,
        done: Result<(Value, String), Fault>,
        redactor: &Redactor,
    ) -> Self {
        let (reply, result) = match done {
            Ok((value, line)) => (Ok(value), line),
            Err(mut fault) => {
                // First redacted, then clipped: half a secret is not recognised.
                fault.text = clip(redactor.text(&fault.text));
                if let Class::Denied { grant } = &mut fault.class {
                    *grant = redactor.text(grant);
                }
                let line = fault.line();
                (Err(fault.into_error()), line)
            }
        };
        Self {
            reply,
            action: clip(redactor.text(action)),
            result: clip(redactor.text(&result)),
        }
    }
}

/// At most [`MAX_FOREIGN_TEXT_BYTES`], without control characters.
pub(super) fn clip(text: String) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.len() <= MAX_FOREIGN_TEXT_BYTES {
        return text;
    }
    let end = text.floor_char_boundary(MAX_FOREIGN_TEXT_BYTES);
    format!("{}…", text.get(..end).unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_clipped_at_a_character_and_loses_control_characters() {
        assert_eq!(clip("a\u{1b}[31m\nb".to_owned()), "a [31m b");
        let long = clip("é".repeat(MAX_FOREIGN_TEXT_BYTES));
        assert!(long.len() <= MAX_FOREIGN_TEXT_BYTES + '…'.len_utf8() && long.ends_with('…'));
    }
}
