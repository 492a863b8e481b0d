//! A live run is fitted and rehearsed: the same steps in the same order with the same calls, and nearly as fast.

use std::process::Stdio;

use anyhow::Result;
use serde_json::Value;

use crate::host::Host;
use crate::{LIMIT, PACE, lab};

/// The small lab as it stands.
const SCENARIO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/planned.toml");

/// How often a drill is made at most. Its recovery takes a second or two: a machine that is busy with other things for a
/// moment can make one call longer than all others together, which no mean shows.
const DRILLS: usize = 3;

#[tokio::test]
async fn a_live_drill_is_rehearsed_as_it_went() {
    let lab = lab().await.unwrap();
    let host = Host::new(&lab).unwrap();
    let users = lab.users(PACE);
    users.acknowledged_by("pz", 20, LIMIT).await.unwrap();
    let mut off = Vec::new();
    for _ in 0..DRILLS {
        host.ends_well(host.run("drill", "graceful").unwrap())
            .await
            .unwrap();
        let (code, fidelity) = compared(&host).await.unwrap();
        assert!(
            fidelity["steps"].as_array().unwrap().len() > 40,
            "{fidelity:#}"
        );
        for leg in fidelity["legs"].as_array().unwrap() {
            assert!(leg["rto"]["live-ms"].as_u64().unwrap() > 0, "{fidelity:#}");
            assert!(
                leg["rto"]["rehearsed-ms"].as_u64().unwrap() > 0,
                "{fidelity:#}"
            );
        }
        let differences = fidelity["differences"].as_array().unwrap();
        // The order of the steps and their calls are the same whatever the machine does meanwhile.
        let of_time = |difference: &Value| difference.as_str().unwrap().starts_with("the RTO of");
        assert!(differences.iter().all(of_time), "{fidelity:#}");
        assert_eq!(
            code,
            Some(i32::from(!differences.is_empty())),
            "{}",
            host.log()
        );
        if differences.is_empty() {
            drop(users.stop().await);
            return;
        }
        off.push(differences.clone());
    }
    panic!("no recovery was rehearsed as fast as it was: {off:?}");
}

/// The newest run beside its rehearsal, with the exit code.
async fn compared(host: &Host) -> Result<(Option<i32>, Value)> {
    let mut command = host.about("calibrate")?;
    command
        .args(["--scenario", SCENARIO, "--compare", "-o", "json"])
        .stdout(Stdio::piped());
    let output = command.spawn()?.wait_with_output().await?;
    Ok((
        output.status.code(),
        serde_json::from_slice(&output.stdout)?,
    ))
}
