//! Commands that look at the shipped runbook and at its runs: `check` of it, of its overlays and of everything that can be
//! wrong with it, `coverage`, `verify`.

#![expect(clippy::unwrap_used, reason = "a test: what does not hold must end it")]

use serde_json::Value;
use stage::{Stage, root, text};

#[path = "support/shipped.rs"]
mod shipped;
#[path = "support/stage.rs"]
mod stage;

/// The runbook as it is shipped.
fn unchanged() -> Stage {
    shipped::edited(|text| text)
}

#[test]
fn check_plans_every_procedure_in_both_modes() {
    let stage = unchanged().locked();
    let output = stage.run(&["check", "runbook.toml", "-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let checked: Value = serde_json::from_slice(&output.stdout).unwrap();
    let plans = checked["plans"].as_array().unwrap();
    assert_eq!(plans.len(), 12, "six procedures in two modes");
    assert!(
        plans
            .iter()
            .all(|plan| plan["violations"] == Value::Array(Vec::new()))
    );

    let unsafe_plan = shipped::edited(|text| {
        format!("{text}\n[[steps]]\nstep = \"restore/promote\"\nneeds = []\n")
    });
    let output = unsafe_plan.locked().run(&["check", "runbook.toml"]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(
        said.contains("SR0001") && said.contains("restore/promote"),
        "{said}"
    );
}

#[test]
fn check_accepts_the_overlay_for_kubernetes_and_reads_its_grants() {
    let shipped = root().join("runbooks/wordpress/kubernetes.toml");
    let overlay = std::fs::read_to_string(shipped).unwrap();
    let stage = unchanged().locked();
    let path = stage.path("kubernetes.toml");
    std::fs::write(&path, &overlay).unwrap();
    let check = || {
        stage.run(&[
            "check",
            "runbook.toml",
            "--overlay",
            "kubernetes.toml",
            "-o",
            "json",
        ])
    };
    let output = check();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let checked: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(checked["plans"].as_array().unwrap().len(), 12);

    for (from, to, said) in [
        (r#"verbs = ["get", "patch"]"#, r#"verbs = ["read"]"#, "read"),
        (
            r#"clusters = ["pz", "bz"]"#,
            r#"clusters = ["pz", "cz"]"#,
            "`cz`",
        ),
        (
            r#"deployment = "wordpress""#,
            r#"deploy = "wordpress""#,
            "deploy",
        ),
    ] {
        assert!(overlay.contains(from), "{from}");
        std::fs::write(&path, overlay.replacen(from, to, 1)).unwrap();
        let output = check();
        assert_eq!(output.status.code(), Some(2), "{to}");
        assert!(
            text(&output.stderr).contains(said),
            "{}",
            text(&output.stderr)
        );
    }
}

/// Other providers for the same strategies, and caches in front of the service: who serves a contract changes, and a step is
/// there that purges them.
#[test]
fn check_takes_the_overlay_of_the_vendors() {
    let stage = unchanged().locked();
    let shipped = root().join("runbooks/wordpress/vendors.toml");
    let overlay = std::fs::read_to_string(shipped).unwrap();
    let unserved = |overlay: &str, code: i32| {
        std::fs::write(stage.path("vendors.toml"), overlay).unwrap();
        let output = stage.run(&["check", "runbook.toml", "--overlay", "vendors.toml"]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        said
    };
    assert!(unserved("", 0).contains("understudy:metrics/metrics"));
    let said = unserved(&overlay, 0);
    for contract in [
        "database/database",
        "dns/dns",
        "edge-cache/edge-cache",
        "infrastructure/infrastructure",
        "metrics/metrics",
    ] {
        assert!(!said.contains(contract), "{said}");
    }
    // Each provider checks its own configuration, also what no schema can say.
    for (from, to) in [
        (r#"zone = "example.test""#, r#"zone = "example test""#),
        (r#"name = "wordpress-bz""#, r#"name = "wordpress-pz""#),
        ("threshold = 0.01", r#"threshold = "low""#),
    ] {
        assert!(overlay.contains(from), "{from}");
        unserved(&overlay.replace(from, to), 2);
    }
}

/// A runbook that cannot be run, and what the refusal says.
struct Bad {
    what: &'static str,
    expected: &'static str,
    edit: fn(String) -> String,
    args: &'static [&'static str],
}

/// A step that needs one that comes after it.
fn with_a_cycle(text: String) -> String {
    format!("{text}\n[[steps]]\nstep = \"replica/declare\"\nneeds = [\"replica/flip\"]\n")
}

const BAD: [Bad; 8] = [
    Bad {
        what: "unknown key",
        expected: "RB0002",
        edit: |text| text.replace("[targets]", "[targets]\nrt0 = \"1m\""),
        args: &["check", "runbook.toml"],
    },
    Bad {
        what: "cyclic needs",
        expected: "replica/",
        edit: with_a_cycle,
        args: &["plan", "runbook.toml", "--procedure", "drill"],
    },
    Bad {
        what: "two candidates",
        expected: "RB0004",
        edit: |text| {
            format!(
                "{text}\n[[bindings]]\ncontract = \"understudy:dns/dns@0.1.0\"\nplugin = \"powerdns\"\n"
            )
        },
        args: &["check", "runbook.toml"],
    },
    Bad {
        what: "missing binding",
        expected: "PR0004",
        edit: |text| {
            text.replace(
                "contract = \"understudy:dns/dns@0.1.0\"",
                "contract = \"acme:dns/dns@0.1.0\"",
            )
        },
        args: &["run", "runbook.toml", "--procedure", "failover"],
    },
    Bad {
        what: "another contract version",
        expected: "PG0006",
        edit: |text| {
            text.replace(
                "contract = \"understudy:dns/dns@0.1.0\"",
                "contract = \"understudy:dns/dns@0.9.0\"",
            )
        },
        args: &["run", "runbook.toml", "--procedure", "failover"],
    },
    Bad {
        what: "cyclic needs, by check",
        expected: "replica/",
        edit: with_a_cycle,
        args: &["check", "runbook.toml"],
    },
    Bad {
        what: "configuration of a provider",
        expected: "PR0003",
        edit: |text| text.replace("min-ttl-seconds = 60 }", "min-ttl = 60 }"),
        args: &["check", "runbook.toml"],
    },
    Bad {
        what: "no such procedure",
        expected: "procedure",
        edit: |text| text,
        args: &["plan", "runbook.toml", "--procedure", "nothing"],
    },
];

#[test]
fn bad_input_is_refused_before_anything_runs() {
    for Bad {
        what,
        expected,
        edit,
        args,
    } in BAD
    {
        let stage = shipped::edited(edit);
        // A runbook that cannot be read cannot be locked either; the command says why.
        drop(stage.run(&["plugin", "lock", "runbook.toml"]));
        let output = stage.run(args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{what}: {said}");
        assert!(said.contains(expected), "{what}: {said}");
        assert!(!stage.path("runs").exists(), "{what}: something ran");
    }
}

#[test]
fn a_plugin_that_is_not_the_locked_one_is_refused() {
    let stage = unchanged().locked();
    let lock = stage.path("understudy.lock");
    let text_before = std::fs::read_to_string(&lock).unwrap();
    let of_replica = text_before.split("[plugins.replica]").nth(1).unwrap();
    let digest = of_replica.split("sha256:").nth(1).unwrap()[..64].to_owned();
    std::fs::write(&lock, text_before.replace(&digest, &"0".repeat(64))).unwrap();
    let output = stage.run(&["rehearse", "runbook.toml", "--procedure", "drill"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(
        text(&output.stderr).contains(&digest),
        "{}",
        text(&output.stderr)
    );
    assert!(!stage.path("runs").exists());
}

#[test]
fn coverage_tells_what_steps_cover_what_is_declared_and_what_a_rehearsal_carried_out() {
    let stage = unchanged().locked();
    let checklist = "id\tkind\titem\n\
        S0-A2.1\top\tPromote the replica\n\
        S0-B2.2\top\tRestore a backup\n\
        S0-M2\tmetric\tRPO\n\
        S0-N1\tdoc\tBacklog\n\
        S7-A1\top\tOf another document\n";
    let declared = "sources = [\"S0\"]\n\
        [[rows]]\nitems = [\"S0-N1\"]\nwhy-not = \"no part of a recovery\"\n";
    std::fs::write(stage.path("items.tsv"), checklist).unwrap();
    std::fs::write(stage.path("coverage.toml"), declared).unwrap();
    let rehearsed = stage.run(&[
        "rehearse",
        "runbook.toml",
        "--procedure",
        "failover",
        "--scenario",
        "primary-lost",
    ]);
    assert_eq!(
        rehearsed.status.code(),
        Some(0),
        "{}",
        text(&rehearsed.stderr)
    );
    let asked = ["coverage", ".", "--items", "items.tsv", "-o", "json"];
    let output = stage.run(&asked);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let coverage: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(coverage["left-out"], 1);
    let row = |id: &str| {
        let mut rows = coverage["rows"].as_array().unwrap().iter();
        rows.find(|row| row["id"] == id).unwrap().clone()
    };
    assert_eq!(
        row("S0-A2.1")["steps"],
        serde_json::json!(["replica/promote"])
    );
    assert_eq!(row("S0-A2.1")["rehearsed"], true);
    assert_eq!(row("S0-A2.1")["live"], false);
    // In the plan of another procedure, and in no run.
    assert_eq!(
        row("S0-B2.2")["steps"],
        serde_json::json!(["restore/restore"])
    );
    assert_eq!(row("S0-B2.2")["rehearsed"], false);
    assert_eq!(row("S0-N1")["why-not"], "no part of a recovery");

    std::fs::write(stage.path("coverage.toml"), "sources = [\"S0\"]\n").unwrap();
    let forgotten = stage.run(&asked);
    assert_eq!(forgotten.status.code(), Some(2));
    assert!(
        text(&forgotten.stderr).contains("S0-N1"),
        "{}",
        text(&forgotten.stderr)
    );
}

#[test]
fn a_journal_that_was_changed_is_told_apart() {
    let stage = unchanged().locked();
    assert_eq!(
        stage
            .run(&["rehearse", "runbook.toml", "--procedure", "drill"])
            .status
            .code(),
        Some(0)
    );
    let exported = stage.path("journal.jsonl");
    let journal = stage.journal();
    std::fs::write(&exported, &journal).unwrap();
    let file = exported.to_str().unwrap();
    assert_eq!(stage.run(&["verify", file]).status.code(), Some(0));
    std::fs::write(&exported, journal.replacen("flip", "slip", 1)).unwrap();
    let output = stage.run(&["verify", file]);
    assert_ne!(output.status.code(), Some(0), "{}", text(&output.stdout));
}
