//! Scenarios, as a user has them: the shipped ones end as they say, and one that cannot be is refused.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test: what does not hold must end it"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;

use effects::effects;
use records::records;
use serde_json::Value;
use stage::{Stage, text};

#[path = "support/effects.rs"]
mod effects;
#[path = "support/records.rs"]
mod records;
#[path = "support/shipped.rs"]
mod shipped;
#[path = "support/stage.rs"]
mod stage;

/// The runbook as it is shipped.
fn unchanged() -> Stage {
    shipped::edited(|text| text)
}

fn rehearse(stage: &Stage, more: &[&str]) -> Output {
    stage.run(&[&["rehearse", "runbook.toml", "-o", "json"], more].concat())
}

#[test]
fn every_shipped_scenario_ends_as_it_says() {
    let stage = unchanged().locked();
    let mut endings = BTreeSet::new();
    for entry in std::fs::read_dir(stage.path("scenarios")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let scenario: toml::Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
        let ending = scenario["expect"].get("ending");
        let ending = ending.map_or("recovered", |ending| ending.as_str().unwrap());
        let output = rehearse(&stage, &["--scenario", name]);
        let said = text(&output.stderr);
        let held = !said.contains("expectation missed") && !said.contains("rule broken");
        assert!(held, "{name}: {said}");
        let code = match ending {
            "undone" => 1,
            "stuck" => 3,
            _ => 0,
        };
        assert_eq!(output.status.code(), Some(code), "{name}: {said}");
        endings.insert(ending.to_owned());
    }
    assert_eq!(endings.len(), 3, "{endings:?}");
}

