//! Campaigns of the shipped runbook, as a user and a CI job run them.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test: what does not hold must end it"
)]

use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock};

use serde_json::Value;
use stage::{PLUGINS, Stage, cache, root, text};
use understudy::clock::{Instant, VirtualClock};
use understudy::plugin::Engines;
use understudy::plugin::limits::STRATEGIES_AT_ONCE;
use understudy::prepare::{Order, prepare};
use understudy::rehearsal::campaign::Campaign;
use understudy::rehearsal::campaign::random::Palette;
use understudy::rehearsal::campaign::trouble::Troubles;
use understudy::rehearsal::driver::{Rehearsal, run_id};
use understudy::rehearsal::scenario::Scenario;
use understudy::runbook::types::Runbook;

#[path = "support/shipped.rs"]
mod shipped;
#[path = "support/stage.rs"]
mod stage;

/// The scenarios that campaigns are made of here.
const SCENARIOS: [&str; 2] = ["primary-lost.toml", "silent-commander.toml"];

/// Scenarios that recover and whose runs report what the clients saw.
const AGREEING: [&str; 16] = [
    "back-from-the-dead",
    "corrupt-backup",
    "dns-throttled",
    "host-killed",
    "issuer-limited",
    "late-return",
    "managed",
    "no-backups",
    "planned",
    "primary-lost",
    "promotion-hangs",
    "regional-outage",
    "replica-behind",
    "restore",
    "return-mid-restore",
    "return-while-deciding",
];

/// The shipped runbook with these scenarios alone, changed by `edit`, with plugins locked.
fn edited(edit: impl Fn(String) -> String) -> Stage {
    let stage = shipped::edited(edit);
    for scenario in std::fs::read_dir(stage.path("scenarios")).unwrap() {
        let scenario = scenario.unwrap();
        if !SCENARIOS.iter().any(|name| scenario.file_name() == **name) {
            std::fs::remove_file(scenario.path()).unwrap();
        }
    }
    stage.locked()
}

/// The same, with the runbook as it is shipped.
fn unchanged() -> Stage {
    edited(|text| text)
}

