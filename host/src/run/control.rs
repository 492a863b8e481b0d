//! The contract `understudy:control`, answered by the host itself.
//!
//! Reached only through the mediation, like every call. What is random or timed here is recorded there.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::gate::{Gates, Question};
use crate::call::{CallError, CallKind, Reply, Request};
use crate::clock::Instant;
use crate::journal::Durability;
use crate::journal::record::{Choice, Entry, GateKind, Level, Record};
use crate::mediation::StepCalls;
use crate::name::{RoleName, StepId};
use crate::plugin::error::Halt;
use crate::plugin::limits;
use crate::runbook::types::Gate;

/// Bytes of one piece of evidence.
pub const EVIDENCE_BYTES: usize = 64 << 10;

/// What the host knows of a run beside its steps: marks and measurements.
#[derive(Debug, Default)]
struct Facts {
    marks: BTreeMap<(String, Option<String>), Instant>,
    measurements: BTreeMap<String, Value>,
    /// What was logged, by step and attempt.
    logged: BTreeMap<(StepId, u32), Volume>,
}

/// Lines and bytes of one attempt's log.
#[derive(Debug, Default)]
struct Volume {
    lines: u32,
    bytes: usize,
}

impl Volume {
    fn fits(&self) -> bool {
        self.lines <= limits::LOG_LINES && self.bytes <= limits::LOG_BYTES
    }
}

/// Answers `understudy:control`.
pub struct Control {
    gates: Gates,
    facts: Mutex<Facts>,
}

/// What a control function is: questions and waits are effects on people and time, the rest stays in the record.
#[must_use]
pub fn kind_of(function: &str) -> CallKind {
    match function {
        "decide" | "sleep" => CallKind::Ensure,
        _ => CallKind::Read,
    }
}

#[derive(Deserialize)]
struct Sleep {
    duration: u64,
}

#[derive(Deserialize)]
struct Log {
    level: Level,
    message: String,
}

#[derive(Deserialize)]
struct Mark {
    name: String,
    site: Option<String>,
}

#[derive(Deserialize)]
struct Decide {
    question: Asked,
}

#[derive(Deserialize)]
struct Asked {
    role: RoleName,
    title: String,
    detail: String,
}

#[derive(Deserialize)]
struct Measure {
    name: String,
    quantity: Value,
}

#[derive(Deserialize)]
struct Recall {
    name: String,
}

