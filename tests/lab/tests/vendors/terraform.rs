//! The `terraform` provider: against the real Terraform where somebody has it, and against a script that answers as it does
//! where what is tested is how it fails.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::host::Host;

/// The secret that the code is given, and would give away.
const SECRET: &str = "a-token-of-the-cloud";

/// A resource that takes a moment to make, an output, and one that is nobody's business.
const CODE: &str = r#"
variable "size" { type = number }
variable "slow" {
  type    = number
  default = 0
}
variable "token" { type = string }
resource "terraform_data" "database" {
  input            = var.size
  triggers_replace = var.size
  provisioner "local-exec" { command = "sleep ${var.slow}" }
}
output "size" { value = var.size }
output "echo" { value = "it is ${nonsensitive(var.token)}" }
output "token" {
  value     = var.token
  sensitive = true
}
"#;

/// Plays Terraform: what it says of a command is in files beside it.
const SCRIPT: &str = r#"#!/bin/sh
folder=$(dirname "$0")
case $1 in
    workspace) [ "$3" = prod-bz ] || { echo "Workspace \"$3\" doesn't exist." >&2; exit 1; } ;;
    state) cat "$folder/state" 2>/dev/null || { echo "No state file was found!" >&2; exit 1; } ;;
    *) echo "$@" >> "$folder/asked"; cat "$folder/says"; exit "$(cat "$folder/exits")" ;;
esac
"#;

struct Stage {
    folder: TempDir,
    host: Host,
}

fn call(function: &str, site: &str) -> Value {
    json!({ "call": function, "site": site, "stack": "zone" })
}

/// A binding of `program` in `folder`.
fn binding(program: &Path, folder: &Path) -> Value {
    let place = |site: &str| json!({ "program": format!("terraform-{site}"), "workspace": format!("prod-{site}"), "var-files": [format!("{site}.tfvars")] });
    let entry = |site: &str| {
        let (lock, file) = ("-lock-timeout={name}", "-var-file={path}...");
        let changing =
            |verb: &str| json!([verb, "-input=false", "-json", "-auto-approve", lock, file]);
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
            "environment": {
                "PATH": "/usr/bin:/bin", "HOME": folder, "TF_DATA_DIR": folder.join(format!("data-{site}")),
                "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1",
            },
            "secrets": { "TF_VAR_token": { "env": "TOKEN" } },
            "time-limit": "2m",
        })
    };
    json!({
        "contract": "understudy:infrastructure/infrastructure@0.1.0",
        "config": { "stacks": { "zone": { "pz": place("pz"), "bz": place("bz") } }, "lock-timeout-seconds": 0 },
        "programs": { "terraform-pz": entry("pz"), "terraform-bz": entry("bz") },
    })
}

fn stage(program: &Path, folder: TempDir) -> Stage {
    let binding = binding(program, folder.path());
    let host = Host::new("terraform", binding, crate::token(SECRET));
    Stage { folder, host }
}

impl Stage {
    fn write(&self, name: &str, content: &str) {
        fs::write(self.folder.path().join(name), content).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }
}

/// A stage on which a script plays Terraform.
fn played() -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("terraform");
    fs::write(&program, SCRIPT).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    stage(&program, folder)
}

/// What Terraform says where somebody else holds the lock.
fn locked() -> String {
    let detail = "Error message: resource temporarily unavailable\nLock Info:\n  ID:        7f3a\n  Path:      terraform.tfstate\n  \
                  Operation: OperationTypeApply\n  Who:       sam@laptop\n  Version:   1.11.4\n  Created:   2026-11-21 10:00:00 UTC\n  Info:      \n";
    let error = json!({ "severity": "error", "summary": "Error acquiring the state lock", "detail": detail });
    json!({ "@level": "error", "type": "diagnostic", "diagnostic": error }).to_string()
}

#[tokio::test]
async fn a_lock_that_somebody_holds_is_a_conflict_in_their_name() {
    let stage = played();
    stage.write("says", &locked());
    stage.write("exits", "1");
    stage.write("state", "terraform_data.database\n");
    let ran = stage
        .host
        .calls(json!([
            call("observe-difference", "bz"),
            call("observe-lock", "bz"),
            call("ensure-applied", "bz"),
            call("ensure-destroyed", "bz")
        ]))
        .await;
    for place in [0, 2, 3] {
        let text = ran.answers[place]["err"]["conflict"].as_str().unwrap();
        assert!(
            text.contains("who: sam@laptop") && text.contains("lock 7f3a"),
            "{text}"
        );
    }
    assert_eq!(ran.answers[1]["ok"]["id"], "7f3a");
}

#[tokio::test]
async fn what_terraform_says_of_a_failure_is_told_and_holds_no_secret() {
    let stage = played();
    let error = json!({ "severity": "error", "summary": "creating the cluster", "detail": format!("POST: 401 for {SECRET}") });
    stage.write(
        "says",
        &json!({ "type": "diagnostic", "diagnostic": error }).to_string(),
    );
    stage.write("exits", "1");
    let text = stage.host.call(call("ensure-applied", "bz")).await;
    let text = text["err"]["other"].as_str().unwrap();
    assert!(
        text.contains("creating the cluster: POST: 401 for [redacted]"),
        "{text}"
    );
    // Nothing was ever made there: nothing is asked to be destroyed.
    let asked = stage.read("asked");
    assert_eq!(
        stage.host.call(call("ensure-destroyed", "bz")).await,
        json!({ "ok": "unchanged" })
    );
    assert_eq!(stage.read("asked"), asked);
    // A workspace that does not exist is not begun.
    let missing = stage.host.call(call("observe-difference", "pz")).await;
    assert!(
        missing["err"]["not-found"]
            .as_str()
            .unwrap()
            .contains("prod-pz"),
        "{missing}"
    );
    assert_eq!(stage.read("asked"), asked);
}

