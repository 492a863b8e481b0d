//! What must hold at the end of a rehearsal, and whether it did.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::time::Length;
use crate::clock::millis;
use crate::journal::record::{Ending, Missed};
use crate::rehearsal::truth::Truth;

/// Figures of [`Truth`] that may be bounded (see `world/truth.rs` for each).
pub const FIGURES: [&str; 17] = [
    "dns-convergence-half-ms",
    "dns-convergence-most-ms",
    "edge-convergence-most-ms",
    "error-ratio",
    "failback-dns-convergence-half-ms",
    "failback-dns-convergence-most-ms",
    "failback-downtime-ms",
    "failback-edge-convergence-most-ms",
    "failback-lost-writes",
    "failback-rpo-ms",
    "idle-nodes",
    "latency-p90-ms",
    "latency-p99-ms",
    "outage-at-ms",
    "recovery-downtime-ms",
    "stale-ratio",
    "two-writers-ms",
];

/// `[expect]`: what must hold at the end. What is left out is not asked.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Expect {
    /// How the run ends.
    pub ending: Option<Ending>,
    /// Clients are served again within this time.
    pub rto_at_most: Option<Spanned<Length>>,
    /// Nothing older than this is missing.
    pub rpo_at_most: Option<Length>,
    /// So many acknowledged writes may be missing.
    pub lost_writes_at_most: Option<u64>,
    /// Bounds of [`Truth::figures`] by name.
    pub figures: BTreeMap<String, Spanned<Bound>>,
}

/// A bound of a figure.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Bound {
    /// Not less.
    pub at_least: Option<f64>,
    /// Not more.
    pub at_most: Option<f64>,
}

impl Expect {
    /// Everything that did not hold.
    #[must_use]
    pub fn judge(&self, truth: &Truth, ending: Ending) -> Vec<Missed> {
        let mut missed = Vec::new();
        let mut miss = |what: &str, expected: String, found: String| {
            missed.push(Missed {
                what: what.to_owned(),
                expected,
                found,
            });
        };
        if self.ending.is_some_and(|expected| expected != ending) {
            miss("ending", word(self.ending), word(Some(ending)));
        }
        if let Some(limit) = self.rto_at_most.as_ref().map(Spanned::as_ref) {
            match truth.rto {
                Some(rto) if rto <= limit.get() => {}
                Some(rto) => miss("rto-at-most", ms(limit.ms()), ms(millis(rto))),
                None => miss(
                    "rto-at-most",
                    ms(limit.ms()),
                    "clients were never served again".to_owned(),
                ),
            }
        }
        if let Some(limit) = self.rpo_at_most.filter(|limit| truth.rpo > limit.get()) {
            miss("rpo-at-most", ms(limit.ms()), ms(millis(truth.rpo)));
        }
        if let Some(limit) = self
            .lost_writes_at_most
            .filter(|limit| truth.lost_writes > *limit)
        {
            miss(
                "lost-writes-at-most",
                limit.to_string(),
                truth.lost_writes.to_string(),
            );
        }
        for (name, bound) in &self.figures {
            let bound = bound.as_ref();
            match truth.figures.get(name) {
                None => miss(
                    &format!("figures.{name}"),
                    "a value".to_owned(),
                    "no such figure in this run".to_owned(),
                ),
                Some(value) => {
                    if let Some(least) = bound.at_least.filter(|least| value < least) {
                        miss(
                            &format!("figures.{name}"),
                            format!("at least {least}"),
                            value.to_string(),
                        );
                    }
                    if let Some(most) = bound.at_most.filter(|most| value > most) {
                        miss(
                            &format!("figures.{name}"),
                            format!("at most {most}"),
                            value.to_string(),
                        );
                    }
                }
            }
        }
        missed
    }
}

fn ms(value: u64) -> String {
    format!("{value} ms")
}

fn word(ending: Option<Ending>) -> String {
    match ending {
        Some(Ending::Recovered) => "recovered",
        Some(Ending::Undone) => "undone",
        Some(Ending::Stuck) => "stuck",
        Some(Ending::Ready) => "ready",
        Some(Ending::NotReady) => "not-ready",
        None => "",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn expect(text: &str) -> Expect {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn each_expectation_can_be_missed() {
        let truth = Truth {
            rto: Some(Duration::from_secs(61)),
            rpo: Duration::from_secs(3),
            lost_writes: 12,
            figures: BTreeMap::from([("error-ratio".to_owned(), 0.2)]),
            ..Truth::default()
        };
        let strict = expect(
            "ending = 'recovered'\nrto-at-most = '1m'\nrpo-at-most = '2s'\nlost-writes-at-most = 11\n\
             figures.error-ratio = { at-most = 0.1 }\nfigures.absent = { at-most = 1 }",
        );
        let missed = strict.judge(&truth, Ending::Stuck);
        let names: Vec<_> = missed.iter().map(|missed| missed.what.as_str()).collect();
        assert_eq!(
            names,
            [
                "ending",
                "rto-at-most",
                "rpo-at-most",
                "lost-writes-at-most",
                "figures.absent",
                "figures.error-ratio"
            ]
        );
        let lenient = expect("ending = 'stuck'\nrto-at-most = '61s'\nrpo-at-most = '3s'");
        assert_eq!(lenient.judge(&truth, Ending::Stuck), []);
    }
}
