//! The day as a table.

use super::Played;
use super::fidelity::Step;

/// Columns, and how wide each is.
const COLUMNS: [(&str, usize); 9] = [
    ("leg", 40),
    ("RTO", 8),
    ("users out", 10),
    ("RPO", 8),
    ("lost", 8),
    ("posts", 6),
    ("pictures", 9),
    ("refused", 8),
    ("DNS: report, resolver, stubborn", 0),
];

/// One line for each leg: what the run reports beside what was felt.
#[must_use]
pub fn table(played: &[Played]) -> String {
    let mut text = line(COLUMNS.map(|(title, width)| (title.to_owned(), width)));
    for one in played {
        let (reported, felt) = (&one.reported, &one.felt);
        let mut convergence = vec![seconds(Some(reported.convergence_ms))];
        convergence.extend(felt.convergence.values().map(|took| seconds(*took)));
        let cells = [
            one.title.to_owned(),
            seconds(Some(reported.rto_ms)),
            seconds(Some(felt.out_ms)),
            seconds(Some(reported.rpo_ms)),
            seconds(Some(felt.lost_ms)),
            felt.lost_posts.to_string(),
            felt.lost_media.to_string(),
            felt.refused.to_string(),
            convergence.join(", "),
        ];
        text += &line(cells.into_iter().zip(COLUMNS.map(|(_, width)| width)));
    }
    text
}

/// One line for each leg: the run beside its rehearsal.
#[must_use]
pub fn fidelity(played: &[Played]) -> String {
    let columns = [
        ("leg", 40),
        ("steps", 6),
        ("in order", 9),
        ("same calls", 11),
        ("RTO live", 9),
        ("rehearsed", 10),
        ("difference", 0),
    ];
    let mut text = line(columns.map(|(title, width)| (title.to_owned(), width)));
    for one in played {
        let steps = &one.fidelity.steps;
        let count = |holds: fn(&Step) -> bool| steps.iter().filter(|step| holds(step)).count();
        let rto = one.fidelity.legs.first().map(|leg| &leg.rto);
        let percent = rto.and_then(|rto| rto.difference_percent);
        let cells = [
            one.title.to_owned(),
            steps.len().to_string(),
            count(|step| step.same_order).to_string(),
            count(|step| step.same_calls).to_string(),
            seconds(rto.and_then(|rto| rto.live_ms)),
            seconds(rto.and_then(|rto| rto.rehearsed_ms)),
            percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent:+} %")),
        ];
        text += &line(cells.into_iter().zip(columns.map(|(_, width)| width)));
        for difference in &one.fidelity.differences {
            text += &format!("  {difference}\n");
        }
    }
    text
}

/// Cells with the width of each.
fn line(cells: impl IntoIterator<Item = (String, usize)>) -> String {
    let padded: Vec<_> = cells
        .into_iter()
        .map(|(cell, width)| format!("{cell:width$}"))
        .collect();
    format!("{}\n", padded.join(" ").trim_end())
}

/// Milliseconds as seconds, a tenth exactly; a dash for what did not happen.
fn seconds(ms: Option<u64>) -> String {
    ms.map_or_else(
        || "-".to_owned(),
        |ms| format!("{}.{} s", ms / 1000, ms % 1000 / 100),
    )
}
