//! One program, from its start to its end: fed, listened to, bounded, and killed with everything below it.
//!
//! Its standard streams are pipes that the host feeds and reads, also where they come from or lead to files: so files are
//! measured and digested on the way, and a program whose host dies finds its streams broken.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};

use super::folder::{Partial, Written, blocking, digest, disk};
use super::launch::{Input, Launch, Output, Source, no_folder};
use super::{Entry, Fault, MAX_STDERR_BYTES};
use crate::clock::{Clock, Instant, timeout_at};

/// Bytes moved at once between a pipe and a file.
const CHUNK_BYTES: usize = 256 * 1024;

/// How a program ended by itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ended {
    pub(super) exit_code: i32,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
    pub(super) written: Option<Written>,
    pub(super) started_at: Instant,
    pub(super) took: Duration,
}

/// Runs a program to its end, at the latest until `limit`. Where the future is dropped, the program is killed.
pub(super) async fn execute(
    launch: Launch,
    clock: Arc<dyn Clock>,
    limit: Instant,
) -> Result<Ended, Fault> {
    let Launch {
        entry,
        program,
        arguments,
        input,
        output,
        ..
    } = launch;
    let begun = clock.now();
    let within = begin_to_end(&entry, &program, &arguments, input, output, clock.as_ref());
    let ended = timeout_at(clock.as_ref(), limit, within).await;
    ended.unwrap_or_else(|| {
        let seconds = clock.now().since(begun).as_secs();
        let text = format!("`{program}` was killed after {seconds} s, its time limit");
        Err(Fault::over_time("CP0036", text))
    })
}

async fn begin_to_end(
    entry: &Arc<Entry>,
    program: &str,
    arguments: &[String],
    input: Input,
    output: Output,
    clock: &dyn Clock,
) -> Result<Ended, Fault> {
    let feed = Feed::open(entry, program, input).await?;
    let mut sink = Sink::open(entry, program, output)?;
    let started_at = clock.now();
    let mut child = start(entry, arguments, &feed)?;
    let group = Group::of(&child);
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let ended = async {
        let status = child.wait().await;
        // What it leaves behind would keep the pipes open, and go on unseen.
        group.kill();
        status.map_err(|error| {
            Fault::other("CP0042", format!("cannot wait for `{program}`: {error}"))
        })
    };
    let collected = async {
        match stdout {
            Some(stdout) => sink.collect(stdout).await,
            None => Ok(()),
        }
    };
    let (status, (), (), stderr) =
        tokio::try_join!(ended, feed.give(stdin), collected, end_of(stderr))?;
    let exit_code = exit_code(program, status, &stderr)?;
    let (stdout, written) = sink.finish(exit_code == 0).await?;
    Ok(Ended {
        exit_code,
        stdout,
        stderr,
        written,
        started_at,
        took: clock.now().since(started_at),
    })
}

