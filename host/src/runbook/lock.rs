//! `understudy.lock`: which component each plugin of a runbook was when somebody last looked at it.
//!
//! It lies beside the runbook and is meant to be kept under version control. What is not here: reading a component as
//! anything but bytes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{RunbookError, RunbookErrors};
use super::problem::Problem;
use super::source::Sources;
use super::types::Runbook;
use crate::name::{PluginDigest, PluginName};

/// Name of the lock file.
pub const LOCK_FILE: &str = "understudy.lock";

/// First lines of a lock file.
const HEADER: &str =
    "# Written by `understudy plugin lock`: the components this runbook was reviewed with.\n\n";

/// A lock file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Lock {
    /// Plugins by the name the runbook gives them.
    #[serde(default)]
    pub plugins: BTreeMap<PluginName, LockedPlugin>,
}

/// One component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedPlugin {
    /// As the runbook writes it.
    pub path: PathBuf,
    /// Of the component's bytes.
    pub digest: PluginDigest,
}

/// The digest of a component's bytes.
#[must_use]
pub fn digest(component: &[u8]) -> PluginDigest {
    PluginDigest::of(component)
}

/// The lock file of a runbook.
#[must_use]
pub fn path_beside(runbook: &Path) -> PathBuf {
    runbook.with_file_name(LOCK_FILE)
}

/// Refuses a component that is not the locked one. `runbook` is named in the way out.
///
/// # Errors
/// `RB0012` with the expected and the found digest.
pub fn verify(
    plugin: &PluginName,
    path: &Path,
    expected: &PluginDigest,
    component: &[u8],
    runbook: &Path,
) -> Result<(), RunbookError> {
    let found = digest(component);
    if &found == expected {
        return Ok(());
    }
    let problem = Problem::WrongDigest {
        plugin: plugin.to_string(),
        path: path.to_owned(),
        expected: expected.clone(),
        found,
        runbook: runbook.to_owned(),
    };
    Err(RunbookError::new(problem, None))
}

impl Lock {
    /// Reads the lock file beside `runbook_path`; one that does not exist is empty.
    ///
    /// # Errors
    /// `RB0009` where it cannot be read, `RB0014` where it is no lock file.
    pub fn load(runbook_path: &Path) -> Result<Self, RunbookErrors> {
        let path = path_beside(runbook_path);
        let mut sources = Sources::default();
        match sources.read(&path) {
            Ok(()) => {}
            Err(error) if error.problem.is_absence() => return Ok(Self::default()),
            Err(error) => return Err(RunbookErrors::new(vec![error], sources)),
        }
        toml::from_str(sources.first_text()).map_err(|error| {
            let place = sources.place(&error.span().unwrap_or(0..0));
            let problem = Problem::BrokenLock {
                message: error.message().to_owned(),
                runbook: runbook_path.to_owned(),
            };
            RunbookErrors::new(vec![RunbookError::new(problem, place)], sources)
        })
    }

    /// The lock of a runbook as its components are now.
    ///
    /// # Errors
    /// `RB0009` for every component that cannot be read.
    pub fn of(runbook: &Runbook) -> Result<Self, RunbookErrors> {
        let mut lock = Self::default();
        let mut errors = Vec::new();
        for (name, plugin) in &runbook.plugins {
            let path = runbook.folder.join(&plugin.path);
            match std::fs::read(&path) {
                Ok(component) => {
                    let locked = LockedPlugin {
                        path: plugin.path.clone(),
                        digest: digest(&component),
                    };
                    lock.plugins.insert(name.clone(), locked);
                }
                Err(reason) => errors.push(RunbookError::new(
                    Problem::Unreadable { path, reason },
                    None,
                )),
            }
        }
        if errors.is_empty() {
            Ok(lock)
        } else {
            Err(RunbookErrors::new(errors, Sources::default()))
        }
    }

    /// Gives every plugin of `runbook` its locked digest.
    ///
    /// # Errors
    /// `RB0011` for every plugin that is not in the lock file.
    pub fn fill(&self, runbook: &mut Runbook, runbook_path: &Path) -> Result<(), RunbookErrors> {
        let mut errors = Vec::new();
        for (name, plugin) in &mut runbook.plugins {
            plugin.digest = self.plugins.get(name).map(|locked| locked.digest.clone());
            if plugin.digest.is_none() {
                let problem = Problem::NotLocked {
                    plugin: name.to_string(),
                    lock: path_beside(runbook_path),
                    runbook: runbook_path.to_owned(),
                };
                errors.push(RunbookError::new(problem, None));
            }
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(RunbookErrors::new(errors, Sources::default()))
        }
    }