#[derive(Deserialize)]
struct Attach {
    evidence: Evidence,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Evidence {
    name: String,
    media_type: String,
    body: String,
}

/// Arguments as their type, or the error the plugin is told.
fn read<T: DeserializeOwned>(request: &Request) -> Result<T, CallError> {
    T::deserialize(&*request.args)
        .map_err(|error| CallError::Invalid(format!("`{}`: {error}", request.function)))
}

impl Control {
    /// Control of a run whose journal may already hold marks and measurements.
    #[must_use]
    pub fn new(gates: Gates, entries: &[Entry]) -> Self {
        let mut facts = Facts::default();
        for entry in entries {
            match &entry.record {
                Record::Marked { name, site, .. } => {
                    facts
                        .marks
                        .entry((name.clone(), site.clone()))
                        .or_insert(entry.at);
                }
                Record::Measured { name, quantity, .. } => {
                    facts.measurements.insert(name.clone(), quantity.clone());
                }
                _ => {}
            }
        }
        Self {
            gates,
            facts: Mutex::new(facts),
        }
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one call. `since` is when its intent was first recorded.
    ///
    /// # Errors
    /// [`Halt::Journal`] if something cannot be recorded.
    pub async fn call(
        &self,
        calls: &StepCalls,
        request: &Request,
        since: Instant,
    ) -> Result<Reply, Halt> {
        match self.answer(calls, request, since).await {
            Ok(value) => Ok(Ok(value)),
            Err(Refusal::Told(error)) => Ok(Err(error)),
            Err(Refusal::Halt(halt)) => Err(halt),
        }
    }

    async fn answer(
        &self,
        calls: &StepCalls,
        request: &Request,
        since: Instant,
    ) -> Result<Value, Refusal> {
        match request.function.function.as_str() {
            "now" => Ok(json!(calls.mediation.clock.now())),
            "random" => Ok(json!(draw(calls.mediation.seed, &request.key.0))),
            "sleep" => {
                let Sleep { duration } = read(request)?;
                let until = since.after(Duration::from_millis(duration));
                calls.mediation.clock.sleep_until(until).await;
                Ok(Value::Null)
            }
            "log" => self.log(calls, read(request)?).await,
            "mark" => self.mark(calls, read(request)?).await,
            "decide" => self.decide(calls, request, read(request)?).await,
            "measure" => {
                let Measure { name, quantity } = read(request)?;
                let step = calls.step.id.clone();
                let record = Record::Measured {
                    step,
                    name: name.clone(),
                    quantity: quantity.clone(),
                };
                // The host may have died between this record and the call's outcome: it is said once.
                let said = |entries: &[Entry]| {
                    entries
                        .iter()
                        .rev()
                        .take_while(|e| e.at >= since)
                        .any(|e| e.record == record)
                };
                if !calls.mediation.journal.read(said) {
                    calls.append(record, Durability::Buffered).await?;
                }
                self.facts().measurements.insert(name, quantity);
                Ok(Value::Null)
            }
            "recall" => {
                let Recall { name } = read(request)?;
                Ok(self
                    .facts()
                    .measurements
                    .get(&name)
                    .cloned()
                    .unwrap_or(Value::Null))
            }
            "recall-mark" => {
                let Mark { name, site } = read(request)?;
                Ok(json!(self.facts().marks.get(&(name, site))))
            }
            "attach" => self.attach(calls, read(request)?).await,
            other => Err(CallError::Invalid(format!("`control` has no function `{other}`")).into()),
        }
    }

    async fn log(&self, calls: &StepCalls, line: Log) -> Result<Value, Refusal> {
        let (fitted, fits) = {
            let mut facts = self.facts();
            let attempt = (calls.step.id.clone(), calls.attempt);
            let volume = facts.logged.entry(attempt).or_default();
            let fitted = volume.fits();
            volume.lines = volume.lines.saturating_add(1);
            volume.bytes = volume.bytes.saturating_add(line.message.len());
            (fitted, volume.fits())
        };
        let (level, message) = match (fitted, fits) {
            (_, true) => (line.level, line.message),
            (true, false) => (Level::Warn, full_log()),
            (false, false) => return Ok(Value::Null),
        };
        let record = Record::Logged {
            step: calls.step.id.clone(),
            level,
            message,
        };
        calls.append(record, Durability::Buffered).await?;
        Ok(Value::Null)
    }

    async fn mark(&self, calls: &StepCalls, mark: Mark) -> Result<Value, Refusal> {
        let key = (mark.name.clone(), mark.site.clone());
        if self.facts().marks.contains_key(&key) {
            return Ok(Value::Null);
        }
        let record = Record::Marked {
            step: calls.step.id.clone(),
            name: mark.name,
            site: mark.site,
        };
        let at = calls.append(record, Durability::Buffered).await?;
        self.facts().marks.entry(key).or_insert(at);
        Ok(Value::Null)
    }

    async fn decide(
        &self,
        calls: &StepCalls,
        request: &Request,
        asked: Decide,
    ) -> Result<Value, Refusal> {
        let Asked {
            role,
            title,
            detail,
        } = asked.question;
        let site = &request.site;
        let question = Question {
            gate: format!("{}:question:{}:{}", site.step, site.attempt, site.ordinal),
            step: calls.step.id.clone(),
            kind: GateKind::Question,
            tries: 0,
            rule: Gate {
                role,
                quorum: 1,
                timeout_ms: None,
                default: None,
            },
            title,
            detail,
            alternatives: Vec::new(),
            no_way_back: false,
        };
        let decision = self.gates.ask(&question).await?;
        Ok(json!({ "go": decision.choice == Choice::Go, "by": decision.by, "note": decision.note }))
    }

    async fn attach(&self, calls: &StepCalls, attach: Attach) -> Result<Value, Refusal> {
        let Evidence {
            name,
            media_type,
            body,
        } = attach.evidence;
        if body.len() > EVIDENCE_BYTES {
            let told = format!(
                "PG0017: evidence `{name}` has {} bytes; at most {EVIDENCE_BYTES} are kept",
                body.len()
            );
            return Err(CallError::Invalid(told).into());
        }
        let record = Record::Attached {
            step: calls.step.id.clone(),
            name,
            media_type,
            content: body,
        };
        calls.append(record, Durability::Buffered).await?;
        Ok(Value::Null)
    }
}

/// What stands in the journal where a log is full.
fn full_log() -> String {
    format!(
        "PG0017: the log of this attempt is full ({} lines or {} bytes); what follows is not kept",
        limits::LOG_LINES,
        limits::LOG_BYTES
    )
}

/// Why a control call has no value.
enum Refusal {
    /// The plugin is told.
    Told(CallError),
    /// The guest ends.
    Halt(Halt),
}

impl From<CallError> for Refusal {
    fn from(error: CallError) -> Self {
        Self::Told(error)
    }
}

impl From<Halt> for Refusal {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}

/// A number that depends on the run's seed and the call's key only.
fn draw(seed: u64, key: &str) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_be_bytes());
    hasher.update(key.as_bytes());
    hasher
        .finalize()
        .iter()
        .take(8)
        .fold(0, |word, byte| (word << 8) | u64::from(*byte))
}