impl Stage {
    /// stdout and stderr of a command that ends with this code.
    fn expect(&self, code: i32, args: &[&str]) -> (String, String) {
        let output = self.run(args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        (text(&output.stdout), said)
    }

    fn rehearse(&self, code: i32, more: &[&str]) -> (String, String) {
        self.expect(code, &[&["rehearse", "runbook.toml"], more].concat())
    }

    /// The result of a campaign that ends with this code, and what was said.
    fn campaign(&self, code: i32, more: &[&str]) -> (Value, String) {
        let (data, said) = self.rehearse(code, &[more, &["-o", "json"]].concat());
        let document: Value = serde_json::from_str(&data).unwrap();
        (document, said)
    }

    /// Hash of the last record of the only run there is.
    fn last_hash(&self) -> String {
        let last: Value = serde_json::from_str(self.journal().lines().last().unwrap()).unwrap();
        last["hash"].as_str().unwrap().to_owned()
    }
}

#[test]
fn two_hundred_drills_with_random_faults_break_no_rule() {
    let stage = unchanged();
    let (document, said) = stage.campaign(
        0,
        &[
            "--scenario",
            "primary-lost",
            "--runs",
            "200",
            "--faults",
            "random",
            "--require-rto",
            "0.9",
            "--require-rpo",
            "0.95",
            "--junit",
            "junit.xml",
            "--html",
            "page.html",
        ],
    );
    assert!(said.contains("200 rehearsals in"), "{said}");
    let found = &document["scenarios"][0];
    assert_eq!(found["broken"], Value::Array(Vec::new()));
    assert_eq!(found["outcomes"].as_array().unwrap().len(), 200);
    let endings = &found["endings"];
    assert!(endings["recovered"].as_u64().unwrap() > 180, "{endings}");
    assert_eq!(endings["none"], 0);
    let times = &found["rto"]["truth"];
    let ms = |name: &str| times[name].as_u64().unwrap();
    assert!(
        ms("min-ms") < ms("p50-ms") && ms("p50-ms") < ms("p95-ms"),
        "{times}"
    );
    let bins = times["bins"].as_array().unwrap().iter();
    let in_bins: u64 = bins.map(|bin| bin["runs"].as_u64().unwrap()).sum();
    assert_eq!(in_bins + times["never"].as_u64().unwrap(), 200);
    for path in ["path-to-served", "path-to-end"] {
        let shares = found[path].as_array().unwrap().iter();
        let whole: f64 = shares.map(|share| share["share"].as_f64().unwrap()).sum();
        assert!((whole - 1.0).abs() < 0.01, "{path}: {whole}");
    }
    let outcomes = found["outcomes"].as_array().unwrap().iter();
    let troubles = outcomes.flat_map(|outcome| outcome["troubles"].as_array().unwrap());
    let names: Vec<&str> = troubles
        .map(|trouble| trouble["name"].as_str().unwrap())
        .collect();
    for kind in [
        "hang of",
        "outage of",
        "death of the host",
        "wrong-answer of",
        "stall of",
    ] {
        assert!(names.iter().any(|name| name.starts_with(kind)), "no {kind}");
    }
    let junit = std::fs::read_to_string(stage.path("junit.xml")).unwrap();
    let cases = understudy::rehearsal::trace::names().len() + 2;
    let cases = format!("tests=\"{cases}\" failures=\"0\"");
    assert!(
        junit.contains(&cases),
        "every rule and both requirements: {junit}"
    );
    let page = std::fs::read_to_string(stage.path("page.html")).unwrap();
    assert_eq!(page.matches("<svg class=\"histogram\"").count(), 2);
    assert_eq!(page.matches("<svg class=\"bars\"").count(), 2);
    assert!(
        !page.contains("<script") && !page.contains("http://"),
        "it is self-contained"
    );
}

#[test]
fn threads_change_nothing_and_a_seed_repeats_its_journal() {
    let stage = unchanged();
    let some = [
        "--scenario",
        "primary-lost",
        "--runs",
        "24",
        "--faults",
        "random",
        "-o",
        "json",
    ];
    let (one, _) = stage.rehearse(0, &[some.as_slice(), &["--threads", "1"]].concat());
    let (two, _) = stage.rehearse(0, &[some.as_slice(), &["--threads", "2"]].concat());
    assert_eq!(one, two);
    let document: Value = serde_json::from_str(&one).unwrap();
    let outcomes = document["scenarios"][0]["outcomes"].as_array().unwrap();
    let dies = |outcome: &&Value| outcome["troubles"].to_string().contains("crashes");
    for outcome in [outcomes.first(), outcomes.iter().find(dies)] {
        let outcome = outcome.unwrap();
        let seed = outcome["seed"].to_string();
        stage.rehearse(
            0,
            &[
                "--scenario",
                "primary-lost",
                "--faults",
                "random",
                "--seed",
                &seed,
            ],
        );
        assert_eq!(stage.last_hash(), outcome["digest"].as_str().unwrap());
        std::fs::remove_dir_all(stage.path("runs")).unwrap();
    }
}

#[test]
fn a_run_beside_others_writes_the_bytes_that_it_writes_alone() {
    let campaign = in_process();
    let troubles = campaign.troubles.draw(3);
    let alone = campaign.rehearse(3, &troubles).unwrap().entries;
    assert!(!troubles.is_empty() && alone.len() > 500);
    std::thread::scope(|scope| {
        let others: Vec<_> = (0..3_u64)
            .map(|other| {
                let (campaign, troubles) = (&campaign, &troubles);
                scope.spawn(move || {
                    // Each thread has another run before, so that they are not in step.
                    campaign.rehearse(other, &[]).unwrap();
                    campaign.rehearse(3, troubles).unwrap().entries
                })
            })
            .collect();
        for other in others {
            assert!(other.join().unwrap() == alone, "another journal");
        }
    });
}

#[test]
fn a_campaign_has_room_for_every_step_of_the_runs_that_go_on_at_once() {
    let mut campaign = in_process();
    assert_eq!(campaign.at_once(), 1);
    campaign.threads = NonZeroUsize::MAX;
    let steps = campaign.rehearsal.prepared.plan.steps.len();
    let room = usize::try_from(STRATEGIES_AT_ONCE).unwrap();
    let most = campaign.at_once();
    assert!(most * steps <= room && (most + 1) * steps > room, "{most}");
}

/// A campaign of the shipped drill with random troubles.
fn in_process() -> Campaign {
    LazyLock::force(&PLUGINS);
    let engines = Engines::new(Some(cache())).unwrap();
    let runbook = Runbook::load(&root().join("runbooks/wordpress/runbook.toml"), &[]).unwrap();
    let path = runbook.folder.join("scenarios/primary-lost.toml");
    let scenario_text = std::fs::read_to_string(path).unwrap();
    let procedure = vec!["replica".parse().unwrap(), "failback".parse().unwrap()];
    let scenario = Scenario::parse(&scenario_text).unwrap();
    let order = Order {
        run: run_id(&runbook.name, &procedure, &scenario.name, 1).unwrap(),
        procedure,
        mode: scenario.mode.unwrap(),
        started_by: "tester".to_owned(),
    };
    let preparing = prepare(&engines, Arc::new(runbook), order);
    let prepared = VirtualClock::starting_at(Instant(0)).block_on(preparing);
    let prepared = prepared.unwrap().unwrap();
    Campaign {
        troubles: Troubles::Random(Palette::of(&prepared, &scenario)),
        rehearsal: Rehearsal {
            prepared,
            scenario: Arc::new(scenario),
            seed: 1,
            runbook_path: "runbook.toml".to_owned(),
            overlays: Vec::new(),
            scenario_name: "primary-lost".to_owned(),
            host_version: "test".to_owned(),
        },
        scenario_text,
        seeds: 1..2,
        threads: NonZeroUsize::MIN,
    }
}

/// A failover that does not watch for the primary's return, in a world whose primary returns writable.
fn careless() -> Stage {
    let stage = edited(|text| {
        format!("{text}\n[[steps]]\nstep = \"replica/fence-returned\"\ndrop = true\n")
    });
    let shipped = std::fs::read_to_string(stage.path("scenarios/primary-lost.toml")).unwrap();
    let scenario = shipped
        .replace("returns = \"read-only\"", "returns = \"writable\"")
        .replace("[[injects]]\nat = \"T+45m\"\nheal.site = \"pz\"\n", "")
        .replace("procedure = \"drill\"", "procedure = \"failover\"");
    let (scenario, _) = scenario.split_once("[expect]").unwrap();
    std::fs::write(stage.path("scenarios/primary-lost.toml"), scenario).unwrap();
    let faults = r#"
        [[troubles]]
        name = "the primary zone comes back by itself"
        chance = 0.3
        injects = [{ at = "T+4m", heal.site = "pz" }]
        [[troubles]]
        name = "slow DNS"
        chance = 0.7
        faults = [{ call = "dns/ensure-record", nth = 1, kind = "delay", by = "20s" }]
        [[troubles]]
        name = "the host dies"
        chance = 0.7
        crashes = [{ after-records = 150 }]
    "#;
    std::fs::write(stage.path("faults.toml"), faults).unwrap();
    stage
}

#[test]
fn a_broken_rule_is_found_made_small_and_repeated() {
    let stage = careless();
    let some = ["--scenario", "primary-lost", "--faults", "faults.toml"];
    let campaign = ["--runs", "20", "--out", "broken"];
    let (document, said) = stage.campaign(1, &[some, campaign].concat());
    let broken = &document["scenarios"][0]["broken"];
    assert_eq!(broken.as_array().unwrap().len(), 1, "{broken}");
    assert_eq!(broken[0]["code"], "TR0001");
    let seed = broken[0]["seeds"][0].to_string();
    assert!(
        broken[0]["runs"].as_u64().unwrap() < 20,
        "only where the zone comes back"
    );
    let minimal = &broken[0]["minimal"];
    let left = minimal["troubles"].as_array().unwrap();
    assert_eq!(left.len(), 1, "{minimal}");
    assert_eq!(left[0]["name"], "the primary zone comes back by itself");
    let command = format!(
        "understudy rehearse runbook.toml --scenario primary-lost --faults faults.toml --seed {seed}"
    );
    assert!(said.contains(&command) && said.contains("TR0001"), "{said}");

    // The seed repeats it, byte for byte.
    let outcomes = document["scenarios"][0]["outcomes"].as_array().unwrap();
    let outcome = outcomes
        .iter()
        .find(|outcome| outcome["seed"] == broken[0]["seeds"][0]);
    let (_, said) = stage.rehearse(1, &[some.as_slice(), &["--seed", &seed]].concat());
    assert!(said.contains("rule broken: TR0001 two-writers"), "{said}");
    assert_eq!(
        stage.last_hash(),
        outcome.unwrap()["digest"].as_str().unwrap()
    );

    // So does the smallest scenario, which is a file by now.
    let smallest = format!("broken/TR0001-primary-lost-{seed}.toml");
    let written = std::fs::read_to_string(stage.path(&smallest)).unwrap();
    assert_eq!(written, minimal["scenario-toml"].as_str().unwrap());
    let (_, said) = stage.rehearse(1, &["--scenario", &smallest, "--seed", &seed]);
    assert!(said.contains("rule broken: TR0001 two-writers"), "{said}");

    // Without the trouble the rule holds.
    stage.rehearse(0, &["--scenario", "primary-lost", "--seed", &seed]);
    let junit = ["--runs", "20", "--junit", "junit.xml"];
    let (_, said) = stage.rehearse(1, &[some, junit].concat());
    assert!(said.contains("TR0001"), "{said}");
    let junit = std::fs::read_to_string(stage.path("junit.xml")).unwrap();
    assert!(
        junit.contains("failures=\"1\"") && junit.contains(&command),
        "{junit}"
    );
}

#[test]
fn a_run_with_drawn_faults_that_was_cut_off_is_resumed_with_the_same_faults() {
    let stage = unchanged();
    let drawn = [
        "--scenario",
        "primary-lost",
        "--faults",
        "random",
        "--seed",
        "5",
    ];
    stage.rehearse(3, &[drawn.as_slice(), &["--crash-after", "15"]].concat());
    let (_, said) = stage.expect(0, &["resume", "rehearsal-wordpress"]);
    assert!(!said.contains("is not what it was"), "{said}");
}

#[test]
fn a_probability_that_is_not_met_fails_and_names_a_seed() {
    let stage = edited(|text| text.replace("rto = \"30m\"", "rto = \"5m\""));
    let (_, said) = stage.rehearse(
        1,
        &[
            "--scenario",
            "primary-lost",
            "--runs",
            "6",
            "--require-rto",
            "0.95",
        ],
    );
    assert!(said.contains("RTO of 5m 00s is met in 0.0 %"), "{said}");
    assert!(said.contains("95.0 % are required"), "{said}");
    let command = "understudy rehearse runbook.toml --scenario primary-lost --seed 1";
    assert!(said.contains(command), "{said}");
    // A scenario that is not meant to recover is not held to it.
    let (text, _) = stage.rehearse(
        0,
        &[
            "--scenario",
            "silent-commander",
            "--runs",
            "2",
            "--require-rto",
            "0.95",
        ],
    );
    assert!(
        text.contains("ended: 0 recovered, 0 undone, 2 stuck"),
        "{text}"
    );
    // Nor is one that moves nothing.
    let standby = ["--scenario", "standby-from-nothing", "--runs", "2"];
    let stage = shipped::edited(|text| text).locked();
    let (text, _) = stage.rehearse(0, &[&standby[..], &["--require-rto", "1"]].concat());
    assert!(text.contains("ended: 2 recovered"), "{text}");
    assert!(text.contains("there is no recovery to time"), "{text}");
}

#[test]
fn runs_report_what_the_clients_saw() {
    let stage = shipped::edited(|text| text).locked();
    let mut campaign = vec!["--runs", "24", "--require-agreement"];
    for scenario in AGREEING {
        campaign.extend(["--scenario", scenario]);
    }
    let (document, _) = stage.campaign(0, &campaign);
    let scenarios = document["scenarios"].as_array().unwrap().iter();
    let served = scenarios.filter(|found| {
        let recovered = &found["endings"]["recovered"];
        let compared = &found["rto"]["difference"]["runs"];
        assert!(compared.as_u64() >= recovered.as_u64(), "{found}");
        compared.as_u64() > Some(0)
    });
    assert_eq!(served.count(), AGREEING.len());
}

#[test]
fn a_strategy_that_calls_the_service_served_early_fails() {
    let stage = edited(|text| {
        let plugins = PLUGINS.display();
        format!(
            r#"{text}
[plugins.hostile]
path = "{plugins}/hostile-strategy.wasm"
[strategies.liar]
plugin = "hostile"
parameters = {{ attack = "served-early", site = "bz", journey = "front-page" }}
[[grants]]
strategy = "liar"
allow = "probe/ensure-journey"
[[steps]]
step = "replica/call-it-served"
run = "liar/attack"
needs = ["replica/validate-direct"]
"#
        )
    });
    let some = ["--scenario", "primary-lost", "--runs", "20"];
    let (_, said) = stage.campaign(1, &[some.as_slice(), &["--require-agreement"]].concat());
    assert!(
        said.contains("RTO of primary-lost: reported and true"),
        "{said}"
    );
    assert!(!said.contains("RPO of primary-lost"), "{said}");
    let command = "understudy rehearse runbook.toml --scenario primary-lost --seed";
    assert!(said.contains(command), "{said}");
    // Nothing else is wrong with it: each run alone looks as it should.
    stage.campaign(0, &some);
}

#[test]
fn every_scenario_beside_the_runbook_is_rehearsed_where_none_is_named() {
    let stage = unchanged();
    let (document, _) = stage.campaign(0, &["--runs", "2"]);
    let scenarios = document["scenarios"].as_array().unwrap().iter();
    let names: Vec<&Value> = scenarios.map(|found| &found["scenario"]).collect();
    assert_eq!(names, ["primary-lost", "silent-commander"]);
}

#[test]
fn input_that_can_never_be_is_refused() {
    let stage = unchanged();
    let bad = "[[troubles]]\nname = \"a\"\ninjects = [{ at = \"T\", fail.api = \"dnss\" }]\n";
    std::fs::write(stage.path("bad.toml"), bad).unwrap();
    std::fs::write(stage.path("worse.toml"), "[[faults]]\n").unwrap();
    let cases: [(&[&str], &str); 6] = [
        (&["--runs", "2", "--faults", "bad.toml"], "dnss"),
        (&["--runs", "2", "--faults", "worse.toml"], "RH0006"),
        (&["--runs", "2", "--faults", "none.toml"], "none.toml"),
        (&["--runs", "0"], "--runs"),
        (&["--threads", "2"], "--runs"),
        (&["--runs", "2", "--require-rto", "95"], "0.95"),
    ];
    for (args, expected) in cases {
        let (_, said) = stage.rehearse(2, args);
        assert!(said.contains(expected), "{args:?}: {said}");
    }
    assert!(!stage.path("runs").exists(), "something ran");
}
