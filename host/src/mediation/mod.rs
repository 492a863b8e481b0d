//! The one path of every call a strategy makes:
//!
//! 1. identify: place in the run, hash of interface, function and canonical arguments
//! 2. replay: a recorded answer to the same call is given back; a different call is a divergence
//! 3. policy: default deny, and a denial names the grant that would allow the call
//! 4. admit: a deadline, and a bounded number of calls to one service at a time
//! 5. journal the intent; effects: durable before anything is sent
//! 6. dispatch under a timeout ([`dispatch`])
//! 7. classify, wait and retry inside the budget
//! 8. journal the outcome, and only then answer
//!
//! Nothing else may call a [`Service`](crate::call::Service) on a strategy's behalf.

pub mod deadline;
mod dispatch;
pub mod egress;
pub mod replay;
pub mod retry;
pub mod routing;
pub mod spent;

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tracing::Instrument as _;

use self::deadline::Deadline;
use self::replay::{Recorded, RecordedCall};
use self::routing::Routes;
use self::spent::Spent;
use crate::call::{
    Arguments, CallError, CallHash, CallKind, CallSite, Direction, FunctionName, IdempotencyKey,
    Reply, Request, call_hash, hash_text, hex, json_bytes,
};
use crate::clock::{BoxFuture, Clock, Instant};
use crate::journal::record::Record;
use crate::journal::{Durability, Journal};
use crate::name::{RunId, StrategyName};
use crate::plan::Step;
use crate::plugin::error::Halt;
use crate::plugin::limits;
use crate::plugin::link::Imports;
use crate::policy::{Asker, Policy};
use crate::run::control::Control;

/// The interface the host answers itself.
pub const CONTROL: &str = "understudy:control/control";

/// Everything a call passes through, for one run.
pub struct Mediation {
    /// The run.
    pub run: RunId,
    /// For jitter and `control.random`.
    pub seed: u64,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The record.
    pub journal: Journal,
    /// What strategies may ask for.
    pub policy: Arc<Policy>,
    /// Who serves what.
    pub routes: Routes,
    /// What the host answers itself.
    pub control: Control,
    /// What the journal already knows.
    pub recorded: Mutex<Recorded>,
    /// Bounds how many calls one service serves at once.
    pub admission: dispatch::Admission,
}

pub(crate) use dispatch::poll_pause;
pub use dispatch::{ATTEMPT_TIMEOUT, Admission, CALLS_AT_ONCE, LONGEST_POLL, POLL, READ_TIMEOUT};
pub use retry::seed_of;

/// The imports of one step attempt.
pub struct StepCalls {
    /// The path.
    pub mediation: Arc<Mediation>,
    /// The step.
    pub step: Arc<Step>,
    /// The strategy whose plugin performs it.
    pub strategy: StrategyName,
    /// Performing or taking back.
    pub direction: Direction,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// When the attempt ends at the latest.
    pub deadline: Deadline,
    /// Nothing but reads is allowed.
    pub read_only: bool,
    /// What it has used of its limits so far.
    pub spent: Spent,
}

impl Imports for StepCalls {
    fn call(
        &self,
        function: FunctionName,
        args: Map<String, Value>,
    ) -> BoxFuture<'_, Result<Arc<Reply>, Halt>> {
        Box::pin(async move {
            let ordinal = self.spent.call()?;
            let args = Arguments::from(args);
            self.spent.carry(args.canonical().len())?;
            let site = CallSite {
                step: self.step.id.clone(),
                direction: self.direction,
                attempt: self.attempt,
                ordinal,
            };
            let span = tracing::info_span!(
                "call.mediate", step = %site.step, ordinal, call = %function, outcome = tracing::field::Empty
            );
            let call = Call::identify(&self.mediation.run, site, function, args);
            async {
                // On its own, as below: an allocation of several KiB for every call has the allocator put its small ones
                // together each time.
                let reply = Box::pin(self.mediate(call)).await;
                let outcome = match &reply {
                    Ok(reply) if reply.is_ok() => "ok",
                    Ok(_) => "error",
                    Err(_) => "halted",
                };
                tracing::Span::current().record("outcome", outcome);
                let reply = reply?;
                self.spent.carry(json_bytes(&reply))?;
                Ok(reply)
            }
            .instrument(span)
            .await
        })
    }
}

/// How far a call had come before.
struct Begun {
    /// When its intent was first recorded.
    since: Instant,
    /// The other side was working on it.
    in_progress: bool,
    /// When it was to be made again.
    next_at: Option<Instant>,
}

/// A call with its identity.
struct Call {
    site: CallSite,
    function: FunctionName,
    args: Arguments,
    hash: CallHash,
    key: IdempotencyKey,
    kind: CallKind,
}

impl Call {
    fn identify(run: &RunId, site: CallSite, function: FunctionName, args: Arguments) -> Self {
        let hash = call_hash(&function, &args);
        let key = key(run, &site);
        let kind = if function.interface.is(CONTROL) {
            crate::run::control::kind_of(&function.function)
        } else {
            CallKind::of(&function.function)
        };
        Self {
            site,
            function,
            args,
            hash,
            key,
            kind,
        }
    }

    fn describe(&self) -> String {
        describe(&self.function, &self.args)
    }
}

/// A call in one line, for people.
fn describe(function: &FunctionName, args: &Arguments) -> String {
    format!("{function} {}", args.canonical())
}

