//! `understudy verify RUN|FILE`: whether the records are the ones that were written.

use serde::Serialize;

use super::Context;
use super::error::CommandError;
use super::output::{Format, Tone};
use super::recorded::Recorded;
use understudy::journal::chain::Verified;
use understudy::name::RunId;

/// Check that no record of a run was changed, removed or added.
///
/// A chain cannot tell that records are missing at its end: give the hash that an earlier report printed as the last
/// one, and it is looked for.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run: as much of its name as is needed, its folder, or an exported journal
    run: String,
    /// Hash of a record that must be in the journal, for example the last one of a report
    #[arg(long, value_name = "HASH")]
    contains: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Verdict<'a> {
    run: &'a RunId,
    #[serde(flatten)]
    verified: &'a Verified,
    /// Number of the entry that was asked for.
    found_at: Option<u64>,
}

impl Args {
    /// Checks it.
    ///
    /// # Errors
    /// The chain is broken, or the record asked for is not there.
    pub(super) fn run(&self, context: &Context) -> Result<(), CommandError> {
        let recorded = Recorded::load(context, &self.run)?;
        let report = recorded.report()?;
        let mut found_at = None;
        if let Some(wanted) = &self.contains {
            let found = recorded
                .entries
                .iter()
                .find(|entry| entry.hash.eq_ignore_ascii_case(wanted));
            let missing = || {
                let text = format!(
                    "no record of run `{}` has the hash `{wanted}`",
                    report.run.id
                );
                CommandError::invalid(text).hint(
                    "if a report of this run printed it, records are missing at the end or the journal is another one",
                )
            };
            found_at = Some(found.ok_or_else(missing)?.seq);
        }
        let verified = &recorded.verified;
        if context.output.format() == Format::Json {
            let run = &report.run.id;
            return context.output.json(&Verdict {
                run,
                verified,
                found_at,
            });
        }
        let ok = context.output.paint(Tone::Good, "ok");
        let found = found_at.map_or(String::new(), |seq| {
            format!("; the record asked for is number {seq}")
        });
        context.output.data(&format!(
            "{ok}: {} records of {}, the last is {}{found}\n",
            verified.entries, report.run.id, verified.last_hash
        ))
    }
}
