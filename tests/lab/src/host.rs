//! The binary `understudy`, run against a lab: its overlays, its secrets, a folder of runs of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use anyhow::{Context as _, Result, ensure};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::lab::Lab;
use crate::platform::Platform;

/// Everybody who may be asked.
const ROLES: [&str; 5] = [
    "incident-commander",
    "db-lead",
    "kubernetes-lead",
    "dns-lead",
    "observer",
];

/// What everybody who is asked says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Everybody {
    /// Go, at once.
    Go,
    /// No-go, at once.
    NoGo,
    /// Nothing.
    IsAway,
}

/// How to run the host.
#[derive(Debug)]
pub struct Host {
    program: PathBuf,
    runbook: PathBuf,
    overlays: Vec<PathBuf>,
    folder: PathBuf,
    runs: PathBuf,
    log: PathBuf,
    cache: PathBuf,
    secrets: BTreeMap<String, String>,
}

/// What a command said to people, and how it ended.
#[derive(Debug)]
pub struct Said {
    /// Its exit code; none where it was killed.
    pub code: Option<i32>,
    /// Its standard error.
    pub text: String,
}

/// What a look at the world found.
#[derive(Debug)]
pub struct Look {
    /// Its exit code; none where it was killed.
    pub code: Option<i32>,
    /// Everything it says.
    pub said: Value,
}

impl Look {
    /// What does not hold, by the name of the finding, with what is said of it.
    #[must_use]
    pub fn missed(&self) -> BTreeMap<&str, &str> {
        let strategies = list(&self.said, "strategies").iter();
        let findings = strategies.flat_map(|one| list(one, "findings"));
        let missed = findings.filter(|finding| finding.get("holds") != Some(&Value::Bool(true)));
        missed
            .map(|finding| (text(finding, "/id"), text(finding, "/detail")))
            .collect()
    }
}

impl Said {
    /// Expects all of this in it.
    ///
    /// # Errors
    /// Where something is missing; the message holds what was said.
    pub fn tells(&self, wanted: &[&str]) -> Result<()> {
        for part in wanted {
            ensure!(self.text.contains(part), "no {part:?} in:\n{}", self.text);
        }
        Ok(())
    }
}

impl Host {
    /// A host for the small lab.
    ///
    /// # Errors
    /// Where the host is not built, or a file cannot be written.
    pub fn new(lab: &Lab) -> Result<Self> {
        let lab_program = &lab.options.program;
        let overlay = lab.overlay_toml()?;
        Self::over(lab_program, lab.folder(), lab.credentials(), &overlay)
    }

