//! What a series of numbers says of an objective. Pure.

use crate::config::{Met, Objective};

/// A number at an instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    /// Milliseconds since the epoch.
    pub(crate) at: u64,
    /// NaN where there was nothing to divide by.
    pub(crate) value: f64,
}

impl Objective {
    /// True where the number is on the right side of the threshold. What is not a number is on none.
    pub(crate) fn is_met(&self, value: f64) -> bool {
        match self.met {
            Met::AtMost => value <= self.threshold,
            Met::AtLeast => value >= self.threshold,
        }
    }

    /// The number as the contract can carry it: what is not a number is the worst one that is.
    pub(crate) fn carried(&self, value: f64) -> f64 {
        if value.is_nan() {
            return match self.met {
                Met::AtMost => f64::MAX,
                Met::AtLeast => f64::MIN,
            };
        }
        value.clamp(f64::MIN, f64::MAX)
    }

    /// `at most 0.01 ratio`.
    fn wanted(&self) -> String {
        let side = match self.met {
            Met::AtMost => "at most",
            Met::AtLeast => "at least",
        };
        format!("{side} {} {}", self.threshold, self.unit)
    }
}

/// Going back in time, since when an objective has been missed without a break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Missed {
    /// The earliest instant at which it was seen to be missed.
    pub(crate) since: u64,
    /// The instant before at which it was met; none until it is found.
    pub(crate) met_until: Option<u64>,
}

impl Missed {
    /// Goes back through samples, which are in order of time. Instants without a number are neither met nor missed.
    pub(crate) fn back_through(mut self, samples: &[Sample], objective: &Objective) -> Self {
        let from = self.since;
        for sample in samples.iter().rev().filter(|sample| sample.at < from) {
            if objective.is_met(sample.value) {
                self.met_until = Some(sample.at);
                return self;
            }
            self.since = sample.at;
        }
        self
    }
}

/// Whether an objective was met at every instant from `start` to `end`, `step` apart, all in milliseconds. The answer
/// names the first instant at which it was not, an instant without a number among them.
pub(crate) fn held(
    samples: &[Sample],
    objective: &Objective,
    (start, end, step): (u64, u64, u64),
) -> Result<(), String> {
    let mut samples = samples.iter().peekable();
    let mut at = start;
    while at <= end {
        // The server rounds to milliseconds.
        let found = samples.next_if(|sample| sample.at.abs_diff(at) <= 1);
        let problem = match found {
            Some(sample) if objective.is_met(sample.value) => None,
            Some(sample) => Some(format!("was {}", sample.value)),
            None => Some("had no data".to_owned()),
        };
        if let Some(problem) = problem {
            return Err(format!(
                "`{}` {problem} {} s into the window, expected {}",
                objective.name,
                at.saturating_sub(start) / 1000,
                objective.wanted()
            ));
        }
        at = at.saturating_add(step);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objective(met: Met) -> Objective {
        Objective {
            name: "error-rate".to_owned(),
            query: "q".to_owned(),
            outage_query: None,
            threshold: 0.1,
            unit: "ratio".to_owned(),
            over_ms: 0,
            met,
        }
    }

    fn samples(values: &[(u64, f64)]) -> Vec<Sample> {
        let sample = |(at, value): &(u64, f64)| Sample {
            at: *at,
            value: *value,
        };
        values.iter().map(sample).collect()
    }

    #[test]
    fn a_threshold_has_two_sides_and_nan_is_on_none() {
        for (met, value, expected) in [
            (Met::AtMost, 0.1, true),
            (Met::AtMost, 0.2, false),
            (Met::AtMost, f64::NAN, false),
            (Met::AtLeast, 0.1, true),
            (Met::AtLeast, 0.0, false),
            (Met::AtLeast, f64::NAN, false),
        ] {
            assert_eq!(objective(met).is_met(value), expected, "{met:?} {value}");
        }
        let (most, least) = (objective(Met::AtMost), objective(Met::AtLeast));
        assert_eq!(
            (most.carried(f64::NAN), least.carried(f64::NAN)),
            (f64::MAX, f64::MIN)
        );
        assert_eq!(
            (most.carried(f64::INFINITY), most.carried(0.5)),
            (f64::MAX, 0.5)
        );
        assert!(!most.is_met(most.carried(f64::NAN)) && !least.is_met(least.carried(f64::NAN)));
    }

    #[test]
    fn an_outage_began_after_the_last_instant_that_was_met() {
        let objective = objective(Met::AtMost);
        let now = Missed {
            since: 9_000,
            met_until: None,
        };
        let found = now.back_through(
            &samples(&[
                (1_000, 0.9),
                (2_000, 0.0),
                (5_000, 0.9),
                (6_000, f64::NAN),
                (9_000, 0.9),
            ]),
            &objective,
        );
        assert_eq!(
            found,
            Missed {
                since: 5_000,
                met_until: Some(2_000)
            }
        );

        // Chunk by chunk, with a gap between.
        let first = now.back_through(&samples(&[(8_000, 0.9)]), &objective);
        assert_eq!(
            first,
            Missed {
                since: 8_000,
                met_until: None
            }
        );
        let second = first.back_through(&[], &objective);
        let third = second.back_through(&samples(&[(3_000, 0.0)]), &objective);
        assert_eq!(
            third,
            Missed {
                since: 8_000,
                met_until: Some(3_000)
            }
        );
    }

    #[test]
    fn a_miss_and_a_gap_are_not_held() {
        let objective = objective(Met::AtMost);
        let held =
            |values: &[(u64, f64)]| held(&samples(values), &objective, (1_000, 3_500, 1_000));
        assert_eq!(held(&[(1_000, 0.0), (2_001, 0.1), (3_000, 0.0)]), Ok(()));
        let missed = held(&[(1_000, 0.0), (2_000, 0.5), (3_000, 0.0)]).unwrap_err();
        assert_eq!(
            missed,
            "`error-rate` was 0.5 1 s into the window, expected at most 0.1 ratio"
        );
        let gap = held(&[(1_000, 0.0), (3_000, 0.0)]).unwrap_err();
        assert!(gap.contains("had no data 1 s into"), "{gap}");
        assert!(held(&[]).is_err());
        assert!(held(&[(1_000, 0.0), (2_000, f64::NAN), (3_000, 0.0)]).is_err());
    }
}
