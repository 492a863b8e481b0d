//! The binary as people and scripts use it, on journals that the library wrote: commands that need no plugin.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, where a panic is the answer"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use serde_json::{Value, json};
use understudy::clock::{Instant, VirtualClock};
use understudy::journal::mailbox::{Mailbox, Message, Target};
use understudy::journal::record::{Choice, Header, Record};
use understudy::journal::redact::Redactor;
use understudy::journal::runs::Runs;
use understudy::journal::sqlite::{SqliteOptions, SqliteStore};
use understudy::journal::{Durability, Journal, Setup};

const RUN: &str = "20260301t090000z-wordpress-ab12";
const GATE: &str = "replica/flip:before:1";

/// A folder of runs with one run in it, whose host has gone away while a question was open.
struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let run = Runs::in_folder(folder.path().join("runs"))
            .create(&RUN.parse().unwrap())
            .unwrap();
        let clock = VirtualClock::starting_at(Instant(1_772_355_600_000));
        let setup = Setup::inline(Arc::new(clock.clone()), Redactor::none());
        let store = SqliteStore::create(&run, SqliteOptions::default()).unwrap();
        let journal = Journal::create(Box::new(store), setup, header()).unwrap();
        for record in records() {
            clock
                .block_on(journal.append(record, Durability::Durable))
                .unwrap()
                .unwrap();
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn understudy(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_understudy"));
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("USER", "robin");
        command.env("UNDERSTUDY_RUNS", self.path("runs")).args(args);
        command.output().unwrap()
    }

    /// Runs and expects an exit code; stdout, stderr.
    fn expect(&self, code: i32, args: &[&str]) -> (String, String) {
        let output = self.understudy(args);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (out, err) = (text(output.stdout), text(output.stderr));
        assert_eq!(output.status.code(), Some(code), "{args:?}\n{out}\n{err}");
        assert!(
            !out.contains('\u{1b}') && !err.contains('\u{1b}'),
            "colour without a terminal: {args:?}"
        );
        (out, err)
    }

    fn mail(&self) -> Vec<Message> {
        let mailbox = Mailbox::open(&self.path("runs").join(RUN)).unwrap();
        mailbox
            .unread()
            .unwrap()
            .into_iter()
            .map(|mail| mail.message.unwrap())
            .collect()
    }
}

fn header() -> Header {
    let step = |id: &str, needs: Value| {
        json!({
            "id": id, "performs": id, "title": format!("Do {id}"), "role": "dns-lead", "budget-ms": 60_000, "needs": needs,
            "reversal": "undo", "acts": [], "covers": ["S0-A5.1"], "uses": ["dns"], "gate-before": null, "gate-after": null,
        })
    };
    let zeros = "0".repeat(64);
    serde_json::from_value(json!({
        "version": 1, "run": RUN, "runbook": "wordpress", "runbook-digest": zeros, "runbook-path": "runbook.toml",
        "overlays": [], "strategies": ["replica"], "stage": {"kind": "live"}, "mode": "graceful",
        "rto-target-ms": 900_000, "rpo-target-ms": 60_000, "plugins": {}, "policy-digest": zeros,
        "host-version": "0.1.0", "started-by": "alex",
        "plan": {"steps": [step("replica/declare", json!([])), step("replica/flip", json!(["replica/declare"]))]},
    }))
    .unwrap()
}

