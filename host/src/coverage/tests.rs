use super::checklist::{self, ChecklistError, Row};
use super::declared::{Declared, DeclaredError};
use super::{Carried, Coverage, CoveredRow, coverage};
use crate::journal::record::{Entry, Record, Stage};
use crate::name::{ItemId, StepId};
use crate::report::fixture::stories::failover_and_failback;
use crate::report::model::Report;

const CHECKLIST: &str = "\
id\tkind\titem\timplies
S0-A2.1\top\tPromote the replica\tx
S0-A6.7\tcheck\tLatency is within bounds\tx
S0-M2\tmetric\tRPO\tx
S0-I6\tdecision\tA step over its budget\tx
S0-N1\tdoc\tBacklog\tx
S0-D9\tdoc\tNobody thought of this\tx
S9-A1\top\tOf another document\tx
";

const DECLARED: &str = r#"
sources = ["S0"]

[[rows]]
items = ["S0-M2"]
how = "the report's RPO"
seen = ["measured replication-lag"]

[[rows]]
items = ["S0-I6"]
how = "a step over its budget is asked about"
seen = ["asked over-budget"]

[[rows]]
items = ["S0-N1"]
why-not = "no part of a recovery"
"#;

fn rows() -> Vec<Row> {
    checklist::read(CHECKLIST).unwrap()
}

fn planned() -> Vec<(StepId, Vec<ItemId>)> {
    let step = |step: &str, items: &[&str]| {
        let items = items.iter().map(|item| item.parse().unwrap());
        (step.parse().unwrap(), items.collect())
    };
    vec![
        step("replica/promote", &["S0-A2.1"]),
        step("replica/observe", &["S0-A6.7"]),
    ]
}

fn story(stage: Stage) -> Vec<Entry> {
    let mut entries = failover_and_failback();
    if let Some(Record::RunStarted(header)) = entries.first_mut().map(|entry| &mut entry.record) {
        header.stage = stage;
    }
    entries
}

fn covered_by(entries: &[Entry]) -> Coverage {
    let Record::RunStarted(header) = &entries[0].record else {
        panic!("no header");
    };
    let report = Report::of(entries).unwrap();
    let run = Carried {
        header,
        entries,
        steps: &report.steps,
    };
    let declared = Declared::read(DECLARED).unwrap();
    coverage(&rows(), &declared, &planned(), &[run])
}

fn row<'a>(coverage: &'a Coverage, id: &str) -> &'a CoveredRow {
    let mut rows = coverage.rows.iter();
    rows.find(|row| row.row.id.as_str() == id).unwrap()
}

#[test]
fn a_row_is_covered_by_steps_or_by_what_is_declared() {
    let found = covered_by(&story(Stage::Live));
    assert_eq!((found.rows.len(), found.left_out), (6, 1));
    let promoted = row(&found, "S0-A2.1");
    assert_eq!(
        promoted.steps.first().unwrap().to_string(),
        "replica/promote"
    );
    assert!(promoted.covered());
    assert_eq!(
        row(&found, "S0-M2").how.as_deref(),
        Some("the report's RPO")
    );
    assert!(!row(&found, "S0-N1").covered() && !row(&found, "S0-N1").forgotten());
    assert!(row(&found, "S0-D9").forgotten());
}

#[test]
fn carried_out_is_what_a_journal_shows_of_its_stage() {
    let live = covered_by(&story(Stage::Live));
    assert!(row(&live, "S0-A2.1").live && !row(&live, "S0-A2.1").rehearsed);
    // In the plan and in no run.
    assert!(!row(&live, "S0-A6.7").live);
    // Declared, with records that the run has, and with records that it may not have.
    assert!(row(&live, "S0-M2").live);
    let asked = |record: &Record| {
        matches!(
            record,
            Record::GateOpened {
                kind: crate::journal::record::GateKind::OverBudget,
                ..
            }
        )
    };
    let over_budget = failover_and_failback()
        .iter()
        .any(|entry| asked(&entry.record));
    assert_eq!(row(&live, "S0-I6").live, over_budget);
    let rehearsed = covered_by(&failover_and_failback());
    assert!(row(&rehearsed, "S0-A2.1").rehearsed && !row(&rehearsed, "S0-A2.1").live);
}

#[test]
fn a_step_that_was_not_done_carries_nothing_out() {
    let mut entries = story(Stage::Live);
    let promoted: StepId = "replica/promote".parse().unwrap();
    let begun = entries.iter().position(
        |entry| matches!(&entry.record, Record::StepChanged { step, .. } if *step == promoted),
    );
    entries.truncate(begun.unwrap() + 1);
    assert!(!row(&covered_by(&entries), "S0-A2.1").live);
}

#[test]
fn items_of_no_row_are_named() {
    let declared =
        Declared::read("sources = []\n[[rows]]\nitems = [\"S0-Z9\"]\nhow = \"x\"\n").unwrap();
    let found = coverage(&rows(), &declared, &planned(), &[]);
    let unknown: Vec<&str> = found.unknown.iter().map(ItemId::as_str).collect();
    assert_eq!(unknown, ["S0-Z9"]);
    assert_eq!(
        (found.rows.len(), found.left_out),
        (7, 0),
        "no source named: all"
    );
}

#[test]
fn a_declaration_says_one_thing_of_a_row_once() {
    let read = |text: &str| Declared::read(&format!("sources = [\"S0\"]\n{text}")).unwrap_err();
    let both = "[[rows]]\nitems = [\"S0-N1\"]\nhow = \"a\"\nwhy-not = \"b\"\n";
    assert_eq!(read(both), DeclaredError::Neither("S0-N1".to_owned()));
    let twice = "[[rows]]\nitems = [\"S0-N1\", \"S0-N1\"]\nhow = \"a\"\n";
    assert_eq!(read(twice), DeclaredError::Twice("S0-N1".parse().unwrap()));
    let evidence = "[[rows]]\nitems = [\"S0-N1\"]\nhow = \"a\"\nseen = [\"asked nobody\"]\n";
    assert!(read(evidence).to_string().contains("`asked nobody`"));
    let why = "[[rows]]\nitems = [\"S0-N1\"]\nwhy-not = \"a\"\nseen = [\"run\"]\n";
    assert_eq!(read(why), DeclaredError::Neither("S0-N1".to_owned()));
    assert!(
        read("[[rows]]\nitem = \"S0-N1\"\n")
            .to_string()
            .contains("line")
    );
}

#[test]
fn a_checklist_is_refused_with_its_line() {
    assert_eq!(
        checklist::read("kind\titem\n"),
        Err(ChecklistError::NoColumn("id"))
    );
    assert_eq!(
        checklist::read("id\tkind\titem\nS0-A1\top\n"),
        Err(ChecklistError::NoCell {
            line: 2,
            column: "item"
        })
    );
    assert_eq!(
        checklist::read("id\tkind\titem\nS0-A1\top\tx\nS0-A1\top\tx\n"),
        Err(ChecklistError::Twice {
            line: 3,
            id: "S0-A1".parse().unwrap()
        })
    );
    assert!(matches!(
        checklist::read("id\tkind\titem\nS0 A1\top\tx\n"),
        Err(ChecklistError::BadId { line: 2, .. })
    ));
}
