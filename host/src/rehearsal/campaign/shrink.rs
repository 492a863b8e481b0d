//! From a run that breaks a rule to the fewest troubles that still break it.

use serde::Serialize;

use super::Campaign;
use super::trouble::{self, Trouble};

/// Most rehearsals spent on one shrinking. Random troubles are a handful and need a dozen; a long faults file may be
/// left larger than it had to be.
const MAX_REHEARSALS: u32 = 400;

/// The smallest that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Minimal {
    /// What is left of the troubles; empty where the scenario alone breaks the rule.
    pub troubles: Vec<Trouble>,
    /// The scenario with them: with the run's seed, what `rehearse --scenario FILE --seed N` takes.
    pub scenario_toml: String,
    /// Rehearsals it took.
    pub rehearsals: u32,
}

/// A search for fewer troubles.
struct Search<'a> {
    campaign: &'a Campaign,
    seed: u64,
    code: &'a str,
    kept: Vec<Trouble>,
    rehearsals: u32,
}

/// Takes troubles away one by one, then in pairs, while the run of this seed still breaks the rule of this code.
#[must_use]
pub fn shrink(campaign: &Campaign, seed: u64, troubles: &[Trouble], code: &str) -> Minimal {
    let mut search = Search {
        campaign,
        seed,
        code,
        kept: troubles.to_vec(),
        rehearsals: 0,
    };
    loop {
        let before = search.kept.len();
        search.without_one();
        search.without_two();
        if search.kept.len() == before || search.is_over() {
            break;
        }
    }
    let scenario = trouble::add(&campaign.scenario_text, &search.kept);
    Minimal {
        scenario_toml: format!("# Breaks {code} with seed {seed}.\n{scenario}"),
        troubles: search.kept,
        rehearsals: search.rehearsals,
    }
}

impl Search<'_> {
    fn without_one(&mut self) {
        let mut place = 0;
        while place < self.kept.len() {
            if !self.drops(&[place]) {
                place += 1;
            }
        }
    }

    /// Two troubles may each hide what the other does not break.
    fn without_two(&mut self) {
        let mut first = 0;
        while first < self.kept.len() {
            let others = first + 1..self.kept.len();
            let dropped = others.rev().any(|second| self.drops(&[first, second]));
            if !dropped {
                first += 1;
            }
        }
    }

    /// Takes the troubles at these places away, if the rule is still broken without them.
    fn drops(&mut self, places: &[usize]) -> bool {
        if self.is_over() {
            return false;
        }
        self.rehearsals += 1;
        let troubles = self.kept.iter().enumerate();
        let fewer = troubles.filter(|(place, _)| !places.contains(place));
        let fewer: Vec<Trouble> = fewer.map(|(_, trouble)| trouble.clone()).collect();
        let outcome = self.campaign.outcome(self.seed, fewer.clone());
        let still = outcome.broken.iter().any(|broken| broken.code == self.code);
        if still {
            self.kept = fewer;
        }
        still
    }

    fn is_over(&self) -> bool {
        self.rehearsals >= MAX_REHEARSALS
    }
}