fn records() -> Vec<Record> {
    let changed = |step: &str, from: &str, to: &str| json!({"type": "step-changed", "body": {"step": step, "attempt": 1, "from": from, "to": to, "detail": ""}});
    let rule = json!({"role": "dns-lead", "quorum": 1, "timeout-ms": null, "default": null});
    [
        changed("replica/declare", "pending", "running"),
        json!({"type": "marked", "body": {"step": "replica/declare", "name": "declared", "site": null}}),
        changed("replica/declare", "running", "done"),
        changed("replica/flip", "pending", "awaiting-go"),
        json!({"type": "gate-opened", "body": {
            "gate": GATE, "step": "replica/flip", "kind": "before", "rule": rule, "title": "Flip the name?",
            "detail": "bz serves", "plan-digest": "0",
        }}),
    ]
    .into_iter()
    .map(|record| serde_json::from_value(record).unwrap())
    .collect()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn runs_are_listed_for_people_and_for_programs() {
    let lab = Lab::new();
    let (table, _) = lab.expect(0, &["runs"]);
    assert!(
        table.lines().nth(1).unwrap().starts_with(RUN) && table.contains("left"),
        "{table}"
    );
    let (list, _) = lab.expect(0, &["runs", "-o", "json"]);
    assert_eq!(json(&list)[0]["standing"], "left");
    assert_eq!(json(&list)[0]["glance"]["records"], 6);
    let (none, told) = lab.expect(0, &["runs", "--runs-dir", "elsewhere"]);
    assert_eq!(
        (none.as_str(), told.as_str()),
        ("", "no runs in `elsewhere`\n")
    );
}

#[test]
fn show_tells_what_is_asked_and_how_to_answer() {
    let lab = Lab::new();
    let (text, _) = lab.expect(0, &["show", "20260301"]);
    let command = format!("understudy decide {RUN} replica/flip go|no-go --as dns-lead");
    for part in [
        "left by its host",
        "Flip the name?",
        "bz serves",
        &command,
        "waits for go",
        "declared",
    ] {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
    let (shown, _) = lab.expect(0, &["show", RUN, "-o", "json"]);
    assert_eq!(json(&shown)["conclusion"]["ending"], "unfinished");
    let (_, error) = lab.expect(2, &["show", "2025"]);
    assert!(error.contains("understudy explain JN0012"), "{error}");
}

#[test]
fn a_report_is_written_in_every_format() {
    let lab = Lab::new();
    assert!(
        lab.expect(0, &["report", RUN])
            .0
            .starts_with("# Postmortem: wordpress")
    );
    let (report, _) = lab.expect(0, &["report", RUN, "-o", "json"]);
    assert_eq!(json(&report)["report-version"], 1);
    let (out, told) = lab.expect(0, &["report", RUN, "--out", "new/report.html"]);
    assert_eq!(
        (out.as_str(), told.as_str()),
        ("", "wrote `new/report.html`\n")
    );
    let page = std::fs::read_to_string(lab.path("new/report.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("<svg class=\"timeline\""));
}

#[test]
fn an_export_verifies_until_somebody_touches_it() {
    let lab = Lab::new();
    let (ok, _) = lab.expect(0, &["verify", RUN, "-o", "json"]);
    let last = json(&ok)["last-hash"].as_str().unwrap().to_owned();
    lab.expect(0, &["report", RUN, "--out", "run.jsonl"]);
    assert!(
        lab.expect(0, &["verify", "run.jsonl", "--contains", &last])
            .0
            .starts_with("ok: 6 records")
    );
    let (_, error) = lab.expect(2, &["verify", "run.jsonl", "--contains", &"f".repeat(64)]);
    assert!(error.contains("records are missing at the end"), "{error}");

    let whole = std::fs::read_to_string(lab.path("run.jsonl")).unwrap();
    let cut: String = whole
        .lines()
        .take(5)
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(lab.path("cut.jsonl"), cut).unwrap();
    lab.expect(0, &["verify", "cut.jsonl"]);
    lab.expect(2, &["verify", "cut.jsonl", "--contains", &last]);

    std::fs::write(
        lab.path("run.jsonl"),
        whole.replace("Flip the name?", "Flop the name?"),
    )
    .unwrap();
    let (_, error) = lab.expect(2, &["verify", "run.jsonl"]);
    assert!(
        error.contains("JN0004") && error.contains("entry 5"),
        "{error}"
    );
    std::fs::write(lab.path("noise"), [0xff, 0xfe]).unwrap();
    lab.expect(2, &["verify", "noise"]);
}

#[test]
fn an_answer_reaches_the_mailbox_if_it_answers_something() {
    let lab = Lab::new();
    let (_, error) = lab.expect(2, &["decide", RUN, "replica/flip", "go", "--as", "db-lead"]);
    assert!(error.contains("--as dns-lead"), "{error}");
    let (_, error) = lab.expect(
        2,
        &["decide", RUN, "replica/declare", "go", "--as", "dns-lead"],
    );
    assert!(
        error.contains("asks nothing about") && error.contains("replica/flip"),
        "{error}"
    );
    lab.expect(
        2,
        &["decide", RUN, "replica/flip", "perhaps", "--as", "dns-lead"],
    );
    assert_eq!(lab.mail(), [], "nothing was posted so far");

    let (said, told) = lab.expect(
        0,
        &[
            "decide",
            RUN,
            "replica/flip",
            "no-go",
            "--as",
            "dns-lead",
            "--note",
            "cold",
        ],
    );
    assert!(said.starts_with("no-go by robin as dns-lead"), "{said}");
    assert!(told.contains("understudy resume"), "{told}");
    let answer = Message::Decide {
        target: Target::Gate(GATE.to_owned()),
        choice: Choice::NoGo,
        by: "robin".to_owned(),
        role: "dns-lead".parse().unwrap(),
        note: "cold".to_owned(),
    };
    assert_eq!(lab.mail(), [answer]);
}

#[test]
fn an_abort_reaches_the_mailbox() {
    let lab = Lab::new();
    lab.expect(2, &["abort", RUN]);
    lab.expect(0, &["abort", RUN, "--by", "sam", "--reason", "wrong site"]);
    let (by, reason) = ("sam".to_owned(), "wrong site".to_owned());
    assert_eq!(lab.mail(), [Message::Abort { by, reason }]);
}

#[test]
fn a_gate_offers_only_the_strategies_that_may_take_over() {
    let lab = Lab::new();
    let decide = |more: &[&str]| {
        let asked = ["decide", RUN, "replica/flip", "--as", "dns-lead"];
        lab.expect(2, &[asked.as_slice(), more].concat()).1
    };
    assert!(decide(&["switch"]).contains("--to"));
    let refused = decide(&["switch", "--to", "restore"]);
    assert!(refused.contains("does not offer a switch"), "{refused}");
    assert!(decide(&["go", "--to", "restore"]).contains("`switch` alone"));
    assert!(lab.mail().is_empty());
}

#[test]
fn codes_and_shells_are_served() {
    let lab = Lab::new();
    assert!(
        lab.expect(0, &["explain", "jn0004"])
            .0
            .starts_with("# JN0004: ")
    );
    assert!(lab.expect(0, &["explain"]).0.lines().count() > 50);
    lab.expect(2, &["explain", "XX0000"]);
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            lab.expect(0, &["completions", shell])
                .0
                .contains("rehearse"),
            "{shell}"
        );
    }
    assert!(lab.expect(0, &["--help"]).0.contains("Exit codes"));
    lab.expect(2, &["no-such-command"]);
    lab.expect(2, &["runs", "--log", "understudy=loud"]);
}

