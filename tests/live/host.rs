//! The binary `understudy`, run against a lab: its overlay, its secrets, a folder of runs of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tokio::process::{Child, Command};
use understudy_lab::lab::Lab;

/// Everybody who may be asked. In a live test all of them say go at once.
const ROLES: [&str; 5] = [
    "incident-commander",
    "db-lead",
    "kubernetes-lead",
    "dns-lead",
    "observer",
];

/// How to run the host.
pub(crate) struct Host {
    program: PathBuf,
    runbook: PathBuf,
    overlay: PathBuf,
    runs: PathBuf,
    log: PathBuf,
    cache: PathBuf,
    secrets: BTreeMap<String, String>,
}

impl Host {
    /// A host for this lab. The plugins are those of the repository, as they were last locked.
    pub(crate) fn new(lab: &Lab) -> Result<Self> {
        let program = Path::new(env!("CARGO_BIN_EXE_understudy-lab")).with_file_name("understudy");
        ensure!(
            program.is_file(),
            "{} is missing: run `cargo build -p understudy`",
            program.display()
        );
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let overlay = lab.folder().join("overlay.toml");
        fs::write(&overlay, lab.overlay_toml()?)?;
        Ok(Self {
            program,
            runbook: repository.join("runbooks/wordpress/runbook.toml"),
            overlay,
            runs: lab.folder().join("runs"),
            log: lab.folder().join("host.log"),
            cache: repository.join("target/understudy-cache"),
            secrets: lab.credentials(),
        })
    }

    /// Begins a run.
    pub(crate) fn run(&self, procedure: &str, mode: &str) -> Result<Child> {
        let mut command = self.command("run")?;
        command
            .arg(&self.runbook)
            .args(["--procedure", procedure, "--mode", mode])
            .arg("--overlay")
            .arg(&self.overlay);
        Ok(self.for_everybody(&mut command).spawn()?)
    }

    /// Carries the newest run through and expects it to end well.
    pub(crate) async fn resume(&self) -> Result<()> {
        let mut command = self.command("resume")?;
        command.arg(self.newest()?);
        let mut child = self.for_everybody(&mut command).spawn()?;
        self.done(child.wait().await?)
    }

    /// Waits for a run that is expected to end well.
    pub(crate) async fn ends_well(&self, mut child: Child) -> Result<()> {
        self.done(child.wait().await?)
    }

    /// The newest run's report.
    pub(crate) async fn report(&self) -> Result<Value> {
        let mut command = self.command("report")?;
        command
            .arg(self.newest()?)
            .args(["-o", "json"])
            .stdout(Stdio::piped());
        let output = command.spawn()?.wait_with_output().await?;
        self.done(output.status)?;
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Checks the newest run's chain of records.
    pub(crate) async fn verify(&self) -> Result<()> {
        let mut command = self.command("verify")?;
        self.done(command.arg(self.newest()?).spawn()?.wait().await?)
    }

    /// Everything the host has written: journals, reports, and what it printed.
    pub(crate) fn written(&self) -> Result<Vec<Vec<u8>>> {
        let mut written = vec![fs::read(&self.log)?];
        for run in fs::read_dir(&self.runs)? {
            for file in fs::read_dir(run?.path())? {
                written.push(fs::read(file?.path())?);
            }
        }
        Ok(written)
    }

    fn command(&self, command: &str) -> Result<Command> {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(&self.log)?;
        let mut started = Command::new(&self.program);
        started
            .arg(command)
            .arg("--runs-dir")
            .arg(&self.runs)
            .arg("--cache")
            .arg(&self.cache)
            .env_clear()
            .envs(&self.secrets)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        Ok(started)
    }

    fn for_everybody<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        for role in ROLES {
            command.arg("--answer").arg(format!("{role}=go"));
        }
        command
    }

    /// Runs are named so that they sort by time.
    fn newest(&self) -> Result<String> {
        let mut runs = Vec::new();
        for entry in fs::read_dir(&self.runs)? {
            runs.push(entry?.file_name().to_string_lossy().into_owned());
        }
        runs.sort();
        runs.pop().context("there is no run")
    }

    /// What the host has printed.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn done(&self, status: ExitStatus) -> Result<()> {
        ensure!(
            status.success(),
            "understudy ended with {status}\n{}",
            self.log()
        );
        Ok(())
    }
}
