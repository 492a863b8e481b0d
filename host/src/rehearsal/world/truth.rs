//! The end of a rehearsal: what clients saw and which of their writes are missing.
//!
//! Figures, besides what [`crate::rehearsal::truth`] defines: `error-ratio`, `stale-ratio` (of all requests),
//! `latency-p90-ms`, `latency-p99-ms` (of successful requests), `recovery-downtime-ms` and `failback-downtime-ms` (time
//! during which no majority was served, before and after the recovery), `dns-convergence-half-ms` and
//! `dns-convergence-most-ms` (from the flip until half and 95 % of the clients got the new address; with `failback-`
//! for the second flip), `edge-convergence-most-ms` (the same for 95 % of what caches in front of the service answer, where
//! a scenario has some), `two-writers-ms`, `failback-lost-writes`, `failback-rpo-ms`, `idle-nodes` (at the end, of the sites
//! that the name does not lead to), `outage-at-ms` (the instant of the outage, so that a report can count from where the
//! clients do).

use std::time::Duration;

use super::history::{Loss, Point};
use super::watch::float;
use super::{Database, World};
use crate::clock::{Instant, millis};
use crate::rehearsal::truth::Truth;

impl World {
    /// What clients saw up to `end`, and which of their writes are missing then.
    pub fn truth(&mut self, end: Instant) -> Truth {
        self.advance(end);
        let outage = self.watch.outage;
        let losses: Vec<Loss> = self.databases.values().flat_map(lost).collect();
        let (failback, recovery): (Vec<&Loss>, Vec<&Loss>) = losses
            .iter()
            .partition(|loss| loss.taken_over_by == self.primary);
        let mut figures = self.figures();
        if let Some(outage) = outage {
            figures.insert("outage-at-ms".to_owned(), float(outage.0));
        }
        if self.watch.recovered.is_some() {
            let writes = failback.iter().map(|loss| loss.writes).sum();
            figures.insert("failback-lost-writes".to_owned(), float(writes));
            let rpo = failback.iter().map(|loss| rpo(loss, None)).max();
            figures.insert(
                "failback-rpo-ms".to_owned(),
                float(millis(rpo.unwrap_or_default())),
            );
        }
        let recovery = recovery.iter().map(|loss| rpo(loss, outage));
        let failback = failback.iter().map(|loss| rpo(loss, None));
        Truth {
            rto: self
                .watch
                .recovered
                .map(|at| outage.map_or(Duration::ZERO, |outage| at.since(outage))),
            rpo: recovery.chain(failback).max().unwrap_or_default(),
            lost_writes: losses.iter().map(|loss| loss.writes).sum(),
            acknowledged_writes: self
                .databases
                .values()
                .map(|database| database.history.acknowledged())
                .sum(),
            figures,
        }
    }
}

/// From the newest write that is kept to the outage, or to the newest missing one where that is later.
pub(super) fn rpo(loss: &Loss, outage: Option<Instant>) -> Duration {
    outage
        .map_or(loss.newest, |outage| outage.max(loss.newest))
        .since(loss.recovery_point)
}

/// What is missing from the history of the copy that accepts writes, or of the newest copy where none does.
fn lost(database: &Database) -> Vec<Loss> {
    let writer = database
        .writer()
        .map(|(_, branch)| database.history.head(branch));
    let newest = || {
        database
            .copies
            .values()
            .filter_map(|copy| database.applied(copy))
    };
    let survivor = writer.or_else(|| newest().max_by_key(|point| (point.number, point.branch)));
    let nothing = Point {
        branch: 0,
        number: 0,
    };
    database.history.lost(survivor.unwrap_or(nothing))
}
