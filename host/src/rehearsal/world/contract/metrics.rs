//! `understudy:metrics/metrics`: what monitoring at a site measures of the requests that reach it, and since when the
//! service fails its users.

use serde::{Deserialize, Serialize};

use super::super::World;
use super::{args, no_such_function, ok, outcome};
use crate::call::{CallError, Operation, Outcome, Reply, Request};
use crate::clock::Instant;
use crate::name::SiteName;
use crate::rehearsal::scenario::start::{Measure, Objective, Targets};

/// How often an objective that is to hold is looked at, in milliseconds: once a minute, as Prometheus evaluates alerting
/// rules where nothing else is said (`evaluation_interval`).
const LOOK_EVERY_MS: u64 = 60_000;

#[derive(Serialize)]
struct Level {
    value: f64,
    threshold: f64,
    met: bool,
    unit: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Outage {
    since: Instant,
    met_until: Instant,
}

/// `monitoring` of the contract.
#[derive(Default, Serialize)]
struct SelfReport {
    jobs: Vec<Job>,
    alerts: Vec<Alert>,
}

#[derive(Serialize)]
struct Job {
    name: String,
    up: u32,
    down: u32,
    problem: String,
}

#[derive(Serialize)]
struct Alert {
    name: String,
    works: bool,
    firing: bool,
    problem: String,
}

#[derive(Deserialize)]
struct Site {
    site: SiteName,
}

#[derive(Deserialize)]
struct Name {
    objective: String,
}

#[derive(Deserialize)]
struct Held {
    objectives: Vec<String>,
    window: u64,
    since: Instant,
}

impl World {
    pub(crate) fn metrics(&mut self, request: &Request) -> Reply {
        let Site { site } = args(request)?;
        match request.function.function.as_str() {
            "observe-objective" => self.observe_objective(&site, &args::<Name>(request)?.objective),
            "observe-outage" => self.observe_outage(&site, &args::<Name>(request)?.objective),
            "observe-monitoring" => self.observe_monitoring(&site),
            "ensure-held" => self.ensure_held(&site, &args(request)?),
            _ => no_such_function(request),
        }
    }

    fn declared(&self, name: &str) -> Result<Objective, CallError> {
        let objective = self.objectives.get(name).copied();
        objective.ok_or_else(|| CallError::NotFound(format!("no objective `{name}`")))
    }

    fn observe_objective(&self, site: &SiteName, name: &str) -> Reply {
        let objective = self.declared(name)?;
        let Some(value) = self.objective(site, objective.measures) else {
            return Err(CallError::NotFound(format!(
                "no data for `{name}`: no request has reached `{site}` lately"
            )));
        };
        ok(&Level {
            value,
            threshold: objective.at_most,
            met: value <= objective.at_most,
            unit: match objective.measures {
                Measure::ErrorRatio => "ratio",
                Measure::LatencyP90 | Measure::LatencyP99 => "ms",
                Measure::DatabaseErrors => "1/s",
            },
        })
    }

    fn observe_outage(&mut self, site: &SiteName, name: &str) -> Reply {
        if self.declared(name)?.measures != Measure::ErrorRatio {
            return Err(CallError::Invalid(format!(
                "`{name}` does not count failed requests"
            )));
        }
        self.reach(site)?;
        ok(&self.failing(name).map(|failing| Outage {
            since: failing.since,
            met_until: failing.met_until,
        }))
    }

    fn observe_monitoring(&mut self, place: &SiteName) -> Reply {
        self.reach(place)?;
        let Some(site) = self.sites.get(place) else {
            return ok(&SelfReport::default());
        };
        let job = |(name, targets): (&String, &Targets)| Job {
            name: name.clone(),
            up: targets.up,
            down: targets.down,
            problem: if targets.down > 0 {
                format!("{name}-1: connection refused")
            } else {
                String::new()
            },
        };
        let alert = |(name, problem): (&String, &String)| Alert {
            name: name.clone(),
            works: problem.is_empty(),
            firing: false,
            problem: problem.clone(),
        };
        ok(&SelfReport {
            jobs: site.monitoring.jobs.iter().map(job).collect(),
            alerts: site.monitoring.alerts.iter().map(alert).collect(),
        })
    }

    fn ensure_held(&mut self, site: &SiteName, held: &Held) -> Reply {
        for name in &held.objectives {
            let objective = self.declared(name)?;
            if let Some((_, value)) = self
                .last_miss(site, name)
                .filter(|(at, _)| *at > held.since)
            {
                let most = objective.at_most;
                return Err(CallError::Conflict(format!(
                    "`{name}` was {value}, expected at most {most}"
                )));
            }
        }
        let until = held.since.0.saturating_add(held.window);
        let left_ms = until.saturating_sub(self.now.0);
        if left_ms == 0 {
            return outcome(Outcome::Unchanged);
        }
        outcome(Outcome::InProgress(Operation {
            id: format!("window at {site}"),
            description: format!("objectives held for {} ms", held.window),
            poll_after_ms: left_ms.min(self.look_ms(LOOK_EVERY_MS)),
        }))
    }
}
