//! What a provider asks to have run, held against its entry: after this there is nothing left to refuse.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::folder::Folder;
use super::{Entry, Fault, MAX_ARGUMENTS, MAX_INPUT_BYTES};
use crate::runbook::argument::form_fits;

/// `command` of the contract.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Command {
    pub(super) program: String,
    arguments: Vec<String>,
    input: Input,
    output: Output,
}

/// `input` of the contract.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Input {
    Nothing,
    #[serde(with = "crate::bytes")]
    Bytes(Vec<u8>),
    File(Source),
}

/// `source` of the contract.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) sha256: Option<String>,
}

/// `output` of the contract.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Output {
    Captured,
    File(String),
}

impl Command {
    /// What is done, in one line, without payload.
    pub(super) fn line(&self) -> String {
        let mut line = format!("exec {}:", self.program);
        for argument in &self.arguments {
            line.push(' ');
            line.push_str(argument);
        }
        if let Input::File(source) = &self.input {
            line.push_str(" < ");
            line.push_str(&source.name);
        }
        if let Output::File(name) = &self.output {
            line.push_str(" > ");
            line.push_str(name);
        }
        line
    }

    /// The same for the same command: how a job is told from another one of its name.
    fn identity(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A command that its entry allows.
pub(super) struct Launch {
    pub(super) entry: Arc<Entry>,
    pub(super) program: String,
    pub(super) arguments: Vec<String>,
    pub(super) input: Input,
    pub(super) output: Output,
    pub(super) identity: String,
}

impl Launch {
    /// The command, where the entry allows it.
    pub(super) fn allowed(command: Command, entry: Arc<Entry>) -> Result<Self, Fault> {
        let identity = command.identity();
        let Command {
            program,
            arguments,
            input,
            output,
        } = command;
        let given: usize = arguments.iter().map(String::len).sum();
        let bytes = match &input {
            Input::Bytes(bytes) => bytes.len(),
            Input::Nothing | Input::File(_) => 0,
        };
        if arguments.len() > MAX_ARGUMENTS || given.saturating_add(bytes) > MAX_INPUT_BYTES {
            let text = format!(
                "more than {MAX_ARGUMENTS} arguments or {MAX_INPUT_BYTES} bytes for `{program}`; let larger input come from a file"
            );
            return Err(Fault::invalid("CP0009", text));
        }
        let forms = &entry.program.arguments;
        if !forms.iter().any(|form| form_fits(form, &arguments)) {
            return Err(not_allowed(&program, &arguments, &entry));
        }
        let files = [
            match &input {
                Input::File(source) => Some(&source.name),
                Input::Nothing | Input::Bytes(_) => None,
            },
            match &output {
                Output::File(name) => Some(name),
                Output::Captured => None,
            },
        ];
        for name in files.into_iter().flatten() {
            Folder::check(name)?;
            if entry.folder.is_none() {
                return Err(no_folder(&program));
            }
        }
        Ok(Self {
            entry,
            program,
            arguments,
            input,
            output,
            identity,
        })
    }

    pub(super) fn time_limit(&self) -> Duration {
        self.entry.program.time_limit
    }
}

fn not_allowed(program: &str, arguments: &[String], entry: &Entry) -> Fault {
    let forms: Vec<String> = entry
        .program
        .arguments
        .iter()
        .map(|form| {
            let patterns: Vec<String> = form.iter().map(ToString::to_string).collect();
            format!("`{}`", patterns.join(" "))
        })
        .collect();
    let grant = format!(
        "programs.{program}.arguments = [{}]",
        serde_json::Value::from(arguments)
    );
    let text = format!(
        "`{program}` does not take the arguments {}; its forms are {}",
        serde_json::Value::from(arguments),
        forms.join(", ")
    );
    Fault::denied("CP0033", text, grant)
}

/// The entry has no folder of files.
pub(super) fn no_folder(program: &str) -> Fault {
    let text = format!("the program `{program}` of the binding has no folder of files");
    Fault::denied(
        "CP0034",
        text,
        format!(r#"programs.{program}.files = "FOLDER""#),
    )
}
