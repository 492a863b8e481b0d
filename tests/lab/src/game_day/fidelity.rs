//! How a rehearsal of an act compares with it: the run is fitted and rehearsed by the host (`understudy calibrate`).

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::host::Host;

/// Folder of the scenarios that say what the zones are like.
const SCENARIOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");

/// A run and its rehearsal side by side, as far as the day's table shows it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Fidelity {
    /// Every step of either.
    pub steps: Vec<Step>,
    /// The strategy's figures.
    pub legs: Vec<Leg>,
    /// What keeps the rehearsal from being believed, one line each.
    pub differences: Vec<String>,
}

/// A step of both.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Step {
    /// It did not begin before anything that it began after live.
    pub same_order: bool,
    /// The same calls, in the same order.
    pub same_calls: bool,
}

/// A strategy in both.
#[derive(Debug, Clone, Deserialize)]
pub struct Leg {
    /// Its recovery time.
    pub rto: Pair,
}

/// A figure of both, in milliseconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Pair {
    /// In the run.
    pub live_ms: Option<u64>,
    /// In the rehearsal.
    pub rehearsed_ms: Option<u64>,
    /// By how much the rehearsed one is longer, in per cent.
    pub difference_percent: Option<f64>,
}

impl Fidelity {
    /// Of the newest run, in this scenario of the lab's.
    ///
    /// # Errors
    /// Where the run cannot be rehearsed in it; the host says why.
    pub async fn of(host: &Host, scenario: &str) -> Result<Self> {
        let mut command = host.about("calibrate")?;
        command
            .arg("--scenario")
            .arg(Path::new(SCENARIOS).join(scenario))
            .args(["--compare", "-o", "json"])
            .stdout(Stdio::piped());
        let output = command.spawn()?.wait_with_output().await?;
        // A difference is told by the exit code as well, and is for whoever reads the table.
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("no fidelity in {scenario}: {}", host.log()))
    }
}
