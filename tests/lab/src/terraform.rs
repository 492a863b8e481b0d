//! Terraform: the real program over folders of code, and how it is bound. Code of `terraform_data` alone needs no network.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};

use crate::programs;

/// Environment variable of the host with the secret that the code is given as `var.token`.
pub const TOKEN_VARIABLE: &str = "TOKEN";

/// A folder of code, initialised for some sites: each has a data folder and a file of variables of its own.
#[derive(Debug)]
pub struct Code {
    program: PathBuf,
    folder: PathBuf,
    token: String,
}

impl Code {
    /// Writes the code to a folder, which is created, and initialises it for each site, with its variables.
    ///
    /// # Errors
    /// Where Terraform is missing (the message says where it comes from) or refuses the code (it says why).
    pub fn initialised(
        folder: &Path,
        code: &str,
        sites: &[(&str, &str)],
        token: &str,
    ) -> Result<Self> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("main.tf"), code)?;
        let code = Self {
            program: programs::terraform()?,
            folder: folder.to_owned(),
            token: token.to_owned(),
        };
        for (site, variables) in sites {
            code.set(site, variables)?;
            code.by_hand(site, &["init", "-input=false"])?;
        }
        Ok(code)
    }

    /// Makes the workspace that [`binding`] selects there.
    ///
    /// # Errors
    /// Where there is one already.
    pub fn begin_workspace(&self, site: &str) -> Result<()> {
        let name = workspace(site);
        self.by_hand(site, &["workspace", "new", &name]).map(drop)
    }

    /// Writes a site's variables.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn set(&self, site: &str, variables: &str) -> Result<()> {
        Ok(fs::write(self.folder.join(variables_of(site)), variables)?)
    }

    /// Runs it as its operator does, and answers what it printed.
    ///
    /// # Errors
    /// Where it fails; the message holds what it said.
    pub fn by_hand(&self, site: &str, arguments: &[&str]) -> Result<String> {
        let output = self.command(site, arguments).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).context("it printed no text")
    }

    /// The command that runs it as its operator does.
    #[must_use]
    pub fn command(&self, site: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .current_dir(&self.folder)
            .args(arguments)
            .env_clear()
            .envs(environment(&self.folder, site))
            .env("TF_VAR_token", &self.token)
            .stdin(Stdio::null());
        command
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// A binding of stacks by name, each with the folder of its code, at these sites. Nothing waits for a lock.
#[must_use]
pub fn binding(program: &Path, stacks: &[(&str, &Path)], sites: &[&str]) -> Value {
    let name = |stack: &str, site: &str| format!("{stack}-{site}");
    let place = |stack: &str, site: &str| json!({ "program": name(stack, site), "workspace": workspace(site), "var-files": [variables_of(site)] });
    let places = stacks.iter().map(|(stack, _)| {
        let places = sites
            .iter()
            .map(|site| ((*site).to_owned(), place(stack, site)));
        ((*stack).to_owned(), places.collect::<Map<_, _>>().into())
    });
    let programs = stacks.iter().flat_map(|(stack, folder)| {
        let program = |site: &&str| (name(stack, site), entry(program, folder, site));
        sites.iter().map(program).collect::<Vec<_>>()
    });
    json!({
        "contract": "understudy:infrastructure/infrastructure@0.1.0",
        "plugin": "terraform",
        "config": {
            "stacks": places.collect::<Map<String, Value>>(),
            "lock-timeout-seconds": 0,
        },
        "programs": programs.collect::<Map<String, Value>>(),
    })
}

/// What a host may run of it.
fn entry(program: &Path, folder: &Path, site: &str) -> Value {
    let (lock, file) = ("-lock-timeout={name}", "-var-file={path}...");
    let changing = |verb: &str| json!([verb, "-input=false", "-json", "-auto-approve", lock, file]);
    json!({
        "program": program,
        "directory": folder,
        "arguments": [
            ["workspace", "select", "{name}"],
            ["output", "-json"],
            ["state", "list"],
            ["plan", "-input=false", "-json", "-detailed-exitcode", lock, file],
            changing("apply"),
            changing("destroy"),
        ],
        "environment": environment(folder, site).collect::<BTreeMap<_, _>>(),
        "secrets": { "TF_VAR_token": { "env": TOKEN_VARIABLE } },
        "time-limit": "2m",
    })
}

fn environment(folder: &Path, site: &str) -> impl Iterator<Item = (&'static str, PathBuf)> {
    [
        ("PATH", "/usr/bin:/bin".into()),
        ("HOME", folder.to_owned()),
        ("TF_DATA_DIR", folder.join(format!("data-{site}"))),
        ("TF_IN_AUTOMATION", "1".into()),
        ("CHECKPOINT_DISABLE", "1".into()),
    ]
    .into_iter()
}

fn workspace(site: &str) -> String {
    format!("prod-{site}")
}

fn variables_of(site: &str) -> String {
    format!("{site}.tfvars")
}
