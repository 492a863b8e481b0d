//! The operator's programs that act on a server: stop, restart, rewind. Each is run without arguments, as a job, so that it
//! may take its time and is not begun twice while it runs.

use understudy_sdk::exec::{Command, Ended, Input, Job, Output, Programs, last_words};
use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::provider::unavailable;

/// How a program stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    /// At it for so many milliseconds.
    Running(u64),
    /// It ended well.
    Done,
    /// It gave up, and said this.
    Failed(String),
}

/// What programs say that did not reach the other server.
const OUT_OF_REACH: [&str; 6] = [
    "could not connect",
    "Connection refused",
    "Connection timed out",
    "No route to host",
    "starting up",
    "server closed the connection",
];

/// Runs `program`, or asks how it stands; `what` names the work for people.
pub(crate) fn run(programs: &impl Programs, program: &str, what: &str) -> Result<Stand, Error> {
    let command = Command {
        program: program.to_owned(),
        arguments: Vec::new(),
        input: Input::Nothing,
        output: Output::Captured,
    };
    Ok(match programs.job(what, &command)? {
        Job::Running(milliseconds) => Stand::Running(milliseconds),
        Job::Ended(ended) if ended.exit_code == 0 => Stand::Done,
        Job::Ended(ended) => Stand::Failed(words(what, &ended)),
    })
}

/// Runs `program` to its end with these arguments; `what` names the work for people. One that does not end well is an error.
pub(crate) fn run_to_end(
    programs: &impl Programs,
    program: &str,
    arguments: Vec<String>,
    what: &str,
) -> Result<Ended, Error> {
    let command = Command {
        program: program.to_owned(),
        arguments,
        input: Input::Nothing,
        output: Output::Captured,
    };
    let ended = programs.run(&command)?;
    match ended.exit_code {
        0 => Ok(ended),
        _ => Err(gave_up(words(what, &ended))),
    }
}

/// What a program that gave up said, as an error.
pub(crate) fn gave_up(words: String) -> Error {
    match OUT_OF_REACH.iter().any(|text| words.contains(text)) {
        true => unavailable(words),
        false => Error::Conflict(words),
    }
}

fn words(what: &str, ended: &Ended) -> String {
    let mut said = last_words(ended);
    if said.is_empty() {
        // `pg_ctl` tells much on standard output.
        said = understudy_sdk::provider::quote(&ended.stdout);
    }
    format!("{what} ended with exit code {}: {said}", ended.exit_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_out_of_reach_is_asked_again() {
        let error = gave_up("rewind pz: could not connect to server: x".to_owned());
        assert!(matches!(error, Error::Unavailable(_)));
        let error =
            gave_up("rewind pz: target server needs to use either data checksums".to_owned());
        assert!(matches!(error, Error::Conflict(_)));
    }
}
