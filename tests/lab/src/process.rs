//! A server as a child process that cannot outlive us.
//!
//! Dropping a [`Process`] kills it, which covers a panicking test. For a test that is itself killed, the child is
//! started through `setpriv --pdeathsig KILL`. The kernel takes "parent" to mean the *thread* that forked, so one
//! thread, which lives as long as this process does, starts all of them.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::clock::eventually;

/// Lines of a server's log that an error quotes.
const QUOTED_LINES: usize = 15;
/// Ends a process group when its standard input, a pipe that we hold, is closed: when we are done, or are gone.
const GROUP_ENDS_WITH_US: &str = r#"read _; kill -s KILL -- "-$0" 2>/dev/null"#;
/// How often a process that was asked to end is looked at.
const END_POLL: Duration = Duration::from_millis(10);

/// A child process with its log.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    /// Ends what the child leaves behind.
    guard: Option<Child>,
}

impl Process {
    /// Starts `program` in a process group of its own; what it prints is appended to `log`.
    ///
    /// # Errors
    /// Where the log cannot be opened or the program cannot be started.
    pub fn start(
        setpriv: &Path,
        name: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
        log: &Path,
    ) -> Result<Self> {
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot open {}", log.display()))?;
        let mut command = Command::new(setpriv);
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(arguments.into_iter().map(Into::into))
            .stdin(Stdio::null())
            .stderr(output.try_clone()?)
            .stdout(output)
            .process_group(0);
        let child = spawn(command)
            .with_context(|| format!("cannot start {name} ({})", program.display()))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
            guard: None,
        })
    }

    /// Like [`start`](Self::start), for a program whose own children would outlive it: a shell stays beside it and
    /// ends the whole group when we are gone.
    ///
    /// # Errors
    /// Where the log cannot be opened or the program cannot be started.
    pub fn start_with_children(
        setpriv: &Path,
        name: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
        log: &Path,
    ) -> Result<Self> {
        let mut process = Self::start(setpriv, name, program, arguments, log)?;
        let guard = Command::new("sh")
            .args(["-c", GROUP_ENDS_WITH_US, &process.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot guard {name}"))?;
        process.guard = Some(guard);
        Ok(process)
    }

    /// Process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// An error if the process has ended, with the end of its log.
    ///
    /// # Errors
    /// See above.
    pub fn alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended ({status})\n{}", self.name, self.log_end()),
        }
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_end(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(QUOTED_LINES);
        lines.get(from..).unwrap_or_default().join("\n")
    }

    /// Kills it at once (`kill -9`) and waits until it is gone.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        self.signal(Signal::KILL)?;
        self.child
            .wait()
            .with_context(|| format!("cannot wait for {}", self.name))
    }

    /// Asks it to end (`SIGTERM`) and waits until it has.
    ///
    /// # Errors
    /// Where it has not ended after `limit`.
    pub async fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        self.signal(Signal::TERM)?;
        self.ended(limit).await
    }

    /// Asks it to end and waits on this thread; kills it where it has not ended after `limit`.
    pub fn end(&mut self, limit: Duration) {
        let polls = limit.as_millis() / END_POLL.as_millis();
        if self.signal(Signal::TERM).is_ok() {
            for _ in 0..polls {
                if !matches!(self.child.try_wait(), Ok(None)) {
                    return;
                }
                thread::sleep(END_POLL);
            }
        }
        drop(self.kill());
    }

    /// Asks it to read its configuration again (`SIGHUP`).
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn reload(&self) -> Result<()> {
        // Itself alone: its children are its own to tell.
        kill_process(Pid::from_child(&self.child), Signal::HUP)
            .with_context(|| format!("cannot signal {}", self.name))
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// Where it has not after `limit`.
    pub async fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("{} to end", self.name);
        eventually(&what, limit, async || Ok(self.child.try_wait()?)).await
    }

    /// Stops it without ending it: its sockets stay open and nothing answers, as with a partition.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on after [`freeze`](Self::freeze).
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        kill_process_group(Pid::from_child(&self.child), signal)
            .with_context(|| format!("cannot signal {}", self.name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing is left to be told of a failure; the kernel ends the child with us in any case.
        drop(self.kill());
        if let Some(mut guard) = self.guard.take() {
            // Waiting closes its standard input first.
            drop(guard.wait());
        }
    }
}

/// A command, and where its child goes.
type Order = (Command, mpsc::Sender<io::Result<Child>>);

/// Runs the command on the thread that outlives every test.
fn spawn(command: Command) -> Result<Child> {
    static ORDERS: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (sender, receiver) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, reply) in receiver {
                if let Err(mpsc::SendError(Ok(mut orphan))) = reply.send(command.spawn()) {
                    drop(orphan.kill());
                }
            }
        });
        Mutex::new(sender)
    });
    let (reply, child) = mpsc::channel();
    orders
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send((command, reply))
        .map_err(|_| anyhow!("the thread that starts processes is gone"))?;
    Ok(child.recv()??)
}
