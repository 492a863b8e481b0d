//! The defects of the source runbooks, committed one by one: each is a variant of the shipped runbook, or of a shipped
//! scenario, that the host must catch by the rule of its name. And no rule is without something that it caught.
//!
//! The variants are the files of `defects/`, one per row; what cannot be caught says why. Guards inside the strategies
//! are taken away by `tests/mutants`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test: what does not hold must end it"
)]

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use stage::{Stage, root, text};
use understudy::rehearsal::trace;
use understudy::rules;

#[path = "support/shipped.rs"]
mod shipped;
#[expect(dead_code, reason = "journals are for other tests")]
#[path = "support/stage.rs"]
mod stage;

/// Rows of kind `defect` of the two source runbooks.
const ROWS: [(&str, u32); 2] = [("S0-X", 14), ("S1-X", 8)];

/// A row.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Defect {
    /// What is wrong.
    defect: String,
    /// Added to the runbook.
    #[serde(default)]
    runbook: String,
    /// Changed in the runbook.
    #[serde(default)]
    edits: Vec<Edit>,
    /// The shipped scenario in which it shows; none where the plan alone shows it.
    scenario: Option<String>,
    /// Changed in the scenario.
    #[serde(default)]
    world: Vec<Edit>,
    /// The rule that catches it.
    caught_by: Option<Rule>,
    /// What the refusal of the runbook names.
    refused_with: Option<String>,
    /// What makes it harmless.
    mended: Option<String>,
    /// Why no rule can catch it.
    no_rule: Option<String>,
}

/// A text that stands once, and what takes its place.
#[derive(Deserialize)]
struct Edit {
    find: String,
    replace: String,
}

#[derive(Deserialize, PartialEq, Eq, Debug)]
struct Rule {
    code: String,
    name: String,
}

impl Rule {
    fn is_on_plans(&self) -> bool {
        self.code.starts_with("SR")
    }
}

fn edited(text: &str, edits: &[Edit]) -> String {
    edits.iter().fold(text.to_owned(), |text, edit| {
        assert_eq!(text.matches(&edit.find).count(), 1, "{}", edit.find);
        text.replacen(&edit.find, &edit.replace, 1)
    })
}

impl Defect {
    /// The shipped runbook with this defect.
    fn stage(&self) -> Stage {
        let stage = shipped::edited(|text| edited(&text, &self.edits) + "\n" + &self.runbook);
        if let Some(scenario) = &self.scenario {
            let path = stage.path(&format!("scenarios/{scenario}.toml"));
            let world = edited(&std::fs::read_to_string(&path).unwrap(), &self.world);
            std::fs::write(&path, world).unwrap();
        }
        stage
    }

    fn try_out(&self, row: &str) {
        if let Some(word) = &self.refused_with {
            let (code, said) = refusal(&self.stage());
            assert_eq!(code, Some(2), "{row}: {said}");
            assert!(said.contains(word), "{row}: {said}");
        } else if let Some(rule) = self.caught_by.as_ref().filter(|rule| rule.is_on_plans()) {
            let (code, said) = refusal(&self.stage().locked());
            assert_eq!(code, Some(2), "{row}: {said}");
            let named = format!("{} {}", rule.code, rule.name);
            assert!(said.contains(&named), "{row}: {said}");
        } else if self.no_rule.is_none() {
            let scenario = self.scenario.as_deref().unwrap();
            let broken = broken(&self.stage().locked(), scenario);
            match &self.caught_by {
                Some(rule) => assert!(broken.contains(rule), "{row}: {broken:?}"),
                None => assert_eq!(broken, [], "{row}"),
            }
        }
    }
}

/// How `check` ends, and what it says.
fn refusal(stage: &Stage) -> (Option<i32>, String) {
    let output = stage.run(&["check", "runbook.toml"]);
    (output.status.code(), text(&output.stderr))
}

/// What a rehearsal of a scenario breaks.
fn broken(stage: &Stage, scenario: &str) -> Vec<Rule> {
    let campaign = ["rehearse", "runbook.toml", "--runs", "2", "-o", "json"];
    let output = stage.run(&[&campaign[..], &["--scenario", scenario]].concat());
    let document: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    let broken = document["scenarios"][0]["broken"].as_array().unwrap();
    let rule = |broken: &Value| serde_json::from_value(broken.clone()).unwrap();
    broken.iter().map(rule).collect()
}