/// Where the real one is.
fn terraform() -> PathBuf {
    let folders = ["/usr/local/bin", "/usr/bin"];
    let found = folders
        .iter()
        .map(|folder| Path::new(folder).join("terraform"));
    let found = found.into_iter().find(|path| path.is_file());
    // Whoever asks for this test has it.
    found.unwrap()
}

/// Runs the real one by hand, as its operator does.
fn by_hand(folder: &Path, site: &str, arguments: &[&str]) -> std::process::Output {
    let output = Command::new(terraform())
        .current_dir(folder)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", folder)
        .env("CHECKPOINT_DISABLE", "1")
        .env("TF_VAR_token", SECRET)
        .env("TF_DATA_DIR", folder.join(format!("data-{site}")))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    output
}

#[tokio::test]
#[ignore = "needs Terraform, which Debian does not package"]
#[expect(clippy::too_many_lines, reason = "the life of one stack")]
async fn the_real_one_is_looked_at_applied_and_destroyed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("main.tf"), CODE).unwrap();
    for site in ["pz", "bz"] {
        fs::write(folder.path().join(format!("{site}.tfvars")), "size = 1\n").unwrap();
        by_hand(folder.path(), site, &["init", "-input=false"]);
    }
    by_hand(folder.path(), "bz", &["workspace", "new", "prod-bz"]);
    let stage = stage(&terraform(), folder);
    let missing = stage.host.call(call("observe-difference", "pz")).await;
    assert!(
        missing["err"]["not-found"]
            .as_str()
            .unwrap()
            .contains("prod-pz"),
        "{missing}"
    );

    let ran = stage
        .host
        .calls(json!([
            call("observe-difference", "bz"),
            call("ensure-applied", "bz"),
            call("ensure-applied", "bz"),
            call("observe-difference", "bz"),
            call("get-outputs", "bz"),
            call("observe-lock", "bz")
        ]))
        .await;
    let change = |action: &str| json!([{ "address": "terraform_data.database", "action": action }]);
    assert_eq!(ran.answers[0]["ok"]["changes"], change("Create"));
    assert_eq!(
        ran.answers[1..3],
        [json!({ "ok": "changed" }), json!({ "ok": "unchanged" })]
    );
    assert_eq!(
        ran.answers[3]["ok"],
        json!({ "changes": [], "drifted": [] })
    );
    let output = |name: &str, value: Option<&str>| json!({ "name": name, "value": value });
    assert_eq!(
        ran.answers[4]["ok"],
        json!([
            output("echo", Some("\"it is [redacted]\"")),
            output("size", Some("1")),
            output("token", None)
        ])
    );
    assert_eq!(ran.answers[5]["ok"], Value::Null);

    // While somebody applies by hand, they hold the lock.
    stage.write("bz.tfvars", "size = 2\nslow = 20\n");
    let folder = stage.folder.path().to_owned();
    let mut somebody = Command::new(terraform())
        .current_dir(&folder)
        .args(["apply", "-auto-approve", "-var-file=bz.tfvars"])
        .env("CHECKPOINT_DISABLE", "1")
        .env("TF_VAR_token", SECRET)
        .env("TF_DATA_DIR", folder.join("data-bz"))
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let lock = understudy_lab::clock::eventually(
        "the lock",
        std::time::Duration::from_secs(20),
        async || {
            let lock = stage.host.call(call("observe-lock", "bz")).await;
            Ok(lock["ok"]["id"].is_string().then_some(lock))
        },
    );
    assert!(
        lock.await.unwrap()["ok"]["holder"]
            .as_str()
            .unwrap()
            .contains("operation: OperationTypeApply")
    );
    let refused = stage.host.call(call("ensure-applied", "bz")).await;
    assert!(
        refused["err"]["conflict"]
            .as_str()
            .unwrap()
            .contains("OperationTypeApply"),
        "{refused}"
    );
    assert!(somebody.wait().unwrap().success());

    // Replacing it takes longer than a look: the host waits and asks again.
    stage.write("bz.tfvars", "size = 3\nslow = 7\n");
    let ran = stage
        .host
        .calls(json!([
            call("observe-difference", "bz"),
            call("ensure-applied", "bz"),
            call("ensure-destroyed", "bz"),
            call("ensure-destroyed", "bz")
        ]))
        .await;
    assert_eq!(ran.answers[0]["ok"]["changes"], change("Replace"));
    assert_eq!(
        ran.answers[1..3],
        [json!({ "ok": "changed" }), json!({ "ok": "changed" })]
    );
    assert_eq!(ran.answers[3], json!({ "ok": "unchanged" }));
    assert!(!ran.of("waiting").is_empty(), "it never waited");
    let left = by_hand(stage.folder.path(), "bz", &["state", "list"]);
    assert!(left.stdout.is_empty());
}
