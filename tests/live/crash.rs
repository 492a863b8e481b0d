//! `kill -9` of the host while it promotes, and while it flips, then `resume`: one promotion, one flip, nothing lost.

use understudy_lab::audit::audit;
use understudy_lab::clock::eventually;
use understudy_lab::lab::Lab;
use understudy_lab::powerdns::ZONE;
use understudy_lab::resolve;

use crate::host::Host;
use crate::{LIMIT, PACE, RECORD_CHANGES, lab};

/// What makes a server the writer.
const PROMOTION: &str = "SET GLOBAL read_only=0";

async fn drill_killed_when(
    lab: &Lab,
    what: &str,
    happened: impl AsyncFn() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let host = Host::new(lab)?;
    let (pz, bz) = (&lab.databases.pz, &lab.databases.bz);
    pz.log_statements().await?;
    bz.log_statements().await?;
    let serial = lab.authoritative.serial().await?;
    let users = lab.users(PACE);
    users.acknowledged_by("pz", 20, LIMIT).await?;

    let mut running = host.run("drill", "graceful")?;
    eventually(what, LIMIT, async || {
        anyhow::ensure!(running.try_wait()?.is_none(), "the host has ended");
        Ok(happened().await?.then_some(()))
    })
    .await?;
    running.kill().await?;

    host.resume().await?;
    users.acknowledged_by("pz", 20, LIMIT).await?;
    let log = users.stop().await;
    assert_eq!(audit(&log, pz).await?.missing, []);
    assert_eq!(
        [
            bz.statements_with(PROMOTION)?,
            pz.statements_with(PROMOTION)?
        ],
        [1, 1]
    );
    assert_eq!(
        lab.authoritative.serial().await?,
        serial + 2 * RECORD_CHANGES
    );
    let report = host.report().await?;
    let said = |pointer: &str| report.pointer(pointer).cloned().unwrap_or_default();
    assert_eq!(said("/conclusion/ending"), "recovered");
    assert_eq!(said("/run/resumes"), 1);
    assert_eq!(said("/legs/0/rpo/achieved-ms"), 0);
    host.verify().await?;
    Ok(())
}

#[tokio::test]
async fn killed_during_the_promotion() {
    let lab = lab().await.unwrap();
    let promoted = async || Ok(!lab.databases.bz.is_read_only().await?);
    drill_killed_when(&lab, "bz to become the writer", promoted)
        .await
        .unwrap();
}

#[tokio::test]
async fn killed_during_the_flip() {
    let lab = lab().await.unwrap();
    let flipped = async || {
        let name = format!("wp-active.{ZONE}");
        let answer = resolve::addresses(lab.authoritative.dns(), &name).await?;
        Ok(answer.alias == Some(format!("wp-bz.{ZONE}")))
    };
    drill_killed_when(&lab, "the flip", flipped).await.unwrap();
}
