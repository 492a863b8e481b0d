//! The table, reviewed: what can be said of it without running it.

use std::collections::BTreeSet;

use understudy_recovery::plan::{flaws, lay_out};
use understudy_recovery::recovery::Recovery;
use understudy_recovery::{Context, Mode, Step};

use super::STEPS;

fn plan(data: &str) -> Vec<Step> {
    of(data, 1, &["db"])
}

fn of(data: &str, min_nodes: u32, secrets: &[&str]) -> Vec<Step> {
    let mirrored = secrets
        .iter()
        .map(|name| serde_json::json!({ "namespace": "app", "secret": name }));
    let config = serde_json::json!({
        "from": "pz", "to": "bz", "database": "d", "app": "a", "replicas": 2, "journeys": ["front-page"],
        "records": { "active": "active.test", "targets": { "pz": "pz.test", "bz": "bz.test" } },
        "certificate": { "name": "c", "issuer": "i", "dns-names": ["active.test", "bz.test"] },
        "media-bucket": "m", "data": data, "cluster": { "min-nodes": min_nodes },
        "mirrored": mirrored.collect::<Vec<_>>(),
    });
    let context = Context {
        run: "r".to_owned(),
        config: config.to_string(),
        mode: Mode::Graceful,
        rto_target_ms: 1,
        rpo_target_ms: 1,
    };
    lay_out(STEPS, &Recovery::read("standby", context, "").unwrap())
}

/// Everything that a step certainly comes after.
fn before<'p>(plan: &'p [Step], id: &str) -> BTreeSet<&'p str> {
    let step = plan.iter().find(|step| step.id == id).unwrap();
    let mut all = BTreeSet::new();
    for need in &step.needs {
        all.insert(need.as_str());
        all.extend(before(plan, need));
    }
    all
}

#[test]
fn the_table_is_a_graph_and_its_last_look_comes_after_everything() {
    assert_eq!(flaws(STEPS), Vec::<String>::new());
    for data in ["replica", "recovery-points"] {
        let plan = plan(data);
        let others = plan.iter().filter(|step| step.id != "check-posture");
        let ids: BTreeSet<&str> = others.map(|step| step.id.as_str()).collect();
        assert_eq!(before(&plan, "check-posture"), ids, "{data}");
        for step in &plan {
            let first =
                step.id == "check-serving" || before(&plan, &step.id).contains("check-serving");
            assert!(
                first,
                "{} does not wait for the look at who serves",
                step.id
            );
        }
    }
}

#[test]
fn nothing_takes_over_exposes_or_touches_the_site_that_serves() {
    const NEVER: [&str; 9] = [
        "promote",
        "restore",
        "flip",
        "expose",
        "activate",
        "freeze",
        "fence",
        "declare",
        "point-app",
    ];
    for data in ["replica", "recovery-points"] {
        for step in plan(data) {
            for act in &step.acts {
                // Pointing the application that waits at its own database is the one thing that recoveries do too.
                let waits = act.verb == "point-app" && act.site == "bz";
                assert!(
                    waits || !NEVER.contains(&act.verb.as_str()),
                    "{}: {}",
                    step.id,
                    act.verb
                );
                assert!(
                    act.site != "pz" || act.verb == "check",
                    "{}: {}",
                    step.id,
                    act.verb
                );
            }
        }
    }
}

#[test]
fn the_contract_of_clusters_is_used_where_a_cluster_is_looked_at_and_nowhere_else() {
    let uses = |min_nodes: u32, secrets: &[&str]| -> Vec<String> {
        let steps = of("replica", min_nodes, secrets).into_iter();
        let steps = steps.filter(|step| step.uses.iter().any(|name| name == "kubernetes"));
        steps.map(|step| step.id).collect()
    };
    assert_eq!(uses(3, &[]), ["check-cluster", "check-posture"]);
    assert_eq!(uses(0, &["db"]), ["check-secrets", "check-posture"]);
    assert_eq!(uses(0, &[]), Vec::<String>::new());
}
