//! One call across the seam: who asks what of whom, and what came of it. Plain data, no wasmtime.
//!
//! Arguments and results travel as JSON in the shape the WIT types give them: records are objects with kebab-case
//! keys, a case without a payload is its name and one with a payload is `{"case": payload}`, `option` is `null` or the
//! value, `result` is `{"ok": …}` or `{"err": …}`, 64-bit integers are JSON integers, bytes are as in `bytes`. That is serde's own shape for
//! `rename_all = "kebab-case"`, so a service can read its arguments with `serde_json::from_value`.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use data_encoding::HEXLOWER;
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::canonical;
use crate::clock::{BoxFuture, Instant};
use crate::name::{InterfaceName, StepId};

/// A function of a contract.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FunctionName {
    /// The interface with its version.
    pub interface: InterfaceName,
    /// The function's name in kebab-case.
    pub function: String,
}

impl FunctionName {
    /// Whether this is its short form.
    #[must_use]
    pub fn is(&self, short: &str) -> bool {
        // What differs nearly always comes first.
        let contract = short.strip_suffix(self.function.as_str());
        let contract = contract.and_then(|contract| contract.strip_suffix('/'));
        contract.is_some_and(|contract| contract == self.interface.short())
    }
}

impl fmt::Display for FunctionName {
    /// The short form used in grants and messages: `dns/ensure-record`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.interface.short(), self.function)
    }
}

/// What a function does to the world, told by the first word of its name (`wit/` states the rule).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallKind {
    /// `observe-*`, `list-*`, `get-*`: changes nothing.
    Read,
    /// `ensure-*`: may be issued any number of times.
    Ensure,
    /// `run-*`, and whatever follows no rule: never issued twice by the host on its own.
    Once,
}

impl CallKind {
    /// The kind of the function of this name.
    #[must_use]
    pub fn of(function: &str) -> Self {
        match function.split('-').next().unwrap_or("") {
            "observe" | "list" | "get" => Self::Read,
            "ensure" => Self::Ensure,
            _ => Self::Once,
        }
    }

    /// True for calls whose intent must be durable before anything is sent.
    #[must_use]
    pub fn is_effect(self) -> bool {
        self != Self::Read
    }
}

/// SHA-256 over interface, function and canonical arguments, lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallHash(pub String);

/// The same for every attempt at one call, and never for two calls: providers pass it to vendors that take one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IdempotencyKey(pub String);

/// Whether a step is being performed or taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// `run-step`.
    Run,
    /// `undo-step`.
    Undo,
}

/// Where in a run a call stands. Together with the run id this is the call's identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CallSite {
    /// The step that asks.
    pub step: StepId,
    /// Performing or taking back.
    pub direction: Direction,
    /// Which attempt at the step, from 1. A resume continues an attempt; a retry begins a new one.
    pub attempt: u32,
    /// Which call of that attempt, from 0.
    pub ordinal: u32,
}

impl Serialize for CallSite {
    /// In the order of a journal's text, which is not that of the fields: nearly every record has one.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut site = serializer.serialize_struct("CallSite", 4)?;
        site.serialize_field("attempt", &self.attempt)?;
        site.serialize_field("direction", &self.direction)?;
        site.serialize_field("ordinal", &self.ordinal)?;
        site.serialize_field("step", &self.step)?;
        site.end()
    }
}

/// The arguments of a call by parameter name. Cheap to clone: who records them and who serves them share them, and their
/// canonical text.
#[derive(Debug, Clone, Default)]
pub struct Arguments(Arc<Given>);

#[derive(Debug, Default)]
struct Given {
    by_name: Map<String, Value>,
    /// Once somebody has asked for it.
    text: OnceLock<String>,
}

impl Arguments {
    /// Their canonical text.
    #[must_use]
    pub fn canonical(&self) -> &str {
        let Given { by_name, text } = &*self.0;
        text.get_or_init(|| canonical::arguments(by_name))
    }

    /// As a value of their own.
    #[must_use]
    pub fn to_value(&self) -> Value {
        Value::Object(self.0.by_name.clone())
    }
}

impl From<Map<String, Value>> for Arguments {
    fn from(by_name: Map<String, Value>) -> Self {
        Self(Arc::new(Given {
            by_name,
            text: OnceLock::new(),
        }))
    }
}

impl Deref for Arguments {
    type Target = Map<String, Value>;

    fn deref(&self) -> &Map<String, Value> {
        &self.0.by_name
    }
}

impl PartialEq for Arguments {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Serialize for Arguments {
    /// They are printed for their hash before they are recorded: [`canonical::of`] takes that text.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Printed<'a>(&'a Arguments);
        impl Serialize for Printed<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    (**self.0).serialize(serializer)
                } else {
                    serializer.serialize_str(self.0.canonical())
                }
            }
        }
        serializer.serialize_newtype_struct(canonical::PRINTED, &Printed(self))
    }
}

impl<'de> Deserialize<'de> for Arguments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer).map(Self::from)
    }
}

/// A call, ready to be served.
#[derive(Debug, Clone)]
pub struct Request {
    /// What is asked.
    pub function: FunctionName,
    /// What it is asked with.
    pub args: Arguments,
    /// The call's identity for whoever serves it.
    pub key: IdempotencyKey,
    /// Which step asks.
    pub site: CallSite,
    /// When the caller stops waiting.
    pub deadline: Instant,
}

