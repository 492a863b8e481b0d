//! The backup zone waits: it is brought to where it does, nothing is done to a site that serves, and `check --live` tells
//! on any day whether it still waits.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test: what does not hold must end it"
)]

use records::records;
use serde_json::Value;
use stage::{Stage, text};

#[path = "support/records.rs"]
mod records;
#[path = "support/shipped.rs"]
mod shipped;
#[path = "support/stage.rs"]
mod stage;

/// Calls of a journal that could change the world, as `function target`.
fn effects(stage: &Stage) -> Vec<String> {
    let records = records(&stage.journal());
    let intents = records.iter().filter(|record| record["type"] == "intent");
    let effects = intents.map(|record| &record["body"]).filter(|body| {
        let control = body["function"]["interface"]
            .as_str()
            .unwrap()
            .starts_with("understudy:control");
        !control && body["kind"] != "read"
    });
    effects
        .map(|body| {
            let args = &body["args"];
            let target = args["site"].as_str().or(args["name"].as_str()).unwrap();
            format!(
                "{} {target}",
                body["function"]["function"].as_str().unwrap()
            )
        })
        .collect()
}

/// The shipped runbook with a scenario `quiet`: nothing happens, and the backup zone is cold.
fn quiet(edit: impl Fn(String) -> String) -> Stage {
    let stage = shipped::edited(edit).locked();
    let planned = std::fs::read_to_string(stage.path("scenarios/planned.toml")).unwrap();
    let cold = planned.replace("{ replicas = 1, database", "{ replicas = 0, database");
    assert_ne!(cold, planned);
    std::fs::write(stage.path("quiet.toml"), cold).unwrap();
    stage
}

const LOOK: [&str; 6] = [
    "check",
    "runbook.toml",
    "--live",
    "--procedure",
    "standby",
    "--scenario",
];

