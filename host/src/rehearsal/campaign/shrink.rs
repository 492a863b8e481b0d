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

/// Takes troubles away one by one, then in pairs, while the run of this seed still breaks the rule of this code.
#[must_use]
pub fn shrink(campaign: &Campaign, seed: u64, troubles: &[Trouble], code: &str) -> Minimal {
    let breaks = |fewer: &[Trouble]| {
        let outcome = campaign.outcome(seed, fewer.to_vec());
        outcome.broken.iter().any(|broken| broken.code == code)
    };
    let (kept, rehearsals) = fewest(troubles, &breaks);
    let scenario = trouble::add(&campaign.scenario_text, &kept);
    Minimal {
        scenario_toml: format!("# Breaks {code} with seed {seed}.\n{scenario}"),
        troubles: kept,
        rehearsals,
    }
}

/// Things of which none and no two can be taken away so that it still `breaks`, and how often it was tried.
fn fewest<T: Clone>(things: &[T], breaks: &dyn Fn(&[T]) -> bool) -> (Vec<T>, u32) {
    let mut search = Search {
        kept: things.to_vec(),
        breaks,
        tries: 0,
    };
    loop {
        let before = search.kept.len();
        search.without_one();
        search.without_two();
        if search.kept.len() == before || search.is_over() {
            return (search.kept, search.tries);
        }
    }
}

/// A search for fewer things.
struct Search<'a, T> {
    kept: Vec<T>,
    breaks: &'a dyn Fn(&[T]) -> bool,
    tries: u32,
}

impl<T: Clone> Search<'_, T> {
    fn without_one(&mut self) {
        let mut place = 0;
        while place < self.kept.len() {
            if !self.drops(&[place]) {
                place += 1;
            }
        }
    }

    /// Two may each hide what the other does not break: one alone makes it better, both together make no difference.
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

    /// Takes the things at these places away, if it still breaks without them.
    fn drops(&mut self, places: &[usize]) -> bool {
        if self.is_over() {
            return false;
        }
        self.tries += 1;
        let left = self.kept.iter().enumerate();
        let left = left.filter(|(place, _)| !places.contains(place));
        let fewer: Vec<T> = left.map(|(_, thing)| thing.clone()).collect();
        let still = (self.breaks)(&fewer);
        if still {
            self.kept = fewer;
        }
        still
    }

    fn is_over(&self) -> bool {
        self.tries >= MAX_REHEARSALS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(things: &str, breaks: impl Fn(&str) -> bool) -> String {
        let things: Vec<char> = things.chars().collect();
        let breaks = |fewer: &[char]| breaks(&fewer.iter().collect::<String>());
        assert!(breaks(&things), "it breaks to begin with");
        fewest(&things, &breaks).0.into_iter().collect()
    }

    #[test]
    fn what_it_does_not_take_is_taken_away() {
        assert_eq!(kept("abcd", |_| true), "");
        assert_eq!(kept("abcd", |left| left.contains('c')), "c");
        let both = |left: &str| left.contains('b') && left.contains('d');
        assert_eq!(kept("abcd", both), "bd");
    }

    #[test]
    fn two_that_make_up_for_each_other_go_together() {
        let even = |left: &str| left.contains('a') && left.contains('b') == left.contains('d');
        assert_eq!(kept("abcd", even), "a");
    }

    #[test]
    fn a_search_without_end_ends() {
        let things: Vec<u32> = (0..1_000).collect();
        let (kept, tries) = fewest(&things, &|left| left.len() == 1_000);
        assert_eq!((kept.len(), tries), (1_000, MAX_REHEARSALS));
    }
}