/// What came back: the `ok` payload (`null` for none), or the error.
pub type Reply = Result<Value, CallError>;

/// Whatever serves a contract: a provider plugin, a capability of the host, or the simulated world.
pub trait Service: Send + Sync {
    /// Serves one call. The mediation bounds it by the request's deadline; dropping the future abandons the call.
    fn call<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reply>;
}

/// `types.error` of the contracts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum CallError {
    /// Policy refused.
    #[error("denied by {}", .0.rule)]
    Denied(Denial),
    /// The deadline passed.
    #[error("timed out: {0}")]
    TimedOut(String),
    /// Likely to pass.
    #[error("unavailable: {}", .0.reason)]
    Unavailable(RetryHint),
    /// No such thing.
    #[error("not found: {0}")]
    NotFound(String),
    /// The world is in the way.
    #[error("conflict: {0}")]
    Conflict(String),
    /// Wrong arguments or configuration.
    #[error("invalid: {0}")]
    Invalid(String),
    /// Sent, fate unknown.
    #[error("in doubt: {0}")]
    InDoubt(String),
    /// In the provider's words.
    #[error("{0}")]
    Other(String),
}

impl CallError {
    /// An [`Unavailable`](Self::Unavailable) without a wish for when to come back.
    #[must_use]
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable(RetryHint {
            reason: reason.into(),
            after_ms: None,
        })
    }
}

/// `types.denial` of the contracts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Denial {
    /// Code of the rule that refused.
    pub rule: String,
    /// The line that would allow it; empty where none can.
    pub grant: String,
}

/// `types.retry-hint` of the contracts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RetryHint {
    /// What was observed.
    pub reason: String,
    /// The other side's wish, in milliseconds.
    pub after_ms: Option<u64>,
}

/// `types.outcome` of the contracts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Already so.
    Unchanged,
    /// So now.
    Changed,
    /// Accepted, not finished.
    InProgress(Operation),
}

/// `types.operation` of the contracts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Operation {
    /// What is waited for.
    pub description: String,
    /// The vendor's identifier.
    pub id: String,
    /// When to ask again, in milliseconds.
    pub poll_after_ms: u64,
}

/// How many bytes a value takes as JSON.
#[must_use]
pub fn json_bytes(value: &impl Serialize) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        // What has no JSON is not recorded either; here that cannot be small.
        Err(_) => usize::MAX,
    }
}

/// The hash by which a replayed call is recognised.
#[must_use]
pub fn call_hash(function: &FunctionName, args: &Arguments) -> CallHash {
    let mut hasher = Sha256::new();
    for part in [
        function.interface.as_str(),
        &function.function,
        args.canonical(),
    ] {
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    CallHash(hex(&hasher.finalize()))
}

/// Hashes a text as it is made, without keeping it.
pub(crate) fn hash_text(hasher: &mut Sha256, text: fmt::Arguments<'_>) {
    struct Hashed<'h>(&'h mut Sha256);
    impl fmt::Write for Hashed<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.update(text.as_bytes());
            Ok(())
        }
    }
    // A hash takes whatever it is given.
    fmt::write(&mut Hashed(hasher), text).ok();
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(HEXLOWER.encode_len(bytes.len()));
    HEXLOWER.encode_append(bytes, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_outcomes_have_the_shape_of_the_contracts() {
        let error = CallError::unavailable("HTTP 503");
        assert_eq!(
            serde_json::to_string(&error).unwrap(),
            r#"{"unavailable":{"reason":"HTTP 503","after-ms":null}}"#
        );
        assert_eq!(
            serde_json::to_string(&Outcome::Changed).unwrap(),
            r#""changed""#
        );
    }

    #[test]
    fn arguments_are_printed_as_the_object_they_are() {
        let text = r#"{"a":[1,null],"z":{"\"":"é\n"}}"#;
        let args: Arguments = serde_json::from_str(text).unwrap();
        assert_eq!(args.canonical(), text);
        let recorded = (&args, "\n", jiff::Timestamp::UNIX_EPOCH);
        let by_value = serde_json::to_value(recorded).unwrap().to_string();
        assert_eq!(canonical::of(&recorded).unwrap(), by_value);
        assert_eq!(serde_json::to_string(&args).unwrap(), text);
        assert_eq!(args.to_value(), serde_json::to_value(&args).unwrap());
    }

    #[test]
    fn the_size_is_that_of_the_text() {
        let value = serde_json::json!({"a": [1, "é", null], "b": {"c": "x".repeat(100)}});
        assert_eq!(json_bytes(&value), value.to_string().len());
    }

    #[test]
    fn the_hash_depends_on_every_part_and_not_on_key_order() {
        let function = |name: &str| FunctionName {
            interface: "understudy:dns/dns@0.1.0".parse().unwrap(),
            function: name.to_owned(),
        };
        let args = |text: &str| serde_json::from_str::<Arguments>(text).unwrap();
        let base = call_hash(&function("ensure-record"), &args(r#"{"a":1,"b":2}"#));
        assert_eq!(
            base,
            call_hash(&function("ensure-record"), &args(r#"{"b":2,"a":1}"#))
        );
        assert_ne!(
            base,
            call_hash(&function("ensure-record"), &args(r#"{"a":1,"b":3}"#))
        );
        assert_ne!(
            base,
            call_hash(&function("get-record"), &args(r#"{"a":1,"b":2}"#))
        );
    }
}