fn rows() -> Vec<(String, Defect)> {
    let ids = ROWS
        .iter()
        .flat_map(|(prefix, last)| (1..=*last).map(move |number| format!("{prefix}{number}")));
    let read = |id: String| {
        let path = root().join(format!("tests/defects/{id}.toml"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("no row {id}"));
        let defect = toml::from_str(&text).unwrap_or_else(|error| panic!("{id}: {error}"));
        (id, defect)
    };
    ids.map(read).collect()
}

#[test]
fn every_row_has_one_verdict_and_every_file_a_row() {
    let rows = rows();
    for (id, row) in &rows {
        let verdicts = [
            row.caught_by.is_some(),
            row.refused_with.is_some(),
            row.mended.is_some(),
            row.no_rule.is_some(),
        ];
        assert_eq!(verdicts.iter().filter(|given| **given).count(), 1, "{id}");
        assert!(!row.defect.is_empty(), "{id}");
    }
    let files = std::fs::read_dir(root().join("tests/defects")).unwrap();
    assert_eq!(files.count(), rows.len());
}

#[test]
fn every_defect_is_caught_by_name() {
    for (id, row) in rows() {
        row.try_out(&id);
    }
}

#[test]
fn the_shipped_runbook_commits_none() {
    let stage = shipped::edited(|text| text).locked();
    let (code, said) = refusal(&stage);
    assert_eq!(code, Some(0), "{said}");
    let scenarios: BTreeSet<String> = rows()
        .into_iter()
        .filter_map(|(_, row)| row.scenario)
        .collect();
    for scenario in scenarios {
        assert_eq!(broken(&stage, &scenario), [], "{scenario}");
    }
}

/// Rules that neither a row above nor a mutant breaks, and the test that has them broken.
const ELSEWHERE: [(&str, &str, &str); 10] = [
    (
        "SR0006",
        "tests/defects.rs",
        "a_plan_that_ends_badly_is_refused",
    ),
    (
        "SR0008",
        "tests/defects.rs",
        "a_plan_that_ends_badly_is_refused",
    ),
    (
        "SR0010",
        "tests/defects.rs",
        "a_plan_that_ends_badly_is_refused",
    ),
    (
        "SR0011",
        "tests/defects.rs",
        "a_plan_that_ends_badly_is_refused",
    ),
    (
        "SR0019",
        "tests/defects.rs",
        "infrastructure_changed_while_a_recovery_is_under_way_is_refused",
    ),
    (
        "SR0020",
        "tests/defects.rs",
        "infrastructure_changed_before_a_run_is_settled_is_refused",
    ),
    (
        "TR0003",
        "host/src/rehearsal/trace/tests.rs",
        "a_call_is_issued_once_and_answered_once",
    ),
    (
        "TR0004",
        "host/src/rehearsal/trace/tests.rs",
        "an_effect_without_outcome_is_only_for_runs_that_ask_for_help",
    ),
    (
        "TR0008",
        "tests/defects.rs",
        "a_rehearsal_that_cannot_begin_is_an_outcome_that_says_so",
    ),
    (
        "TR0009",
        "host/src/rehearsal/trace/tests.rs",
        "a_replay_that_diverges_is_found",
    ),
];

/// Every code that a table of `folder` names under `caught-by`.
fn caught(folder: &Path) -> BTreeSet<String> {
    let files = std::fs::read_dir(folder).unwrap();
    let texts = files.filter_map(|file| std::fs::read_to_string(file.unwrap().path()).ok());
    let lines: Vec<String> = texts
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| line.starts_with("caught-by"))
        .collect();
    let words = lines.iter().flat_map(|line| line.split('"'));
    words.map(str::to_owned).collect()
}

#[test]
fn no_rule_is_without_something_that_it_caught() {
    let mut seen = caught(&root().join("tests/defects"));
    seen.extend(caught(&root().join("tests/mutants")));
    for (code, file, test) in ELSEWHERE {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        let test = format!("#[test]\nfn {test}()");
        assert!(
            text.contains(&test),
            "{file} has nothing that breaks {code}"
        );
        assert!(!seen.contains(code), "{code} has a case of its own by now");
        seen.insert(code.to_owned());
    }
    let all = rules::names().into_iter().chain(trace::names());
    let unseen: Vec<_> = all.filter(|(code, _)| !seen.contains(*code)).collect();
    assert_eq!(unseen, [], "break each by a variant or a mutant");
}

