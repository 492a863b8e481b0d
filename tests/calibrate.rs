//! `understudy calibrate`, as a user has it: a run in a world with times of its own is rehearsed as it went, and one that
//! cannot have gone so is told apart.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test: what does not hold must end it"
)]

use serde_json::Value;
use stage::{Stage, text};

#[path = "support/shipped.rs"]
mod shipped;
#[path = "support/stage.rs"]
mod stage;

/// Times that no shipped scenario has: a slow cluster and an issuer that takes its time, a database that is quick.
const ODD: [(&str, &str); 4] = [
    ("name = \"planned\"", "name = \"odd\""),
    (
        "promotion = { min = \"15s\", max = \"60s\" }",
        "promotion = \"2s\"",
    ),
    (
        "issuance = { min = \"40s\", max = \"2m\" }",
        "issuance = \"6m\"",
    ),
    (
        "[buckets.media]",
        "[durations]\napi = { min = \"2s\", max = \"4s\" }\nrestart = \"5m\"\njourney-step = \"3s\"\n\
         [people.incident-commander]\nafter = \"150s\"\n[buckets.media]",
    ),
];

/// The shipped runbook after a rehearsal in the odd world, with the run's name.
fn odd() -> (Stage, String) {
    let stage = shipped::edited(|text| text).locked();
    let mut scenario = std::fs::read_to_string(stage.path("scenarios/planned.toml")).unwrap();
    for (from, to) in ODD {
        assert!(scenario.contains(from), "{from}");
        scenario = scenario.replace(from, to);
    }
    // Rehearsals of it are in a folder of their own, as if it were beside another runbook.
    std::fs::write(stage.path("odd.toml"), scenario).unwrap();
    let output = stage.run(&["rehearse", "runbook.toml", "--scenario", "odd.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let run = stage.only_run();
    (stage, run)
}

fn rto_ms(fidelity: &Value, leg: usize, which: &str) -> f64 {
    fidelity["legs"][leg]["rto"][which].as_f64().unwrap()
}

#[test]
fn a_run_in_a_world_of_its_own_times_is_rehearsed_as_it_went() {
    let (stage, run) = odd();
    let wanted = ["calibrate", &run, "--scenario", "planned", "--compare"];
    let output = stage.run(&[&wanted[..], &["--out", "fitted.toml", "-o", "json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let fidelity: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        fidelity["steps"].as_array().unwrap().len() > 40,
        "{fidelity}"
    );
    let live = rto_ms(&fidelity, 0, "live-ms");
    // In `planned` itself it takes two minutes.
    assert!(live > 200_000.0, "{live}");
    let fitted = std::fs::read_to_string(stage.path("fitted.toml")).unwrap();
    let fitted: toml::Table = fitted.parse().unwrap();
    let after = fitted["people"]["incident-commander"]["after"].as_str();
    assert_eq!(after, Some("150s"));
    // What it wrote is a scenario like any other.
    let again = ["rehearse", "runbook.toml", "--scenario", "fitted.toml"];
    assert_eq!(stage.run(&again).status.code(), Some(0));
    // And the table says the same to people.
    let output = stage.run(&wanted);
    let table = text(&output.stdout);
    assert!(
        table.contains("the rehearsal went as the run did"),
        "{table}"
    );
}

#[test]
fn a_world_that_does_other_things_is_told_apart() {
    let (stage, _) = odd();
    // An exported journal says what the run's own does.
    std::fs::write(stage.path("run.jsonl"), stage.journal()).unwrap();
    let run = "run.jsonl";
    let planned = std::fs::read_to_string(stage.path("scenarios/planned.toml")).unwrap();
    let cannot = planned.replace("validity = \"90d\"", "validity = \"90d\"\nissues = false");
    assert_ne!(cannot, planned);
    std::fs::write(stage.path("cannot.toml"), cannot).unwrap();
    let output = stage.run(&["calibrate", run, "--scenario", "cannot.toml", "--compare"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("differs: `replica/check-issuing`: call 2 is "),
        "{said}"
    );
    let unknown = stage.run(&["calibrate", run, "--scenario", "nowhere"]);
    assert_eq!(unknown.status.code(), Some(2));
}
