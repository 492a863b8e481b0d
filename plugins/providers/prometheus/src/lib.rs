//! Service levels through Prometheus' HTTP API (v1, also Thanos, Mimir and VictoriaMetrics).
//!
//! # What it needs there
//! One server per site that sees what the objectives speak of; a dead site's monitoring is dead with it. Grants of the
//! host for `http`: `GET` on `/api/v1/query` and `/api/v1/query_range`, for `observe-monitoring` on `/api/v1/targets` and
//! `/api/v1/rules`. A credential only where something in front of
//! it wants one.
//!
//! # What each function does there
//! * `observe-objective`: an instant query. No series is `not-found`; NaN (nothing to divide by) is not met, and is
//!   carried as the largest (`at-least`: smallest) number that there is, since the contract carries no NaN.
//! * `observe-outage`: an instant query of the objective's `outage-query`; where it is missed, range queries that walk
//!   back to the last instant at which it was met. Instants without data are neither met nor missed: they widen the
//!   time between `met-until` and `since`.
//! * `observe-monitoring`: the active targets by their label `job`, and the alerting rules by name. What was not scraped
//!   or evaluated yet is not up and does not work. A server that only answers queries knows neither: `not-found`.
//! * `ensure-held`: a range query per objective over the window up to now. An instant without data is an instant at
//!   which it was not held. Where an objective is measured over some time (`over-ms`), the window begins so much later: what
//!   was before it is in none of its numbers.
//!
//! # Limits
//! * Time is the server's: its clock against the host's decides when a window ends.
//! * What happens between two instants that are `resolution-ms` apart is not seen. A `rate` over a minute sees an
//!   outage a minute late, and forgets it a minute late.
//! * A query gives one number: aggregate in PromQL.
//!
//! Start at [`Prometheus::observe_outage`](metrics::Guest::observe_outage); decisions are in `judge`, requests in
//! `api`, what the server says of itself in `monitoring`.

use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::provider::{Configured, in_progress};

mod api;
mod config;
mod judge;
mod monitoring;

understudy_sdk::provider_bindings!("understudy:plugin/provider-metrics");

use config::{Config, Objective};
use exports::understudy::{metrics::metrics, plugin::provider};
use judge::Missed;

/// Instants asked for at once when walking back; the server refuses more than 11,000.
const INSTANTS_PER_QUERY: u64 = 1_000;

/// Instants that a window is judged at, at most: below what the server refuses.
const INSTANTS_PER_WINDOW: u64 = 10_000;

/// Wait in milliseconds before a window that is not over is looked at again, at most.
const LOOK_EVERY_MS: u64 = 10_000;

static CONFIG: Configured<Config> = Configured::new();

/// The provider.
struct Prometheus;

impl provider::Guest for Prometheus {
    fn describe() -> provider::Description {
        provider::Description {
            name: "prometheus".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Service levels as PromQL queries with thresholds".to_owned(),
            config_schema: config::SCHEMA.to_owned(),
        }
    }

    fn configure(config: String) -> Result<(), String> {
        CONFIG.set(Config::parse(&config)?)
    }
}

impl metrics::Guest for Prometheus {
    fn observe_objective(site: String, objective: String) -> Result<metrics::Level, Error> {
        let config = CONFIG.get()?;
        let objective = config.objective(&site, &objective)?;
        let sample = api::instant(config.server(&site)?, &objective.query)?
            .ok_or_else(|| no_data(&objective, &site))?;
        Ok(metrics::Level {
            value: objective.carried(sample.value),
            threshold: objective.threshold,
            met: objective.is_met(sample.value),
            unit: objective.unit,
        })
    }

    fn observe_outage(site: String, objective: String) -> Result<Option<metrics::Outage>, Error> {
        let config = CONFIG.get()?;
        let objective = config.objective(&site, &objective)?;
        let Some(query) = &objective.outage_query else {
            return Err(Error::Invalid(format!(
                "`{}` does not count failed requests: give it an `outage-query`",
                objective.name
            )));
        };
        let server = config.server(&site)?;
        let now = api::instant(server, query)?.ok_or_else(|| no_data(&objective, &site))?;
        if objective.is_met(now.value) {
            return Ok(None);
        }
        let step = config.resolution_ms;
        let limit = now.at.saturating_sub(config.look_back_ms);
        let mut missed = Missed {
            since: now.at,
            met_until: None,
        };
        let mut end = now.at.saturating_sub(step);
        while end > limit {
            let start = end.saturating_sub(step * INSTANTS_PER_QUERY).max(limit);
            let samples = api::range(server, query, (start, end, step))?;
            missed = missed.back_through(&samples, &objective);
            if let Some(met_until) = missed.met_until {
                return Ok(Some(metrics::Outage {
                    since: missed.since,
                    met_until,
                }));
            }
            end = start.saturating_sub(step);
        }
        Err(Error::NotFound(format!(
            "`{}` has been missed for longer than the {} s that are looked back",
            objective.name,
            config.look_back_ms / 1000
        )))
    }

    fn observe_monitoring(site: String) -> Result<metrics::Monitoring, Error> {
        let config = CONFIG.get()?;
        let server = config.server(&site)?;
        Ok(metrics::Monitoring {
            jobs: api::targets(server)?.jobs(),
            alerts: api::alerting_rules(server)?.alerts(),
        })
    }

    fn ensure_held(
        site: String,
        objectives: Vec<String>,
        window: u64,
        since: u64,
    ) -> Result<metrics::Outcome, Error> {
        let config = CONFIG.get()?;
        let server = config.server(&site)?;
        let objectives = objectives.iter();
        let objectives: Vec<Objective> = objectives
            .map(|name| config.objective(&site, name))
            .collect::<Result<_, _>>()?;
        let over_ms = objectives.iter().map(|objective| objective.over_ms).max();
        let since = since.saturating_add(over_ms.unwrap_or(0));
        let now = api::now(server)?;
        let until = since.saturating_add(window);
        let step = config
            .resolution_ms
            .max(window.div_ceil(INSTANTS_PER_WINDOW));
        if since <= now {
            let span = (since, now.min(until), step);
            for objective in &objectives {
                let samples = api::range(server, &objective.query, span)?;
                judge::held(&samples, objective, span)
                    .map_err(|problem| Error::Conflict(format!("{problem}, at {site}")))?;
            }
        }
        let left = until.saturating_sub(now);
        if left == 0 {
            return Ok(metrics::Outcome::Unchanged);
        }
        Ok(in_progress(
            format!("window at {site}"),
            format!(
                "objectives are held, {} s of the window are left",
                left.div_ceil(1000)
            ),
            left.min(LOOK_EVERY_MS),
        ))
    }
}

fn no_data(objective: &Objective, site: &str) -> Error {
    Error::NotFound(format!("no data for `{}` at {site}", objective.name))
}

export!(Prometheus);