#[test]
fn a_plan_that_ends_badly_is_refused() {
    let again = "[[steps]]\nstep = \"replica/flip-again\"\nrun = \"replica/flip\"\n\
                 needs = [\"replica/await-old-ttl\", \"replica/validate-direct\"]\n";
    let cases = [
        (
            "[[steps]]\nstep = \"replica/activate\"\ndrop = true\n[[steps]]\nstep = \"replica/expose\"\ndrop = true\n",
            "SR0006 serve-before-flip",
        ),
        (
            "[[steps]]\nstep = \"replica/validate-public\"\ndrop = true\n",
            "SR0008 validate-after-flip",
        ),
        (again, "SR0010 one-flip-at-a-time"),
        (
            "[[steps]]\nstep = \"replica/restore-ttl\"\ndrop = true\n[[steps]]\nstep = \"failback/restore-ttl\"\ndrop = true\n",
            "SR0011 restore-ttl-after-flip",
        ),
    ];
    for (change, rule) in cases {
        let stage = shipped::edited(|text| format!("{text}\n{change}")).locked();
        let (code, said) = refusal(&stage);
        assert_eq!(code, Some(2), "{rule}: {said}");
        assert!(said.contains(rule), "{said}");
    }
}

/// The shipped runbook with a zone that is destroyed at the end of a failback, and this change.
fn destroying(change: &str) -> Stage {
    let find = "stand-down = \"scale-down\"\n";
    let stage = shipped::edited(|text| {
        assert_eq!(text.matches(find).count(), 1);
        let destroys = "stand-down = \"destroy\"\nstacks = [\"zone\", \"platform\"]\n";
        let grants = "[[grants]]\nstrategy = \"failback\"\nallow = \"infrastructure/*\"\n";
        format!("{}\n{grants}{change}", text.replacen(find, destroys, 1))
    });
    stage.locked()
}

#[test]
fn infrastructure_changed_while_a_recovery_is_under_way_is_refused() {
    let (code, said) = refusal(&destroying(""));
    assert_eq!(code, Some(0), "{said}");
    let early = "[[steps]]\nstep = \"failback/destroy\"\nneeds = [\"failback/check-primary\"]\n";
    let (code, said) = refusal(&destroying(early));
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("SR0019 no-infrastructure-change-mid-incident"),
        "{said}"
    );
}

#[test]
fn infrastructure_changed_before_a_run_is_settled_is_refused() {
    let rehearse = [
        "rehearse",
        "runbook.toml",
        "--scenario",
        "planned",
        "--seed",
        "1",
    ];
    let whole = destroying("").run(&rehearse);
    assert_eq!(whole.status.code(), Some(0), "{}", text(&whole.stderr));
    // Nobody looks whether the resolvers follow.
    let blind = destroying("[[steps]]\nstep = \"failback/converge\"\ndrop = true\n").run(&rehearse);
    let said = text(&blind.stdout) + &text(&blind.stderr);
    assert_ne!(blind.status.code(), Some(0), "{said}");
    assert!(said.contains("SR0020"), "{said}");
}

#[test]
fn a_rehearsal_that_cannot_begin_is_an_outcome_that_says_so() {
    let stage = shipped::edited(|text| text).locked();
    // A run is named after its scenario and seed: with the tenth seed this name is too long.
    let begun = "rehearsal-wordpress-replica-failback--1".len();
    let name = "a".repeat(understudy::name::MAX_NAME_BYTES - begun);
    let path = stage.path("scenarios/primary-lost.toml");
    let scenario = std::fs::read_to_string(&path).unwrap();
    let scenario = scenario.replace("name = \"primary-lost\"", &format!("name = \"{name}\""));
    std::fs::write(&path, scenario).unwrap();
    let output = stage.run(&[
        "rehearse",
        "runbook.toml",
        "--scenario",
        "primary-lost",
        "--runs",
        "10",
        "-o",
        "json",
    ]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let broken = &document["scenarios"][0]["broken"];
    assert_eq!(broken.as_array().unwrap().len(), 1, "{broken}");
    assert_eq!(broken[0]["code"], "TR0008");
    assert_eq!(broken[0]["name"], "a-rehearsal-has-an-outcome");
    assert_eq!(broken[0]["seeds"], serde_json::json!([10]));
}
