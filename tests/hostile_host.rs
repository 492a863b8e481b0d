//! Guests that misbehave, in the whole host: each is stopped by a limit that the journal names, and the run ends in order.
//! What one instance may use is tested closer in `hostile_guests.rs`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test: what does not hold must end it"
)]

use std::process::Output;

use records::records;
use serde_json::Value;
use stage::{PLUGINS, Stage, text};

#[path = "support/records.rs"]
mod records;
#[path = "support/shipped.rs"]
mod shipped;
#[path = "support/stage.rs"]
mod stage;

/// The plugins, and a grant for the hostile strategy to read any record and to change the active one.
fn hostile(strategy: &str) -> String {
    let plugins = PLUGINS.display();
    format!(
        r#"
[plugins.hostile]
path = "{plugins}/hostile-strategy.wasm"
[strategies.hostile]
plugin = "hostile"
parameters = {{ {strategy} }}
[[grants]]
strategy = "hostile"
allow = "dns/get-record"
[[grants]]
strategy = "hostile"
allow = "dns/ensure-record"
only = {{ name = ["wp-active.example.test"] }}
"#
    )
}

/// A runbook of the hostile strategy and the hostile provider, with what they do.
fn runbook(strategy: &str, provider: &str) -> Stage {
    let plugins = PLUGINS.display();
    let hostile = hostile(strategy);
    let runbook = format!(
        r#"
[runbook]
format = 1
name = "hostile"
summary = "Guests that misbehave"
[targets]
rto = "30m"
rpo = "5m"
[sites.pz]
title = "Primary zone"
[sites.bz]
title = "Backup zone"
[procedures]
attack = ["hostile"]
{hostile}
[plugins.hostile-provider]
path = "{plugins}/hostile-provider.wasm"
[[bindings]]
contract = "understudy:dns/dns@0.1.0"
plugin = "hostile-provider"
config = {{ {provider} }}
[[steps]]
step = "hostile/attack"
budget = "20s"
"#
    );
    Stage::with(&runbook).locked()
}

/// Runs it for real. Nobody wants a failed step to be tried again.
fn run(stage: &Stage) -> Output {
    stage.run(&[
        "run",
        "runbook.toml",
        "--answer",
        "incident-commander=no-go",
    ])
}

/// The changes of the only step's state: to which, and why.
fn changes(journal: &str) -> Vec<(String, String)> {
    let told = |body: &Value, key: &str| body[key].as_str().unwrap().to_owned();
    records(journal)
        .iter()
        .filter(|record| record["type"] == "step-changed")
        .map(|record| (told(&record["body"], "to"), told(&record["body"], "detail")))
        .collect()
}

/// Expects the step to fail for a reason with this code and these words, and the run to end in order: taken back, with a
/// report, an intact journal and a page about the code.
fn fails(strategy: &str, provider: &str, code: &str, words: &str) -> String {
    let stage = runbook(strategy, provider);
    let output = run(&stage);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{strategy}: {said}");
    let journal = stage.journal();
    let changes = changes(&journal);
    let failed = changes.iter().find(|(to, _)| to == "failed");
    let Some((_, why)) = failed else {
        panic!("{strategy}: nothing failed: {changes:?}");
    };
    assert!(
        why.contains(code) && why.contains(words),
        "{strategy}, {provider}: {why}"
    );
    let name = stage.only_run();
    assert!(stage.path("runs").join(&name).join("report.html").is_file());
    assert_eq!(stage.run(&["verify", &name]).status.code(), Some(0));
    assert_eq!(stage.run(&["explain", code]).status.code(), Some(0));
    let shown = stage.run(&["show", &name]);
    assert!(
        text(&shown.stdout).contains(code),
        "{}",
        text(&shown.stdout)
    );
    journal
}

