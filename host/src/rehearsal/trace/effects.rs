//! Rules on what effects did, as the world saw it when it accepted them ([`Hazard`]), and on what strategies say of it.

use super::Trace;
use crate::journal::record::{Choice, Ending, Entry, GateKind, Mode, Record};
use crate::rehearsal::world::{Hazard, Sighting};
use crate::report::units::duration;
use crate::rules::standing::Standing;

impl Trace<'_> {
    fn seen(&self, wanted: Hazard) -> Option<String> {
        let mut seen = self.seen.iter();
        seen.find(|seen| seen.hazard == wanted).map(said)
    }

    /// Sites that the milestone of this name was set about.
    fn marked<'t>(&'t self, wanted: &'t str) -> impl Iterator<Item = &'t str> {
        let marks = self
            .entries
            .iter()
            .filter_map(move |entry| match &entry.record {
                Record::Marked { name, site, .. } if name == wanted => Some(site.as_deref()),
                _ => None,
            });
        marks.map(Option::unwrap_or_default)
    }

    fn recovered(&self) -> bool {
        self.ending == Ending::Recovered
    }
}

fn said(sighting: &Sighting) -> String {
    match &sighting.step {
        Some(step) => format!("by `{step}`: {}", sighting.what),
        None => sighting.what.clone(),
    }
}

pub(super) fn one_writer_when_promoted(trace: &Trace<'_>) -> Option<String> {
    trace.seen(Hazard::SecondWriter)
}

/// A loss is within the objective, or somebody accepted it before.
pub(super) fn loss_accepted_before_promote(trace: &Trace<'_>) -> Option<String> {
    let objective = trace.rpo_target_ms;
    let accepted = |seen: &Sighting| {
        let end = trace.entries.partition_point(|entry| entry.at <= seen.at);
        let before: &[Entry] = trace.entries.get(..end).unwrap_or_default();
        let standing = Standing {
            plan: trace.last_plan(),
            entries: before,
            rpo_target_ms: objective,
            now: seen.at,
        };
        standing.accepted_after(0)
    };
    trace.seen.iter().find_map(|seen| match seen.hazard {
        Hazard::Loss { ms } if ms > objective && !accepted(seen) => Some(format!(
            "{}; the objective is {}, and nobody accepted it",
            said(seen),
            duration(objective)
        )),
        _ => None,
    })
}

pub(super) fn flip_to_a_serving_site(trace: &Trace<'_>) -> Option<String> {
    trace.seen(Hazard::NotServing)
}

pub(super) fn flip_to_a_valid_certificate(trace: &Trace<'_>) -> Option<String> {
    trace.seen(Hazard::NoCertificate)
}

pub(super) fn flip_to_a_writer(trace: &Trace<'_>) -> Option<String> {
    trace.seen(Hazard::NoWriter)
}

/// Users are moved by the record they ask for, and the step that does so changes no other.
pub(super) fn flip_by_the_active_record(trace: &Trace<'_>) -> Option<String> {
    let active = trace.scenario.clients.as_ref().name.as_str();
    let flips = |record: &Record| match record {
        Record::Intent {
            site,
            function,
            args,
            ..
        } if function.is("dns/ensure-record") => {
            let step = trace.last_plan().step(&site.step)?;
            let name = args.get("name")?.as_str().filter(|name| *name != active)?;
            let flips = step.acts.iter().any(|act| act.verb == "flip");
            flips.then(|| format!("`{}` asked to change `{name}` too", step.id))
        }
        _ => None,
    };
    let asked = || trace.entries.iter().find_map(|entry| flips(&entry.record));
    trace.seen(Hazard::OtherRecord).or_else(asked)
}

pub(super) fn compare_and_set(trace: &Trace<'_>) -> Option<String> {
    trace.seen(Hazard::NotCompared)
}

pub(super) fn old_ttl_forgotten_at_flip(trace: &Trace<'_>) -> Option<String> {
    trace.seen(Hazard::LongTtl)
}

pub(super) fn open_on_a_writer(trace: &Trace<'_>) -> Option<String> {
    trace.seen(Hazard::OpenedReadOnly)
}

pub(super) fn independent_of_the_dead(trace: &Trace<'_>) -> Option<String> {
    trace.seen(Hazard::DeadDependency)
}

pub(super) fn no_infrastructure_change(trace: &Trace<'_>) -> Option<String> {
    trace.seen(Hazard::Infrastructure)
}

pub(super) fn recovered_means_copied(trace: &Trace<'_>) -> Option<String> {
    trace
        .seen(Hazard::Unprotected)
        .filter(|_| trace.recovered())
        .map(|what| format!("the run says recovered, and {what}"))
}

/// Recovery time begins when users began to suffer, not when somebody decided.
pub(super) fn outage_is_dated(trace: &Trace<'_>) -> Option<String> {
    let ungraceful = trace.scenario.mode == Some(Mode::Ungraceful);
    let dated = trace.marked("outage-detected").next().is_some();
    (trace.recovered() && ungraceful && !dated).then(|| {
        "the run says recovered from an outage, and the milestone `outage-detected` is not set"
            .to_owned()
    })
}

/// One page from one place is not a service that moved.
pub(super) fn convergence_is_seen(trace: &Trace<'_>) -> Option<String> {
    let mut flipped = trace.marked("flipped").filter(|_| trace.recovered());
    let open = flipped.find(|site| !trace.marked("converged").any(|there| there == *site))?;
    Some(format!(
        "the run says recovered, and nobody saw the resolvers follow the flip to `{open}`"
    ))
}

/// What one copy alone holds is kept before it is replaced, or somebody said in that step that it may go.
pub(super) fn nothing_discarded_unkept(trace: &Trace<'_>) -> Option<String> {
    let mut questions = Vec::new();
    let mut released = Vec::new();
    for entry in trace.entries {
        match &entry.record {
            Record::GateOpened {
                gate, step, kind, ..
            } if *kind == GateKind::Question => {
                questions.push((gate, step));
            }
            Record::GateAnswered { gate, choice, .. } if *choice == Choice::Go => {
                let asked = questions.iter().filter(|(other, _)| *other == gate);
                released.extend(asked.map(|(_, step)| (entry.at, *step)));
            }
            _ => {}
        }
    }
    let is_released = |seen: &Sighting| {
        let by = |step| {
            released
                .iter()
                .any(|(at, other)| *other == step && *at <= seen.at)
        };
        seen.step.as_ref().is_some_and(by)
    };
    let mut seen = trace
        .seen
        .iter()
        .filter(|seen| seen.hazard == Hazard::Discarded);
    seen.find(|seen| !is_released(seen)).map(said)
}

pub(super) fn media_reached_after_flip(trace: &Trace<'_>) -> Option<String> {
    trace.seen(Hazard::NoMedia)
}

pub(super) fn recovered_means_ttl_restored(trace: &Trace<'_>) -> Option<String> {
    trace
        .seen(Hazard::TtlLeftLow)
        .filter(|_| trace.recovered())
        .map(|what| format!("the run says recovered, and {what}"))
}

/// A planned move has the time to let requests end; where the site may be dying, a fence comes as soon as it can.
pub(super) fn requests_end_before_the_fence(trace: &Trace<'_>) -> Option<String> {
    let ungraceful = trace.scenario.mode == Some(Mode::Ungraceful);
    trace.seen(Hazard::CutOff).filter(|_| !ungraceful)
}
