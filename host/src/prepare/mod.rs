//! Before anything runs: load the plugins, check what they are given, merge the plan, check the safety rules.
//!
//! [`prepare`] is the one way from a runbook to something that can be executed, for rehearsals, live runs, `plan` and
//! `check` alike. [`bindings`] does the same for providers. Nothing here has an effect on the world.

mod alternatives;
pub mod bindings;
pub mod check;
pub mod error;
pub mod served;
mod staging;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

pub use self::error::{PAGES, PrepareError, PrepareErrors};
pub use self::staging::Staging;
use crate::clock::millis;
use crate::journal::record::{Header, Mode, RECORD_VERSION, Stage};
use crate::mediation::CONTROL;
use crate::name::{InterfaceName, PluginDigest, PluginName, RunId, StepId, StrategyName};
use crate::plan::{self, Plan, PlannedStep};
use crate::plugin::engine::Kind;
use crate::plugin::strategy::{Context, StrategyPlugin};
use crate::plugin::{Component, Engines};
use crate::policy::Policy;
use crate::rules::Violation;
use crate::run::attempt::{Actor, Actors};
use crate::run::switch::Alternatives;
use crate::runbook::parameters;
use crate::runbook::types::Runbook;

/// What is wanted of a runbook.
#[derive(Debug, Clone)]
pub struct Order {
    /// Strategies, in order.
    pub procedure: Vec<StrategyName>,
    /// Whether the site that is left still answers.
    pub mode: Mode,
    /// The run.
    pub run: RunId,
    /// Who starts it.
    pub started_by: String,
}

/// A runbook with its strategies loaded and its plan merged.
#[derive(Clone)]
pub struct Prepared {
    /// The runbook.
    pub runbook: Arc<Runbook>,
    /// Who performs steps: every strategy the runbook declares.
    pub actors: Actors,
    /// The merged plan.
    pub plan: Arc<Plan>,
    /// Its digest.
    pub plan_digest: String,
    /// What strategies may ask for.
    pub policy: Arc<Policy>,
    /// Digest of bindings and grants.
    pub policy_digest: String,
    /// The merged plans that people may switch to.
    pub alternatives: Alternatives,
    /// Safety rules that one of the plans breaks.
    pub violations: Vec<Violation>,
    /// What was wanted.
    pub order: Order,
    /// Contracts that the steps of the plans use, at the versions their strategies were built for.
    pub contracts: BTreeSet<InterfaceName>,
}

