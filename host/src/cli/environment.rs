//! The environment of the process: the only place that reads it. The library is handed what it needs.

use std::io::IsTerminal as _;
use std::path::PathBuf;

/// What the environment says, read once at the start.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    /// `UNDERSTUDY_RUNS`: the folder of all runs.
    pub(crate) runs: Option<PathBuf>,
    /// `UNDERSTUDY_CACHE`, else `understudy` in the user's cache folder.
    pub(crate) cache: Option<PathBuf>,
    /// The user's name, as a default for who answers and who starts.
    pub(crate) user: Option<String>,
    /// `NO_COLOR` is set (<https://no-color.org>), or the terminal is dumb.
    pub(crate) no_color: bool,
    /// stdin is a terminal: a person can be asked.
    #[expect(dead_code, reason = "read by the commands that ask")]
    pub(crate) stdin_is_terminal: bool,
    /// stdout is a terminal.
    pub(crate) stdout_is_terminal: bool,
    /// stderr is a terminal.
    pub(crate) stderr_is_terminal: bool,
}

impl Environment {
    /// Reads it.
    pub(crate) fn read() -> Self {
        let cache = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
        Self {
            runs: folder("UNDERSTUDY_RUNS"),
            cache: folder("UNDERSTUDY_CACHE").or_else(|| Some(cache?.join("understudy"))),
            user: variable("USER").or_else(|| variable("LOGNAME")),
            no_color: variable("NO_COLOR").is_some() || variable("TERM").as_deref() == Some("dumb"),
            stdin_is_terminal: std::io::stdin().is_terminal(),
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
        }
    }

    /// A variable by name, for secrets whose source is the environment. Never kept and never printed.
    #[expect(
        dead_code,
        reason = "handed to the reader of secrets by the commands that run"
    )]
    pub(crate) fn secret(name: &str) -> Option<String> {
        variable(name)
    }
}

/// A variable that is set, not empty, and text.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn folder(name: &str) -> Option<PathBuf> {
    variable(name).map(PathBuf::from)
}
