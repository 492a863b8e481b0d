//! What Prometheus says of itself: targets by job, and the rules that alert by name. Pure.
//! Source: <https://prometheus.io/docs/prometheus/latest/querying/api/>, targets and rules.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::exports::understudy::metrics::metrics::{Alert, Job};

/// Most jobs and most alerts of an answer: as the contract says.
const MOST: usize = 1_000;

/// `data` of `/api/v1/targets`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Targets {
    active_targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    #[serde(default)]
    labels: BTreeMap<String, String>,
    health: String,
    #[serde(default)]
    last_error: String,
}

/// `data` of `/api/v1/rules`.
#[derive(Debug, Deserialize)]
pub(crate) struct Rules {
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    name: String,
    health: String,
    #[serde(default)]
    last_error: String,
    #[serde(default)]
    state: String,
}

impl Targets {
    /// By the label `job`. A target that was not scraped yet is not up.
    pub(crate) fn jobs(self) -> Vec<Job> {
        let mut jobs: BTreeMap<String, Job> = BTreeMap::new();
        for target in self.active_targets {
            let label = |name: &str| target.labels.get(name).cloned().unwrap_or_default();
            let name = label("job");
            let job = jobs.entry(name.clone()).or_insert(Job {
                name,
                up: 0,
                down: 0,
                problem: String::new(),
            });
            if target.health == "up" {
                job.up += 1;
                continue;
            }
            job.down += 1;
            if job.problem.is_empty() {
                let why = said(&target.last_error, "it was not scraped yet");
                job.problem = format!("{}: {why}", label("instance"));
            }
        }
        jobs.into_values().take(MOST).collect()
    }
}

impl Rules {
    /// By name. A rule that was not evaluated yet does not work.
    pub(crate) fn alerts(self) -> Vec<Alert> {
        let mut alerts: BTreeMap<String, Alert> = BTreeMap::new();
        for rule in self.groups.into_iter().flat_map(|group| group.rules) {
            let alert = alerts.entry(rule.name.clone()).or_insert(Alert {
                name: rule.name,
                works: true,
                firing: false,
                problem: String::new(),
            });
            alert.firing |= rule.state == "firing";
            if rule.health != "ok" && alert.works {
                alert.works = false;
                alert.problem = said(&rule.last_error, "it was not evaluated yet").to_owned();
            }
        }
        alerts.into_values().take(MOST).collect()
    }
}

fn said<'a>(error: &'a str, otherwise: &'a str) -> &'a str {
    if error.is_empty() { otherwise } else { error }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn targets_are_counted_by_job_and_one_that_is_down_is_named() {
        let target = |job: &str, instance: &str, health: &str, error: &str| {
            json!({
                "discoveredLabels": {}, "labels": { "job": job, "instance": instance },
                "scrapePool": job, "health": health, "lastError": error
            })
        };
        let targets: Targets = serde_json::from_value(json!({ "activeTargets": [
            target("node", "a:9100", "up", ""),
            target("node", "b:9100", "down", "connection refused"),
            target("node", "c:9100", "down", "timeout"),
            target("mysql", "d:9104", "unknown", ""),
            target("mysql", "e:9104", "up", ""),
        ], "droppedTargets": [] }))
        .unwrap();
        let jobs = targets.jobs().into_iter();
        let told: Vec<_> = jobs
            .map(|job| (job.name, job.up, job.down, job.problem))
            .collect();
        let told: Vec<_> = told
            .iter()
            .map(|(name, up, down, problem)| (name.as_str(), *up, *down, problem.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("mysql", 1, 1, "d:9104: it was not scraped yet"),
                ("node", 1, 2, "b:9100: connection refused"),
            ]
        );
    }

    #[test]
    fn rules_of_one_name_work_where_all_of_them_do() {
        let rule = |name: &str, state: &str, health: &str, error: &str| {
            json!({
                "name": name, "state": state, "health": health, "lastError": error,
                "type": "alerting", "query": "up == 0", "duration": 60
            })
        };
        let rules: Rules = serde_json::from_value(json!({ "groups": [
            { "name": "one", "rules": [
                rule("Behind", "inactive", "ok", ""), rule("Old", "inactive", "unknown", "")
            ] },
            { "name": "two", "rules": [
                rule("Behind", "firing", "err", "many-to-many"), rule("Down", "firing", "ok", "")
            ] },
        ] }))
        .unwrap();
        let alerts = rules.alerts();
        let told: Vec<_> = alerts
            .iter()
            .map(|one| {
                (
                    one.name.as_str(),
                    one.works,
                    one.firing,
                    one.problem.as_str(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("Behind", false, true, "many-to-many"),
                ("Down", true, true, ""),
                ("Old", false, false, "it was not evaluated yet"),
            ]
        );
    }
}
