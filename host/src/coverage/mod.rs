//! Which rows of the documents that a runbook replaces it covers, and which of them were carried out, rehearsed or live.
//!
//! A row is covered by the steps that say so (`covers` in a strategy's plan or in the runbook), or by what [`declared`]
//! says: by something that is no step, with the records that prove it, or by nothing, and why. Carried out is what
//! journals show, nothing else. Start at [`coverage`].

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::journal::record::{Entry, Header, Record, Stage};
use crate::name::{ItemId, StepId};
use crate::report::account::StepLine;
use crate::run::state::StepState;

use declared::{Declared, How};

pub mod checklist;
pub mod declared;
mod evidence;

#[cfg(test)]
mod tests;

use checklist::Row;

/// How a runbook stands towards a checklist.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Coverage {
    /// The rows of the runbook's sources, in the checklist's order.
    pub rows: Vec<CoveredRow>,
    /// Rows of other sources, which are left out.
    pub left_out: usize,
    /// Items that a step or the declaration names and the checklist does not have.
    pub unknown: Vec<ItemId>,
}

/// A row and what is known of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CoveredRow {
    /// The row.
    #[serde(flatten)]
    pub row: Row,
    /// Steps that cover it, in any procedure and mode.
    pub steps: BTreeSet<StepId>,
    /// What covers it beside steps.
    pub how: Option<String>,
    /// Why nothing covers it.
    pub why_not: Option<String>,
    /// True where a rehearsal carried it out.
    pub rehearsed: bool,
    /// True where a live run carried it out.
    pub live: bool,
}

impl CoveredRow {
    /// True where something covers it.
    #[must_use]
    pub fn covered(&self) -> bool {
        !self.steps.is_empty() || self.how.is_some()
    }

    /// True where nothing covers it and nobody says why.
    #[must_use]
    pub fn forgotten(&self) -> bool {
        !self.covered() && self.why_not.is_none()
    }
}

/// A run that may have carried rows out.
#[derive(Debug, Clone, Copy)]
pub struct Carried<'a> {
    /// What it was.
    pub header: &'a Header,
    /// Its records.
    pub entries: &'a [Entry],
    /// Its steps, as its report has them.
    pub steps: &'a [StepLine],
}

/// Lays plans, declaration and runs along the checklist. `planned` holds every step of every plan with what it covers.
#[must_use]
pub fn coverage(
    checklist: &[Row],
    declared: &Declared,
    planned: &[(StepId, Vec<ItemId>)],
    runs: &[Carried<'_>],
) -> Coverage {
    let mut by_item: BTreeMap<&ItemId, BTreeSet<StepId>> = BTreeMap::new();
    for (step, items) in planned {
        for item in items {
            by_item.entry(item).or_default().insert(step.clone());
        }
    }
    let (own, others): (Vec<&Row>, Vec<&Row>) = checklist
        .iter()
        .partition(|row| declared.is_of_a_source(&row.id));
    let known: BTreeSet<&ItemId> = checklist.iter().map(|row| &row.id).collect();
    let named = by_item.keys().copied().chain(declared.items());
    let unknown: BTreeSet<&ItemId> = named.filter(|item| !known.contains(item)).collect();
    let rows = own.into_iter().map(|row| {
        let how = declared.of(&row.id);
        let carried = |live: bool| {
            let of_stage = |run: &&Carried<'_>| (run.header.stage == Stage::Live) == live;
            runs.iter()
                .filter(of_stage)
                .any(|run| carries_out(run, &row.id, how))
        };
        CoveredRow {
            steps: by_item.get(&row.id).cloned().unwrap_or_default(),
            how: how.and_then(How::covers).map(str::to_owned),
            why_not: how.and_then(How::why_not).map(str::to_owned),
            rehearsed: carried(false),
            live: carried(true),
            row: row.clone(),
        }
    });
    Coverage {
        rows: rows.collect(),
        left_out: others.len(),
        unknown: unknown.into_iter().cloned().collect(),
    }
}

fn carries_out(run: &Carried<'_>, item: &ItemId, how: Option<&How>) -> bool {
    let by_step = run
        .steps
        .iter()
        .any(|step| step.state == StepState::Done && step.covers.contains(item));
    by_step
        || how.is_some_and(|how| {
            let mut records = run.entries.iter().map(|entry| &entry.record);
            let seen = how.seen();
            records.any(|record: &Record| seen.iter().any(|evidence| evidence.is(record)))
        })
}
