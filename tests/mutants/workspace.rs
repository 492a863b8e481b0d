//! A copy of the strategies' sources to change and to compile: the repository's own are never touched.

use std::path::{Path, PathBuf};

use understudy::plugin::Engines;
use understudy::plugin::build::{BuildError, Purpose, build_for};

use crate::mutant::Mutant;
use crate::root;

/// What the strategies are made of, below the root.
const SOURCES: [&str; 6] = [
    "plugins/sdk",
    "plugins/recovery",
    "plugins/strategies",
    "wit",
    "Cargo.lock",
    "rust-toolchain.toml",
];

/// The strategies.
const STRATEGIES: [&str; 4] = ["replica", "restore", "failback", "standby"];

/// The copy.
pub(crate) struct Workspace {
    folder: PathBuf,
    out: PathBuf,
}

impl Workspace {
    /// The sources as they are, below `folder`. What is there already and the same keeps its time, so that cargo
    /// compiles what changed.
    pub(crate) fn copied(folder: &Path) -> Self {
        let workspace = Self {
            folder: folder.join("workspace"),
            out: folder.join("plugins"),
        };
        for source in SOURCES {
            copy(&root().join(source), &workspace.folder.join(source));
        }
        let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
        write(
            &workspace.folder.join("Cargo.toml"),
            &of_strategies(&manifest),
        );
        workspace
    }

    /// Does something while the sources are the mutant's.
    pub(crate) fn with<T>(&mut self, mutant: &Mutant, run: impl FnOnce(&Self) -> T) -> T {
        let path = |file: &str| self.folder.join("plugins").join(file);
        let read = |file: &str| std::fs::read_to_string(path(file)).unwrap();
        let changed = mutant.changed(read);
        let before: Vec<_> = changed
            .iter()
            .map(|(file, _)| (path(file), read(file)))
            .collect();
        for (file, text) in &changed {
            write(&path(file), text);
        }
        let result = run(self);
        for (path, text) in before {
            write(&path, &text);
        }
        result
    }

    /// Compiles the strategies; answers the folder of the components.
    pub(crate) fn build(&self, engines: &Engines, name: &str) -> Result<PathBuf, BuildError> {
        let strategies = STRATEGIES.map(|name| self.folder.join("plugins/strategies").join(name));
        let out = self.out.join(name);
        build_for(Purpose::Trial, engines, &strategies, Some(&out))?;
        Ok(out)
    }
}

/// The manifest of the repository for the strategies alone.
fn of_strategies(manifest: &str) -> String {
    let mut manifest: toml::Table = manifest.parse().unwrap();
    let workspace = manifest["workspace"].as_table_mut().unwrap();
    let members = ["plugins/sdk", "plugins/recovery", "plugins/strategies/*"];
    workspace.insert("members".to_owned(), members.to_vec().into());
    workspace.remove("default-members");
    // A mutant leaves behind what nobody uses any more: that is its point.
    let lints = toml::toml! { rust.warnings = "allow" };
    workspace.insert("lints".to_owned(), lints.into());
    manifest.remove("profile");
    toml::to_string(&manifest).unwrap()
}

/// Has `to` hold what `from` does, and nothing else.
fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        write(to, &std::fs::read_to_string(from).unwrap());
        return;
    }
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let name = entry.unwrap().file_name();
        copy(&from.join(&name), &to.join(&name));
    }
    for entry in std::fs::read_dir(to).unwrap() {
        let entry = entry.unwrap();
        if from.join(entry.file_name()).exists() {
            continue;
        }
        if entry.path().is_dir() {
            std::fs::remove_dir_all(entry.path()).unwrap();
        } else {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
}

fn write(path: &Path, text: &str) {
    if std::fs::read_to_string(path).ok().as_deref() != Some(text) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}
