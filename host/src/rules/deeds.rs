//! A plan as the acts of its steps, and which of them certainly happens before which.
//!
//! An act happens before another where its step is needed by the other's, directly or through others; within one step
//! acts happen in the order in which the plugin lists them. Everything else may happen in any order, so no rule may
//! count on it.

use std::collections::{BTreeMap, BTreeSet};

use crate::name::StepId;
use crate::plan::{Plan, Step};

/// One act of one step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deed<'p> {
    pub(super) step: &'p Step,
    pub(super) verb: &'p str,
    pub(super) site: &'p str,
    /// Place of the step in the plan, and of the act in the step: the deed's identity.
    at: (usize, usize),
}

impl Deed<'_> {
    /// Whether the two are one and the same.
    pub(super) fn is(self, other: Deed<'_>) -> bool {
        self.at == other.at
    }
}

/// All acts of a plan.
pub(super) struct Deeds<'p> {
    all: Vec<Deed<'p>>,
    /// Per step, the steps that are certainly done before it.
    before: Vec<BTreeSet<usize>>,
}

impl<'p> Deeds<'p> {
    pub(super) fn of(plan: &'p Plan) -> Self {
        let acts = |(index, step): (usize, &'p Step)| {
            step.acts.iter().enumerate().map(move |(nth, act)| Deed {
                step,
                verb: &act.verb,
                site: &act.site,
                at: (index, nth),
            })
        };
        Self {
            all: plan.steps.iter().enumerate().flat_map(acts).collect(),
            before: ancestors(plan),
        }
    }

    /// All of them, in the order of the plan.
    pub(super) fn all(&self) -> impl Iterator<Item = Deed<'p>> {
        self.all.iter().copied()
    }

    /// The acts of this verb, in the order of the plan.
    pub(super) fn of_verb(&self, verb: &str) -> impl Iterator<Item = Deed<'p>> {
        self.all
            .iter()
            .copied()
            .filter(move |deed| deed.verb == verb)
    }

    /// Every act by which a site becomes the one that takes writes: a promotion, or a restore that none follows.
    pub(super) fn takeovers(&self) -> impl Iterator<Item = Deed<'p>> {
        let promoted = |restore: &Deed<'p>| {
            self.of_verb("promote")
                .any(|promote| promote.site == restore.site && self.is_before(*restore, promote))
        };
        let restores = self
            .of_verb("restore")
            .filter(move |restore| !promoted(restore));
        self.of_verb("promote").chain(restores)
    }

    /// Whether `a` certainly happens before `b`.
    pub(super) fn is_before(&self, a: Deed<'p>, b: Deed<'p>) -> bool {
        a.at.0 == b.at.0 && a.at.1 < b.at.1 || self.is_in_earlier_step(a, b)
    }

    /// Whether `a` certainly happens before `b`, and in another step.
    pub(super) fn is_in_earlier_step(&self, a: Deed<'p>, b: Deed<'p>) -> bool {
        self.before
            .get(b.at.0)
            .is_some_and(|before| before.contains(&a.at.0))
    }

    /// Whether what `earlier` brought about still holds at `later`: each of `spoilers` happens before the one or after
    /// the other.
    pub(super) fn holds(
        &self,
        earlier: Deed<'p>,
        later: Deed<'p>,
        mut spoilers: impl Iterator<Item = Deed<'p>>,
    ) -> bool {
        self.is_before(earlier, later)
            && spoilers.all(|spoiler| {
                spoiler.is(later)
                    || self.is_before(spoiler, earlier)
                    || self.is_before(later, spoiler)
            })
    }

    /// Whether `deed` belongs to what leads to `takeover`: it happens before it, and not before an earlier takeover.
    pub(super) fn leads_to(&self, deed: Deed<'p>, takeover: Deed<'p>) -> bool {
        self.is_before(deed, takeover)
            && !self
                .takeovers()
                .any(|earlier| self.is_before(deed, earlier) && self.is_before(earlier, takeover))
    }
}

/// Per step, in the order of the plan, the places of all steps it needs, directly or through others.
fn ancestors(plan: &Plan) -> Vec<BTreeSet<usize>> {
    let places: BTreeMap<&StepId, usize> = plan
        .steps
        .iter()
        .enumerate()
        .map(|(place, step)| (&step.id, place))
        .collect();
    let needs_of = |place: usize| {
        plan.steps.get(place).into_iter().flat_map(|step| {
            step.needs
                .iter()
                .filter_map(|need| places.get(need).copied())
        })
    };
    (0..plan.steps.len())
        .map(|place| {
            let mut found = BTreeSet::new();
            let mut open: Vec<usize> = needs_of(place).collect();
            // Ends: a place is followed only when it is found for the first time.
            while let Some(next) = open.pop() {
                if found.insert(next) {
                    open.extend(needs_of(next));
                }
            }
            found
        })
        .collect()
}
