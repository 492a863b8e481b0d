//! Programs for providers: `understudy:exec/exec`.
//!
//! A provider names an entry of its binding and gives arguments; everything else is the operator's. Start at [`Exec`];
//! `exec/launch.rs` holds what is asked against the entry, `exec/process.rs` runs one program to its end, `exec/jobs.rs`
//! keeps those that outlast a call of the provider, `exec/folder.rs` is the folder of files.
//!
//! There is no shell here, no search path, and no environment but the entry's. A program's process group dies with the
//! future that runs it, so nothing is left behind where a call is abandoned.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::bytes;
use crate::clock::{BoxFuture, Clock, millis};
use crate::runbook::types::Program;

use super::credential::{Redactor, Secret};
use super::{Asked, Capability, Fault, Used};

mod folder;
mod jobs;
mod launch;
mod process;

use folder::Folder;
use jobs::{Jobs, Stand};
use launch::{Command, Launch};
use process::Ended;

/// Most arguments of one command, and most bytes of them together.
pub const MAX_ARGUMENTS: usize = 100;

/// Most bytes of arguments and of input given as bytes.
pub const MAX_INPUT_BYTES: usize = 1024 * 1024;

/// Most bytes kept of standard error: its end, where programs say why they gave up.
pub const MAX_STDERR_BYTES: usize = 16 * 1024;

/// Most jobs of one binding at once: as many as calls that one service serves.
pub const MAX_JOBS: usize = 8;

/// A job that nobody asks after for this long is killed: three times the longest pause between two looks at work in
/// progress.
pub const JOB_LEASH: Duration = Duration::from_secs(180);

/// How long a call waits for a job before it says that it is still running. Well below the time of one attempt.
pub const JOB_WAIT: Duration = Duration::from_secs(5);

/// An entry of the binding, with its secrets.
pub(crate) struct Entry {
    program: Program,
    secrets: Vec<(String, Secret)>,
    folder: Option<Folder>,
}

impl Entry {
    /// Relative folders start at `folder`.
    pub(crate) fn new(mut program: Program, secrets: Vec<(String, Secret)>, folder: &Path) -> Self {
        // A runbook named without a folder is in the current one; the operating system knows no empty name.
        let here = Path::new(".");
        let folder = match folder.as_os_str().is_empty() {
            true => here,
            false => folder,
        };
        let directory = program.directory.take();
        let directory = directory.map_or_else(|| folder.to_owned(), |path| folder.join(path));
        program.directory = Some(directory);
        let files = program
            .files
            .as_ref()
            .map(|path| Folder::new(folder.join(path)));
        Self {
            program,
            secrets,
            folder: files,
        }
    }
}

