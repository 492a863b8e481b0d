//! What is counted of a leg, from both sides.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::watch::Watch;
use crate::powerdns::ZONE;
use crate::wordpress::users::{Acknowledged, Log, Missing};

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
    /// Of a leg of a report, from 0.
    ///
    /// # Errors
    /// Where a figure is missing, which is said.
    pub fn read(report: &Value, leg: usize) -> Result<Self> {
        Ok(Self {
            rto_ms: figure(report, leg, "rto/achieved-ms")?,
            rpo_ms: figure(report, leg, "rpo/achieved-ms")?,
            convergence_ms: figure(report, leg, "dns/took-ms")?,
        })
    }

    /// When a leg began, in milliseconds since the epoch.
    ///
    /// # Errors
    /// Where it did not.
    pub fn begun_ms(report: &Value, leg: usize) -> Result<u64> {
        figure(report, leg, "begun-at")
    }
}

fn figure(report: &Value, leg: usize, name: &str) -> Result<u64> {
    let pointer = format!("/legs/{leg}/{name}");
    let found = report.pointer(&pointer).and_then(Value::as_u64);
    found.with_context(|| format!("the report has no {pointer}"))
}

/// Where figures come from that no run had a part in.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// What the users saw.
    pub log: &'a Log,
    /// What is missing of it.
    pub missing: &'a Missing,
    /// Who looks at the name servers.
    pub watch: &'a Watch,
}

/// What users, resolvers and databases say. Durations are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Felt {
    /// From the zone's death, or from the last thing it acknowledged where it lived, until the other zone acknowledged one.
    pub out_ms: u64,
    /// Things that users asked for and were not acknowledged.
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
    /// Counts a leg from one zone to another in a span of time, in milliseconds since the epoch. Where the zone that was left
    /// died, that was at its beginning.
    ///
    /// # Errors
    /// Where the zone gone to acknowledged nothing.
    pub fn count(
        seen: Seen<'_>,
        (from, to): (&str, &str),
        span: Range<u64>,
        lost_zone: bool,
    ) -> Result<Self> {
        let Seen {
            log,
            missing,
            watch,
        } = seen;
        let is_by = |row: &Acknowledged, zone: &str| row.zone == zone;
        let served = log
            .acknowledged
            .iter()
            .find(|row| is_by(row, to) && row.at_ms >= span.start)
            .with_context(|| format!("{to} acknowledged nothing"))?;
        let mut before = log.acknowledged.iter().rev();
        let last = before.find(|row| is_by(row, from) && row.at_ms < served.at_ms);
        let last_ms = last.map_or(span.start, |row| row.at_ms);
        let out_since = if lost_zone { span.start } else { last_ms };
        let lost = |rows: &[Acknowledged]| -> Vec<u64> {
            let lost = rows.iter().filter(|row| is_by(row, from));
            lost.map(|row| row.at_ms).collect()
        };
        let posts = lost(&missing.posts);
        let first_lost = posts.iter().min();
        let refused = log.refused.iter();
        Ok(Self {
            out_ms: served.at_ms.saturating_sub(out_since),
            refused: refused.filter(|one| span.contains(&one.at_ms)).count(),
            lost_posts: posts.len(),
            lost_media: lost(&missing.media).len(),
            lost_ms: first_lost.map_or(0, |first| out_since.saturating_sub(*first)),
            convergence: watch.convergence(&format!("wp-{to}.{ZONE}"), &span),
        })
    }
}
