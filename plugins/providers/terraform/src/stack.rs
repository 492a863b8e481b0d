//! One stack at one site.

use std::collections::BTreeMap;

use serde::Deserialize;
use understudy_sdk::exec::{Command, Ended, Input, Job, Output, Programs, last_words, waiting};
use understudy_sdk::host::understudy::types::types::{Error, Outcome};

use crate::config::{Config, Place};
use crate::infrastructure::{self, Difference, Lock};
use crate::stream::Said;

/// `plan -detailed-exitcode`: nothing to do.
const NO_CHANGES: i32 = 0;

/// The same: something to do.
const CHANGES: i32 = 2;

/// What `workspace select` says of one that does not exist.
const NO_WORKSPACE: &str = "doesn't exist";

/// What `state list` says where nothing was ever applied.
const NO_STATE: &str = "No state file was found";

/// A stack at a site.
pub(crate) struct Stack<'a, P> {
    programs: &'a P,
    place: &'a Place,
    name: String,
    lock_timeout_seconds: u32,
}

/// A value as `output -json` has it.
#[derive(Deserialize)]
struct Value {
    sensitive: bool,
    value: serde_json::Value,
}

impl<'a, P: Programs> Stack<'a, P> {
    pub(crate) fn find(
        programs: &'a P,
        config: &'a Config,
        site: &str,
        stack: &str,
    ) -> Result<Self, Error> {
        Ok(Self {
            programs,
            place: config.place(site, stack)?,
            name: format!("{stack} at {site}"),
            lock_timeout_seconds: config.lock_timeout_seconds,
        })
    }

    /// See `observe-difference`.
    pub(crate) fn difference(&self) -> Result<Difference, Error> {
        self.plan(self.lock_timeout_seconds)?
            .map_err(|(said, words)| said.error(&self.doing("plan"), &words))
    }

    /// See `observe-lock`.
    pub(crate) fn lock(&self) -> Result<Option<Lock>, Error> {
        match self.plan(0)? {
            Ok(_) => Ok(None),
            Err((said, words)) => match said.lock() {
                Some(lock) => Ok(Some(lock)),
                None => Err(said.error(&self.doing("plan"), &words)),
            },
        }
    }

    /// See `get-outputs`.
    pub(crate) fn outputs(&self) -> Result<Vec<infrastructure::Output>, Error> {
        self.select()?;
        let ended = self.run(&["output", "-json"])?;
        if ended.exit_code != 0 {
            return Err(Error::Other(format!(
                "{}: {}",
                self.doing("output"),
                last_words(&ended)
            )));
        }
        let values: BTreeMap<String, Value> = serde_json::from_slice(&ended.stdout)
            .map_err(|error| Error::Other(format!("{}: {error}", self.doing("output"))))?;
        let output = |(name, value): (String, Value)| infrastructure::Output {
            name,
            value: (!value.sensitive).then(|| value.value.to_string()),
        };
        Ok(values.into_iter().map(output).collect())
    }

    /// See `ensure-applied`.
    pub(crate) fn apply(&self) -> Result<Outcome, Error> {
        // A job that is under way holds the lock itself: it is asked after first.
        match self.job("apply")? {
            Some(outcome) => Ok(outcome),
            None => Ok(Outcome::Unchanged),
        }
    }

    /// See `ensure-destroyed`.
    pub(crate) fn destroy(&self) -> Result<Outcome, Error> {
        match self.job("destroy")? {
            Some(outcome) => Ok(outcome),
            None => Ok(Outcome::Unchanged),
        }
    }

    /// Applies or destroys as a job; none where there was nothing to do. What is there to do is told by the job itself: it
    /// is under the lock of the state, and a look before would not be.
    fn job(&self, verb: &str) -> Result<Option<Outcome>, Error> {
        self.select()?;
        if verb == "destroy" && self.is_empty()? {
            return Ok(None);
        }
        let mut arguments = vec![
            verb.to_owned(),
            "-input=false".to_owned(),
            "-json".to_owned(),
            "-auto-approve".to_owned(),
        ];
        arguments.extend(self.bounds(self.lock_timeout_seconds));
        let name = format!("{verb} {}", self.name);
        let ended = match self.programs.job(&name, &self.command(arguments))? {
            Job::Running(running_ms) => {
                return Ok(Some(waiting(&name, &self.doing(verb), running_ms)));
            }
            Job::Ended(ended) => ended,
        };
        let said = Said::read(&ended.stdout);
        if ended.exit_code != 0 {
            return Err(said.error(&self.doing(verb), &last_words(&ended)));
        }
        let changed = !said.difference.changes.is_empty();
        Ok(changed.then_some(Outcome::Changed))
    }

    /// The difference, or what was said where it gave up.
    fn plan(&self, lock_timeout_seconds: u32) -> Result<Result<Difference, (Said, String)>, Error> {
        self.select()?;
        let mut arguments = vec![
            "plan".to_owned(),
            "-input=false".to_owned(),
            "-json".to_owned(),
            "-detailed-exitcode".to_owned(),
        ];
        arguments.extend(self.bounds(lock_timeout_seconds));
        let ended = self.programs.run(&self.command(arguments))?;
        let said = Said::read(&ended.stdout);
        Ok(match ended.exit_code {
            NO_CHANGES | CHANGES => Ok(said.difference),
            _ => Err((said, last_words(&ended))),
        })
    }

    /// Goes to the workspace, which exists: Terraform would begin an empty one where it is only named.
    fn select(&self) -> Result<(), Error> {
        let workspace = self.place.workspace.as_str();
        let ended = self.run(&["workspace", "select", workspace])?;
        if ended.exit_code == 0 {
            return Ok(());
        }
        let words = last_words(&ended);
        Err(match words.contains(NO_WORKSPACE) {
            true => Error::NotFound(format!("workspace `{workspace}` of {}", self.name)),
            false => Error::Other(format!("{}: {words}", self.doing("workspace select"))),
        })
    }

    /// Nothing was made, or everything is gone.
    fn is_empty(&self) -> Result<bool, Error> {
        let ended = self.run(&["state", "list"])?;
        match ended.exit_code {
            0 => Ok(ended.stdout.iter().all(u8::is_ascii_whitespace)),
            _ if ended.stderr.contains(NO_STATE) => Ok(true),
            _ => Err(Error::Other(format!(
                "{}: {}",
                self.doing("state list"),
                last_words(&ended)
            ))),
        }
    }

    fn bounds(&self, lock_timeout_seconds: u32) -> Vec<String> {
        let files = self.place.var_files.iter();
        std::iter::once(format!("-lock-timeout={lock_timeout_seconds}s"))
            .chain(files.map(|file| format!("-var-file={file}")))
            .collect()
    }

    fn run(&self, arguments: &[&str]) -> Result<Ended, Error> {
        let arguments = arguments.iter().map(|&text| text.to_owned()).collect();
        self.programs.run(&self.command(arguments))
    }

    fn command(&self, arguments: Vec<String>) -> Command {
        Command {
            program: self.place.program.clone(),
            arguments,
            input: Input::Nothing,
            output: Output::Captured,
        }
    }

    fn doing(&self, verb: &str) -> String {
        format!("terraform {verb} of {}", self.name)
    }
}
