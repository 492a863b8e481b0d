//! `understudy plugin …`: for authors of plugins, and for whoever reviews them.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::Context;
use super::error::CommandError;
use super::output::Table;
use super::plugin_test;
use super::rehearse::block_on;
use understudy::plugin::inspect;
use understudy::runbook::lock::{Lock, path_beside};
use understudy::runbook::types::Runbook;

/// What to do with plugins.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Compile crates for wasm32-unknown-unknown and make components of them; prints size and digest
    Build {
        /// Folders of the crates
        #[arg(required = true, value_name = "PATH")]
        crates: Vec<PathBuf>,
        /// Folder for the components [default: each crate's own]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Show what a component imports and exports, its size and its digest
    Inspect {
        /// The component
        #[arg(value_name = "COMPONENT")]
        component: PathBuf,
    },
    /// Hold a provider to the suite of each contract that it is bound for; the servers must be there to be used
    Test(plugin_test::Args),
    /// Write `understudy.lock` beside a runbook: the components as they are now
    Lock {
        /// The runbook
        #[arg(value_name = "RUNBOOK")]
        runbook: PathBuf,
    },
}

impl Command {
    /// Does it.
    pub(super) fn run(&self, context: &Context) -> Result<(), CommandError> {
        match self {
            Self::Build { crates, out } => build(context, crates, out.as_deref()),
            Self::Inspect { component } => inspect(context, component),
            Self::Test(args) => args.run(context),
            Self::Lock { runbook } => lock(context, runbook),
        }
    }
}

fn build(context: &Context, crates: &[PathBuf], out: Option<&Path>) -> Result<(), CommandError> {
    let built = understudy::plugin::build::build(&context.engines()?, crates, out)?;
    if context.output.is_json() {
        return context.output.json(&built);
    }
    let mut table = Table::new(&["COMPONENT", "BYTES", "DIGEST", "PATH"]);
    for one in &built {
        let (size, path) = (one.size_bytes.to_string(), one.path.display().to_string());
        table.row([
            (&one.package, None),
            (&size, None),
            (one.digest.as_str(), None),
            (&path, None),
        ]);
    }
    context.output.data(&table.render(&context.output))
}

fn inspect(context: &Context, path: &Path) -> Result<(), CommandError> {
    let bytes = std::fs::read(path).map_err(|error| CommandError::file("read", path, &error))?;
    let name = path
        .file_stem()
        .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let inspection = block_on(inspect::inspect(&context.engines()?, &name, &bytes))??;
    if context.output.is_json() {
        return context.output.json(&inspection);
    }
    let mut lines = vec![
        format!(
            "{} {} {}",
            inspection.kind, inspection.description.name, inspection.description.version
        ),
        inspection.description.summary.clone(),
        format!("digest {}", inspection.digest),
        format!("size {} bytes", inspection.size_bytes),
    ];
    for (title, interfaces) in [
        ("imports", &inspection.imports),
        ("exports", &inspection.exports),
    ] {
        lines.push(format!("{title}:"));
        lines.extend(
            interfaces
                .iter()
                .map(|one| format!("  {} {{ {} }}", one.name, one.functions.join(", "))),
        );
    }
    lines.push(format!(
        "configuration schema: {}",
        inspection.description.config_schema
    ));
    context.output.data(&format!("{}\n", lines.join("\n")))
}

fn lock(context: &Context, path: &Path) -> Result<(), CommandError> {
    let runbook = Runbook::load(path, &[])?;
    let lock = Lock::of(&runbook)?;
    if std::fs::read_to_string(path_beside(path)).ok().as_deref() != Some(&lock.text()) {
        lock.write(path).map_err(CommandError::invalid)?;
    }
    context.output.say(&format!(
        "{} holds the digests of {} plugins",
        path_beside(path).display(),
        runbook.plugins.len()
    ));
    Ok(())
}
