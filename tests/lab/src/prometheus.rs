//! A real Prometheus, and an exporter that says what a test wants it to.
//!
//! Scraped twice a second, so that a test waits for seconds and not for minutes. The exporter is the truth: what a
//! provider says is compared with the samples that Prometheus keeps of it ([`Prometheus::samples`]).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::client;
use crate::clock::{LIMIT, eventually};
use crate::ports::free_port;
use crate::process::Process;
use crate::programs::program;

const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Series and their values, as `name{label="value"}`.
type Series = Arc<Mutex<BTreeMap<String, f64>>>;

/// What is scraped.
#[derive(Debug)]
pub struct Exporter {
    address: SocketAddr,
    series: Series,
    _serving: JoinSet<()>,
}

impl Exporter {
    /// Starts one without any series.
    ///
    /// # Errors
    /// Where nothing can be listened on.
    pub async fn start() -> Result<Self> {
        Self::start_at(SocketAddr::new(HOST, free_port(&[HOST])?)).await
    }

    /// Starts one at an address, for example where another one was.
    ///
    /// # Errors
    /// Where it cannot be listened on.
    pub async fn start_at(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen at {address}"))?;
        let series = Series::default();
        let router = Router::new()
            .route("/metrics", get(show))
            .with_state(Arc::clone(&series));
        let mut serving = JoinSet::new();
        serving.spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Self {
            address,
            series,
            _serving: serving,
        })
    }

    /// Where it is scraped.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets a gauge, for example `errors{zone="bz"}`.
    pub fn set(&self, series: &str, value: f64) {
        let mut all = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(series.to_owned(), value);
    }

    /// Says nothing of it any more.
    pub fn forget(&self, series: &str) {
        let mut all = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(series);
    }
}

async fn show(State(series): State<Series>) -> String {
    let mut text = String::new();
    let all = series.lock().unwrap_or_else(PoisonError::into_inner);
    for (name, value) in all.iter() {
        let value = if value.is_nan() {
            "NaN".to_owned()
        } else {
            value.to_string()
        };
        writeln!(text, "{name} {value}").ok();
    }
    text
}

/// A running server.
#[derive(Debug)]
pub struct Prometheus {
    address: SocketAddr,
    http: reqwest::Client,
    _process: Process,
}

impl Prometheus {
    /// Starts it on loopback with its data in `folder`, and waits until it has scraped. It also has the rules of every
    /// `*.rules.yml` and the targets of every `*.targets.json` there.
    ///
    /// # Errors
    /// Where it is missing (the message names its package) or does not start (the message quotes its log).
    pub async fn start(folder: &Path, exporter: &Exporter) -> Result<Self> {
        let setpriv = program("setpriv", "util-linux")?;
        let prometheus = program("prometheus", "prometheus")?;
        let config = folder.join("prometheus.yml");
        let text = format!(
            "global: {{ scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 1s }}\n\
             rule_files: ['{folder}/*.rules.yml']\n\
             scrape_configs:\n - job_name: lab\n   static_configs: [{{ targets: ['{}'] }}]\n\
             \x20- job_name: more\n   file_sd_configs: [{{ files: ['{folder}/*.targets.json'] }}]\n",
            exporter.address,
            folder = folder.display(),
        );
        std::fs::write(&config, text)?;
        let address = SocketAddr::new(HOST, free_port(&[HOST])?);
        let mut process = Process::start(
            &setpriv,
            "prometheus",
            &prometheus,
            [
                format!("--config.file={}", config.display()),
                format!("--storage.tsdb.path={}", folder.join("data").display()),
                format!("--web.listen-address={address}"),
            ],
            &folder.join("prometheus.log"),
        )?;
        let http = client::plain()?;
        // Of the exporter alone: what else is scraped may be down on purpose. The query is `up{job="lab"}`.
        let url = format!("http://{address}/api/v1/query?query=up%7Bjob%3D%22lab%22%7D");
        eventually("prometheus to scrape", LIMIT, async || {
            if let Err(ended) = process.alive() {
                return Ok(Some(Err(ended)));
            }
            let body = http.get(&url).send().await?.text().await?;
            let answer: Value = serde_json::from_str(&body)?;
            let scraped = answer.pointer("/data/result/0/value/1");
            Ok((scraped.and_then(Value::as_str) == Some("1")).then_some(Ok(())))
        })
        .await??;
        Ok(Self {
            address,
            http,
            _process: process,
        })
    }

    /// Address of its API.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until every target was scraped and every rule evaluated once, whatever came of it.
    ///
    /// # Errors
    /// Where they were not within a minute.
    pub async fn looked(&self) -> Result<()> {
        eventually("targets and rules to be looked at", LIMIT, async || {
            for function in ["targets", "rules"] {
                let url = format!("{}/api/v1/{function}", self.url());
                let text = self.http.get(url).send().await?.text().await?;
                if text.contains(r#""health":"unknown""#) {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
        .await
    }

    /// The samples of a series in the last ten minutes, as they were scraped: milliseconds since the epoch, and text.
    ///
    /// # Errors
    /// Where it does not answer.
    pub async fn samples(&self, series: &str) -> Result<Vec<(u64, String)>> {
        let mut url = reqwest::Url::parse(&format!("{}/api/v1/query", self.url()))?;
        url.query_pairs_mut()
            .append_pair("query", &format!("{series}[10m]"));
        let answer: Value = serde_json::from_str(&self.http.get(url).send().await?.text().await?)?;
        let values = answer.pointer("/data/result/0/values");
        let values: Vec<(f64, String)> = match values {
            Some(values) => serde_json::from_value(values.clone())?,
            None => Vec::new(),
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "milliseconds since the epoch are far from both ends"
        )]
        let milliseconds = |at: f64| (at * 1000.0).round() as u64;
        Ok(values
            .into_iter()
            .map(|(at, value)| (milliseconds(at), value))
            .collect())
    }

    /// Waits until a series has been scraped with this value `times` times in a row.
    ///
    /// # Errors
    /// Where it was not within a minute.
    pub async fn scraped(&self, series: &str, value: &str, times: usize) -> Result<()> {
        eventually("a value to be scraped", LIMIT, async || {
            let samples = self.samples(series).await?;
            let same = samples.iter().rev().take_while(|(_, text)| text == value);
            Ok((same.count() >= times).then_some(()))
        })
        .await
    }
}
