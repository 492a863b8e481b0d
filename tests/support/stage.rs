//! A folder with a runbook, and the binary run in it as a user would.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use tempfile::TempDir;

/// Folder of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// Where compiled plugins are kept.
pub(crate) fn cache() -> PathBuf {
    root().join("target/understudy-cache")
}

/// Every shipped plugin, the organisation's example and the hostile ones, built once.
pub(crate) static PLUGINS: LazyLock<PathBuf> = LazyLock::new(|| {
    let mut crates = Vec::new();
    for group in [
        "plugins/strategies",
        "plugins/providers",
        "plugins/examples/acme-cdn",
        "tests/hostile",
    ] {
        let entries = std::fs::read_dir(root().join(group)).unwrap();
        crates.extend(
            entries
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.join("Cargo.toml").is_file()),
        );
    }
    crates.sort();
    let mut command = Command::new(env!("CARGO_BIN_EXE_understudy"));
    command
        .arg("--cache")
        .arg(cache())
        .args(["plugin", "build"])
        .args(&crates);
    let built = command.output().unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    root().join("target/plugins")
});

/// A runbook in a folder of its own. What it runs finds no secret but those in `environment`.
pub(crate) struct Stage {
    folder: TempDir,
    /// Variables of the host.
    pub(crate) environment: Vec<(&'static str, String)>,
}

impl Stage {
    /// A stage with this runbook, not locked.
    pub(crate) fn with(runbook: &str) -> Self {
        let stage = Self {
            folder: tempfile::tempdir().unwrap(),
            environment: Vec::new(),
        };
        std::fs::write(stage.path("runbook.toml"), runbook).unwrap();
        stage
    }

    /// Locks the plugins.
    pub(crate) fn locked(self) -> Self {
        let output = self.run(&["plugin", "lock", "runbook.toml"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_understudy"));
        command
            .current_dir(self.folder.path())
            .env("UNDERSTUDY_RUNS", self.path("runs"))
            .env("USER", "tester")
            .envs(self.environment.iter().cloned());
        command
            .arg("--cache")
            .arg(cache())
            .args(args)
            .output()
            .unwrap()
    }

    /// The journal of the only run, as exported.
    pub(crate) fn journal(&self) -> String {
        let run = self.only_run();
        let output = self.run(&["report", &run, "--format", "journal"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    pub(crate) fn only_run(&self) -> String {
        let mut runs = std::fs::read_dir(self.path("runs")).unwrap();
        let run = runs
            .next()
            .unwrap()
            .unwrap()
            .file_name()
            .into_string()
            .unwrap();
        assert!(runs.next().is_none(), "more than one run");
        run
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
