//! From a prepared runbook to a run: the same for the real thing and for a rehearsal. What differs comes with the
//! [`Staging`].

use std::sync::{Arc, Mutex};

use super::Prepared;
use crate::clock::{Clock, millis};
use crate::journal::Journal;
use crate::journal::record::Entry;
use crate::mediation::replay::Recorded;
use crate::mediation::routing::{Route, Routes};
use crate::mediation::{Admission, Mediation};
use crate::name::{InvalidName, StrategyName};
use crate::run::control::Control;
use crate::run::gate::{CurrentPlan, Gatekeeper, Gates};
use crate::run::switch::Alternatives;
use crate::run::{Run, assess};

/// What time it is, who serves, who answers, and what has happened so far.
pub struct Staging<'a> {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The record.
    pub journal: &'a Journal,
    /// What the journal holds already; empty for a run that begins.
    pub entries: &'a [Entry],
    /// The way to people.
    pub keeper: Arc<dyn Gatekeeper>,
    /// Who serves which contract.
    pub routes: Vec<Route>,
    /// For jitter and `control.random`.
    pub seed: u64,
}

impl Prepared {
    /// The same for a run that asks these strategies whether they could begin, and does nothing else.
    ///
    /// # Errors
    /// [`InvalidName`] never in practice: strategies have names that steps can have.
    pub fn only_looking(&self, strategies: &[StrategyName]) -> Result<Self, InvalidName> {
        let plan = Arc::new(assess::plan(strategies)?);
        Ok(Self {
            plan_digest: plan.digest(),
            plan,
            alternatives: Alternatives::new(),
            ..self.clone()
        })
    }

    /// The run, ready to be executed from wherever its journal leaves it.
    #[must_use]
    pub fn staged(&self, staging: Staging<'_>) -> Run {
        let gates = Gates {
            clock: Arc::clone(&staging.clock),
            journal: staging.journal.clone(),
            keeper: staging.keeper,
            plan: CurrentPlan::new(self.plan_digest.clone()),
            started_by: self.order.started_by.clone(),
        };
        let mediation = Mediation {
            run: self.order.run.clone(),
            seed: staging.seed,
            clock: staging.clock,
            journal: staging.journal.clone(),
            policy: Arc::clone(&self.policy),
            routes: Routes::new(staging.routes),
            control: Control::new(gates.clone(), staging.entries),
            recorded: Mutex::new(Recorded::from_entries(staging.entries)),
            admission: Admission::default(),
        };
        Run {
            mediation: Arc::new(mediation),
            gates,
            plan: Arc::clone(&self.plan),
            alternatives: self.alternatives.clone(),
            rpo_target_ms: millis(self.runbook.targets.rpo),
            actors: self.actors.clone(),
        }
    }
}
