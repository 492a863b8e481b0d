//! The `terraform` provider: against the real Terraform, and against a script that answers as it does where what is tested is
//! how it fails.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use understudy_lab::terraform::{self, Code};

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

fn stage(program: &Path, folder: TempDir) -> Stage {
    let binding = terraform::binding(program, &[("zone", folder.path())], &["pz", "bz"]);
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

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "the life of one stack")]
async fn the_real_one_is_looked_at_applied_and_destroyed() {
    let folder = tempfile::tempdir().unwrap();
    let sites = [("pz", "size = 1\n"), ("bz", "size = 1\n")];
    let code = Code::initialised(folder.path(), CODE, &sites, SECRET).unwrap();
    code.begin_workspace("bz").unwrap();
    let stage = stage(code.program(), folder);
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
    code.set("bz", "size = 2\nslow = 20\n").unwrap();
    let apply = ["apply", "-auto-approve", "-var-file=bz.tfvars"];
    let mut somebody = code.command("bz", &apply);
    somebody.stdout(std::process::Stdio::null());
    let mut somebody = somebody.spawn().unwrap();
    let lock =
        understudy_lab::clock::eventually("the lock", understudy_lab::clock::LIMIT, async || {
            let lock = stage.host.call(call("observe-lock", "bz")).await;
            Ok(lock["ok"]["id"].is_string().then_some(lock))
        });
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
    code.set("bz", "size = 3\nslow = 7\n").unwrap();
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
    assert_eq!(code.by_hand("bz", &["state", "list"]).unwrap(), "");
}
