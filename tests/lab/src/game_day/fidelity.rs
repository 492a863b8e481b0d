//! How a rehearsal of a drill compares with it: the run is fitted and rehearsed by the host (`understudy calibrate`).

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
    /// `strategy/step`.
    pub step: String,
    /// It did not begin before anything that it began after live.
    pub same_order: bool,
    /// The same calls, in the same order.
    pub same_calls: bool,
}

/// A strategy in both.
#[derive(Debug, Clone, Deserialize)]
pub struct Leg {
    /// Its name.
    pub strategy: String,
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
    /// What it says of one leg, from 0. A difference that names no step of a strategy stands at the first leg.
    ///
    /// # Errors
    /// Where there is no such leg.
    pub fn of_leg(&self, leg: usize) -> Result<Self> {
        let one = self.legs.get(leg).context("no such leg")?;
        let is_its = |text: &str, other: &Leg| text.contains(&format!("{}/", other.strategy));
        let steps = self.steps.iter().filter(|step| is_its(&step.step, one));
        let differences = self.differences.iter().filter(|text| {
            let owner = self.legs.iter().position(|other| is_its(text, other));
            owner.unwrap_or(0) == leg
        });
        Ok(Self {
            steps: steps.cloned().collect(),
            legs: vec![one.clone()],
            differences: differences.cloned().collect(),
        })
    }

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
