//! What is counted of an act, from both sides.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::Act;
use super::watch::Watch;
use crate::powerdns::ZONE;
use crate::wordpress::users::{Log, Missing};

/// What a run reports of its leg. Durations are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// Recovery time.
    pub rto_ms: u64,
    /// What was lost at most.
    pub rpo_ms: u64,
    /// From the flip until the resolvers of the runbook followed.
    pub convergence_ms: u64,
}

impl Reported {
    /// Of the first leg of a report.
    ///
    /// # Errors
    /// Where a figure is missing, which is said.
    pub fn read(report: &Value) -> Result<Self> {
        let figure = |pointer: &str| {
            let found = report.pointer(pointer).and_then(Value::as_u64);
            found.with_context(|| format!("the report has no {pointer}"))
        };
        Ok(Self {
            rto_ms: figure("/legs/0/rto/achieved-ms")?,
            rpo_ms: figure("/legs/0/rpo/achieved-ms")?,
            convergence_ms: figure("/legs/0/dns/took-ms")?,
        })
    }
}

/// What users, resolvers and databases say. Durations are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Felt {
    /// From the zone's death, or from the last thing it acknowledged where it lived, until the other zone acknowledged one.
    pub out_ms: u64,
    /// Things that users asked for and were not acknowledged since the act began.
    pub refused: usize,
    /// Acknowledged posts that are gone.
    pub lost_posts: usize,
    /// Acknowledged pictures that are gone.
    pub lost_media: usize,
    /// From the first lost post until the zone died; zero where none is lost.
    pub lost_ms: u64,
    /// From the change of the record until a resolver followed it for good, by resolver; none where it did not.
    pub convergence: BTreeMap<&'static str, Option<u64>>,
}

impl Felt {
    /// Counts an act that began at `begun_ms`.
    ///
    /// # Errors
    /// Where the zone gone to acknowledged nothing.
    pub fn count(
        act: Act,
        begun_ms: u64,
        log: &Log,
        missing: &Missing,
        watch: &Watch,
    ) -> Result<Self> {
        let served = log
            .acknowledged
            .iter()
            .find(|row| row.zone == act.to && row.at_ms >= begun_ms)
            .with_context(|| format!("{} acknowledged nothing", act.to))?;
        let by_old = |row: &&_| -> bool {
            let row: &crate::wordpress::users::Acknowledged = row;
            row.zone == act.from && row.at_ms < served.at_ms
        };
        let last_served = log.acknowledged.iter().rev().find(by_old);
        let last_ms = last_served.map_or(begun_ms, |row| row.at_ms);
        let out_since = if act.loses_zone() { begun_ms } else { last_ms };
        let first_lost = missing.posts.iter().map(|row| row.at_ms).min();
        Ok(Self {
            out_ms: served.at_ms.saturating_sub(out_since),
            refused: log
                .refused
                .iter()
                .filter(|refused| refused.at_ms >= begun_ms)
                .count(),
            lost_posts: missing.posts.len(),
            lost_media: missing.media.len(),
            lost_ms: first_lost.map_or(0, |first| begun_ms.saturating_sub(first)),
            convergence: watch.convergence(&format!("wp-{}.{ZONE}", act.to), begun_ms),
        })
    }
}