#[test]
fn a_host_that_is_killed_where_it_hurts_does_what_one_that_lives_does() {
    let killed = unchanged().locked();
    let output = rehearse(&killed, &["--scenario", "host-killed"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let written = records(&killed.journal());
    let mut last_words = Vec::new();
    let mut functions = BTreeMap::new();
    for pair in written.windows(2) {
        let body = &pair[0]["body"];
        let (place, function) = (&body["site"], body["function"]["function"].as_str());
        if let Some(function) = function {
            functions.insert(place.to_string(), function.to_owned());
        }
        if pair[1]["type"] == "run-resumed" {
            let function = functions.get(&place.to_string()).cloned();
            let kind = pair[0]["type"].as_str().unwrap();
            last_words.push(format!("{kind} {}", function.unwrap_or_default()));
        }
    }
    assert_eq!(
        last_words,
        [
            "intent ensure-promoted",
            "gate-opened ",
            "intent ensure-record",
            "waiting ensure-replica-of"
        ]
    );
    let alive = unchanged().locked();
    let output = rehearse(&alive, &["--scenario", "primary-lost"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(effects(&written), effects(&records(&alive.journal())));
}

/// What an exported journal says of budgets, and when.
fn about_budgets(journal: &str) -> Vec<String> {
    let lines = journal
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let times = lines.map(|line: Value| line["at"].as_u64().unwrap());
    let timed = times.zip(records(journal)).filter(|(_, record)| {
        let gate = record["body"]["gate"].as_str().unwrap_or_default();
        record["type"] == "budget-exceeded" || gate.contains(":over-budget:")
    });
    let lines = timed.map(|(at, record)| {
        let body = &record["body"];
        format!(
            "{at} {} {} {}",
            record["type"], body["gate"], body["choice"]
        )
    });
    lines.collect()
}

#[test]
fn a_budget_is_given_once_more_for_each_answer_however_often_the_host_dies() {
    let slow = |deaths: &str| {
        let stage = unchanged().locked();
        let path = stage.path("scenarios/restore.toml");
        let shipped = std::fs::read_to_string(&path).unwrap();
        let slower = shipped.replace(
            "restore-mib-per-second = 40.0",
            "restore-mib-per-second = 0.5",
        );
        assert_ne!(slower, shipped);
        std::fs::write(&path, slower + deaths).unwrap();
        let output = rehearse(&stage, &["--scenario", "restore"]);
        let said = text(&output.stderr);
        assert!(!said.contains("rule broken"), "{said}");
        stage.journal()
    };
    let alive = about_budgets(&slow(""));
    // Exceeded, asked and answered, five times.
    assert_eq!(alive.len(), 15, "{alive:#?}");
    let deaths = [("gate-opened", 2), ("budget-exceeded", 4)].map(|(kind, nth)| {
        format!("\n[[crashes]]\nafter = \"{kind}\"\nstep = \"restore/restore\"\nnth = {nth}\n")
    });
    let killed = slow(&deaths.concat());
    let resumed = records(&killed);
    let resumed = resumed.iter().filter(|r| r["type"] == "run-resumed");
    assert_eq!(resumed.count(), 2);
    assert_eq!(about_budgets(&killed), alive);
}

#[test]
fn a_refused_call_whose_host_died_is_on_record_once() {
    let elsewhere = |text: String| text.replace("channel = [\"status\"]", "channel = [\"none\"]");
    let stage = shipped::edited(elsewhere).locked();
    let path = stage.path("scenarios/primary-lost.toml");
    let death = "\n[[crashes]]\nafter = \"intent\"\ncall = \"notify/ensure-announced\"\n";
    let shipped = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, shipped + death).unwrap();
    let output = rehearse(&stage, &["--scenario", "primary-lost"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "nobody is told: {said}");
    assert!(!said.contains("rule broken"), "{said}");
    let written = records(&stage.journal());
    let resumed = written.iter().filter(|r| r["type"] == "run-resumed");
    assert_eq!(resumed.count(), 1);
}

#[test]
fn a_missed_service_level_is_looked_into_and_what_is_behind_it_is_said() {
    let stage = unchanged().locked();
    let path = stage.path("scenarios/overloaded.toml");
    let shipped = std::fs::read_to_string(&path).unwrap();
    let pressed = r#"
[[injects]]
at = "T+4m"
node = { site = "bz", name = "bz-3", condition = "MemoryPressure", holds = true }
"#;
    std::fs::write(&path, shipped + pressed).unwrap();
    let output = rehearse(&stage, &["--scenario", "overloaded"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    let written = records(&stage.journal());
    let of_slo = |record: &&Value| record["body"]["step"] == "replica/observe-slo";
    let failed = written
        .iter()
        .filter(of_slo)
        .find(|record| record["body"]["to"] == "failed");
    let detail = failed.unwrap()["body"]["detail"].as_str().unwrap();
    assert!(detail.contains("expected at most"), "{detail}");
    assert!(
        detail.contains("look at nodes-well (bz-3 has MemoryPressure"),
        "{detail}"
    );
    let attached = written.iter().filter(|record| record["type"] == "attached");
    let names: BTreeSet<&str> = attached
        .filter(of_slo)
        .map(|record| record["body"]["name"].as_str().unwrap())
        .collect();
    let expected = ["diagnosis", "logs-app", "logs-platform", "service-levels"];
    assert_eq!(names, BTreeSet::from(expected));
}

#[test]
fn a_maintenance_that_reaches_replicas_later_than_the_fence_is_found() {
    let stage = unchanged().locked();
    let path = stage.path("scenarios/planned.toml");
    let shipped = std::fs::read_to_string(&path).unwrap();
    // What is left after ten seconds of waiting has to be as long as clients wait.
    let shipped = shipped.replace("[clients]\n", "[clients]\ntimeout = \"3s\"\n");
    for (settings, broken) in [("5s", false), ("15s", true)] {
        let slow = format!("{shipped}\n[durations]\nsettings = \"{settings}\"\n");
        std::fs::write(&path, slow).unwrap();
        let output = rehearse(&stage, &["--scenario", "planned"]);
        let said = text(&output.stderr);
        assert_eq!(said.contains("TR0028"), broken, "{settings}: {said}");
    }
}

#[test]
fn an_effect_that_hangs_is_given_up_after_a_minute_and_a_read_after_five() {
    let stage = unchanged().locked();
    let path = stage.path("scenarios/primary-lost.toml");
    let hang = |call: &str, attempts: u32| {
        format!(
            "\n[[faults]]\ncall = \"{call}\"\nnth = 1\nkind = \"hang\"\nattempts = {attempts}\n"
        )
    };
    let shipped = std::fs::read_to_string(&path).unwrap();
    let hung = [
        hang("storage/observe", 2),
        hang("workload/ensure-scaled", 2),
    ]
    .concat();
    std::fs::write(&path, shipped + &hung).unwrap();
    let output = rehearse(&stage, &["--scenario", "primary-lost"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let mut waited: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for record in records(&stage.journal()) {
        let said = record["body"]["error"].to_string();
        if let Some((cause, seconds)) = said.split_once(" gave no answer for ") {
            let kind = if cause.contains("in-doubt") {
                "effect"
            } else {
                "read"
            };
            let seconds = seconds.split_whitespace().next().unwrap();
            waited.entry(kind).or_default().push(seconds.to_owned());
        }
    }
    assert_eq!(waited["read"], ["300", "300"]);
    assert_eq!(waited["effect"], ["60", "60"]);
}

#[test]
fn a_line_of_the_script_that_is_missed_fails_the_rehearsal_and_is_named_in_its_report() {
    let stage = unchanged().locked();
    let path = stage.path("scenarios/game-day.toml");
    let shipped = std::fs::read_to_string(&path).unwrap();
    let cue = "reached = \"served\"\nsite = \"bz\"\nby = \"";
    let (before, after) = shipped.split_once(cue).unwrap();
    let (_, after) = after.split_once('"').unwrap();
    let tight = format!(
        "{before}reached = \"protected\"\nsite = \"bz\"\nby = \"T+15m\"\n\n[[script]]\n{cue}T+15m\"{after}"
    );
    std::fs::write(&path, tight).unwrap();
    let output = rehearse(&stage, &["--scenario", "game-day"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(
            "expectation missed: `script: served at bz` should be after `protected at bz`"
        ),
        "{said}"
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let issues = report["issues"].as_array().unwrap();
    let mut missed = issues
        .iter()
        .filter(|issue| issue["kind"] == "expectation-missed");
    let named = missed.next().unwrap()["text"].as_str().unwrap();
    assert!(named.contains("script: served at bz"), "{named}");
    assert_eq!(missed.next(), None);
}

#[test]
fn a_scenario_that_cannot_be_is_refused_with_the_line_it_is_about() {
    let stage = unchanged().locked();
    let path = stage.path("scenarios/primary-lost.toml");
    let shipped = std::fs::read_to_string(&path).unwrap();
    for (extra, code, shown) in [
        (
            "[[injects]]\nat = \"T+1m\"\nfail.site = \"mars\"\n",
            "RH0002",
            "fail.site = \"mars\"",
        ),
        (
            "[[injects]]\nat = \"T+-1m\"\nfail.site = \"bz\"\n",
            "RH0001",
            "at = \"T+-1m\"",
        ),
        ("[[crashes]]\nafter-records = 0\n", "RH0003", "[[crashes]]"),
        (
            "[[script]]\ndone = \"replica/lunch\"\nby = \"T+5m\"\n",
            "RH0002",
            "done = \"replica/lunch\"",
        ),
        (
            "[people.db-lead]\nswitch-to = \"lunch\"\n",
            "RH0002",
            "switch-to = \"lunch\"",
        ),
    ] {
        let line =
            shipped.lines().count() + 1 + extra.lines().position(|line| line == shown).unwrap();
        std::fs::write(&path, format!("{shipped}{extra}")).unwrap();
        for more in [&[][..], &["--runs", "2"]] {
            let output = rehearse(&stage, &[&["--scenario", "primary-lost"], more].concat());
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{extra}: {said}");
            assert!(said.contains(&format!("error[{code}]")), "{said}");
            assert!(
                said.contains(&format!("primary-lost.toml:{line}:")),
                "{line} in {said}"
            );
            assert!(
                said.contains(&format!("| {shown}")) && said.contains("^^^"),
                "{said}"
            );
        }
        assert!(!stage.path("runs").exists(), "nothing ran");
    }
}

#[test]
fn nobody_is_sent_to_an_address_that_the_name_of_the_zone_does_not_lead_to() {
    let flips = |stage: &Stage| {
        let written = records(&stage.journal());
        let sets = |record: &&Value| {
            let body = &record["body"];
            record["type"] == "intent" && body["function"]["function"] == "ensure-record"
        };
        let names = written.iter().filter(sets).map(|record| {
            let args = &record["body"]["args"];
            format!("{} {}", args["name"], args["values"][0])
        });
        names.collect::<Vec<_>>()
    };
    let publishes = unchanged().locked();
    let off = ["--scenario", "backup-zone-off"];
    let output = rehearse(&publishes, &off);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let flipped = flips(&publishes);
    let at = |set: &str| flipped.iter().position(|found| found == set);
    let published = at(r#""wp-bz.example.test" "198.51.100.77""#);
    let flip = at(r#""wp-active.example.test" "wp-bz.example.test""#);
    assert!(published.is_some() && published < flip, "{flipped:?}");
    // Who does not let the strategy write it is told, and the run is taken back.
    let checks = shipped::edited(|text| text.replace("records.publish-target = true\n", ""));
    let checks = checks.locked();
    let output = rehearse(&checks, &off);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let flipped = flips(&checks);
    assert!(
        !flipped
            .iter()
            .any(|set| set.ends_with(r#""wp-bz.example.test""#)),
        "{flipped:?}"
    );
    let noticed = |record: &&Value| {
        let body = &record["body"];
        body["step"] == "restore/check-target" && body["to"] == "failed"
    };
    assert!(records(&checks.journal()).iter().filter(noticed).count() > 0);
}

/// Effects of a contract's function, each with where in the journal it stands.
fn sent<'r>(written: &'r [Value], function: &str) -> Vec<(usize, &'r Value)> {
    let of = |record: &Value| {
        record["type"] == "intent" && record["body"]["function"]["function"] == function
    };
    let all = written.iter().enumerate();
    all.filter(|(_, record)| of(record)).collect()
}

#[test]
fn what_caches_hold_is_purged_once_the_name_has_converged_in_both_directions() {
    let stage = unchanged().locked();
    let output = rehearse(&stage, &["--scenario", "stale-pages"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let written = records(&stage.journal());
    let purges = sent(&written, "ensure-purged");
    let converged =
        |record: &Value| record["type"] == "marked" && record["body"]["name"] == "converged";
    let marks = written
        .iter()
        .enumerate()
        .filter(|(_, record)| converged(record));
    let marks: Vec<usize> = marks.map(|(place, _)| place).collect();
    assert_eq!((purges.len(), marks.len()), (2, 2));
    for ((purge, intent), mark) in purges.iter().zip(&marks) {
        assert!(purge > mark, "purged at {purge}, converged at {mark}");
        let hosts = &intent["body"]["args"]["hosts"];
        assert_eq!(*hosts, serde_json::json!(["wp-active.example.test"]));
    }
    assert_ne!(
        purges[0].1["body"]["args"]["token"],
        purges[1].1["body"]["args"]["token"]
    );
    // Without caches that are named nothing is purged, and users keep the pages of the zone that was left.
    let forgetful = unchanged().locked();
    let overlay = std::fs::read_to_string(forgetful.path("vendors.toml")).unwrap();
    let named = "cached-hosts = [\"wp-active.example.test\"]";
    assert_eq!(overlay.matches(named).count(), 3);
    std::fs::write(
        forgetful.path("vendors.toml"),
        overlay.replace(named, "cached-hosts = []"),
    )
    .unwrap();
    let output = rehearse(&forgetful, &["--scenario", "stale-pages"]);
    let said = text(&output.stderr);
    assert!(
        said.contains("expectation missed: `figures.edge-convergence-most-ms`"),
        "{said}"
    );
    assert_eq!(sent(&records(&forgetful.journal()), "ensure-purged"), []);
}

#[test]
fn caches_that_cannot_be_purged_do_not_stop_a_recovery_and_are_told_of() {
    let stage = unchanged().locked();
    let path = stage.path("scenarios/stale-pages.toml");
    let shipped = std::fs::read_to_string(&path).unwrap();
    let brief = shipped.replace("keeps = \"4h\"", "keeps = \"20m\"");
    let away = "\n[[injects]]\nat = \"T\"\nfail.api = \"edge-cache\"\n";
    std::fs::write(&path, brief + away).unwrap();
    let output = rehearse(&stage, &["--scenario", "stale-pages"]);
    let said = text(&output.stderr);
    assert!(!said.contains("rule broken"), "{said}");
    let written = records(&stage.journal());
    let ended = written
        .iter()
        .find(|record| record["type"] == "run-ended")
        .unwrap();
    assert_eq!(ended["body"]["ending"], "recovered", "{said}");
    let warned = |record: &&Value| {
        let message = record["body"]["message"].as_str().unwrap_or_default();
        record["type"] == "logged" && message.contains("have their vendor purge these names")
    };
    assert_eq!(written.iter().filter(warned).count(), 2);
}
