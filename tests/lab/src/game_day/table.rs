//! The day as a table.

use super::Played;

/// Columns, and how wide each is.
const COLUMNS: [(&str, usize); 9] = [
    ("act", 38),
    ("RTO", 8),
    ("users out", 10),
    ("RPO", 8),
    ("lost", 8),
    ("posts", 6),
    ("pictures", 9),
    ("refused", 8),
    ("DNS: report, resolver, stubborn", 0),
];

/// One line for each act: what the run reports beside what was felt.
#[must_use]
pub fn table(played: &[Played]) -> String {
    let mut text = String::new();
    line(&mut text, &COLUMNS.map(|(title, _)| title.to_owned()));
    for one in played {
        let (reported, felt) = (&one.reported, &one.felt);
        let mut convergence = vec![seconds(Some(reported.convergence_ms))];
        convergence.extend(felt.convergence.values().map(|took| seconds(*took)));
        line(
            &mut text,
            &[
                one.act.title.to_owned(),
                seconds(Some(reported.rto_ms)),
                seconds(Some(felt.out_ms)),
                seconds(Some(reported.rpo_ms)),
                seconds(Some(felt.lost_ms)),
                felt.lost_posts.to_string(),
                felt.lost_media.to_string(),
                felt.refused.to_string(),
                convergence.join(", "),
            ],
        );
    }
    text
}

fn line(text: &mut String, cells: &[String; COLUMNS.len()]) {
    let padded: Vec<_> = cells
        .iter()
        .zip(COLUMNS)
        .map(|(cell, (_, width))| format!("{cell:width$}"))
        .collect();
    text.push_str(padded.join(" ").trim_end());
    text.push('\n');
}

/// Milliseconds as seconds, a tenth exactly; a dash for what did not happen.
fn seconds(ms: Option<u64>) -> String {
    ms.map_or_else(
        || "-".to_owned(),
        |ms| format!("{}.{} s", ms / 1000, ms % 1000 / 100),
    )
}
