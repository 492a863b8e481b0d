//! The binary `understudy` with a strategy that makes calls, and one provider under a binding.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

/// Plugins that these tests need, built once.
static PLUGINS: LazyLock<PathBuf> = LazyLock::new(|| {
    let crates = [
        "plugins/providers/acme",
        "plugins/providers/cloudflare",
        "plugins/providers/digitalocean",
        "plugins/providers/kubernetes",
        "plugins/providers/prometheus",
        "plugins/providers/rfc2136",
        "plugins/providers/s3",
        "plugins/providers/terraform",
        "tests/caller",
    ];
    let mut command = std::process::Command::new(program());
    command
        .arg("--cache")
        .arg(cache())
        .args(["plugin", "build"]);
    command.args(crates.map(|folder| repository().join(folder)));
    let built = command.output().unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    repository().join("target/plugins")
});

fn repository() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    folder.canonicalize().unwrap()
}

fn cache() -> PathBuf {
    repository().join("target/understudy-cache")
}

/// The binary beside the lab's own.
fn program() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_understudy-lab")).with_file_name("understudy");
    assert!(
        program.is_file(),
        "{} is missing: run `cargo build -p understudy`",
        program.display()
    );
    program
}

/// One provider under a binding.
pub(crate) struct Host {
    /// Where its runbook and its runs are.
    pub(crate) folder: TempDir,
    plugin: &'static str,
    binding: Value,
    secrets: BTreeMap<String, String>,
}

/// What a run of calls came to.
pub(crate) struct Ran {
    /// What each call answered.
    pub(crate) answers: Vec<Value>,
    /// The journal's records.
    pub(crate) records: Vec<Value>,
}

impl Ran {
    /// Records of a type.
    pub(crate) fn of(&self, kind: &str) -> Vec<&Value> {
        let mut records = self.records.iter();
        records
            .by_ref()
            .filter(|record| record["type"] == kind)
            .collect()
    }
}

impl Host {
    /// A host with `binding` for `plugin`, and the secrets for its slots by variable.
    pub(crate) fn new(
        plugin: &'static str,
        binding: Value,
        secrets: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        // Here and not in a call: a build holds up whatever else the test runs beside it.
        LazyLock::force(&PLUGINS);
        Self {
            folder: tempfile::tempdir().unwrap(),
            plugin,
            binding,
            secrets: secrets.into_iter().collect(),
        }
    }

    /// Makes calls, each `{"call": "get-record", …}`, in one run; expects the run to end.
    pub(crate) async fn calls(&self, calls: Value) -> Ran {
        let runbook = self.folder.path().join("runbook.toml");
        std::fs::write(&runbook, self.runbook(calls)).unwrap();
        let runs = self.folder.path().join("runs");
        drop(std::fs::remove_dir_all(&runs));
        let runbook = runbook.display().to_string();
        self.understudy(&["plugin", "lock", &runbook]).await;
        self.understudy(&["run", &runbook]).await;
        let run = std::fs::read_dir(&runs).unwrap().next().unwrap().unwrap();
        let run = run.file_name().into_string().unwrap();
        let journal = self
            .understudy(&["report", &run, "--format", "journal"])
            .await;
        let records: Vec<Value> = journal.lines().map(record).collect();
        let done = records
            .iter()
            .find(|record| record["type"] == "step-changed" && record["body"]["to"] == "done");
        let detail = done.unwrap()["body"]["detail"].as_str().unwrap();
        Ran {
            answers: serde_json::from_str(detail).unwrap(),
            records,
        }
    }

    /// Makes one call.
    pub(crate) async fn call(&self, call: Value) -> Value {
        self.calls(json!([call])).await.answers.remove(0)
    }

    fn runbook(&self, calls: Value) -> String {
        let contract = self.binding["contract"].as_str().unwrap();
        let interface = contract.split(['/', '@']).nth(1).unwrap();
        let mut functions: Vec<&str> = calls
            .as_array()
            .unwrap()
            .iter()
            .map(|call| call["call"].as_str().unwrap())
            .collect();
        functions.sort_unstable();
        functions.dedup();
        let grants: Vec<Value> = functions
            .iter()
            .map(|function| json!({ "strategy": "caller", "allow": format!("{interface}/{function}") }))
            .collect();
        let mut binding = self.binding.clone();
        binding["plugin"] = self.plugin.into();
        let provider = PLUGINS.join(format!("provider-{}.wasm", self.plugin));
        toml::to_string(&json!({
            "runbook": { "format": 1, "name": "calls", "summary": "Calls to a provider" },
            "targets": { "rto": "30m", "rpo": "5m" },
            "sites": { "pz": { "title": "Primary zone" }, "bz": { "title": "Backup zone" } },
            "plugins": {
                "caller": { "path": PLUGINS.join("caller.wasm") },
                self.plugin: { "path": provider },
            },
            "strategies": { "caller": { "plugin": "caller", "parameters": { "calls": calls } } },
            "procedures": { "call": ["caller"] },
            "grants": grants,
            "bindings": [binding],
        }))
        .unwrap()
    }

    async fn understudy(&self, args: &[&str]) -> String {
        let output = Command::new(program())
            .current_dir(self.folder.path())
            .env_clear()
            .envs(&self.secrets)
            .env("USER", "tester")
            .env("UNDERSTUDY_RUNS", self.folder.path().join("runs"))
            .arg("--cache")
            .arg(cache())
            .args(args)
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }
}

fn record(line: &str) -> Value {
    let line: Value = serde_json::from_str(line).unwrap();
    match &line["record"] {
        Value::String(text) => serde_json::from_str(text).unwrap(),
        record => record.clone(),
    }
}
