//! A live run is fitted and rehearsed: the same steps in the same order with the same calls, and nearly as fast.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::host::Host;
use crate::{LIMIT, PACE, lab};

/// The small lab as it stands.
const SCENARIO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/planned.toml");

#[tokio::test]
async fn a_live_drill_is_rehearsed_as_it_went() {
    let lab = lab().await.unwrap();
    let host = Host::new(&lab).unwrap();
    let users = lab.users(PACE);
    users.acknowledged_by("pz", 20, LIMIT).await.unwrap();
    host.ends_well(host.run("drill", "graceful").unwrap())
        .await
        .unwrap();
    drop(users.stop().await);

    assert!(Path::new(SCENARIO).is_file());
    let mut command = host.about("calibrate").unwrap();
    command
        .args(["--scenario", SCENARIO, "--compare", "-o", "json"])
        .stdout(Stdio::piped());
    let output = command.spawn().unwrap().wait_with_output().await.unwrap();
    let fidelity: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{fidelity:#}\n{}",
        host.log()
    );
    assert_eq!(fidelity["differences"], Value::Array(Vec::new()));
    let steps = fidelity["steps"].as_array().unwrap();
    assert!(steps.len() > 40, "{fidelity:#}");
    for leg in fidelity["legs"].as_array().unwrap() {
        assert!(leg["rto"]["live-ms"].as_u64().unwrap() > 0, "{fidelity:#}");
        assert!(leg["rto"]["difference-percent"].is_number(), "{fidelity:#}");
    }
}
