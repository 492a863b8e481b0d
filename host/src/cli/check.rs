//! `understudy check RUNBOOK`: everything that is wrong with a runbook, before anything is run.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::Context;
use super::error::CommandError;
use super::output::{Format, Table, Tone};
use super::wanted;
use understudy::clock::millis;
use understudy::name::{PluginDigest, PluginName};
use understudy::report::units::duration;
use understudy::runbook::RunbookError;
use understudy::runbook::lock;
use understudy::runbook::types::Runbook;

/// Check a runbook and its plugins: the file, what it refers to, and that every plugin is the locked one.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The runbook
    #[arg(value_name = "RUNBOOK")]
    runbook: PathBuf,
    /// Files laid over it, in order
    #[arg(long, value_name = "FILE")]
    overlay: Vec<PathBuf>,
}

impl Args {
    /// Checks it.
    ///
    /// # Errors
    /// Everything that is wrong, each with its place and the way out.
    pub(super) fn run(&self, context: &Context) -> Result<(), CommandError> {
        let runbook = wanted::load(&self.runbook, &self.overlay)?;
        let wrong: Vec<RunbookError> = runbook
            .plugins
            .iter()
            .filter_map(|(name, plugin)| Some((name, plugin, plugin.digest.as_ref()?)))
            .filter_map(|(name, plugin, digest)| {
                component(
                    name,
                    &runbook.folder.join(&plugin.path),
                    digest,
                    &self.runbook,
                )
                .transpose()
            })
            .collect::<Result<_, _>>()?;
        let mut wrong = wrong.into_iter();
        if let Some(first) = wrong.next() {
            let error =
                CommandError::invalid(format!("{}: {first}", first.code())).hint(first.help());
            return Err(wrong.fold(error, |error, next| {
                error.hint(format!("also {}: {next}", next.code()))
            }));
        }
        tell(context, &runbook)
    }
}

/// What is wrong with a component, if anything is.
fn component(
    name: &PluginName,
    path: &Path,
    expected: &PluginDigest,
    runbook: &Path,
) -> Result<Option<RunbookError>, CommandError> {
    let bytes = std::fs::read(path).map_err(|error| CommandError::file("read", path, &error))?;
    Ok(lock::verify(name, path, expected, &bytes, runbook).err())
}

fn tell(context: &Context, runbook: &Runbook) -> Result<(), CommandError> {
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
            "plugins": plugins.collect::<std::collections::BTreeMap<_, _>>(),
        }));
    }
    let mut table = Table::new(&["WHAT", "IS"]);
    let joined = |names: Vec<&str>| names.join(", ");
    let (rto, rpo) = (millis(runbook.targets.rto), millis(runbook.targets.rpo));
    table.row([
        ("targets", None),
        (
            &format!("RTO {}, RPO {}", duration(rto), duration(rpo)),
            None,
        ),
    ]);
    table.row([
        ("sites", None),
        (
            &joined(runbook.sites.keys().map(AsRef::as_ref).collect()),
            None,
        ),
    ]);
    for (name, strategies) in &runbook.procedures {
        let strategies = joined(strategies.iter().map(AsRef::as_ref).collect());
        table.row([(&format!("procedure {name}"), None), (&strategies, None)]);
    }
    for (name, plugin) in &runbook.plugins {
        let digest = plugin
            .digest
            .as_ref()
            .map_or("not locked", |digest| digest.as_str());
        table.row([(&format!("plugin {name}"), None), (digest, None)]);
    }
    let ok = context.output.paint(Tone::Good, "ok");
    let text = format!(
        "{ok}: {}, {}\n\n{}",
        runbook.name,
        runbook.summary,
        table.render(&context.output)
    );
    context.output.data(&text)
}
