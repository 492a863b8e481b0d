//! `understudy check RUNBOOK`: everything that is wrong with a runbook, before anything is run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use super::Context;
use super::error::CommandError;
use super::output::{Format, Table, Tone};
use super::posture::{Checked, LiveArgs};
use super::rehearse::block_on;
use super::{stage, wanted};
use understudy::clock::millis;
use understudy::journal::record::Mode;
use understudy::prepare::check::{self, CheckedPlan};
use understudy::report::units::duration;
use understudy::rules::Violation;
use understudy::runbook::lock;
use understudy::runbook::types::Runbook;

/// Check a runbook: the file, its plugins and their configuration, and the plan of every procedure in both modes. With
/// `--live` also the world: whether its procedures could begin now, without changing anything.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The runbook
    #[arg(value_name = "RUNBOOK")]
    runbook: PathBuf,
    /// Files laid over it, in order
    #[arg(long, value_name = "FILE")]
    overlay: Vec<PathBuf>,
    #[command(flatten)]
    look: LiveArgs,
}

impl Args {
    /// Checks it.
    ///
    /// # Errors
    /// Everything that is wrong, each with its place and the way out.
    pub(super) fn run(&self, context: &Context) -> Result<(), CommandError> {
        let runbook = Arc::new(wanted::load(&self.runbook, &self.overlay)?);
        let written = self.look.written(&runbook.folder)?;
        let (runbook, overlays) = match &written {
            Some(written) => written.laid_over(&runbook, &self.runbook, &self.overlay)?,
            None => (runbook, self.overlay.clone()),
        };
        self.locked(&runbook)?;
        let order = stage::order_to_look(context, &runbook)?;
        let engines = context.engines()?;
        let plans = block_on(check::check(&engines, &runbook, &order))??;
        let broken: Vec<&Violation> = plans.iter().flat_map(|plan| &plan.violations).collect();
        if self.look.live {
            stage::refuse_broken(&broken)?;
            let checked = Checked {
                runbook,
                path: &self.runbook,
                overlays: &overlays,
            };
            return self.look.look(context, &engines, &checked, written);
        }
        tell(context, &runbook, &plans)?;
        stage::refuse_broken(&broken)
    }

    /// Every plugin is the locked one, whether a strategy or a binding uses it or not.
    fn locked(&self, runbook: &Runbook) -> Result<(), CommandError> {
        let mut wrong = Vec::new();
        for (name, plugin) in &runbook.plugins {
            let Some(digest) = &plugin.digest else {
                continue;
            };
            let path = runbook.folder.join(&plugin.path);
            let bytes =
                std::fs::read(&path).map_err(|error| CommandError::file("read", &path, &error))?;
            if let Err(error) = lock::verify(name, &path, digest, &bytes, &self.runbook) {
                wrong.push(error);
            }
        }
        let mut wrong = wrong.into_iter();
        let Some(first) = wrong.next() else {
            return Ok(());
        };
        let error = CommandError::invalid(format!("{}: {first}", first.code())).hint(first.help());
        Err(wrong.fold(error, |error, next| {
            error.hint(format!("also {}: {next}", next.code()))
        }))
    }
}

fn tell(context: &Context, runbook: &Runbook, plans: &[CheckedPlan]) -> Result<(), CommandError> {
    if context.output.format() == Format::Json {
        let plugins = runbook
            .plugins
            .iter()
            .map(|(name, plugin)| (name.as_str(), &plugin.digest));
        return context.output.json(&json!({
            "runbook": runbook.name,
            "digest": runbook.digest,
            "rto-ms": millis(runbook.targets.rto),
            "rpo-ms": millis(runbook.targets.rpo),
            "sites": runbook.sites.keys().collect::<Vec<_>>(),
            "strategies": runbook.strategies.keys().collect::<Vec<_>>(),
            "procedures": runbook.procedures,
            "plugins": plugins.collect::<BTreeMap<_, _>>(),
            "plans": plans,
        }));
    }
    let ok = context.output.paint(Tone::Good, "ok");
    let text = format!(
        "{ok}: {}, {}\n\n{}\n{}",
        runbook.name,
        runbook.summary,
        facts(runbook).render(&context.output),
        procedures(plans).render(&context.output),
    );
    context.output.data(&text)?;
    let unserved: BTreeSet<&String> = plans.iter().flat_map(|plan| &plan.unserved).collect();
    for contract in unserved {
        context
            .output
            .say(&format!("not ready to run for real: {contract}"));
    }
    Ok(())
}

fn procedures(plans: &[CheckedPlan]) -> Table {
    let mut table = Table::new(&[
        "PROCEDURE",
        "MODE",
        "STRATEGIES",
        "STEPS",
        "RULES",
        "SERVED",
    ]);
    for plan in plans {
        let mode = match plan.mode {
            Mode::Graceful => "graceful",
            Mode::Ungraceful => "ungraceful",
        };
        let strategies: Vec<&str> = plan.strategies.iter().map(AsRef::as_ref).collect();
        let rules = match plan.violations.len() {
            0 => ("kept".to_owned(), Some(Tone::Good)),
            broken => (format!("{broken} broken"), Some(Tone::Bad)),
        };
        let served = match plan.unserved.len() {
            0 => ("all".to_owned(), Some(Tone::Good)),
            missing => (format!("{missing} missing"), Some(Tone::Soft)),
        };
        table.row([
            (plan.procedure.as_str(), None),
            (mode, None),
            (&strategies.join(", "), None),
            (&plan.steps.to_string(), None),
            (&rules.0, rules.1),
            (&served.0, served.1),
        ]);
    }
    table
}

fn facts(runbook: &Runbook) -> Table {
    let mut table = Table::new(&["WHAT", "IS"]);
    let (rto, rpo) = (millis(runbook.targets.rto), millis(runbook.targets.rpo));
    let targets = format!("RTO {}, RPO {}", duration(rto), duration(rpo));
    table.row([("targets", None), (&targets, None)]);
    let sites: Vec<&str> = runbook.sites.keys().map(AsRef::as_ref).collect();
    table.row([("sites", None), (&sites.join(", "), None)]);
    for (name, plugin) in &runbook.plugins {
        let digest = plugin
            .digest
            .as_ref()
            .map_or("not locked", |digest| digest.as_str());
        table.row([(&format!("plugin {name}"), None), (digest, None)]);
    }
    table
}
