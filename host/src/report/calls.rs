//! Calls: what could change the world and what came of it, and what providers sent.

use std::collections::BTreeMap;

use serde_json::Value;

use super::account::{Effect, EffectOutcome, EgressLine};
use super::units;
use crate::call::{CallError, CallKind, CallSite, FunctionName, Reply};
use crate::clock::{Instant, millis};
use crate::journal::record::{Entry, Record};
use crate::mediation::CONTROL;
use crate::name::PluginName;

/// Longest reply shown in one line, in characters.
const MAX_REPLY_CHARS: usize = 160;

/// A call as the journal knows it, read or effect.
pub(super) struct Call<'a> {
    /// When its first record was written.
    pub(super) at: Instant,
    /// Where in the run.
    pub(super) site: &'a CallSite,
    /// What was asked; `None` where only the outcome was recorded.
    pub(super) function: Option<&'a FunctionName>,
    kind: Option<CallKind>,
    args: Value,
    key: &'a str,
    /// What came of it, and when.
    pub(super) reply: Option<(&'a Reply, Instant)>,
    attempts: u32,
    /// Attempts that failed in passing, and the last of their errors.
    pub(super) retries: (u32, Option<&'a CallError>),
}

impl Call<'_> {
    /// Short name, or a word for none.
    pub(super) fn name(&self) -> String {
        self.function
            .map_or_else(|| "a call".to_owned(), ToString::to_string)
    }

    /// True unless it only read, or only spoke to the host itself.
    pub(super) fn is_effect(&self) -> bool {
        let denied = matches!(self.reply, Some((Err(CallError::Denied(_)), _)));
        match self.function {
            Some(function) if is_control(function) => false,
            _ => self.kind.map_or(denied, CallKind::is_effect),
        }
    }
}

/// True for calls to the host itself: they change the record, not the world.
pub(super) fn is_control(function: &FunctionName) -> bool {
    function.interface.is(CONTROL)
}

/// Every call in the order of its first record.
pub(super) fn all(entries: &[Entry]) -> Vec<Call<'_>> {
    let mut places: BTreeMap<&CallSite, usize> = BTreeMap::new();
    let mut calls: Vec<Call<'_>> = Vec::new();
    for entry in entries {
        let (Record::Intent { site, .. }
        | Record::Retried { site, .. }
        | Record::Outcome { site, .. }) = &entry.record
        else {
            continue;
        };
        let place = *places.entry(site).or_insert_with(|| {
            calls.push(Call::at(entry.at, site));
            calls.len() - 1
        });
        let Some(call) = calls.get_mut(place) else {
            continue;
        };
        match &entry.record {
            Record::Intent {
                function,
                kind,
                args,
                key,
                ..
            } => {
                call.function = Some(function);
                call.kind = Some(*kind);
                call.args = args.to_value();
                call.key = &key.0;
            }
            Record::Retried { error, .. } => call.retries = (call.retries.0 + 1, Some(error)),
            Record::Outcome {
                reply, attempts, ..
            } => {
                call.reply = Some((reply, entry.at));
                call.attempts = *attempts;
            }
            _ => {}
        }
    }
    calls
}

impl<'a> Call<'a> {
    fn at(at: Instant, site: &'a CallSite) -> Self {
        Self {
            at,
            site,
            function: None,
            kind: None,
            args: Value::Null,
            key: "",
            reply: None,
            attempts: 0,
            retries: (0, None),
        }
    }
}

/// Calls that could change the world.
pub(super) fn effects(entries: &[Entry]) -> Vec<Effect> {
    let calls = all(entries);
    let effects = calls.iter().filter(|call| call.is_effect());
    effects
        .map(|call| {
            let (outcome, detail) = outcome(call.reply.map(|(reply, _)| reply));
            Effect {
                at: call.at,
                step: call.site.step.clone(),
                direction: call.site.direction,
                attempt: call.site.attempt,
                ordinal: call.site.ordinal,
                call: call.function.map(ToString::to_string).unwrap_or_default(),
                args: call.args.clone(),
                outcome,
                detail,
                attempts: call.attempts,
                took_ms: call.reply.map(|(_, at)| millis(at.since(call.at))),
                key: call.key.to_owned(),
            }
        })
        .collect()
}

/// Calls that only read, those to the host itself left out.
pub(super) fn reads(entries: &[Entry]) -> u64 {
    let reads = entries.iter().filter(|entry| {
        matches!(&entry.record, Record::Intent { function, kind: CallKind::Read, .. } if !is_control(function))
    });
    units::count(reads.count())
}

/// What an outcome means, and one line about it.
fn outcome(reply: Option<&Reply>) -> (EffectOutcome, String) {
    match reply {
        None => (
            EffectOutcome::InDoubt,
            "no outcome is recorded: it may have happened".to_owned(),
        ),
        Some(Ok(Value::String(text))) if text == "changed" => {
            (EffectOutcome::Changed, String::new())
        }
        Some(Ok(Value::String(text))) if text == "unchanged" => {
            (EffectOutcome::Unchanged, String::new())
        }
        Some(Ok(Value::Null)) => (EffectOutcome::Answered, String::new()),
        Some(Ok(value)) => (
            EffectOutcome::Answered,
            units::shortened(&units::one_line(&value.to_string()), MAX_REPLY_CHARS),
        ),
        Some(Err(error)) => {
            let kind = match error {
                CallError::Denied(_) => EffectOutcome::Denied,
                CallError::InDoubt(_) => EffectOutcome::InDoubt,
                _ => EffectOutcome::Failed,
            };
            (kind, explain(error))
        }
    }
}

/// An error in one line, with the way out where the error knows one.
pub(super) fn explain(error: &CallError) -> String {
    let text = match error {
        CallError::Denied(denial) if denial.grant.is_empty() => {
            format!("denied by {}: no grant can allow it", denial.rule)
        }
        CallError::Denied(denial) => {
            format!(
                "denied by {}; this would allow it: {}",
                denial.rule, denial.grant
            )
        }
        other => other.to_string(),
    };
    units::one_line(&text)
}

/// What providers sent, added up by plugin, action and result.
pub(super) fn egress(entries: &[Entry]) -> Vec<EgressLine> {
    let mut lines: BTreeMap<(&PluginName, &str, &str), (u64, u64)> = BTreeMap::new();
    for entry in entries {
        if let Record::Egress {
            plugin,
            action,
            result,
            took_ms,
            ..
        } = &entry.record
        {
            let line = lines.entry((plugin, action, result)).or_default();
            line.0 += 1;
            line.1 = line.1.saturating_add(*took_ms);
        }
    }
    let lines = lines.into_iter();
    lines
        .map(|((plugin, action, result), (count, took_ms))| EgressLine {
            plugin: plugin.clone(),
            action: units::one_line(action),
            result: units::one_line(result),
            count,
            took_ms,
        })
        .collect()
}
