//! `understudy plugin test PROVIDER --against CONFIG`: holds a provider to the suites of its contracts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::Context;
use super::error::{CommandError, Kind};
use super::output::{Table, Tone};
use super::{report, run, stage};
use understudy::clock::Clock;
use understudy::conformance::seam::Seam;
use understudy::conformance::verdict::{self, Came, Verdict};
use understudy::conformance::{Kit, header, suite};
use understudy::journal::memory::MemoryStore;
use understudy::journal::redact::Redactor;
use understudy::journal::{self, Journal, Setup};
use understudy::name::InterfaceName;
use understudy::prepare::bindings::{self, Providers};
use understudy::runbook::against::Against;

/// Hold a provider to the suite of each contract that it is bound for: every effect twice, in doubt, throttled, refused.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The provider's component
    #[arg(value_name = "PROVIDER")]
    provider: PathBuf,
    /// What it is tested against: its bindings, and what the suites may touch there
    #[arg(long, value_name = "CONFIG")]
    against: PathBuf,
    /// Write the verdicts as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write the journal of all calls, as JSON Lines
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
}

impl Args {
    /// Tests.
    pub(super) fn run(&self, context: &Context) -> Result<(), CommandError> {
        let against = Against::load(&self.against, &suite::vocabulary)?;
        let provider = std::path::absolute(&self.provider)
            .map_err(|error| CommandError::file("find", &self.provider, &error))?;
        let engines = context.engines()?;
        let verdicts = run::runtime()?.block_on(async {
            let facilities = run::facilities(context)?;
            let runbook = against.runbook(&provider);
            let providers = bindings::bind(&engines, &runbook, &facilities).await?;
            self.test(context, &against, providers).await
        })?;
        if let Some(path) = &self.junit {
            report::write(path, &verdict::junit(against.plugin.as_str(), &verdicts))?;
        }
        tell(context, &against, &verdicts)?;
        judge(&verdicts)
    }

    async fn test(
        &self,
        context: &Context,
        against: &Against,
        providers: Providers,
    ) -> Result<Vec<Verdict>, CommandError> {
        let clock: Arc<dyn Clock> = Arc::new(context.clock);
        let run = stage::new_run(context, against.plugin.as_str())?;
        let redactor = Redactor::joined(providers.redactors());
        let store = MemoryStore::new();
        let header = header(
            &run,
            against,
            Path::new(&stage::absolute(&self.against)),
            providers.digests(),
            (stage::VERSION, stage::person(context, None)),
        );
        let setup = Setup::inline(Arc::clone(&clock), redactor);
        let journal = Journal::create(Box::new(store.clone()), setup, header)?;
        let seam = Seam::new(Arc::clone(&clock));
        let served: BTreeMap<InterfaceName, Vec<String>> = providers
            .contracts()
            .map(|(contract, functions)| (contract.clone(), functions))
            .collect();
        let beneath = seam.clone();
        let routes = providers
            .through(&|capability| beneath.beneath(capability))
            .routes(&journal, &clock);
        let kit = Kit {
            run,
            clock,
            journal,
            routes: routes.into_iter().map(|route| seam.around(route)).collect(),
            seam,
            patience: against.patience,
        };
        let verdicts = kit.conform(&served, &against.suites).await;
        if let Some(path) = &self.journal {
            report::write(path, &journal::export(&store.lines()))?;
        }
        verdicts.map_err(|error| CommandError::new(Kind::Bug, error))
    }
}

fn tell(context: &Context, against: &Against, verdicts: &[Verdict]) -> Result<(), CommandError> {
    let output = &context.output;
    let count = |came| verdict::count(verdicts, came);
    let (passed, failed) = (count(Came::Passed), count(Came::Failed));
    let not_run = count(Came::NotRun);
    if output.is_json() {
        return output.json(&json!({
            "plugin": against.plugin,
            "passed": passed,
            "failed": failed,
            "not-run": not_run,
            "verdicts": verdicts,
        }));
    }
    let mut table = Table::new(&["CHECK", "VERDICT", "WHY"]);
    let mut rest = verdicts;
    while let Some(first) = rest.first() {
        let of_case = |one: &&Verdict| one.contract == first.contract && one.case == first.case;
        let (case, others) = rest.split_at(rest.iter().take_while(of_case).count());
        rest = others;
        if case.iter().all(|verdict| verdict.came == Came::NotRun) {
            let name = format!("{}/{}", first.contract.short(), first.case);
            table.row([
                (&name, None),
                ("not run", Some(Tone::Soft)),
                (&first.why, None),
            ]);
            continue;
        }
        rows(&mut table, case);
    }
    output.data(&table.render(output))?;
    output.say(&format!(
        "{passed} checks passed, {failed} failed, {not_run} were not run"
    ));
    Ok(())
}

fn rows(table: &mut Table, verdicts: &[Verdict]) {
    for verdict in verdicts {
        let (word, tone) = match verdict.came {
            Came::Passed => ("passed", Tone::Good),
            Came::Failed => ("FAILED", Tone::Bad),
            Came::NotRun => ("not run", Tone::Soft),
        };
        let name = verdict.name();
        table.row([(&name, None), (word, Some(tone)), (&verdict.why, None)]);
    }
}

/// What the verdicts mean for the caller.
fn judge(verdicts: &[Verdict]) -> Result<(), CommandError> {
    let failed: Vec<String> = verdicts
        .iter()
        .filter(|verdict| verdict.came == Came::Failed)
        .map(|verdict| format!("{}: {}", verdict.name(), verdict.why))
        .collect();
    if !failed.is_empty() {
        let error = format!(
            "CK0001: the provider does not conform\n{}",
            failed.join("\n")
        );
        return Err(CommandError::new(Kind::Undone, error));
    }
    if verdict::count(verdicts, Came::Passed) == 0 {
        return Err(CommandError::invalid("CK0002: nothing was tested"));
    }
    Ok(())
}
