//! The backup zone is made of code that Terraform applies, and is watched by a Prometheus: a run builds what was never built,
//! and a look names what differs from the code and what is not measured any more.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use understudy_lab::clock::eventually;
use understudy_lab::host::Host;
use understudy_lab::kubernetes::cluster::text;
use understudy_lab::monitoring::{ALERT, Monitoring};
use understudy_lab::platform::Platform;
use understudy_lab::prometheus::Exporter;
use understudy_lab::terraform::{self, Code, TOKEN_VARIABLE};

use super::standby::look_names;
use super::{PACE, zones};
use crate::LIMIT;

/// The secret that the code is given.
const TOKEN: &str = "a-token-of-the-cloud";
/// What is measured of the zone once it is built.
const JOB: &str = "node";

/// A node that is made anew where its size changes.
const ZONE: &str = r#"
variable "size" { type = number }
variable "token" { type = string }
resource "terraform_data" "node" {
  input            = var.size
  triggers_replace = var.size
}
output "size" { value = terraform_data.node.output }
"#;

/// Has the zone's node be measured.
const PLATFORM: &str = r#"
variable "file" { type = string }
variable "target" { type = string }
variable "token" { type = string }
resource "terraform_data" "measured" {
  input = var.file
  provisioner "local-exec" {
    command     = "printf %s \"$TARGETS\" > \"$FILE\""
    environment = {
      FILE    = var.file
      TARGETS = jsonencode([{ targets = [var.target], labels = { job = "node" } }])
    }
  }
}
"#;

/// The backup zone's code and monitoring, and a host that knows of both.
struct Stage {
    monitoring: Monitoring,
    zone: Code,
    /// What is measured once the zone is built.
    node: Exporter,
    /// Where the code says so.
    targets: PathBuf,
    host: Host,
}

async fn stage(platform: &Platform) -> Stage {
    let monitoring = Monitoring::start(platform).await.unwrap();
    let node = Exporter::start().await.unwrap();
    let targets = monitoring.folder.join("bz.targets.json");
    let measured = format!("file = {targets:?}\ntarget = \"{}\"\n", node.address());
    let code = |stack: &str, text: &str, variables: &str| {
        let folder = platform.folder().join(format!("{stack}-code"));
        let code = Code::initialised(&folder, text, &[("bz", variables)], TOKEN).unwrap();
        code.begin_workspace("bz").unwrap();
        code
    };
    let zone = code("zone", ZONE, "size = 1\n");
    let measured = code("platform", PLATFORM, &measured);
    let stacks = [("zone", zone.folder()), ("platform", measured.folder())];
    let watched = json!({ "site": "bz", "jobs": [JOB], "alerts": [ALERT] });
    let parameters = json!({ "stacks": ["zone", "platform"], "monitoring": [watched] });
    let overlay = json!({
        "strategies": { "standby": { "parameters": parameters } },
        "bindings": [
            monitoring.binding(),
            terraform::binding(zone.program(), &stacks, &["bz"]),
        ],
    });
    let overlay = toml::to_string(&overlay).unwrap();
    let host = Host::of_zones(platform).unwrap();
    let host = host.laid_over("built", &overlay).unwrap();
    Stage {
        monitoring,
        zone,
        node,
        targets,
        host: host.with_secret(TOKEN_VARIABLE, TOKEN),
    }
}

#[tokio::test]
async fn a_zone_of_code_is_built_by_the_run_and_a_look_names_what_differs_and_what_is_silent() {
    let platform = zones().await.unwrap();
    let stage = stage(&platform).await;
    let users = platform.users(PACE);
    users.acknowledged_by("pz", 5, LIMIT).await.unwrap();
    what_was_never_built(&stage).await;
    what_differs_and_is_silent(stage).await;
    users.acknowledged_by("pz", 5, LIMIT).await.unwrap();
}

