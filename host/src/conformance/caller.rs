//! Calls as a step of a run makes them: through the mediation, journaled, waited for and tried again. A host that died is
//! followed by one that reads the journal and makes the call again.

use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use serde_json::{Map, Value};

use super::Kit;
use super::seam::{Seam, Seen, Trouble};
use crate::call::{Direction, FunctionName, Reply};
use crate::clock::BoxFuture;
use crate::mediation::deadline::Deadline;
use crate::mediation::replay::Recorded;
use crate::mediation::routing::Routes;
use crate::mediation::spent::Spent;
use crate::mediation::{Admission, Mediation, StepCalls};
use crate::name::{InterfaceName, InvalidName, RoleName, StepId, StrategyName};
use crate::plan::{Reversal, Step};
use crate::plugin::error::Halt;
use crate::plugin::link::Imports as _;
use crate::policy::Policy;
use crate::run::control::Control;
use crate::run::gate::{AbortRequest, Answer, Asked, CurrentPlan, Gatekeeper, Gates, Question};
use crate::runbook::types::Grant;

/// Who makes the calls, in the journal.
const CALLER: &str = "conformance";

/// Makes the calls of one check.
pub(super) struct Caller<'k> {
    kit: &'k Kit,
    contract: &'k InterfaceName,
    strategy: StrategyName,
    step: Arc<Step>,
    attempt: u32,
}

/// What came of a call.
pub(super) struct Called {
    /// The answer; `None` where the host died first, or let it be.
    pub(super) reply: Option<Reply>,
    /// What the seam saw.
    pub(super) seen: Seen,
}

/// Nobody is asked anything.
struct Nobody;

impl Gatekeeper for Nobody {
    fn answer<'a>(&'a self, _: &'a Question, _: Asked) -> BoxFuture<'a, Answer> {
        Box::pin(std::future::pending())
    }

    fn abort(&self) -> BoxFuture<'_, AbortRequest> {
        Box::pin(std::future::pending())
    }
}

impl<'k> Caller<'k> {
    /// A caller for one check of a case.
    ///
    /// # Errors
    /// [`InvalidName`] if the names make no step.
    pub(super) fn new(
        kit: &'k Kit,
        contract: &'k InterfaceName,
        case: &str,
        check: &str,
    ) -> Result<Self, InvalidName> {
        let id: StepId = format!("{}/{case}-{check}", contract.short()).parse()?;
        let role: RoleName = CALLER.parse()?;
        let step = Step {
            performs: id.clone(),
            id,
            title: String::new(),
            role,
            budget_ms: 0,
            needs: Vec::new(),
            reversal: Reversal::Nothing,
            acts: Vec::new(),
            covers: Vec::new(),
            uses: vec![contract.short().to_owned()],
            gate_before: None,
            gate_after: None,
        };
        Ok(Self {
            kit,
            contract,
            strategy: CALLER.parse()?,
            step: Arc::new(step),
            attempt: 0,
        })
    }

    /// Makes a call with a key of its own.
    ///
    /// # Errors
    /// [`Halt`] if the journal cannot be written.
    pub(super) async fn call(
        &mut self,
        function: &str,
        args: &Map<String, Value>,
        trouble: Trouble,
        patience: Duration,
    ) -> Result<Called, Halt> {
        self.attempt += 1;
        let recorded = Recorded::default();
        self.make(
            recorded,
            function,
            args,
            (trouble, patience),
            &Seam::has_died,
        )
        .await
    }

    /// The same, and lets it be once the first attempt is over: the host would go on trying.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub(super) async fn attempt(
        &mut self,
        function: &str,
        args: &Map<String, Value>,
        trouble: Trouble,
        patience: Duration,
    ) -> Result<Called, Halt> {
        self.attempt += 1;
        let recorded = Recorded::default();
        self.make(
            recorded,
            function,
            args,
            (trouble, patience),
            &Seam::came_back,
        )
        .await
    }

    /// Makes the newest call again, with its key: what the next host does with a call that is in doubt.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub(super) async fn again(
        &mut self,
        function: &str,
        args: &Map<String, Value>,
        patience: Duration,
    ) -> Result<Called, Halt> {
        let recorded = self.kit.journal.read(Recorded::from_entries);
        let trouble = (Trouble::None, patience);
        self.make(recorded, function, args, trouble, &Seam::has_died)
            .await
    }

    async fn make(
        &self,
        recorded: Recorded,
        function: &str,
        args: &Map<String, Value>,
        (trouble, patience): (Trouble, Duration),
        over: &(dyn Fn(&Seam) -> bool + Sync),
    ) -> Result<Called, Halt> {
        let seam = &self.kit.seam;
        seam.begin(trouble);
        let calls = StepCalls {
            mediation: Arc::new(self.mediation(recorded)),
            step: Arc::clone(&self.step),
            strategy: self.strategy.clone(),
            direction: Direction::Run,
            attempt: self.attempt,
            deadline: Deadline::at(self.kit.clock.now().after(patience)),
            read_only: false,
            spent: Spent::default(),
        };
        let function = FunctionName {
            interface: self.contract.clone(),
            function: function.to_owned(),
        };
        let mut call = calls.call(function, args.clone());
        // A host that is dead polls nothing, so it is looked at right after whatever killed it; and so for what is over.
        let replied = std::future::poll_fn(|context| match call.as_mut().poll(context) {
            Poll::Ready(reply) => Poll::Ready(Some(reply)),
            Poll::Pending if over(seam) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        Ok(Called {
            reply: replied.await.transpose()?.map(Arc::unwrap_or_clone),
            seen: seam.seen(),
        })
    }

    fn mediation(&self, recorded: Recorded) -> Mediation {
        let kit = self.kit;
        let gates = Gates {
            clock: Arc::clone(&kit.clock),
            journal: kit.journal.clone(),
            keeper: Arc::new(Nobody),
            plan: CurrentPlan::new(String::new()),
            started_by: CALLER.to_owned(),
        };
        let everything = Grant {
            strategy: self.strategy.clone(),
            allow: format!("{}/*", self.contract.unversioned()),
            only: std::collections::BTreeMap::new(),
        };
        Mediation {
            run: kit.run.clone(),
            seed: 0,
            clock: Arc::clone(&kit.clock),
            journal: kit.journal.clone(),
            policy: Arc::new(Policy::new(&[everything])),
            routes: Routes::new(kit.routes.clone()),
            control: Control::new(gates, &[]),
            recorded: Mutex::new(recorded),
            admission: Admission::default(),
        }
    }
}