/// Bytes of a key: enough that no two are ever equal.
const KEY_BYTES: usize = 16;

/// The key that every attempt at this call carries, and no other call.
fn key(run: &RunId, site: &CallSite) -> IdempotencyKey {
    let direction = match site.direction {
        Direction::Run => "run",
        Direction::Undo => "undo",
    };
    let CallSite {
        step,
        attempt,
        ordinal,
        ..
    } = site;
    let mut hasher = Sha256::new();
    let text = format_args!("{run} {step} {direction} {attempt} {ordinal}");
    hash_text(&mut hasher, text);
    let digest = hasher.finalize();
    IdempotencyKey(hex(digest.get(..KEY_BYTES).unwrap_or_default()))
}

impl StepCalls {
    async fn mediate(&self, call: Call) -> Result<Arc<Reply>, Halt> {
        let recorded = self.replay(&call)?;
        let known = match recorded {
            Some(RecordedCall {
                reply: Some(reply), ..
            }) => return Ok(reply),
            Some(known) => {
                // In doubt. What may be issued again is, with the same key; anything else waits for a person.
                if call.kind == CallKind::Once {
                    return Err(Halt::InDoubt {
                        call: call.describe(),
                    });
                }
                Some(known)
            }
            None => None,
        };
        if let Some(error) = self.refuse(&call) {
            return Box::pin(self.refused(call, error, known.is_some())).await;
        }
        let known = match known {
            Some(known) => Begun {
                since: known.since,
                in_progress: known.in_progress,
                next_at: known.next_at,
            },
            None => Begun {
                since: self.intend(&call).await?,
                in_progress: false,
                next_at: None,
            },
        };
        let mut request = Request {
            function: call.function,
            args: call.args,
            key: call.key,
            site: call.site,
            deadline: self.deadline.now(),
        };
        let dispatched = Box::pin(self.dispatch(&mut request, call.kind, known));
        let (reply, attempts) = dispatched.await?;
        self.conclude(request.site, call.kind, reply, attempts)
            .await
    }

    /// Step 2. `Ok(None)`: nobody made this call before.
    fn replay(&self, call: &Call) -> Result<Option<RecordedCall>, Halt> {
        let mut recorded = self
            .mediation
            .recorded
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match recorded.take(&call.site) {
            Some(found) if found.function != call.function || found.hash != call.hash => {
                Err(Halt::Diverged {
                    step: call.site.step.to_string(),
                    ordinal: call.site.ordinal,
                    recorded: describe(&found.function, &found.args),
                    attempted: call.describe(),
                })
            }
            found => Ok(found),
        }
    }

    /// Step 3, and the size that is recorded whole.
    fn refuse(&self, call: &Call) -> Option<CallError> {
        let asker = Asker {
            strategy: &self.strategy,
            step: &self.step.id,
            uses: &self.step.uses,
            read_only: self.read_only,
        };
        if let Err(denial) = self
            .mediation
            .policy
            .check(asker, &call.function, &call.args)
        {
            tracing::warn!(rule = denial.rule, call = %call.function, "call.denied");
            return Some(CallError::Denied(denial));
        }
        let size = call.args.canonical().len();
        (size > limits::PAYLOAD_BYTES).then(|| {
            CallError::Invalid(format!(
                "PG0017: the arguments take {size} bytes, more than the {} that a step may pass to one call; pass less",
                limits::PAYLOAD_BYTES
            ))
        })
    }

    /// A refusal is recorded like any outcome, with no attempt made. Arguments that are too large are not kept. The host may
    /// have died after the intent of one was `on_record`.
    async fn refused(
        &self,
        mut call: Call,
        error: CallError,
        on_record: bool,
    ) -> Result<Arc<Reply>, Halt> {
        if matches!(error, CallError::Invalid(_)) {
            call.args = Arguments::default();
        }
        if !on_record {
            self.intend(&call).await?;
        }
        self.conclude(call.site, CallKind::Read, Err(error), 0)
            .await
    }

    /// Step 5: the intent. Answers when it was recorded.
    async fn intend(&self, call: &Call) -> Result<Instant, Halt> {
        let record = Record::Intent {
            site: call.site.clone(),
            function: call.function.clone(),
            kind: call.kind,
            args: call.args.clone(),
            hash: call.hash.clone(),
            key: call.key.clone(),
        };
        self.append(record, durability(call.kind)).await
    }

    /// Step 8: the outcome. Answers it once it is recorded.
    async fn conclude(
        &self,
        site: CallSite,
        kind: CallKind,
        reply: Reply,
        attempts: u32,
    ) -> Result<Arc<Reply>, Halt> {
        let reply = Arc::new(reply);
        let record = Record::Outcome {
            site,
            reply: Arc::clone(&reply),
            attempts,
        };
        self.append(record, durability(kind)).await?;
        Ok(reply)
    }

    pub(super) async fn append(
        &self,
        record: Record,
        durability: Durability,
    ) -> Result<Instant, Halt> {
        let appended = self.mediation.journal.append(record, durability).await;
        appended
            .map(|place| place.at)
            .map_err(|error| Halt::Journal(error.with_cause()))
    }
}

/// Effects are synced to disk. Reads ride along: records keep their order, so what a step read is durable no later than
/// the intent of the next effect that could depend on it.
fn durability(kind: CallKind) -> Durability {
    if kind.is_effect() {
        Durability::Durable
    } else {
        Durability::Buffered
    }
}
