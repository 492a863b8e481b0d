//! The shipped runbook, as a user has it: built plugins, the binary, a folder of its own.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test: what does not hold must end it"
)]

use std::collections::BTreeMap;
use std::process::Output;

use effects::effects;
use records::records;
use serde_json::Value;
use stage::{PLUGINS, Stage, text};

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
fn the_drill_recovers_and_fails_back_within_its_objectives() {
    let stage = unchanged().locked();
    let output = rehearse(
        &stage,
        &["--procedure", "drill", "--scenario", "primary-lost"],
    );
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let legs = report["legs"].as_array().unwrap();
    assert_eq!(legs.len(), 2, "failover and failback");
    for leg in legs {
        assert_eq!(leg["rto"]["verdict"], "met", "{leg}");
        assert_eq!(leg["rpo"]["verdict"], "met", "{leg}");
    }
    let run = stage.only_run();
    for name in ["report.html", "report.md", "report.json"] {
        assert!(stage.path("runs").join(&run).join(name).is_file(), "{name}");
    }
    let verified = stage.run(&["verify", &run]);
    assert_eq!(
        verified.status.code(),
        Some(0),
        "{}",
        text(&verified.stderr)
    );
}

#[test]
fn the_same_seed_gives_the_same_journal_and_another_seed_another() {
    let stage = unchanged().locked();
    let journal_of = |seed: &str| {
        let output = rehearse(&stage, &["--procedure", "drill", "--seed", seed]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let journal = stage.journal();
        std::fs::remove_dir_all(stage.path("runs")).unwrap();
        journal
    };
    let first = journal_of("7");
    assert_eq!(first, journal_of("7"));
    assert_ne!(first, journal_of("8"));
}

#[test]
fn a_rehearsal_that_was_cut_off_is_resumed_by_another_process_to_the_same_end() {
    let whole = unchanged().locked();
    assert_eq!(
        rehearse(&whole, &["--procedure", "drill"]).status.code(),
        Some(0)
    );
    let expected = effects(&records(&whole.journal()));
    for cut in ["120", "400", "900"] {
        let stage = unchanged().locked();
        let output = rehearse(&stage, &["--procedure", "drill", "--crash-after", cut]);
        assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
        let output = stage.run(&["resume", &stage.only_run()]);
        assert_eq!(
            output.status.code(),
            Some(0),
            "cut after {cut}: {}",
            text(&output.stderr)
        );
        assert_eq!(
            effects(&records(&stage.journal())),
            expected,
            "cut after {cut}"
        );
    }
}

#[test]
fn a_switch_to_another_strategy_survives_the_death_of_the_host() {
    let hangs = ["--scenario", "promotion-hangs"];
    let whole = unchanged().locked();
    let output = rehearse(&whole, &hangs);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["legs"][0]["strategy"], "restore");
    assert_eq!(report["legs"][0]["instead-of"][0], "replica");
    let written = records(&whole.journal());
    let switched = written
        .iter()
        .position(|record| record["type"] == "strategy-switched")
        .unwrap();
    let expected = effects(&written);
    // Before the record of the switch, right after it, amid what is given up, and when the other strategy is at work.
    for cut in [switched, switched + 1, switched + 4, switched + 60] {
        let stage = unchanged().locked();
        let cut = cut.to_string();
        let output = rehearse(
            &stage,
            &[hangs.as_slice(), &["--crash-after", &cut]].concat(),
        );
        assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
        let output = stage.run(&["resume", &stage.only_run()]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "cut after {cut}: {said}");
        let written = records(&stage.journal());
        let switches = written
            .iter()
            .filter(|record| record["type"] == "strategy-switched");
        assert_eq!(switches.count(), 1, "cut after {cut}");
        assert_eq!(effects(&written), expected, "cut after {cut}");
    }
}

#[test]
fn a_promotion_that_loses_more_than_anybody_accepted_does_not_begin() {
    let stage = shipped::edited(|text| {
        let text = text.replace("rpo = \"5m\"", "rpo = \"1m\"");
        format!("{text}\n[[steps]]\nstep = \"replica/weigh-loss\"\ndrop = true\n")
    });
    let stage = stage.locked();
    let output = rehearse(&stage, &["--strategy", "replica"]);
    assert!(
        matches!(output.status.code(), Some(1 | 3)),
        "{}",
        text(&output.stderr)
    );
    let written = records(&stage.journal());
    let failed = written.iter().filter(|record| {
        record["type"] == "step-changed"
            && record["body"]["to"] == "failed"
            && record["body"]["detail"]
                .as_str()
                .unwrap()
                .starts_with("SR0013")
    });
    assert!(failed.count() > 0, "{}", text(&output.stderr));
    let promoted = |record: &&Value| {
        let body = &record["body"];
        record["type"] == "intent"
            && body["function"]["function"] == "ensure-promoted"
            && body["args"]["site"] == "bz"
    };
    assert_eq!(written.iter().filter(promoted).count(), 0);
}

