//! Counting what was lost: which acknowledged posts a server does not have, and the recovery point that follows.
//! Independent of every report.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::mariadb::Server;
use crate::writer::{Acknowledged, Log};

/// What a server holds of what its users were told it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Number of acknowledged posts.
    pub acknowledged: usize,
    /// Acknowledged posts that are missing, by number.
    pub missing: Vec<Acknowledged>,
    /// Bounds of the time of which nothing survived, in milliseconds.
    pub lost_ms: Option<Lost>,
}

/// The lost time is not observed exactly: the last surviving commit lies between two acknowledgements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// From the first missing acknowledgement to the last.
    pub at_least: u64,
    /// From the last surviving acknowledgement before them to the last missing one.
    pub at_most: u64,
}

/// Compares what the users saw with the rows of `server`.
///
/// # Errors
/// Where the server does not answer.
pub async fn audit(log: &Log, server: &Server) -> Result<Audit> {
    let numbers = server
        .column("SELECT CAST(number AS CHAR) FROM wordpress.posts WHERE number IS NOT NULL")
        .await?;
    of_numbers(log, &numbers)
}

/// Compares what the users saw with the numbers of the rows that a server has, as it spells them.
///
/// # Errors
/// Where one is no number.
pub fn of_numbers(log: &Log, numbers: &[String]) -> Result<Audit> {
    let present = numbers
        .iter()
        .map(|number| number.parse())
        .collect::<Result<BTreeSet<u64>, _>>()?;
    Ok(compare(&log.acknowledged, &present))
}

fn compare(acknowledged: &[Acknowledged], present: &BTreeSet<u64>) -> Audit {
    let missing: Vec<Acknowledged> = acknowledged
        .iter()
        .filter(|row| !present.contains(&row.number))
        .cloned()
        .collect();
    let lost_ms = missing.first().zip(missing.last()).map(|(first, last)| {
        let survivor = acknowledged
            .iter()
            .take_while(|row| row.number < first.number)
            .last()
            .map_or(first.at_ms, |row| row.at_ms);
        Lost {
            at_least: last.at_ms.saturating_sub(first.at_ms),
            at_most: last.at_ms.saturating_sub(survivor),
        }
    });
    Audit {
        acknowledged: acknowledged.len(),
        missing,
        lost_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(at_ms: &[u64]) -> Vec<Acknowledged> {
        (1..)
            .zip(at_ms)
            .map(|(number, at_ms)| Acknowledged {
                number,
                at_ms: *at_ms,
                site: "pz".to_owned(),
            })
            .collect()
    }

    #[test]
    fn nothing_missing_is_no_lost_time() {
        let audit = compare(&rows(&[10, 20]), &BTreeSet::from([1, 2, 3]));
        assert_eq!(
            (audit.acknowledged, audit.missing.len(), audit.lost_ms),
            (2, 0, None)
        );
    }

    #[test]
    fn lost_time_runs_from_the_last_survivor_to_the_last_loss() {
        let audit = compare(&rows(&[10, 20, 35, 50, 90]), &BTreeSet::from([1, 2, 5]));
        assert_eq!(
            audit
                .missing
                .iter()
                .map(|row| row.number)
                .collect::<Vec<_>>(),
            [3, 4]
        );
        assert_eq!(
            audit.lost_ms,
            Some(Lost {
                at_least: 15,
                at_most: 30
            })
        );
    }
}