#[test]
fn a_zone_is_built_up_to_waiting_and_nothing_else_is_touched() {
    let stage = shipped::edited(|text| text).locked();
    let output = stage.run(&[
        "rehearse",
        "runbook.toml",
        "--scenario",
        "standby-from-nothing",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let effects = effects(&stage);
    for wanted in [
        "ensure-applied bz",
        "ensure-unexposed bz",
        "ensure-record wp-bz.example.test",
        "ensure-replica-of bz",
        "ensure-maintenance bz",
        "ensure-scaled bz",
        "ensure-test-issued bz",
    ] {
        assert!(
            effects.iter().any(|effect| effect == wanted),
            "{wanted}: {effects:?}"
        );
    }
    let mut elsewhere = effects.iter();
    let here =
        |effect: &&String| effect.ends_with(" bz") || effect.ends_with(" wp-bz.example.test");
    assert_eq!(elsewhere.find(|effect| !here(effect)), None);
    for never in [
        "ensure-promoted",
        "ensure-exposed",
        "ensure-fenced",
        "ensure-restored",
    ] {
        assert!(
            !effects.iter().any(|effect| effect.starts_with(never)),
            "{effects:?}"
        );
    }
}

#[test]
fn a_site_that_serves_is_not_made_to_wait() {
    // As somebody may turn the parameters round; the grants alone would not refuse every step of it.
    let turned = |text: String| {
        let (before, rest) = text.split_once("[strategies.standby.parameters]").unwrap();
        let rest = rest.replacen(
            "from = \"pz\"\nto = \"bz\"",
            "from = \"bz\"\nto = \"pz\"",
            1,
        );
        let rest = rest.replacen("\"wp-bz.example.test\"]", "\"wp-pz.example.test\"]", 1);
        format!("{before}[strategies.standby.parameters]{rest}")
    };
    let stage = shipped::edited(turned).locked();
    let args = [
        "rehearse",
        "runbook.toml",
        "--procedure",
        "standby",
        "--scenario",
        "planned",
    ];
    let output = stage.run(&args);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert_eq!(effects(&stage), Vec::<String>::new());
}

#[test]
fn a_look_says_what_holds_changes_nothing_and_is_recorded() {
    let stage = quiet(|text| {
        text.replace(
            "data = \"replica\"\nstandby-replicas = 1",
            "data = \"replica\"",
        )
    });
    let output = stage.run(&[&LOOK[..], &["quiet.toml", "-o", "json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["ready"], true, "{said}");
    let findings = said["strategies"][0]["findings"].as_array().unwrap();
    let holds = |id: &str| {
        findings
            .iter()
            .any(|found| found["id"] == id && found["holds"] == true)
    };
    for id in [
        "entry-closed",
        "app-waits",
        "replica-refuses-writes",
        "record-of-bz-exists",
    ] {
        assert!(holds(id), "{id}: {said}");
    }
    let run = said["run"].as_str().unwrap();
    assert_eq!(stage.run(&["verify", run]).status.code(), Some(0));
    assert_eq!(effects(&stage), Vec::<String>::new());
    let runs = text(&stage.run(&["runs"]).stdout);
    assert!(runs.contains("ready"), "{runs}");
    let resumed = stage.run(&["resume", run]);
    assert_eq!(resumed.status.code(), Some(2), "{}", text(&resumed.stderr));
}

#[test]
fn a_look_names_what_does_not_hold_and_what_nobody_answered() {
    let stage = quiet(|text| text);
    let output = stage.run(&[&LOOK[..], &["quiet.toml"]].concat());
    assert_eq!(
        output.status.code(),
        Some(1),
        "one replica is to wait, and none does"
    );
    let table = text(&output.stdout);
    assert!(
        table.contains("app-waits") && table.contains("does not hold"),
        "{table}"
    );
    let dead = "\n[[injects]]\nat = \"T-5m\"\nfail.site = \"bz\"\n";
    let quiet = std::fs::read_to_string(stage.path("quiet.toml")).unwrap();
    std::fs::write(stage.path("dead.toml"), quiet + dead).unwrap();
    let output = stage.run(&[&LOOK[..], &["dead.toml"]].concat());
    assert_eq!(output.status.code(), Some(1));
    let table = text(&output.stdout);
    assert!(table.contains("database/observe at bz"), "{table}");
    assert!(table.contains("not answered"), "{table}");
    let unknown = stage.run(&["check", "runbook.toml", "--live", "--procedure", "nowhere"]);
    assert_eq!(unknown.status.code(), Some(2));
}

#[test]
fn a_look_at_a_scenario_is_with_the_overlays_that_it_is_for() {
    let stage = shipped::edited(|text| text).locked();
    let look = |overlays: &[&str]| {
        let args = ["check", "runbook.toml", "--live", "--procedure", "failover"];
        let world = ["--scenario", "stale-pages", "-o", "json"];
        let output = stage.run(&[&args[..], overlays, &world].concat());
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = said["strategies"][0]["findings"].as_array().unwrap();
        let cached = |found: &&Value| found["id"] == "cache-of-wp-active.example.test";
        assert_eq!(findings.iter().filter(cached).count(), 1, "{said}");
        let run = said["run"].as_str().unwrap();
        let journal = stage.run(&["report", run, "--format", "journal"]);
        let begun = &records(&text(&journal.stdout))[0];
        let overlays = begun["body"]["overlays"].as_array().unwrap();
        assert_eq!(overlays.len(), 1, "{begun}");
    };
    look(&[]);
    look(&["--overlay", "vendors.toml"]);
}

/// What a look misses in the quiet scenario, changed like this.
fn missed(change: &dyn Fn(String) -> String) -> Vec<String> {
    let stage = quiet(|text| {
        text.replace(
            "data = \"replica\"\nstandby-replicas = 1",
            "data = \"replica\"",
        )
    });
    let quiet = std::fs::read_to_string(stage.path("quiet.toml")).unwrap();
    std::fs::write(stage.path("broken.toml"), change(quiet)).unwrap();
    let output = stage.run(&[&LOOK[..], &["broken.toml", "-o", "json"]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = said["strategies"][0]["findings"].as_array().unwrap();
    let missed = findings.iter().filter(|found| found["holds"] != true);
    missed
        .map(|found| {
            let (id, detail) = (found["id"].as_str().unwrap(), &found["detail"]);
            format!("{id}: {}", detail.as_str().unwrap())
        })
        .collect()
}

#[test]
fn a_look_names_what_a_cluster_lacks() {
    let node = |condition: &'static str, holds: bool| {
        move |text: String| {
            format!(
                "{text}\n[[injects]]\nat = \"T-5m\"\n\
                 node = {{ site = \"bz\", name = \"bz-2\", condition = \"{condition}\", holds = {holds} }}\n"
            )
        }
    };
    assert_eq!(
        missed(&node("Ready", false)),
        [
            "nodes-ready: 2 of 3 nodes are Ready: bz-2 is not (NodeStatusUnknown), at least 3 are wanted",
            "pods-of-platform-ready: 2 of 3 pods are Ready: kube-prometheus-1 is not (Pending)",
        ]
    );
    assert_eq!(
        missed(&node("DiskPressure", true)),
        ["nodes-short-of-nothing: 12 conditions of nodes: bz-2 has DiskPressure (KubeletIsShort)"]
    );
    let platform = "platform = { pods = { cert-manager = 1, kube-prometheus = 2 } }, ";
    assert_eq!(
        missed(&|text| text.replace(platform, "")),
        [
            "namespace-platform-exists: there is no namespace platform",
            "pods-of-platform-ready: 0 of 0 pods are Ready: no pod runs there",
        ]
    );
    let (before, fewer) = (
        "controller = false\nnodes = 3",
        "controller = false\nnodes = 2",
    );
    assert_eq!(
        missed(&|text| text.replace(before, fewer)),
        ["nodes-ready: 2 of 2 nodes are Ready: at least 3 are wanted"]
    );
}

#[test]
fn a_look_names_secrets_monitoring_networks_and_code_that_are_not_as_they_should_be() {
    assert_eq!(
        missed(&|text| {
            let (before, rest) = text.split_once("[sites.bz.secrets]").unwrap();
            let rest = rest.replacen("password = \"1\"", "password = \"older\"", 1);
            let rest = rest.replacen("access-key = \"1\", ", "", 1);
            format!("{before}[sites.bz.secrets]{rest}")
        }),
        [
            "wordpress-database-of-app-mirrored: `password` is another one at bz than at pz",
            "media-storage-of-app-mirrored: bz has no `access-key`",
        ]
    );
    assert_eq!(
        missed(&|text| {
            let (before, rest) = text.split_once("[sites.bz.monitoring]").unwrap();
            let rest = rest.replacen("mysql = { up = 1 }", "mysql = { up = 1, down = 1 }", 1);
            let rest = rest.replacen(
                "BackupTooOld = \"\"",
                "BackupTooOld = \"no such series\"",
                1,
            );
            format!("{before}[sites.bz.monitoring]{rest}")
        }),
        [
            "targets-of-bz-up: 1 of 2 targets of `mysql` are not up (mysql-1: connection refused)",
            "alerts-of-bz-work: `BackupTooOld` does not work (no such series)",
        ]
    );
    assert_eq!(
        missed(&|text| text.replace("\"10.245.1.0/24\"", "\"10.244.0.0/16\"")),
        [
            "networks-apart: 10.244.0.0/24 at pz overlaps with 10.244.0.0/16 at bz; \
             10.244.1.0/24 at pz overlaps with 10.244.0.0/16 at bz; \
             10.244.2.0/24 at pz overlaps with 10.244.0.0/16 at bz",
        ]
    );
    let pending = "[stacks.zone]\npending.bz = [{ address = \"firewall\", action = \"create\" }]\n";
    assert_eq!(
        missed(&|text| text.replace("[stacks.zone]\n", pending)),
        ["stack-zone-built: applying zone would create firewall"]
    );
}