/// The capability.
pub struct Exec {
    entries: BTreeMap<String, Arc<Entry>>,
    jobs: Jobs,
    redactor: Redactor,
    clock: Arc<dyn Clock>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RunArgs {
    command: Command,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JobArgs {
    name: String,
    command: Command,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FolderArgs {
    program: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileArgs {
    program: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PartArgs {
    program: String,
    name: String,
    offset: i64,
    length: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ContentArgs {
    program: String,
    name: String,
    #[serde(with = "crate::bytes")]
    content: Vec<u8>,
}

/// The line that says what was done, and what came of it with the line for that.
type Done = (String, Result<(Value, String), Fault>);

impl Exec {
    pub(crate) fn new(
        entries: BTreeMap<String, Arc<Entry>>,
        redactor: Redactor,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            entries,
            jobs: Jobs::default(),
            redactor,
            clock,
        }
    }

    async fn serve(&self, asked: Asked<'_>) -> Used {
        let done = match asked.function {
            "run" => self.run(asked).await,
            "ensure-job" => self.job(asked).await,
            "list-files" => self.list(asked.args).await,
            "get-file" => self.part(asked.args).await,
            "ensure-file" => self.write(asked.args).await,
            "ensure-no-file" => self.remove(asked.args).await,
            other => Err(Fault::no_function(self.interface(), other)),
        };
        let (action, done) = match done {
            Ok((action, done)) => (action, done),
            Err(fault) => ("exec".to_owned(), Err(fault)),
        };
        Used::of(&action, done, &self.redactor)
    }

    async fn run(&self, asked: Asked<'_>) -> Result<Done, Fault> {
        let RunArgs { command } = super::arguments(asked.args)?;
        let action = command.line();
        let done = match self.launch(command) {
            Err(fault) => Err(fault),
            Ok(launch) => {
                let limit = self.clock.now().after(launch.time_limit());
                let limit = limit.min(asked.deadline);
                process::execute(launch, Arc::clone(&self.clock), limit)
                    .await
                    .map(|ended| self.told(ended))
            }
        };
        Ok((action, done))
    }

    async fn job(&self, asked: Asked<'_>) -> Result<Done, Fault> {
        let JobArgs { name, command } = super::arguments(asked.args)?;
        let action = format!("job {name}: {}", command.line());
        let wait = self.clock.now().after(JOB_WAIT).min(asked.deadline);
        let done = match self.launch(command) {
            Err(fault) => Err(fault),
            Ok(launch) => self.jobs.ask(&name, launch, &self.clock, wait).await,
        };
        let done = done.map(|stand| match stand {
            Stand::Running(since) => {
                let line = format!("running for {} s", since.as_secs());
                (json!({ "running": millis(since) }), line)
            }
            Stand::Ended(ended) => {
                let (value, line) = self.told(ended);
                (json!({ "ended": value }), line)
            }
        });
        Ok((action, done))
    }

    /// What is told of an end, without secrets.
    fn told(&self, ended: Ended) -> (Value, String) {
        let line = match &ended.written {
            Some(written) => format!(
                "exit code {}, {} bytes in {}",
                ended.exit_code, written.size_bytes, written.name
            ),
            None => format!(
                "exit code {}, {} bytes",
                ended.exit_code,
                ended.stdout.len()
            ),
        };
        let value = json!({
            "exit-code": ended.exit_code,
            "stdout": bytes::to_value(&self.redactor.bytes(ended.stdout)),
            "stderr": self.redactor.text(&ended.stderr),
            "written": ended.written,
            "started-at-ms": ended.started_at.0,
            "took-ms": millis(ended.took),
        });
        (value, line)
    }

    async fn list(&self, args: Map<String, Value>) -> Result<Done, Fault> {
        let FolderArgs { program } = super::arguments(args)?;
        let done = match self.folder(&program) {
            Ok(folder) => folder.list().await,
            Err(fault) => Err(fault),
        };
        let done = done.map(|files| (json!(files), format!("{} files", files.len())));
        Ok((format!("exec {program}: list files"), done))
    }

    async fn part(&self, args: Map<String, Value>) -> Result<Done, Fault> {
        let PartArgs {
            program,
            name,
            offset,
            length,
        } = super::arguments(args)?;
        let done = match self.folder(&program) {
            Ok(folder) => folder.read(&name, offset, length).await,
            Err(fault) => Err(fault),
        };
        let done = done.map(|part| {
            let line = format!("{} bytes", part.len());
            (bytes::to_value(&self.redactor.bytes(part)), line)
        });
        Ok((format!("exec {program}: read {name}"), done))
    }

    async fn write(&self, args: Map<String, Value>) -> Result<Done, Fault> {
        let ContentArgs {
            program,
            name,
            content,
        } = super::arguments(args)?;
        let line = format!("{} bytes", content.len());
        let done = match self.folder(&program) {
            Ok(folder) => folder.replace(&name, content).await,
            Err(fault) => Err(fault),
        };
        let done = done.map(|()| (Value::Null, line));
        Ok((format!("exec {program}: write {name}"), done))
    }

    async fn remove(&self, args: Map<String, Value>) -> Result<Done, Fault> {
        let FileArgs { program, name } = super::arguments(args)?;
        let done = match self.folder(&program) {
            Ok(folder) => folder.remove(&name).await,
            Err(fault) => Err(fault),
        };
        let done = done.map(|gone| {
            let line = if gone { "removed" } else { "none there" };
            (Value::Null, line.to_owned())
        });
        Ok((format!("exec {program}: remove {name}"), done))
    }

    fn entry(&self, name: &str) -> Result<&Arc<Entry>, Fault> {
        self.entries.get(name).ok_or_else(|| {
            let grant =
                format!(r#"programs.{name} = {{ program = "/PATH", arguments = [["ARGUMENT"]] }}"#);
            let text = format!("the binding has no program `{name}`");
            Fault::denied("CP0032", text, grant)
        })
    }

    fn folder(&self, name: &str) -> Result<&Folder, Fault> {
        let entry = self.entry(name)?;
        entry.folder.as_ref().ok_or_else(|| launch::no_folder(name))
    }

    fn launch(&self, command: Command) -> Result<Launch, Fault> {
        let entry = self.entry(&command.program)?;
        Launch::allowed(command, Arc::clone(entry))
    }
}

impl Capability for Exec {
    fn interface(&self) -> &'static str {
        "understudy:exec/exec"
    }

    fn call<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Used> {
        Box::pin(self.serve(asked))
    }
}

#[cfg(test)]
mod tests;
