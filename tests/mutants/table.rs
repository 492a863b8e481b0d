//! The table of mutants and rules.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use understudy::rehearsal::trace;
use understudy::rules;

use crate::mutant::Mutant;
use crate::trial::Verdict;

/// One line per mutant, one column per rule that catches any; then what the columns are, and why some are not
/// felt.
pub(crate) fn of(verdicts: &[(&Mutant, Verdict)]) -> String {
    let codes: BTreeSet<&String> = verdicts
        .iter()
        .flat_map(|(_, verdict)| &verdict.codes)
        .collect();
    let width = verdicts
        .iter()
        .map(|(mutant, _)| mutant.name.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    let row = |text: &mut String, name: &str, cells: &mut dyn Iterator<Item = &str>| {
        let cells: Vec<&str> = cells.collect();
        writeln!(text, "{name:width$}  {}", cells.join(" ").trim_end()).unwrap();
    };
    row(&mut text, "", &mut codes.iter().map(|code| &code[..2]));
    row(&mut text, "", &mut codes.iter().map(|code| &code[4..]));
    for (mutant, verdict) in verdicts {
        let mut cells = codes.iter().map(|code| {
            if verdict.codes.contains(*code) {
                " x"
            } else {
                " ."
            }
        });
        row(&mut text, &mutant.name, &mut cells);
    }
    text.push('\n');
    let names = names();
    for code in &codes {
        let name = names.iter().find(|(known, _)| known == code);
        writeln!(text, "{code} {}", name.map_or("", |(_, name)| name)).unwrap();
    }
    let unfelt = verdicts
        .iter()
        .filter(|(_, verdict)| verdict.codes.is_empty());
    for (mutant, _) in unfelt {
        let by = mutant.unfelt().unwrap_or("NOTHING");
        writeln!(text, "{} is not felt: {by}", mutant.name).unwrap();
    }
    text
}

/// Code and name of every rule.
fn names() -> Vec<(&'static str, &'static str)> {
    let mut names = rules::names();
    names.extend(trace::names());
    names
}