#[test]
fn an_api_that_lies_about_the_ttl_is_read_back_and_asked_again() {
    let stage = unchanged().locked();
    let scenario = stage.path("scenarios/primary-lost.toml");
    let lies = "\n[[faults]]\ncall = \"dns/ensure-record\"\nnth = 1\nkind = \"wrong-answer\"\n";
    let text_before = std::fs::read_to_string(&scenario).unwrap();
    std::fs::write(&scenario, text_before + lies).unwrap();
    let output = rehearse(&stage, &["--scenario", "primary-lost"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let written = records(&stage.journal());
    let at_lower_ttl = |record: &&Value| record["body"]["site"]["step"] == "replica/lower-ttl";
    let of = |function: &str| {
        let intents = written.iter().filter(|record| record["type"] == "intent");
        let these = |record: &&Value| record["body"]["function"]["function"] == function;
        intents.filter(at_lower_ttl).filter(these).count()
    };
    assert_eq!(of("ensure-record"), 2, "said to be lowered, and was not");
    assert!(of("sleep") > 0, "servers may take a moment to agree");
}

#[test]
fn in_an_outage_the_flip_does_not_wait_for_the_old_ttl() {
    let stage = unchanged().locked();
    let steps = |mode: &str| {
        let args = [
            "plan",
            "runbook.toml",
            "--procedure",
            "drill",
            "--mode",
            mode,
        ];
        let output = stage.run(&[args.as_slice(), &["-o", "json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
        let ids = plan["steps"].as_array().unwrap().iter();
        ids.map(|step| step["id"].as_str().unwrap().to_owned())
            .filter(|id| id.ends_with("/await-old-ttl"))
            .collect::<Vec<String>>()
    };
    let both = ["replica/await-old-ttl", "failback/await-old-ttl"];
    assert_eq!(steps("graceful"), both);
    assert_eq!(
        steps("ungraceful"),
        both[1..],
        "the way back leaves a site that serves"
    );
}

#[test]
fn the_runbook_changes_the_order_of_steps() {
    let changed = shipped::edited(|text| {
        format!(
            "{text}\n[[steps]]\nstep = \"replica/certify\"\nneeds = [\"replica/measure-lag\"]\n"
        )
    });
    let plain = plan(&unchanged().locked());
    let changed = plan(&changed.locked());
    assert_ne!(plain["replica/certify"], changed["replica/certify"]);
    assert_eq!(changed["replica/certify"], ["replica/measure-lag"]);
}

/// Steps with their needs.
fn plan(stage: &Stage) -> BTreeMap<String, Vec<String>> {
    let output = stage.run(&["plan", "runbook.toml", "--procedure", "drill", "-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    let steps = plan["steps"].as_array().unwrap().iter();
    steps
        .map(|step| {
            let needs = step["needs"]
                .as_array()
                .unwrap()
                .iter()
                .map(|need| need.as_str().unwrap().to_owned());
            (step["id"].as_str().unwrap().to_owned(), needs.collect())
        })
        .collect()
}

#[test]
fn an_organisation_adds_its_own_contract_and_a_step_that_uses_it() {
    let stage = shipped::edited(with_cdn);
    let scenario = stage.path("scenarios/primary-lost.toml");
    let text_before = std::fs::read_to_string(&scenario).unwrap();
    let stand_in = "\n[[stand-ins]]\ncontract = \"acme:cdn/purge@1.0.0\"\nfunction = \"ensure-purged\"\nanswer = \"changed\"\ntakes = \"20s\"\n";
    let stage = stage.locked();
    let refused = rehearse(&stage, &["--procedure", "drill"]);
    assert_eq!(
        refused.status.code(),
        Some(2),
        "without a stand-in nothing serves it"
    );
    assert!(
        text(&refused.stderr).contains("acme:cdn/purge@1.0.0"),
        "{}",
        text(&refused.stderr)
    );
    std::fs::write(&scenario, text_before + stand_in).unwrap();
    let output = rehearse(&stage, &["--procedure", "drill"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let purged = records(&stage.journal())
        .iter()
        .filter(|record| {
            record["type"] == "intent" && record["body"]["function"]["function"] == "ensure-purged"
        })
        .count();
    assert_eq!(purged, 1);
}

/// The runbook with the organisation's provider, strategy, grant and step.
fn with_cdn(text: String) -> String {
    let plugins = PLUGINS.display();
    format!(
        r#"{text}
[plugins.acme-cdn-provider]
path = "{plugins}/acme-cdn-provider.wasm"
[plugins.acme-cdn-strategy]
path = "{plugins}/acme-cdn-strategy.wasm"
[[bindings]]
contract = "acme:cdn/purge@1.0.0"
plugin = "acme-cdn-provider"
config = {{ api = "https://cdn.acme.example.test", credential = "api" }}
credentials.api = {{ env = "ACME_CDN_TOKEN", scheme = "bearer" }}
http = [{{ methods = ["GET", "POST"], url = "https://cdn.acme.example.test/hosts" }}]
[strategies.cdn]
plugin = "acme-cdn-strategy"
parameters = {{ site = "bz", host = "wp-active.example.test" }}
[[grants]]
strategy = "cdn"
allow = "acme:cdn/purge/ensure-purged"
only = {{ site = ["bz"], host = ["wp-active.example.test"] }}
[[steps]]
step = "replica/purge-caches"
run = "cdn/purge"
needs = ["replica/flip"]
"#
    )
}
