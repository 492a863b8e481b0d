//! Reports of made-up journals: files for whole pages, single facts for everything that must hold.

use std::path::PathBuf;
use std::sync::Arc;

use super::account::{EffectOutcome, GateResult, IssueKind, Severity};
use super::fixture::{self, Journal, stories};
use super::model::{LegStart, Report, Standing, Verdict};
use super::{ReportError, html, json, markdown};
use crate::clock::Instant;
use crate::journal::record::Record;
use crate::plan::{Plan, Step};
use crate::run::state::StepState;

fn report(entries: &[crate::journal::record::Entry]) -> Report {
    Report::of(entries).unwrap()
}

/// Compares with the file of this name. `UNDERSTUDY_BLESS=1 cargo test` writes the files anew, to be reviewed.
fn matches_file(name: &str, actual: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("src/report/snapshots")
        .join(name);
    if std::env::var_os("UNDERSTUDY_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    let differing = expected
        .lines()
        .zip(actual.lines())
        .enumerate()
        .find(|(_, (expected, actual))| expected != actual);
    assert!(
        expected == actual,
        "{name} differs, first at {differing:?}; UNDERSTUDY_BLESS=1 writes it anew"
    );
}

#[test]
fn whole_reports_are_as_reviewed() {
    let whole = report(&stories::failover_and_failback());
    matches_file("failover-and-failback.md", &markdown::render(&whole));
    matches_file("failover-and-failback.json", &json::render(&whole).unwrap());
    matches_file("stuck.md", &markdown::render(&report(&stories::stuck())));
    matches_file("killed.md", &markdown::render(&report(&stories::killed())));
    matches_file("denied.md", &markdown::render(&report(&stories::denied())));
}

#[test]
fn a_strategy_that_took_over_ends_the_leg_of_the_one_it_replaced() {
    let steps =
        |ids: &[&str]| -> Vec<Step> { ids.iter().map(|id| fixture::plain_step(id)).collect() };
    let first = ["replica/declare", "replica/promote", "failback/flip"];
    let then = ["restore/restore", "failback/flip"];
    let mut journal = Journal::start(fixture::header(&["replica", "failback"], steps(&first)));
    journal.begin("replica/declare");
    journal.mark("replica/declare", "declared", None);
    journal.done("replica/declare", "");
    journal.begin("replica/promote");
    journal.at(60.0);
    journal.say(Record::StrategySwitched {
        from: "replica".parse().unwrap(),
        to: "restore".parse().unwrap(),
        by: "sam".to_owned(),
        note: "it hangs".to_owned(),
        plan: Arc::new(Plan {
            steps: steps(&then),
        }),
    });
    journal.state(
        "replica/promote",
        StepState::Running,
        StepState::Superseded,
        "",
    );
    journal.begin("restore/restore");
    journal.at(100.0);
    journal.mark("restore/restore", "served", Some("bz"));
    let report = report(&journal.entries());
    let ids: Vec<&str> = report.steps.iter().map(|step| step.id.as_str()).collect();
    let expected = [
        "replica/declare",
        "replica/promote",
        "restore/restore",
        "failback/flip",
    ];
    assert_eq!(ids, expected);
    let [leg, failback] = &report.legs[..] else {
        panic!("one leg for both");
    };
    assert_eq!(
        (leg.strategy.as_str(), leg.instead_of.len()),
        ("restore", 1)
    );
    assert_eq!(
        leg.rto.achieved_ms,
        Some(100_000),
        "from the first declaration"
    );
    assert_eq!(failback.instead_of, []);
    assert!(
        markdown::render(&report).contains("restore takes the place of replica, by sam: it hangs")
    );
}

#[test]
fn recovery_time_and_point_follow_their_definitions() {
    let report = report(&stories::failover_and_failback());
    let [failover, failback] = &report.legs[..] else {
        panic!("two strategies are two legs");
    };
    assert_eq!(failover.begun_by, LegStart::Declared);
    assert_eq!(
        failover.rto.achieved_ms,
        Some(544_000),
        "users failed 3 s before the run, served 541 s"
    );
    assert_eq!(failover.begun_to_served_ms, Some(493_000));
    assert_eq!(failover.rto_from_detection_ms, Some(539_000));
    assert_eq!(failover.rpo.achieved_ms, Some(3_200));
    assert_eq!(failover.to_site.as_deref(), Some("bz"));
    assert_eq!(failover.dns.as_ref().unwrap().took_ms, Some(96_900));
    assert_eq!(
        failback.rto.achieved_ms,
        Some(53_000),
        "frozen 1826 s, served 1879 s"
    );
    assert_eq!(failback.begun_to_served_ms, Some(1_179_000));
    assert_eq!(failback.rpo.achieved_ms, Some(0));
    assert!(
        report
            .legs
            .iter()
            .all(|leg| leg.rto.verdict == Verdict::Met)
    );
}

#[test]
fn truth_is_compared_with_what_was_reported() {
    let report = report(&stories::failover_and_failback());
    let truth = report.truth.unwrap();
    let rto = truth.rto.unwrap();
    assert_eq!(rto.basis, "outage to served");
    assert_eq!((rto.difference_percent, rto.flagged), (Some(-0.2), false));
    let rpo = truth.rpo.unwrap();
    assert_eq!((rpo.difference_ms, rpo.flagged), (Some(-900), true));
    let flagged = report
        .issues
        .iter()
        .find(|issue| issue.kind == IssueKind::DiffersFromTruth)
        .unwrap();
    assert_eq!(
        flagged.severity,
        Severity::Problem,
        "it looked better than it was"
    );
}

#[test]
fn what_a_scenario_expects_and_did_not_find_is_an_issue_of_its_own() {
    let mut entries = stories::failover_and_failback();
    let mut judged = entries.last().unwrap().clone();
    judged.seq += 1;
    judged.record = crate::journal::record::Record::Judged {
        missed: vec![crate::journal::record::Missed {
            what: "script: served at bz".to_owned(),
            expected: "reached by T+30:00".to_owned(),
            found: "T+34:12".to_owned(),
        }],
    };
    entries.push(judged);
    let issues = report(&entries).issues;
    let mut missed = issues
        .iter()
        .filter(|issue| issue.kind == IssueKind::ExpectationMissed);
    let (Some(issue), None) = (missed.next(), missed.next()) else {
        panic!("one issue: {issues:?}")
    };
    assert_eq!(issue.severity, Severity::Problem);
    assert!(issue.text.contains("script: served at bz") && issue.text.contains("T+34:12"));
}

#[test]
fn an_outage_that_nobody_dated_is_told_as_such() {
    let mut entries = stories::failover_and_failback();
    entries.retain(|entry| {
        let record = &entry.record;
        !matches!(record, crate::journal::record::Record::Measured { name, .. } if name.starts_with("outage-began"))
    });
    let report = report(&entries);
    let leg = &report.legs[0];
    assert_eq!((leg.outage_began_at, leg.rto_from), (None, leg.begun_at));
    assert_eq!(leg.rto.achieved_ms, Some(493_000), "declared to served");
    assert!(leg.rto.basis.contains("is not known"), "{}", leg.rto.basis);
    assert!(leg.rpo.basis.contains("upper bound"), "{}", leg.rpo.basis);
    let rto = report.truth.unwrap().rto.unwrap();
    assert!(rto.flagged, "it leaves out the time before the declaration");
}

#[test]
fn what_a_leg_that_served_nobody_would_lose_is_no_loss_yet() {
    let mut entries = stories::failover_and_failback();
    entries.retain(|entry| {
        let record = &entry.record;
        !matches!(record, crate::journal::record::Record::Marked { name, .. } if name == "served")
    });
    let report = report(&entries);
    let leg = &report.legs[0];
    assert_eq!(
        (leg.rto.achieved_ms, leg.rpo.achieved_ms),
        (None, Some(3_200))
    );
    assert_eq!(report.truth.unwrap().rpo, None);
}

#[test]
fn the_same_trouble_again_and_again_is_one_issue() {
    let mut entries = stories::denied();
    let denials: Vec<_> = entries
        .iter()
        .filter(|entry| matches!(entry.record.kind(), "intent" | "outcome"))
        .cloned()
        .collect();
    for mut entry in denials {
        use crate::journal::record::Record;
        if let Record::Intent { site, .. } | Record::Outcome { site, .. } = &mut entry.record {
            site.ordinal += 1;
        }
        entries.push(entry);
    }
    let issues = report(&entries).issues;
    let denied: Vec<_> = issues
        .iter()
        .filter(|issue| issue.kind == IssueKind::Denied)
        .collect();
    assert_eq!(denied.len(), 1);
    assert!(
        denied[0].text.ends_with("; 2 times, until 09:00:02"),
        "{}",
        denied[0].text
    );
}

#[test]
fn steps_are_timed_without_the_people() {
    let report = report(&stories::failover_and_failback());
    let step = |id: &str| report.steps.iter().find(|s| s.id.as_str() == id).unwrap();
    let activate = step("replica/activate");
    assert_eq!(
        (activate.took_ms, activate.over_budget_ms),
        (Some(292_000), Some(52_000))
    );
    let flip = step("replica/flip");
    assert_eq!(
        (flip.took_ms, flip.waited_for_people_ms),
        (Some(3_000), 54_000)
    );
    let validate = step("replica/validate");
    assert_eq!(
        (validate.attempts, validate.waited_for_people_ms),
        (2, 24_000)
    );
    assert_eq!(validate.took_ms, Some(65_000 + 52_000));
}

#[test]
fn gates_say_who_answered_and_after_how_long() {
    let report = report(&stories::failover_and_failback());
    let flip = report
        .gates
        .iter()
        .find(|g| g.gate == "flip-before")
        .unwrap();
    assert_eq!((flip.result, flip.took_ms), (GateResult::Go, Some(54_000)));
    assert_eq!(flip.answers[0].by, "sam");
}

#[test]
fn a_run_that_was_killed_has_a_report_too() {
    let report = report(&stories::killed());
    assert_eq!(report.conclusion.ending, Standing::Unfinished);
    assert_eq!(report.legs[0].rto.verdict, Verdict::Unknown);
    assert!(
        report
            .issues
            .iter()
            .any(|i| i.kind == IssueKind::Unanswered)
    );
    assert!(
        report
            .issues
            .iter()
            .any(|i| i.kind == IssueKind::Unfinished)
    );
    assert_eq!(report.scope.excluded.len(), 4, "flip and what needs it");
}

#[test]
fn a_stuck_run_shows_the_effect_in_doubt_and_the_waiver() {
    let report = report(&stories::stuck());
    assert_eq!(report.conclusion.ending, Standing::Stuck);
    assert_eq!(report.run.resumes, 1);
    assert_eq!(report.effects[0].outcome, EffectOutcome::InDoubt);
    for kind in [
        IssueKind::InDoubt,
        IssueKind::Stuck,
        IssueKind::LossWaived,
        IssueKind::ObjectiveMissed,
        IssueKind::Resumed,
    ] {
        assert!(report.issues.iter().any(|i| i.kind == kind), "{kind:?}");
    }
    assert_eq!(report.legs[1].begun_by, LegStart::NotBegun);
    let dropped = &report.scope.excluded[0];
    assert_eq!(dropped.step.as_str(), "replica/warm-up");
    assert_eq!(dropped.reason, "taken out by the runbook");
}

#[test]
fn an_ending_before_a_resume_is_no_ending() {
    let mut entries = stories::stuck();
    let mut resumed = entries[0].clone();
    resumed.at = Instant(fixture::START + 500_000);
    resumed.record = crate::journal::record::Record::RunResumed {
        host_version: "0.1.1".to_owned(),
    };
    entries.push(resumed);
    assert_eq!(report(&entries).conclusion.ending, Standing::Unfinished);
}

#[test]
fn a_denied_call_shows_the_grant_and_the_run_is_undone() {
    let report = report(&stories::denied());
    assert_eq!(report.conclusion.ending, Standing::Undone);
    let denied = &report.effects[0];
    assert_eq!(
        (denied.outcome, denied.attempts),
        (EffectOutcome::Denied, 0)
    );
    assert!(
        denied.detail.contains("PO0001") && denied.detail.contains("allow = \"dns/ensure-record\"")
    );
    assert_eq!(report.steps[1].state, StepState::Undone);
    assert!(
        report
            .scope
            .excluded
            .iter()
            .any(|e| e.reason.starts_with("skipped"))
    );
}

#[test]
fn every_prefix_of_a_journal_has_a_report_in_every_format() {
    for entries in [
        stories::failover_and_failback(),
        stories::stuck(),
        stories::denied(),
    ] {
        for cut in 1..=entries.len() {
            let report = report(&entries[..cut]);
            assert!(markdown::render(&report).contains("## Action items"));
            assert!(html::render(&report).ends_with("</html>\n"));
            assert!(json::render(&report).unwrap().ends_with("}\n"));
        }
    }
}

#[test]
fn what_is_no_journal_is_refused() {
    assert_eq!(Report::of(&[]).unwrap_err(), ReportError::Empty);
    let entries = stories::stuck();
    assert_eq!(Report::of(&entries[1..]).unwrap_err(), ReportError::NoStart);
}

#[test]
fn hostile_text_stays_text_in_markdown() {
    let page = markdown::render(&report(&stories::denied()));
    for bad in ["<script", "\u{1b}", "\u{202e}", "[x](", "\n# x"] {
        assert!(!page.contains(bad), "{bad:?} got through");
    }
}

/// Writes the page where it can be looked at, and gives it to the test.
fn page(name: &str, entries: &[crate::journal::record::Entry]) -> String {
    let page = html::render(&report(entries));
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/report-pages");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), &page).unwrap();
    page
}

#[test]
fn the_page_stands_alone() {
    let page = page(
        "failover-and-failback.html",
        &stories::failover_and_failback(),
    );
    for bad in [
        "<script",
        "http://",
        "https://",
        "src=",
        "@import",
        "javascript:",
        "onload",
    ] {
        assert!(!page.contains(bad), "{bad:?} is in the page");
    }
    assert!(page.contains("default-src 'none'") && page.contains("prefers-color-scheme: dark"));
    assert!(page.contains("@media print"));
}

#[test]
fn the_page_shows_both_legs_with_their_figures() {
    let page = page(
        "failover-and-failback.html",
        &stories::failover_and_failback(),
    );
    assert_eq!(page.matches("<svg class=\"timeline\"").count(), 2);
    for text in [
        "8m 13s",
        "53s",
        "1m 36s",
        "✗ differs",
        "over by 52s",
        "“media volume was remounted”",
    ] {
        assert!(page.contains(text), "{text:?} is missing");
    }
    assert_eq!(
        page.matches("<table").count(),
        page.matches("</table>").count()
    );
    assert!(
        page.matches("scope=\"col\"").count() > 40,
        "tables have headings"
    );
}

#[test]
fn every_page_has_a_drawing_for_what_was_begun() {
    assert_eq!(
        page("stuck.html", &stories::stuck())
            .matches("<svg class=\"timeline\"")
            .count(),
        1
    );
    assert!(page("killed.html", &stories::killed()).contains("… unfinished"));
}

#[test]
fn hostile_text_stays_text_in_the_page() {
    let page = page("denied.html", &stories::denied());
    assert!(page.contains("&lt;script&gt;alert(1)"));
    for bad in ["<script", "\u{1b}", "\u{202e}", "\"'>"] {
        assert!(!page.contains(bad), "{bad:?} got through");
    }
}
