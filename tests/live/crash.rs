//! `kill -9` of the host while it promotes, while it flips, and at chosen records all through a drill, then `resume`: one
//! promotion, one flip, nothing lost.

use tokio::process::Child;
use understudy_lab::audit::audit;
use understudy_lab::clock::eventually;
use understudy_lab::lab::Lab;
use understudy_lab::powerdns::ZONE;
use understudy_lab::resolve;

use crate::host::Host;
use crate::world::PROMOTION;
use crate::{LIMIT, PACE, RECORD_CHANGES, lab};

/// Records after which the host is killed: while it prepares, between fence and flip of the way out, while the flip is
/// watched, and on the way home. A drill that nobody kills has about 950.
const KILLED_AT: [usize; 4] = [100, 230, 340, 700];

/// A drill under users who write, whose host dies as `kills` has it, and which is carried through all the same.
async fn drill_killed(
    lab: &Lab,
    kills: impl AsyncFnOnce(&Host) -> anyhow::Result<u32>,
) -> anyhow::Result<()> {
    let host = Host::new(lab)?;
    let (pz, bz) = (&lab.databases.pz, &lab.databases.bz);
    pz.log_statements().await?;
    bz.log_statements().await?;
    let serial = lab.authoritative.serial().await?;
    let users = lab.users(PACE);
    users.acknowledged_by("pz", 20, LIMIT).await?;

    let resumes = kills(&host).await?;
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
    assert_eq!(said("/run/resumes"), resumes);
    assert_eq!(said("/legs/0/rpo/achieved-ms"), 0);
    assert_eq!(said("/legs/1/rpo/achieved-ms"), 0);
    host.verify().await?;
    Ok(())
}

/// Kills a running host as soon as something has happened.
pub(crate) async fn kill_when(
    mut running: Child,
    what: &str,
    happened: impl AsyncFn() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    eventually(what, LIMIT, async || {
        anyhow::ensure!(running.try_wait()?.is_none(), "the host has ended");
        Ok(happened().await?.then_some(()))
    })
    .await?;
    Ok(running.kill().await?)
}

async fn drill_killed_when(
    lab: &Lab,
    what: &str,
    happened: impl AsyncFn() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    drill_killed(lab, async |host| {
        kill_when(host.run("drill", "graceful")?, what, happened).await?;
        Ok(1)
    })
    .await
}

#[tokio::test]
async fn killed_at_chosen_records_all_through_a_drill() {
    let lab = lab().await.unwrap();
    let kills = async |host: &Host| {
        let mut died_at = Vec::new();
        for records in KILLED_AT {
            let running = if died_at.is_empty() {
                host.run("drill", "graceful")?
            } else {
                host.resuming()?
            };
            let grown = async || Ok(host.record_count() >= records);
            kill_when(running, &format!("{records} records"), grown).await?;
            died_at.push(host.record_count());
        }
        assert!(died_at.iter().is_sorted(), "{died_at:?}");
        Ok(u32::try_from(died_at.len())?)
    };
    drill_killed(&lab, kills).await.unwrap();
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
