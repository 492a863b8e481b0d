//! The commands of `understudy-lab`: a lab that stays up for trying things by hand, small or with two whole zones, and
//! the processes that a lab starts of this program: the small lab's application and a zone's node agent.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use crate::clock::{LIMIT, eventually};
use crate::game_day::play;
use crate::game_day::table::{fidelity, table};
use crate::host::Host;
use crate::lab::{Lab, Options};
use crate::platform::Platform;
use crate::{agent, app};

/// What `understudy-lab` understands.
const USAGE: &str = "usage: understudy-lab game-day | up [--kubernetes] FOLDER | status FOLDER | down FOLDER | app FILE | agent FILE";
/// Asks for the lab with two whole zones.
const KUBERNETES: &str = "--kubernetes";

/// Either lab, while it is up.
#[derive(Debug)]
enum Up {
    /// The small one.
    Lab(Box<Lab>),
    /// The one with two whole zones.
    Platform(Box<Platform>),
}

impl Up {
    async fn start(options: Options, kubernetes: bool) -> Result<Self> {
        Ok(if kubernetes {
            Self::Platform(Box::new(Platform::up(options).await?))
        } else {
            Self::Lab(Box::new(Lab::up(options).await?))
        })
    }

    fn overlay_toml(&self) -> Result<String> {
        match self {
            Self::Lab(lab) => lab.overlay_toml(),
            Self::Platform(platform) => platform.overlay_toml(),
        }
    }

    fn credentials(&self) -> Result<BTreeMap<String, String>> {
        match self {
            Self::Lab(lab) => Ok(lab.credentials()),
            Self::Platform(platform) => platform.credentials(),
        }
    }

    fn processes(&self) -> BTreeMap<String, u32> {
        match self {
            Self::Lab(lab) => lab.processes(),
            Self::Platform(platform) => platform.processes(),
        }
    }

    fn home(&self) -> String {
        match self {
            Self::Lab(lab) => lab.url("/"),
            Self::Platform(platform) => platform.home(),
        }
    }
}

/// What a lab that is up leaves in its folder, besides `overlay.toml` and `environment`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    /// Process id of `understudy-lab up`.
    pub process: u32,
    /// Process ids of the servers, by name.
    pub servers: BTreeMap<String, u32>,
}

impl State {
    /// Reads the state of the lab in this folder.
    ///
    /// # Errors
    /// Where there is none.
    pub fn load(folder: &Path) -> Result<Self> {
        let file = state_file(folder);
        let text = fs::read_to_string(&file)
            .with_context(|| format!("no lab is up in {}", folder.display()))?;
        serde_json::from_str(&text).with_context(|| format!("cannot read {}", file.display()))
    }

    fn of(lab: &Up) -> Self {
        Self {
            process: std::process::id(),
            servers: lab.processes(),
        }
    }
}

/// True while a process of this id exists and is not a remnant that waits to be collected.
#[must_use]
pub fn is_alive(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The state is the field behind the name, which is in parentheses and may hold anything (proc(5)).
    let state = status.rsplit_once(") ").map(|(_, rest)| rest);
    state.is_some_and(|state| !state.starts_with(['Z', 'X']))
}

/// Runs one command; what went wrong goes to standard error.
pub async fn run(arguments: Vec<OsString>) -> ExitCode {
    match command(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to be told where standard error is closed.
            drop(writeln!(std::io::stderr(), "understudy-lab: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn command(arguments: &[OsString]) -> Result<()> {
    let (command, kubernetes, path) = match arguments {
        [command] if command == "game-day" => return game_day().await,
        [command, path] => (command, false, path),
        [command, option, path] if command == "up" && option == KUBERNETES => (command, true, path),
        _ => bail!("{USAGE}"),
    };
    let path = Path::new(path);
    match command.to_str() {
        Some("up") => up(path, kubernetes).await,
        Some("status") => status(path),
        Some("down") => down(path).await,
        Some("app") => app::run(path).await,
        Some("agent") => agent::run(path).await,
        _ => bail!("{USAGE}"),
    }
}

/// The game-day on two zones of its own, which are gone when it ends.
async fn game_day() -> Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let day = async {
        say("two zones come up");
        let mut platform = Platform::up(Options::new(std::env::current_exe()?)).await?;
        let host = Host::of_zones(&platform)?;
        let played = play(&mut platform, &host, say).await?;
        say(&table(&played));
        say(&fidelity(&played));
        Ok(())
    };
    tokio::select! {
        played = day => played,
        _ = terminated.recv() => bail!("ended before its end"),
        _ = interrupted.recv() => bail!("ended before its end"),
    }
}

async fn up(folder: &Path, kubernetes: bool) -> Result<()> {
    if let Ok(state) = State::load(folder) {
        let process = state.process;
        ensure!(
            !is_alive(process),
            "a lab is up in {} (process {process})",
            folder.display()
        );
    }
    fs::create_dir_all(folder)?;
    let (mut terminated, mut interrupted) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let mut options = Options::new(std::env::current_exe()?);
    options.parent = fs::canonicalize(folder)?;
    let lab = tokio::select! {
        lab = Up::start(options, kubernetes) => lab?,
        _ = terminated.recv() => return Ok(()),
        _ = interrupted.recv() => return Ok(()),
    };
    let (overlay, environment) = (folder.join("overlay.toml"), folder.join("environment"));
    fs::write(&overlay, lab.overlay_toml()?)?;
    write_secrets(&environment, &lab)?;
    // Last, and at once: whoever sees it finds the rest complete.
    let new = folder.join("lab.new");
    fs::write(&new, serde_json::to_string(&State::of(&lab))?)?;
    fs::rename(new, state_file(folder))?;
    say(&format!(
        "the lab is up: {}\nload the secrets from {} and lay {} over the wordpress runbook",
        lab.home(),
        environment.display(),
        overlay.display(),
    ));
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    for file in [overlay, environment, state_file(folder)] {
        fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    }
    drop(lab);
    Ok(())
}

fn status(folder: &Path) -> Result<()> {
    let state = State::load(folder)?;
    let mut ended = Vec::new();
    for (name, process) in &state.servers {
        let alive = is_alive(*process);
        say(&format!(
            "{name:12} {process:8} {}",
            if alive { "up" } else { "ended" }
        ));
        if !alive {
            ended.push(name.as_str());
        }
    }
    ensure!(
        ended.is_empty(),
        "not everything is up: {}",
        ended.join(", ")
    );
    Ok(())
}

async fn down(folder: &Path) -> Result<()> {
    let process = State::load(folder)?.process;
    let id = i32::try_from(process).ok().and_then(Pid::from_raw);
    let id = id.with_context(|| format!("{process} is no process id"))?;
    if is_alive(process) {
        kill_process(id, Signal::TERM)?;
    }
    eventually("the lab to go down", LIMIT, async || {
        Ok((!is_alive(process)).then_some(()))
    })
    .await
}

/// One `NAME=value` per line, for nobody but this user.
fn write_secrets(file: &Path, lab: &Up) -> Result<()> {
    let mut text = String::new();
    for (name, secret) in lab.credentials()? {
        writeln!(text, "{name}={secret}")?;
    }
    fs::write(file, "")?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o600))?;
    Ok(fs::write(file, text)?)
}

fn state_file(folder: &Path) -> PathBuf {
    folder.join("lab.json")
}

fn say(line: &str) {
    // Where standard output is closed nobody wants to know.
    drop(writeln!(std::io::stdout(), "{line}"));
}