    /// The lock file's text.
    #[must_use]
    pub fn text(&self) -> String {
        use std::fmt::Write as _;
        let mut text = HEADER.trim_end().to_owned() + "\n";
        for (name, plugin) in &self.plugins {
            let path = toml::Value::String(plugin.path.display().to_string());
            // Writing to a string cannot fail.
            write!(
                text,
                "\n[plugins.{name}]\npath = {path}\ndigest = \"{}\"\n",
                plugin.digest
            )
            .ok();
        }
        text
    }

    /// Writes the lock file beside `runbook_path`, in one step: a crash leaves the old one or the new one.
    ///
    /// # Errors
    /// `RB0013` where it cannot be written.
    pub fn write(&self, runbook_path: &Path) -> Result<(), RunbookError> {
        let path = path_beside(runbook_path);
        crate::file::replace(&path, &self.text())
            .map_err(|reason| RunbookError::new(Problem::Unwritable { path, reason }, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNBOOK: &str = r#"
[runbook]
name = "wordpress"
summary = "A blog"
format = 1
[targets]
rto = "30m"
rpo = "5m"
[plugins.powerdns]
path = "powerdns.wasm"
[plugins.replica]
path = "replica.wasm"
"#;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runbook.toml");
        std::fs::write(&path, RUNBOOK).unwrap();
        std::fs::write(folder.path().join("powerdns.wasm"), b"dns").unwrap();
        std::fs::write(folder.path().join("replica.wasm"), b"replica").unwrap();
        (folder, path)
    }

    #[test]
    fn what_is_written_fills_the_digests_again() {
        let (_folder, path) = folder();
        let mut runbook = Runbook::load(&path, &[]).unwrap();
        let lock = Lock::of(&runbook).unwrap();
        lock.write(&path).unwrap();
        assert_eq!(Lock::load(&path).unwrap(), lock);
        lock.fill(&mut runbook, &path).unwrap();
        let name = "powerdns".parse().unwrap();
        let expected = runbook.plugins[&name].digest.clone().unwrap();
        assert_eq!(expected, digest(b"dns"));
        assert!(verify(&name, Path::new("powerdns.wasm"), &expected, b"dns", &path).is_ok());
        let wrong = verify(
            &name,
            Path::new("powerdns.wasm"),
            &expected,
            b"other",
            &path,
        )
        .unwrap_err();
        assert_eq!(wrong.code(), "RB0012");
        for part in [digest(b"dns").as_str(), digest(b"other").as_str()] {
            assert!(wrong.to_string().contains(part), "{wrong}");
        }
    }

    #[test]
    fn a_plugin_that_is_not_locked_says_how_to_lock_it() {
        let (_folder, path) = folder();
        let mut runbook = Runbook::load(&path, &[]).unwrap();
        let errors = Lock::load(&path)
            .unwrap()
            .fill(&mut runbook, &path)
            .unwrap_err();
        assert_eq!(errors.errors.len(), 2);
        assert_eq!(errors.errors[0].code(), "RB0011");
        let command = format!("understudy plugin lock {}", path.display());
        assert!(
            errors.render(false).contains(&command),
            "{}",
            errors.render(false)
        );
    }

    #[test]
    fn a_missing_component_and_a_broken_lock_are_told() {
        let (folder, path) = folder();
        std::fs::remove_file(folder.path().join("replica.wasm")).unwrap();
        let errors = Lock::of(&Runbook::load(&path, &[]).unwrap()).unwrap_err();
        assert_eq!(errors.errors[0].code(), "RB0009");
        std::fs::write(
            path_beside(&path),
            "[plugins.a]\npath = \"a\"\ndigest = \"md5:1\"\n",
        )
        .unwrap();
        let errors = Lock::load(&path).unwrap_err();
        assert_eq!(
            (
                errors.errors[0].code(),
                errors.errors[0].place.as_ref().unwrap().line
            ),
            ("RB0014", 3)
        );
    }
}
