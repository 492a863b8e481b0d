//! Whether the exercise may be closed, and the fields that only people can fill.
//!
//! The exit criteria are those of the source runbook; each says what the journal knows about it and no more.

use super::account::{Issue, Severity, StepLine};
use super::model::{ActionItem, Criterion, ForPeople, Leg, Report};
use super::units;
use crate::run::state::StepState;

/// The exit criteria of the exercise.
pub(super) fn exit_criteria(report: &Report) -> Vec<Criterion> {
    let mut legs = report.legs.iter();
    vec![
        moved(
            "The service was moved to the backup site, with RTO and RPO measured",
            legs.next(),
        ),
        moved(
            "The service was moved back, with RTO and RPO measured",
            legs.next(),
        ),
        documented(&report.steps),
        Criterion {
            text: "Dashboards and alerts were verified".to_owned(),
            met: None,
            because: watched(&report.steps),
        },
        Criterion {
            text: "Runbooks and documents are updated with the lessons learned".to_owned(),
            met: None,
            because: "for people: see fixes and action items".to_owned(),
        },
    ]
}

fn moved(text: &str, leg: Option<&Leg>) -> Criterion {
    let (met, because) = match leg {
        None => (
            None,
            "not part of this run: see the run that did it".to_owned(),
        ),
        Some(leg) => {
            let measured = leg.rto.achieved_ms.is_some() && leg.rpo.achieved_ms.is_some();
            let because = format!(
                "{}: {}, RTO {}, RPO {}",
                leg.strategy,
                leg.to_site.as_ref().map_or_else(
                    || "no other site served".to_owned(),
                    |site| format!("served by {site}")
                ),
                units::duration_or_dash(leg.rto.achieved_ms),
                units::duration_or_dash(leg.rpo.achieved_ms),
            );
            (Some(leg.served_at.is_some() && measured), because)
        }
    };
    Criterion {
        text: text.to_owned(),
        met,
        because,
    }
}

fn documented(steps: &[StepLine]) -> Criterion {
    let done = steps.iter().filter(|step| step.state == StepState::Done);
    let stamped = steps
        .iter()
        .filter(|step| step.started_at.is_some() && step.ended_at.is_some());
    let (done, stamped, all) = (done.count(), stamped.count(), steps.len());
    Criterion {
        text: "All steps are documented with timestamps".to_owned(),
        met: Some(stamped == all),
        because: format!("{stamped} of {all} steps have a beginning and an end, {done} are done"),
    }
}

fn watched(steps: &[StepLine]) -> String {
    let watching = steps.iter().filter(|step| {
        step.state == StepState::Done && step.acts.iter().any(|act| act.verb == "observe-slo")
    });
    let names: Vec<&str> = watching.map(|step| step.id.as_str()).collect();
    if names.is_empty() {
        "for people: no step of this run watched service levels".to_owned()
    } else {
        format!(
            "for people: service levels were watched by {}",
            names.join(", ")
        )
    }
}

/// Blanks, with an action item for each issue that is more than a note.
pub(super) fn for_people(issues: &[Issue]) -> ForPeople {
    let serious = issues
        .iter()
        .enumerate()
        .filter(|(_, issue)| issue.severity > Severity::Note);
    let mut action_items: Vec<ActionItem> = serious
        .map(|(place, _)| ActionItem {
            issue: Some(units::count(place + 1)),
            ..ActionItem::default()
        })
        .collect();
    if action_items.is_empty() {
        action_items.push(ActionItem::default());
    }
    ForPeople {
        action_items,
        ..ForPeople::default()
    }
}
