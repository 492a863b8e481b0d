//! Monitoring of the two zones: a real Prometheus over what each zone's ingress controller has answered its users, counted
//! from its log.
//!
//! The series is `ingress_requests_total{zone, code}` with codes by class, `5xx`. Rates are over a few seconds, so that a
//! test waits for seconds and not for minutes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::agent::ingress;
use crate::platform::Platform;
use crate::prometheus::{Exporter, Prometheus};

/// The objective that [`Monitoring::binding`] declares: the share of requests that a zone answered with 5xx.
pub const ERROR_RATE: &str = "error-rate";
/// The rule that tells people of it.
pub const ALERT: &str = "UsersFail";
/// Most of it that is good enough: some requests fail while a pod ends.
const MOST_ERRORS: f64 = 0.2;
/// How much of the past the rate is of, in seconds.
const OVER_SECONDS: u64 = 5;
/// Between two looks into the logs.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Classes of status codes.
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// Running monitoring. Dropping it ends it.
#[derive(Debug)]
pub struct Monitoring {
    /// The server.
    pub server: Prometheus,
    /// Folder of the server: each `*.targets.json` there is scraped too.
    pub folder: PathBuf,
    _counting: JoinSet<()>,
}

impl Monitoring {
    /// Starts it beside two zones.
    ///
    /// # Errors
    /// Where Prometheus is missing or does not start.
    pub async fn start(platform: &Platform) -> Result<Self> {
        let folder = platform.folder().join("monitoring");
        fs::create_dir_all(&folder)?;
        let alert = json!({ "alert": ALERT, "expr": format!("{} > {MOST_ERRORS}", errors("")) });
        let rules = json!({ "groups": [{ "name": "users", "rules": [alert] }] });
        fs::write(folder.join("users.rules.yml"), rules.to_string())?;
        let exporter = Arc::new(Exporter::start().await?);
        let mut counting = JoinSet::new();
        for (name, zone) in [("pz", &platform.pz), ("bz", &platform.bz)] {
            let log = ingress::requests(zone.agent.config());
            counting.spawn(count(name, log, Arc::clone(&exporter)));
        }
        let server = Prometheus::start(&folder, &exporter).await?;
        Ok(Self {
            server,
            folder,
            _counting: counting,
        })
    }

    /// The binding of service levels. Both zones' are measured by one server, which outlives either.
    #[must_use]
    pub fn binding(&self) -> Value {
        let at = json!({ "server": self.server.url() });
        let objective = json!({
            "query": errors(r#"zone="${site}""#),
            "threshold": MOST_ERRORS,
            "unit": "ratio",
            "over-ms": OVER_SECONDS * 1000,
        });
        json!({
            "contract": "understudy:metrics/metrics@0.1.0",
            "plugin": "prometheus",
            "config": {
                "sites": { "pz": at, "bz": at },
                "resolution-ms": 500,
                "objectives": { ERROR_RATE: objective },
            },
            "http": [{ "methods": ["GET"], "url": format!("{}/api/v1", self.server.url()), "private": true }],
        })
    }
}

/// The share of requests that were answered with 5xx, of those with such labels.
fn errors(labels: &str) -> String {
    let rate =
        |labels: String| format!("sum(rate(ingress_requests_total{{{labels}}}[{OVER_SECONDS}s]))");
    let failed = rate(format!(r#"code="5xx", {labels}"#));
    format!("{failed} / {}", rate(labels.to_owned()))
}

/// Counts what is added to a log, for ever.
async fn count(zone: &str, log: PathBuf, exporter: Arc<Exporter>) {
    let mut counts = BTreeMap::from(CLASSES.map(|class| (class, 0_u32)));
    let mut read = 0;
    loop {
        read += added(&log, read, &mut counts);
        for (class, count) in &counts {
            let series = format!(r#"ingress_requests_total{{zone="{zone}", code="{class}"}}"#);
            exporter.set(&series, f64::from(*count));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Counts the whole lines of a log from some byte on, and answers how many bytes they have. A log that there is not has none.
fn added(log: &Path, from: usize, counts: &mut BTreeMap<&str, u32>) -> usize {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines = text.get(from..).unwrap_or_default();
    let whole = lines.rfind('\n').map_or(0, |end| end + 1);
    let lines = lines.get(..whole).unwrap_or_default().lines();
    for class in lines.filter_map(|line| line.rsplit(' ').next()?.get(..1)) {
        let counted = counts.iter_mut().find(|(name, _)| name.starts_with(class));
        counted.into_iter().for_each(|(_, count)| *count += 1);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_are_counted_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut counts = BTreeMap::from(CLASSES.map(|class| (class, 0)));
        fs::write(&file, "wp-active 200\nwp-active 503\nwp-active 2").unwrap();
        let read = added(file.path(), 0, &mut counts);
        fs::write(&file, "wp-active 200\nwp-active 503\nwp-active 201\n").unwrap();
        let more = added(file.path(), read, &mut counts);
        assert_eq!(read + more, 42);
        assert_eq!((counts["2xx"], counts["5xx"], counts["4xx"]), (2, 1, 0));
        assert_eq!(added(Path::new("/nowhere"), 0, &mut counts), 0);
    }
}