/// A look names what is missing, the run builds it, and then nothing is.
async fn what_was_never_built(stage: &Stage) {
    let (host, at) = (&stage.host, stage.node.address().to_string());
    let unbuilt = [
        "app-in-maintenance",
        "stack-platform-built",
        "stack-zone-built",
        "targets-of-bz-up",
    ];
    let look = look_names(host, &unbuilt).await;
    let missed = look.missed();
    let create = "applying zone would create terraform_data.node";
    assert_eq!(missed["stack-zone-built"], create);
    let nothing = format!("nothing is measured as `{JOB}`");
    assert_eq!(missed["targets-of-bz-up"], nothing);
    assert!(!stage.targets.exists());

    let running = host.run("standby", "graceful").unwrap();
    host.ends_well(running).await.unwrap();
    let targets = fs::read_to_string(&stage.targets).unwrap();
    assert!(targets.contains(&at), "{targets}");
    assert_eq!(size(&stage.zone), "1");
    assert_eq!(applied(host), ["zone", "platform"]);
    look_names(host, &[]).await;
}

/// The code has gone on, and what is measured is silent: a look names both, and the run asks before it loses a node, and names
/// the silence until somebody has ended it.
async fn what_differs_and_is_silent(stage: Stage) {
    let (host, at) = (&stage.host, stage.node.address());
    stage.zone.set("bz", "size = 2\n").unwrap();
    drop(stage.node);
    let up = format!("up{{job=\"{JOB}\"}}");
    let silent = stage.monitoring.server.scraped(&up, "0", 2);
    silent.await.unwrap();
    let look = look_names(host, &["stack-zone-built", "targets-of-bz-up"]).await;
    let missed = look.missed();
    let replace = "applying zone would replace terraform_data.node";
    assert_eq!(missed["stack-zone-built"], replace);
    let silent = missed["targets-of-bz-up"];
    let down = format!("1 of 1 targets of `{JOB}` are not up ({at}: ");
    assert!(silent.starts_with(&down), "{silent}");
    assert!(silent.contains("connection refused"), "{silent}");

    let mut running = host.run("standby", "graceful").unwrap();
    eventually("the silence to be named", LIMIT, async || {
        assert_eq!(running.try_wait()?, None, "{}", host.log());
        let why = failed(host, "standby/check-monitoring");
        Ok(why.filter(|why| why.contains("targets-of-bz-up")))
    })
    .await
    .unwrap();
    let _node = Exporter::start_at(at).await.unwrap();
    host.ends_well(running).await.unwrap();
    assert_eq!(applied(host), ["zone"]);
    assert_eq!(size(&stage.zone), "2");
    let records = host.records().unwrap();
    let lost = "Apply zone at bz, which loses 1 resources?";
    let asked =
        |record: &Value| record["type"] == "gate-opened" && text(&record["body"], "/title") == lost;
    assert!(records.iter().any(asked), "nobody was asked");
    look_names(host, &[]).await;
    for written in host.written().unwrap() {
        let written = String::from_utf8_lossy(&written);
        assert!(!written.contains(TOKEN), "a token is on record");
    }
}

/// What the code gives out.
fn size(zone: &Code) -> String {
    zone.by_hand("bz", &["output", "-raw", "size"]).unwrap()
}

/// Stacks that the newest run has applied, in the order of time.
fn applied(host: &Host) -> Vec<String> {
    let records = host.records().unwrap();
    let intents = records.iter().filter(|record| record["type"] == "intent");
    let applied = intents
        .map(|record| &record["body"])
        .filter(|body| body["function"]["function"] == "ensure-applied");
    applied
        .map(|body| text(body, "/args/stack").to_owned())
        .collect()
}

/// Why a step of the newest run has failed, where it has.
fn failed(host: &Host, step: &str) -> Option<String> {
    let is_failure = |record: &&Value| {
        let body = &record["body"];
        record["type"] == "step-changed" && body["step"] == step && body["to"] == "failed"
    };
    let records = host.records().unwrap_or_default();
    let found = records.iter().find(is_failure)?;
    Some(text(&found["body"], "/detail").to_owned())
}
