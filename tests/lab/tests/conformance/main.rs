//! Shipped providers that need a real server (or a vendor's stand-in) are held to the conformance kit, as whoever
//! writes one would do it: `understudy plugin test`.
//!
//! `pair` is the small lab, `acme` adds an authority to it, `postgres` two servers of their own, `managed` a vendor with servers
//! behind it, `terraform` code of its own, `zones` the two with clusters, `vendors` what no software here stands in for. Which
//! checks are not run is written down for each, so that none is left out unseen.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test: what does not hold must end it"
)]

mod acme;
mod managed;
mod pair;
mod postgres;
mod terraform;
mod vendors;
mod zones;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::process::Command;

/// What came of a test in which nothing failed.
pub(crate) struct Tested {
    /// `case/check` of every check that passed.
    pub(crate) passed: BTreeSet<String>,
    /// Cases of which none was run.
    pub(crate) untried: BTreeSet<String>,
}

fn repository() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    folder.canonicalize().unwrap()
}

/// The bindings of a plugin, as an overlay leaves those of the shipped runbook.
pub(crate) fn bindings_of(overlay: &str, plugin: &str) -> Vec<Value> {
    let read = |text: &str| -> Vec<Value> {
        let table: Value = toml::from_str(text).unwrap();
        let bindings = table["bindings"].as_array().unwrap().iter();
        bindings
            .filter(|binding| binding["plugin"] == plugin)
            .cloned()
            .collect()
    };
    let shipped = repository().join("runbooks/wordpress/runbook.toml");
    let shipped = read(&std::fs::read_to_string(shipped).unwrap());
    let mut bindings = read(overlay);
    for upper in &mut bindings {
        let same = |lower: &&Value| lower["contract"] == upper["contract"];
        if let Some(lower) = shipped.iter().find(same) {
            *upper = laid_over(lower, upper);
        }
    }
    bindings
}

/// Tables key by key, anything else whole.
fn laid_over(lower: &Value, upper: &Value) -> Value {
    let (Some(below), Some(above)) = (lower.as_object(), upper.as_object()) else {
        return upper.clone();
    };
    let mut merged = below.clone();
    for (key, value) in above {
        let value = below
            .get(key)
            .map_or(value.clone(), |lower| laid_over(lower, value));
        merged.insert(key.clone(), value);
    }
    Value::Object(merged)
}

/// A suite of a contract.
pub(crate) fn suite(contract: &str, things: Value, allow: &[&str]) -> Value {
    json!({
        "contract": format!("understudy:{contract}/{contract}@0.1.0"),
        "things": things,
        "allow": allow,
    })
}

/// Tests a shipped provider, of the plugins as they were last built; whatever is run must pass.
pub(crate) async fn conforms(
    folder: &Path,
    plugin: &str,
    bindings: &[Value],
    suites: &[Value],
    secrets: &BTreeMap<String, String>,
) -> Tested {
    let program = Path::new(env!("CARGO_BIN_EXE_understudy-lab")).with_file_name("understudy");
    assert!(
        program.is_file(),
        "{} is missing: run `cargo build -p understudy`",
        program.display()
    );
    let config = json!({
        "conformance": { "format": 1, "plugin": plugin, "patience": "4m" },
        "sites": { "pz": { "title": "Primary zone" }, "bz": { "title": "Backup zone" } },
        "bindings": bindings,
        "suites": suites,
    });
    let file = folder.join(format!("{plugin}.toml"));
    std::fs::write(&file, toml::to_string(&config).unwrap()).unwrap();
    let component = repository().join(format!("target/plugins/provider-{plugin}.wasm"));
    let output = Command::new(program)
        .env_clear()
        .envs(secrets)
        .env("USER", "tester")
        .arg("--cache")
        .arg(repository().join("target/understudy-cache"))
        .args(["-o", "json", "plugin", "test"])
        .arg(component)
        .arg("--against")
        .arg(file)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{plugin}: {said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut tested = Tested {
        passed: BTreeSet::new(),
        untried: BTreeSet::new(),
    };
    for verdict in report["verdicts"].as_array().unwrap() {
        let case = verdict["case"].as_str().unwrap().to_owned();
        if verdict["came"] == "passed" {
            let check = verdict["check"].as_str().unwrap();
            tested.passed.insert(format!("{case}/{check}"));
        }
        tested.untried.insert(case);
    }
    for check in &tested.passed {
        let case = check.split_once('/').unwrap().0;
        tested.untried.remove(case);
    }
    tested
}

impl Tested {
    /// Of every effect named, each check that its world makes possible was run.
    pub(crate) fn whole(&self, effects: &[&str]) {
        let checks = [
            "takes-effect",
            "other-key",
            "same-key",
            "lost-answer",
            "died-halfway",
            "throttled",
            "unreachable",
            "denied",
            "silent",
            "comes-back",
        ];
        for effect in effects {
            for check in checks {
                let name = format!("{effect}/{check}");
                assert!(self.passed.contains(&name), "{name} was not run");
            }
        }
    }

    /// Exactly these cases were not run at all.
    pub(crate) fn leaves_out(&self, cases: &[&str]) {
        let cases: BTreeSet<String> = cases.iter().map(|case| (*case).to_owned()).collect();
        assert_eq!(self.untried, cases);
    }
}