#[test]
fn a_strategy_that_uses_too_much_of_the_machine_fails_its_step() {
    let none = r#"attack = "trap""#;
    fails(
        r#"attack = "memory""#,
        none,
        "PG0007",
        "more than 64 MiB of memory",
    );
    fails(r#"attack = "cpu""#, none, "PG0007", "used up its fuel");
    fails(r#"attack = "stack""#, none, "PG0007", "stack overflowed");
    fails(r#"attack = "trap""#, none, "PG0007", "panicked");
    let aliased = r#"attack = "payload-aliased", strings = 4096"#;
    fails(aliased, none, "PG0007", "more than 8 MiB at once");
}

#[test]
fn a_strategy_that_calls_logs_or_passes_too_much_fails_its_step() {
    let none = r#"attack = "trap""#;
    fails(
        r#"attack = "calls""#,
        none,
        "RN0003",
        "more than 2000 calls",
    );
    let words = "a step may pass to one call; pass less";
    fails(r#"attack = "payload", mib = 1"#, none, "PG0017", words);
    let words = "at most 65536 are kept";
    fails(r#"attack = "attach""#, none, "PG0017", words);
    let journal = fails(
        r#"attack = "volume""#,
        none,
        "PG0017",
        "more than 33554432 bytes",
    );
    assert!(journal.len() < 40 << 20, "{} bytes", journal.len());

    let journal = fails(r#"attack = "log""#, none, "RN0003", "more than 2000 calls");
    let lines: Vec<Value> = records(&journal)
        .into_iter()
        .filter(|record| record["type"] == "logged")
        .collect();
    assert_eq!(
        lines.len(),
        65,
        "64 KiB in lines of 1 KiB, and the one that says so"
    );
    let last = lines[64]["body"]["message"].as_str().unwrap();
    assert!(
        last.starts_with("PG0017: the log of this attempt is full"),
        "{last}"
    );
}

#[test]
fn a_provider_that_uses_too_much_fails_the_step_that_called_it() {
    let relay = r#"attack = "relay""#;
    fails(
        relay,
        r#"attack = "memory""#,
        "PG0007",
        "more than 64 MiB of memory",
    );
    fails(
        relay,
        r#"attack = "cpu""#,
        "PG0007",
        "computed for more than 2 s",
    );
    fails(relay, r#"attack = "trap""#, "PG0007", "panicked");
    let response = r#"attack = "response", values = 2500"#;
    fails(
        relay,
        response,
        "PG0017",
        "more than the 2097152 that are recorded",
    );
    let flood = r#"attack = "http-flood", url = "https://evil.example.test/""#;
    fails(relay, flood, "RN0003", "more than 500 calls");
}

#[test]
fn a_provider_that_reaches_for_what_is_not_granted_is_told_the_line() {
    let http = r#"attack = "http", url = "https://evil.example.test/x""#;
    let journal = fails(
        r#"attack = "relay""#,
        http,
        "CP0001",
        "https://evil.example.test",
    );
    assert!(journal.contains("denied CP0001"), "the use is recorded");
}

#[test]
fn a_step_that_never_ends_is_taken_back_when_people_have_had_enough() {
    let stage = runbook(r#"attack = "relay-effect""#, r#"attack = "hang""#);
    let path = stage.path("runbook.toml");
    let runbook = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        runbook.replace("budget = \"20s\"", "budget = \"1s\""),
    )
    .unwrap();
    let output = run(&stage);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let records = records(&stage.journal());
    let has = |wanted: &str| records.iter().any(|record| record["type"] == wanted);
    assert!(
        has("waiting") && has("budget-exceeded") && has("gate-answered"),
        "{records:?}"
    );
}

#[test]
fn a_change_of_another_record_is_denied_with_the_grant_that_would_allow_it() {
    let stage = shipped::edited(|text| text + &hostile(r#"attack = "deny-dns""#)).locked();
    let output = stage.run(&["rehearse", "runbook.toml", "--strategy", "hostile"]);
    let said = text(&output.stderr);
    assert!(matches!(output.status.code(), Some(1 | 3)), "{said}");
    let journal = stage.journal();
    let denials: Vec<Value> = records(&journal)
        .iter()
        .map(|record| record["body"]["reply"]["Err"]["denied"].clone())
        .filter(|denial| !denial.is_null())
        .collect();
    assert!(denials.len() >= 2, "{said}");
    for (denial, name) in denials
        .iter()
        .zip(["wp-pz.example.test", "wp-bz.example.test"])
    {
        assert_eq!(denial["rule"], "PO0002");
        let line = format!(
            "[[grants]]\nstrategy = \"hostile\"\nallow = \"dns/ensure-record\"\nonly = {{ name = [\"{name}\"] }}"
        );
        assert_eq!(denial["grant"], line);
    }
    let changes = changes(&journal);
    let (_, why) = changes.iter().find(|(to, _)| to == "failed").unwrap();
    assert!(
        why.contains("PO0002") && why.contains("wp-bz.example.test"),
        "{why}"
    );
}

#[test]
fn a_step_that_never_ends_is_taken_back_also_where_every_answer_is_go() {
    let stage = runbook(r#"attack = "relay-effect""#, r#"attack = "hang""#);
    let path = stage.path("runbook.toml");
    let runbook = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, runbook.replace("\"20s\"", "\"100ms\"")).unwrap();
    let args = ["run", "runbook.toml", "--answer", "incident-commander=go"];
    let output = stage.run(&args);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let journal = stage.journal();
    assert!(
        journal.contains("20 extensions without people are enough"),
        "{}",
        text(&output.stderr)
    );

    let stage = shipped::edited(|text| text + &hostile(r#"attack = "sleep""#)).locked();
    let output = stage.run(&["rehearse", "runbook.toml", "--strategy", "hostile"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let journal = stage.journal();
    assert!(journal.contains("20 extensions are enough"));
}

#[test]
fn a_rehearsed_step_that_never_ends_meets_its_deadline() {
    let stage = shipped::edited(|text| text + &hostile(r#"attack = "sleep""#)).locked();
    let args = [
        "rehearse",
        "runbook.toml",
        "--strategy",
        "hostile",
        "--scenario",
        "silent-commander",
    ];
    let output = stage.run(&args);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    let changes = changes(&stage.journal());
    let (_, why) = changes.iter().find(|(to, _)| to == "failed").unwrap();
    assert!(why.contains("deadline"), "{why}");
}