/// Loads, checks and merges.
///
/// # Errors
/// [`PrepareErrors`]: everything that is wrong, each with the way out. Nothing was run.
pub async fn prepare(
    engines: &Engines,
    runbook: Arc<Runbook>,
    order: Order,
) -> Result<Prepared, PrepareErrors> {
    let mut errors = Vec::new();
    let mut actors = Actors::new();
    let mut planned = BTreeMap::new();
    for name in &order.procedure {
        if !runbook.strategies.contains_key(name) {
            let known = runbook.strategies.keys().map(ToString::to_string).collect();
            errors.push(PrepareError::NoStrategy {
                name: name.to_string(),
                known,
            });
        }
    }
    for name in runbook.strategies.keys() {
        match cast(engines, &runbook, name, &order).await {
            Ok((actor, steps)) => {
                actors.insert(name.clone(), actor);
                planned.insert(name.clone(), steps);
            }
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(PrepareErrors(errors));
    }
    let elsewhere = elsewhere(&actors).await?;
    let merge = |procedure: &[StrategyName]| {
        plan::merge_for_mode(&runbook, procedure, &planned, &elsewhere)
            .map(Arc::new)
            .map_err(|errors| PrepareErrors(vec![PrepareError::Plan(errors)]))
    };
    let plan = merge(&order.procedure)?;
    let alternatives = alternatives::of(&runbook, &order.procedure, merge)?;
    let all = || std::iter::once(&plan).chain(alternatives.values());
    let violations = alternatives::violations(all());
    let contracts = all().flat_map(|plan| contracts(&actors, plan)).collect();
    Ok(Prepared {
        plan_digest: plan.digest(),
        policy: Arc::new(Policy::new(&runbook.grants)),
        policy_digest: served::policy_digest(&runbook),
        runbook,
        actors,
        plan,
        alternatives,
        violations,
        order,
        contracts,
    })
}

/// The steps that the strategies plan in the other mode: one runbook is for both.
async fn elsewhere(actors: &Actors) -> Result<BTreeSet<StepId>, PrepareErrors> {
    let refused = |error: PrepareError| PrepareErrors(vec![error]);
    let mut steps = BTreeSet::new();
    for (name, actor) in actors {
        let mode = match actor.context.mode {
            Mode::Graceful => Mode::Ungraceful,
            Mode::Ungraceful => Mode::Graceful,
        };
        let context = Context {
            mode,
            ..actor.context.clone()
        };
        let planned = actor
            .plugin
            .plan(&context)
            .await
            .map_err(|error| refused(error.into()))?;
        steps.extend(
            planned
                .iter()
                .filter_map(|step| StepId::new(name, &step.id).ok()),
        );
    }
    Ok(steps)
}

/// One strategy: loaded, given its parameters, asked for its steps.
async fn cast(
    engines: &Engines,
    runbook: &Runbook,
    name: &StrategyName,
    order: &Order,
) -> Result<(Actor, Vec<PlannedStep>), PrepareError> {
    let unknown = || PrepareError::NoStrategy {
        name: name.to_string(),
        known: Vec::new(),
    };
    let strategy = runbook.strategies.get(name).ok_or_else(unknown)?;
    let component = load(engines, runbook, &strategy.plugin, Kind::Strategy)?;
    let plugin = StrategyPlugin::new(engines, component)?;
    let description = plugin.describe().await?;
    let parameters = Value::Object(strategy.parameters.clone());
    parameters::check(&description.config_schema, &parameters).map_err(|problems| {
        PrepareError::Parameters {
            whose: format!("strategies.{name}.parameters"),
            problems,
        }
    })?;
    let config = parameters.to_string();
    plugin.validate(&config).await?;
    let context = Context {
        run: order.run.clone(),
        config,
        mode: order.mode,
        rto_target_ms: millis(runbook.targets.rto),
        rpo_target_ms: millis(runbook.targets.rpo),
    };
    let steps = plugin.plan(&context).await?;
    Ok((Actor { plugin, context }, steps))
}

/// Loads a plugin of the runbook and holds it to the lock file.
fn load(
    engines: &Engines,
    runbook: &Runbook,
    name: &PluginName,
    kind: Kind,
) -> Result<Component, PrepareError> {
    let missing = || PrepareError::NoPlugin {
        name: name.to_string(),
    };
    let plugin = runbook.plugins.get(name).ok_or_else(missing)?;
    let path = runbook.folder.join(&plugin.path);
    Ok(Component::load(
        engines,
        kind,
        name.as_str(),
        &path,
        plugin.digest.as_ref(),
    )?)
}

/// Contracts that the plan uses, as its strategies import them.
fn contracts(actors: &Actors, plan: &Plan) -> BTreeSet<InterfaceName> {
    let mut used = BTreeSet::new();
    for step in &plan.steps {
        let Some(actor) = actor_of(actors, &step.performs) else {
            continue;
        };
        let imports = actor.plugin.component().imports();
        let imported = imports
            .map(|(interface, _)| interface)
            .filter(|interface| !interface.is(CONTROL));
        used.extend(
            imported
                .filter(|interface| step.uses.iter().any(|name| name == interface.short()))
                .cloned(),
        );
    }
    used
}

fn actor_of<'a>(actors: &'a Actors, step: &StepId) -> Option<&'a Actor> {
    actors
        .iter()
        .find(|(name, _)| name.as_str() == step.strategy())
        .map(|(_, actor)| actor)
}

impl Prepared {
    /// The contract of this name, at the version the plan's strategies were built for.
    #[must_use]
    pub fn contract(&self, unversioned: &str) -> Option<&InterfaceName> {
        self.contracts
            .iter()
            .find(|contract| contract.is(unversioned))
    }

    /// The header of a run of this.
    #[must_use]
    pub fn header(
        &self,
        stage: Stage,
        runbook_path: String,
        overlays: Vec<String>,
        host_version: &str,
    ) -> Header {
        Header {
            version: RECORD_VERSION,
            run: self.order.run.clone(),
            runbook: self.runbook.name.clone(),
            runbook_digest: self.runbook.digest.clone(),
            runbook_path,
            overlays,
            strategies: self.order.procedure.clone(),
            stage,
            mode: self.order.mode,
            rto_target_ms: millis(self.runbook.targets.rto),
            rpo_target_ms: millis(self.runbook.targets.rpo),
            plugins: self.digests(),
            policy_digest: self.policy_digest.clone(),
            host_version: host_version.to_owned(),
            started_by: self.order.started_by.clone(),
            plan: Arc::clone(&self.plan),
            dropped: self.dropped(),
        }
    }

    /// Steps that the runbook takes out of the strategies wanted.
    fn dropped(&self) -> Vec<StepId> {
        let wanted = |step: &StepId| {
            let mut procedure = self.order.procedure.iter();
            procedure.any(|strategy| strategy.as_str() == step.strategy())
        };
        let changes = self.runbook.steps.iter();
        changes
            .filter(|change| change.drop && wanted(&change.step))
            .map(|change| change.step.clone())
            .collect()
    }

    /// Digests of all plugins: of the strategies as loaded, of the others as locked.
    fn digests(&self) -> BTreeMap<PluginName, PluginDigest> {
        let locked = self
            .runbook
            .plugins
            .iter()
            .filter_map(|(name, plugin)| Some((name.clone(), plugin.digest.clone()?)));
        let mut digests: BTreeMap<_, _> = locked.collect();
        for (name, actor) in &self.actors {
            if let Some(strategy) = self.runbook.strategies.get(name) {
                digests.insert(
                    strategy.plugin.clone(),
                    actor.plugin.component().digest().clone(),
                );
            }
        }
        digests
    }
}