#[test]
fn check_tells_what_is_wrong_with_a_runbook() {
    let lab = Lab::new();
    let (_, error) = lab.expect(2, &["check", "runbook.toml"]);
    assert!(error.contains("RB0009"), "{error}");
    let text = "[runbook]\nname = \"wordpress\"\nsummary = \"A blog\"\nformat = 1\n\
                [targets]\nrto = \"30m\"\nrpo = \"5m\"\n[plugins.replica]\npath = \"replica.wasm\"\n";
    std::fs::write(lab.path("runbook.toml"), text).unwrap();
    std::fs::write(lab.path("replica.wasm"), "a").unwrap();
    assert!(
        lab.expect(2, &["check", "runbook.toml"])
            .1
            .contains("RB0011")
    );
    lock(&lab.path("runbook.toml"));
    assert!(
        lab.expect(0, &["check", "runbook.toml"])
            .0
            .starts_with("ok: wordpress")
    );
    std::fs::write(lab.path("replica.wasm"), "b").unwrap();
    assert!(
        lab.expect(2, &["check", "runbook.toml"])
            .1
            .contains("RB0012")
    );
    std::fs::write(lab.path("runbook.toml"), format!("{text}[targts]\n")).unwrap();
    assert!(
        lab.expect(2, &["check", "runbook.toml"])
            .1
            .contains("targts")
    );
}

/// As `understudy plugin lock` does.
fn lock(path: &Path) {
    use understudy::runbook::lock::Lock;
    use understudy::runbook::types::Runbook;
    Lock::of(&Runbook::load(path, &[]).unwrap())
        .unwrap()
        .write(path)
        .unwrap();
}
