//! The `prometheus` provider against a real Prometheus.

use serde_json::{Value, json};
use understudy_lab::clock::now_ms;
use understudy_lab::prometheus::{Exporter, Prometheus};

use crate::host::Host;

const ERRORS: &str = r#"errors{zone="bz"}"#;
const RESOLUTION_MS: u64 = 1000;

/// Rules that tell people: one that would, one that does, and one that cannot be evaluated, for two series match two.
const RULES: &str = r#"
groups:
- name: lab
  rules:
  - { alert: ErrorsMany, expr: errors > 0.5 }
  - { alert: ErrorsFew, expr: errors < 0.5 }
  - { alert: Ambiguous, expr: requests + on() requests }
  - { record: errors_total, expr: sum(errors) }
"#;

struct Stage {
    exporter: Exporter,
    server: Prometheus,
    host: Host,
    _folder: tempfile::TempDir,
}

async fn stage() -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let exporter = Exporter::start().await.unwrap();
    exporter.set(ERRORS, 0.0);
    exporter.set(r#"requests{zone="pz"}"#, 12.0);
    exporter.set(r#"requests{zone="bz"}"#, 3.0);
    std::fs::write(folder.path().join("lab.rules.yml"), RULES).unwrap();
    // Nobody listens at the port that is reserved for a multiplexer of services (RFC 1078).
    let silent = json!([{ "targets": ["127.0.0.1:1"], "labels": { "job": "silent" } }]);
    std::fs::write(
        folder.path().join("silent.targets.json"),
        silent.to_string(),
    )
    .unwrap();
    let server = Prometheus::start(folder.path(), &exporter).await.unwrap();
    server.scraped(ERRORS, "0", 4).await.unwrap();
    let at = json!({ "server": server.url() });
    let objective = |query: &str| json!({ "query": query, "threshold": 0.1, "unit": "ratio" });
    let mut errors = objective(r#"errors{zone="${site}"}"#);
    errors["outage-query"] = r#"errors{zone="bz"}"#.into();
    let worst = objective(r#"max_over_time(errors{zone="bz"}[5s])"#);
    let mut worst_since = worst.clone();
    worst_since["over-ms"] = 5_000.into();
    let binding = json!({
        "contract": "understudy:metrics/metrics@0.1.0",
        "config": {
            "sites": { "pz": at, "bz": at },
            "resolution-ms": RESOLUTION_MS,
            "objectives": {
                "errors": errors,
                "requests": { "query": r#"requests{zone="${site}"}"#, "threshold": 10, "unit": "1/s", "met": "at-least",
                    "sites": { "bz": { "threshold": 2 } } },
                "several": objective("requests"),
                "worst": worst,
                "worst-since": worst_since,
                "undefined": objective("vector(0) / vector(0)"),
                "misspelt": objective("sum(errors"),
            },
        },
        "http": [{ "methods": ["GET"], "url": format!("{}/api/v1", server.url()), "private": true }],
    });
    let host = Host::new("prometheus", binding, []);
    Stage {
        exporter,
        server,
        host,
        _folder: folder,
    }
}

fn observe(site: &str, objective: &str) -> Value {
    json!({ "call": "observe-objective", "site": site, "objective": objective })
}

fn outage(objective: &str) -> Value {
    json!({ "call": "observe-outage", "site": "bz", "objective": objective })
}

fn held(since: u64, window_ms: u64) -> Value {
    json!({ "call": "ensure-held", "site": "bz", "objectives": ["errors", "requests"], "window": window_ms, "since": since })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_objective_is_a_number_against_its_threshold() {
    let stage = stage().await;
    let ran = stage
        .host
        .calls(json!([
            observe("bz", "errors"),
            observe("pz", "errors"),
            observe("pz", "requests"),
            observe("bz", "requests"),
            observe("bz", "undefined"),
            observe("bz", "several"),
            observe("bz", "misspelt"),
            observe("bz", "speed"),
            observe("bz", "misspelt"),
        ]))
        .await;
    let level = |value: f64, threshold: f64, unit: &str| json!({ "ok": { "value": value, "threshold": threshold, "met": true, "unit": unit } });
    assert_eq!(ran.answers[0], level(0.0, 0.1, "ratio"));
    let none = ran.answers[1]["err"]["not-found"].as_str().unwrap();
    assert!(none.contains("no data for `errors` at pz"), "{none}");
    assert_eq!(ran.answers[2], level(12.0, 10.0, "1/s"));
    assert_eq!(ran.answers[3], level(3.0, 2.0, "1/s"));
    assert_eq!(ran.answers[4]["ok"]["met"], false, "{}", ran.answers[4]);
    let several = ran.answers[5]["err"]["invalid"].as_str().unwrap();
    assert!(several.contains("2 series"), "{several}");
    let misspelt = ran.answers[6]["err"]["invalid"].as_str().unwrap();
    assert!(
        misspelt.contains("bad_data") && misspelt.contains("parse error"),
        "{misspelt}"
    );
    assert!(ran.answers[7]["err"]["not-found"].is_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn monitoring_says_what_it_measures_and_of_what_it_would_tell() {
    let stage = stage().await;
    stage.server.looked().await.unwrap();
    let told = stage
        .host
        .call(json!({ "call": "observe-monitoring", "site": "bz" }))
        .await;
    let jobs = told["ok"]["jobs"].as_array().unwrap();
    assert_eq!(
        jobs[0],
        json!({ "name": "lab", "up": 1, "down": 0, "problem": "" })
    );
    assert_eq!(
        (&jobs[1]["name"], &jobs[1]["up"], &jobs[1]["down"]),
        (&json!("silent"), &json!(0), &json!(1))
    );
    let problem = jobs[1]["problem"].as_str().unwrap();
    assert!(problem.starts_with("127.0.0.1:1: "), "{problem}");
    assert!(problem.contains("connection refused"), "{problem}");
    assert_eq!(jobs.len(), 2);
    let alerts = told["ok"]["alerts"].as_array().unwrap();
    let names: Vec<_> = alerts.iter().map(|alert| &alert["name"]).collect();
    assert_eq!(names, ["Ambiguous", "ErrorsFew", "ErrorsMany"]);
    let broken = alerts[0]["problem"].as_str().unwrap();
    assert!(
        alerts[0]["works"] == false && broken.contains("duplicate"),
        "{broken}"
    );
    let works = |firing: bool| json!({ "works": true, "firing": firing, "problem": "" });
    for (alert, firing) in [(&alerts[1], true), (&alerts[2], false)] {
        let mut alert = alert.clone();
        alert.as_object_mut().unwrap().remove("name");
        assert_eq!(alert, works(firing));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_dated_by_the_samples_that_were_scraped() {
    let stage = stage().await;
    assert_eq!(
        stage.host.call(outage("errors")).await,
        json!({ "ok": null })
    );
    stage.exporter.set(ERRORS, 0.7);
    stage.server.scraped(ERRORS, "0.7", 6).await.unwrap();
    let ran = stage
        .host
        .calls(json!([
            outage("errors"),
            outage("requests"),
            observe("bz", "errors")
        ]))
        .await;
    let found = &ran.answers[0]["ok"];
    let (since, met_until) = (
        found["since"].as_u64().unwrap(),
        found["met_until"].as_u64().unwrap(),
    );
    let samples = stage.server.samples(ERRORS).await.unwrap();
    let first = samples.iter().find(|(_, value)| value == "0.7").unwrap().0;
    assert!(
        met_until < first && first <= since && since - met_until == RESOLUTION_MS,
        "missed first at {first}, told {met_until} and {since}"
    );
    let refused = ran.answers[1]["err"]["invalid"].as_str().unwrap();
    assert!(
        refused.contains("does not count failed requests"),
        "{refused}"
    );
    assert_eq!(ran.answers[2]["ok"]["met"], false);

    stage.exporter.set(ERRORS, 0.0);
    stage.server.scraped(ERRORS, "0", 1).await.unwrap();
    assert_eq!(
        stage.host.call(outage("errors")).await,
        json!({ "ok": null }),
        "it is over"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_is_waited_for_and_a_miss_in_it_is_a_conflict() {
    let stage = stage().await;
    let ran = stage.host.calls(json!([held(now_ms(), 3_000)])).await;
    assert_eq!(ran.answers, [json!({ "ok": "changed" })]);
    assert!(
        !ran.of("waiting").is_empty(),
        "the window was in the future"
    );

    let since = now_ms();
    stage.exporter.set(ERRORS, 0.5);
    stage.server.scraped(ERRORS, "0.5", 4).await.unwrap();
    stage.exporter.set(ERRORS, 0.0);
    stage.server.scraped(ERRORS, "0", 4).await.unwrap();
    let answer = stage.host.call(held(since, 60_000)).await;
    let text = answer["err"]["conflict"].as_str().unwrap();
    assert!(
        text.contains("`errors` was 0.5") && text.contains("at most 0.1 ratio"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_before_a_window_is_in_no_number_of_it() {
    let stage = stage().await;
    stage.exporter.set(ERRORS, 0.5);
    stage.server.scraped(ERRORS, "0.5", 1).await.unwrap();
    stage.exporter.set(ERRORS, 0.0);
    stage.server.scraped(ERRORS, "0", 1).await.unwrap();
    let since = now_ms();
    let held = |objective: &str| json!({ "call": "ensure-held", "site": "bz", "objectives": [objective], "window": 1_000, "since": since });
    let ran = stage
        .host
        .calls(json!([held("worst"), held("worst-since")]))
        .await;
    let text = ran.answers[0]["err"]["conflict"].as_str().unwrap();
    assert!(
        text.contains("`worst` was 0.5 0 s into the window"),
        "{text}"
    );
    assert_eq!(ran.answers[1], json!({ "ok": "changed" }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_is_not_held() {
    let stage = stage().await;
    let since = now_ms();
    stage.exporter.forget(ERRORS);
    // Prometheus marks a series that is gone; only then has an instant no data.
    let url = format!("{}/api/v1/query?query=count(errors)", stage.server.url());
    understudy_lab::clock::eventually(
        "the series to be gone",
        understudy_lab::clock::LIMIT,
        async || {
            let text = understudy_lab::client::plain()?
                .get(&url)
                .send()
                .await?
                .text()
                .await?;
            Ok(text.contains(r#""result":[]"#).then_some(()))
        },
    )
    .await
    .unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(2 * RESOLUTION_MS)).await;
    stage.exporter.set(ERRORS, 0.0);
    stage.server.scraped(ERRORS, "0", 4).await.unwrap();
    let answer = stage.host.call(held(since, 60_000)).await;
    let text = answer["err"]["conflict"].as_str().unwrap();
    assert!(text.contains("`errors` had no data"), "{text}");
}