    /// A host for two whole zones.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of_zones(platform: &Platform) -> Result<Self> {
        let (lab_program, overlay) = (&platform.options.program, platform.overlay_toml()?);
        let credentials = platform.credentials()?;
        Self::over(lab_program, platform.folder(), credentials, &overlay)
    }

    /// A host with this overlay: the program that was built beside the lab's own. The plugins are those of the repository,
    /// as they were last locked.
    fn over(
        lab_program: &Path,
        folder: &Path,
        secrets: BTreeMap<String, String>,
        overlay: &str,
    ) -> Result<Self> {
        let program = lab_program.with_file_name("understudy");
        ensure!(
            program.is_file(),
            "{} is missing: run `cargo build -p understudy`",
            program.display()
        );
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let host = Self {
            program,
            runbook: repository.join("runbooks/wordpress/runbook.toml"),
            overlays: Vec::new(),
            folder: folder.to_owned(),
            runs: folder.join("runs"),
            log: folder.join("host.log"),
            cache: repository.join("target/understudy-cache"),
            secrets,
        };
        host.laid_over("overlay", overlay)
    }

    /// The same with one more overlay on top.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn laid_over(mut self, name: &str, text: &str) -> Result<Self> {
        let overlay = self.folder.join(format!("{name}.toml"));
        fs::write(&overlay, text)?;
        self.overlays.push(overlay);
        Ok(self)
    }

    /// The same with one more secret, in the environment variable of this name.
    #[must_use]
    pub fn with_secret(mut self, variable: &str, secret: &str) -> Self {
        self.secrets.insert(variable.to_owned(), secret.to_owned());
        self
    }

    /// Begins a run in which everybody says go.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn run(&self, procedure: &str, mode: &str) -> Result<Child> {
        Ok(self.begin(procedure, mode, Everybody::Go)?.spawn()?)
    }

    /// The command that begins a run.
    ///
    /// # Errors
    /// Where its log cannot be written.
    pub fn begin(&self, procedure: &str, mode: &str, says: Everybody) -> Result<Command> {
        let mut command = self.command("run")?;
        command
            .arg(&self.runbook)
            .args(["--procedure", procedure, "--mode", mode]);
        for overlay in &self.overlays {
            command.arg("--overlay").arg(overlay);
        }
        answer(&mut command, says);
        Ok(command)
    }

    /// Looks whether the strategies of a procedure could begin now: `check --live`, which answers as JSON.
    ///
    /// # Errors
    /// Where it says something else.
    pub async fn look(&self, procedure: &str) -> Result<Look> {
        let mut command = self.command("check")?;
        command
            .arg(&self.runbook)
            .args(["--live", "--procedure", procedure, "-o", "json"])
            .stdout(Stdio::piped());
        for overlay in &self.overlays {
            command.arg("--overlay").arg(overlay);
        }
        let output = command.spawn()?.wait_with_output().await?;
        let text = String::from_utf8_lossy(&output.stdout);
        let said = serde_json::from_str(&text).with_context(|| format!("{text}{}", self.log()))?;
        Ok(Look {
            code: output.status.code(),
            said,
        })
    }

    /// Carries the newest run through and expects it to end well.
    ///
    /// # Errors
    /// Where it does not; the message holds what the host printed.
    pub async fn resume(&self) -> Result<()> {
        self.ends_well(self.resuming()?).await
    }

    /// Goes on with the newest run; everybody says go.
    ///
    /// # Errors
    /// Where there is no run, or it does not start.
    pub fn resuming(&self) -> Result<Child> {
        let mut command = self.about("resume")?;
        answer(&mut command, Everybody::Go);
        Ok(command.spawn()?)
    }

    /// Waits for a run that is expected to end well.
    ///
    /// # Errors
    /// Where it does not; the message holds what the host printed.
    pub async fn ends_well(&self, mut child: Child) -> Result<()> {
        self.done(child.wait().await?)
    }

    /// The newest run's report.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn report(&self) -> Result<Value> {
        let mut command = self.about("report")?;
        command.args(["-o", "json"]).stdout(Stdio::piped());
        let output = command.spawn()?.wait_with_output().await?;
        self.done(output.status)?;
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Checks the newest run's chain of records.
    ///
    /// # Errors
    /// Where it is broken.
    pub async fn verify(&self) -> Result<()> {
        let status = self.about("verify")?.spawn()?.wait().await?;
        self.done(status)
    }

    /// A command about the newest run.
    ///
    /// # Errors
    /// Where there is no run.
    pub fn about(&self, command: &str) -> Result<Command> {
        let mut started = self.command(command)?;
        started.arg(self.newest()?);
        Ok(started)
    }

    /// Everything the host has written: journals, reports, and what it printed.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn written(&self) -> Result<Vec<Vec<u8>>> {
        let mut written = vec![fs::read(&self.log)?];
        for run in fs::read_dir(&self.runs)? {
            for file in fs::read_dir(run?.path())? {
                written.push(fs::read(file?.path())?);
            }
        }
        Ok(written)
    }

    /// The records of the newest run, also while a host writes them.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn records(&self) -> Result<Vec<Value>> {
        let journal = self.open_journal()?;
        let mut select = journal.prepare("SELECT record FROM entries ORDER BY seq")?;
        let texts = select.query_map([], |row| row.get::<_, String>(0))?;
        let mut records = Vec::new();
        for text in texts {
            records.push(serde_json::from_str(&text?)?);
        }
        Ok(records)
    }

    /// How many records the newest run has; none before its journal is there.
    pub fn record_count(&self) -> usize {
        let count = |journal: Connection| {
            journal.query_row("SELECT count(*) FROM entries", [], |row| row.get(0))
        };
        let journal = self.open_journal().ok();
        journal.and_then(|journal| count(journal).ok()).unwrap_or(0)
    }

    /// Providers that have used a capability of the host in the newest run.
    ///
    /// # Errors
    /// Where the records cannot be read.
    pub fn providers_used(&self) -> Result<BTreeSet<String>> {
        let records = self.records()?;
        let plugins = records
            .iter()
            .filter(|record| text(record, "/type") == "egress")
            .map(|record| text(record, "/body/plugin").to_owned());
        Ok(plugins.collect())
    }

    /// Questions of the newest run that nobody has answered; none where there is no run yet.
    ///
    /// # Errors
    /// Never in practice: records that cannot be read are none.
    pub fn open_gates(&self) -> Result<BTreeSet<String>> {
        let mut open = BTreeSet::new();
        for record in self.records().unwrap_or_default() {
            let gate = text(&record, "/body/gate");
            match text(&record, "/type") {
                "gate-opened" => drop(open.insert(gate.to_owned())),
                "gate-answered" => drop(open.remove(gate)),
                _ => {}
            }
        }
        Ok(open)
    }

    /// Says go to a question of the newest run, as somebody in this role.
    ///
    /// # Errors
    /// Where the answer is not taken; the message holds what was said.
    pub async fn say_go(&self, gate: &str, role: &str) -> Result<()> {
        let mut decide = self.about("decide")?;
        decide.args([gate, "go", "--as", role, "--by", "a person"]);
        let said = said(decide).await?;
        ensure!(said.code == Some(0), "{}", said.text);
        Ok(())
    }

    fn open_journal(&self) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Ok(Connection::open_with_flags(self.journal()?, flags)?)
    }

    /// The newest run's journal.
    ///
    /// # Errors
    /// Where there is no run.
    pub fn journal(&self) -> Result<PathBuf> {
        Ok(self.runs.join(self.newest()?).join("journal.sqlite"))
    }

    /// The newest run. Runs are named so that they sort by time.
    ///
    /// # Errors
    /// Where there is none.
    pub fn newest(&self) -> Result<String> {
        let mut runs = Vec::new();
        for entry in fs::read_dir(&self.runs)? {
            runs.push(entry?.file_name().to_string_lossy().into_owned());
        }
        runs.sort();
        runs.pop().context("there is no run")
    }

    /// What the host has printed.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
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

    fn done(&self, status: ExitStatus) -> Result<()> {
        ensure!(
            status.success(),
            "understudy ended with {status}\n{}",
            self.log()
        );
        Ok(())
    }
}

/// A list of something that was said; empty where there is none.
fn list<'a>(said: &'a Value, key: &str) -> &'a [Value] {
    let found = said.get(key).and_then(Value::as_array);
    found.map_or(&[], Vec::as_slice)
}

/// A text of a record; empty where there is none.
fn text<'a>(record: &'a Value, pointer: &str) -> &'a str {
    let found = record.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default()
}

/// Runs a command to its end.
///
/// # Errors
/// Where it does not start.
pub async fn said(mut command: Command) -> Result<Said> {
    let output = command
        .stderr(Stdio::piped())
        .spawn()?
        .wait_with_output()
        .await?;
    Ok(Said {
        code: output.status.code(),
        text: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Tells a command what everybody says.
pub fn answer(command: &mut Command, says: Everybody) {
    let word = match says {
        Everybody::Go => "go",
        Everybody::NoGo => "no-go",
        Everybody::IsAway => return,
    };
    for role in ROLES {
        command.arg("--answer").arg(format!("{role}={word}"));
    }
}
