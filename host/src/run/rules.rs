//! Where a run meets the safety rules on what it has really come to.

use super::scheduler::Execution;
use crate::plan::Step;
use crate::rules::Violation;
use crate::rules::standing::Standing;

impl Execution<'_> {
    /// Why a step may not begin now; `None` where it may.
    pub(super) fn held_back(&self, step: &Step) -> Option<String> {
        let broken = self.standing(|standing| standing.before(step));
        let reasons: Vec<String> = broken.iter().map(words).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    /// Why a run whose steps are all done is not recovered; `None` where it is.
    pub(super) fn not_yet_recovered(&self) -> Option<String> {
        let broken = self.standing(|standing| standing.before_recovered())?;
        Some(words(&broken))
    }

    fn standing<R>(&self, ask: impl FnOnce(&Standing<'_>) -> R) -> R {
        self.run.mediation.journal.read(|entries| {
            ask(&Standing {
                plan: &self.plan,
                entries,
                rpo_target_ms: self.run.rpo_target_ms,
                now: self.now(),
            })
        })
    }
}

fn words(broken: &Violation) -> String {
    let Violation {
        code,
        name,
        message,
        way_out,
        ..
    } = broken;
    format!("{code} {name}: {message}. Way out: {way_out}")
}
