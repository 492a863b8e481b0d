//! Programs of a binding: what a provider may run, and with what.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::door::Door;
use crate::runbook::argument::Pattern;
use crate::runbook::raw::{At, RawProgram, RawSecret, Text};
use crate::runbook::types::{Program, SecretSource};

/// Time limit where an entry names none.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Captured output where an entry says nothing, in bytes.
const MAX_OUTPUT_BYTES: u32 = 1024 * 1024;

/// The most that an entry may allow: what a provider's memory holds beside everything else.
const MOST_OUTPUT_BYTES: u32 = 8 * 1024 * 1024;

/// Largest file that a program may write where an entry says nothing: 64 GiB.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024 * 1024;

impl Door<'_> {
    pub(super) fn programs(
        &mut self,
        raw: &BTreeMap<Text, At<RawProgram>>,
    ) -> BTreeMap<String, Program> {
        raw.iter()
            .filter_map(|(name, program)| {
                let read = self.program(program);
                Some((self.kebab("program name", name)?, read?))
            })
            .collect()
    }

    fn program(&mut self, program: &At<RawProgram>) -> Option<Program> {
        let raw = program.value();
        let path = self.absolute(&raw.program);
        let arguments = self.forms(&raw.arguments);
        if raw.arguments.is_empty() {
            self.contradiction(
                &program.span(),
                "this program may be given no arguments, not even none".to_owned(),
                "write the forms that its arguments may have, such as `arguments = [[\"plan\", \"-var-file={path}\"]]`; `[[]]` is the form without arguments",
            );
        }
        let environment = self.environment(&raw.environment);
        let secrets = self.secret_variables(raw);
        let time_limit = raw.time_limit.as_ref().map(|text| self.duration(text));
        let max_output_bytes = match &raw.max_output_bytes {
            None => MAX_OUTPUT_BYTES,
            Some(bytes) if (1..=MOST_OUTPUT_BYTES).contains(bytes.value()) => *bytes.value(),
            Some(bytes) => {
                self.contradiction(
                    &bytes.span(),
                    format!("{} bytes of output cannot be kept in memory", bytes.value()),
                    "allow 1 to 8388608 bytes, and let larger output go to a file",
                );
                return None;
            }
        };
        let directory = raw.directory.as_ref().map(|path| self.path("folder", path));
        let files = raw.files.as_ref().map(|path| self.path("folder", path));
        Some(Program {
            program: path?,
            leading: raw.leading.clone(),
            arguments: arguments?,
            directory: required(directory)?,
            environment: environment?,
            secrets: secrets?,
            files: required(files)?,
            time_limit: required(time_limit)?.unwrap_or(TIME_LIMIT),
            max_output_bytes: usize::try_from(max_output_bytes).unwrap_or(usize::MAX),
            max_file_bytes: raw.max_file_bytes.unwrap_or(MAX_FILE_BYTES),
        })
    }

    /// The path of a program: nothing looks it up.
    fn absolute(&mut self, text: &Text) -> Option<PathBuf> {
        let path = Path::new(text.value());
        if path.is_absolute() {
            return Some(path.to_owned());
        }
        self.invalid(
            "program",
            text,
            "write its whole path, such as `/usr/bin/terraform`: no `PATH` is searched",
        );
        None
    }

    fn forms(&mut self, raw: &[Vec<Text>]) -> Option<Vec<Vec<Pattern>>> {
        let forms: Vec<Option<Vec<Pattern>>> = raw.iter().map(|form| self.form(form)).collect();
        forms.into_iter().collect()
    }

    fn form(&mut self, raw: &[Text]) -> Option<Vec<Pattern>> {
        let mut form = Vec::new();
        for (place, text) in raw.iter().enumerate() {
            match Pattern::parse(text.value()) {
                Ok(pattern) if pattern.is_repeated() && place + 1 < raw.len() => {
                    self.invalid(
                        "argument pattern",
                        text,
                        "`...` stands behind the last pattern",
                    );
                }
                Ok(pattern) => form.push(pattern),
                Err(rule) => self.invalid("argument pattern", text, rule),
            }
        }
        (form.len() == raw.len()).then_some(form)
    }

    fn environment(&mut self, raw: &BTreeMap<Text, String>) -> Option<BTreeMap<String, String>> {
        let read: Vec<_> = raw
            .iter()
            .map(|(name, value)| Some((self.variable(name)?, value.clone())))
            .collect();
        read.into_iter().collect()
    }

    fn secret_variables(&mut self, raw: &RawProgram) -> Option<BTreeMap<String, SecretSource>> {
        let mut read = Vec::new();
        for (name, secret) in &raw.secrets {
            if raw
                .environment
                .keys()
                .any(|other| other.value() == name.value())
            {
                self.contradiction(
                    &name.span(),
                    format!("`{}` is set twice", name.value()),
                    "leave it out of `environment`, or out of `secrets`",
                );
            }
            let RawSecret { env, file } = secret.value();
            let source = self.secret(&secret.span(), env.as_ref(), file.as_ref());
            read.push(self.variable(name).zip(source));
        }
        read.into_iter().collect()
    }

    /// The name of an environment variable.
    fn variable(&mut self, text: &Text) -> Option<String> {
        let name = text.value();
        let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if !name.is_empty() && name.bytes().all(letter) {
            return Some(name.clone());
        }
        self.invalid(
            "variable",
            text,
            "use letters, digits and `_`, such as `MYSQL_PWD`",
        );
        None
    }
}

/// What may be left out, and must be right where it is not: the outer `None` is what was reported.
fn required<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    match read {
        None => Some(None),
        Some(read) => read.map(Some),
    }
}