fn start(entry: &Entry, arguments: &[String], feed: &Feed) -> Result<Child, Fault> {
    let path = &entry.program.program;
    let mut command = Command::new(path);
    command
        .args(&entry.program.leading)
        .args(arguments)
        .env_clear()
        .envs(&entry.program.environment)
        .stdin(match feed {
            Feed::Nothing => Stdio::null(),
            Feed::Bytes(_) | Feed::File(_) => Stdio::piped(),
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(directory) = &entry.program.directory {
        command.current_dir(directory);
    }
    for (variable, secret) in &entry.secrets {
        command.env(variable, secret.expose());
    }
    command.spawn().map_err(|error| {
        let text = format!(
            "{} cannot be started: {error}; look whether it is installed here, and at `directory`",
            path.display()
        );
        Fault::invalid("CP0035", text)
    })
}

fn exit_code(program: &str, status: ExitStatus, stderr: &str) -> Result<i32, Fault> {
    status.code().ok_or_else(|| {
        let signal = status.signal().unwrap_or_default();
        let last = stderr.lines().last().unwrap_or_default();
        let text = format!("`{program}` was ended by signal {signal}; it said last: {last}");
        Fault::other("CP0037", text)
    })
}

/// A process group; killed when this is dropped.
struct Group(Option<Pid>);

impl Group {
    /// The child leads a group of its own.
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    fn kill(&self) {
        if let Some(group) = self.0 {
            // An empty group is what is wanted.
            kill_process_group(group, Signal::KILL).ok();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Where standard input comes from.
enum Feed {
    Nothing,
    Bytes(Vec<u8>),
    File(File),
}

impl Feed {
    /// Opens the input; a file that must be a certain one is looked at first.
    async fn open(entry: &Arc<Entry>, program: &str, input: Input) -> Result<Self, Fault> {
        let Source { name, sha256 } = match input {
            Input::Nothing => return Ok(Self::Nothing),
            Input::Bytes(bytes) => return Ok(Self::Bytes(bytes)),
            Input::File(source) => source,
        };
        let folder = entry.folder.clone().ok_or_else(|| no_folder(program))?;
        blocking(move || {
            let mut file = folder.open(&name)?;
            if let Some(wanted) = sha256 {
                let found = digest(&mut file, &name)?;
                if found != wanted {
                    let text =
                        format!("`{name}` is damaged: its SHA-256 is {found}, expected {wanted}");
                    return Err(Fault::conflicting("CP0038", text));
                }
                file.seek(SeekFrom::Start(0))
                    .map_err(|error| disk("read", Path::new(&name), &error))?;
            }
            Ok(Self::File(file))
        })
        .await
    }

    /// Writes it into the pipe and closes it. A program that stops reading is no error: its exit code tells.
    async fn give(self, stdin: Option<ChildStdin>) -> Result<(), Fault> {
        let Some(mut stdin) = stdin else {
            return Ok(());
        };
        match self {
            Self::Nothing => {}
            Self::Bytes(bytes) => drop(stdin.write_all(&bytes).await),
            Self::File(mut file) => loop {
                let (chunk, back) = blocking(move || {
                    let mut chunk = Vec::new();
                    let most = u64::try_from(CHUNK_BYTES).unwrap_or(u64::MAX);
                    let read = file.by_ref().take(most).read_to_end(&mut chunk);
                    read.map_err(|error| disk("read", Path::new("the input file"), &error))?;
                    Ok((chunk, file))
                })
                .await?;
                file = back;
                if chunk.is_empty() || stdin.write_all(&chunk).await.is_err() {
                    break;
                }
            },
        }
        // Closed by being dropped: the program is at the end of its input.
        drop(stdin);
        Ok(())
    }
}

/// Where standard output goes.
enum Sink {
    Memory { bytes: Vec<u8>, most: usize },
    File { partial: Option<Partial>, most: u64 },
}

impl Sink {
    fn open(entry: &Entry, program: &str, output: Output) -> Result<Self, Fault> {
        match output {
            Output::Captured => Ok(Self::Memory {
                bytes: Vec::new(),
                most: entry.program.max_output_bytes,
            }),
            Output::File(name) => {
                let folder = entry.folder.as_ref().ok_or_else(|| no_folder(program))?;
                Ok(Self::File {
                    partial: Some(folder.begin(&name)?),
                    most: entry.program.max_file_bytes,
                })
            }
        }
    }

    async fn collect(&mut self, mut from: impl AsyncRead + Unpin) -> Result<(), Fault> {
        loop {
            let mut chunk = Vec::with_capacity(CHUNK_BYTES);
            if read_chunk(&mut from, &mut chunk).await? == 0 {
                return Ok(());
            }
            match self {
                Self::Memory { bytes, most } => {
                    if bytes.len().saturating_add(chunk.len()) > *most {
                        return Err(too_much(
                            u64::try_from(*most).unwrap_or(u64::MAX),
                            "max-output-bytes",
                        ));
                    }
                    bytes.append(&mut chunk);
                }
                Self::File { partial, most } => {
                    let Some(mut writing) = partial.take() else {
                        return Ok(());
                    };
                    let most = *most;
                    *partial = Some(
                        blocking(move || {
                            writing.add(&chunk)?;
                            if writing.size() > most {
                                return Err(too_much(most, "max-file-bytes"));
                            }
                            Ok(writing)
                        })
                        .await?,
                    );
                }
            }
        }
    }

    /// What was captured, or the file: there only where the program ended well.
    async fn finish(self, well: bool) -> Result<(Vec<u8>, Option<Written>), Fault> {
        match self {
            Self::Memory { bytes, .. } => Ok((bytes, None)),
            Self::File {
                partial: Some(partial),
                ..
            } if well => {
                let written = blocking(move || partial.complete()).await?;
                Ok((Vec::new(), Some(written)))
            }
            Self::File { .. } => Ok((Vec::new(), None)),
        }
    }
}

fn too_much(most: u64, key: &str) -> Fault {
    let text = format!(
        "it wrote more than {most} bytes and was killed; `{key}` of its entry sets the limit"
    );
    Fault::other("CP0010", text)
}

async fn read_chunk(
    from: &mut (impl AsyncRead + Unpin),
    chunk: &mut Vec<u8>,
) -> Result<usize, Fault> {
    let failed =
        |error: io::Error| Fault::other("CP0042", format!("its output breaks off: {error}"));
    from.read_buf(chunk).await.map_err(failed)
}

/// The end of standard error as text.
async fn end_of(from: Option<impl AsyncRead + Unpin>) -> Result<String, Fault> {
    let mut end = Vec::new();
    let Some(mut from) = from else {
        return Ok(String::new());
    };
    let mut chunk = Vec::with_capacity(MAX_STDERR_BYTES);
    while read_chunk(&mut from, &mut chunk).await? > 0 {
        end.append(&mut chunk);
        let over = end.len().saturating_sub(MAX_STDERR_BYTES);
        end.drain(..over);
    }
    Ok(String::from_utf8_lossy(&end).into_owned())
}
